"""How many threads an estimator takes, so that many at work do not take more than there are."""

import itertools
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

_lock = threading.RLock()  # a signal's handler, or a destructor, may begin a fit in the thread that holds it
_numbers = itertools.count()
_wanted: set[int] = set()  # by fits of this moment, each with its number
_limit: Any = None


class _Fit:
    """Dies with the fit, should Ctrl-C come where that lifts its limit."""


def threads_of(estimator: Any) -> int | None:
    """As it was told; None: as many as there are, or one inside of joblib's processes and threads."""
    threads: int | None = estimator.threads
    return 1 if threads is None and _is_nested() else threads


def _is_nested() -> bool:
    backend, _ = get_active_backend()
    return bool(getattr(backend, "nesting_level", 0))


@contextmanager
def one_thread_in_blas() -> Iterator[None]:
    """For SciPy's vectors, which are short: the threads of OpenBLAS would wait for each other, on busy CPUs for ages.

    What is limited is the whole process: the last fit that wants it lifts what the first one set.
    """
    global _limit
    fit, number = _Fit(), next(_numbers)
    weakref.finalize(fit, _lift, number).atexit = False
    try:
        with _lock:
            _wanted.add(number)
            if _limit is None:
                _limit = _controller().limit(limits=1, user_api="blas")
        yield
    finally:
        _lift(number)


def _lift(number: int) -> None:
    global _limit
    with _lock:
        _wanted.discard(number)
        if not _wanted and _limit is not None:
            limit, _limit = _limit, None
            limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
