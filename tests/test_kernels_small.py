"""Steps on one sample that stay in vectors give what the reference gives, for every row of tables that they take."""

import numpy as np
import pytest
from cases import HIDDEN, OUTPUTS, case, optimizers

from fastmlp.kernels.backends.choice import Backend, backend
from fastmlp.kernels.backends.interpreted import Interpreted, _address, _namespace
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.layers import layout
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS

REFERENCE = backend("reference")
PAIRINGS = [(hidden, "identity", "mean_squared_error") for hidden in HIDDEN]
PAIRINGS += [
    ("tanh", *pair) for pair in OUTPUTS if not (ACTIVATIONS[pair[0]].rowwise or LOSSES[pair[1]].derivative is None)
]
SAMPLES = 2 * layout.AHEAD + 5


def train(who, network, optimizer, stretches=(17, 40, 3 * SAMPLES), **options):
    """Parameters, state and losses after three epochs, and whether steps stayed in vectors."""
    executor, state = network.executor(who), network.state(optimizer)
    schedule = Schedule(optimizer, 1, 3, **{"shuffle_key": 5, **options})
    training = executor.training(network.X, network.y, state, schedule)
    small = who is not REFERENCE and bool(training._plan.words.in_registers)
    first = 0
    for last in stretches:
        assert training.run(first, last) == last
        first = last
    assert training.collect()
    return small, [executor.parameters, state, training.losses, training.trail]


def assert_alike(chosen, network, optimizer, **options):
    small, results = train(chosen, network, optimizer, **options)
    assert small
    eps = np.finfo(network.model.dtype).eps
    for actual, expected in zip(results, train(REFERENCE, network, optimizer, **options)[1], strict=True):
        scale = max(1e-2, abs(expected).max(initial=0.0))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2000 * eps * scale)


def lanes(chosen, dtype):
    return LEVELS[chosen.level].vector_bytes // np.dtype(dtype).itemsize


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_activations_and_losses(kernel_backend, dtype, hidden, output, loss):
    assert_alike(kernel_backend, case((2, 2, 1), hidden, output, loss, dtype, SAMPLES, decided=True), SGD(0.05))


@pytest.mark.parametrize("optimizer", optimizers(learning_rate=0.01, epsilon=1e-2), ids=lambda o: o.name)
def test_optimizers(kernel_backend, dtype, optimizer):
    network = case((2, 1, 2), "tanh", "identity", "mean_squared_error", dtype, SAMPLES)
    assert_alike(kernel_backend, network, optimizer)


def test_layers_that_just_fit(kernel_backend, dtype):
    most = lanes(kernel_backend, dtype)
    for sizes in ((1, 1), (most, most), (1, most, 1), (most, 1, most, most), (1, 1, 1, 1, 1)):
        assert_alike(kernel_backend, case(sizes, "tanh", "identity", "mean_squared_error", dtype, SAMPLES), SGD(0.01))


def test_layers_that_do_not(kernel_backend, dtype):
    most = lanes(kernel_backend, dtype)
    for sizes in ((most + 1, 1), (1, most + 1), (1, most + 1, 1)):
        network = case(sizes, "tanh", "identity", "mean_squared_error", dtype, SAMPLES)
        assert not train(kernel_backend, network, SGD(0.01))[0]
    softmax = case((2, 2), (), "softmax", "mean_squared_error", dtype, SAMPLES)
    assert not train(kernel_backend, softmax, SGD(0.01))[0]


def test_samples_in_their_order_and_each_epoch_s_parameters(kernel_backend, dtype):
    network = case((2, 2, 1), "sigmoid", "sigmoid", "mean_squared_error", dtype, SAMPLES)
    assert_alike(kernel_backend, network, SGD(0.1), shuffle_key=None, trail=True)
    _, (parameters, *_, trail) = train(kernel_backend, network, SGD(0.1), trail=True)
    assert trail.shape == (3, 9)
    assert trail[2].tobytes() == parameters.tobytes()
    assert (trail[0] != trail[1]).any()


@pytest.mark.parametrize("samples", [1, 4, layout.AHEAD, layout.AHEAD + 1])
@pytest.mark.parametrize("key", [None, 5])
def test_few_samples_which_may_stay_gathered(kernel_backend, dtype, samples, key):
    network = case((2, 2, 1), "sigmoid", "sigmoid", "mean_squared_error", dtype, samples)
    assert_alike(kernel_backend, network, SGD(0.1), stretches=(1, samples + 1, 3 * samples), shuffle_key=key)


def test_the_next_training_gathers_its_own(kernel_backend, dtype):
    network = case((2, 2, 1), "sigmoid", "sigmoid", "mean_squared_error", dtype, 4)

    def losses(who):
        executor, state, found = network.executor(who), network.state(SGD(0.1)), []
        for X in (network.X, -network.X):
            training = executor.training(X, network.y, state, Schedule(SGD(0.1), 1, 3))
            training.run(0, 12)
            training.collect()
            found += training.losses.tolist()
            training.close()
        return found

    np.testing.assert_allclose(losses(kernel_backend), losses(REFERENCE), rtol=1e-4)


def test_a_loss_that_is_not_finite_stops_before_the_update(kernel_backend, dtype):
    network = case((2, 2, 1), "tanh", "identity", "mean_squared_error", dtype, SAMPLES)
    network.y[20] = np.inf
    executor = network.executor(kernel_backend)
    before = executor.parameters.copy()
    training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(0.1), 1, 2))
    assert training.run(0, 2 * SAMPLES) == training.steps_done == 20
    assert not training.collect()
    assert executor.parameters.tobytes() == before.tobytes()


@pytest.mark.parametrize("name", ["first_lane", "rotate", "delta_below", "lanes_below"])
def test_planted_errors_are_caught(monkeypatch, name):
    level = LEVELS["x86-64-v3"]
    _address.cache_clear()
    namespace = _namespace("float64", level)
    wrong = {
        "first_lane": lambda v: v[1],
        "rotate": lambda v: v,
        "delta_below": lambda delta, weights, inputs, outputs, slope: delta,
        "lanes_below": lambda n: np.arange(4) < n - 1,
    }
    monkeypatch.setitem(namespace, name, wrong[name])
    network = case((2, 2, 1), "tanh", "identity", "mean_squared_error", "float64", SAMPLES)
    with pytest.raises(AssertionError):
        assert_alike(Backend("interpreted", Interpreted(level)), network, SGD(0.05))
    _address.cache_clear()
