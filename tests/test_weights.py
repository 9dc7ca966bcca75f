"""Weights of samples and classes: the loss is the sum of w_i l_i divided by the sum of w_i, and so is its gradient.

The oracle takes each sample on its own, and sums. Tolerances are those of rounding: sums of some tens of terms of order
one, 64 eps of the largest number.
"""

import copy

import numpy as np
import oracle
import pytest
from cases import HIDDEN, OUTPUTS, case, stepper
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.runtime.executor import CHUNK
from fastmlp.kernels.runtime.training import Schedule


def normalized(weights):
    return np.asarray(weights, float) * (len(weights) / np.sum(weights))


def some_weights(samples, seed=0):
    """Zeros among them."""
    generator = np.random.default_rng(seed)
    weights = generator.exponential(size=samples) * generator.integers(4, size=samples).clip(max=1)
    weights[0] = 0.5
    return weights


def expected_of(network, parameters, weights, rows=None):
    """The weighted loss and gradient, sample by sample; 0 where there is no weight."""
    rows = range(len(network.X)) if rows is None else rows
    value, gradient, total = 0.0, np.zeros(len(parameters)), 0.0
    for i in rows:
        one = slice(i, i + 1)
        l, g = oracle.loss_and_gradient(
            *network.formulas, network.model.loss, parameters, network.X[one], network.rows_of_y[one]
        )
        value, gradient, total = value + weights[i] * l, gradient + weights[i] * g, total + weights[i]
    return (value / total, gradient / total) if total else (0.0, gradient)


def assert_close(actual, expected, dtype, units=64):
    expected = np.asarray(expected)
    assert abs(np.asarray(actual) - expected).max() <= units * np.finfo(dtype).eps * max(1e-3, abs(expected).max())


def trained(who, network, schedule, weights, threads=None, steps=None):
    executor, state = network.executor(who), network.state(schedule.optimizer)
    training = executor.training(network.X, network.y, state, schedule, None, weights)
    steps = steps or schedule.epochs * training.steps_per_epoch
    assert training.run(0, steps, threads) == steps
    training.collect()
    return executor.parameters, state, training.losses


def bits(arrays):
    return [np.asarray(a).tobytes() for a in arrays]


# --- in the kernels


@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
@pytest.mark.parametrize("sizes", [(5, 19, 3)])
def test_loss_and_gradient_by_the_oracle(backend, dtype, output, loss, sizes):
    network = case(sizes, "tanh", output, loss, dtype, 11)
    weights = some_weights(11)
    value, gradient = expected_of(network, network.parameters, weights)
    executor = network.executor(backend)
    assert_close(executor.evaluate(network.X, network.y, normalized(weights)), value, dtype)
    results = executor.gradient(network.X, network.y, normalized(weights))
    assert_close(results[0], value, dtype)
    assert_close(results[1], gradient, dtype)
    with pytest.raises(AssertionError):
        assert_close(executor.gradient(network.X, network.y)[1], gradient, dtype)


def test_more_samples_than_a_chunk(fast_backend, dtype):
    network = case((4, 9, 2), "tanh", "identity", "mean_squared_error", dtype, 2 * CHUNK + 7)
    weights = some_weights(len(network.X))
    value, gradient = expected_of(network, network.parameters, weights)
    results = network.executor(fast_backend).gradient(network.X, network.y, normalized(weights))
    assert_close(results[0], value, dtype, units=256)
    assert_close(results[1], gradient, dtype, units=256)


@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.05, epsilon=1e-3)], ids=lambda o: o.name)
@pytest.mark.parametrize("key", [None, 12])
@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize("sizes", [(4, 9, 3), (3, 2, 2), (30, 1)])
def test_steps_are_divided_by_their_own_weights(backend, optimizer, key, batch_size, sizes):
    """Step by step as the oracle's optimizer does with gradients of the oracle, in batches with a smaller last one."""
    network = case(sizes, "tanh", "identity", "mean_squared_error", "float64", 11)
    weights = some_weights(11)
    weights[[4, 5, 6, 7]] = 0  # a batch of nothing, when samples come in their order
    schedule = Schedule(optimizer, batch_size, 2, key)
    parameters, state, losses = trained(backend, network, schedule, normalized(weights))

    update, vector, expected_state, t = stepper(optimizer), network.parameters, np.zeros(state.shape), 0
    for epoch in range(2):
        order, loss = list(range(11)) if key is None else oracle.shuffle(key, epoch, 11), 0.0
        for first in range(0, 11, batch_size):
            rows, t = order[first : first + batch_size], t + 1
            value, gradient = expected_of(network, vector, weights, rows)
            vector, expected_state = update(vector, expected_state, gradient, t)
            loss += value * weights[rows].sum() / weights.sum()
        np.testing.assert_allclose(losses[epoch], loss, rtol=1e-12)
    np.testing.assert_allclose(parameters, vector, atol=1e-12)
    np.testing.assert_allclose(state, expected_state, atol=1e-12)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("update_first", [False, True])
def test_weights_of_one_are_no_weights(backend, dtype, hidden, update_first):
    network = case((6, 19, 3), hidden, "softmax", "categorical_cross_entropy", dtype, 13)
    schedule = Schedule(SGD(0.1), 4, 2, 3, update_first=update_first)
    assert bits(trained(backend, network, schedule, np.ones(13))) == bits(trained(backend, network, schedule, None))
    executor = network.executor(backend)
    assert bits(executor.gradient(network.X, network.y, np.ones(13))) == bits(executor.gradient(network.X, network.y))


def test_a_plan_is_used_again_with_weights_and_without(backend):
    """Small networks take another way with weights: each training has to say which."""
    network = case((2, 2, 1), "tanh", "identity", "mean_squared_error", "float64", 9)
    executor, schedule = network.executor(backend), Schedule(SGD(0.1), 1, 1, 3)
    results = []
    for weights in (None, normalized(some_weights(9)), None, normalized(some_weights(9))):
        executor.parameters[:] = network.parameters
        executor.changed()
        training = executor.training(network.X, network.y, network.state(SGD()), schedule, None, weights)
        training.run(0, 9)
        training.collect()
        training.close()
        results.append(executor.parameters.tobytes())
    assert results[0] == results[2] != results[1] == results[3]


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads(kernel_backend, dtype, threads, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    network = case((20, 40, 3), "relu", "softmax", "categorical_cross_entropy", dtype, 101)
    weights, schedule = normalized(some_weights(101)), Schedule(Adam(0.01), 25, 2, 3)
    one = trained(kernel_backend, network, schedule, weights)
    assert bits(trained(kernel_backend, network, schedule, weights, threads)) == bits(one)


# --- properties that users rely on

FULL = 10**6


def made(loss="mean_squared_error", outputs=2, backend=None, dtype="float64"):
    return fastmlp.NeuralNetwork([3, 7, outputs], "tanh", loss=loss, dtype=dtype, seed=1, backend=backend)


def data(loss="mean_squared_error", outputs=2, samples=12):
    generator = np.random.default_rng(5)
    X = generator.normal(size=(samples, 3))
    if loss == "categorical_cross_entropy":
        return X, generator.integers(outputs, size=samples)
    return X, generator.random((samples, outputs)).round(0 if loss == "binary_cross_entropy" else 8)


LOSSES = ["mean_squared_error", "binary_cross_entropy", "categorical_cross_entropy"]


def results(network, X, y, sample_weight=None, batch_size=FULL, **options):
    network = copy.deepcopy(network)
    values = [network.evaluate(X, y, sample_weight), network.gradient(X, y, sample_weight)]
    options = {"learning_rate": 0.1, "seed": 2, **options}
    history = network.train(X, y, 5, batch_size=batch_size, sample_weight=sample_weight, **options)
    values += [history.loss, network.parameters]
    return [np.asarray(value) for value in values]


def assert_same(actual, expected, tolerance=1e-12):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance)


@settings(max_examples=30)
@given(counts=st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(any), loss=st.sampled_from(LOSSES))
@pytest.mark.parametrize("name", ["reference", "interpreted"])
def test_a_weight_of_two_is_the_row_twice_and_of_zero_no_row(name, counts, loss):
    X, y = data(loss)
    weighted = results(made(loss, backend=name), X, y, counts)
    repeated = results(made(loss, backend=name), X.repeat(counts, axis=0), y.repeat(counts, axis=0))
    assert_same(weighted, repeated)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_by_compiled_kernels(fast_backend, loss):
    X, y = data(loss)
    counts = [2, 0, 1, 1, 3, 0, 1, 2, 2, 1, 1, 1]
    weighted = results(made(loss, backend=fast_backend.name), X, y, counts)
    assert_same(weighted, results(made(loss, backend=fast_backend.name), X.repeat(counts, 0), y.repeat(counts, 0)))
    counts[0] = 3
    with pytest.raises(AssertionError):
        assert_same(weighted, results(made(loss, backend=fast_backend.name), X.repeat(counts, 0), y.repeat(counts, 0)))


@pytest.mark.parametrize("factor", [1e-300, 0.3, 7, 1e300])
@pytest.mark.parametrize("batch_size", [1, 5, FULL])
def test_scaling_all_weights_changes_nothing(backend, factor, batch_size):
    X, y = data()
    weights = some_weights(12)
    network = made(backend=backend.name)
    assert_same(results(network, X, y, weights * factor, batch_size), results(network, X, y, weights, batch_size))


@pytest.mark.parametrize("batch_size", [1, 5, FULL])
@pytest.mark.parametrize("equal", [1, 0.7, True])
def test_equal_weights_are_no_weights(backend, dtype, batch_size, equal):
    X, y = data()
    network = made(backend=backend.name, dtype=dtype)
    assert bits(results(network, X, y, [equal] * 12, batch_size)) == bits(results(network, X, y, None, batch_size))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_without_weight_make_no_step(backend, batch_size):
    X, y = data()
    network = made(backend=backend.name)
    before = network.parameters
    network.train(X[:11], y[:11], 1, 0.1, batch_size, shuffle=False, sample_weight=[0] * 8 + [1, 0, 0])
    after = network.parameters
    network.parameters = before
    network.train(X[8:9], y[8:9], 1, 0.1, 1)
    np.testing.assert_allclose(after, network.parameters, rtol=0, atol=1e-15)


def test_extreme_weights_in_one_call(backend, dtype):
    """The ratio of the largest to the smallest is beyond all numbers: nothing overflows, and nothing is NaN."""
    X, y = data()
    network = made(backend=backend.name, dtype=dtype)
    weights = np.array([1e-308, 5e-324, 1e308, 5e307, 0, 1e-320, 1, 1, 1, 1, 1, 1])
    for batch_size in (1, 2, FULL):
        for value in results(network, X, y, weights, batch_size, shuffle=False):
            assert np.isfinite(value).all()


# --- classes


@pytest.mark.parametrize("sample_weight", [None, np.arange(12.0)])
def test_classes_by_hand(backend, sample_weight):
    X, _ = data()
    y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    network = made("categorical_cross_entropy", 3, backend.name)
    given_weights = np.ones(12) if sample_weight is None else sample_weight
    for class_weight, of_class in (("balanced", [1 / 6, 1 / 3, 1 / 3]), ({0: 2, 2: 0.5}, [2, 1, 0.5])):
        expected = results(network, X, y, np.array(of_class)[y] * given_weights, batch_size=5)[2:]
        for targets in (y, np.eye(3)[y]):
            options = {"sample_weight": sample_weight, "batch_size": 5, "class_weight": class_weight}
            assert_same(results(network, X, targets, **options)[2:], expected)


def test_classes_of_a_single_output(backend):
    X, _ = data()
    y = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    network = made("binary_cross_entropy", 1, backend.name)
    expected = results(network, X, y, np.where(y == 1, 3, 1))[2:]
    for class_weight in ("balanced", {1: 3}, {0: 1 / 3}, {np.int64(1): 3.0}):
        for targets in (y, y.astype(bool), y[:, np.newaxis].astype(float)):
            assert_same(results(network, X, targets, class_weight=class_weight)[2:], expected)


def test_balanced_classes_that_do_not_occur():
    X, _ = data()
    y = np.array([0] * 8 + [2] * 4)
    network = made("categorical_cross_entropy", 4)
    assert_same(results(network, X, y, class_weight="balanced")[2:], results(network, X, y, np.where(y, 2, 1))[2:])


# --- what is refused

BAD = [
    ([1.0] * 11, r"sample_weight must be of shape \(12,\), got \(11,\)"),
    (np.ones((12, 1)), r"sample_weight must be of shape \(12,\), got \(12, 1\)"),
    (1.0, r"sample_weight must be of shape \(12,\), got \(\)"),
    ([1.0] * 7 + [-1.0] * 5, r"sample_weight must be finite numbers from 0 on, got -1.0 at sample_weight\[7\]"),
    ([1.0] * 7 + [np.nan] * 5, r"sample_weight must be finite numbers from 0 on, got nan at sample_weight\[7\]"),
    ([np.inf] + [1.0] * 11, r"sample_weight must be finite numbers from 0 on, got inf at sample_weight\[0\]"),
    ([0.0] * 12, r"sample_weight must be above 0 for some sample, got 0 for all"),
    ([1e308] * 12, "sample_weight must be such that their sum is a number, got inf"),
    (["a"] * 12, "sample_weight must be an array of real numbers, got text"),
]


@pytest.mark.parametrize(("weights", "message"), BAD)
def test_bad_weights_of_samples(weights, message):
    X, y = data()
    network = made()
    before = network.parameters
    for call in (network.evaluate, network.gradient, lambda X, y, w: network.train(X, y, 1, sample_weight=w)):
        with pytest.raises((ValueError, TypeError), match=message):
            call(X, y, weights)
    assert network.parameters.tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("even", "class_weight must be None, 'balanced' or a dict of classes' weights, got 'even'"),
        ([1, 2, 3], r"class_weight must be None, 'balanced' or a dict of classes' weights, got \[1, 2, 3\]"),
        ({3: 1}, "class_weight must be a dict whose keys are classes from 0 to 2, got 3"),
        ({"0": 1}, "class_weight must be a dict whose keys are classes from 0 to 2, got '0'"),
        ({1: -1}, r"class_weight\[1\] must be a finite number from 0 on, got -1"),
        ({1: np.nan}, r"class_weight\[1\] must be a finite number from 0 on, got nan"),
        ({1: "2"}, r"class_weight\[1\] must be a number, got '2'"),
        ({0: 0, 1: 0, 2: 0}, "class_weight must be above 0 for some sample, got 0 for all"),
    ],
)
def test_bad_weights_of_classes(weights, message):
    X, _ = data()
    network = made("categorical_cross_entropy", 3)
    with pytest.raises((ValueError, TypeError), match=message):
        network.train(X, np.arange(12) % 3, 1, class_weight=weights)


def test_weights_of_samples_and_classes_that_leave_nothing():
    X, _ = data()
    with pytest.raises(ValueError, match="sample_weight times class_weight must be above 0 for some sample"):
        made("categorical_cross_entropy", 2).train(
            X, [0] * 6 + [1] * 6, 1, sample_weight=[0] * 6 + [1] * 6, class_weight={1: 0}
        )


def test_targets_without_classes():
    X, y = data()
    with pytest.raises(ValueError, match=r"None where samples have no class, got loss 'mean_squared_error' with 2 o"):
        made().train(X, y, 1, class_weight="balanced")
    with pytest.raises(ValueError, match=r"None where samples have no class, got loss 'binary_cross_entropy' with 2 o"):
        made("binary_cross_entropy").train(X, y.round(), 1, class_weight="balanced")
    with pytest.raises(ValueError, match=r"None where targets are not certain, got y\[0\] = \[0.5, 0.5\]"):
        made("categorical_cross_entropy").train(X, np.full((12, 2), 0.5), 1, class_weight="balanced")
    with pytest.raises(ValueError, match=r"None where targets are not certain, got y\[1\] = \[0.25\]"):
        made("binary_cross_entropy", 1).train(X, [0] + [0.25] * 11, 1, class_weight="balanced")


# --- held out with their samples


def spied(network, monkeypatch):
    """What a training is given to train on, and to measure on: (y, weights) of each."""
    seen = {}

    def spy(name, asked):
        def record(X, y, *rest):
            seen[name] = y[:, 0], rest[-1]
            return asked(X, y, *rest)

        monkeypatch.setattr(network._executor, name, record)

    for name in ("training", "evaluation"):
        spy(name, getattr(network._executor, name))
    return seen


def test_weights_are_held_out_with_their_samples(monkeypatch):
    """Targets are 1, 2, ..., and so are weights: they stay side by side, and their mean is 1 on either side."""
    network = fastmlp.NeuralNetwork([1, 1], seed=3, dtype="float64")
    seen = spied(network, monkeypatch)
    y = np.arange(1.0, 21.0)
    network.train(y[:, np.newaxis] / 20, y, 1, 0.01, sample_weight=y, validation_fraction=0.25)
    sides = seen["training"], seen["evaluation"]
    assert sorted(np.concatenate([side[0] for side in sides])) == y.tolist()
    assert [len(side[0]) for side in sides] == [15, 5]
    for targets, weights in sides:
        np.testing.assert_allclose(weights, targets / targets.mean(), rtol=1e-14)


def test_weights_of_validation_data():
    X, y = np.arange(6.0)[:, np.newaxis], np.arange(6.0) ** 2
    weights = np.array([1.0, 0, 2, 0, 0, 3])
    network = fastmlp.NeuralNetwork([1, 1], seed=3, dtype="float64")
    history = network.train(X / 9, y, 2, 0.01, validation_data=(X, y, weights))
    errors = (network.predict(X)[:, 0] - y) ** 2
    assert history.validation_loss[-1] == pytest.approx((weights * errors).sum() / 6, rel=1e-12)
    with pytest.raises(
        ValueError, match=r"^validation_data\[2\] must be finite numbers from 0 on, got -1.0 at validat"
    ):
        network.train(X, y, 1, validation_data=(X, y, -np.ones(6)))
    with pytest.raises(TypeError, match=r"^validation_data must be \(X, y\) or \(X, y, sample_weight\), got"):
        network.train(X, y, 1, validation_data=(X,))


def test_a_side_without_weight_is_refused():
    X, y = np.arange(4.0)[:, np.newaxis], np.arange(4.0)
    network = fastmlp.NeuralNetwork([1, 1], seed=3)
    before = network.parameters.tobytes()
    with pytest.raises(
        ValueError, match=r"^validation_fraction must be such that some weights on either side are above"
    ):
        network.train(X, y, 1, sample_weight=[0, 0, 1, 0], validation_fraction=0.25)
    assert network.parameters.tobytes() == before
