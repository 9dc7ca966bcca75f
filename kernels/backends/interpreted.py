"""The kernels as they stand, run by Python: slow, for debuggers, coverage and checked memory."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from ..compiler.ieee import plainly
from ..compiler.interface import KERNELS
from ..compiler.notes import guarded
from ..compiler.specialize import bind, clone, plain_vocabulary, specialize
from ..compiler.tracing import in_vectors
from ..functions.kernel import SOURCE_DTYPES, Kernel
from ..runtime.plan import Model, Plan, Rank
from ..vocabulary import simd
from ..vocabulary.levels import Level, tile_shape


class Interpreted:
    """A library of kernels; see `choice.py`."""

    name = "interpreted"

    def __init__(self, level: Level) -> None:
        self.level = level.name
        self._level = level

    @property
    def system_call(self) -> tuple[int, int]:
        return 0, 0

    def address(self, kernel: str | Kernel, dtype: str) -> int:
        return _address(KERNELS[kernel] if isinstance(kernel, str) else kernel, dtype, self._level)

    def call(self, kernel: str, plan: Plan | Rank, first: int, last: int) -> int:
        with simd.visible(plan.arrays()), np.errstate(all="ignore"):
            result: int = simd._functions[self.address(kernel, plan.model.dtype)](plan.address, first, last)
        return result

    def seats(self, new_plan: Callable[[], Plan], model: Model) -> None:
        """There are none."""


@cache
def _namespace(dtype: str, level: Level) -> dict[str, Any]:
    vocabulary = plain_vocabulary(dtype)
    vocabulary |= tile_shape(dtype, level)
    return specialize(dtype, vocabulary)


@cache
def _address(kernel: Kernel, dtype: str, level: Level) -> int:
    namespace = _namespace(dtype, level)
    formulas = in_vectors(kernel, dtype) if kernel.foreign else None
    if formulas is None:
        function = bind(kernel, namespace, lambda f: guarded(plainly(f), len(kernel.points[0])))
    else:
        function = bind(formulas, namespace, lambda f: clone(f, namespace))
    pointers: dict[str, Any] = {source: partial(simd.pointer, source) for source in SOURCE_DTYPES}
    pointers["plan"] = lambda address: namespace["PLAN"](namespace["integers"](address), 0)

    def run(*arguments: Any) -> Any:
        kinds = zip(kernel.arguments, arguments, strict=True)
        return function(*(pointers[kind](a) if kind in pointers else a for kind, a in kinds))

    address: int = simd.address_of(run)
    return address
