"""Where threads run that work together: on different CPUs.

They meet many times in a millisecond, and one that waits for long goes to sleep. Schedulers take threads that sleep by
turns for little work, and may put them on one CPU: there every meeting costs two changes of threads, so that they keep
sleeping by turns, and only after some hundredths of a second another CPU is tried. Linux lets threads choose.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A thread, by the system's number, and the CPU that it is on."""

    thread: int
    cpu: int
    others: frozenset[int]  # CPUs that it might be on too


def place_of_caller(threads: int) -> Place | None:
    """Where this thread is; None if so many cannot be kept apart."""
    if sys.platform != "linux":
        return None
    cpus = os.sched_getaffinity(0)
    if len(cpus) < threads:
        return None
    cpu = _current_cpu()()
    return Place(threading.get_native_id(), cpu, frozenset(cpus - {cpu})) if cpu in cpus else None


@contextmanager
def kept_apart(place: Place | None, first: bool) -> Iterator[None]:
    """Keep this helper away from the place of the thread that it helps, and that thread in its place meanwhile.

    The latter is for the first helper to do: an interrupt, which only the main thread gets, cannot keep it from undoing
    it. Where they are is nothing but a matter of speed: a system may forbid to choose.
    """
    if sys.platform != "linux" or place is None:
        yield
        return
    with suppress(OSError):
        if getattr(_here, "avoided", None) != place:
            os.sched_setaffinity(0, place.others)
            _here.avoided = place
    if not first:
        yield
        return
    with suppress(OSError):
        os.sched_setaffinity(place.thread, {place.cpu})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(place.thread, {place.cpu, *place.others})


_here = threading.local()  # .avoided: the place that this helper last kept away from


@cache
def _current_cpu() -> Any:
    import ctypes

    return ctypes.CDLL(None).sched_getcpu  # of glibc and musl
