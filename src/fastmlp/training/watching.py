"""What happens when epochs end: measuring, stopping, lines of text, callbacks."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.runtime.sparse_rows import Samples
from ..seeding import SPLIT
from .callbacks import Callback, TrainingProgress, checked_callbacks
from .checksums import checksum
from .history import History
from .loop import ALL_TRAINED, Work
from .monitoring import Stopping, Validation, stopping_of, validation_of
from .state import Snapshot, TrainingState


class Watcher:
    """Looks at a network's training: see `training.Watch`."""

    _collect: Callable[[], None]  # have the network be as the last epoch left it

    def __init__(
        self,
        network: Any,
        history: History,
        epochs: int,
        measured: Validation | None,
        measured_on: int,
        stopping: Stopping,
        restores: bool,
        best: Snapshot | None,
        callbacks: list[tuple[Callback, int | None]],
        time_limit: float | None,
        verbose: bool,
    ) -> None:
        self._network, self.history, self._epochs = network, history, epochs
        self._measured, self._stopping = measured, stopping
        self._restores, self.best = restores, best if restores else None
        self._callbacks, self._verbose, self._printed = callbacks, verbose, self.history.epochs
        self._time_limit = time_limit
        self._deadline = math.inf if time_limit is None else time.perf_counter() + time_limit
        if measured is not None:
            measured.expect(history)
        if history.epochs:  # before an interruption
            if history._measured_on not in (None, measured_on):
                stopping.begin_anew(history)
            self._see()
            if self.best is not None and self.best.epoch != history.best_epoch:
                self.best = None  # of what was monitored before
            self.history._stopped = stopping.reason(self.history)
        history._measured_on = measured_on
        if self.history.stopped is None and self.history.epochs >= epochs:
            self.history._stopped = ALL_TRAINED

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.history.stopped is not None

    def begin(self, collect: Callable[[], None]) -> None:
        self._collect = collect
        if self._measured is not None:
            self._measured.begin(self._network._executor, self._network.threads)
        if self._restores and self.history.epochs and self.history.best_epoch == self.history.epochs:
            self.best = Snapshot(self.history.epochs, *_copies(self._network))

    def next_look(self) -> int:
        epoch = self.history.epochs
        if self._measured is not None or self._restores:
            return epoch + 1
        looks = [self._stopping.next_look(), *(_next(step, epoch) for _, step in self._callbacks)]
        return min(self._epochs, *looks)

    def look(self, work: Work, well: bool, reason: str | None = None) -> None:
        network, history = self._network, self.history
        epoch = history.epochs
        if not well:
            self.show()
            return
        wanted = self._measured is not None or self._restores or bool(self._callbacks)
        if wanted:
            self._collect()
        if self._measured is not None:
            self._measured.measure(history)
        improved = self._see()
        if improved and self._restores:
            self.best = Snapshot(epoch, *_copies(network))
        if wanted:
            network._publish(history, self.best)
        reason = self._stopping.reason(history) or reason or self._time_is_up(epoch)
        self.show()
        history._stopped = self._call(epoch, improved, reason, work) if self._callbacks else reason

    def stops(self) -> bool:
        if self.history.stopped is None:
            self.history._stopped = self._time_is_up(self.history.epochs + 1)
        return self.history.stopped is not None

    def _see(self) -> bool:
        """Follow the history; whether its last epoch is the best."""
        is_best = self._stopping.see(self.history)
        self.history._best_epoch = self._stopping.best_epoch
        return is_best

    def _time_is_up(self, epoch: int) -> str | None:
        if time.perf_counter() < self._deadline:
            return None
        return f"The time_limit of {self._time_limit:g} seconds was reached in epoch {epoch}."

    def _call(self, epoch: int, improved: bool, reason: str | None, work: Work) -> str | None:
        """Call who is due, all of them after the last epoch; the reason to stop."""
        network = self._network
        before = network._predictors  # another list whenever parameters are assigned
        progress = TrainingProgress(
            epoch, self._epochs, self.history, improved, reason is not None or epoch == self._epochs
        )  # fmt: skip
        later, assignable = [], network._assignable
        network._assignable = True
        try:
            for callback, step in self._callbacks:
                if progress.ends or epoch % (step or 1) == 0:
                    _ask(callback, network, progress)
                else:
                    later.append(callback)
            for callback in later if progress.ends else []:
                _ask(callback, network, progress)
        finally:
            network._assignable = assignable
        if network._predictors is not before:
            work.restart()
        return reason or progress.reason

    def end(self) -> None:
        """Training is over, however it ended."""
        for callback, _ in self._callbacks:
            close = getattr(callback, "close", None)
            if close is not None:
                close()

    def show(self) -> None:
        """Print a line for every epoch that has none yet, if that is wanted."""
        if self._verbose:
            first, history = self._printed, self.history
            curves = {name: history._column(name, first) for name in history._monitored()}
            for index, values in enumerate(zip(*curves.values(), strict=True), first + 1):
                told = ", ".join(f"{name}: {value:.6f}" for name, value in zip(curves, values, strict=True))
                print(f"Epoch {index}/{self._epochs}, {told}", flush=True)
                self._printed = index


def _copies(network: Any) -> tuple[Array, TrainingState]:
    return network._parameters.copy(), network._state.copy()


def _ask(callback: Callback, network: Any, progress: TrainingProgress) -> None:
    answer = callback(network, progress)
    if isinstance(answer, bool | np.bool_) and answer:
        progress.stop()


def _next(step: int | None, epoch: int) -> int:
    """The next epoch after which a callback wants to be called; far away if it does not mind."""
    return 2**62 if step is None else epoch - epoch % step + step


def watcher(
    network: Any, X: Samples, y: Array, weights: Array | None, epochs: int, entropy: Any, resume: Any, verbose: Any,
    validation_data: Any, validation_fraction: Any, metrics: Any, monitor: Any, patience: Any, min_delta: Any,
    restore_best: Any, target_loss: Any, time_limit: Any, callbacks: Any,
) -> tuple[Samples, Array, Array | None, Watcher]:  # fmt: skip
    """The data to train on, and who looks at the training, from arguments of `train`, all of them checked."""
    history, best = History(), None
    if validation.flag("resume", resume):
        require(network.history is not None, "resume", "False where no training is known to go on with", resume)
        history, best = network.history._until(network._at), network._best
    split = np.random.SeedSequence(entropy, spawn_key=(SPLIT,))
    X, y, weights, measured = validation_of(
        X, y, weights, network._model, validation_data, validation_fraction, metrics, split
    )  # fmt: skip
    stopping = stopping_of(measured, monitor, patience, min_delta, target_loss)
    if measured is not None and measured.is_missing(history):
        measured.begin(network._executor, network.threads)
        measured.measure(history)
    limit = None
    if time_limit is not None:
        limit = validation.real_number("time_limit", time_limit)
        require(0 < limit < math.inf, "time_limit", "a finite number of seconds above 0", time_limit)
    restores, verbose = validation.flag("restore_best", restore_best), validation.flag("verbose", verbose)
    chosen = checked_callbacks(callbacks)
    measured_on = checksum(X, y, weights) if measured is None else checksum(*measured.data)
    watch = Watcher(network, history, epochs, measured, measured_on, stopping, restores, best, chosen, limit, verbose)
    lost = restores and watch.best is None and watch.history.best_epoch not in (None, watch.history.epochs)
    require(not lost, "restore_best", "False for a training that was begun without, and whose best epoch is over", True)
    return X, y, weights, watch
