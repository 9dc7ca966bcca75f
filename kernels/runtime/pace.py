"""How many threads pay just now: measured on the work itself, as it goes on.

Other processes come and go, and a thread that does not get a CPU keeps those waiting that meet it at a barrier: what
paid a second ago may take several times as long as one thread now. Most do so for some hundredths of a second only.
"""

import sys
import threading
import time
from collections.abc import Callable, Hashable
from functools import lru_cache

SHORT, LONG = 0.004, 0.01  # seconds of a stretch: to try another number of threads; to get on
ENOUGH = 0.002  # seconds to judge by: helpers take some time to wake
SHARE = 0.02  # of the time: what tries may cost
CREDIT = 0.002  # seconds: what must be left for a try; about what one costs that runs at half the speed
EFFORT = 0.0005  # seconds: what a try costs in any case
RESERVE = 0.2  # seconds: what is kept, of the half of the time that threads saved, for times when they are paused
PROMISING = 0.95  # times as fast, in a short try, at whose beginning caches and helpers are cold: worth a longer one
BETTER = 1.05  # times as fast: worth a change
COLLAPSE = 0.6  # times as fast: if seen twice in a row it is no hiccup, something has begun
LOST = 0.25  # times as fast: no hiccup, seen but once
SMOOTHING = 0.06  # seconds over which a rate is averaged
MEMORY = 1.0  # seconds for which one work's lesson holds for others

_lesson = (-MEMORY, sys.maxsize)  # when a work last tried another number of threads, and how many it found to pay


class Pace:
    """Chooses the `threads` for the next stretch of a work, and for about how many `seconds` they should run.

    Starts with all threads, unless some work of this process has just learned that fewer are better. Now and then it
    tries another number for a short stretch, then, if that went about as fast, for a longer one, and stays there if
    that went faster. Short works should share a pace: each call of a function, say, that trains the same network again.
    Where more threads have paid before they were paused, they are soon tried again.

    most: the highest number of threads; others are the half of it, a quarter, ... and 1.
    clock: the time in seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._numbers = [most]
        while self._numbers[0] > 1:
            self._numbers.insert(0, self._numbers[0] // 2)
        self._clock = clock
        learned, paid = _lesson
        limit = paid if clock() - learned < MEMORY else most
        self._chosen = max(number for number in self._numbers if number <= max(1, limit))
        self._rate, self._span = 0.0, 0.0  # of the chosen number: work a second, over how many seconds
        self._credit = CREDIT if self._chosen == most else 0.0
        self._tries = 0
        self._fewer = 0.0  # work a second of fewer threads, when last tried
        self._reserve = 0.0  # seconds that the chosen number saved
        self._lost = 0.0  # seconds, in the last stretch, if that was so slow
        self._gathered = (0, 0.0, 0.0)  # threads, work and seconds that are not enough to judge by
        self.threads, self.seconds = self._chosen, SHORT

    def told(self, threads: int, work: float, seconds: float) -> None:
        """Learn from a stretch: with how many threads it ran (maybe fewer than wanted), and for how long.

        work: what it got done, in a unit that means the same in every call, such as steps.
        """
        if threads != self._gathered[0]:
            self._gathered = (threads, 0.0, 0.0)
        self._gathered = threads, self._gathered[1] + work, self._gathered[2] + seconds
        _, work, seconds = self._gathered
        if work <= 0.0 or seconds < ENOUGH:
            return
        self._gathered = (threads, 0.0, 0.0)
        self._credit = min(self._credit + SHARE * seconds, 2 * CREDIT)
        collapsed = False
        if threads == self._chosen:
            collapsed = self._measure(work, seconds)
        elif threads == self.threads:
            self._judge(work, seconds)
        if self.threads != self._chosen:
            return
        at, known = self._numbers.index(self._chosen), self._span >= SHORT
        self.seconds = LONG if known and not self._lost else SHORT
        if collapsed:
            self.threads, self.seconds = self._numbers[at - 1], SHORT
        elif known and not self._lost and self._credit >= CREDIT and len(self._numbers) > 1:
            self.threads, self.seconds = self._another(at), SHORT

    def _measure(self, work: float, seconds: float) -> bool:
        """Whether several threads have become much slower than they were."""
        change = work / seconds / self._rate if self._span else 1.0
        collapsed, before = change < COLLAPSE and self._chosen > 1, self._lost
        self._lost = seconds * (1.0 - change) if collapsed and change > LOST and not before else 0.0
        if self._lost:
            return False
        if collapsed:
            self._pay(before + seconds * (1.0 - change))
        elif self._fewer:
            self._reserve = min(max(0.0, self._reserve + 0.5 * (work / self._fewer - seconds)), RESERVE)
        if not COLLAPSE < change < 1.0 / COLLAPSE:
            self._span = 0.0  # what was measured before is past
        self._rate = (self._rate * self._span + work) / (self._span + seconds)
        self._span = min(SMOOTHING, self._span + seconds)
        return collapsed

    def _pay(self, lost: float) -> None:
        """A collapse is paid, and the try that will tell whether it was a pause, with what threads saved.

        What is missing counts like a try, or tries that deceive would follow one another.
        """
        self._reserve -= lost
        moved = min(self._reserve, max(0.0, CREDIT - self._credit))
        self._credit += moved
        self._reserve -= moved

    def _judge(self, work: float, seconds: float) -> None:
        rate, again = work / seconds, self.seconds == LONG
        self._credit -= EFFORT + max(0.0, seconds - work / self._rate)
        if rate > PROMISING * self._rate and not again:
            self.seconds = LONG
            return
        if self.threads < self._chosen:
            self._fewer = rate
        if rate > BETTER * self._rate:
            self._fewer = self._rate if self.threads > self._chosen else 0.0
            self._chosen, self._rate, self._span = self.threads, rate, seconds
        self.threads = self._chosen
        _learn(self._clock(), self._chosen if self._chosen < self._numbers[-1] else sys.maxsize)

    def _another(self, at: int) -> int:
        """The next smaller number, the next larger and 1, in turn."""
        others = {self._numbers[max(0, at - 1)], *self._numbers[at + 1 : at + 2], 1} - {self._chosen}
        self._tries += 1
        return sorted(others)[self._tries % len(others)]


def pace_of(kind: Hashable, most: int) -> Pace:
    """What is known of works of this kind in this Python thread: many of them are too short to find out.

    All of a kind have units of work that mean the same, and at most so many threads.
    """
    return _pace(kind, most, threading.get_ident())


@lru_cache
def _pace(kind: Hashable, most: int, thread: int) -> Pace:
    return Pace(most)


def _learn(now: float, paid: int) -> None:
    global _lesson
    _lesson = (now, paid)
