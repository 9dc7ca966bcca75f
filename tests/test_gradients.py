"""Gradients against central differences of the loss, (L(p + h) - L(p - h)) / 2h in float64, h = 1e-5.

The difference's own error is of order h^2 = 1e-10 from the series and eps / h = 1e-11 from rounding. Samples near the
kink of an activation are left out, where a difference would straddle it.
"""

import numpy as np
import pytest
from cases import ALL_OUTPUTS, OUTPUTS, PAIRINGS, case

from fastmlp.kernels.functions.function import name_of
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime.training import Schedule

STEP = 1e-5
TOLERANCE = 1e-6
SIZES = (23, 57, 41, 3)
SAMPLES = 173
BATCH = 50


def network_far_from_kinks(hidden, output, loss, samples=SAMPLES):
    """173 samples, of which no weighted sum is near a kink: a step changes it by h times an activation at most."""
    full = case(SIZES, hidden, output, loss, "float64", 2 * samples, seed=5).far_from_kinks(20 * STEP)
    full.X, full.y = full.X[:samples], full.y[:samples]
    assert len(full.X) == samples
    return full


def central_difference(function, vector, changed, i):
    """The derivative of function() with respect to vector[i], after `changed` has been told of each step."""
    before, values = vector[i], []
    for step in (STEP, -STEP):
        vector[i] = before + step
        changed()
        values.append(function())
    vector[i] = before
    changed()
    return (values[0] - values[1]) / (2 * STEP)


def blocks(sizes):
    """Slices of W0, b0, W1, b1, ... in the canonical vector."""
    parts, start = [], 0
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        for count in (inputs * outputs, outputs):
            parts.append(slice(start, start + count))
            start += count
    return parts


def chosen_parameters(sizes, most=60, seed=3):
    """Indices of some parameters of each block."""
    generator = np.random.default_rng(seed)
    indices = [np.arange(block.start, block.stop) for block in blocks(sizes)]
    return [generator.choice(i, min(most, len(i)), replace=False) for i in indices]


def relative_errors(gradient, differences, chosen):
    """The largest error of each block, relative to its largest number."""
    pairs = [(gradient[i], differences[i]) for i in chosen]
    return np.array([abs(g - d).max() / abs(d).max() for g, d in pairs])


def differences_of_loss(executor, X, y, chosen):
    differences = np.full(executor.model.parameter_count, np.nan)
    for i in np.concatenate(chosen):
        differences[i] = central_difference(lambda: executor.evaluate(X, y), executor.parameters, executor.changed, i)
    return differences


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_gradient_is_that_of_the_loss(fast_backend, hidden, output, loss):
    network = network_far_from_kinks(hidden, output, loss)
    executor = network.executor(fast_backend)
    X, y = network.X[BATCH : 2 * BATCH], network.y[BATCH : 2 * BATCH]
    chosen = chosen_parameters(network.model.sizes)
    gradient = executor.gradient(X, y)[1]
    differences = differences_of_loss(executor, X, y, chosen)
    assert (relative_errors(gradient, differences, chosen) < TOLERANCE).all()
    for wrong in blocks(network.model.sizes):
        planted = gradient.copy()
        planted[wrong] *= 1.001
        assert (relative_errors(planted, differences, chosen) < TOLERANCE).sum() == len(chosen) - 1


@pytest.mark.parametrize(
    ("hidden", "output", "loss"),
    [*PAIRINGS, *(("tanh", output, loss) for output, loss in ALL_OUTPUTS if (output, loss) not in OUTPUTS)],
)
def test_gradient_of_small_networks(backend, hidden, output, loss):
    sizes = (3, 5, 2)
    network = case(sizes, hidden, output, loss, "float64", 20, seed=1).far_from_kinks(20 * STEP)
    executor, X, y = network.executor(backend), network.X[:7], network.y[:7]
    chosen = chosen_parameters(network.model.sizes, most=3)
    differences = differences_of_loss(executor, X, y, chosen)
    assert (relative_errors(executor.gradient(X, y)[1], differences, chosen) < TOLERANCE).all()


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_training_follows_the_gradient_of_each_batch(fast_backend, hidden, output, loss):
    """Batches of 50 out of 173 samples: the last has 23."""
    network = network_far_from_kinks(hidden, output, loss)
    rate = 0.01
    trained = network.executor(fast_backend)
    training = trained.training(network.X, network.y, network.state(SGD()), Schedule(SGD(rate), BATCH, 1))
    watcher = network.executor(fast_backend)
    for step in range(4):
        before = trained.parameters.copy()
        watcher.parameters[...] = before
        watcher.changed()
        rows = slice(step * BATCH, (step + 1) * BATCH)
        expected = watcher.gradient(network.X[rows], network.y[rows])[1]
        training.run(step, step + 1)
        training.collect()
        gradient = (before - trained.parameters) / rate
        assert abs(gradient - expected).max() < 1e-11 * abs(expected).max() + 1e-13  # of the subtraction


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_given_output_gradients_reach_parameters_and_inputs(fast_backend, hidden, output, loss):
    """For sum(a * v), an objective of the outputs that is no loss of the table."""
    network = network_far_from_kinks(hidden, output, loss, samples=3)
    executor, X = network.executor(fast_backend), network.X.copy()
    v = np.random.default_rng(0).normal(size=(3, network.model.sizes[-1]))
    gradient, inputs = executor.backward(X, v)

    def objective():
        return float((executor.predict(X) * v).sum())

    chosen = chosen_parameters(network.model.sizes, most=5)
    differences = np.full(len(gradient), np.nan)
    for i in np.concatenate(chosen):
        differences[i] = central_difference(objective, executor.parameters, executor.changed, i)
    assert (relative_errors(gradient, differences, chosen) < TOLERANCE).all()
    expected = [central_difference(objective, X.reshape(-1), lambda: None, i) for i in range(X.size)]
    assert inputs.shape == X.shape
    assert abs(inputs.ravel() - expected).max() < TOLERANCE * abs(inputs).max()


def test_every_public_loss_is_paired():
    assert {name_of(loss) for _, _, loss in PAIRINGS} == {name for name, row in LOSSES.items() if row.public}
