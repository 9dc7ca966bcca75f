"""How many threads a work takes, on machines that are made up: their time is counted, not measured."""

import random

import pytest

from fastmlp.kernels.runtime import pace
from fastmlp.kernels.runtime.pace import Pace

STEP = 1e-4  # seconds that a step takes one thread


class Machine:
    """speed(seconds from the start, threads, seconds since several threads began): times as fast as one thread."""

    def __init__(self, speed, noise=0.0, seed=0):
        self.speed, self.noise = speed, noise
        self.random = random.Random(seed)
        self.now = self.together = 0.0
        self.used = {}  # threads: seconds

    def clock(self):
        return self.now

    def run(self, threads, steps):
        if threads == 1:
            self.together = 0.0
        speed = self.speed(self.now, threads, self.together)
        seconds = steps * STEP / speed * max(0.3, self.random.gauss(1.0, self.noise))
        self.now += seconds
        self.together += seconds if threads > 1 else 0.0
        self.used[threads] = self.used.get(threads, 0.0) + seconds
        return seconds


def train(machine, seconds, chosen):
    """Do what takes one thread so many seconds, as `training.run` does it; the seconds that it took."""
    started, left, stretch = machine.now, round(seconds / STEP), 1
    while left:
        steps, threads = min(left, stretch), chosen.threads
        took = machine.run(threads, steps)
        chosen.told(threads, steps, took)
        left -= steps
        stretch = max(1, min(10 * stretch, int(steps * chosen.seconds / took)))
    return machine.now - started


def steady(*speeds):
    """Speeds of 1, 2, 4, ... threads, for ever."""
    return lambda now, threads, together: speeds[threads.bit_length() - 1]


def alternating(first, second, period):
    """Of two threads: their second CPU is taken away and given back."""
    return lambda now, threads, together: 1.0 if threads == 1 else (first, second)[int(now / period) % 2]


def deceptive(good_for):
    """Two threads are fast until the scheduler finds that another process had no CPU for so long."""
    return lambda now, threads, together: 1.0 if threads == 1 else 1.9 if together < good_for else 0.03


MACHINES = {
    **{f"gain {gain}": steady(1.0, gain) for gain in (1.9, 1.3, 1.1, 1.0, 0.97, 0.93, 0.9, 0.8, 0.5, 0.1)},
    **{f"1.9 or {x} for {t} s": alternating(1.9, x, t) for x in (0.5, 0.1) for t in (0.1, 0.3, 1.0, 3.0)},
    **{f"1.1 or 0.5 for {t} s": alternating(1.1, 0.5, t) for t in (0.1, 1.0)},
    **{f"1.9, 0.03 after {t} s": deceptive(t) for t in (0.003, 0.006, 0.02, 0.1)},
}
MANY_CPUS = {
    "eight are free": steady(1.0, 1.95, 3.8, 7.0),
    "four of two threads each": steady(1.0, 1.95, 3.8, 3.2),
    "one is taken": steady(1.0, 1.9, 3.5, 0.6),
    "too little work": steady(1.0, 0.9, 0.7, 0.3),
    "two are far apart": steady(1.0, 0.8, 0.9, 0.7),
}


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch):
    monkeypatch.setattr(pace, "_lesson", (-pace.MEMORY, 0))


# --- long works


@pytest.mark.parametrize("name", MACHINES)
def test_two_threads_cost_no_more_than_5_percent(name):
    for seed in range(3):
        machine = Machine(MACHINES[name], noise=0.1, seed=seed)
        assert train(machine, 20.0, Pace(2, machine.clock)) <= 1.05 * 20.0


@pytest.mark.parametrize("name", MANY_CPUS)
def test_more_threads_cost_no_more_than_5_percent_and_the_best_number_is_found(name):
    speed = MANY_CPUS[name]
    best = max(speed(0.0, threads, 0.0) for threads in (1, 2, 4, 8))
    for seed in range(3):
        machine = Machine(speed, noise=0.1, seed=seed)
        assert train(machine, 20.0, Pace(8, machine.clock)) <= 1.05 * 20.0 / best


@pytest.mark.parametrize("gain", [1.9, 1.3, 1.1])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.15])
def test_the_gain_is_had(gain, noise):
    for seed in range(3):
        machine = Machine(steady(1.0, gain), noise, seed)
        assert train(machine, 20.0, Pace(2, machine.clock)) <= 1.1 * 20.0 / gain


class Sleeper(Machine):
    """Two threads are slow for a while after a rest."""

    def __init__(self, slow, awake_after, noise=0.1, seed=0):
        super().__init__(self.at, noise, seed)
        self.slow, self.awake_after, self.woke = slow, awake_after, -1.0

    def at(self, now, threads, together):
        return 1.0 if threads == 1 else self.slow if now - self.woke < self.awake_after else 1.9

    def rest(self):
        self.now += 0.5
        self.woke = self.now


@pytest.mark.parametrize("slow", [1.4, 0.95, 0.65])
def test_work_that_rests_now_and_then_is_fast_soon_after_it_wakes(slow):
    machine = Sleeper(slow, 0.05)
    chosen = Pace(2, machine.clock)
    train(machine, 2.0, chosen)
    took = 0.0
    for _ in range(20):
        machine.rest()
        took += train(machine, 0.5, chosen)
    best = 0.05 + (0.5 - slow * 0.05) / 1.9
    assert took <= 1.1 * 20 * best


@pytest.mark.parametrize("seconds", [0.005, 0.01, 0.02, 0.03])
def test_rests_never_make_threads_cost_more_than_5_percent(seconds):
    """Two threads paid as long as the work was; in short ones they never come to it."""
    machine = Sleeper(0.65, 0.05)
    chosen = Pace(2, machine.clock)
    train(machine, 2.0, chosen)
    took = 0.0
    for _ in range(round(5.0 / seconds)):
        machine.rest()
        took += train(machine, seconds, chosen)
    assert took <= 1.05 * 5.0


def test_a_cpu_that_another_process_took_during_a_rest_is_given_up():
    machine = Machine(lambda now, threads, together: 1.0 if threads == 1 else 1.9 if now < 2.0 else 0.3)
    chosen = Pace(2, machine.clock)
    train(machine, 2.0, chosen)
    machine.now += 2.0
    assert train(machine, 1.0, chosen) <= 1.05


def test_hiccups_do_not_decide():
    machines = [Machine(steady(1.0, 1.9), noise=0.25, seed=seed) for seed in range(10)]
    assert sum(train(machine, 20.0, Pace(2, machine.clock)) for machine in machines) <= 10 * 1.25 * 20.0 / 1.9


class Paused(Machine):
    """Once in `every` seconds, another process has one of two CPUs for a while."""

    def __init__(self, every, pause, gain=1.55, noise=0.05, seed=0):
        super().__init__(steady(1.0, gain), noise, seed)
        self.every, self.pause, self.pauses = every, pause, 0

    def run(self, threads, steps):
        before, seconds = self.now, super().run(threads, steps)
        if threads > 1 and int(self.now / self.every) > int(before / self.every):
            self.pauses += 1
            self.now += self.pause
            seconds += self.pause
        return seconds


@pytest.mark.parametrize("every", [1.0, 3.0])
@pytest.mark.parametrize("pause", [0.01, 0.03, 0.1])
def test_a_pause_costs_little_more_than_itself(every, pause):
    for seed in range(3):
        machine = Paused(every, pause, seed=seed)
        took = train(machine, 20.0, Pace(2, machine.clock))
        assert machine.pauses >= 3
        assert took <= 1.05 * 20.0 / 1.55 + 2 * machine.pauses * pause


def test_only_what_threads_saved_pays_for_pauses(monkeypatch):
    monkeypatch.setattr(pace, "RESERVE", 0.0)
    with pytest.raises(AssertionError):
        test_a_pause_costs_little_more_than_itself(1.0, 0.03)


def test_a_cpu_that_is_given_back_is_used():
    machine = Machine(lambda now, threads, together: 1.0 if threads == 1 else 0.5 if now < 10.0 else 1.9, noise=0.1)
    chosen = Pace(2, machine.clock)
    while machine.now < 10.0:
        train(machine, 0.1, chosen)
    assert machine.used[2] < 0.05 * machine.used[1]
    machine.used.clear()
    train(machine, 19.0, chosen)
    assert machine.used[1] < 0.1 * machine.used[2]


def test_a_cold_beginning_hides_no_gain():
    """Threads that pay again, but not while they wake."""
    machine = Machine(
        lambda now, threads, together: 1.0 if threads == 1 else 0.5 if now < 1.0 else 1.0 if together < 0.004 else 1.2
    )
    chosen = Pace(2, machine.clock)
    train(machine, 2.0, chosen)
    machine.used.clear()
    train(machine, 10.0, chosen)
    assert machine.used[1] < 0.1 * machine.used[2]


def test_one_look_would_not_see_it(monkeypatch):
    monkeypatch.setattr(pace, "PROMISING", pace.BETTER)
    with pytest.raises((AssertionError, KeyError)):
        test_a_cold_beginning_hides_no_gain()


def test_one_thread_is_left_alone():
    machine = Machine(steady(1.0))
    assert train(machine, 1.0, Pace(1, machine.clock)) == pytest.approx(1.0)


@pytest.mark.parametrize("careless", [{"SHARE": 0.2}, {"BETTER": 0.8}, {"EFFORT": -0.01}, {"COLLAPSE": 0.001}])
def test_carelessness_would_be_noticed(monkeypatch, careless):
    for name, value in careless.items():
        monkeypatch.setattr(pace, name, value)
    machines = [Machine(speed, noise=0.1) for speed in MACHINES.values()]
    assert max(train(machine, 20.0, Pace(2, machine.clock)) for machine in machines) > 1.05 * 20.0


# --- short works


@pytest.mark.parametrize("gain", [1.9, 0.5])
@pytest.mark.parametrize("seconds", [0.001, 0.005, 0.02])
def test_calls_that_share_a_pace_are_one_work(gain, seconds):
    machine = Machine(steady(1.0, gain), noise=0.1)
    chosen = Pace(2, machine.clock)
    took = 0.0
    for _ in range(round(5.0 / seconds)):
        took += train(machine, seconds, chosen)
        machine.now += 2.0  # seconds in between
    assert took <= 1.05 * 5.0 / max(1.0, gain)


def test_what_one_work_learned_holds_for_others_for_a_while():
    machine = Machine(steady(1.0, 0.5, 0.4))
    assert Pace(4, machine.clock).threads == 4
    train(machine, 0.1, Pace(4, machine.clock))
    assert [Pace(most, machine.clock).threads for most in (4, 3, 2, 1)] == [1, 1, 1, 1]
    took = sum(train(machine, 0.02, Pace(4, machine.clock)) for _ in range(20))
    assert took == pytest.approx(20 * 0.02)
    machine.now += 0.8 * pace.MEMORY - took
    assert Pace(4, machine.clock).threads == 1
    machine.now += 0.2 * pace.MEMORY
    assert Pace(4, machine.clock).threads == 4


def test_that_threads_pay_again_is_learned_too():
    machine = Machine(lambda now, threads, together: 1.0 if threads == 1 else 0.5 if now < 0.5 else 1.9)
    chosen = Pace(2, machine.clock)
    train(machine, 0.4, chosen)
    assert Pace(2, machine.clock).threads == 1
    train(machine, 1.0, chosen)
    assert Pace(2, machine.clock).threads == 2


# --- what stretches say


def test_numbers_that_are_tried():
    assert [Pace(most)._numbers for most in (1, 2, 3, 6, 8)] == [[1], [1, 2], [1, 3], [1, 3, 6], [1, 2, 4, 8]]


def test_one_slow_stretch_is_a_hiccup_and_two_are_not():
    def after(*speeds):
        machine = Machine(steady(1.0, 1.9))
        chosen = Pace(2, machine.clock)
        train(machine, 0.1, chosen)
        assert chosen.threads == 2
        for speed in speeds:
            chosen.told(2, 100, machine.run(2, 100) * 1.9 / speed)
        return chosen.threads

    assert [after(), after(1.0), after(1.0, 1.9), after(1.0, 1.0)] == [2, 2, 2, 1]
    assert after(0.3) == 1  # too slow to wait and see


def test_stretches_with_fewer_threads_than_wanted_do_not_confuse():
    """Helpers are busy elsewhere: what one thread does says nothing of two."""
    chosen = Pace(4)
    for _ in range(100):
        chosen.told(2 if chosen.threads == 4 else 3, 1.0, 0.001)
        assert chosen.threads == 4
    for _ in range(100):
        chosen.told(chosen.threads, 1.0 * chosen.threads, 0.001)
    assert chosen._chosen == 4


def test_a_long_time_without_helpers_gives_no_credit():
    machine = Machine(steady(1.0, 0.5))
    chosen = Pace(2, machine.clock)
    train(machine, 0.1, chosen)
    for _ in range(100_000):
        chosen.told(1, 100, machine.run(1, 100))
    assert train(machine, 1.0, chosen) <= 1.05


def test_the_first_stretches_are_short():
    chosen = Pace(2)
    assert (chosen.threads, chosen.seconds) == (2, pace.SHORT)
    chosen.told(2, 1, pace.SHORT / 2)
    assert (chosen.threads, chosen.seconds) == (2, pace.SHORT)
    chosen.told(2, 1, pace.SHORT / 2)
    assert (chosen.threads, chosen.seconds) == (1, pace.SHORT)


def test_nothing_done_in_no_time():
    chosen = Pace(2)
    for work, seconds in [(0, 0.0), (0, 0.1), (1, 0.0), (1, 0.0), (5, 0.1), (0, 0.1), (5, 0.1)]:
        chosen.told(chosen.threads, work, seconds)
    assert chosen.threads in (1, 2)
