"""Every row of the table of losses: values and gradients against the oracle, by hand, on extreme numbers and NaN."""

import numpy as np
import oracle
import pytest
from direct import aligned, block, call
from test_kernels_activations import stride

from fastmlp.kernels import reference
from fastmlp.kernels.losses import LOSSES
from fastmlp.kernels.plan import Model


def evaluate(backend, name, output, y, divisor=1):
    """The sum of a loss over samples and outputs, and its gradient / divisor."""
    rows, columns = output.shape
    dtype = output.dtype.name
    if backend.level is None:
        row = LOSSES[name]
        model = Model((1, columns), (row.output_activation,), name, dtype)
        with np.errstate(all="ignore"):
            return reference.loss_and_delta(model, output, output, y.astype(dtype), divisor)
    gap = stride(columns, backend, dtype)
    delta, losses = aligned(rows * gap, dtype), np.full(rows, np.nan)
    arrays = block(output, gap), block(y.astype(dtype), gap), delta, losses
    call(backend, f"loss_{name}", dtype, *arrays, rows, columns, gap, 1 / divisor)
    delta = delta.reshape(rows, gap)
    assert not delta[:, columns:].any()  # the padding adds nothing to gradients
    return losses.sum(), delta[:, :columns]


def targets_of(row, generator, shape):
    if row.targets == "classes":
        return oracle.one_hot(generator.integers(shape[1], size=shape[0]), shape[1])
    if row.targets == "probabilities":
        return generator.uniform(size=shape)
    return generator.normal(size=shape)


def test_the_oracle_knows_every_row():
    assert set(oracle.LOSSES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_value_and_gradient(backend, dtype, name, columns):
    row, generator = LOSSES[name], np.random.default_rng(4)
    z = (2 * generator.normal(size=(7, columns))).astype(dtype)
    y = targets_of(row, generator, z.shape).astype(dtype).astype(float)
    divisor = len(z) * (columns if row.per_output else 1)
    total, delta = evaluate(backend, name, z, y, divisor)

    activation = oracle.ACTIVATIONS[row.output_activation if row.on_logits else "identity"]
    a = activation.forward(z.astype(float))
    expected = activation.backward(z.astype(float), oracle.LOSSES[name].gradient(a, y))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(total / divisor, oracle.LOSSES[name].value(a, y), rtol=32 * eps)
    # the oracle divides by 1 - a, which is rounded: its error is up to eps / (1 - a)
    np.testing.assert_allclose(delta, expected, rtol=256 * eps, atol=4 * eps / divisor)


def test_mean_squared_error_by_hand(backend, dtype):
    a, y = np.array([[1, 4], [0, -2]], dtype), np.array([[3, 3], [0, 1]])
    total, delta = evaluate(backend, "mean_squared_error", a, y, 4)
    assert total == 4 + 1 + 0 + 9
    assert delta.tolist() == [[-1, 0.5], [0, -1.5]]


def test_binary_cross_entropy_by_hand(backend, dtype):
    z = np.log(np.array([[3, 1]], dtype))  # a = 0.75, 0.5
    total, delta = evaluate(backend, "binary_cross_entropy", z, np.array([[1, 0]]))
    np.testing.assert_allclose(total, np.log(4 / 3) + np.log(2), rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(delta, [[-0.25, 0.5]], rtol=8 * np.finfo(dtype).eps)


def test_categorical_cross_entropy_by_hand(backend, dtype):
    z = np.log(np.array([[1, 2, 5], [6, 1, 1]], dtype))  # a = 1/8, 1/4, 5/8 and 3/4, 1/8, 1/8
    total, delta = evaluate(backend, "categorical_cross_entropy", z, np.array([[0, 1, 0], [1, 0, 0]]), 2)
    np.testing.assert_allclose(total, np.log(4) + np.log(4 / 3), rtol=8 * np.finfo(dtype).eps)
    expected = [[0.0625, -0.375, 0.3125], [-0.125, 0.0625, 0.0625]]
    np.testing.assert_allclose(delta, expected, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", [100, 1e4, 1e30])
def test_cross_entropies_of_large_weighted_sums(backend, dtype, size):
    """The loss of a wrong and certain answer is its z; that of a right one is 0: neither overflows nor cancels."""
    z = np.array([[size], [-size]], dtype)
    total, delta = evaluate(backend, "binary_cross_entropy", z, np.array([[0], [0]]))
    assert total == np.array(size, dtype)
    assert delta.ravel().tolist() == [1, pytest.approx(0, abs=1e-40)]
    z = np.array([[size, 0], [0, size]], dtype)
    total, delta = evaluate(backend, "categorical_cross_entropy", z, np.array([[0, 1], [0, 1]]))
    assert total == np.array(size, dtype)
    np.testing.assert_allclose(delta, [[1, -1], [0, 0]], atol=1e-40)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 17])
def test_nan_in_outputs_or_targets_shows(backend, dtype, name, columns):
    generator = np.random.default_rng(6)
    z = generator.normal(size=(3, columns)).astype(dtype)
    y = targets_of(LOSSES[name], generator, z.shape)
    clean = evaluate(backend, name, z, y)[1]
    for j in range(columns):
        for spoiled_z, spoiled_y in ((np.nan, 0.0), (0.0, np.nan)):
            bad_z, bad_y = z.copy(), y.copy()
            bad_z[1, j] += spoiled_z
            bad_y[1, j] += spoiled_y
            total, delta = evaluate(backend, name, bad_z, bad_y)
            assert np.isnan(total)
            assert np.isnan(delta[1, j]) or name == "output_gradient"  # whose derivative is the target alone
            assert delta[[0, 2]].tobytes() == clean[[0, 2]].tobytes()
