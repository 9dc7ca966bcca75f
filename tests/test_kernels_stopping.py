"""Runs whose numbers cease to be finite: where they stop, and what they leave. All numbers are worked by hand."""

import numpy as np
import pytest
from cases import case

from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime.training import Schedule


def line(dtype, samples, weight=1.0):
    """a = weight x + 0 with x = 1 and y = 0: the loss is (w + b)^2, its gradient 2 (w + b) for w and for b."""
    network = case((1, 1), (), "identity", "mean_squared_error", dtype, samples)
    network.parameters[:] = weight, 0
    network.X, network.y = np.ones((samples, 1)), np.zeros((samples, 1))
    return network


def start(backend, network, rate, batch_size=1, epochs=5, **options):
    executor = network.executor(backend)
    schedule = Schedule(SGD(rate), batch_size, epochs, **options)
    return executor, executor.training(network.X, network.y, network.state(SGD()), schedule)


def root(dtype):
    """Its square is finite, and ten times its square is not."""
    return float(np.sqrt(np.finfo(dtype).max) / 2)


def test_a_loss_that_overflows(backend, dtype):
    """Epoch 0 ends with w and b near -8 roots, which is finite; the loss of epoch 1, (w + b)^2, is not."""
    executor, training = start(backend, line(dtype, 1), 4 * root(dtype))
    assert training.run(0, 5) == training.steps_done == 1
    np.testing.assert_allclose(training.losses[:1], 1)
    assert not np.isfinite(training.losses[1])
    assert training.losses[2:].tolist() == [0, 0, 0]
    expected = np.array([1 - 8 * root(dtype), -8 * root(dtype)], dtype)
    assert not training.collect()
    assert executor.parameters.tolist() == expected.tolist()


def test_parameters_that_overflow_at_the_end_of_an_epoch(backend, dtype):
    """The loss is finite, and the step is not."""
    network = line(dtype, 3)
    network.parameters[:] = 2, 0
    executor, training = start(backend, network, 0.9 * float(np.finfo(dtype).max), batch_size=3)
    assert training.run(0, 5) == training.steps_done == 0
    assert training.losses.tolist() == [4, 0, 0, 0, 0]
    assert not training.collect()
    assert executor.parameters.tolist() == [2, 0]


def test_stopping_within_an_epoch_keeps_the_epoch_before(backend, dtype):
    """With rate 1/8 a step takes 2 (w + b) / 8 from each of w and b: their sum halves. An infinite target in the third
    sample of epoch 1 makes the loss of step 6 infinite: it is not made, nor are steps 4 and 5 kept."""
    network = line(dtype, 4)
    executor, training = start(backend, network, 0.125)
    assert training.run(0, 4) == 4
    assert training.collect()
    kept = executor.parameters.copy()
    assert kept.sum() == 0.5**4
    if backend.library is None:
        training._y[2] = np.inf
    else:
        network.y[2] = np.inf
    assert training.run(4, 20) == training.steps_done == 6
    assert not training.collect()
    assert executor.parameters.tobytes() == kept.tobytes()
    assert np.isinf(training.losses[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite(backend, dtype, value):
    network = line(dtype, 4)
    network.X[3] = value
    executor, training = start(backend, network, 0.125)
    assert training.run(0, 20) == training.steps_done == 3
    assert not training.collect()
    assert executor.parameters.tolist() == network.parameters.tolist()


def test_going_on_when_told_to(backend, dtype):
    """Without the check a run goes on to its end, and what it leaves is not finite."""
    network = line(dtype, 2)
    network.X[1] = np.nan
    executor, training = start(backend, network, 0.125, stop_at_nonfinite=False)
    assert training.run(0, 10) == training.steps_done == 10
    assert np.isnan(training.losses).all()
    assert training.collect()
    assert np.isnan(executor.parameters).all()


def test_collect_brings_the_last_step(backend, dtype):
    """The canonical vector is that of the beginning until it is collected, in the middle of an epoch and at its end."""
    network = line(dtype, 4)
    executor, training = start(backend, network, 0.125)
    for first, last, value in ((0, 2, 0.25), (2, 4, 0.0625), (4, 9, 0.5**9)):
        before = executor.parameters.tolist()
        training.run(first, last)
        assert executor.parameters.tolist() == before
        for _ in range(2):  # an interrupt may have it done again
            assert training.collect()
            executor.changed()
            np.testing.assert_allclose(executor.parameters.sum(), value)
            np.testing.assert_allclose(executor.predict(np.ones((1, 1))), [[value]])
