"""The same work in plain NumPy: readable, slow, and the oracle of the tests.

Formulas of activations, losses and optimizers are those of the tables, with NumPy's own exp, tanh and logarithm, and
run on whole arrays at once. What kernels do beyond formulas (tiles, panels, padding, plans, threads) has no counterpart
here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from . import simd
from .activations import ACTIVATIONS
from .custom import plainly
from .disturbance import Disturbance, drops
from .disturbed import PLACE_OF_INPUTS, PLACE_OF_LAYERS, PLACE_OF_NOISE
from .folding import fold, parts, unfold_gradient
from .functions import numbers_of, row_of
from .layout import BY_SAMPLE
from .losses import LOSSES, divisor
from .normalization import kind_of, settings_of
from .plan import Array, Model, Predictor
from .random import WORD
from .regularization import NOTHING
from .simd import Pointer
from .sparse_rows import Samples, SparseRows
from .specialize import specialize
from .training import Schedule


@cache
def _formulas(dtype: str) -> dict[str, Any]:
    """The tables' functions, for arrays."""
    number = np.dtype(dtype).type
    vocabulary = {
        "real": number, "double": lambda x: np.asarray(x, np.float64), "select": np.where, "sqrt": np.sqrt,
        # a vector has one lane, in which there is a whole array
        "at": simd.at, "stay_apart": simd.stay_apart, "LANES": 1, "spread": lambda x: x,
        "load": Pointer.__getitem__, "store": Pointer.__setitem__,
        "lanes_below": lambda n: n > 0, "sum_lanes": lambda v: v, "largest_lane": lambda v: v,
        "absolute": np.abs, "copy_sign": np.copysign, "maximum": np.maximum, "accumulate": np.add,
        "quotient": simd.quotient, "polynomial": simd.polynomial, "to_reals": lambda v: v.astype(number),
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
    return _formulas(dtype)[function.__name__]


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


def dense_rows(X: Samples, dtype: str, chosen: Any = slice(None)) -> Array:
    """All samples, or some, as an array of this type."""
    return X.dense(dtype, chosen) if isinstance(X, SparseRows) else X[chosen].astype(dtype)


def trained_slices(model: Model) -> list[slice]:
    """Of each layer, where weights, biases and gains are in a canonical vector: before running statistics."""
    start, slices = 0, []
    for views in parts(model, np.empty(model.parameter_count)):
        slices.append(slice(start, start + sum(view.size for view in views[:3])))
        start += sum(view.size for view in views)
    return slices


def shares_of(rows: int, weights: Array | None, dtype: str) -> Array:
    """What each sample has of a batch's weight, (rows, 1)."""
    if weights is None or not weights.any():
        weights = np.ones(rows)
    return np.asarray(weights / weights.sum()).astype(dtype)[:, np.newaxis]


class Draws:
    """The random words of `disturbed.py` for samples at positions of an epoch, and what is made of them."""

    def __init__(self, dtype: str, key: int, epoch: int, positions: Array) -> None:
        self._dtype, self._key, self._epoch, self._positions = dtype, key, epoch, positions[:, np.newaxis]

    def _words(self, place: int, columns: int) -> Array:
        """(4, samples, columns): of the four samples that share a counter."""
        epoch = self._epoch
        counter = np.arange(columns), self._positions >> 2, epoch & WORD, ((epoch >> 32 << 16) + place) & WORD
        return np.stack(np.broadcast_arrays(*_formulas(self._dtype)["philox"](self._key, *counter)))

    def _own(self, four: Array) -> Array:
        """Each sample's of the four."""
        return np.asarray(np.choose(self._positions % 4, four))

    def mask(self, place: int, columns: int, probability: float) -> Array:
        dropped, number = drops(probability), np.dtype(self._dtype).type
        kept = number(1 / (1 - dropped * 2.0**-32))
        return np.asarray(np.where(self._own(self._words(place, columns)) >= dropped, kept, number(0)))

    def noise(self, columns: int, deviation: float) -> Array:
        u, v, w, x = self._words(PLACE_OF_NOISE, columns)
        normal = _formulas(self._dtype)["normal_pair"]
        return np.asarray(self._own(np.stack([*normal(u, v), *normal(w, x)])) * np.dtype(self._dtype).type(deviation))

    def disturb(self, X: Array, wishes: Disturbance) -> Array:
        if wishes.input_noise:
            X = X + self.noise(X.shape[1], wishes.input_noise)
        if wishes.input_dropout:
            X = X * self.mask(PLACE_OF_INPUTS, X.shape[1], wishes.input_dropout)
        return X

    def masks(self, sizes: Sequence[int], wishes: Disturbance) -> list[Array]:
        """Of the hidden layers; empty if there is no dropout."""
        layers = enumerate(zip(sizes[1:], wishes.dropout, strict=False))
        return [self.mask(PLACE_OF_LAYERS + l, columns, probability) for l, (columns, probability) in layers]


class ReferenceExecutor:
    """What `executor.Executor` does."""

    def __init__(self, model: Model, parameters: Array) -> None:
        self.model, self.parameters = model, parameters
        self.loss = row_of(LOSSES, model.loss)

    def changed(self) -> None:
        """Nothing is kept."""

    def prediction(self, threads: int | None = None) -> "ReferencePrediction":
        return ReferencePrediction(self.model.folded, fold(self.model, self.parameters).copy())

    def predict(self, X: Samples) -> Array:
        output = np.empty((len(X), self.model.sizes[-1]), self.model.dtype)
        self.prediction().run(X, output, allow_nan=True)
        return output

    def evaluate(self, X: Samples, y: Array, weights: Array | None = None) -> float:
        return self.gradient(X, y, weights)[0]

    def evaluation(self, X: Samples, y: Array, weights: Array | None = None) -> Callable[[], float]:
        return partial(self.evaluate, X, y, weights)

    def gradient(self, X: Samples, y: Array, weights: Array | None = None) -> tuple[float, Array]:
        loss, gradient, _ = self._gradients(X, y, weights)
        return loss, gradient

    def input_gradient(self, X: Samples, y: Array) -> Array:
        return self._gradients(X, y)[2]

    def _gradients(self, X: Samples, y: Array, weights: Array | None = None) -> tuple[float, Array, Array]:
        with np.errstate(all="ignore"):
            model, parameters = self.model.folded, fold(self.model, self.parameters)
            done = forward(model, parameters, self.rows(X), self.loss.on_logits)
            divisor = len(X) * self.loss_divisor()
            output, source = done.activations[-1], done.sources[-1]
            total, delta = loss_and_delta(model, output, source, self.targets(y), divisor, weights)
            gradient, inputs = backpropagate(model, parameters, done, delta)
            return total / divisor, unfold_gradient(self.model, self.parameters, gradient), inputs

    def backward(self, X: Array, output_gradient: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            model, parameters = self.model.folded, fold(self.model, self.parameters)
            done = forward(model, parameters, self.rows(X))
            delta = through_activation(model, -1, done.sources[-1], output_gradient.astype(model.dtype))
            gradient, inputs = backpropagate(model, parameters, done, delta)
            return unfold_gradient(self.model, self.parameters, gradient), inputs

    def training(
        self,
        X: Samples,
        y: Array,
        state: Array,
        schedule: Schedule,
        average: Array | None = None,
        weights: Array | None = None,
    ) -> "ReferenceTraining":
        return ReferenceTraining(self, X, y, state, schedule, average, weights)

    def rows(self, X: Samples, chosen: Any = slice(None)) -> Array:
        return dense_rows(X, self.model.dtype, chosen)

    def targets(self, y: Array) -> Array:
        if y.ndim == 1:
            return np.eye(self.model.sizes[-1], dtype=self.model.dtype)[y]
        return y.astype(self.model.dtype)

    def loss_divisor(self) -> int:
        """The mean is over samples times this."""
        return divisor(self.model.loss, self.model.sizes[-1])


class ReferencePrediction:
    """What `prediction.Prediction` does."""

    def __init__(self, model: Model, parameters: Array) -> None:
        self.model, self._parameters = model, parameters

    def apart(self) -> "ReferencePrediction":
        return self

    def parameters(self) -> Array:
        return self._parameters.copy()

    def shortcut(self, predictor: Predictor) -> Predictor:
        return predictor

    def run(self, X: Samples, output: Array, allow_nan: bool) -> bool:
        with np.errstate(all="ignore"):
            rows = dense_rows(X, self.model.dtype)
            finite = allow_nan or bool(np.isfinite(rows).all())
            if finite:
                output[...] = forward(self.model, self._parameters, rows).activations[-1]
        return finite


class ReferenceTraining:
    """What `training.Training` does."""

    def __init__(
        self,
        executor: ReferenceExecutor,
        X: Samples,
        y: Array,
        state: Array,
        schedule: Schedule,
        average: Array | None = None,
        weights: Array | None = None,
    ) -> None:
        self._executor, self._X, self._y, self._schedule = executor, X, executor.targets(y), schedule
        self._weights = weights
        self._canonical_state, self._state, self._parameters = state, state.copy(), executor.parameters.copy()
        self._order = list(range(len(X)))
        self.steps_per_epoch = -(-len(X) // schedule.batch_size)
        self.losses = np.zeros(schedule.epochs)
        self.trail = np.empty((schedule.epochs if schedule.trail else 0, len(self._parameters)), executor.model.dtype)
        self.gradient_norms = np.zeros(schedule.epochs) if schedule.regularization.gradient_norms else None
        self._canonical_average, self._average = average, None if average is None else average.copy()
        self.steps_done, self.threads = 0, 1

    def run(self, first_step: int, last_step: int, threads: int | None = None) -> int:
        with np.errstate(all="ignore"):
            for step in range(first_step, last_step):
                if not self._step(step):
                    break
                self.steps_done = step + 1
        return self.steps_done

    def _step(self, step: int) -> bool:
        schedule, model = self._schedule, self._executor.model
        epoch, batch = divmod(step, self.steps_per_epoch)
        if batch == 0 and schedule.shuffle_key is not None:
            shuffle = _formulas(model.dtype)["shuffle"]
            shuffle(schedule.shuffle_key, schedule.first_epoch + epoch, self._order, len(self._order))
        rows = self._order[batch * schedule.batch_size : (batch + 1) * schedule.batch_size]
        X, logits = self._executor.rows(self._X, rows), self._executor.loss.on_logits
        first = batch * schedule.batch_size
        positions = np.arange(first, first + len(rows))
        draws = Draws(model.dtype, schedule.disturbance_key, schedule.first_epoch + epoch, positions)
        X, masks = draws.disturb(X, schedule.disturbance), draws.masks(model.sizes, schedule.disturbance)
        divisor, weights = self._executor.loss_divisor(), None if self._weights is None else self._weights[rows]
        frozen = lambda l: schedule.regularization.factor(l) == 0  # noqa: E731
        done = forward(model, self._parameters, X, logits, masks, shares_of(len(rows), weights, model.dtype), frozen)
        self._follow(done, frozen)
        mean_weight = 1.0 if weights is None or len(rows) == len(self._X) else float(weights.mean())
        samples = len(rows) * (schedule.delta_divisor or divisor)
        output, source = done.activations[-1], done.sources[-1]
        total, delta = loss_and_delta(model, output, source, self._y[rows], samples, weights, mean_weight)
        self.losses[epoch] += total / (len(self._X) * divisor)
        if schedule.stop_at_nonfinite and not np.isfinite(total):
            return False
        update_number = schedule.first_update + step + 1
        if schedule.update_first:
            self._update_layer_by_layer(done, delta, update_number)
        else:
            gradient, _ = backpropagate(model, self._parameters, done, delta)
            if schedule.regularization == NOTHING:
                for trained in trained_slices(model):
                    self._update(trained, gradient, update_number)
            else:
                self._regularized_update(epoch, gradient, update_number)
        if batch == self.steps_per_epoch - 1:
            if schedule.stop_at_nonfinite and not np.isfinite(self._parameters).all():
                return False
            self._executor.parameters[...] = self._parameters
            if schedule.trail:
                self.trail[epoch] = self._parameters
        return True

    def _follow(self, done: Pass, frozen: Callable[[int], bool]) -> None:
        """Running means and variances go towards those of the batch."""
        model = self._executor.model
        for l, (_, _, *rest) in enumerate(parts(model, self._parameters)):
            normalized = done.normalized[l]
            if normalized and len(rest) == 3 and not frozen(l) and len(done.activations[0]) > 1:
                momentum = rest[1].dtype.type(settings_of(model.normalizations[l])[1])
                rest[1] += momentum * (normalized.mean - rest[1])
                rest[2] += momentum * (normalized.variance - rest[2])

    def _update(self, part: slice, gradient: Array, update_number: int, factor: float = 1.0) -> None:
        optimizer = self._schedule.optimizer
        # the update function sees vectors of numbers: here, vectors of one element, which is a whole array
        parameters, state = [self._parameters[part]], [slot[part] for slot in self._state]
        formula, formulas = optimizer.formula, _formulas(self._executor.model.dtype)
        settings = [np.float64(value) for value in optimizer.settings()] + [np.float64(0)] * formula.prepared
        settings[0] = np.float64(self._rate(update_number) * factor)
        if formula.prepare is not None:
            formulas[formula.prepare.__name__](settings, update_number)
        function = formulas[formula.update.__name__]
        function(Pointer(parameters), Pointer([gradient[part]]), Pointer(state), 1, 1, settings)
        self._parameters[part] = parameters[0]
        for slot, values in zip(self._state, state, strict=True):
            slot[part] = values

    def _regularized_update(self, epoch: int, gradient: Array, update_number: int) -> None:
        """What the docstring of `regularized.py` says, line by line."""
        wishes, number = self._schedule.regularization, gradient.dtype.type
        model = self._executor.model
        pairs = list(zip(parts(model, self._parameters), parts(model, gradient), strict=True))
        for l, ((weights, *_), (weight_gradient, *other_gradients)) in enumerate(pairs):
            weight_gradient += weights.dtype.type(wishes.l2) * weights + weights.dtype.type(wishes.l1) * np.sign(
                weights
            )
            if wishes.factor(l) == 0:
                for part_gradient in (weight_gradient, *other_gradients):
                    part_gradient[...] = 0
        if wishes.clip_value is not None:
            gradient.clip(-wishes.clip_value, wishes.clip_value, out=gradient)
        norm = np.sqrt(np.sum(np.square(gradient), dtype=np.float64))
        if self.gradient_norms is not None:
            self.gradient_norms[epoch] += norm / self.steps_per_epoch
        if wishes.clip_norm is not None and not norm <= wishes.clip_norm:
            gradient *= number(wishes.clip_norm / norm + (norm - norm))
        slices = trained_slices(model)
        for l, ((weights, *_), _) in enumerate(pairs):
            if wishes.factor(l) == 0:
                continue
            weights *= number(1 - self._rate(update_number) * wishes.factor(l) * wishes.weight_decay)
            self._update(slices[l], gradient, update_number, wishes.factor(l))
            if wishes.max_norm is not None:
                norms = np.sqrt(np.square(weights).sum(axis=0))
                weights *= np.where(
                    norms <= wishes.max_norm, number(1), number(wishes.max_norm) / norms + (norms - norms)
                )
        if self._average is not None:
            rest = number(1 - (wishes.ema_decay or 0))
            self._average += rest * (self._parameters - self._average)

    def _rate(self, update_number: int) -> float:
        schedule = self._schedule
        rate = schedule.optimizer.learning_rate if schedule.rates is None else schedule.rates(update_number, 1)[0]
        return float(rate)

    def _update_layer_by_layer(self, done: Pass, delta: Array, update_number: int) -> None:
        """Each layer is updated before delta passes through it, so that it passes through the new weights."""
        model = self._executor.model
        values, slices = list(parts(model, self._parameters)), trained_slices(model)
        for l in reversed(range(len(values))):
            gradient = np.zeros_like(self._parameters)
            backpropagate_layer(done, l, values[l], list(parts(model, gradient))[l], delta)
            normalized = done.normalized[l]
            if normalized:
                delta = denormalize(normalized, values[l][2], delta)
            self._update(slices[l], gradient, update_number)
            delta = delta @ values[l][0].T
            if l > 0:
                delta = through_activation(model, l - 1, done.sources[l - 1], delta)

    def collect(self) -> bool:
        if self._schedule.stop_at_nonfinite and not np.isfinite(self._parameters).all():
            return False
        self._executor.parameters[...] = self._parameters
        self._canonical_state[...] = self._state
        if self._canonical_average is not None:
            self._canonical_average[...] = self._average
        return True

    def restart(self) -> None:
        self._parameters[...] = self._executor.parameters

    def close(self) -> None:
        """Nothing is kept."""
