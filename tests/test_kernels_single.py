"""Losses of networks with one output, taken for many rows at a time: as the oracle's, and each in its own row."""

import numpy as np
import oracle
import pytest
from cases import LOSSES_WITH_SETTINGS, case

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions.function import row_of
from fastmlp.kernels.functions.losses import LOSSES

ELEMENTWISE = [
    loss for loss in [*LOSSES, *LOSSES_WITH_SETTINGS] if row_of(LOSSES, loss).derivative and row_of(LOSSES, loss).public
]


def network(loss, dtype, samples):
    return case((3, 4, 1), "tanh", row_of(LOSSES, loss).output_activation, loss, dtype, samples)


def agrees(who, backend, weights=None):
    """Whether loss and gradient are the oracle's, which gives weight w to a sample by counting it w times."""
    counted = np.repeat(np.arange(len(who.X)), 1 if weights is None else weights)
    value, gradient = oracle.loss_and_gradient(
        *who.formulas, who.model.loss, who.parameters, who.X[counted], who.rows_of_y[counted]
    )
    shares = None if weights is None else weights / weights.mean()
    actual_value, actual = who.executor(backend).gradient(who.X, who.y, shares)
    eps = np.finfo(who.model.dtype).eps
    same = np.allclose(actual_value, value, rtol=128 * eps, atol=16 * eps)
    return same and np.allclose(actual, gradient, rtol=0, atol=256 * eps * max(1.0, abs(gradient).max()))


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=str)
@pytest.mark.parametrize("samples", [1, 2, 7, 16, 17, 33])
def test_loss_and_gradient(backend, dtype, loss, samples):
    assert agrees(network(loss, dtype, samples), backend)


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=str)
def test_loss_and_gradient_of_samples_with_weights(backend, dtype, loss):
    assert agrees(network(loss, dtype, 21), backend, np.arange(21) % 4)


@pytest.mark.parametrize("spoiled", [0, 5, 16, 20])
def test_a_target_that_is_nan_shows(backend, dtype, spoiled):
    who = network("binary_cross_entropy", dtype, 21)
    who.y[spoiled] = np.nan
    loss, gradient = who.executor(backend).gradient(who.X, who.y)
    assert np.isnan(loss)
    assert np.isnan(gradient).any()


@pytest.mark.parametrize("fault", [lambda v: np.roll(v, 1), lambda v: np.full_like(v, v[0])], ids=["next", "first"])
def test_numbers_of_another_row_are_caught(level, dtype, monkeypatch, fault):
    namespace, backend = _namespace(dtype, level), Backend("interpreted", Interpreted(level))
    who, right = network("mean_squared_error", dtype, 21), namespace["first_of_rows"]
    assert agrees(who, backend)
    monkeypatch.setitem(namespace, "first_of_rows", lambda *arguments: fault(right(*arguments)))
    assert not agrees(who, backend)
