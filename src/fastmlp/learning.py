"""How a network is trained."""

import copy
import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import training, validation
from .computation import Computation
from .core import SHUFFLE
from .history import History
from .kernels.optimizers import Optimizer
from .kernels.plan import Array
from .kernels.reference import ReferenceTraining
from .kernels.training import Schedule, Training
from .vector import parameter_vector

if TYPE_CHECKING:
    from .lbfgs import LBFGS
    from .schedules import Course, RateSchedule


@lru_cache
def shuffle_key(entropy: int) -> int:
    """63 bits that fix the orders of samples."""
    sequence = np.random.SeedSequence(entropy, spawn_key=(SHUFFLE,))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class Learning(Computation):
    """The part of `NeuralNetwork` that is trained."""

    def train(
        self,
        X: Any,
        y: Any,
        epochs: int,
        learning_rate: "float | RateSchedule | Callable[[int], float] | None" = None,
        batch_size: int | None = None,
        *,
        optimizer: "str | Optimizer | LBFGS" = "sgd",
        l1: float = 0.0,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        ema_decay: float | None = None,
        rate_factors: Sequence[float] | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        verbose: bool = False,
    ) -> History:
        """Minimize the loss by steps on minibatches.

        The optimizer's state stays with the network: a further call with the same optimizer goes on where this one
        ended.

        Parameters
        ----------
        X, y
            As in `evaluate`. They are read batch by batch where they lie, and never copied whole if they are plain
            arrays of integers or of float32 or float64.
        epochs : int
            How many times to go through all samples.
        learning_rate : float, schedule or callable, default None
            A number; a schedule such as `fastmlp.Cosine(0.1, epochs=50)`; or a function of the epoch's number, from 0
            on, that returns the rate. They count the updates that the optimizer has made, in earlier calls too. None:
            the optimizer's own.
        batch_size : int, default None
            Samples in a step. What remains at the end of an epoch makes a smaller step. None: 32, or all where the
            optimizer wants all.
        optimizer : str, Optimizer or LBFGS, default "sgd"
            "sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "lion", "rprop", "lbfgs",
            or an object such as `fastmlp.Adam(beta1=0.8)`.
        l1, l2 : float, default 0
            Penalties: l1 * |w| + l2 / 2 * w^2, summed over weights, not biases, is minimized beside the loss in every
            step. That is scikit-learn's `alpha` for l2 = alpha / batch_size. Losses are reported without them.
        weight_decay : float, default 0
            Before each step, w -= learning_rate * weight_decay * w for weights, not biases: no part of the gradient.
        clip_value : float, default None
            Bring every derivative to the interval from -clip_value to clip_value.
        clip_norm : float, default None
            Then divide a gradient whose norm, over all parameters, is above this down to it.
        max_norm : float, default None
            After each step, divide the weights of a neuron whose norm is above this down to it.
        ema_decay : float, default None
            Keep a running average of the parameters for `averaged`: after each step it is ema_decay times itself plus
            1 - ema_decay times the parameters. It begins with the parameters before the first step, and goes on in
            later calls.
        rate_factors : sequence of float, default None
            By what the learning rate of each layer is multiplied; 0 freezes a layer.
        shuffle : bool, default True
            Draw a new order of the samples for every epoch.
        seed : int, default None
            Fixes those orders. None: the network's own seed does.
        verbose : bool, default False
            Print a line for every epoch.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed; nothing is changed.
        DivergenceError
            A FloatingPointError: training diverged. The parameters are those of the last epoch that ended with a finite
            loss, and the optimizer starts afresh.
        KeyboardInterrupt
            On Ctrl-C. The network stays at the last finished step, ready for use.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, verbose=True)  # doctest: +ELLIPSIS
        Epoch 1/2, loss: ...
        Epoch 2/2, loss: ...
        """
        X, y = self._checked(X, y)
        epochs = validation.positive_integer("epochs", epochs)
        changing = validation.schedule(learning_rate)
        chosen = validation.optimizer(optimizer, learning_rate, changing)
        batch_size = validation.batch_size(batch_size, len(X), chosen)
        wishes = validation.regularization(
            len(self.activations), rate_factors, l1, l2, weight_decay, clip_value, clip_norm, max_norm, ema_decay
        )
        key = self._shuffle_key(validation.seed(seed)) if validation.flag("shuffle", shuffle) else None
        report = training.printer(epochs) if validation.flag("verbose", verbose) else training.silence
        if not isinstance(chosen, Optimizer):
            return self._train_by_lbfgs(X, y, epochs, chosen, validation.penalty_of_lbfgs(wishes), report)
        going_on = self._goes_on(chosen)
        rates = None
        if changing is not None:
            rates = self._course(changing, epochs, -(-len(X) // batch_size), going_on)
        self._adopt(chosen, going_on)
        schedule = Schedule(
            chosen, batch_size, epochs, key, self._epochs, self._updates, regularization=wishes, rates=rates
        )
        return self._train(X, y, schedule, report)

    def _train(self, X: Array, y: Array, schedule: Schedule, report: training.Report) -> History:
        average = None
        if schedule.regularization.ema_decay is not None:
            if self._average is None:
                self._average = self._parameters.copy()
            average = self._average
        work = self._executor.training(X, y, self._state, schedule, average)
        # of a step, roughly; 2000 for what it costs however small it is
        operations = 6 * self._model.parameter_count * schedule.batch_size + 2000
        threads = training.threads_for(operations, self._threads)
        pace = None
        if threads > 1:
            pace = training.pace_for(self._model, schedule.batch_size, threads, threading.get_ident())
        try:
            training.run(work, schedule, 2**24 // operations, report, pace)
        except training.DivergenceError as diverged:
            self._parameters_changed()
            self._begin_with(None)
            self._epochs += diverged.epoch
            raise
        finally:
            if self._optimizer is not None:
                if schedule.rates is not None:
                    self._seen = schedule.rates.seen
                self._collect(work)
            work.close()
        return History(work.losses.tolist())

    def _collect(self, work: Training | ReferenceTraining) -> None:
        """Take over what the last finished step left, or the last epoch if an interrupt hid that it diverged."""
        self._epochs += work.steps_done // work.steps_per_epoch
        self._updates += work.steps_done
        if not work.collect():
            self._begin_with(None)
        self._parameters_changed()

    def _adopt(self, optimizer: Optimizer, going_on: bool) -> None:
        """Keep the state, if it is to go on, or begin afresh."""
        if not going_on:
            self._begin_with(optimizer)
        self._optimizer = optimizer

    def _shuffle_key(self, seed: int | None) -> int:
        return shuffle_key(self._entropy if seed is None else seed)

    def _train_by_lbfgs(
        self, X: Array, y: Array, epochs: int, settings: "LBFGS", l2: float, report: training.Report
    ) -> History:  # fmt: skip
        from . import lbfgs

        losses: list[float] = []
        kept = self._parameters.copy()
        penalized = parameter_vector(np.zeros(len(kept)), self.layer_sizes)
        for layer in penalized.layers:
            layer.weights[...] = l2
        loss = [0.0]  # of the last evaluation

        def objective(x: Array) -> tuple[float, Array]:
            with np.errstate(over="ignore"):
                self._parameters[...] = x
            self._executor.changed()
            loss[0], gradient = self._executor.gradient(X, y)
            penalty = np.asarray(penalized) * x
            return loss[0] + float(penalty @ x) / 2, gradient + penalty

        def accept(x: Array) -> None:
            kept[...] = x
            losses.append(loss[0])
            report(len(losses), np.array(losses))

        self._begin_with(None)
        try:
            if not math.isfinite(objective(kept.astype(np.float64))[0]):
                raise FloatingPointError(f"the loss must be finite to begin with optimizer 'lbfgs', got {loss[0]}")
            lbfgs.descend(objective, kept.astype(np.float64), settings, epochs, accept)
        finally:
            self._epochs += len(losses)
            self._parameters[...] = kept
            self._parameters_changed()
        return History(losses)

    def _course(self, changing: "RateSchedule", epochs: int, steps_per_epoch: int, going_on: bool) -> "Course":
        """The learning rates of a training."""
        from .schedules import Course

        changing.check(self._updates if going_on else 0, epochs, steps_per_epoch)
        return Course(changing, steps_per_epoch, self._seen if going_on else None)

    def _goes_on(self, optimizer: Optimizer) -> bool:
        """Whether it is the same optimizer as before, whatever its learning rate."""
        before = self._optimizer
        if before is None or before is optimizer:  # then there is nothing to compare, which takes its time
            return before is not None
        return dataclasses.replace(before, learning_rate=optimizer.learning_rate) == optimizer

    def reset_optimizer(self) -> None:
        """Forget the optimizer's state, its place in a schedule, and the running average of the parameters.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, optimizer="adam")
        >>> network.reset_optimizer()
        """
        self._begin_with(None)
        self._average = None

    def averaged(self) -> Self:
        """A copy of the network that has the running average of the parameters in their place.

        Returns
        -------
        NeuralNetwork
            Untrained, in that it has no optimizer's state.

        Raises
        ------
        ValueError
            If there is none: `train` makes one with `ema_decay`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], dtype="float64")
        >>> network.parameters = [0, 0]
        >>> history = network.train([[0]], [2], epochs=1, learning_rate=0.25, ema_decay=0.75)
        >>> network.parameters.tolist(), network.averaged().parameters.tolist()
        ([0.0, 1.0], [0.0, 0.25])
        """
        if self._average is None:
            raise ValueError("ema_decay must be given to train before averaged is called, got no average")
        twin = copy.deepcopy(self)
        twin.parameters = self._average
        twin.reset_optimizer()
        return twin
