"""How many threads an estimator takes, so that many at work do not take more than there are."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_wanted = 0  # by how many fits at this moment
_limit: Any = None


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
    global _wanted, _limit
    with _lock:
        _wanted += 1
        if _wanted == 1:
            _limit = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _wanted -= 1
            if _wanted == 0:
                _limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
