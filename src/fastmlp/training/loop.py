"""The loop around the kernels: stretches of steps, between which Python may speak, be interrupted, or stop."""

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Protocol

from ..kernels.runtime.limits import most_threads
from ..kernels.runtime.pace import Pace, pace_of
from ..kernels.runtime.plan import Model
from ..kernels.runtime.training import Schedule, Training
from .history import History

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceTraining

STRETCH = 0.02  # seconds of kernel time after which Python has a look
ALL_TRAINED = "All epochs were trained."
WORTH = 2.5e6  # operations on float32 in a step that pay for a thread


class Work(Protocol):
    """A training, to who looks at it."""

    def restart(self) -> None:
        """Go on, at an epoch's end, from parameters that were assigned meanwhile."""


class Watch(Protocol):
    """What looks at a training when epochs end, and may stop it."""

    def next_look(self) -> int:
        """The epoch at whose end it has to look next: kernels run up to there undisturbed."""

    def look(self, work: Work, well: bool, reason: str | None = None) -> None:
        """See the epochs that ended; if all went well, the last of them just now, and the last of all for a reason."""

    def stops(self) -> bool:
        """Whether training ends here; the history then says why."""


class DivergenceError(FloatingPointError):
    """Raised by `NeuralNetwork.train` when the loss or a parameter ceased to be finite.

    Attributes
    ----------
    epoch : int
        How many epochs of the call ended well before that.
    loss : float
        Of the epoch that did not.
    """

    def __init__(self, epoch: int, loss: float, schedule: Schedule, kept: str | None = None) -> None:
        # as it is made: what pickles, on the way from other processes, go by
        super().__init__(epoch, loss, schedule, kept)
        self.epoch, self.loss, self._schedule, self._kept = epoch, loss, schedule, kept

    def __str__(self) -> str:
        kept = self._kept or (f"those of epoch {self.epoch}" if self.epoch else "those from before")
        return (
            f"training diverged in epoch {self.epoch + 1} of {self._schedule.epochs} (loss {self.loss:.6g}): "
            f"the parameters are {kept}; learning_rate {self._schedule.optimizer.learning_rate:g} may be too large"
        )


def operations_of_step(model: Model, batch_size: int) -> int:
    """On float32, roughly; vectors hold half as many of float64. 2000 for what it costs however small it is."""
    each = 12 if model.dtype == "float64" else 6
    return each * model.parameter_count * batch_size + 2000


def threads_for(operations: float, most: int | None) -> int:
    """How many threads share a step of so many operations, at most `most`; None: as many as there are.

    They meet a few times in a step, and write what others read: with less than some 10 microseconds of work each it
    takes longer.
    """
    worth = int(operations / WORTH)
    return 1 if worth < 2 or most == 1 else min(worth, most or sys.maxsize, most_threads())


def pace_for(model: Model, batch_size: int, operations: int, most: int | None = None) -> Pace | None:
    """Of steps of so many `operations`, which at most `most` threads may share. None: one has to do them."""
    threads = threads_for(operations, most)
    return pace_of((model, batch_size), threads) if threads > 1 else None


def run(
    work: "Training | ReferenceTraining",
    schedule: Schedule,
    first_stretch: int,
    history: History,
    watch: Watch | None = None,
    pace: Pace | None = None,
) -> None:
    """Train, and add to the history the epochs that end, until all are trained or `watch` stops it.

    `first_stretch` is the number of steps of the first stretch; later ones take about STRETCH seconds, or what `pace`
    says, which also chooses the number of threads. Neither changes the results.
    """
    before, step, done, stretch = history.epochs, 0, 0, max(1, first_stretch)
    steps, rates = work.steps_per_epoch, schedule.rates
    total = bound = schedule.epochs * steps
    epoch_began = time.perf_counter()
    while step < total:
        if watch is not None:
            bound = min(total, max(watch.next_look() - before, done + 1) * steps)
        if rates is not None and rates.wants_losses:
            bound = min(total, (step // steps + 1) * steps)
        last = step + stretch
        if last >= bound:
            last = bound
        elif last // steps > step // steps:  # end where an epoch does: Python may look at the network there
            last -= last % steps
        started = time.perf_counter()
        reached = work.run(step, last, pace.threads if pace else None)
        now = time.perf_counter()
        elapsed = now - started
        if pace and step > 0:  # the first stretch warms caches and wakes helpers
            pace.told(work.threads, reached - step, elapsed)
        epoch = reached // steps
        if epoch > done:
            add_epochs(history, work, schedule, done, epoch, now - epoch_began)
            done, epoch_began = epoch, now
            if watch is not None:
                watch.look(work, well=reached == last)
        if reached < last:
            raise DivergenceError(epoch, float(work.losses[epoch]), at_update(schedule, reached + 1))
        if watch is not None and watch.stops():
            return
        if last < total:
            seconds = pace.seconds if pace else STRETCH
            stretch = max(1, min(10 * stretch, int((last - step) * seconds / max(elapsed, 1e-9))))
        step = last
    history._stopped = ALL_TRAINED


def add_epochs(
    history: History, work: "Training | ReferenceTraining", schedule: Schedule, first: int, last: int, seconds: float
) -> None:
    """Add epochs of this training that ended in so many seconds, and tell the schedule of their losses."""
    new, losses, norms = last - first, work.losses[:last], work.gradient_norms
    history._add(
        losses[first:].tolist(),
        learning_rate=learning_rates(schedule, work.steps_per_epoch, range(first, last)),
        seconds=[seconds / new] * new,
        **({} if norms is None else {"gradient_norm": norms[first:last].tolist()}),
    )
    if schedule.rates is not None:
        schedule.rates.see(losses)


def learning_rates(schedule: Schedule, steps_per_epoch: int, epochs: range) -> list[float]:
    """Those with which epochs begin."""
    if schedule.rates is None:
        return [schedule.optimizer.learning_rate] * len(epochs)
    first = schedule.first_update + 1
    return [float(schedule.rates(first + epoch * steps_per_epoch, 1)[0]) for epoch in epochs]


def at_update(schedule: Schedule, number: int) -> Schedule:
    """The schedule with the learning rate of an update of this training, and without what may not pickle."""
    if schedule.rates is None:
        return schedule
    rate = float(schedule.rates(schedule.first_update + number, 1)[0])
    optimizer = dataclasses.replace(schedule.optimizer, learning_rate=rate) if rate > 0 else schedule.optimizer
    return schedule._replace(optimizer=optimizer, rates=None)
