"""Crews and whole processes: forks, the interpreter's end, other packages that care for threads."""

import os

import pytest
from processes import FREE_THREADED, fresh

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# --- forks

IN_PARENT_AND_CHILD = """
import os, sys, threading, warnings
from fastmlp.kernels.runtime import threads
from fastmlp.kernels.runtime.threads import crew

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and newer warn of any fork beside threads

def together():
    with crew(3) as team:
        meeting = threading.Barrier(team.size)
        team.run(lambda rank: meeting.wait(30))
        return team.size

def fork(check):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


@needs_fork
def test_a_forked_process_has_helpers_of_its_own():
    code = "together()\nprint(fork(lambda: together() == 3 and fork(lambda: together() == 3) == 0), together())"
    assert fresh(IN_PARENT_AND_CHILD + code).split() == ["0", "3"]


@needs_fork
def test_a_fork_while_another_thread_has_a_crew_at_work():
    code = """
working, go_on = threading.Barrier(4), threading.Event()

def work(rank):
    working.wait(30)
    go_on.wait(30)
    return rank

def train():
    with crew(3) as team:
        print(team.run(work))

trainer = threading.Thread(target=train)
trainer.start()
working.wait(30)
print(fork(lambda: together() == 3))
go_on.set()
trainer.join()
"""
    assert fresh(IN_PARENT_AND_CHILD + code) == "0\n[0, 1, 2]\n"


@needs_fork
def test_a_fork_while_another_thread_holds_the_lock():
    code = """
held, go_on = threading.Event(), threading.Event()

def hold():
    with threads._lock:
        held.set()
        go_on.wait(30)

holder = threading.Thread(target=hold)
holder.start()
held.wait(30)
print(fork(lambda: together() == 3))
go_on.set()
holder.join()
print(together())
"""
    assert fresh(IN_PARENT_AND_CHILD + code).split() == ["0", "3"]


@needs_fork
def test_a_fork_within_a_crew():
    """The child's copy of the crew is this thread alone; a new crew has helpers."""
    code = """
with crew(3) as team:
    print(fork(lambda: (team.size, team.run(lambda rank: rank), together()) == (1, [0], 3)))
    print(team.run(lambda rank: rank))
"""
    assert fresh(IN_PARENT_AND_CHILD + code) == "0\n[0, 1, 2]\n"


@needs_fork
def test_a_fork_that_forgot_nothing_would_be_noticed():
    code = """
def check():
    with crew(3) as team:
        return not any(helper.is_alive() for helper in team._helpers)

together()
threads._forget.__code__ = (lambda: None).__code__
print(fork(check))
"""
    assert fresh(IN_PARENT_AND_CHILD + code) == "0\n"


# --- the interpreter's end

AT_WORK_FOR_EVER = """
import atexit, threading, time
from fastmlp.kernels.runtime.threads import crew

both = threading.Barrier(3)

def work(rank):
    both.wait(30)
    time.sleep(DURATION)  # as a kernel does it: without the GIL

def train():
    both_met = False
    while True:
        with crew(2) as team:
            team.run(work if team.size == 2 and not both_met else lambda rank: time.sleep(0.001))
            both_met = True

threading.Thread(target=train, daemon=True).start()
both.wait(30)
"""


@pytest.mark.parametrize("duration", ["0.02", "1000"])
def test_the_interpreter_ends_while_a_helper_is_at_work(duration):
    assert fresh(AT_WORK_FOR_EVER.replace("DURATION", duration) + "print('ends')") == "ends\n"


def test_helpers_end_before_the_interpreter():
    code = """
import atexit, threading

sizes = []

@atexit.register
def afterwards():  # registered first, called last
    with threads.crew(3) as team:
        sizes.append(team.size)
    print(*sizes, threading.active_count())

from fastmlp.kernels.runtime import threads

@atexit.register
def before():
    with threads.crew(3) as team:
        sizes.append(len(team.run(lambda rank: rank)))

with threads.crew(3) as team:
    sizes.append(len(team.run(lambda rank: rank)))
"""
    assert fresh(code).split() == ["3", "3", "1", "1"]


@pytest.mark.skipif(FREE_THREADED, reason="Python has cleared the standard library by then")
def test_an_object_may_work_as_the_last_modules_go():
    code = """
from fastmlp.kernels.runtime.threads import crew

class Last:
    def __init__(self):
        self.crew = crew
    def __del__(self):
        with self.crew(2) as team:
            print(team.run(lambda rank: rank))

last = Last()
with crew(2) as team:
    print(team.run(lambda rank: rank))
"""
    assert fresh(code) == "[0, 1]\n[0]\n"


# --- with other packages


def test_threadpoolctl_limits_crews():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
import os, threading
from fastmlp.kernels.runtime.limits import most_threads
from fastmlp.kernels.runtime.threads import crew
from threadpoolctl import threadpool_info, threadpool_limits

def size():
    with crew(3) as team:
        return team.size

def elsewhere(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    return answers[0]

def told():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "fastmlp"]

print(most_threads(), size(), told())
with threadpool_limits(2):
    print(most_threads(), size(), told(), elsewhere(size))
    with threadpool_limits(1):
        print(most_threads(), size(), told())
    with threadpool_limits(1, user_api="blas"):
        print(most_threads(), size(), told())
    with threadpool_limits({"fastmlp": 1}):
        print(most_threads(), size(), told())
    print(most_threads(), size(), told())
print(most_threads(), size(), told())
with threadpool_limits(8):
    print(most_threads(), size(), told())
os.environ["FASTMLP_NUM_THREADS"] = "5"
print(most_threads())
"""
    assert fresh(code, FASTMLP_NUM_THREADS="3").splitlines() == [
        "3 3 [3]",
        "2 2 [2] 3",  # this thread's limit
        "1 1 [1]",
        "2 2 [2]",
        "1 1 [1]",
        "2 2 [2]",
        "3 3 [3]",
        "3 3 [3]",  # a limit does not raise the number
        "5",  # nor does one stay that is over
    ]


def test_threadpoolctl_limits_the_first_crew():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
from threadpoolctl import threadpool_limits
from fastmlp.kernels.runtime.threads import crew

with threadpool_limits(1), crew(2) as team:
    print(team.size)
"""
    assert fresh(code) == "1\n"


def test_joblibs_processes_share_the_cpus():
    pytest.importorskip("joblib", reason="joblib is not installed")
    code = """
import os
from joblib import Parallel, cpu_count, delayed
from fastmlp.kernels.runtime.limits import most_threads
from fastmlp.kernels.runtime.threads import crew

def size(_):
    with crew(most_threads()) as team:
        return team.size

for workers in (1, 2):
    print(sum(Parallel(workers, backend="loky")(delayed(size)(i) for i in range(workers))) <= max(workers, cpu_count()))
"""
    assert fresh(code).split() == ["True", "True"]
