"""How many threads there may be; crews, and what may come between: errors and interrupts."""

import contextlib
import dis
import gc
import linecache
import os
import random
import signal
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import FREE_THREADED, PATIENCE, fresh

from fastmlp.kernels.base import cpus
from fastmlp.kernels.runtime import threads
from fastmlp.kernels.runtime.limits import most_threads
from fastmlp.kernels.runtime.threads import crew

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    monkeypatch.delenv("FASTMLP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture(autouse=True)
def all_is_given_back():
    yield
    gc.collect()  # tracebacks
    assert not list(threads._teams)
    with crew(1 + len(threads._helpers)) as team:  # all of them are idle, and able to work
        assert together(team) == list(range(team.size))


def together(team):
    """Every rank's number, if all ranks are at work at the same time."""
    meeting = threading.Barrier(team.size)

    def work(rank):
        meeting.wait(PATIENCE)
        return rank

    return team.run(work)


# --- how many


def test_the_variable_says_how_many(monkeypatch):
    for most in (3, 1, 200):
        monkeypatch.setenv("FASTMLP_NUM_THREADS", str(most))
        assert most_threads() == most
    alone = most_threads
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "")
    assert alone() == min(cpus._cpus(), cpus._quota())


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "1,2"])
def test_the_variable_has_to_be_a_positive_integer(monkeypatch, value):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", value)
    with pytest.raises(ValueError, match=rf"^FASTMLP_NUM_THREADS must be an integer from 1 on, got '{value}'$"):
        most_threads()


def test_openmps_variable_lowers_it(monkeypatch):
    monkeypatch.setattr(cpus, "_cpus", lambda: 6)
    monkeypatch.setattr(cpus, "_quota", lambda: 5)
    for value, most in {"2": 2, " 3 ,2": 3, "1,4": 1, "64": 5, "": 5, "0": 5, "-2": 5, "many": 5, ",2": 5}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert most_threads() == most, value
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "7")
    assert most_threads() == 7


def test_otherwise_it_is_what_the_process_may_use(monkeypatch):
    monkeypatch.setattr(cpus, "_quota", lambda: 5)
    for usable, most in {1: 1, 4: 4, 6: 5}.items():
        monkeypatch.setattr(cpus, "_cpus", lambda usable=usable: usable)
        assert most_threads() == most


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")
def test_cpus_are_those_that_the_process_is_bound_to():
    code = (
        "import os\n"
        "from fastmlp.kernels.runtime.limits import most_threads\n"
        "before = most_threads()\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "print(before, most_threads())"
    )
    assert fresh(code).split() == [str(most_threads()), "1"]


def test_quotas_of_control_groups(tmp_path):
    """Python's documents of cgroup v2: `cpu.max` holds quota and period, in microseconds, or "max" for the quota."""
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    inner = root / "outer" / "inner"
    inner.mkdir(parents=True)

    def quota(path, **files):
        for folder in (root, root / "outer", inner):
            (folder / "cpu.max").unlink(missing_ok=True)
        for name, text in files.items():
            ({"root": root, "outer": root / "outer", "inner": inner}[name] / "cpu.max").write_text(text)
        membership.write_text(f"12:cpuset:/elsewhere\n0::{path}\n")
        return cpus._group_quota(root, membership)

    assert quota("/outer/inner") == sys.maxsize
    assert quota("/outer/inner", inner="max 100000\n") == sys.maxsize
    assert quota("/outer/inner", inner="200000 100000\n") == 2
    assert quota("/outer/inner", inner="250000 100000\n") == 3  # rounded up
    assert quota("/outer/inner", inner="1000 100000\n") == 1
    assert quota("/outer/inner", inner="max 100000\n", outer="150000 50000\n", root="max 100000") == 3
    assert quota("/outer/inner", inner="400000 100000\n", outer="200000 100000\n") == 2
    assert quota("/", root="100000 100000\n", inner="50 10\n") == 1  # as it looks from within a container
    assert quota("/../..", root="100000 100000\n") == 1
    assert quota("/gone", root="300000 100000\n") == 3
    membership.write_text("4:cpu,cpuacct:/outer/inner\n")  # version 1 only
    assert cpus._group_quota(root, membership) == sys.maxsize
    assert cpus._group_quota(root, tmp_path / "nowhere") == sys.maxsize


# --- crews


def test_ranks_work_at_the_same_time_and_answer_in_order():
    for most in (1, 2, 3, 5):
        with crew(most) as team:
            assert team.size == most
            for _ in range(20):
                assert together(team) == list(range(most))


def test_rank_0_is_the_calling_thread():
    with crew(3) as team:
        first, second = team.run(lambda rank: threading.get_ident()), team.run(lambda rank: threading.get_ident())
    assert first == second
    assert first[0] == threading.get_ident()
    assert len(set(first)) == 3


def test_helpers_are_kept_and_started_only_when_needed():
    code = (
        "import threading\n"
        "from fastmlp.kernels.runtime.threads import crew\n"
        "sizes = [threading.active_count()]\n"
        "for most in (1, 3, 3, 2, 4):\n"
        "    with crew(most) as team:\n"
        "        team.run(lambda rank: None)\n"
        "    sizes.append(threading.active_count())\n"
        "print(*sizes)"
    )
    assert fresh(code).split() == ["1", "1", "3", "3", "3", "4"]


def in_a_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(PATIENCE)


def size(most):
    with crew(most) as team:
        return team.size


def test_threads_at_work_are_counted_and_nobody_waits():
    with crew(2) as team:
        assert team.size == 2
        assert [in_a_thread(lambda most=most: size(most)) for most in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 3]
    with crew(1):  # who works alone is counted too
        assert [in_a_thread(lambda most=most: size(most)) for most in (1, 2, 3)] == [1, 1, 2]
    assert in_a_thread(lambda: size(3)) == 3


def test_crews_of_several_threads_settle():
    """The first takes all, but gives it up with its next crew: then as many threads work as there may."""
    step, most = threading.Barrier(3), 4

    def train(me):
        mine = crew(most)
        team = mine.__enter__()
        for turn in range(3):
            step.wait(PATIENCE)
            if turn == me:
                mine.__exit__(None, None, None)
                mine = crew(most)
                team = mine.__enter__()
        step.wait(PATIENCE)
        mine.__exit__(None, None, None)
        return team.size

    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            assert sorted(pool.map(train, range(3))) == [1, 1, 2]


def test_crews_within_crews():
    def within(rank):
        with crew(4) as inner:
            return inner.size, together(inner)

    with crew(4) as team:
        assert team.run(within) == [(1, [0])] * 4
    for rank, expected in [(0, (2, [0, 1])), (1, (1, [0]))]:  # a fourth is left, but not for helpers
        with crew(2) as team:
            assert team.run(lambda me, rank=rank: within(me) if me == rank else None)[rank] == expected


def double_bookings(crews_each):
    """How often a thread was lent to two at a time, while several threads made crews of many sizes."""
    lock, lent, twice = threading.Lock(), set(), []

    def caller(seed):
        sizes = random.Random(seed)
        for _ in range(crews_each):
            with crew(sizes.randint(1, 12)) as team:
                members = team.run(lambda rank: threading.get_ident())
                with lock:
                    twice.extend(lent.intersection(members))
                    twice.extend(members[len(set(members)) :])
                    lent.update(members)
                assert team.run(lambda rank: rank) == list(range(team.size))
                with lock:
                    lent.difference_update(members)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(caller, range(5)))
    return len(twice)


def test_several_threads_make_crews():
    assert double_bookings(100) == 0


def test_a_helper_lent_twice_would_be_noticed(monkeypatch):
    def twofold(team, most):
        team._helpers = threads._helpers[: most - 1]

    size(3)
    monkeypatch.setattr(threads.Team, "_recruit", twofold)
    assert double_bookings(20)


def test_work_goes_on_alone_where_no_thread_can_be_started(monkeypatch):
    def refuse(helper):
        raise RuntimeError("can't start new thread")

    started = len(threads._helpers)
    monkeypatch.setattr(threads._Helper, "start", refuse)
    with crew(started + 5) as team:
        assert together(team) == list(range(1 + started))


# --- errors


class Planted(Exception):
    pass


@pytest.mark.parametrize(("failing", "raised"), [([0], 0), ([2], 2), ([1, 2], 1), ([0, 1], 0), ([0, 1, 2], 0)])
def test_errors_are_raised_when_all_have_ended(failing, raised):
    started = threading.Barrier(3)
    others_wait, ended = threading.Event(), []

    def work(rank):
        started.wait(PATIENCE)
        try:
            if rank in failing:
                raise Planted(rank)
            assert others_wait.wait(PATIENCE)
        finally:
            ended.append(rank)

    with crew(3) as team:
        with pytest.raises(Planted) as caught:
            team.run(work, release=others_wait.set)
        assert sorted(ended) == [0, 1, 2]
        assert caught.value.args == (raised,)
        assert together(team) == [0, 1, 2]


def test_helpers_with_nothing_left_to_do_are_not_waited_for():
    """Not even begun, or not ended: the crew may go, and the next one has them again."""
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def work(rank):
        if rank > 0:
            begun.set()
            assert go_on.wait(PATIENCE)
            ended.append(rank)
        return rank

    with crew(2) as team:
        helper = team._helpers[0]
        assert team.run(work, done=lambda result: begun.wait(PATIENCE)) == [0]
        assert team.run(lambda rank: rank, done=lambda result: result == 0) == [0]  # which waits in line
        assert ended == []
        threading.Timer(0.05, go_on.set).start()
        assert team.run(lambda rank: rank, done=lambda result: False) == [0, 1]
        assert ended == [1]
    with crew(2) as team:
        assert team._helpers == [helper]
        assert together(team) == [0, 1]


def test_an_error_is_raised_whatever_is_done():
    def work(rank):
        if rank == 0:
            raise Planted(rank)

    with crew(2) as team, pytest.raises(Planted):
        team.run(work, done=lambda result: True)


def test_release_is_not_called_without_an_error():
    called = []
    with crew(2) as team:
        assert team.run(lambda rank: -rank, lambda: called.append(1)) == [0, -1]
    assert called == []


@pytest.mark.parametrize("failing", [None, 0, 1])
def test_work_is_not_kept(failing):
    """What work leads to is gone with it, without the help of the garbage collector."""

    class Memory:
        pass

    def use():
        memory = Memory()

        def work(rank):
            assert memory
            if rank == failing:
                raise Planted

        with crew(2) as team:
            try:
                team.run(work)
            except Planted:
                assert failing is not None
            else:
                assert failing is None
        return weakref.ref(memory)

    gc.disable()
    try:
        left = use()
        deadline = time.monotonic() + PATIENCE
        while left() and time.monotonic() < deadline:
            time.sleep(0.001)  # the helper is just about to let go of it
            if FREE_THREADED:  # Python itself leaves functions to the collector
                gc.collect()
        assert left() is None
    finally:
        gc.enable()


# --- interrupts


def interrupt_in_the_midst(work, release):
    """Whether `run` raised KeyboardInterrupt, with nobody at work any more."""
    with crew(2) as team:
        try:
            team.run(work, release)
        except KeyboardInterrupt:
            return True
    return False


def test_an_interrupt_of_rank_0_waits_for_the_helper():
    meeting, go_on, ended = threading.Barrier(2), threading.Event(), []

    def work(rank):
        meeting.wait(PATIENCE)
        if rank == 0:
            signal.raise_signal(signal.SIGINT)
        assert go_on.wait(PATIENCE)
        ended.append(rank)

    assert interrupt_in_the_midst(work, go_on.set)
    assert ended == [1]


@needs_signals
@pytest.mark.parametrize("times", [1, 5])
def test_interrupts_while_the_helper_is_waited_for(times):
    main, ended = threading.get_ident(), []

    def work(rank):
        if rank == 1:
            for _ in range(times):
                time.sleep(0.02)  # until rank 0 waits
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.02)
        ended.append(rank)

    assert interrupt_in_the_midst(work, lambda: None)
    assert ended == [0, 1]


def interrupted_at(moment):
    """Two ranks meet, and this thread is interrupted at the n-th moment in threads.py when Python looks for signals:
    after a call, at the beginning of a function and of each round of a loop. Whether there is such a moment.

    That a lock's `with` cannot be interrupted once it has the lock is CPython's business."""
    seen, previous = 0, {}
    meeting, released, at_work, forgotten = threading.Barrier(2), threading.Event(), [False, False], []

    def release():
        released.set()
        meeting.abort()

    def trace(frame, event, _):
        nonlocal seen
        if frame.f_code.co_filename not in (threads.__file__, contextlib.__file__):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0).strip()
            if previous.get(frame) in ("CALL", "RESUME", "JUMP_BACKWARD") and not line.startswith("with "):
                seen += 1
                if seen == moment:
                    raise KeyboardInterrupt
            previous[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        return trace

    def work(rank):
        at_work[rank] = True
        try:
            meeting.wait(PATIENCE)
        except threading.BrokenBarrierError:
            if not released.is_set():
                forgotten.append(rank)
        at_work[rank] = False

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        with crew(2) as team:
            team.run(work, release)
    except KeyboardInterrupt:
        sys.settrace(outer)
        assert (at_work, forgotten) == ([False, False], [])
        return True
    finally:
        sys.settrace(outer)
        previous.clear()  # its frames
    return False


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="Python 3.12 does not trace instructions reliably")
def test_an_interrupt_at_any_moment():
    """None hangs, none leaves a rank at work, and (see `all_is_given_back`) none costs a helper."""
    moments = 1
    while interrupted_at(moments):
        moments += 1
    assert moments > 30
