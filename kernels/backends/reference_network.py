"""A network in plain NumPy: forward, loss and backward, on whole arrays at once.

Formulas of activations, losses and optimizers are those of the tables, with NumPy's own exp, tanh and logarithm.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ..base.arrays import Array
from ..compiler.ieee import plainly
from ..compiler.specialize import specialize
from ..functions.activations import ACTIVATIONS
from ..functions.function import numbers_of, row_of
from ..functions.losses import LOSSES
from ..functions.normalization import BY_SAMPLE, kind_of, settings_of
from ..runtime.folding import parts
from ..runtime.plan import Model
from ..vocabulary import simd
from ..vocabulary.simd import Pointer
from ..vocabulary.structures import Structure


class Named:
    """A list of numbers as kernels see a structure in memory."""

    def __init__(self, structure: Structure, numbers: list[Any], first: int) -> None:
        vars(self).update(structure=structure, numbers=numbers, first=first)

    def __getattr__(self, name: str) -> Any:
        return self.numbers[self.first + self.structure.word(name)]

    def __setattr__(self, name: str, value: Any) -> None:
        self.numbers[self.first + self.structure.word(name)] = value


@cache
def formulas(dtype: str) -> dict[str, Any]:
    """The tables' functions, for arrays."""
    number = np.dtype(dtype).type
    vocabulary = {
        "real": number, "double": lambda x: np.asarray(x, np.float64), "select": np.where, "sqrt": np.sqrt,
        # a vector has one lane, in which there is a whole array
        "at": simd.at, "stay_apart": simd.stay_apart, "LANES": 1, "spread": lambda x: x,
        "load": Pointer.__getitem__, "store": Pointer.__setitem__,
        "lanes_below": lambda n: n > 0, "sum_lanes": lambda v: v, "largest_lane": lambda v: v,
        "multiply_add": simd.multiply_add, "absolute": np.abs, "copy_sign": np.copysign, "maximum": np.maximum,
        "accumulate": np.add, "quotient": simd.quotient, "polynomial": simd.polynomial,
        "to_reals": lambda v: v.astype(number), "structure": lambda structure: partial(Named, structure),
    }  # fmt: skip
    namespace = specialize(dtype, vocabulary)
    namespace |= {
        "exp": np.exp,
        "sigmoid": lambda z: number(1) / (number(1) + np.exp(-z)),
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "tanh": np.tanh,
        "erfc": lambda x: _erfc(x).astype(dtype),
        "cosine_and_sine": lambda t: (np.cos(number(2 * np.pi) * t), np.sin(number(2 * np.pi) * t)),
    }
    return namespace


def _function(dtype: str, row: Any, function: Any) -> Any:
    """A function of a row, for arrays."""
    if row.foreign:
        return np.vectorize(plainly(function), otypes=[dtype])
    return formulas(dtype)[function.__name__]


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass
class Normalized:
    """A layer's weighted sums, (samples, neurons), normalized, and what it takes to go back."""

    x: Array
    mean: Array
    variance: Array
    deviation: Array
    shared: Callable[[Array], Any]  # what each sum has of all derivatives, as mean and variance depend on all


@dataclass
class Pass:
    """What a forward pass leaves."""

    activations: list[Array]  # X and those of every layer
    sources: list[Array]  # what derivatives are given in terms of, activations or weighted sums, for each layer
    normalized: list[Normalized | None]
    masks: Sequence[Array]  # what activations of hidden layers were multiplied by


def forward(
    model: Model,
    parameters: Array,
    X: Array,
    logits: bool = False,
    masks: Sequence[Array] = (),
    shares: Array | None = None,
    frozen: Callable[[int], bool] = lambda l: False,
) -> Pass:
    """The activations of every layer; of the last one, its weighted sums if logits are wanted.

    shares: those of the samples in the weight of a batch that is trained on, (samples, 1).
    """
    done = Pass([X], [], [], masks)
    for l, (weights, biases, *rest) in enumerate(parts(model, parameters)):
        z = done.activations[-1] @ weights
        normalized = normalize(model, l, z, rest[1:], None if frozen(l) else shares) if rest else None
        z = (rest[0] * normalized.x if normalized else z) + biases
        done.normalized.append(normalized)
        last = l == len(model.activations) - 1
        a = z if last and logits else activate(model, l, z)
        done.sources.append(z if row_of(ACTIVATIONS, model.activations[l]).of_sums else a)
        done.activations.append(a * masks[l] if masks and not last else a)
    return done


def normalize(model: Model, l: int, z: Array, running: list[Array], shares: Array | None) -> Normalized:
    """What the docstring of `normalized.py` says; without shares, means and variances are the running ones."""
    mean: Array
    variance: Array
    shared: Callable[[Array], Any]
    if kind_of(model.normalizations[l]) == BY_SAMPLE:
        shared = partial(np.mean, axis=1, keepdims=True)
        mean = np.asarray(shared(z))
        variance = np.asarray(shared(np.square(z - mean)))
    elif shares is None:
        mean, variance = running
        shared = np.zeros_like
    else:
        mean = np.asarray((shares * z).sum(axis=0))
        variance = np.asarray((shares * np.square(z - mean)).sum(axis=0))
        shared = lambda v: shares * v.sum(axis=0)  # noqa: E731
    deviation = np.sqrt(variance + z.dtype.type(settings_of(model.normalizations[l])[0]))
    return Normalized((z - mean) / deviation, mean, variance, deviation, shared)


def denormalize(normalized: Normalized, gains: Array, delta: Array) -> Array:
    """dLoss/dz."""
    x, g = normalized.x, gains * delta
    return np.asarray((g - normalized.shared(g) - x * normalized.shared(g * x)) / normalized.deviation)


def activate(model: Model, layer: int, z: Array) -> Array:
    row = row_of(ACTIVATIONS, model.activations[layer])
    if row.forward is None:
        return z
    function = _function(model.dtype, row, row.forward)
    settings = numbers_of(ACTIVATIONS, model.activations[layer])
    if not row.rowwise:
        return np.asarray(function(z, settings) if settings else function(z))
    columns = list(z.T)  # formulas for rows see a number of each column: here, the whole column
    function(Pointer(columns), Pointer(columns), 1, len(columns), len(columns), settings)
    return np.stack(columns, axis=1)


def through_activation(model: Model, layer: int, source: Array, delta: Array) -> Array:
    """dLoss/dz from dLoss/da."""
    row = row_of(ACTIVATIONS, model.activations[layer])
    if row.derivative is None:
        return delta
    function = _function(model.dtype, row, row.derivative)
    settings = numbers_of(ACTIVATIONS, model.activations[layer])
    if not row.rowwise:
        return np.asarray(delta * (function(source, settings) if settings else function(source)))
    columns = list(delta.T)
    function(Pointer(list(source.T)), Pointer(columns), 1, len(columns), len(columns), settings)
    return np.stack(columns, axis=1)


def loss_and_delta(
    model: Model,
    output: Array,
    source: Array,
    y: Array,
    divisor: int,
    weights: Array | None = None,
    mean_weight: float = 1.0,
) -> tuple[float, Array]:
    """The sum of the loss over samples and outputs, and dLoss/dz of the last layer for a loss of sum / divisor.

    With weights, the sum is that of each sample's loss times its weight, and the divisor is to be multiplied by the
    mean of those of the batch, or of all samples.
    """
    row = row_of(LOSSES, model.loss)
    value, settings = _function(model.dtype, row, row.value), numbers_of(LOSSES, model.loss)
    if row.derivative is None:
        columns, delta_columns = list(output.T), [np.empty(0)] * output.shape[1]
        block = 1, len(columns), len(columns)
        losses = [np.empty(0)]
        value(Pointer(columns), Pointer(list(y.T)), Pointer(delta_columns), losses, *block, 1 / divisor, settings)
        total, delta = losses[0], np.stack(delta_columns, axis=1)
    else:
        arguments = (output, y, settings) if settings else (output, y)
        derivative = _function(model.dtype, row, row.derivative)
        total, delta = value(*arguments), derivative(*arguments) / np.dtype(model.dtype).type(divisor)
    if not row.on_logits:
        delta = through_activation(model, -1, source, delta)
    if weights is not None:
        total, delta = weigh(total, weights), weigh(delta, weights / mean_weight if mean_weight else weights)
    return float(np.sum(total, dtype=np.float64)), delta


def weigh(values: Array, weights: Array) -> Array:
    """Values of samples, times their weights; a weight of zero removes any value."""
    weights = weights.reshape(-1, *[1] * (values.ndim - 1))
    weighted: Array = np.where(weights > 0, values * weights.astype(values.dtype), values.dtype.type(0))
    return weighted


def backpropagate(model: Model, parameters: Array, done: Pass, delta: Array) -> tuple[Array, Array]:
    """Gradients with respect to the parameters and the inputs, from that of what the last activation took."""
    gradient = np.zeros(len(parameters), model.dtype)
    pairs = list(zip(parts(model, parameters), parts(model, gradient), strict=True))
    for l in reversed(range(len(pairs))):
        delta = backpropagate_layer(done, l, *pairs[l], delta)
        if l > 0:
            delta = delta * done.masks[l - 1] if done.masks else delta
            delta = through_activation(model, l - 1, done.sources[l - 1], delta)
    return gradient, delta


def backpropagate_layer(done: Pass, l: int, values: list[Array], gradients: list[Array], delta: Array) -> Array:
    """Fill in a layer's gradients; that of what it was given."""
    gradients[1][...] = delta.sum(axis=0)
    normalized = done.normalized[l]
    if normalized:
        gradients[2][...] = (delta * normalized.x).sum(axis=0)
        delta = denormalize(normalized, values[2], delta)
    gradients[0][...] = done.activations[l].T @ delta
    return delta @ values[0].T
