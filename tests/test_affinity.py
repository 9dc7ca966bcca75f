"""Helpers are off the CPU of the thread that they help, and that thread may go wherever it could before."""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from fastmlp.kernels import threads
from fastmlp.kernels.affinity import Place, keep_off, place_of_caller

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
    for _ in range(3):
        mine, *others = places(count)
        assert len(mine) == 1
        assert others == [ALLOWED - mine] * (count - 1)
        assert os.sched_getaffinity(0) == ALLOWED


def test_a_caller_whom_nobody_meets_goes_where_it_likes():
    mine, others = places(release=None)
    assert mine == ALLOWED
    assert len(others) == len(ALLOWED) - 1


def test_a_helper_that_is_not_kept_apart_is_caught(monkeypatch):
    monkeypatch.setattr(threads, "place_of_caller", lambda count: None)
    mine, others = places()
    assert mine & others


def test_a_helper_keeps_away_from_one_place_after_the_other():
    """Before it is woken: it may not get the CPU that it is woken on."""
    asleep = threading.Event()
    helper = threading.Thread(target=asleep.wait)
    helper.start()
    try:
        for cpu in [*sorted(ALLOWED)[:2], min(ALLOWED)]:
            keep_off(Place(threading.get_native_id(), cpu, ALLOWED - {cpu}), [helper.native_id])
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


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_leaves_the_caller_free(failing):
    def work(rank):
        if rank == failing:
            raise ZeroDivisionError

    with threads.crew(2) as team, pytest.raises(ZeroDivisionError):
        team.run(work, nothing)
    assert os.sched_getaffinity(0) == ALLOWED


def test_an_interrupt_while_the_caller_waits_leaves_it_free():
    released = threading.Event()

    def work(rank):
        if rank == 1:
            time.sleep(0.05)  # until the caller has nothing to do but to wait
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            assert released.wait(60)

    with threads.crew(2) as team, pytest.raises(KeyboardInterrupt):
        team.run(work, released.set)
    assert os.sched_getaffinity(0) == ALLOWED


def test_who_binds_the_caller_meanwhile_has_his_way():
    caller, chosen = threading.get_native_id(), []

    def work(rank):
        if rank == 1:
            chosen.append(ALLOWED - os.sched_getaffinity(caller))
            os.sched_setaffinity(caller, chosen[0])

    try:
        with threads.crew(2) as team:
            team.run(work, nothing)
        assert os.sched_getaffinity(0) == chosen[0] != ALLOWED
    finally:
        os.sched_setaffinity(0, ALLOWED)


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
