"""The kernels compiled just in time by Numba, for the CPU at hand, and kept in files: see `jit_cache.py`."""

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from ..compiler.capture import uses
from ..compiler.compilation import callback, levels
from ..compiler.interface import KERNELS
from ..compiler.jit_cache import KernelCache
from ..functions.kernel import Kernel
from ..runtime.futex import system_call
from ..runtime.plan import Model, Plan, Rank
from ..vocabulary.levels import Level

UNCHECKED = ("flat", "as_strided")  # by which Numba's compiled code reaches memory without a check of bounds

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Jit:
    """A library of kernels; see `choice.py`."""

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
    compiled = callback(KERNELS[name], dtype, level, version=f"_{_fingerprint()}")
    compiled._cache = KernelCache(compiled.__qualname__)
    compiled.compile()
    _kept.append(compiled)
    address: int = compiled.address
    return address


@cache
def custom_address(kernel: Kernel, dtype: str, level: Level) -> int:
    """Of a kernel with functions of users. It is compiled anew in each process: they may depend on anything."""
    for function in kernel.foreign.values():
        if uses(function, UNCHECKED):
            raise TypeError(
                f"activations and losses must be functions whose indices can be checked, got {function.__name__} with "
                f"{' or '.join(UNCHECKED)}: array[i] is checked"
            )
    compiled = callback(kernel, dtype, level, version=f"_{len(_kept)}")
    compiled.compile()
    _kept.append(compiled)
    address: int = compiled.address
    return address


_kept: list[Any] = []  # compiled code lives as long as these objects


@cache
def _entry(name: str, dtype: str, level: Level) -> Callable[[int, int, int], int]:
    return ENTRY(_compiled(name, dtype, level))


@cache
def _fingerprint() -> str:
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def host_level() -> Level:
    """The highest level whose features this CPU has."""
    features = host_features()
    return [level for level in levels(llvm.get_process_triple()) if level.needs <= features][-1]
