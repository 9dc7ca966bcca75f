"""Threads that work together: how many there may be, and the helpers that a process keeps for this purpose.

A crew borrows helpers that are idle and never waits for one: as kernels give the same bits with any number of threads,
whoever finds no helper works alone.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .affinity import keep_off, let_in, place_of_caller
from .errors import require

FAREWELL = 0.1  # seconds that helpers at work get at the interpreter's exit: a stretch of training takes about 0.02

PATIENCE = 0.0003  # seconds to wait for helpers before they may have this thread's CPU, which takes 30 microseconds

Result = TypeVar("Result")

_lock = threading.RLock()  # for what follows; a signal handler or a destructor may come back to it in the same thread
_helpers: list["_Helper"] = []
_teams: set["Team"] = set()  # those at work
_over = False  # the interpreter ends
_met_threadpoolctl = False

_here = threading.local()  # .limit, if set: how many threads may work for this one


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
        return _limited(_count(named))
    most = usable_cpus()
    openmp = os.environ.get("OMP_NUM_THREADS")
    if openmp:  # one number, or one for each level of nesting
        most = min(most, _count(openmp.split(",")[0]) or most)
    return _limited(most)


def usable_cpus() -> int:
    """CPUs that this process may use: by its affinity, and by its control groups' quota."""
    return min(_cpus(), _quota())


def _count(text: str) -> int:
    """The positive integer that this says, or 0."""
    return int(text) if text.strip().isdecimal() else 0


def _limited(most: int) -> int:
    return min(most, getattr(_here, "limit", most))


def _cpus() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _quota() -> int:
    return _group_quota("/sys/fs/cgroup", "/proc/self/cgroup")


def _group_quota(root: str, membership: str) -> int:
    """CPUs' worth of time, rounded up, that Linux grants this process's control groups (version 2: `cpu.max`)."""
    least = sys.maxsize
    for folder in group_folders(root, membership):
        with suppress(OSError, ValueError):  # the topmost has no such file; "max" is no number
            quota, period = map(int, _lines(f"{folder}/cpu.max")[0].split())
            least = min(least, max(1, -(-quota // period)))
    return least


def group_folders(root: str, membership: str) -> list[str]:
    """Those of this process's control groups, the topmost first; none on another system, or of version 1."""
    folders: list[str] = []  # without pathlib, which takes a tenth of the time that importing this package does
    with suppress(OSError, StopIteration):
        group = next(line[4:] for line in _lines(membership) if line.startswith("0::/"))
        folders.append(root)
        for name in filter(None, group.split("/")):
            folders.append(f"{folders[-1]}/{name}")
    return folders


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def _meet_threadpoolctl() -> None:
    """Let `threadpoolctl.threadpool_limits` limit crews, once that package is imported (which is not done here)."""
    global _met_threadpoolctl
    if _met_threadpoolctl or "threadpoolctl" not in sys.modules:
        return
    threadpoolctl: Any = sys.modules["threadpoolctl"]
    with _lock:
        if _met_threadpoolctl or not hasattr(threadpoolctl, "register"):  # still being imported, or older than 3.2
            return
        _met_threadpoolctl = True

        class Controller(threadpoolctl.LibController):  # type: ignore[misc] # not there when types are checked
            user_api = internal_api = "fastmlp"
            filename_prefixes = ("_multiarray_umath.",)  # threads are found by a library: NumPy's is always loaded

            def get_num_threads(self) -> int:
                return most_threads()

            def set_num_threads(self, num_threads: int) -> None:
                """Of this thread, so that two which limit and unlimit do not meddle with each other."""
                _here.limit = sys.maxsize
                if num_threads < most_threads():
                    _here.limit = max(1, num_threads)

            def get_version(self) -> None:
                return None

        threadpoolctl.register(Controller)


FUTEX = {"x86_64": 202, "aarch64": 98}
"""The number of Linux's system call by this name on each machine."""


@cache
def system_call() -> tuple[int, int]:
    """The address of a function by which a kernel leaves its CPU to other threads, and its first argument.

    On Linux, `syscall` and the number of `futex`, which waits for a change in memory; elsewhere a function without
    arguments, which offers the CPU once, and 0.
    """
    import ctypes

    number = FUTEX.get(os.uname().machine, 0) if sys.platform == "linux" else 0
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        library = ctypes.CDLL(None)
        function = library.syscall if number else library.sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0, number


@contextmanager
def crew(most: int) -> Iterator["Team"]:
    """Borrow up to `most` - 1 idle helpers for a while: `with crew(most) as team`.

    most: how many threads may work in this process, those of other crews included. A thread that works alone for more
    than a moment had better say so by a crew of its own: then others leave it its CPU.
    """
    team = Team()
    try:
        team._recruit(_limited(most))
        yield team
    finally:
        with _lock:
            _teams.discard(team)


class Team:
    """This thread, of rank 0, and `size` - 1 helpers. What a helper does may make crews in turn: it works alone."""

    def __init__(self) -> None:
        self._helpers: list[_Helper] = []

    @property
    def size(self) -> int:
        return 1 + len(self._helpers)

    def run(
        self,
        work: Callable[[int], Result],
        release: Callable[[], object] | None = None,
        done: Callable[[Result], bool] | None = None,
    ) -> list[Result]:
        """Call `work(rank)` for all ranks from 0 to `size` - 1 at the same time; the results, by rank.

        Returns or raises when all have ended: an error of the lowest rank that has one, KeyboardInterrupt too.

        release: given if ranks wait for each other. Called whenever something fails, by whoever sees it, maybe more
        than once. Has to make ranks return that wait for another: it may never come, as an interrupt can hit this
        thread before its work has begun.

        done: whether rank 0's result says that nothing is left for others to do. Then they are not waited for, as they
        may not even have begun, and it is the only result. `work` must not keep what may end sooner than they do.
        """
        if not self._helpers:
            return [work(0)]
        outcomes: dict[int, Result] = {}
        errors: dict[int, BaseException] = {}
        ended: SimpleQueue[int] = SimpleQueue()
        place = place_of_caller(self.size)
        helpers = [helper.native_id for helper in self._helpers if helper.native_id]
        if place:
            keep_off(place, helpers)

        def task(rank: int) -> None:
            try:
                outcomes[rank] = work(rank)
            except BaseException as error:
                errors[rank] = error
                if release:
                    release()
            finally:
                ended.put(rank)

        try:
            for rank, helper in enumerate(self._helpers, 1):
                helper.tasks.put(partial(task, rank))
            task(0)
            if done is not None and 0 in outcomes and done(outcomes[0]):
                return [outcomes[0]]
            for _ in range(self.size):
                try:
                    ended.get(timeout=PATIENCE)
                except Empty:  # they may be waiting for a CPU, and this thread needs none
                    if place and not release:
                        let_in(place, helpers)
                    ended.get()
        except BaseException:  # a signal's, between two lines
            if release:
                release()
            self._wait()
            raise
        if errors:
            error = errors[min(errors)]
            errors.clear()
            try:
                raise error
            finally:
                del error  # which leads to this frame: no cycle that would keep the work's memory
        return [outcomes[rank] for rank in sorted(outcomes)]

    def _wait(self) -> None:
        """Wait until helpers have ended all that they were given, however often a signal asks not to."""
        waiting = True
        while waiting:
            with suppress(BaseException):  # helpers may be at work in memory that the caller is about to use
                ended: SimpleQueue[None] = SimpleQueue()
                for helper in self._helpers:
                    helper.tasks.put(partial(ended.put, None))
                for _ in self._helpers:
                    ended.get()
                waiting = False

    def _recruit(self, most: int) -> None:
        with _lock:
            busy = {helper for team in _teams for helper in team._helpers}
            idle = [helper for helper in _helpers if helper not in busy]
            wanted = 0 if _over else max(0, most - 1 - len(_teams) - len(busy))
            with suppress(RuntimeError):  # no more to be had: by a limit, in a subinterpreter, at exit
                while len(idle) < wanted:
                    helper = _Helper()
                    helper.start()
                    _helpers.append(helper)
                    idle.append(helper)
            self._helpers = idle[:wanted]
            _teams.add(self)


class _Helper(threading.Thread):
    """Does what is put into `tasks`, one after the other; None ends it."""

    def __init__(self) -> None:
        super().__init__(name="fastmlp-helper", daemon=True)  # others are waited for before `_retire` could end them
        self.tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def run(self) -> None:
        _here.limit = 1
        while (task := self.tasks.get()) is not None:
            with suppress(BaseException):  # tasks keep their errors
                task()
            del task  # and with it the memory it works in


def _forget() -> None:
    """In a forked process: of all threads only the one that forked is there, and another may have held the lock."""
    global _lock
    for team in _teams:
        team._helpers.clear()
    _teams.clear()
    _helpers.clear()
    _lock = threading.RLock()


def _retire() -> None:
    """End the helpers before the interpreter ends: a thread that returns from a kernel after that is frozen or killed,
    and who waited for it at a barrier would wait for ever."""
    global _over
    with _lock:
        _over = True
        for helper in _helpers:
            helper.tasks.put(None)
    deadline = time.monotonic() + FAREWELL
    for helper in _helpers:
        helper.join(max(0.0, deadline - time.monotonic()))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)
atexit.register(_retire)
_meet_threadpoolctl()  # before limits are set; where it is imported later, with the first `most_threads`
