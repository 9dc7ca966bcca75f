"""Learning rates of the solver "sgd" that change from epoch to epoch."""

from typing import Any

import numpy as np

from ..kernels.base.arrays import Array


class InverseScaling:
    """`first` in the first epoch, then initial / (t + 1)^power, t being the samples seen before. See `Rates`."""

    wants_losses = False
    seen: Any = None

    def __init__(
        self, first: float, initial: float, power: float, seen_samples: int, samples: int, update: int, steps: int
    ) -> None:
        self._first, self._initial, self._power = first, initial, power
        self._seen, self._samples, self._update, self._steps = seen_samples, samples, update, steps

    def see(self, losses: Array) -> None:
        """They do not matter."""

    def __call__(self, first_update: int, count: int) -> Array:
        epochs = (first_update - 1 - self._update + np.arange(count)) // self._steps
        rates: Array = self._initial / (self._seen + 1.0 + epochs * self._samples) ** self._power
        return np.where(epochs == 0, self._first, rates)


class Adaptive:
    """A rate that whoever watches the training makes smaller. See `Rates`."""

    wants_losses = False
    seen: Any = None

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def see(self, losses: Array) -> None:
        """They are for others to judge."""

    def __call__(self, first_update: int, count: int) -> Array:
        return np.full(count, self.rate)
