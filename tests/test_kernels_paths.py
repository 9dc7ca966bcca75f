"""Which way kernels go: each has a test that is known to take it. What the ways compute is compared elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from cases import case, optimizers
from test_sparse import rows

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _address, _namespace
from fastmlp.kernels.functions.disturbance import Disturbance
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.functions.regularization import Regularization
from fastmlp.kernels.runtime import prediction
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS

LEVEL = LEVELS["x86-64-v3"]


@pytest.fixture(autouse=True)
def entries_of_their_own():
    """Entries are bound once and kept: not those of this module."""
    _address.cache_clear()
    yield
    _address.cache_clear()


@pytest.fixture
def taken(monkeypatch):
    """The names of kernels that were called, as a set that fills."""
    namespace, names = _namespace("float32", LEVEL), set()

    def recorded(name, function):
        def call(*arguments):
            names.add(name)
            return function(*arguments)

        return call

    for name, value in list(namespace.items()):
        if getattr(value, "__module__", "").startswith("fastmlp.kernels") and callable(value):
            monkeypatch.setitem(namespace, name, recorded(name, value))
    return names


def train(sizes, batch_size, threads=1, weights=None, X=None, normalizations=(), optimizer=None, **options):
    optimizer = optimizer or SGD(0.1)
    network = case(sizes, "tanh", "identity", "mean_squared_error", "float32", 33)
    network.model = replace(network.model, normalizations=normalizations)
    network.parameters = np.zeros(network.model.parameter_count, np.float32)
    who = network.executor(Backend("interpreted", Interpreted(LEVEL)))
    schedule = Schedule(optimizer, batch_size, 1, shuffle_key=1, **options)
    X = network.X if X is None else X
    training = who.training(X, network.y, network.state(optimizer), schedule, None, weights)
    training.run(0, training.steps_per_epoch, threads)
    return who


def test_batches_take_tiles(taken):
    train((3, 4, 2), 11)
    assert {"take_step", "weighted_sums", "panel_gradient", "input_gradient", "transpose_panel"} <= taken
    assert not {"step_on_row", "forward_row", "outer_product"} & taken


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", [SGD(), Adam()])
@pytest.mark.parametrize(
    ("outputs", "share", "panels"),
    [(64, 0.5, 2), (64, 0.7, None), (20, 0.3, 1), (20, 0.5, None), (8, 0, None)],  # panels are 16 wide
)
def test_masks_are_taken_where_enough_is_zero(taken, monkeypatch, threads, optimizer, outputs, share, panels):
    vectors, tile = set(), _namespace("float32", LEVEL)["masked_tile"]
    monkeypatch.setitem(
        _namespace("float32", LEVEL), "masked_tile", lambda v, *others: (vectors.add(v), tile(v, *others))
    )
    X = np.random.default_rng(0).uniform(1, 2, (33, 300)).astype(np.float32)
    X[:, int(300 * share) :] = 0
    train((300, outputs, 2), 11, threads, X=X, optimizer=optimizer)
    masked = {"masked_sums", "masked_gradient"}
    assert (taken & masked) == (masked if panels else set())
    assert max(vectors, default=0) == 2 * (panels or 0)


def test_a_single_sample_takes_the_lean_way(taken):
    for optimizer, way in ((SGD(), "descend_by_product"), (Adam(), "outer_product")):
        taken.clear()
        train((3, 9, 2), 1, optimizer=optimizer)
        assert {"step_on_row", "forward_row", way, "product_with_row"} <= taken
        assert not {"take_step", "weighted_sums", "panel_gradient", "input_gradient"} & taken


def test_small_networks_stay_in_vectors(taken):
    train((3, 4, 2), 1)
    assert {"steps_on_vectors", "delta_below"} <= taken
    assert not {"step_on_row", "take_step"} & taken


def test_updates_layer_by_layer_do_not(taken):
    train((3, 4, 2), 1, update_first=True)
    assert "step_on_row" in taken
    assert "steps_on_vectors" not in taken


def test_weights_are_paid_for_only_when_there_are_any(taken):
    train((3, 4, 2), 1)
    train((3, 4, 2), 11)
    assert "weigh" not in taken
    taken.clear()
    train((3, 4, 2), 1, weights=np.ones(33))
    assert {"step_on_row", "weigh"} <= taken
    assert "steps_on_vectors" not in taken


@pytest.mark.parametrize(("sizes", "single"), [((9, 1), True), ((8, 1), False), ((9, 2), False), ((2, 9, 1), True)])
@pytest.mark.parametrize("batch_size", [1, 11])
def test_a_single_output_of_many_inputs_takes_dot_products(taken, sizes, single, batch_size):
    train(sizes, batch_size)
    assert {"weighted_sums_of_single", "single_gradient"} <= taken or not single
    assert single or not {"weighted_sums_of_single", "single_gradient", "input_gradient_of_single"} & taken
    assert ("input_gradient_of_single" in taken) == (sizes == (2, 9, 1))


@pytest.mark.parametrize(
    ("sizes", "batch_size", "taken_by_vectors"),
    [((3, 1), 11, True), ((3, 9, 1), 32, True), ((3, 1), 1, False), ((3, 2), 11, False)],
)
def test_losses_of_a_single_output_are_taken_by_vectors(taken, sizes, batch_size, taken_by_vectors):
    train(sizes, batch_size)
    assert ("losses_of_single" in taken) == taken_by_vectors


def test_a_single_sample_left_over_takes_it_too(taken):
    train((3, 4, 2), 32)
    assert {"step_on_row", "take_step"} <= taken


@pytest.mark.parametrize(("inputs", "outputs", "by_tiles"), [(8, 8, False), (9, 8, True), (8, 9, True)])
def test_layers_of_one_vector_do_without_tiles(taken, inputs, outputs, by_tiles):
    train((inputs, outputs), 1)
    assert ("multiply_row" in taken) == by_tiles


@pytest.mark.parametrize("optimizer", optimizers(), ids=str)
@pytest.mark.parametrize("batch_size", [1, 11])
def test_gradient_descent_takes_its_steps_where_the_gradient_is_computed(taken, optimizer, batch_size):
    train((9, 40, 2), batch_size, optimizer=optimizer)
    assert ("step_of_part" in taken) == optimizer.formula.is_plain_sgd == (optimizer == SGD())
    assert ("update" in taken) != optimizer.formula.is_plain_sgd


@pytest.mark.parametrize(
    ("sizes", "options"),
    [((9, 1), {}), ((9, 20), {"X": rows(33, 9)}), ((9, 20), {"regularization": Regularization(clip_norm=1.0)})],
    ids=["single", "sparse", "clipped"],
)
def test_gradient_descent_waits_for_gradients_that_are_made_elsewhere(taken, sizes, options):
    train(sizes, 11, **options)
    assert "gradient_of_part" in taken
    assert "step_of_part" not in taken


def test_threads_meet(taken, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train((3, 4, 2), 16, threads=2)
    assert {"meet", "cut", "all_agree"} <= taken


def test_threads_meet_before_and_after_the_update_of_a_layer(taken, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train((3, 4, 2), 16, threads=2, update_first=True)
    assert {"descend", "meet", "cut"} <= taken


WIDE = (60, 40, 2)  # more weights than numbers in a batch of 15


def test_threads_share_the_neurons_of_a_layer_with_many_inputs(taken, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train(WIDE, 15, threads=2)
    assert {"forward_first_layer", "backward_first_layer"} <= taken


@pytest.mark.parametrize(
    ("sizes", "batch_size", "threads", "options"),
    [
        (WIDE, 15, 1, {}),
        (WIDE, 33, 2, {}),  # more numbers in a batch than weights
        (WIDE, 16, 2, {}),  # the last batch is a single sample
        (WIDE, 1, 2, {}),
        ((60, 40), 15, 2, {}),  # its activations are outputs
        (WIDE, 15, 2, {"disturbance": Disturbance(input_noise=0.1)}),
        (WIDE, 15, 2, {"regularization": Regularization(rate_factors=(0, 1))}),
    ],
)
def test_otherwise_they_share_rows(taken, monkeypatch, sizes, batch_size, threads, options):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train(sizes, batch_size, threads, **options)
    assert not {"forward_first_layer", "backward_first_layer"} & taken


PANELS = (90, 64, 5, 2)  # the first layer has four whole panels


@pytest.mark.parametrize(
    ("sizes", "batch_size", "threads", "options"),
    [
        (PANELS, 15, 2, {}),
        (PANELS, 15, 4, {}),
        ((120, 32, 2), 11, 2, {}),
        (PANELS, 15, 2, {"update_first": True}),
    ],
)
def test_threads_of_whole_panels_read_little_of_each_other(taken, monkeypatch, sizes, batch_size, threads, options):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", str(threads))
    train(sizes, batch_size, threads, **options)
    assert {"deltas_by_parts", "forward_first_layer", "sums_of_parts", "join_parts", "backward_first_layer"} <= taken


@pytest.mark.parametrize(
    ("sizes", "batch_size", "threads", "options", "in_parts"),
    [
        (PANELS, 15, 1, {}, True),
        (PANELS, 15, 3, {}, True),
        (PANELS, 15, 2, {"regularization": Regularization(l2=0.1)}, True),
        (PANELS, 15, 2, {"normalizations": (None, "layer", None)}, True),
        (PANELS, 4, 2, {}, False),  # less than a tile
        (PANELS, 33, 2, {"disturbance": Disturbance(input_noise=0.1)}, True),
        ((90, 48, 2), 15, 2, {}, False),
        ((90, 40, 2), 15, 2, {}, False),
        ((120, 32, 1), 15, 2, {}, False),  # it is single
    ],
)
def test_otherwise_they_read_activations(taken, monkeypatch, sizes, batch_size, threads, options, in_parts):
    """Or there is but one; parts are summed all the same, so that the bits are."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", str(threads))
    train(sizes, batch_size, threads, **options)
    assert "deltas_by_parts" not in taken
    assert ({"sums_of_parts", "join_parts"} <= taken) == in_parts


@pytest.mark.parametrize("X", [np.ones((60, 33)).T, rows(33, 60)], ids=["columns", "sparse"])
def test_so_they_do_where_every_rank_would_read_samples_slowly(taken, monkeypatch, X):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train(WIDE, 15, 2, X=X)
    assert not {"forward_first_layer", "backward_first_layer"} & taken


def test_so_they_do_in_a_normalized_layer(taken, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    train(WIDE, 15, 2, normalizations=("layer", None))
    assert not {"forward_first_layer", "backward_first_layer"} & taken


def test_predictions_gather_what_they_must(monkeypatch):
    """Samples of another type, with gaps, or in rows that would fall on each other in the cache."""
    loaded = []
    namespace = _namespace("float32", LEVEL)
    load = namespace["load_samples"]
    monkeypatch.setitem(namespace, "load_samples", lambda *arguments: loaded.append(1) or load(*arguments))
    plain = np.zeros((3, 1024), np.float32)
    for X, gathered in (
        (plain[:, :1000].copy(), False),
        (plain[:, :1000], True),
        (np.zeros((3, 1000)), True),
        (np.zeros((3, 2000), np.float32)[:, ::2], True),
        (np.zeros((1000, 3), np.float32).T, True),
    ):
        loaded.clear()
        network = case((1000, 2), (), "identity", "mean_squared_error", "float32", 3)
        who = network.executor(Backend("interpreted", Interpreted(LEVEL)))
        assert prediction.may_stay(X, network.model) != gathered
        who.predict(X)
        assert bool(loaded) == gathered
