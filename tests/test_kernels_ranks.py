"""Threads that share a batch: what each takes, how they meet, and that their number changes no bit."""

import threading

import numpy as np
import pytest
from cases import HIDDEN, case, optimizers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_memory import poison
from test_kernels_network import plan_to_train

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.layers.plan import PLAN
from fastmlp.kernels.runtime import threads
from fastmlp.kernels.runtime.training import Schedule


@pytest.fixture(autouse=True)
def three_cpus(monkeypatch):
    """Helpers for three ranks, wherever the tests run."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")


def plan_of(rank, ranks):
    (plan,) = PLAN.views(np.zeros(len(PLAN), np.int64), 1)
    plan.rank, plan.ranks = rank, ranks
    return plan


# --- shares


@given(rows=st.integers(0, 500), ranks=st.integers(1, 9))
def test_rows_are_dealt_in_order_and_none_is_left(level, rows, ranks):
    namespace = _namespace("float32", level)
    shares = [namespace["share_of_rows"](plan_of(rank, ranks), rows) for rank in range(ranks)]
    assert [row for first, last in shares for row in range(first, last)] == list(range(rows))
    sizes = [last - first for first, last in shares if last > first]
    if ranks > 1 and rows >= namespace["TILE_ROWS"]:  # a tile cut in two would sum in another order
        assert min(sizes) >= namespace["TILE_ROWS"]
        assert max(sizes) - min(sizes) <= 1
    else:
        assert len(sizes) <= 1


@given(vectors=st.integers(1, 19), height=st.integers(1, 300), ranks=st.integers(1, 9))
def test_panel_rows_are_dealt_in_order_and_none_is_left(level, vectors, height, ranks):
    namespace = _namespace("float32", level)
    lanes, panel, tile = (namespace[name] for name in ("LANES", "PANEL", "TILE_ROWS"))
    taken = [0] * ranks
    for column in range(0, vectors * lanes, panel):
        of_row = min(panel, vectors * lanes - column) // lanes
        shares = [
            namespace["share_of_panel"](plan_of(rank, ranks), column, vectors * lanes, height) for rank in range(ranks)
        ]
        assert [row for first, last in shares for row in range(first, last)] == list(range(height))
        sizes = [last - first for first, last in shares]
        assert all(size in (0, height) or size >= tile for size in sizes)  # a tile cut in two sums in another order
        taken = [sum(pair) for pair in zip(taken, [size * of_row for size in sizes], strict=True)]
    if vectors * height >= ranks * 2 * tile:  # then there is enough for all: but for less than a tile at either end
        assert all(abs(count - vectors * height / ranks) <= 2 * 2 * tile for count in taken)


@given(vectors=st.integers(0, 500), ranks=st.integers(1, 9))
def test_vectors_are_dealt_in_order_and_none_is_left(level, vectors, ranks):
    namespace = _namespace("float32", level)
    count = vectors * namespace["LANES"]
    shares = [namespace["share_of_vectors"](plan_of(rank, ranks), count) for rank in range(ranks)]
    assert [number for first, last in shares for number in range(first, last)] == list(range(count))
    assert all(first % namespace["LANES"] == 0 for first, _ in shares)


# --- meetings


def test_nobody_leaves_a_meeting_before_all_have_come(kernel_backend):
    """Two ranks write in turn: each sees what the other wrote before the meeting."""
    network = case((3, 40, 2), "tanh", "identity", "mean_squared_error", "float32", 64)
    plan = plan_to_train(kernel_backend, network, SGD(0.01), 32)
    plans = plan.ranks(2)
    ends = []

    def run(rank):
        plan.library.call("run", plans[rank], 0, 2)
        ends.append(rank)

    helper = threading.Thread(target=run, args=(1,))
    helper.start()
    helper.join(0.05)
    assert ends == []  # it waits at the first meeting
    run(0)
    helper.join()
    assert sorted(ends) == [0, 1]


def test_a_released_rank_returns_and_leaves_the_parameters_alone(kernel_backend):
    network = case((3, 40, 2), "tanh", "identity", "mean_squared_error", "float32", 64)
    plan = plan_to_train(kernel_backend, network, SGD(0.01), 32)
    before = plan._arrays["packed"].copy()
    second = plan.ranks(2)[1]
    results = []
    helper = threading.Thread(target=lambda: results.append(plan.library.call("run", second, 0, 2)))
    helper.start()
    plan.release_ranks()
    helper.join()
    assert results == [0]
    assert plan._arrays["packed"].tobytes() == before.tobytes()


# --- bits


def train(backend, network, schedule, numbers):
    """Parameters, state and losses as bits, after stretches run by these numbers of threads."""
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    training = executor.training(network.X, network.y, state, schedule)
    steps = schedule.epochs * training.steps_per_epoch
    cuts = [steps * i // len(numbers) for i in range(len(numbers) + 1)]
    for first, last, number in zip(cuts, cuts[1:], numbers, strict=False):
        assert training.run(first, last, number) == last
    training.collect()
    return [executor.parameters.tobytes(), state.tobytes(), training.losses.tobytes()]


SHAPES = [(5, 19, 7, 3), (40, 70, 35, 2), (2, 2, 2), (100, 130, 33, 10), (17, 300, 10), (1, 1, 2)]
SHAPES += [(150, 64, 3), (130, 256, 20, 9, 2)]  # whose second layers are summed in parts


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("batch_size", [130, 64, 50, 35, 13, 7, 1])
def test_the_number_of_threads_changes_no_bit(fast_backend, dtype, sizes, batch_size):
    network = case(sizes, "tanh", "softmax", "categorical_cross_entropy", dtype, 130)
    for optimizer in optimizers(learning_rate=0.05):
        schedule = Schedule(optimizer, batch_size, 2, shuffle_key=7)
        alone = train(fast_backend, network, schedule, [1])
        for numbers in ([2], [3], [1, 3, 2, 1]):
            assert train(fast_backend, network, schedule, numbers) == alone


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("batch_size", [130, 64, 50, 35, 13, 1])
def test_nor_where_layers_are_updated_one_by_one(fast_backend, dtype, sizes, batch_size):
    network = case(sizes, "tanh", "softmax", "categorical_cross_entropy", dtype, 130)
    schedule = Schedule(SGD(0.05), batch_size, 2, shuffle_key=7, update_first=True)
    alone = train(fast_backend, network, schedule, [1])
    for numbers in ([2], [3], [1, 3, 2, 1]):
        assert train(fast_backend, network, schedule, numbers) == alone


@pytest.mark.parametrize("hidden", HIDDEN)
def test_nor_what_the_neurons_compute_that_they_share(kernel_backend, dtype, hidden):
    """Every activation by parts of rows; the next layer has one output, or more."""
    for sizes in ((60, 40, 1), (60, 40, 3)):
        network = case(sizes, hidden, "identity", "mean_squared_error", dtype, 50)
        schedule = Schedule(SGD(0.001), 24, 2, shuffle_key=7)
        assert plan_to_train(kernel_backend, network, SGD(), 24).shares_first_layer()
        assert train(kernel_backend, network, schedule, [2]) == train(kernel_backend, network, schedule, [1])


@settings(max_examples=3)
@given(data=st.data())
def test_the_number_of_threads_changes_no_bit_on_any_level(level, dtype, data):
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=3).map(lambda s: (*s, 2)))
    network = case(sizes, "tanh", "softmax", "categorical_cross_entropy", dtype, 30)
    schedule = Schedule(Adam(0.05), data.draw(st.integers(1, 30)), 1, shuffle_key=7)
    backend = Backend("interpreted", Interpreted(level))
    assert train(backend, network, schedule, [1]) == train(backend, network, schedule, [2, 3])


def test_ranks_that_share_wrongly_are_caught(level, dtype, monkeypatch):
    """A share that leaves out a row, which then is what fresh scratch holds."""
    namespace = _namespace(dtype, level)
    right = namespace["share_of_rows"]

    def wrong(plan, rows):
        first, last = right(plan, rows)
        return (first, last) if plan.rank == 0 else (first + 1, last)

    network = case((3, 5, 2), "tanh", "softmax", "categorical_cross_entropy", dtype, 30)
    schedule, backend = Schedule(SGD(0.05), 30, 1), Backend("interpreted", Interpreted(level))
    alone = train(backend, network, schedule, [1])
    poison(monkeypatch, 0x11)
    assert train(backend, network, schedule, [2]) == alone
    monkeypatch.setitem(namespace, "share_of_rows", wrong)
    # a helper may still be on its way home from the training before, and this one then be alone
    assert any(train(backend, network, schedule, [2]) != alone for _ in range(20))


@pytest.mark.parametrize("forgotten", ["backward_first_layer", "call_by_rows"])
def test_neurons_that_are_shared_wrongly_are_caught(level, dtype, monkeypatch, forgotten):
    """What is only called where ranks share the first layer, left out."""
    network = case((60, 40, 2), "tanh", "softmax", "categorical_cross_entropy", dtype, 60)
    schedule, backend = Schedule(SGD(0.05), 20, 1), Backend("interpreted", Interpreted(level))
    alone = train(backend, network, schedule, [1])
    poison(monkeypatch, 0x11)
    assert train(backend, network, schedule, [2]) == alone
    monkeypatch.setitem(_namespace(dtype, level), forgotten, lambda *arguments: None)
    assert any(train(backend, network, schedule, [2]) != alone for _ in range(20))  # as above


@pytest.mark.parametrize("forgotten", ["join_parts", "share_of_weights"])
@pytest.mark.parametrize("update_first", [False, True])
def test_parts_that_are_shared_wrongly_are_caught(level, dtype, monkeypatch, forgotten, update_first):
    """The sum of the parts, left out, and shares of weights that leave some out."""
    network = case((150, 64, 2), "tanh", "identity", "mean_squared_error", dtype, 60)
    schedule = Schedule(SGD(0.05), 30, 1, update_first=update_first)
    backend = Backend("interpreted", Interpreted(level))
    alone = train(backend, network, schedule, [1])
    poison(monkeypatch, 0x11)
    assert train(backend, network, schedule, [2]) == alone
    namespace = _namespace(dtype, level)
    right = namespace["share_of_weights"]

    def less(plan, l, column, rows):
        first, last = right(plan, l, column, rows)
        return first, last - (l == 1 and plan.rank == 0)

    wrong = {"join_parts": lambda *arguments: None, "share_of_weights": less}
    monkeypatch.setitem(namespace, forgotten, wrong[forgotten])
    assert any(train(backend, network, schedule, [2]) != alone for _ in range(20))  # as above


def test_divergence_is_seen_by_all_ranks(kernel_backend):
    network = case((3, 40, 2), "relu", "identity", "mean_squared_error", "float32", 64)
    results = []
    for number in (1, 2, 3):
        executor = network.executor(kernel_backend)
        training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(1e15), 32, 9))
        results.append((training.run(0, 18, number), training.steps_done, executor.parameters.tobytes()))
    assert results[0][0] < 18
    assert results[0] == results[1] == results[2]


def overflowing():
    """Of the packed parameters only some at the end overflow, in a step from a finite loss."""
    network = case((60, 40, 2), "tanh", "identity", "mean_squared_error", "float32", 24)
    weights = network.parameters[60 * 40 + 40 :][: 40 * 2].reshape(40, 2)
    weights[:, 1] = 0  # through which the first layer gets nothing of what follows
    network.y[:, 1] = 1e17
    return network, Schedule(SGD(1e25), 24, 1)


def stops_at_once(network, schedule, backend, threads):
    executor = network.executor(backend)
    before = executor.parameters.tobytes()
    training = executor.training(network.X, network.y, network.state(SGD()), schedule)
    return training.run(0, 1, threads) == 0 and executor.parameters.tobytes() == before


@pytest.mark.parametrize("number", [1, 2, 3])
def test_parameters_that_only_the_last_rank_looks_at_stop_all(kernel_backend, number):
    assert stops_at_once(*overflowing(), kernel_backend, number)


def test_a_rank_that_does_not_look_is_caught(level, monkeypatch):
    namespace, backend = _namespace("float32", level), Backend("interpreted", Interpreted(level))
    right = namespace["share_of_vectors"]
    monkeypatch.setitem(
        namespace, "share_of_vectors", lambda plan, count: right(plan, count) if plan.rank == 0 else (0, 0)
    )
    assert not all(stops_at_once(*overflowing(), backend, 2) for _ in range(20))  # as above


def test_helpers_really_work(kernel_backend, monkeypatch):
    """The path of two ranks is taken, not that of one."""
    used = []
    run = threads.Team.run
    monkeypatch.setattr(threads.Team, "run", lambda team, *rest, **o: used.append(team.size) or run(team, *rest, **o))
    network = case((3, 40, 2), "tanh", "identity", "mean_squared_error", "float32", 64)
    train(kernel_backend, network, Schedule(SGD(0.01), 32, 1), [2])
    assert used == [2]
