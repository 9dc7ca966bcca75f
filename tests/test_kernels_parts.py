"""The second layer's sums in parts: nobody reads what another has not written yet, and the bits are those of one."""

import time
from dataclasses import replace

import numpy as np
import pytest
from cases import case
from test_kernels_ranks import train
from test_sparse import rows as sparse_rows

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _address, _namespace
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS

LEVEL = LEVELS["x86-64-v3"]
BATCH = 14


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "4")
    _address.cache_clear()
    yield
    _address.cache_clear()


# --- how many there are


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ((784, 128, 10), 4),
        ((784, 128, 10, 5), 4),
        ((120, 32, 2), 2),  # as many whole panels
        ((90, 96, 2), 2),
        ((90, 48, 2), 0),  # three panels
        ((90, 72, 2), 0),  # the last is not whole
        ((784, 128, 50), 2),  # four would be more than the first layer says
        ((784, 128, 128), 0),
        ((784, 128, 1), 0),  # it is single
        ((784, 128), 0),  # there is but one layer
        ((20, 128, 10), 0),  # the first is small
    ],
)
def test_they_depend_on_the_shape_alone(sizes, parts):
    for samples, batch_size in ((60, BATCH), (61, 60), (30, 1), (500, 400)):
        network = case(sizes, "tanh", "identity", "mean_squared_error", "float32", samples)
        who = Backend("interpreted", Interpreted(LEVEL))
        for X in (network.X, np.asfortranarray(network.X), sparse_rows(samples, sizes[0])):
            training = network.executor(who).training(
                X, network.y, network.state(SGD()), Schedule(SGD(), batch_size, 1)
            )
            assert training._plan.words.parts == parts


# --- bits


SHAPES = [(150, 64, 3), (130, 256, 20, 9, 2)]


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize(("batch", "rest"), [(BATCH, 0), (BATCH, 2), (BATCH, 12), (50, 20)])
@pytest.mark.parametrize("update_first", [False, True])
def test_bits_are_those_of_one_thread(fast_backend, dtype, sizes, batch, rest, update_first):
    network = case(sizes, "tanh", "identity", "mean_squared_error", dtype, 5 * batch + rest)
    for optimizer in [SGD(0.05)] if update_first else [SGD(0.05), Adam(0.05)]:
        schedule = Schedule(optimizer, batch, 20, shuffle_key=7, update_first=update_first)
        alone = train(fast_backend, network, schedule, [1])
        for numbers in ([2], [3], [4], [4, 1, 2]):
            assert train(fast_backend, network, schedule, numbers) == alone


# --- meetings

REST = 2  # so few rows that ranks have other shares of the first layer than before
SHARED = [((120, 32, 2), 2, 0), ((120, 32, 2), 2, 1), ((60, 64, 5, 2), 4, 1), ((60, 64, 2), 4, 2)]


def dawdling(namespace, name, slow):
    """Let one rank be late with what it does in a function: what it still reads and writes, others should not."""
    right = namespace[name]

    def late(plan, *arguments):
        if plan.rank == slow:
            time.sleep(0.004)
        return right(plan, *arguments)

    return late


def bits(network, schedule, ranks):
    return train(Backend("interpreted", Interpreted(LEVEL)), network, schedule, [ranks])


def shared(sizes, update_first, epochs=2):
    """Batches of which each rank has rows, and a small one."""
    network = case(sizes, "tanh", "identity", "mean_squared_error", "float64", 2 * 24 + REST)
    return network, Schedule(SGD(0.05), 24, epochs, shuffle_key=7, update_first=update_first)


@pytest.mark.parametrize(
    "name", ["forward_first_layer", "sums_of_parts", "join_parts", "loss", "backward_first_layer", "descend", "unpack"]
)
@pytest.mark.parametrize("update_first", [False, True])
@pytest.mark.parametrize(("sizes", "ranks", "slow"), SHARED)
def test_nobody_is_waited_for_too_little(monkeypatch, name, update_first, sizes, ranks, slow):
    """Not before a last batch of another way either."""
    namespace, (network, schedule) = _namespace("float64", LEVEL), shared(sizes, update_first)
    alone = bits(network, schedule, 1)
    monkeypatch.setitem(namespace, name, dawdling(namespace, name, slow))
    assert bits(network, schedule, ranks) == alone


@pytest.mark.parametrize("update_first", [False, True])
@pytest.mark.parametrize(("sizes", "ranks", "slow"), [SHARED[1], SHARED[3]])
def test_a_meeting_that_is_missing_before_a_small_batch_is_caught(monkeypatch, update_first, sizes, ranks, slow):
    namespace, (network, schedule) = _namespace("float64", LEVEL), shared(sizes, update_first, 1)
    alone, right, asked = bits(network, schedule, 1), namespace["ranks_have_parts"], set()
    monkeypatch.setitem(namespace, "descend", dawdling(namespace, "descend", slow))

    def wrong(plan, rows):
        """For each rank, only when the step before asks whether to meet."""
        if rows == REST and plan.rank not in asked:
            asked.add(plan.rank)
            return True
        return right(plan, rows)

    def differs():
        asked.clear()
        return bits(network, schedule, ranks) != alone

    assert bits(network, schedule, ranks) == alone
    monkeypatch.setitem(namespace, "ranks_have_parts", wrong)
    # a helper may still be on its way home from the training before, and this one then be alone
    assert any(differs() for _ in range(20))


def test_missing_meetings_are_caught(monkeypatch):
    namespace, (network, schedule) = _namespace("float64", LEVEL), shared((60, 64, 2), False)
    alone = bits(network, schedule, 1)
    monkeypatch.setitem(namespace, "descend", dawdling(namespace, "descend", 1))
    monkeypatch.setitem(namespace, "meet", lambda plan: True)
    assert any(bits(network, schedule, 2) != alone for _ in range(20))  # as above


# --- zeros


@pytest.mark.parametrize("update_first", [False, True])
@pytest.mark.parametrize("rest", [2, BATCH])
def test_large_deltas_of_one_rank_end_what_is_left_out_for_all(kernel_backend, monkeypatch, update_first, rest):
    """Weights of its neurons may be infinite soon, and those then be another's: 0 * infinity is NaN."""
    monkeypatch.setattr("fastmlp.kernels.runtime.training.MANY_FEATURES", 1)
    batch = 24
    network = case((400, 64, 2), "relu", "identity", "mean_squared_error", "float64", batch + rest)
    network = replace(network, y=np.zeros((batch + rest, 2)))
    network.X[...] = 0
    network.X[:, 5] = 1
    network.X[0, 1] = 1e200  # the feature is zero afterwards
    network.parameters[...] = 0
    biases, above = np.split(network.parameters[400 * 64 :][: 64 + 64 * 2], [64])
    biases[:32], biases[32:] = 1, 1e-120
    above[:64] = 1e-3
    above[64:] = 1e120  # of the last ranks' neurons
    schedule = Schedule(SGD(1e-3), batch, 1, stop_at_nonfinite=False, update_first=update_first)

    def parameters(cuts):
        executor = network.executor(kernel_backend)
        training = executor.training(network.X, network.y, network.state(SGD()), schedule)
        assert training._plan.words.masks
        assert training._plan.words.parts
        for first, last, threads in cuts:
            training.run(first, last, threads)
        assert training._plan._arrays["large_deltas"][0] == 1
        training.collect()
        return executor.parameters

    alone = parameters([(0, 2, 1)])
    assert np.isnan(alone).any()
    for cuts in ([(0, 2, 2)], [(0, 2, 4)], [(0, 1, 2), (1, 2, 2)], [(0, 1, 2), (1, 2, 1)]):
        np.testing.assert_array_equal(np.isnan(parameters(cuts)), np.isnan(alone))
