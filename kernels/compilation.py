"""How Numba compiles a kernel. Both compilers, `jit.py` and `ahead_of_time.py`, take everything from here."""

from functools import cache
from types import FunctionType
from typing import Any

from numba import njit, types
from numba.core.ccallback import CFunc

from .capture import copied
from .interface import SOURCE_DTYPES, Kernel
from .intrinsics import vocabulary
from .levels import LEVELS, Level
from .specialize import bind, clone, specialize, tile_shape
from .tracing import in_vectors
from .vector_type import Vector

# contract: a * b + c may be fused. Nothing else: reassociation destroys argument reductions, and NaN must survive.
POLICY: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}


def callback(kernel: Kernel, dtype: str, level: Level, version: str = "") -> CFunc:
    """A kernel as a C function, not compiled yet. Its symbol says what it is, and `version` what else it depends on."""
    names = namespace(dtype, level)
    formulas = in_vectors(kernel, dtype) if kernel.foreign else None
    if formulas is None:
        function = bind(kernel, names, foreign)
    else:
        function = bind(formulas, names, lambda formula: njit(**POLICY)(clone(formula, names)))
    function.__qualname__ = f"{kernel.name}_{suffix(dtype, level)}{version}"
    return CFunc(function, signature(kernel, dtype, level), locals={}, options=POLICY)


def foreign(function: Any) -> Any:
    """A function of a user, with the functions that it calls."""
    return copied(function, wrap=njit(error_model="numpy"))


@cache
def namespace(dtype: str, level: Level) -> dict[str, Any]:
    """All kernels as functions that Numba compiles when they are used."""

    def compile(function: FunctionType) -> Any:
        # Kernels out of the cache bring their helpers along, and a process keeps the first of equal symbols: names must
        # tell number types and levels apart.
        function.__qualname__ += f"_{suffix(dtype, level)}"
        return njit(**POLICY)(function)

    return specialize(dtype, vocabulary(dtype, level), compile)


def suffix(dtype: str, level: Level) -> str:
    """What tells a specialisation's names from those of others."""
    return f"{dtype}_{level.name.replace('-', '_')}"


def signature(kernel: Kernel, dtype: str, level: Level) -> tuple[tuple[Any, ...], Any]:
    """The Numba types of a kernel's arguments and result."""
    number = getattr(types, dtype)
    vector = Vector(number, tile_shape(dtype, level)["LANES"])
    kinds = {
        "plan": types.CPointer(types.int64), "integer": types.int64, "double": types.float64,
        "doubles": types.CPointer(types.float64), "reals": types.CPointer(number), "nothing": types.void,
        "vector": vector, "vectors": types.UniTuple(vector, 2),
        **{source: types.CPointer(getattr(types, source)) for source in SOURCE_DTYPES},
    }  # fmt: skip
    return tuple(kinds[kind] for kind in kernel.arguments), kinds[kernel.result]


def levels(triple: str) -> list[Level]:
    """The CPU levels of the machine that an LLVM triple names, from the lowest to the highest."""
    machine = triple.split("-")[0]
    machine = {"arm64": "aarch64"}.get(machine, machine)  # Apple's name
    return [level for level in LEVELS.values() if level.machine == machine]
