"""The table of exported kernels: what both compilers compile. It imports no compiler."""

import zlib

from ..functions import activations, elementary, losses, optimizer_formulas, random, twister
from ..functions.activations import ACTIVATIONS
from ..functions.kernel import (
    ACTIVATION,
    ACTIVATION_OF_VECTOR,
    COLUMN_DTYPES,
    LOSS,
    LOSS_OF_VECTOR,
    SOURCE_DTYPES,
    Kernel,
)
from ..functions.losses import LOSSES
from ..functions.optimizer_formulas import FORMULAS
from ..layers import (
    disturbed,
    layout,
    masked,
    matmul,
    matvec,
    normalized,
    packing,
    parts,
    plan,
    ranks,
    samples,
    single,
    sparse,
    weighting,
    zeros,
)
from ..layers.plan import DROPOUT, LAYER, NORMALIZATION, PLAN
from ..passes import descent, inference, network, regularized, shared_layer, small, steps

MODULES = (
    elementary,
    activations,
    losses,
    optimizer_formulas,
    random,
    twister,
    layout,
    plan,
    matvec,
    matmul,
    single,
    ranks,
    parts,
    packing,
    sparse,
    samples,
    zeros,
    masked,
    descent,
    regularized,
    weighting,
    disturbed,
    normalized,
    network,
    inference,
    shared_layer,
    small,
    steps,
)
"""The modules that hold kernels. Names are unique among them: they share one namespace when they are specialised."""

_ENTRY = ("plan", "integer", "integer")  # all that Python calls takes a plan and two integers, and returns an integer
_GATHER = ("integer", "integer", "integer", "integer", "integer", "integer", "reals", "integer")
_UPDATE = ("reals", "reals", "reals", "integer", "integer", "doubles")


def _entries() -> list[Kernel]:
    functions = {
        "pack": packing.pack,
        "unpack": packing.unpack,
        "forward": network.forward_phase,
        "loss": network.loss_phase,
        "backward": network.backward_phase,
        "update": network.update_phase,
        "predict": inference.predict,
        "evaluate": network.evaluate,
        "gradient": network.gradient,
        "run": steps.run,
    }
    return [Kernel(name, function, _ENTRY, "integer") for name, function in functions.items()]


def _gathers() -> list[Kernel]:
    rows = [Kernel(f"gather_{dtype}", samples.gather, (dtype, *_GATHER)) for dtype in SOURCE_DTYPES]
    rows.append(Kernel("gather_float16", samples.gather_halves, ("int16", *_GATHER)))
    rows.append(Kernel("gather_bool", samples.gather_booleans, ("uint8", *_GATHER)))
    for dtype in COLUMN_DTYPES:
        rows.append(Kernel(f"gather_columns_{dtype}", sparse.gather_columns, (dtype, *["integer"] * 4)))
    return [*rows, Kernel("gather_labels", samples.gather_labels, ("int64", *_GATHER))]


def _activations() -> list[Kernel]:
    kernels = []
    for row in ACTIVATIONS.values():
        apply, chain = activations.apply, activations.chain
        if row.settings:
            apply, chain = activations.apply_set, activations.chain_set
        for function, template, name in (
            (row.forward, apply, f"activation_{row.name}"),
            (row.derivative, chain, f"derivative_{row.name}"),
        ):
            if function is not None and row.rowwise:
                kernels.append(Kernel(name, function, ACTIVATION))
            elif function is not None:
                kernels.append(Kernel(name, template, ACTIVATION, bound={"element": function}))
        if row.forward is not None and row.derivative is not None and not row.rowwise:
            both = activations.WITH_DERIVATIVE[row.of_sums, bool(row.settings)]
            bound = {"element": row.forward, "slope": row.derivative}
            kernels.append(
                Kernel(f"activation_{row.name}_of_vector", both, ACTIVATION_OF_VECTOR, "vectors", bound)
            )  # fmt: skip
    return kernels


def _losses() -> list[Kernel]:
    kernels = []
    for row in LOSSES.values():
        if row.derivative is None:
            kernels.append(Kernel(f"loss_{row.name}", row.value, LOSS))
        else:
            bound = {"value": row.value, "derivative": row.derivative}
            template, both = losses.elementwise_loss, losses.with_loss_derivative
            if row.settings:
                template, both = losses.elementwise_loss_set, losses.with_loss_derivative_set
            kernels.append(Kernel(f"loss_{row.name}", template, LOSS, bound=bound))
            kernels.append(Kernel(f"loss_{row.name}_of_vector", both, LOSS_OF_VECTOR, "vectors", bound))
    return kernels


def _optimizers() -> list[Kernel]:
    kernels = [Kernel(f"optimizer_{name}", row.update, _UPDATE) for name, row in FORMULAS.items()]
    for name, row in FORMULAS.items():
        if row.prepare is not None:
            kernels.append(Kernel(f"prepare_{name}", row.prepare, ("doubles", "integer")))
    return kernels


KERNELS = {kernel.name: kernel for kernel in [*_entries(), *_gathers(), *_activations(), *_losses(), *_optimizers()]}


def fingerprint() -> str:
    """Of all that compiled kernels and the Python around them must agree on: structures, places, and the kernels."""
    words = sorted((name, value) for name, value in vars(layout).items() if isinstance(value, int))
    structures = [(structure.name, structure.attributes) for structure in (PLAN, LAYER, DROPOUT, NORMALIZATION)]
    kernels = sorted((kernel.name, kernel.arguments, kernel.result) for kernel in KERNELS.values())
    return f"{zlib.crc32(repr((words, structures, kernels)).encode()):08x}"
