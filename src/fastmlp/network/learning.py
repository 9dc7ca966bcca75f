"""How a network is trained."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ..checks import validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.functions.disturbance import UNDISTURBED, Disturbance
from ..kernels.functions.optimizers import Optimizer
from ..kernels.functions.regularization import Regularization
from ..kernels.runtime.sparse_rows import Samples, SparseRows
from ..kernels.runtime.training import Schedule
from ..seeding import DISTURBANCE, SHUFFLE, key_of
from ..training import arguments, loop
from ..training.history import History
from ..training.underway import Underway
from .core import alone
from .inspection import Inspection

if TYPE_CHECKING:
    from ..training.lbfgs import LBFGS
    from ..training.schedules import Course, RateSchedule
    from ..training.state import Snapshot
    from ..training.watching import Watcher


class Learning(Inspection):
    """The part of `NeuralNetwork` that is trained."""

    @alone
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
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        shuffle: bool = True,
        seed: int | None = None,
        verbose: bool = False,
        validation_data: tuple[Any, ...] | None = None,
        validation_fraction: float | None = None,
        metrics: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        restore_best: bool = False,
        target_loss: float | None = None,
        time_limit: float | None = None,
        callbacks: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        resume: bool = False,
        gradient_norms: bool = False,
        sample_weight: Any = None,
        class_weight: Any = None,
    ) -> History:
        """Minimize the loss by steps on minibatches.

        The optimizer's state stays with the network: a further call with the same optimizer goes on where this one
        ended.

        Parameters
        ----------
        X, y
            As in `evaluate`. They are read batch by batch where they lie, and never copied whole if they are plain
            arrays of integers, booleans or of float16, float32 or float64, memory maps among them.
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
            Penalties: l1 * |w| + l2 / 2 * w^2, summed over weights, not biases or gains, is minimized beside the loss
            in every step. That is scikit-learn's `alpha` for l2 = alpha / batch_size. Losses are reported without them.
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
            later calls; one without leaves it as it is. After a divergence it is as it was before the call.
        rate_factors : sequence of float, default None
            By what the learning rate of each layer is multiplied; 0 freezes a layer, which then normalizes by running
            averages if it does by batches.
        dropout : float or sequence of float, default 0
            The probability, below 1, with which each activation of a hidden layer is dropped in a step: set to zero,
            the others being multiplied by 1 / (1 - dropout), so that the mean stays. One for all hidden layers, or one
            for each. Only training does so, and its losses are those of what is left; nothing else sees it.
        input_dropout : float, default 0
            The same for features of samples.
        input_noise : float, default 0
            The standard deviation of the Gaussian noise that every sample gets, drawn anew in every epoch.
        shuffle : bool, default True
            Draw a new order of the samples for every epoch.
        seed : int, default None
            Fixes those orders, and what is dropped and the noise. None: the network's own seed does.
        verbose : bool, default False
            Print a line for every epoch.
        validation_data : tuple of arrays, default None
            (X, y) or (X, y, sample_weight), on which to measure the loss after every epoch.
        validation_fraction : float, default None
            Hold out this share of the samples instead, the same ones whenever the seed is the same. Where targets tell
            classes (labels, rows of probabilities, or a column of zeros and ones), each is held out in proportion. What
            remains is copied. Weights, of classes too, stay with their samples.
        metrics : str, callable, or list of them, default None
            What else to measure: "accuracy", "balanced_accuracy" (for classes), "r2", "mean_absolute_error",
            "root_mean_squared_error" (for amounts), or functions of (y, outputs) that return a number, y being as in
            `evaluate` with as many dimensions. Greater is better, unless they have an attribute `greater_is_better`
            that is False. Measured on the validation data, or on those of training if there are no others.
        monitor : str, default None
            The curve that says which epoch is the best: "loss", "validation_loss" or the name of a metric. None: the
            validation loss, or the loss if there are no validation data.
        patience : int, default None
            Stop when this was not improved for so many epochs.
        min_delta : float, default 0
            What counts as an improvement is more than this.
        restore_best : bool, default False
            In the end, go back to the best epoch: the network is then as if training had been asked for no more epochs.
        target_loss : float, default None
            Stop when the validation loss, or the loss if there are no validation data, is at most this.
        time_limit : float, default None
            Stop after so many seconds, within some hundredths of a second: in the middle of an epoch if need be, which
            then is missing from the history.
        callbacks : callable or list of callables, default None
            Called as callback(network, progress) after every epoch: see `TrainingProgress`. Training ends if one
            returns True. With an attribute `every`, it is called after so many epochs, and after the last one, and the
            kernels run undisturbed in between; if that is None, when they pause anyway, about fifty times a second. A
            method `close()` is called in the end. The network is that of the finished epoch, and what is assigned to
            its parameters is trained on. An exception ends the training, and the network stays there.
        resume : bool, default False
            Go on with the last training, which was interrupted, or saved by `fastmlp.Checkpoint`: `epochs` then counts
            from its beginning, and with the same arguments it ends as it would have then, to the last bit. An epoch
            that `time_limit` or Ctrl-C cut short is begun again, from where its last step left the network. If it is
            measured on other data than before, `patience` and the best epoch begin anew.
        gradient_norms : bool, default False
            Keep the mean norm of each epoch's gradients, over all parameters, in the history: after `clip_value`, and
            before `clip_norm`.
        sample_weight : array (n_samples,), default None
            As in `evaluate`. A step's loss and gradient are divided by the sum of its own samples' weights.
        class_weight : dict or "balanced", default None
            Weights of classes 0, 1, ..., by which those of their samples are multiplied; classes that are not named
            have 1. "balanced": inversely proportional to how many samples of the class there are. Targets must be
            labels, one-hot rows, or zeros and ones for a single output.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed; nothing is changed. A metric of your own that returns no number
            is found out at the end of the first epoch.
        ImportError
            If `optimizer` is "lbfgs", and SciPy is not installed.
        FloatingPointError
            If `optimizer` is "lbfgs", and the loss is not finite to begin with.
        DivergenceError
            A FloatingPointError: training diverged. The parameters are those of the last epoch that ended with a finite
            loss, and the optimizer starts afresh.
        KeyboardInterrupt
            On Ctrl-C. The network stays at the last finished step, ready for use, and `history` has what there was.
        RuntimeError
            If the network is being trained already: by a callback that calls it, or in another thread.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, verbose=True)  # doctest: +ELLIPSIS
        Epoch 1/2, loss: ...
        Epoch 2/2, loss: ...
        >>> history = network.train(
        ...     [[0], [1], [2]], [1, 3, 5], epochs=1000, learning_rate=0.1, validation_data=([[3]], [7]), patience=20,
        ...     restore_best=True,
        ... )
        >>> bool(history.validation_loss[history.best_epoch - 1] == min(history.validation_loss))
        True
        """
        X, y, weights = self._weighted(X, y, sample_weight, class_weight)
        epochs = validation.positive_integer("epochs", epochs)
        changing = arguments.schedule(learning_rate)
        chosen = arguments.optimizer(optimizer, learning_rate, changing)
        wishes, disturbance = self._wishes(
            rate_factors, gradient_norms, (l1, l2, weight_decay, clip_value, clip_norm, max_norm, ema_decay),
            (dropout, input_dropout, input_noise),
        )  # fmt: skip
        entropy = self._entropy if (given := validation.seed(seed)) is None else given
        key = key_of(entropy, SHUFFLE) if validation.flag("shuffle", shuffle) else None
        unwatched = (
            resume is False and restore_best is False and callbacks is None and metrics is None
            and validation_data is None and validation_fraction is None and monitor is None and patience is None
            and type(min_delta) is float and min_delta == 0.0 and target_loss is None and time_limit is None
        )  # fmt: skip
        watch = None
        if verbose is not False or not unwatched:  # else every microsecond counts
            from ..training.watching import watcher  # on demand: most programs need no more than what is loaded already

            X, y, weights, watch = watcher(
                self, X, y, weights, epochs, entropy, resume, verbose, validation_data, validation_fraction, metrics,
                monitor, patience, min_delta, restore_best, target_loss, time_limit, callbacks,
            )  # fmt: skip
        size = arguments.batch_size(batch_size, len(X), chosen)
        if not isinstance(chosen, Optimizer):
            require(not resume, "resume", "False for optimizer 'lbfgs', which begins afresh", resume)
            arguments.only_for_kernels(wishes, "l2")
            arguments.only_for_kernels(disturbance)
            by_batch = self._model.folded is not self._model  # whose means would change with the samples of a step
            require(not by_batch, "optimizer", "another than 'lbfgs' for a network with batch normalization", optimizer)
            from ..training import lbfgs

            return lbfgs.train(self, X, y, weights, epochs, chosen, wishes.l2, watch)
        if resume:
            anew = self._history is not None and not self._history._resumable
            require(not anew, "resume", "False after optimizer 'lbfgs', which leaves nothing to go on with", resume)
        if watch is not None:
            if watch.done:
                self._become(_history=watch.history, _at=None)
                if watch.best is not None:
                    self._owe(back := partial(self._go_back, watch.best))
                    back()
                return watch.history
            epochs -= watch.history.epochs
        arguments.batches_to_normalize_by(size, len(X), self._model, wishes)
        if isinstance(X, SparseRows):
            arguments.undisturbed_inputs(disturbance)
        going_on = self._goes_on(chosen)
        if watch is not None and watch.history.epochs and self._state.optimizer is not None:
            require(going_on, "optimizer", "that of the training to resume", optimizer)
        rates = None
        if changing is not None:
            rates = self._course(changing, epochs, -(-len(X) // size), going_on)
        self._adopt(chosen, going_on)
        schedule = Schedule(
            chosen, size, epochs, key, self._state.epochs, self._state.updates, regularization=wishes, rates=rates,
            disturbance=disturbance, disturbance_key=0 if disturbance is UNDISTURBED else key_of(entropy, DISTURBANCE),
        )  # fmt: skip
        return self._train(X, y, schedule, watch, weights)

    def _wishes(
        self, rate_factors: Any, gradient_norms: Any, regularization: tuple[Any, ...], disturbance: tuple[Any, ...]
    ) -> tuple[Regularization, Disturbance]:
        """Arguments of `train`, checked; in tuples are those of which only kernels know."""
        layers = len(self._model.activations)
        wishes = arguments.regularization(layers, rate_factors, *regularization)
        if validation.flag("gradient_norms", gradient_norms):
            wishes = dataclasses.replace(wishes, gradient_norms=True)
        return wishes, arguments.disturbance(layers - 1, *disturbance)

    def _train(
        self,
        X: Samples,
        y: Array,
        schedule: Schedule,
        watch: "Watcher | None" = None,
        weights: Array | None = None,
        chunk_of: History | None = None,
    ) -> History:
        """Train, and keep what comes of it. Whoever calls it holds `_turn`.

        chunk_of: the history of a stream, of one of whose epochs this is a part; what is returned is that part's own.
        """
        history = watch.history if watch is not None else History()
        average = None
        if schedule.regularization.ema_decay is not None:
            if self._state.average is None:
                self._state = self._state._replace(average=self._parameters.copy())
            average = self._state.average
        work = self._computer.training(X, y, self._state.slots, schedule, average, weights)
        operations = loop.operations_of_step(self._model, schedule.batch_size)
        pace = loop.pace_for(self._model, schedule.batch_size, operations, self._threads)
        whole = history if chunk_of is None else chunk_of
        underway = Underway(self, work, schedule, whole, watch, chunk=chunk_of is not None)
        self._owe(underway.finish)
        try:
            if watch is not None:
                watch.begin(underway.collect)
            loop.run(work, schedule, 2**24 // operations, history, watch, pace)
            underway.ended = True
        finally:
            try:
                underway.finish()
            finally:
                if watch is not None:
                    watch.end()
        return history

    def _go_back(self, best: "Snapshot") -> None:
        """Be as at the end of this epoch of the last training."""
        with self._computer.lock:
            self._parameters[...] = best.parameters
            state = best.state.copy()._replace(optimizer=self._state.optimizer)
            self._become(_state=state, _at=best.epoch, _best=None, _unsettled=None)
            self._parameters_changed()

    def _adopt(self, optimizer: Optimizer, going_on: bool) -> None:
        """Keep the state, if it is to go on, or begin afresh."""
        self._state = self._state._replace(optimizer=optimizer) if going_on else self._state.begun(optimizer)

    def _course(self, changing: "RateSchedule", epochs: int, steps_per_epoch: int, going_on: bool) -> "Course":
        """The learning rates of a training."""
        from ..training.schedules import Course

        first = self._state.updates if going_on else 0
        changing.check(first, epochs, steps_per_epoch)
        course = Course(changing, steps_per_epoch, self._state.seen if going_on else None)
        course(first + 1, min(2, epochs * steps_per_epoch))  # a schedule of the user's own may give anything
        return course

    def _goes_on(self, optimizer: Optimizer) -> bool:
        """Whether it is the same optimizer as before, whatever its learning rate."""
        before = self._state.optimizer
        if before is None or before is optimizer:  # then there is nothing to compare, which takes its time
            return before is not None
        return dataclasses.replace(before, learning_rate=optimizer.learning_rate) == optimizer

    @alone
    def reset_optimizer(self) -> None:
        """Forget the optimizer's state, its place in a schedule, and the running average of the parameters.

        Raises
        ------
        RuntimeError
            If the network is being trained.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, optimizer="adam")
        >>> network.reset_optimizer()
        """
        self._state = self._state.begun(None)._replace(average=None)

    def averaged(self) -> Self:
        """A copy of the network that has the running average of the parameters in their place.

        It runs through trainings with `ema_decay`, one after the other. One without leaves it as it was.

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
        self._settle()
        if self._state.average is None:
            raise ValueError("ema_decay must be given to train before averaged is called, got no average")
        twin = copy.deepcopy(self)
        twin.parameters = self._state.average
        twin.reset_optimizer()
        return twin
