"""Helpers are off the CPU of the thread that they help, and that thread may go wherever it could before."""

import os
import threading
import time
from contextlib import suppress

import pytest

from fastmlp.kernels.runtime import threads
from fastmlp.kernels.runtime.affinity import Place, keep_off, place_of_caller

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("this system binds no thread to CPUs", allow_module_level=True)
ALLOWED = frozenset(os.sched_getaffinity(0))
if len(ALLOWED) < 2:
    pytest.skip("this process may use one CPU only", allow_module_level=True)
try:
    os.sched_setaffinity(0, ALLOWED)
except OSError:
    pytest.skip("this system forbids to choose CPUs", allow_module_level=True)


@pytest.fixture(autouse=True)
def left_free():
    yield
    assert os.sched_getaffinity(0) == ALLOWED  # whatever has happened


def nothing():
    """Ranks here end by themselves."""


def places(count=2, release=nothing):
    """The CPUs on which each rank may be while all work. Helpers of earlier works go where they like before."""
    with suppress(OSError):
        for helper in threads._helpers:
            os.sched_setaffinity(helper.native_id, ALLOWED)
    together = threading.Barrier(count)

    def work(rank):
        together.wait(60)
        cpus = os.sched_getaffinity(0)
        together.wait(60)
        return cpus

    with threads.crew(count) as team:
        assert team.size == count
        return team.run(work, release)


three = pytest.param(3, marks=pytest.mark.skipif(len(ALLOWED) < 3, reason="this process may use two CPUs only"))


@pytest.mark.parametrize("count", [2, three])
def test_helpers_are_off_the_cpu_of_the_caller(count):
    """Which itself goes where it likes: threads that are started there would inherit its CPUs."""
    for release in (nothing, None):
        mine, *others = places(count, release)
        assert mine == ALLOWED
        assert len(others[0]) == len(ALLOWED) - 1
        assert others == others[:1] * (count - 1)


def test_a_helper_that_is_not_kept_apart_is_caught(monkeypatch):
    monkeypatch.setattr(threads, "place_of_caller", lambda count: None)
    _, others = places()
    assert others == ALLOWED


def test_a_helper_keeps_away_from_one_place_after_the_other():
    """Before it is woken: it may not get the CPU that it is woken on."""
    asleep = threading.Event()
    helper = threading.Thread(target=asleep.wait)
    helper.start()
    try:
        for cpu in [*sorted(ALLOWED)[:2], min(ALLOWED)]:
            keep_off(Place(cpu, ALLOWED - {cpu}), [helper.native_id])
            assert os.sched_getaffinity(helper.native_id) == ALLOWED - {cpu}
            os.sched_setaffinity(helper.native_id, ALLOWED)  # as somebody else might
    finally:
        asleep.set()
        helper.join()


def test_helpers_are_kept_off_before_they_are_woken(monkeypatch):
    events = []

    class Tasks:
        def __init__(self, tasks):
            self.tasks, self.get = tasks, tasks.get

        def put(self, task):
            events.append("woken")
            self.tasks.put(task)

    monkeypatch.setattr(threads, "keep_off", lambda place, helpers: events.append("kept off"))
    with threads.crew(2) as team:
        monkeypatch.setattr(team._helpers[0], "tasks", Tasks(team._helpers[0].tasks))
        team.run(lambda rank: rank)
    assert events == ["kept off", "woken"]


def test_a_caller_that_waits_leaves_its_cpu_to_helpers(monkeypatch):
    """Where nobody meets it; until then they are kept off."""
    seen, before, let_in = [], [], threads.let_in

    def observed(place, helpers):
        before.extend(len(os.sched_getaffinity(helper)) for helper in helpers)
        let_in(place, helpers)

    monkeypatch.setattr(threads, "let_in", observed)

    def work(rank):
        patience = time.monotonic() + 60
        while rank == 1 and os.sched_getaffinity(0) != ALLOWED and time.monotonic() < patience:
            time.sleep(0.001)
        seen.append(os.sched_getaffinity(0))

    with threads.crew(2) as team:
        team.run(work)
    assert before == [len(ALLOWED) - 1]
    assert seen == [ALLOWED] * 2


def test_a_system_that_forbids_it_is_obeyed(monkeypatch):
    def forbidden(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    mine, _ = places()
    assert mine == ALLOWED
    monkeypatch.setattr(os, "sched_getaffinity", forbidden)
    assert place_of_caller(2) is None


def test_too_few_cpus_are_shared():
    alone = {min(ALLOWED)}
    os.sched_setaffinity(0, alone)
    try:
        assert place_of_caller(2) is None
        mine, _ = places()
        assert mine == alone
    finally:
        os.sched_setaffinity(0, ALLOWED)
