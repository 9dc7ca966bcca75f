"""What the drop-in modules share: when kernels may stand in for a document's loop, and how they are run there."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels.runtime.pace import Pace
from .kernels.runtime.training import Training
from .training.loop import STRETCH

if TYPE_CHECKING:
    from .kernels.backends.reference import ReferenceTraining

HOOKS = ("__getattr__", "__getattribute__", "__setattr__")


class Usage:
    """What a document's loop uses of an object: methods of its class, and attributes that only hold values."""

    def __init__(self, cls: type, methods: tuple[str, ...], attributes: tuple[str, ...]) -> None:
        self._methods = {name: getattr(cls, name, None) for name in (*methods, *HOOKS)}
        self._attributes = frozenset(attributes)

    def unaltered(self, *things: Any) -> bool:
        """Whether no method is overridden and no attribute intercepted or missing, so that nobody can tell."""
        if not all(map(self._is_unaltered_kind, set(map(type, things)))):
            return False
        owned = [vars(thing).keys() for thing in things]
        return all(own >= self._attributes and own.isdisjoint(self._methods) for own in owned)

    def _is_unaltered_kind(self, kind: type) -> bool:
        same = all(getattr(kind, name, None) is method for name, method in self._methods.items())
        return same and not any(hasattr(kind, name) for name in self._attributes)


class Stretches:
    """Runs a training for about STRETCH seconds at a time, or what a pace says: in between, Python prints."""

    def __init__(self, training: "Training | ReferenceTraining", pace: Pace | None = None) -> None:
        self._training, self._pace = training, pace
        self._length = 1  # steps in the next stretch
        self.step = 0
        self.long = False  # whether stretches take as long as they should

    def run(self, last: int) -> None:
        """Run the next stretch, or less of it if it would go beyond step `last`."""
        first, self.step = self.step, min(last, self.step + self._length)
        started = time.perf_counter()
        pace, steps = self._pace, self.step - first
        self._training.run(first, self.step, pace.threads if pace else None)
        elapsed = time.perf_counter() - started
        if pace and first > 0:  # the first stretch warms caches and wakes helpers
            pace.told(self._training.threads, steps, elapsed)
        fitting = steps * (pace.seconds if pace else STRETCH) / max(elapsed, 1e-9)
        self.long = fitting <= 10 * self._length
        self._length = max(1, min(10 * self._length, int(fitting)))


def is_array(values: Any) -> bool:
    """Whether slices and elements of this are what one expects: it is no matrix, masked array or table."""
    return type(values) in (np.ndarray, np.memmap)
