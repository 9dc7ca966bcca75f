"""The loop around the kernels: stretches of steps, between which Python may speak, be interrupted, or stop."""

import dataclasses
import sys
import time
from collections.abc import Callable
from functools import lru_cache

from .kernels.pace import Pace
from .kernels.plan import Array, Model
from .kernels.reference import ReferenceTraining
from .kernels.threads import most_threads
from .kernels.training import Schedule, Training

STRETCH = 0.02  # seconds of kernel time after which Python has a look
WORTH = 3e6  # floating-point operations of a step that pay for a thread

Report = Callable[[int, Array], None]  # called with the number of epochs done and the losses


class DivergenceError(FloatingPointError):
    """Raised by `NeuralNetwork.train` when the loss or a parameter ceased to be finite.

    Attributes
    ----------
    epoch : int
        How many epochs of the call ended well before that.
    loss : float
        Of the epoch that did not.
    """

    def __init__(self, epoch: int, loss: float, schedule: Schedule) -> None:
        super().__init__(epoch, loss, schedule)  # as it is made: what pickles, on the way from other processes, go by
        self.epoch, self.loss, self._schedule = epoch, loss, schedule

    def __str__(self) -> str:
        kept = f"those of epoch {self.epoch}" if self.epoch else "those from before"
        return (
            f"training diverged in epoch {self.epoch + 1} of {self._schedule.epochs} (loss {self.loss:.6g}): "
            f"the parameters are {kept}; learning_rate {self._schedule.optimizer.learning_rate:g} may be too large"
        )


def threads_for(operations: float, most: int | None) -> int:
    """How many threads share a step of so many floating-point operations, at most `most`; None: as many as there are.

    They meet twice in a step, and write what others have read: below 15 microseconds of work each it takes longer.
    """
    worth = int(operations / WORTH)
    return 1 if worth < 2 or most == 1 else min(worth, most or sys.maxsize, most_threads())


@lru_cache
def pace_for(model: Model, batch_size: int, threads: int, thread: int) -> Pace:
    """What is known of trainings of this kind in this Python thread: many a training is too short to find out."""
    return Pace(threads)


def run(
    work: Training | ReferenceTraining, schedule: Schedule, first_stretch: int, report: Report, pace: Pace | None = None
) -> None:
    """Train, reporting whenever the number of epochs done grows.

    `first_stretch` is the number of steps of the first stretch; later ones take about STRETCH seconds, or what `pace`
    says, which also chooses the number of threads. Neither changes the results.
    """
    step, done, stretch = 0, 0, max(1, first_stretch)
    total = schedule.epochs * work.steps_per_epoch
    while step < total:
        last = min(total, step + stretch)
        if schedule.rates is not None and schedule.rates.wants_losses:
            last = min(last, (step // work.steps_per_epoch + 1) * work.steps_per_epoch)
        started = time.perf_counter()
        reached = work.run(step, last, pace.threads if pace else None)
        elapsed = time.perf_counter() - started
        if pace and step > 0:  # the first stretch warms caches and wakes helpers
            pace.told(work.threads, reached - step, elapsed)
        epoch = reached // work.steps_per_epoch
        if epoch > done:
            done = epoch
            if schedule.rates is not None:
                schedule.rates.epoch_done(float(work.losses[epoch - 1]))
            report(done, work.losses)
        if reached < last:
            raise DivergenceError(epoch, float(work.losses[epoch]), at_update(schedule, reached + 1))
        step = last
        seconds = pace.seconds if pace else STRETCH
        stretch = max(1, min(10 * stretch, int(stretch * seconds / max(elapsed, 1e-9))))


def at_update(schedule: Schedule, number: int) -> Schedule:
    """The schedule with the learning rate of an update of this training, and without what may not pickle."""
    if schedule.rates is None:
        return schedule
    rate = float(schedule.rates(schedule.first_update + number, 1)[0])
    optimizer = dataclasses.replace(schedule.optimizer, learning_rate=rate) if rate > 0 else schedule.optimizer
    return dataclasses.replace(schedule, optimizer=optimizer, rates=None)


def printer(epochs: int) -> Report:
    """Prints a line for every epoch."""
    printed = 0

    def report(epochs_done: int, losses: Array) -> None:
        nonlocal printed
        for epoch in range(printed, epochs_done):
            print(f"Epoch {epoch + 1}/{epochs}, loss: {losses[epoch]:.6f}", flush=True)
        printed = epochs_done

    return report


def silence(epochs_done: int, losses: Array) -> None:
    """Prints nothing."""
