"""What is zero in a batch is left out, and nobody can tell."""

from dataclasses import replace

import direct
import numpy as np
import pytest
from cases import case, optimizers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_memory import poison

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions.disturbance import Disturbance
from fastmlp.kernels.functions.optimizers import SGD, Adagrad, Adam
from fastmlp.kernels.functions.regularization import Regularization
from fastmlp.kernels.layers.plan import HEADER, LAYER, PLAN, RECORD
from fastmlp.kernels.layers.zeros import room_for_masks
from fastmlp.kernels.runtime import training
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary import simd
from fastmlp.kernels.vocabulary.levels import LEVELS

SAMPLES = 100
LEFT_OUT, TAKEN = 1, 10**6  # from how many features on those that are zero are left out


@pytest.fixture(autouse=True)
def three_cpus(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")


# --- what is not zero


def masked_columns(namespace, X, first, rows, deltas=1.0, panels=2):
    """What masks of samples, and of features, say is not zero, for each group; None: there are none."""
    features, lanes = X.shape[1], namespace["LANES"]
    stride, samples, width = -(-features // lanes) * lanes, len(X), panels * namespace["PANEL"]
    inputs, delta = direct.block(X, stride), direct.aligned(samples * width, X.dtype)
    delta[...] = deltas
    words, large = np.full(room_for_masks(features, samples), -1), np.zeros(1, np.int64)
    memory = np.zeros(HEADER + RECORD, np.int64)
    (words_of_plan,), (layer,) = PLAN.views(memory, 1), LAYER.views(memory, 1, HEADER)
    words_of_plan.inputs, words_of_plan.inputs_stride = inputs.ctypes.data, stride
    words_of_plan.masks, words_of_plan.large_deltas = words.ctypes.data, large.ctypes.data
    words_of_plan.batch_size, words_of_plan.ranks = samples, 1
    layer.fan_in, layer.delta = features, delta.ctypes.data
    layer.width = layer.stride = width
    plan = namespace["PLAN"](simd.Pointer(memory), 0)
    with simd.visible([inputs, delta, words, large]), np.errstate(invalid="ignore"):
        namespace["find_zeros"](plan, first, rows)
        namespace["find_zeros_of_features"](plan, rows)
        addresses = [namespace[name](plan) for name in ("masks_of_samples", "masks_of_features")]
    found = []
    for address, count, columns in zip(addresses, (rows, features), (features, rows), strict=True):
        begin, size = (address - words.ctypes.data) // 8, -(-columns // 64)
        starts = range(begin, begin + -(-count // simd.NEIGHBORS) * size, size)
        found.append([ones(words[s : s + size]) for s in starts] if address else None)
    return found


def ones(words):
    """The places of bits that are 1."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


def columns_of_neighbors(X):
    """For each two rows, the columns in which any is not zero."""
    groups = [X[begin : begin + 2] for begin in range(0, len(X), 2)]
    return [np.flatnonzero((rows != 0).any(axis=0)).tolist() for rows in groups]


@settings(max_examples=30)
@given(data=st.data())
def test_masks_hold_what_is_not_zero_and_nothing_else(level, dtype, data):
    features, rows = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 140))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    X = generator.choice([1, -2.5, np.nan, np.inf, 1e-30], size=(rows + 2, features)).astype(dtype)
    X[generator.random(X.shape) < data.draw(st.sampled_from([0, 0.3, 0.9, 1]))] = -0.0
    X[:, generator.random(features) < data.draw(st.sampled_from([0, 0.1, 0.5, 1]))] = 0
    panels = data.draw(st.sampled_from([1, 2]))
    found = masked_columns(_namespace(dtype, level), X[: rows + 1], 1, rows, panels=panels)
    X = X[1 : rows + 1]
    expected = columns_of_neighbors(X)
    dense = max((X[0] != 0).sum(), len(expected[0])) > panels / 3 * features
    assert found == ([None, None] if dense else [expected, columns_of_neighbors(X.T)])


def test_masks_by_hand(dtype):
    namespace = _namespace(dtype, LEVELS["x86-64-v3"])
    X = np.zeros((67, 70), dtype)
    X[0, 3], X[1, 69], X[2, 3], X[63, 62], X[64, 63], X[66, 2] = 1, -1, 2, 3, 4, 5
    of_samples = [[3, 69], [3], *([[]] * 29), [62], [63], [2]]
    of_features = [[], [0, 2, 66], *([[]] * 29), [63, 64], [], [], [1]]
    assert masked_columns(namespace, X, 0, 67) == [of_samples, of_features]
    for large in (1e11 if dtype == "float32" else 1e101, np.inf, np.nan):
        assert masked_columns(namespace, X, 0, 67, large) == [None, None]


def test_of_what_the_limit_is_a_share(dtype):
    """Two thirds where there are two panels, else one."""
    namespace = _namespace(dtype, LEVELS["x86-64-v3"])
    for panels in (1, 2):
        for count in (20 * panels, 20 * panels + 1):
            X = np.zeros((4, 60), dtype)
            X[1, :count] = 1
            assert (masked_columns(namespace, X, 0, 4, panels=panels)[0] is None) == (count > 20 * panels)


@settings(max_examples=20)
@given(data=st.data())
def test_bits_are_transposed(level, data):
    rows = data.draw(st.integers(1, 64))
    bits = np.zeros((64, 64), np.uint8)
    bits[:rows] = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 2, (rows, 64))
    words = np.packbits(bits, axis=1, bitorder="little").view(np.int64).reshape(-1)
    _namespace("float64", level)["transpose_bits"](simd.Pointer(words), rows)
    np.testing.assert_array_equal(np.unpackbits(words.view(np.uint8), bitorder="little").reshape(64, 64), bits.T)


# --- what comes of it


def network_with_zeros(sizes, dtype="float64", samples=SAMPLES):
    """In each batch other features are zero, some in all, one by a minus sign: few enough even for a single panel."""
    network = case(sizes, "tanh", "softmax", "categorical_cross_entropy", dtype, samples)
    X, columns = network.X, np.arange(sizes[0])
    X[:, columns % 16 < 11] = 0
    X[:, columns % 32 == 13] = -0.0
    X[: samples // 2, columns % 16 < 13] = 0
    X[25, 1::32] = 1
    return network


def train(monkeypatch, backend, network, schedule, many=LEFT_OUT, threads=1):
    """Parameters, optimizer's state and losses."""
    monkeypatch.setattr(training, "MANY_FEATURES", many)
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    average = executor.parameters.copy() if schedule.regularization.ema_decay else None
    work = executor.training(network.X, network.y, state, schedule, average)
    assert bool(work._plan.words.masks) == (many == LEFT_OUT)
    assert work.run(0, schedule.epochs * work.steps_per_epoch, threads) == schedule.epochs * work.steps_per_epoch
    if many == LEFT_OUT and not schedule.disturbance.input_noise:  # else nothing is zero
        large = work._plan._arrays["large_deltas"][0]
        assert work._plan._masks[0] == 1 - large  # there are, in the last batch of several samples
    work.collect()
    return [executor.parameters, state, work.losses, *([] if average is None else [average])]


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)  # -0 is 0


SHAPES = [(64, 20, 3), (64, 40, 3), (130, 70, 3), (300, 150, 3)]  # ranks share rows, and neurons; panels go in pairs
SHAPES.append((300, 128, 3))  # and the second layer's sums are made in parts


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("update_first", [False, True])
def test_no_number_changes(fast_backend, dtype, monkeypatch, sizes, threads, update_first):
    network = network_with_zeros(sizes, dtype)
    for optimizer in [SGD(0.05)] if update_first else optimizers(learning_rate=0.05):
        schedule = Schedule(optimizer, 25, 2, shuffle_key=7, update_first=update_first)
        ours = train(monkeypatch, fast_backend, network, schedule, threads=threads)
        assert_equal(ours, train(monkeypatch, fast_backend, network, schedule, TAKEN))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adagrad(0.05), Adam(0.05)])
def test_nor_in_large_batches(kernel_backend, dtype, monkeypatch, threads, optimizer):
    """Whose sums are made in parts."""
    network = network_with_zeros((300, 70, 3), dtype, 301)
    schedule = Schedule(optimizer, 150, 2, shuffle_key=7)
    ours = train(monkeypatch, kernel_backend, network, schedule, threads=threads)
    assert_equal(ours, train(monkeypatch, kernel_backend, network, schedule, TAKEN))


@pytest.mark.parametrize("garbage", [0x00, 0x7B])  # a large number
def test_frozen_layers_have_no_deltas_to_look_at(kernel_backend, monkeypatch, garbage):
    """In small batches that would be seen: where nothing is left out, sums are taken in another order."""
    network, wishes = network_with_zeros((64, 40, 3)), Regularization(rate_factors=(0.0, 1.0))
    poison(monkeypatch, garbage)
    executor = network.executor(kernel_backend)
    monkeypatch.setattr(training, "MANY_FEATURES", LEFT_OUT)
    work = executor.training(
        network.X, network.y, network.state(SGD()), Schedule(SGD(0.05), 4, 1, regularization=wishes)
    )
    work.run(0, work.steps_per_epoch)
    assert work._plan.words.masks


@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.05)])
def test_nor_on_any_level(level, dtype, monkeypatch, optimizer):
    network, backend = network_with_zeros((40, 20, 3), dtype), Backend("interpreted", Interpreted(level))
    for wishes in (Regularization(), Regularization(ema_decay=0.9)):
        schedule = Schedule(optimizer, 50, 1, shuffle_key=7, regularization=wishes)
        ours = train(monkeypatch, backend, network, schedule, threads=2)
        assert_equal(ours, train(monkeypatch, backend, network, schedule, TAKEN))


WISHES = [
    Regularization(l1=0.01, l2=0.1),
    Regularization(weight_decay=0.1, max_norm=1.0),
    Regularization(clip_norm=0.1, ema_decay=0.9),
    Regularization(rate_factors=(0.0, 1.0)),
    Regularization(rate_factors=(0.5, 1.0)),
]


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("threads", [1, 2])
def test_nor_where_steps_are_regularized(fast_backend, monkeypatch, wishes, threads):
    network = network_with_zeros((64, 40, 3))
    for optimizer in (SGD(0.05), Adam(0.05)):
        schedule = Schedule(optimizer, 25, 2, shuffle_key=7, regularization=wishes)
        ours = train(monkeypatch, fast_backend, network, schedule, threads=threads)
        assert_equal(ours, train(monkeypatch, fast_backend, network, schedule, TAKEN))


@pytest.mark.parametrize("normalizations", [(), ("layer", None), ("batch", None)])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [25, 33])  # which leaves one over
def test_nor_where_layers_are_normalized_or_disturbed(fast_backend, monkeypatch, normalizations, threads, batch_size):
    network = network_with_zeros((64, 40, 3))
    network.model = replace(network.model, normalizations=normalizations)
    network.parameters = np.random.default_rng(3).uniform(0.1, 0.3, network.model.parameter_count)
    for disturbance in (Disturbance(), Disturbance(input_dropout=0.7), Disturbance(input_noise=0.1)):
        for optimizer in (SGD(0.05), Adam(0.05)):
            schedule = Schedule(optimizer, batch_size, 2, shuffle_key=7, disturbance=disturbance)
            ours = train(monkeypatch, fast_backend, network, schedule, threads=threads)
            assert_equal(ours, train(monkeypatch, fast_backend, network, schedule, TAKEN))


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 99])
def test_small_batches_and_what_is_left_over(fast_backend, dtype, monkeypatch, batch_size):
    """Of few rows, sums are taken in another order."""
    network = network_with_zeros((64, 20, 3), dtype)
    schedule = Schedule(SGD(0.05), batch_size, 1, shuffle_key=7)
    looks = batch_size >= training.SEVERAL
    monkeypatch.setattr(training, "MANY_FEATURES", LEFT_OUT)
    executor = network.executor(fast_backend)
    work = executor.training(network.X, network.y, network.state(SGD()), schedule)
    assert bool(work._plan.words.masks) == looks
    work.run(0, work.steps_per_epoch)
    work.collect()
    expected = train(monkeypatch, fast_backend, network, schedule, TAKEN)[0]
    np.testing.assert_allclose(executor.parameters, expected, rtol=0, atol=2e-5 if dtype == "float32" else 1e-13)


def test_a_plan_that_is_used_again_looks_again_or_not(fast_backend, monkeypatch):
    """Other data, other settings: what the first training left behind is no part of the second."""
    network = network_with_zeros((64, 20, 3))
    monkeypatch.setattr(training, "MANY_FEATURES", LEFT_OUT)
    executor, state = network.executor(fast_backend), network.state(SGD())
    for X, stop in ((network.X, True), (network.X[:, ::-1], True), (network.X, False)):
        schedule = Schedule(SGD(0.05), 25, 1, stop_at_nonfinite=stop)
        executor.parameters[...] = network.parameters
        if not stop:
            executor.parameters[0] = np.inf
        work = executor.training(X, network.y, state, schedule)
        assert bool(work._plan.words.masks) == stop
        work.run(0, 4)
        work.collect()
        work.close()
        again = replace(network, parameters=network.parameters, X=X)
        if stop:
            np.testing.assert_array_equal(
                executor.parameters, train(monkeypatch, fast_backend, again, schedule, TAKEN)[0]
            )
            monkeypatch.setattr(training, "MANY_FEATURES", LEFT_OUT)


# --- planted errors

LEVEL = LEVELS["x86-64-v3"]
INTERPRETED = Backend("interpreted", Interpreted(LEVEL))


@pytest.mark.parametrize(
    ("optimizer", "name", "wrong"),
    [
        (SGD(0.05), "bits_of_sample", lambda right: lambda x, columns: right(x, columns) & ~(1 << 14)),
        (SGD(0.05), "mask_features", lambda right: lambda plan, first, i, _, rows: right(plan, first, i, i + 1, rows)),
        (SGD(0.05), "any_of_neighbors", lambda right: lambda bits: bits),
        (
            Adagrad(0.05),
            "mask_of_group",
            lambda right: lambda plan, feature, rows: right(plan, max(0, feature - 2), rows),
        ),
        (SGD(0.05), "is_blank", lambda right: lambda mask, words: True),
        (Adagrad(0.05), "is_left_out", lambda right: lambda plan, row, rows: row % 2 == 0),
    ],
)
def test_what_is_left_out_wrongly_is_caught(monkeypatch, optimizer, name, wrong):
    network = network_with_zeros((64, 40, 3))
    schedule = Schedule(optimizer, 25, 2, shuffle_key=7)
    poison(monkeypatch, 0x11)
    expected = train(monkeypatch, INTERPRETED, network, schedule, TAKEN)
    assert_equal(train(monkeypatch, INTERPRETED, network, schedule), expected)
    namespace = _namespace("float64", LEVEL)
    monkeypatch.setitem(namespace, name, wrong(namespace[name]))
    with pytest.raises(AssertionError):
        assert_equal(train(monkeypatch, INTERPRETED, network, schedule), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_deltas_end_it(kernel_backend, monkeypatch, threads):
    """Weights may be infinite soon, for features that are zero in some samples and not in others."""
    network = network_with_zeros((64, 20, 3))
    network.model = replace(network.model, activations=("relu", "identity"), loss="mean_squared_error")
    network.y = np.zeros((SAMPLES, 3))
    network.X[:, 1] = 0
    network.X[56, 1] = 1e20
    results = []
    for rate, many in ((1e-60, LEFT_OUT), (1e3, LEFT_OUT), (1e3, TAKEN)):
        monkeypatch.setattr(training, "MANY_FEATURES", many)
        executor = network.executor(kernel_backend)
        schedule = Schedule(SGD(rate), 100, 12, stop_at_nonfinite=False)
        work = executor.training(network.X, network.y, network.state(SGD()), schedule)
        work.run(0, 6, threads)
        looks = bool(work._plan.words.masks) and not work._plan._arrays["large_deltas"][0]
        work.run(6, 12, threads)
        work.collect()
        results.append((looks, executor.parameters.copy()))
    assert [looks for looks, _ in results] == [True, False, False]
    np.testing.assert_array_equal(results[1][1], results[2][1])
    assert not np.isfinite(results[2][1]).all()


def test_deltas_that_are_not_finite_reach_all_weights(kernel_backend, monkeypatch):
    """As where nothing is left out: 0 * infinity is NaN."""
    network = network_with_zeros((64, 40, 3))
    network.parameters *= 1e200
    model = replace(network.model, activations=("relu", "identity"), loss="mean_squared_error")
    network = replace(network, model=model)
    network.y = np.zeros((SAMPLES, 3))
    schedule = Schedule(SGD(0.05), 25, 1, stop_at_nonfinite=False)
    ours, expected = (train(monkeypatch, kernel_backend, network, schedule, many)[0] for many in (LEFT_OUT, TAKEN))
    np.testing.assert_array_equal(ours, expected)
    assert np.isnan(expected[:40]).any()  # weights of the first feature, which is zero
