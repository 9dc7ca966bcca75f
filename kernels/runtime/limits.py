"""How many threads may work: what the environment, threadpoolctl and this process's CPUs allow."""

import os
import sys
import threading
from contextlib import suppress
from typing import Any

from ..base.cpus import usable_cpus
from ..base.errors import require

_unmet = ["threadpoolctl"]  # until it knows of fastmlp: taken by one thread
here = threading.local()  # .limit, if set: how many threads may work for this one


def most_threads() -> int:
    """How many threads may work at a time, this one included.

    FASTMLP_NUM_THREADS if it is set. Otherwise the CPUs that this process may use, or OMP_NUM_THREADS if that is less:
    joblib sets it in its processes, so that together they do not take more than there are. In either case no more than
    threadpoolctl allows. All but the control group's quota is looked up anew at every call.

    Raises
    ------
    ValueError
        If FASTMLP_NUM_THREADS is not an integer from 1 on.
    """
    _meet_threadpoolctl()
    named = os.environ.get("FASTMLP_NUM_THREADS")
    if named:
        require(_count(named) > 0, "FASTMLP_NUM_THREADS", "an integer from 1 on", named)
        return limited(_count(named))
    most = usable_cpus()
    openmp = os.environ.get("OMP_NUM_THREADS")
    if openmp:  # one number, or one for each level of nesting
        most = min(most, _count(openmp.split(",")[0]) or most)
    return limited(most)


def _count(text: str) -> int:
    """The positive integer that this says, or 0."""
    return int(text) if text.strip().isdecimal() else 0


def limited(most: int) -> int:
    """As many, or as few as this thread may have."""
    return min(most, getattr(here, "limit", most))


def _meet_threadpoolctl() -> None:
    """Let `threadpoolctl.threadpool_limits` limit crews, once that package is imported (which is not done here)."""
    threadpoolctl: Any = sys.modules.get("threadpoolctl")
    if not _unmet or not hasattr(threadpoolctl, "register"):  # still being imported, or older than 3.2
        return
    with suppress(IndexError):  # another thread was first
        _unmet.pop()

        class Controller(threadpoolctl.LibController):  # type: ignore[misc] # not there when types are checked
            user_api = internal_api = "fastmlp"
            filename_prefixes = ("_multiarray_umath.",)  # threads are found by a library: NumPy's is always loaded

            def get_num_threads(self) -> int:
                return most_threads()

            def set_num_threads(self, num_threads: int) -> None:
                """Of this thread, so that two which limit and unlimit do not meddle with each other."""
                here.limit = sys.maxsize
                if num_threads < most_threads():
                    here.limit = max(1, num_threads)

            def get_version(self) -> None:
                return None

        threadpoolctl.register(Controller)


_meet_threadpoolctl()  # before limits are set; where it is imported later, with the first `most_threads`
