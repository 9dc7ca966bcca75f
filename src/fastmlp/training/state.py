"""What a training leaves beside the parameters: with it, the next one goes on as if there had been no break."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.functions.optimizers import Optimizer

if TYPE_CHECKING:
    from .schedules import Seen


class TrainingState(NamedTuple):
    """Changed as a whole: a network has one or the other, whatever interrupts it.

    The arrays are the exception. A training writes to `slots` and `average` when its steps are collected.
    """

    optimizer: Optimizer | None
    slots: Array  # (slots, parameters): the optimizer's vectors
    epochs: int = 0  # of the network's whole life: the order of an epoch's samples depends on its number
    updates: int = 0  # that the optimizer has made
    seen: "Seen" = None  # by a schedule, of losses
    average: Array | None = None  # of the parameters, as they went

    def begun(self, optimizer: Optimizer | None) -> "TrainingState":
        """The same before the first update of an optimizer; None: of none."""
        slots = np.zeros((len(optimizer.slots) if optimizer else 0, self.slots.shape[1]), self.slots.dtype)
        return self._replace(optimizer=optimizer, slots=slots, updates=0, seen=None)

    def copy(self) -> "TrainingState":
        """With arrays of its own."""
        average = None if self.average is None else self.average.copy()
        return self._replace(slots=self.slots.copy(), average=average)


def untrained(parameters: Array) -> TrainingState:
    """Of a network with these parameters."""
    return TrainingState(None, np.zeros((0, len(parameters)), parameters.dtype))


class Snapshot(NamedTuple):
    """A network at the end of an epoch."""

    epoch: int  # of the training, from 1
    parameters: Array
    state: TrainingState
