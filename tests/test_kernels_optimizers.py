"""Every row of the table of optimizers: against the oracle, by hand, on NaN; and what settings may be."""

import math
from dataclasses import fields

import numpy as np
import oracle
import pytest
from cases import case, optimizers, stepper
from direct import aligned, call

from fastmlp.kernels.optimizers import OPTIMIZERS, SGD, Adam
from fastmlp.kernels.training import Schedule

COUNT = 48  # whole vectors of every level
UNUSUAL = optimizers(learning_rate=0.03, beta1=0.7, beta2=0.95, epsilon=1e-4)


class Vectors:
    """Parameters and state in memory, the slots of state COUNT + 16 numbers apart as if there were padding."""

    def __init__(self, optimizer, dtype, parameters):
        self.optimizer, self.dtype, self.slot = optimizer, dtype, COUNT + 16
        self.parameters = aligned(COUNT, dtype)
        self.parameters[:] = parameters
        self.memory = aligned(max(1, len(optimizer.slots)) * self.slot, dtype)
        self.settings = np.array([*optimizer.settings(), *[np.nan] * optimizer.prepared])

    def update(self, backend, gradient, t):
        slopes = aligned(COUNT, self.dtype)
        slopes[:] = gradient
        if self.optimizer.prepare is not None:
            call(backend, f"prepare_{self.optimizer.name}", self.dtype, self.settings, t)
        vectors = self.parameters, slopes, self.memory
        call(backend, f"optimizer_{self.optimizer.name}", self.dtype, *vectors, self.slot, COUNT, self.settings)

    @property
    def state(self):
        return self.memory.reshape(-1, self.slot)[: len(self.optimizer.slots), :COUNT]


def test_the_oracle_knows_every_row():
    assert set(oracle.OPTIMIZERS) == set(OPTIMIZERS)


@pytest.mark.parametrize("optimizer", UNUSUAL, ids=lambda o: o.name)
@pytest.mark.parametrize("first", [1, 1000, 10**9])
def test_updates(kernel_backend, dtype, optimizer, first):
    generator = np.random.default_rng(8)
    vectors = Vectors(optimizer, dtype, generator.normal(size=COUNT))
    parameters, state, step = vectors.parameters.astype(float), vectors.state.astype(float), stepper(optimizer)
    for t in range(first, first + 20):
        gradient = generator.normal(size=COUNT).astype(dtype)
        vectors.update(kernel_backend, gradient, t)
        parameters, state = step(parameters, state, gradient.astype(float), t)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(vectors.parameters, parameters, rtol=64 * eps, atol=64 * eps)
    np.testing.assert_allclose(vectors.state, state, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("optimizer", optimizers(learning_rate=0.05, epsilon=1e-3), ids=lambda o: o.name)
def test_training_of_a_network(backend, optimizer):
    """Through plans, packed vectors and batches: 3 epochs of 7 samples in batches of 3."""
    network = case((3, 5, 2), "tanh", "identity", "mean_squared_error", "float64", samples=7)
    executor, state = network.executor(backend), network.state(optimizer)
    training = executor.training(network.X, network.y, state, Schedule(optimizer, 3, 3))
    training.run(0, 9)
    training.collect()
    batches = [[0, 1, 2], [3, 4, 5], [6]] * 3
    parameters, expected_state = oracle.train(
        *network.formulas, "mean_squared_error", network.parameters, network.X, network.y, np.zeros(state.shape),
        stepper(optimizer), batches,
    )  # fmt: skip
    np.testing.assert_allclose(executor.parameters, parameters, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state, expected_state, rtol=1e-12, atol=1e-13)


def test_sgd_by_hand(kernel_backend, dtype):
    vectors = Vectors(SGD(0.25), dtype, np.arange(COUNT))
    vectors.update(kernel_backend, np.full(COUNT, 2.0), 1)
    assert vectors.parameters.tolist() == [i - 0.5 for i in range(COUNT)]


def test_adam_by_hand(kernel_backend, dtype):
    """The first step is the learning rate, whatever the gradient: m_hat = g, v_hat = g^2."""
    vectors = Vectors(Adam(0.5, beta1=0.75, beta2=0.9375, epsilon=1e-30), dtype, np.ones(COUNT))
    vectors.update(kernel_backend, np.full(COUNT, 4.0), 1)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(vectors.state[0], 1, rtol=4 * eps)  # (1 - 0.75) 4
    np.testing.assert_allclose(vectors.state[1], 1, rtol=4 * eps)  # (1 - 0.9375) 16
    np.testing.assert_allclose(vectors.parameters, 0.5, rtol=16 * eps)
    vectors.update(kernel_backend, np.full(COUNT, -4.0), 2)
    # m = 0.75 - 1, corrected by 1 - 0.5625; v = 0.9375 + 1, corrected by 1 - 0.87890625: root 4
    np.testing.assert_allclose(vectors.state[0], -0.25, rtol=16 * eps)
    np.testing.assert_allclose(vectors.parameters, 0.5 + 0.5 * (0.25 / 0.4375) / 4, rtol=32 * eps)


def test_adam_without_memory_is_the_sign(kernel_backend, dtype):
    vectors = Vectors(Adam(0.5, beta1=0, beta2=0, epsilon=1e-30), dtype, np.zeros(COUNT))
    gradient = np.where(np.arange(COUNT) % 2, 3.0, -3.0)
    for t in (1, 2, 3):
        vectors.update(kernel_backend, gradient, t)
    np.testing.assert_allclose(vectors.parameters, -1.5 * np.sign(gradient), rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda o: o.name)
def test_zero_gradients_change_nothing(kernel_backend, dtype, optimizer):
    vectors = Vectors(optimizer, dtype, np.arange(COUNT))
    for t in (1, 2):
        vectors.update(kernel_backend, np.zeros(COUNT), t)
    assert vectors.parameters.tolist() == list(range(COUNT))


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda o: o.name)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_gradients_show_where_they_are(kernel_backend, dtype, optimizer, value):
    gradient = np.ones(COUNT)
    clean = Vectors(optimizer, dtype, np.ones(COUNT))
    clean.update(kernel_backend, gradient, 1)
    for i in (0, 15, COUNT - 1):
        vectors = Vectors(optimizer, dtype, np.ones(COUNT))
        spoiled = gradient.copy()
        spoiled[i] = value
        vectors.update(kernel_backend, spoiled, 1)
        assert not np.isfinite(vectors.parameters[i])
        assert np.delete(vectors.parameters, i).tobytes() == np.delete(clean.parameters, i).tobytes()


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_settings_must_keep_their_rules(row):
    assert row().settings()[0] == row().learning_rate
    for f in fields(row):
        rule = f.metadata["rule"]
        for value in (-1.0, math.nan, math.inf, "0.1", None, True, 1 if "below 1" in rule else 0):
            with pytest.raises(ValueError, match=f"{f.name} must be {rule}, got"):
                row(**{f.name: value})
