"""Helpers stay off the CPU of the thread that they help.

A scheduler may wake a helper there, where it waits while that thread is at work. And threads that meet many times in a
millisecond, of which those that wait go to sleep, look like little work that fits on one CPU: there every meeting costs
two changes of threads, so that they go on sleeping by turns, and only after some hundredths of a second another CPU is
tried. Linux lets threads choose.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple


class Place(NamedTuple):
    """The CPU that a thread is on, and all others that it might be on."""

    cpu: int
    others: frozenset[int]


def place_of_caller(threads: int) -> Place | None:
    """Where this thread is; None if there are not as many CPUs as threads, or nobody knows."""
    if sys.platform == "linux":
        with suppress(OSError):
            cpus, cpu = os.sched_getaffinity(0), _sched_getcpu()()
            if cpu in cpus and len(cpus) >= threads:
                return Place(cpu, frozenset(cpus - {cpu}))
    return None


def keep_off(place: Place, helpers: Iterable[int]) -> None:
    """Keep helpers, by the system's numbers, away from the place of the thread that they are about to help."""
    _allow(place.others, helpers)


def let_in(place: Place, helpers: Iterable[int]) -> None:
    """Let them have that place too, as the thread has nothing to do but to wait for them."""
    _allow(place.others | {place.cpu}, helpers)


def _allow(cpus: frozenset[int], threads: Iterable[int]) -> None:
    """Let threads have these CPUs. A system may forbid it, which is nothing but a matter of speed."""
    if sys.platform == "linux":
        with suppress(OSError):
            for thread in threads:
                if os.sched_getaffinity(thread) != cpus:
                    os.sched_setaffinity(thread, cpus)


@cache
def _sched_getcpu() -> Any:
    import ctypes

    return getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)  # glibc and musl have it
