"""The same work in plain NumPy: readable, slow, and the oracle of the tests.

What kernels do beyond formulas (tiles, panels, padding, plans, threads) has no counterpart here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from ..base.arrays import Array
from ..functions.disturbance import Disturbance, drops
from ..functions.function import row_of
from ..functions.losses import LOSSES, divisor
from ..functions.normalization import settings_of
from ..functions.random import WORD
from ..functions.regularization import NOTHING
from ..layers.disturbed import PLACE_OF_INPUTS, PLACE_OF_LAYERS, PLACE_OF_NOISE
from ..layers.normalized import MOST_CORRECTION
from ..runtime.executor import require_numbers
from ..runtime.folding import fold, parts, trained_parts, unfold_gradient
from ..runtime.plan import Model, Predictor
from ..runtime.sparse_rows import Samples, SparseRows
from ..runtime.training import Schedule
from ..vocabulary.simd import Pointer
from .reference_network import (
    Pass,
    backpropagate,
    backpropagate_layer,
    denormalize,
    formulas,
    forward,
    loss_and_delta,
    through_activation,
)


def dense_rows(X: Samples, dtype: str, chosen: Any = slice(None)) -> Array:
    """All samples, or some, as an array of this type."""
    return X.dense(dtype, chosen) if isinstance(X, SparseRows) else X[chosen].astype(dtype)


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
        return np.stack(np.broadcast_arrays(*formulas(self._dtype)["philox"](self._key, *counter)))

    def _own(self, four: Array) -> Array:
        """Each sample's of the four."""
        return np.asarray(np.choose(self._positions % 4, four))

    def mask(self, place: int, columns: int, probability: float) -> Array:
        dropped, number = drops(probability), np.dtype(self._dtype).type
        kept = number(1 / (1 - dropped * 2.0**-32))
        return np.asarray(np.where(self._own(self._words(place, columns)) >= dropped, kept, number(0)))

    def noise(self, columns: int, deviation: float) -> Array:
        u, v, w, x = self._words(PLACE_OF_NOISE, columns)
        normal = formulas(self._dtype)["normal_pair"]
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
        require_numbers("parameters", parameters, (model.parameter_count,), model.dtype)
        self.model, self.parameters, self.lock = model, parameters, RLock()
        self.loss = row_of(LOSSES, model.loss)

    def changed(self) -> None:
        """Nothing is kept."""

    def prediction(self, threads: int | None = None) -> "ReferencePrediction":
        with self.lock:
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

    def gradients(self, X: Samples, y: Array, weights: Array | None = None) -> Callable[[], tuple[float, Array]]:
        return partial(self.gradient, X, y, weights)

    def input_gradient(self, X: Samples, y: Array) -> Array:
        return self._gradients(X, y)[2]

    def _gradients(self, X: Samples, y: Array, weights: Array | None = None) -> tuple[float, Array, Array]:
        with np.errstate(all="ignore"):
            model, (parameters, unfolded) = self.model.folded, self._copies()
            done = forward(model, parameters, self.rows(X), self.loss.on_logits)
            divisor = len(X) * self.loss_divisor()
            output, source = done.activations[-1], done.sources[-1]
            total, delta = loss_and_delta(model, output, source, self.targets(y), divisor, weights)
            gradient, inputs = backpropagate(model, parameters, done, delta)
            return total / divisor, unfold_gradient(self.model, unfolded, gradient), inputs

    def backward(self, X: Array, output_gradient: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            model, (parameters, unfolded) = self.model.folded, self._copies()
            done = forward(model, parameters, self.rows(X))
            delta = through_activation(model, -1, done.sources[-1], output_gradient.astype(model.dtype))
            gradient, inputs = backpropagate(model, parameters, done, delta)
            return unfold_gradient(self.model, unfolded, gradient), inputs

    def _copies(self) -> tuple[Array, Array]:
        """The parameters of this moment, folded and as they are."""
        with self.lock:
            return fold(self.model, self.parameters).copy(), self.parameters.copy()

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
        self._ended_well, self._stopped = self._parameters.copy(), False
        self._order = np.arange(len(X))
        self.steps_per_epoch = -(-len(X) // schedule.batch_size)
        self.losses = np.zeros(schedule.epochs)
        self.trail = np.empty((schedule.epochs if schedule.trail else 0, len(self._parameters)), executor.model.dtype)
        self.gradient_norms = np.zeros(schedule.epochs) if schedule.regularization.gradient_norms else None
        self._canonical_average, self._average = average, None if average is None else average.copy()
        self.steps_done, self.threads = 0, 1
        self._activations: list[Array] = []

    def run(self, first_step: int, last_step: int, threads: int | None = None) -> int:
        with np.errstate(all="ignore"):
            for step in range(first_step, last_step):
                if not self._step(step):
                    self._stopped = True
                    break
                self.steps_done = step + 1
        return self.steps_done

    def _step(self, step: int) -> bool:
        schedule, model = self._schedule, self._executor.model
        epoch, batch = divmod(step, self.steps_per_epoch)
        if batch == 0:
            self._draw_order(epoch)
        rows = self._order[batch * schedule.batch_size : (batch + 1) * schedule.batch_size]
        X, logits = self._executor.rows(self._X, rows), self._executor.loss.on_logits
        first = batch * schedule.batch_size
        positions = np.arange(first, first + len(rows))
        draws = Draws(model.dtype, schedule.disturbance_key, schedule.first_epoch + epoch, positions)
        X, masks = draws.disturb(X, schedule.disturbance), draws.masks(model.sizes, schedule.disturbance)
        divisor, weights = self._executor.loss_divisor(), None if self._weights is None else self._weights[rows]
        frozen = lambda l: schedule.regularization.factor(l) == 0  # noqa: E731
        done = forward(model, self._parameters, X, logits, masks, shares_of(len(rows), weights, model.dtype), frozen)
        self._follow(done, frozen, np.ones(len(rows)) if weights is None else weights)
        mean_weight = 1.0 if weights is None or len(rows) == len(self._X) else float(weights.mean())
        samples = len(rows) * (schedule.delta_divisor or divisor)
        output, source = done.activations[-1], done.sources[-1]
        self._activations = done.activations[1:]
        total, delta = loss_and_delta(model, output, source, self._y[rows], samples, weights, mean_weight)
        self.losses[epoch] += total / (len(self._X) * (schedule.value_divisor or divisor))
        if schedule.regularization.alpha:
            squares = sum(np.sum(np.square(w), dtype=np.float64) for w, *_ in parts(model, self._parameters))
            self.losses[epoch] += schedule.regularization.alpha / 2 * squares / len(self._X)
        if schedule.stop_at_nonfinite and not np.isfinite(total):
            return False
        update_number = schedule.first_update + step + 1
        if schedule.update_first:
            self._update_layer_by_layer(done, delta, update_number)
        else:
            gradient, _ = backpropagate(model, self._parameters, done, delta)
            if schedule.regularization == NOTHING:
                for trained in trained_parts(model):
                    self._update(trained, gradient, update_number)
            else:
                self._regularized_update(epoch, gradient, update_number, len(rows) * mean_weight)
        if batch == self.steps_per_epoch - 1:
            if schedule.stop_at_nonfinite and not np.isfinite(self._parameters).all():
                return False
            self._ended_well[...] = self._parameters
            if schedule.trail:
                self.trail[epoch] = self._parameters
        return True

    def activations(self) -> list[Array]:
        return [a.copy() for a in self._activations]

    def _draw_order(self, epoch: int) -> None:
        schedule, twister = self._schedule, self._schedule.twister
        if twister is not None:
            random = np.random.RandomState()
            random.set_state(("MT19937", twister[:624].astype(np.uint32), int(twister[624]), 0, 0.0))
            random.shuffle(self._order)
            _, twister[:624], twister[624], *_ = random.get_state()
        elif schedule.shuffle_key is not None:
            shuffle = formulas(self._executor.model.dtype)["shuffle"]
            shuffle(schedule.shuffle_key, schedule.first_epoch + epoch, self._order, len(self._order))

    def _follow(self, done: Pass, frozen: Callable[[int], bool], weights: Array) -> None:
        """Running means and variances go towards the batch's mean and its unbiased variance, if there is one."""
        model, total = self._executor.model, weights.sum()
        pairs = 2 * weights @ (np.cumsum(weights) - weights)
        if not total**2 < MOST_CORRECTION * pairs:
            return
        correction = total**2 / pairs
        for l, (_, _, *rest) in enumerate(parts(model, self._parameters)):
            normalized = done.normalized[l]
            if normalized and len(rest) == 3 and not frozen(l):
                momentum = rest[1].dtype.type(settings_of(model.normalizations[l])[1])
                rest[1] += momentum * (normalized.mean - rest[1])
                rest[2] += momentum * (rest[2].dtype.type(correction) * normalized.variance - rest[2])

    def _update(self, part: slice, gradient: Array, update_number: int, factor: float = 1.0) -> None:
        optimizer = self._schedule.optimizer
        # the update function sees vectors of numbers: here, vectors of one element, which is a whole array
        parameters, state = [self._parameters[part]], [slot[part] for slot in self._state]
        formula, functions = optimizer.formula, formulas(self._executor.model.dtype)
        own = list(map(np.float64, optimizer.settings()))
        settings = own + [np.float64(0)] * (len(formula.settings) - len(own))
        settings[0] = np.float64(self._rate(update_number) * factor)
        if formula.prepare is not None:
            functions[formula.prepare.__name__](settings, update_number)
        function = functions[formula.update.__name__]
        function(Pointer(parameters), Pointer([gradient[part]]), Pointer(state), 1, 1, settings)
        self._parameters[part] = parameters[0]
        for slot, values in zip(self._state, state, strict=True):
            slot[part] = values

    def _regularized_update(self, epoch: int, gradient: Array, update_number: int, weight: float) -> None:
        """What the docstring of `regularized.py` says, line by line; `weight` is the batch's."""
        wishes, number = self._schedule.regularization, gradient.dtype.type
        model = self._executor.model
        pairs = list(zip(parts(model, self._parameters), parts(model, gradient), strict=True))
        for l, ((weights, *_), (weight_gradient, *other_gradients)) in enumerate(pairs):
            l2 = wishes.l2 + (wishes.alpha / weight if weight else 0.0)
            weight_gradient += number(l2) * weights + number(wishes.l1) * np.sign(weights)
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
        slices = trained_parts(model)
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
        values, slices = list(parts(model, self._parameters)), trained_parts(model)
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
        if self._stopped or (self._schedule.stop_at_nonfinite and not np.isfinite(self._parameters).all()):
            self._executor.parameters[...] = self._ended_well
            return False
        self._executor.parameters[...] = self._parameters
        self._canonical_state[...] = self._state
        if self._canonical_average is not None:
            self._canonical_average[...] = self._average
        return True

    def restart(self) -> None:
        self._parameters[...] = self._ended_well[...] = self._executor.parameters

    def close(self) -> None:
        """Nothing is kept."""
