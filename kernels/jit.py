"""The kernels compiled just in time by Numba, for the CPU at hand, and kept in Numba's cache."""

import ctypes
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from .compilation import callback, levels
from .interface import KERNELS, Kernel
from .levels import Level
from .plan import Model, Plan, Rank
from .threads import system_call

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Jit:
    """A library of kernels; see `backends.py`."""

    name = "jit"

    def __init__(self, level: Level) -> None:
        self.level = level.name
        self._level = level

    @property
    def system_call(self) -> tuple[int, int]:
        return system_call()

    def address(self, kernel: str | Kernel, dtype: str) -> int:
        if isinstance(kernel, str):
            return _compiled(kernel, dtype, self._level)
        return custom_address(kernel, dtype, self._level)

    def call(self, kernel: str, plan: Plan | Rank, first: int, last: int) -> int:
        return _entry(kernel, plan.model.dtype, self._level)(plan.address, first, last)

    def seats(self, new_plan: Callable[[], Plan], model: Model) -> None:
        """There are none."""


def host_features() -> set[str]:
    """Features of this CPU by LLVM's names."""
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


@cache
def _compiled(name: str, dtype: str, level: Level) -> int:
    # Numba's cache looks at this function's code alone: the name of its file carries everything else
    compiled = callback(KERNELS[name], dtype, level, version=f"_{_fingerprint()}")
    with suppress(RuntimeError):  # nowhere to write
        compiled.enable_caching()
    compiled.compile()
    _kept.append(compiled)
    address: int = compiled.address
    return address


@cache
def custom_address(kernel: Kernel, dtype: str, level: Level) -> int:
    """Of a kernel with functions of users. It is compiled anew in each process: they may depend on anything."""
    compiled = callback(kernel, dtype, level, version=f"_{len(_kept)}")
    try:
        compiled.compile()
    except Exception as error:  # whatever goes wrong in Numba
        names = " and ".join(function.__name__ for function in kernel.foreign.values())
        reason = " ".join(str(error).split("\n")[:2])
        raise TypeError(
            f"activations and losses must be functions that Numba compiles, got {names}: {reason}"
        ) from error
    _kept.append(compiled)
    address: int = compiled.address
    return address


_kept: list[Any] = []  # compiled code lives as long as these objects


@cache
def _entry(name: str, dtype: str, level: Level) -> Callable[[int, int, int], int]:
    return ENTRY(_compiled(name, dtype, level))


@cache
def _fingerprint() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def host_level() -> Level:
    """The highest level whose features this CPU has."""
    features = host_features()
    return [level for level in levels(llvm.get_process_triple()) if level.needs <= features][-1]
