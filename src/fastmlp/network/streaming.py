"""How a network is trained on data that come in chunks."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.functions.disturbance import UNDISTURBED
from ..kernels.functions.optimizers import Optimizer
from ..kernels.runtime.sparse_rows import Samples, SparseRows
from ..kernels.runtime.training import Schedule
from ..seeding import DISTURBANCE, SHUFFLE, key_of
from ..training import arguments, streams
from ..training.history import History
from ..training.loop import ALL_TRAINED, DivergenceError
from ..training.weights import normalized
from .core import alone
from .learning import Learning

if TYPE_CHECKING:
    from ..training.schedules import RateSchedule
    from ..training.watching import Watcher


class Streaming(Learning):
    """The part of `NeuralNetwork` that is trained on a stream."""

    @alone
    def train_stream(
        self,
        chunks: Any,
        epochs: int = 1,
        learning_rate: "float | RateSchedule | Callable[[int], float] | None" = None,
        batch_size: int = 32,
        *,
        optimizer: str | Optimizer = "sgd",
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
        shuffle: bool = False,
        seed: int | None = None,
        verbose: bool = False,
        validation_data: tuple[Any, ...] | None = None,
        metrics: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | None = None,
        monitor: str | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        restore_best: bool = False,
        target_loss: float | None = None,
        time_limit: float | None = None,
        callbacks: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        gradient_norms: bool = False,
        class_weight: Any = None,
    ) -> History:
        """Train on data that come in chunks: from files, a database, or a generator.

        One pass over the chunks is an epoch. Each is checked as a whole, trained on in minibatches, and let go of; what
        remains at its end makes a smaller step. Chunks whose sizes are multiples of the batch size thus make the same
        steps as `train(..., shuffle=False)` on all of them together.

        Parameters
        ----------
        chunks : iterable, or callable that returns one
            Of (X, y) or (X, y, sample_weight), each as in `train`. For more than one epoch, an iterable that begins
            anew each time, such as a list, or a callable, called without arguments for each epoch.
        epochs : int, default 1
            How many times to go through all chunks.
        learning_rate : float, schedule or callable, default None
            As in `train`, but a schedule's rate is that of the epoch's beginning throughout, counting epochs from 0 in
            each call: how many updates an epoch will have is not known. None: the optimizer's own.
        batch_size : int, default 32
        optimizer
            As in `train`, but one that takes minibatches.
        l1, l2, weight_decay, clip_value, clip_norm, max_norm, ema_decay, rate_factors, gradient_norms
            As in `train`.
        dropout, input_dropout, input_noise
            As in `train`, drawn for each chunk.
        shuffle : bool, default False
            Draw a new order of the samples within each chunk.
        seed, verbose, validation_data, monitor, patience, min_delta, restore_best, target_loss, callbacks
            As in `train`.
        metrics
            As in `train`, measured on the validation data, without which there are none.
        time_limit : float, default None
            Stop before the first chunk that is made after so many seconds. An epoch that this cuts short is missing
            from the history.
        class_weight : dict, default None
            As in `train`, but for "balanced", which would have to know all samples.

        Returns
        -------
        History
            With the mean loss of each epoch over all of its samples.

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed, and nothing is changed; or if a chunk is not: then, as with any
            error that the iterable itself raises, the network stays as it is after the chunk before.
        DivergenceError
            The parameters are those after the chunk before, and the optimizer starts afresh.
        KeyboardInterrupt
            On Ctrl-C. The network stays at the last finished step, ready for use.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0, dtype="float64")
        >>> def chunks():
        ...     for start in (0, 2, 4):
        ...         X = [[start], [start + 1]]
        ...         yield X, [[2 * x + 1] for [x] in X]
        >>> history = network.train_stream(chunks, epochs=500, learning_rate=0.03, batch_size=2)
        >>> len(history.loss), network.predict([[10]]).round(2).tolist()
        (500, [[21.0]])
        """
        epochs = validation.positive_integer("epochs", epochs)
        batch_size = validation.positive_integer("batch_size", batch_size)
        validation.flag("shuffle", shuffle)
        given = validation.seed(seed)
        if isinstance(class_weight, str):
            raise ValueError(f"class_weight must be None or a dict of classes' weights, got {shortened(class_weight)}")
        require(metrics is None or validation_data is not None, "metrics", "None without validation_data", metrics)
        begin = streams.passes(chunks, epochs)
        changing = arguments.schedule(learning_rate)
        chosen = arguments.optimizer(optimizer, learning_rate, changing)
        if not isinstance(chosen, Optimizer) or chosen.full_batch:
            require(False, "optimizer", "one that takes minibatches, for chunks", optimizer)
            raise AssertionError
        wishes, disturbance = self._wishes(
            rate_factors, gradient_norms, (l1, l2, weight_decay, clip_value, clip_norm, max_norm, ema_decay),
            (dropout, input_dropout, input_noise),
        )  # fmt: skip
        arguments.batches_to_normalize_by(batch_size, batch_size, self._model, wishes)
        from ..training.watching import watcher

        entropy = self._entropy if given is None else given
        nothing = np.empty((0, self.layer_sizes[0])), np.empty((0, self.layer_sizes[-1]))  # to hold samples out of
        *_, watch = watcher(
            self, *nothing, None, epochs, entropy, False, verbose, validation_data, None, metrics, monitor, patience,
            min_delta, restore_best, target_loss, time_limit, callbacks,
        )  # fmt: skip
        rates = None
        if changing is not None:
            from ..training.schedules import CourseOfPasses

            changing.check(0, epochs, 1)
            rates = CourseOfPasses(changing, self._state.seen if self._goes_on(chosen) else None)
        plan = Schedule(
            chosen, batch_size, epochs, regularization=wishes, rates=rates, disturbance=disturbance
        )  # fmt: skip
        history, began = watch.history, time.perf_counter()
        try:
            watch.begin(lambda: None)  # chunks have been collected
            self._assignable = True  # between chunks
            while history.stopped is None and history.epochs < epochs:
                chunks_of_epoch = streams.numbered(begin, history.epochs + 1)
                if self._train_epoch(chunks_of_epoch, plan, entropy, shuffle, class_weight, watch):
                    now = time.perf_counter()
                    history._note(seconds=now - began)
                    began = now
                    if rates is not None:
                        rates.see_passes(np.array(history.loss))
                        self._state = self._state._replace(seen=rates.seen)
                    watch.look(_Chunks(), well=True)
            if watch.best is not None:
                self._owe(partial(self._go_back, watch.best))
        finally:
            self._become(_history=history, _at=None, _best=None)
            watch.end()
        if self._unsettled is not None:
            self._unsettled()
        history._stopped = history.stopped or ALL_TRAINED
        return history

    def _train_epoch(
        self,
        chunks: Iterable[tuple[int, Any]],
        plan: Schedule,
        entropy: int,
        shuffle: bool,
        class_weight: Any,
        watch: "Watcher",
    ) -> bool:
        """Add an epoch to the history; whether time was left to end it."""
        history = watch.history
        loss, norm, seen, steps = 0.0, 0.0, 0.0, 0
        for number, chunk in chunks:
            if number > 1 and watch.stops():
                return False
            with streams.refused(number, history.epochs + 1):
                X, y, weights = self._checked_chunk(*streams.parts(chunk), class_weight)
                if isinstance(X, SparseRows):
                    arguments.undisturbed_inputs(plan.disturbance)
                size = min(plan.batch_size, len(X))
                arguments.batches_to_normalize_by(size, len(X), self._model, plan.regularization)
            schedule = plan._replace(
                batch_size=size, epochs=1, first_epoch=self._state.epochs,
                shuffle_key=key_of(entropy, SHUFFLE, number) if shuffle else None,
                disturbance_key=key_of(entropy, DISTURBANCE, number) if plan.disturbance is not UNDISTURBED else 0,
            )  # fmt: skip
            with streams.noted(number, history.epochs + 1):
                part = self._train_chunk(X, y, normalized(weights), schedule, plan.epochs, history)
            counted = float(len(X) if weights is None else weights.sum())
            seen += counted
            loss += (part.loss[0] - loss) * (counted / seen if seen else 0.0)
            if part.gradient_norm:
                made = -(-len(X) // schedule.batch_size)
                steps += made
                norm += (part.gradient_norm[0] - norm) * made / steps
            del chunk, X, y, weights  # before the next one is made
        self._state = self._state._replace(epochs=self._state.epochs + 1)
        if seen == 0:
            raise ValueError(
                f"sample_weight must be above 0 for some sample, got 0 for all of epoch {history.epochs + 1}"
            )  # fmt: skip
        norms = {"gradient_norm": [norm]} if part.gradient_norm else {}
        history._add([loss], learning_rate=part.learning_rate, **norms)
        return True

    def _train_chunk(
        self, X: Samples, y: Array, weights: Array | None, schedule: Schedule, total: int, history: History
    ) -> History:
        """Go on with the epoch of the chunks before; what is known of this one."""
        self._adopt(schedule.optimizer, self._goes_on(schedule.optimizer))
        try:
            schedule, self._assignable = schedule._replace(first_update=self._state.updates), False
            return self._train(X, y, schedule, weights=weights, chunk_of=history)
        except DivergenceError as error:
            whole = error._schedule._replace(epochs=total)
            raise DivergenceError(history.epochs, error.loss, whole, "those that the chunk before has left") from None
        finally:
            self._assignable = True


class _Chunks:
    def restart(self) -> None:
        """Each chunk begins from the parameters as they are."""
