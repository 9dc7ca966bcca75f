"""The loop around the kernels: stretches of steps, between which Python may speak, be interrupted, or stop."""
import time
from collections.abc import Callable

from .kernels.executor import Training
from .kernels.reference import ReferenceTraining

STRETCH = 0.02  # seconds of kernel time after which Python has a look


class Diverged(Exception):
    """Raised when the loss or a parameter of an epoch is no longer finite."""

    def __init__(self, epoch: int, loss: float) -> None:
        self.epoch, self.loss = epoch, loss


def run(training: Training | ReferenceTraining, epochs: int, first_guess: int, ended: Callable[[int], None]) -> None:
    """Train for `epochs`, calling `ended(number of epochs done)` whenever it grows.

    `first_guess` is the number of steps of the first stretch; later ones take about STRETCH seconds. How steps are cut into
    stretches does not change their results.
    """
    step, done, stretch = 0, 0, max(1, first_guess)
    total = epochs * training.steps_per_epoch
    while step < total:
        last = min(total, step + stretch)
        started = time.perf_counter()
        reached = training.run(step, last)
        elapsed = time.perf_counter() - started
        epoch = reached // training.steps_per_epoch
        if epoch > done:
            done = epoch
            ended(done)
        if reached < last:
            raise Diverged(epoch, float(training.losses[epoch]))
        step = last
        stretch = max(1, min(10 * stretch, int(stretch * STRETCH / max(elapsed, 1e-9))))
