"""Threads that work together: the helpers that a process keeps for this purpose.

A crew borrows helpers that are idle and never waits for one: as kernels give the same bits with any number of threads,
whoever finds no helper works alone.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from .affinity import keep_off, let_in, place_of_caller
from .limits import here, limited

FAREWELL = 0.1  # seconds that helpers at work get at the interpreter's exit: a stretch of training takes about 0.02

PATIENCE = 0.0003  # seconds to wait for helpers before they may have this thread's CPU, which takes 30 microseconds

Result = TypeVar("Result")

_lock = threading.RLock()  # for what follows; a signal handler or a destructor may come back to it in the same thread
_helpers: list["_Helper"] = []
_teams: set["Team"] = set()  # those at work
_over = False  # the interpreter ends



@contextmanager
def crew(most: int) -> Iterator["Team"]:
    """Borrow up to `most` - 1 idle helpers for a while: `with crew(most) as team`.

    most: how many threads may work in this process, those of other crews included. A thread that works alone for more
    than a moment had better say so by a crew of its own: then others leave it its CPU.
    """
    team = Team()
    try:
        team._recruit(limited(most))
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
        here.limit = 1
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
