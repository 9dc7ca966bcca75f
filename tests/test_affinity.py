"""Threads that work together are on different CPUs, and the caller may go wherever it could before."""

import os
import threading

import pytest

from fastmlp.kernels import affinity, threads

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("this system binds no thread to CPUs", allow_module_level=True)
ALLOWED = frozenset(os.sched_getaffinity(0))
if len(ALLOWED) < 2:
    pytest.skip("this process may use one CPU only", allow_module_level=True)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    yield
    assert os.sched_getaffinity(0) == ALLOWED  # whatever has happened


def places():
    """Where rank 0 and rank 1 may be while both work."""
    both = threading.Barrier(2)

    def work(rank):
        both.wait(60)
        cpus = os.sched_getaffinity(0)
        both.wait(60)
        return cpus

    with threads.crew(2) as team:
        assert team.size == 2
        return team.run(work)


def test_caller_and_helper_are_on_different_cpus():
    for _ in range(3):
        mine, others = places()
        assert len(mine) == 1
        assert mine | others == ALLOWED
        assert not mine & others
        assert os.sched_getaffinity(0) == ALLOWED


def test_threads_that_are_not_kept_apart_are_caught(monkeypatch):
    monkeypatch.setattr(threads, "place_of_caller", lambda count: None)
    mine, others = places()
    assert mine & others  # of the helper's own, where it stayed


def test_an_error_leaves_the_caller_free():
    def work(rank):
        raise ZeroDivisionError

    for failing in (0, 1):
        with threads.crew(2) as team, pytest.raises(ZeroDivisionError):
            team.run(lambda rank, failing=failing: work(rank) if rank == failing else None)
        assert os.sched_getaffinity(0) == ALLOWED


def test_an_interrupt_leaves_the_caller_free():
    bound = threading.Event()

    def work(rank):
        if rank == 1:
            bound.set()
        elif bound.wait(60):
            raise KeyboardInterrupt

    with threads.crew(2) as team, pytest.raises(KeyboardInterrupt):
        team.run(work)
    assert os.sched_getaffinity(0) == ALLOWED


def test_a_system_that_forbids_it_is_obeyed(monkeypatch):
    def forbidden(thread, cpus):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    mine, _ = places()
    assert mine == ALLOWED


def test_too_few_cpus_are_shared():
    alone = {min(ALLOWED)}
    os.sched_setaffinity(0, alone)
    try:
        assert affinity.place_of_caller(2) is None
        mine, _ = places()
        assert mine == alone
    finally:
        os.sched_setaffinity(0, ALLOWED)


def test_a_helper_follows_a_caller_that_moves():
    for cpu in sorted(ALLOWED)[:2]:
        os.sched_setaffinity(0, {cpu})
        os.sched_setaffinity(0, ALLOWED)
        place = affinity.place_of_caller(2)
        mine, others = places()
        assert place.others == ALLOWED - {place.cpu}
        assert mine | others == ALLOWED
        assert not mine & others
