"""The table of kernels, the ways to specialise them, and each of its rows run without a compiler and by one."""

import subprocess
import sys
from types import FunctionType

import numpy as np
import pytest
from cases import optimizers
from direct import aligned, call
from test_kernels_network import classifier, plan_to_train

from fastmlp.kernels.backends.choice import backend
from fastmlp.kernels.backends.interpreted import _namespace
from fastmlp.kernels.compiler.interface import KERNELS, MODULES
from fastmlp.kernels.compiler.specialize import bind, clone, specialize
from fastmlp.kernels.functions import activations, elementary
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.kernel import SOURCE_DTYPES
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.optimizer_formulas import FORMULAS
from fastmlp.kernels.functions.optimizers import Adam
from fastmlp.kernels.layers.plan import PLAN
from fastmlp.kernels.vocabulary.levels import LEVELS, tile_shape
from fastmlp.kernels.vocabulary.simd import Constant, Polynomial

ENTRIES = [name for name, kernel in KERNELS.items() if kernel.arguments[0] == "plan"]
ON_VECTORS = [name for name, kernel in KERNELS.items() if kernel.arguments[0] == "vector"]  # which Python cannot pass:
# test_kernels_small.py has them called by `run`


def test_names_are_unique_among_modules():
    """They share a namespace: what a name means must not depend on the module."""
    owners = {}
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, FunctionType | Constant | Polynomial) or (isinstance(value, int) and name.isupper()):
                assert owners.setdefault(name, value) is value, f"{name} of {module.__name__}"


def test_the_table_has_a_kernel_for_every_row():
    rows = {f"optimizer_{name}" for name in FORMULAS} | {f"loss_{name}" for name in LOSSES}
    rows |= {f"gather_{dtype}" for dtype in (*SOURCE_DTYPES, "float16")}
    for name, row in ACTIVATIONS.items():
        rows |= {f"activation_{name}"} if row.forward else set()
        rows |= {f"derivative_{name}"} if row.derivative else set()
        rows |= {f"activation_{name}_of_vector"} if row.forward and not row.rowwise else set()
    for name, row in LOSSES.items():
        rows |= set() if row.derivative is None else {f"loss_{name}_of_vector"}
    assert rows <= set(KERNELS)
    assert all(row.name == name for table in (KERNELS, ACTIVATIONS, LOSSES, FORMULAS) for name, row in table.items())


def test_importing_tables_imports_no_compiler():
    names = "compiler.interface", "backends.choice", "backends.reference", "backends.interpreted"
    modules = ", ".join(f"fastmlp.kernels.{name}" for name in names)
    program = f"import sys, {modules}; print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False False\n"


def test_modules_stay_plain_python():
    assert activations.relu(-1.5) == 0
    assert activations.relu(2.5) == 2.5
    assert activations.tanh_derivative(0.5) == 0.75


# --- specialize


def test_constants_and_polynomials_are_of_the_kernels_type(dtype, level):
    namespace = _namespace(dtype, level)
    assert namespace["LN2_HIGH"] == np.dtype(dtype).type(getattr(elementary.LN2_HIGH, dtype))
    assert namespace["LN2_HIGH"].dtype == dtype
    coefficients = getattr(elementary.EXP_REMAINDER, dtype)
    assert namespace["EXP_REMAINDER"](np.dtype(dtype).type(0)) == np.dtype(dtype).type(coefficients[-1])
    assert namespace["HEADER"] == len(PLAN)


def test_clones_share_their_code(level):
    namespace = _namespace("float64", level)
    for name in ("gather", "run", "weighted_sums", "adam"):
        module = next(m for m in MODULES if name in vars(m) and vars(m)[name].__module__ == m.__name__)
        assert namespace[name].__code__ is vars(module)[name].__code__
        assert namespace[name].__globals__ is namespace


def test_clone_looks_names_up_elsewhere():
    copy = clone(activations.tanh_derivative, {"real": lambda x: 10 * x}, "derivative of 10 tanh")
    assert (copy(2), copy.__name__) == (8 * 12, "derivative of 10 tanh")


def test_bind_gives_free_names_their_functions():
    vectors = {"LANES": 1, "load": list.__getitem__, "store": list.__setitem__}  # of one number
    bound = bind(KERNELS["activation_relu"], {"relu": lambda z: -z, **vectors})
    numbers = [1, 2]
    bound(numbers, numbers, 1, 2, 2, [])
    assert numbers == [-1, -2]


def test_specialize_compiles_every_function_once():
    compiled = []
    specialize("float32", {"polynomial": lambda c: c}, lambda f: compiled.append(f.__name__) or f)
    assert len(compiled) == len(set(compiled)) > 40


@pytest.mark.parametrize(
    ("name", "dtype", "lanes", "rows"),
    [
        ("x86-64", "float32", 4, 6), ("x86-64", "float64", 2, 6), ("x86-64-v3", "float32", 8, 6),
        ("x86-64-v4", "float32", 16, 12), ("x86-64-v4", "float64", 8, 12), ("aarch64", "float32", 4, 12),
    ],
)  # fmt: skip
def test_tiles_follow_the_registers(name, dtype, lanes, rows):
    shape = tile_shape(dtype, LEVELS[name])
    assert (shape["LANES"], shape["TILE_ROWS"]) == (lanes, rows)
    assert shape["PANEL"] == lanes * shape["PANEL_VECTORS"]


# --- every row, run


def settings_of(kernel):
    """Of the optimizer that updates by this kernel, as they are before `prepare` or, to update, after it."""
    preparing, name = kernel.name.startswith("prepare"), kernel.name.split("_", 1)[1]
    optimizer = next(optimizer for optimizer in optimizers() if optimizer.formula.name == name)
    settings = np.full(len(optimizer.formula.settings), 0.0 if preparing else 0.25)
    settings[: len(optimizer.settings())] = optimizer.settings()
    return settings


def arguments_of(kernel, dtype):
    """Arguments for a kernel that is no entry: 3 rows of 5 numbers, 16 apart in the kernel's memory."""
    generator = np.random.default_rng(13)

    def reals(least=-0.9):
        memory = aligned(3 * 16 * 2, dtype)
        memory[:] = generator.uniform(least, 0.9, len(memory))
        return memory

    if kernel.name.startswith("gather_columns"):
        return [np.array([4, 1, 2, 3, 0], kernel.arguments[0]), 1, 4, 3, np.zeros(4, np.int64)]
    if kernel.name.startswith("gather"):
        source = np.array([[4, 1, 2, 3, 0]] * 3, kernel.arguments[0])
        return [source.reshape(-1), 5, 1, 0, 0, 3, 5, reals(), 16]
    if kernel.name.startswith("optimizer"):
        memory = aligned(2 * 96, dtype)
        memory[:] = generator.uniform(0.1, 0.9, len(memory))
        return [reals(), reals(), memory, 96, 48, settings_of(kernel)]
    if kernel.name.startswith("prepare"):
        return [settings_of(kernel), 3]
    arrays = [reals() for kind in kernel.arguments if kind == "reals"]
    if kernel.name.startswith(("activation", "derivative")):
        arrays[0] *= 2
        return [*arrays, 3, 5, 16, np.array([0.3])]
    settings = {"loss_quantile": [2, 0.2, 0.7]}.get(kernel.name, [0.3, 0.3])
    return [*arrays, np.full(3, np.nan), 3, 6, 16, 0.25, np.array(settings)]


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in ENTRIES + ON_VECTORS])
def test_every_kernel_does_the_same_with_and_without_a_compiler(fast_backend, dtype, name):
    kernel, results = KERNELS[name], []
    for who in (backend("interpreted"), fast_backend):
        arguments = arguments_of(kernel, dtype)
        before = [a.copy() for a in arguments if isinstance(a, np.ndarray)]
        value = call(who, name, dtype, *arguments)
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        assert any((a != b).any() for a, b in zip(arrays, before, strict=True))
        results.append([0.0 if value is None else value, *arrays])
    eps = np.finfo(dtype).eps
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=16 * eps, atol=4 * eps)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_runs(kernel_backend, dtype, name):
    network = classifier(dtype)
    plan = plan_to_train(kernel_backend, network, Adam(), 9)
    plan["output"] = np.empty((23, 3), dtype)
    if name in ("pack", "unpack"):
        canonical, packed = np.ones(plan.model.parameter_count, dtype), plan.packed()
        packed[...] = 2
        getattr(plan, name)(canonical, packed)
        assert (canonical == (1 if name == "pack" else 2)).all()
        assert name == "unpack" or set(packed.tolist()) == {0, 1}
    elif name == "update":
        assert plan.call(name, 1, 0) == 0
    else:
        for phase in ("forward", "loss"):  # what backward needs
            plan.call(phase, 0, 1)
        assert plan.call(name, 0, 1) == (1 if name in ("run", "predict") else 0)
