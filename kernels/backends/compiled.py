"""The kernels compiled ahead of time and linked into the extension module, for the best CPU level that this CPU has."""

from collections.abc import Callable

from .. import _compiled
from ..base.numba_required import require_numba
from ..compiler.interface import fingerprint
from ..functions.kernel import Kernel
from ..runtime.futex import system_call
from ..runtime.plan import Model, Plan, Rank
from ..vocabulary.levels import LEVELS, Level


class Compiled:
    """A library of kernels; see `choice.py`."""

    name = "compiled"

    def __init__(self, level: Level) -> None:
        if fingerprint() != _compiled.FINGERPRINT:  # it would run over the ends of a plan
            raise RuntimeError(
                "backend 'compiled' must be built from the kernels beside it, got one of others: build it again"
            )
        self.level = level.name
        self._addresses = _compiled.addresses(level.name)

    @property
    def system_call(self) -> tuple[int, int]:
        return system_call()

    def address(self, kernel: str | Kernel, dtype: str) -> int:
        if isinstance(kernel, str):
            return self._addresses[kernel, dtype]
        require_numba("an activation or loss of your own")
        from .jit import custom_address

        return custom_address(kernel, dtype, LEVELS[self.level])

    def call(self, kernel: str, plan: Plan | Rank, first: int, last: int) -> int:
        return _compiled.call(self._addresses[kernel, plan.model.dtype], plan.address, first, last)

    def seats(self, new_plan: Callable[[], Plan], model: Model) -> _compiled.Seats:
        return _compiled.Seats(new_plan, model, self._addresses)


def host_level() -> Level:
    """The highest level, of those that were built, whose features this CPU has."""
    features = _compiled.host_features()
    return [level for level in map(LEVELS.__getitem__, _compiled.levels()) if level.needs <= features][-1]
