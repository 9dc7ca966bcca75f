"""Every check of arguments but arrays. A check returns the value in the form that the rest of the package needs."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.base.errors import one_of, require, shortened
from ..kernels.base.settings import to_text
from ..kernels.compiler import custom
from ..kernels.functions import function as functions
from ..kernels.functions.activations import ACTIVATIONS
from ..kernels.functions.function import Function, numbers_of, row_of
from ..kernels.functions.initializers import INITIALIZERS, Initializer
from ..kernels.functions.losses import LOSSES
from ..kernels.functions.normalization import NORMALIZATIONS, Normalizations, settings_of
from ..kernels.runtime.plan import Model

MOST_PARAMETERS = 2**31 - 1
FLOATS = "float32", "float64"
SETTINGS = {row.settings for table in (ACTIVATIONS, LOSSES, NORMALIZATIONS) for row in table.values() if row.settings}
"""Classes of settings. Kernels read as many numbers as these have: subclasses of users are refused."""


def model(
    layer_sizes: Any, activation: Any, output_activation: Any, loss: Any, dtype: Any, normalization: Any = None
) -> Model:
    """Check what a network is made of."""
    sizes = _layer_sizes(layer_sizes)
    loss = choice("loss", loss, [name for name, row in LOSSES.items() if row.public])
    hidden = _hidden_activations(activation, len(sizes) - 2)
    output = _output_activation(output_activation, loss)
    row = row_of(LOSSES, loss)
    if row.targets == "classes":
        require(sizes[-1] >= 2, "layer_sizes", f"2 outputs or more at the end for loss '{row.name}'", list(sizes))
    each = row.outputs_per_target(numbers_of(LOSSES, loss))
    rule = f"such that the outputs at the end are {each} for each target, for loss '{row.name}'"
    require(sizes[-1] % each == 0, "layer_sizes", rule, list(sizes))
    number = number_type(dtype)
    model = Model(sizes, (*hidden, output), loss, number, _normalizations(normalization, len(sizes) - 2, number))
    rule = f"such that parameters are at most {MOST_PARAMETERS}"
    require(model.parameter_count <= MOST_PARAMETERS, "layer_sizes", rule, list(sizes))
    return model


def model_again(pickled: Model) -> Model:
    """The model that a pickle holds, checked as if it were made: kernels compute where things are from its sizes."""
    *hidden, output = pickled.activations
    *normalizations, last = pickled.normalizations or (None,)
    require(last is None, "normalizations", "of hidden layers", last)
    return model(pickled.sizes, hidden, output, pickled.loss, pickled.dtype, normalizations or None)


def _normalizations(value: Any, count: int, dtype: str) -> Normalizations:
    """One for each layer, the last of which has none; empty where no layer has any."""
    if value is None or isinstance(value, str | Function):
        value = [value] * count
    elif not isinstance(value, list | tuple):
        rule = f"{one_of(NORMALIZATIONS)}, an object with settings, a list of these, or None"
        raise TypeError(f"normalization must be {rule}, got {shortened(value)}")
    value = list(value)
    require(len(value) == count, "normalization", f"one for all hidden layers, or a list of {count}", value)
    chosen = [None if one is None else choice("normalization", one, list(NORMALIZATIONS)) for one in value]
    for one in chosen:
        epsilon = settings_of(one)[:1]
        require(not epsilon or np.dtype(dtype).type(epsilon[0]) > 0, "epsilon", f"above 0 as a {dtype}", one)
    return (*chosen, None) if any(chosen) else ()


def _layer_sizes(value: Any) -> tuple[int, ...]:
    rule = "a sequence of two or more positive integers"
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise TypeError(f"layer_sizes must be {rule}, got {shortened(value)}")
    try:
        sizes = tuple(operator.index(size) for size in value)
    except TypeError:
        raise TypeError(f"layer_sizes must be {rule}, got {shortened(value)}") from None
    require(len(sizes) >= 2 and all(s >= 1 for s in sizes) and not _has_bool(value), "layer_sizes", rule, value)
    return sizes


def _has_bool(values: Any) -> bool:
    return any(isinstance(v, bool | np.bool_) for v in values)


def _hidden_activations(value: Any, count: int) -> tuple[str | Function, ...]:
    names = [name for name, row in ACTIVATIONS.items() if not row.rowwise]
    if isinstance(value, str | Function):
        return (choice("activation", value, names),) * count
    if not isinstance(value, list | tuple):
        raise TypeError(
            f"activation must be a name or a list of names, one for each hidden layer, got {shortened(value)}"
        )
    value = list(value)
    require(len(value) == count, "activation", f"a name or a list of {count} names, one for each hidden layer", value)
    return tuple(choice(f"activation[{i}]", chosen, names) for i, chosen in enumerate(value))


def _output_activation(value: Any, loss: str | Function) -> str | Function:
    row = row_of(LOSSES, loss)
    if value is None:
        return str(row.output_activation)
    chosen = choice("output_activation", value, ACTIVATIONS)
    right = [row.output_activation, *(() if row.on_logits else row.allowed or ())]
    rule = f"{one_of(right) if len(right) > 1 else repr(right[0])} for loss '{row.name}'"
    anything = row.allowed is None and not row.on_logits
    require(anything or functions.name_of(chosen) in right, "output_activation", rule, chosen)
    return chosen


def choice(argument: str, value: Any, names: Any) -> str | Function:
    """A name out of a table, settings for one, or a function of the user's own."""
    if type(value) in SETTINGS and value.name in names:
        return value  # type: ignore[no-any-return]
    if type(value) is custom.Loss and argument == "loss":
        return value
    if type(value) is custom.Activation and argument not in ("loss", "normalization"):
        return value
    return name_of(argument, value, names)


def name_of(argument: str, value: Any, names: Any) -> str:
    """A name out of a table."""
    name = to_text(value)
    require(name is not None and name in names, argument, one_of(names), value, names)
    return str(name)


def number_type(value: Any) -> str:
    """'float32' or 'float64'."""
    try:
        name = np.dtype(value).name if value is not None else None
    except Exception:  # NumPy's message asks the value for its `repr`, which may do anything
        name = None
    require(name in FLOATS, "dtype", one_of(FLOATS), value, FLOATS)
    return str(name)


def initializers(value: Any, activations: tuple[str | Function, ...]) -> list[Initializer]:
    """The initializer of each layer; None: as the layer's activation wants it."""
    if value is None:
        return [INITIALIZERS[row_of(ACTIVATIONS, activation).initializer] for activation in activations]
    if isinstance(value, list | tuple):
        rule, value = f"a name or a list of {len(activations)} names, one for each layer", list(value)
        require(len(value) == len(activations), "initializer", rule, value)
        names = [name_of(f"initializer[{i}]", name, INITIALIZERS) for i, name in enumerate(value)]
    else:
        names = [name_of("initializer", value, INITIALIZERS)] * len(activations)
    return [INITIALIZERS[name] for name in names]


def real_number(argument: str, value: Any) -> float:
    """A float; NaN and infinity pass."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        raise TypeError(f"{argument} must be a number, got {shortened(value)}")
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must be a number, got {shortened(value)}") from None


def positive_integer(argument: str, value: Any, most: int = 2**31 - 1) -> int:
    """An integer from 1 on."""
    if type(value) is int and 1 <= value <= most:
        return value
    rule = f"an integer from 1 to {most}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} must be {rule}, got {shortened(value)}") from None
    require(1 <= number <= most and not isinstance(value, bool | np.bool_), argument, rule, value)
    return number


def count(argument: str, value: Any) -> int:
    """An integer from 0 on that kernels can count on from."""
    rule = "an integer from 0 to 2^53"
    require(isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53, argument, rule, value)
    return int(value)


def seed(value: Any) -> int | None:
    """None, or an integer from 0 on that files can hold."""
    if value is None:
        return None
    rule = "None or an integer from 0 to 2^4096 - 1"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"seed must be {rule}, got {shortened(value)}") from None
    right = number >= 0 and number.bit_length() <= 4096 and not isinstance(value, bool | np.bool_)
    require(right, "seed", rule, value)
    return number


def thread_count(value: Any) -> int | None:
    """None, or a positive integer."""
    return None if value is None else positive_integer("threads", value)


def flag(argument: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument} must be True or False, got {shortened(value)}")
    return bool(value)
