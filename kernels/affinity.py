"""Helpers that meet the thread they help, many times in a millisecond, stay off its CPU.

Who waits for long goes to sleep. Schedulers take threads that sleep by turns for little work, and may put them on one
CPU: there every meeting costs two changes of threads, so that they go on sleeping by turns, and only after some
hundredths of a second another CPU is tried. Linux lets threads choose.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import get_native_id
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A thread, by the system's number, the CPU that it is on, and all others that it might be on."""

    thread: int
    cpu: int
    others: frozenset[int]


def place_of_caller(threads: int) -> Place | None:
    """Where this thread is; None if there are not as many CPUs as threads, or nobody knows."""
    if sys.platform == "linux":
        with suppress(OSError):
            cpus, cpu = os.sched_getaffinity(0), _sched_getcpu()()
            if cpu in cpus and len(cpus) >= threads:
                return Place(get_native_id(), cpu, frozenset(cpus - {cpu}))
    return None


@contextmanager
def kept_apart(place: Place | None, first: bool) -> Iterator[None]:
    """Keep this helper away from the place of the thread that it helps, and that thread in its place meanwhile.

    The latter is for the first helper to do: an interrupt, which only the main thread gets, cannot keep it from undoing
    it. A system may forbid all this, which is nothing but a matter of speed; and who binds that thread to other CPUs
    meanwhile has his way.
    """
    if sys.platform != "linux" or place is None:
        yield
        return
    with suppress(OSError):
        if os.sched_getaffinity(0) != place.others:
            os.sched_setaffinity(0, place.others)
        if first:
            os.sched_setaffinity(place.thread, {place.cpu})
    try:
        yield
    finally:
        with suppress(OSError):
            if first and os.sched_getaffinity(place.thread) == {place.cpu}:
                os.sched_setaffinity(place.thread, {place.cpu, *place.others})


@cache
def _sched_getcpu() -> Any:
    import ctypes

    return getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)  # glibc and musl have it
