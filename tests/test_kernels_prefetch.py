"""Samples of large data, and where their targets begin, are asked for before they are read: they, and no others."""

import numpy as np
import pytest
from cases import case

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _address, _namespace
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.layers import layout
from fastmlp.kernels.layers.samples import CACHE_LINE
from fastmlp.kernels.runtime import training
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary import simd
from fastmlp.kernels.vocabulary.levels import LEVELS

LEVEL = LEVELS["x86-64-v3"]
SAMPLES = 70
FEATURES = 21  # a sample begins in the middle of a cache line, and is longer than one
TINY = 3  # so few that a small network takes its own way


@pytest.fixture
def asked(monkeypatch):
    """The addresses that kernels ask for."""
    addresses, namespace = [], _namespace("float64", LEVEL)
    _address.cache_clear()
    check = namespace["prefetch"]
    monkeypatch.setitem(namespace, "prefetch", lambda address: addresses.append(address) or check(address))
    monkeypatch.setattr(training, "FAR", 0)
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    yield addresses
    _address.cache_clear()


def begin(X, network, batch_size, key):
    executor, state = network.executor(Backend("interpreted", Interpreted(LEVEL))), network.state(SGD())
    return executor.training(X, network.y, state, Schedule(SGD(0.01), batch_size, 1, key))


def check(asked, batch_size, key, source, features=FEATURES, threads=None):
    network = case((features, 3, 1), "tanh", "identity", "mean_squared_error", "float64", SAMPLES)
    X = (100 * network.X).astype(source)
    work = begin(X, network, batch_size, key)
    assert work._plan.words.in_registers == (features == TINY and batch_size == 1)
    ahead, row_bytes = max(batch_size, 2 * layout.AHEAD), X.strides[0]
    x, y = (getattr(work._plan.words, word) for word in ("x", "y"))
    for step in range(work.steps_per_epoch):
        asked.clear()
        work.run(step, step + 1, threads)
        order = range(SAMPLES) if key is None else work._plan._arrays["order"].tolist()
        first = step * batch_size + ahead
        rows = order[first : first + min(batch_size, SAMPLES - step * batch_size)]
        lines, targets = set(), set()
        for row in rows:
            begins = x + row * row_bytes
            lines |= {address // CACHE_LINE for address in range(begins, begins + features * X.itemsize)}
            targets.add((y + row * 8) // CACHE_LINE)
        assert {address // CACHE_LINE for address in asked} == lines | targets
    return work


@pytest.mark.parametrize("batch_size", [1, 5, 32, SAMPLES])
@pytest.mark.parametrize("key", [None, 3])
@pytest.mark.parametrize("source", ["float64", "float32", "uint8"])
def test_what_a_later_step_reads_is_asked_for(asked, batch_size, key, source):
    check(asked, batch_size, key, source)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_small_networks_ask_before_they_gather(asked, batch_size):
    check(asked, batch_size, 3, "float64", TINY)


def test_threads_ask_for_their_shares(asked):
    assert check(asked, 32, 3, "float64", threads=2).threads == 2


@pytest.mark.parametrize("key", [None, 3])
@pytest.mark.parametrize("batch_size", [5, 32])
@pytest.mark.parametrize("outputs", [3, 9, 40])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("many", [FEATURES, FEATURES + 1])  # what is zero is left out, and not
def test_long_samples_are_asked_for_while_a_gradient_is_summed(
    asked, monkeypatch, key, batch_size, outputs, threads, many
):
    """Those of the next batch, and all of them unless panels are shared unevenly, whatever is left out of this one."""
    monkeypatch.setitem(_namespace("float64", LEVEL), "SHORT_ROW", FEATURES * 8 - 1)
    monkeypatch.setattr(training, "MANY_FEATURES", many)
    network = case((FEATURES, outputs, 3), "tanh", "identity", "mean_squared_error", "float64", SAMPLES)
    network.X[:, 3:17] = 0
    work = begin(network.X, network, batch_size, key)
    assert bool(work._plan.words.masks) == (many == FEATURES and outputs > 3)
    x = work._plan.words.x
    for step in range(work.steps_per_epoch):
        asked.clear()
        work.run(step, step + 1, threads)
        order = range(SAMPLES) if key is None else work._plan._arrays["order"].tolist()
        rows = order[(step + 1) * batch_size : (step + 2) * batch_size]
        lines = set()
        for row in rows:
            begins = x + row * FEATURES * 8
            lines |= {address // CACHE_LINE for address in range(begins, begins + FEATURES * 8)}
        found = {address // CACHE_LINE for address in asked}
        assert found == lines if (threads, outputs) != (2, 9) else found <= lines


def test_a_step_that_asks_for_the_wrong_samples_is_caught(asked, monkeypatch):
    namespace = _namespace("float64", LEVEL)
    right = namespace["prefetch_samples"]
    monkeypatch.setitem(namespace, "prefetch_samples", lambda plan, sample, rows: right(plan, sample + 1, rows))
    with pytest.raises(AssertionError):
        check(asked, 5, 3, "float64")


def test_pointers_see_what_leads_out_of_the_data():
    array = np.zeros(3)
    with simd.visible([array]):
        simd.prefetch(array.ctypes.data + 23)
        with pytest.raises(IndexError):
            simd.prefetch(array.ctypes.data + 24)


@pytest.mark.parametrize("change", ["few", "large batch", "transposed"])
def test_nothing_is_asked_for_that_is_near_or_comes_by_itself(asked, monkeypatch, change):
    network = case((FEATURES, 3, 1), "tanh", "identity", "mean_squared_error", "float64", SAMPLES)
    X = network.X
    if change == "few":
        monkeypatch.setattr(training, "FAR", X.nbytes)
    elif change == "large batch":
        monkeypatch.setattr(training, "NEAR", 5 * FEATURES * 8 - 1)
    else:
        X = np.asfortranarray(X)
    begin(X, network, 5, 3).run(0, 3)
    assert asked == []
