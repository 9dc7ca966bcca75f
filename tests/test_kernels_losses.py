"""Every row of the table of losses: values and gradients against the oracle, by hand, on extreme numbers and NaN."""

import numpy as np
import oracle
import pytest
from cases import LOSSES_WITH_SETTINGS, outputs_per_target, targets_of
from direct import aligned, block, call
from test_kernels_activations import stride

from fastmlp.kernels.backends import reference_network as reference
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.function import name_of, numbers_of, row_of
from fastmlp.kernels.functions.losses import LOSSES, TARGET_KINDS, divisor
from fastmlp.kernels.functions.variants import CategoricalCrossEntropy, CategoricalFocal, Focal, Huber, Quantile
from fastmlp.kernels.runtime.plan import Model
from fastmlp.kernels.vocabulary.levels import LEVELS


def evaluate(backend, chosen, output, y, divisor=1):
    """The sum of a loss over samples and outputs, and its gradient / divisor."""
    rows, columns = output.shape
    dtype = output.dtype.name
    if backend.level is None:
        model = Model((1, columns), (row_of(LOSSES, chosen).output_activation,), chosen, dtype)
        with np.errstate(all="ignore"):
            return reference.loss_and_delta(model, output, output, y.astype(dtype), divisor)
    gap = stride(columns, backend, dtype)
    delta, losses = aligned(rows * gap, dtype), np.full(rows, np.nan)
    delta[:] = np.nan
    settings = np.array([*numbers_of(LOSSES, chosen), 0.0])
    arrays = block(output, gap), block(y.astype(dtype), gap), delta, losses
    call(backend, f"loss_{name_of(chosen)}", dtype, *arrays, rows, columns, gap, 1 / divisor, settings)
    delta = delta.reshape(rows, gap)
    lanes = LEVELS[backend.level].vector_bytes // np.dtype(dtype).itemsize
    assert not delta[:, columns : -(-columns // lanes) * lanes].any()  # the padding adds nothing to gradients
    return losses.sum(), delta[:, :columns]


def rows_of_targets(chosen, generator, samples, outputs):
    """Rows of such numbers as the loss takes."""
    if row_of(LOSSES, chosen).targets == "probabilities":
        return generator.uniform(size=(samples, outputs))
    y = targets_of(chosen, generator, samples, outputs)
    return oracle.one_hot(y, outputs) if y.ndim == 1 else y


def whole(chosen, columns):
    """As many columns, or some more, as make outputs for whole targets."""
    each = outputs_per_target(chosen)
    return -(-columns // each) * each


def test_the_oracle_knows_every_row():
    assert set(oracle.LOSSES) == set(LOSSES)


def test_every_row_says_what_it_is():
    for row in LOSSES.values():
        assert row.formula
        assert row.targets in TARGET_KINDS
        assert row.output_activation in ACTIVATIONS
        assert {*(row.allowed or ())} < {*ACTIVATIONS}


@pytest.mark.parametrize("name", [*LOSSES, *LOSSES_WITH_SETTINGS], ids=str)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_value_and_gradient(backend, dtype, name, columns):
    row, generator, columns = row_of(LOSSES, name), np.random.default_rng(4), whole(name, columns)
    z = (2 * generator.normal(size=(7, columns))).astype(dtype)
    y = rows_of_targets(name, generator, 7, columns).astype(dtype).astype(float)
    over = len(z) * divisor(name, columns)
    total, delta = evaluate(backend, name, z, y, over)

    activation = oracle.ACTIVATIONS[row.output_activation if row.on_logits else "identity"]
    a = activation.forward(z.astype(float))
    expected = activation.backward(z.astype(float), oracle.loss_of(name).gradient(a, y))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(total / over, oracle.loss_of(name).value(a, y), rtol=64 * eps)
    # the oracle divides by 1 - a, which is rounded: its error is up to eps / (1 - a)
    np.testing.assert_allclose(delta, expected, rtol=256 * eps, atol=16 * eps / over * max(1, abs(y).max()))


HALF, THIRD = np.log(2), np.log(3)

HAND_WORKED = [  # loss, outputs or logits, targets, losses' sum, derivatives
    ("mean_absolute_error", [[3, -1, 2]], [[1, 1, 2]], 2 + 2 + 0, [[1, -1, 0]]),
    ("huber", [[0.5, 3, -2]], [[0, 0, 0]], 0.125 + 2.5 + 1.5, [[0.5, 1, -1]]),
    (Huber(2), [[0.5, 3, -2]], [[0, 0, 0]], 0.125 + 4 + 2, [[0.5, 2, -2]]),
    ("log_cosh", [[HALF, -HALF]], [[0, 0]], 2 * np.log(1.25), [[0.6, -0.6]]),  # cosh(log 2) = (2 + 1 / 2) / 2
    ("quantile", [[1, 1, 1, 5, 5, 5]], [[2, 4]], 2 * (0.1 + 0.5 + 0.9), [[-0.1, -0.5, -0.9, 0.9, 0.5, 0.1]]),
    (Quantile([0.25]), [[1, 4, 3]], [[3, 3, 3]], 0.5 + 0.75 + 0, [[-0.25, 0.75, 0]]),
    ("poisson", [[HALF, 0]], [[3, 0]], 2 - 3 * HALF + 1, [[2 - 3, 1]]),
    ("gamma", [[HALF]], [[3]], HALF + 1.5, [[1 - 1.5]]),
    # variance 4: (log 4 + 9 / 4) / 2; variance 1: 1 / 2
    (
        "gaussian_negative_log_likelihood", [[1, 2, 2 * HALF, 0]], [[4, 1]], HALF + 9 / 8 + 0.5,
        [[-0.75, 1, 0.5 - 9 / 8, 0.5 - 0.5]],
    ),
    # a = 1 / 2 and 3 / 4: 1 / 4 (1 - a)^2 log 2, 3 / 4 a^2 log 4
    (
        "focal", [[0, THIRD]], [[1, 0]], HALF / 16 + 27 / 64 * 2 * HALF,
        [[-(0.25 / 8 + HALF / 16), 0.75 * (27 / 64 + 2 * 9 / 64 * 2 * HALF)]],
    ),
    # a = 1 / 4 and 3 / 4: of the first (3 / 4)^2 log 4; c = -(9 / 16 + 2 / 4 * 3 / 4 * log 4)
    (
        "categorical_focal", [[0, THIRD]], [[1, 0]], 9 / 8 * HALF,
        [[-(9 / 16 + 0.75 * HALF) * 0.75, (9 / 16 + 0.75 * HALF) * 0.75]],
    ),
    (CategoricalFocal(0), [[0, THIRD]], [[1, 0]], 2 * HALF, [[0.25 - 1, 0.75]]),  # cross-entropy
    (Focal(0, 0.5), [[THIRD]], [[0]], HALF, [[0.375]]),  # half of binary cross-entropy
    ("hinge", [[0.5, -3, 0.5, 1]], [[1, -1, -1, 1]], 0.5 + 0 + 1.5 + 0, [[-1, 0, 1, 0]]),
    # a = 1 / 4 and 3 / 4, targets of 0.9 and 0.1
    (
        CategoricalCrossEntropy(0.2), [[0, THIRD]], [[1, 0]], 0.9 * 2 * HALF + 0.1 * np.log(4 / 3),
        [[0.25 - 0.9, 0.75 - 0.1]],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "output", "y", "total", "delta"), HAND_WORKED)
def test_hand_worked_numbers(backend, dtype, name, output, y, total, delta):
    got = evaluate(backend, name, np.array(output, dtype), np.array(y))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got[0], total, rtol=16 * eps)
    np.testing.assert_allclose(got[1], delta, rtol=16 * eps, atol=4 * eps)


EXTREME = [  # loss, outputs or logits, targets, the sum, derivatives
    ("poisson", [[-1e4, -1e4]], [[0, 2]], 2e4, [[0, -2]]),
    ("gamma", [[1e4]], [[2]], 1e4, [[1]]),
    ("focal", [[1e4, -1e4]], [[1, 0]], 0, [[0, 0]]),
    ("focal", [[1e4, -1e4]], [[0, 1]], 0.75e4 + 0.25e4, [[0.75, -0.25]]),
    ("log_cosh", [[1e4, -1e4]], [[0, 0]], 2 * (1e4 - HALF), [[1, -1]]),
    ("huber", [[1e30, -1e30]], [[0, 0]], 2e30, [[1, -1]]),
    ("hinge", [[1e4, -1e4]], [[1, 1]], 1e4 + 1, [[0, -1]]),
    ("gaussian_negative_log_likelihood", [[1, 1e4]], [[0]], 5e3, [[0, 0.5]]),
    ("gaussian_negative_log_likelihood", [[1, -1e4]], [[1]], -5e3, [[0, 0.5]]),
    ("binary_cross_entropy", [[1e4, -1e4]], [[0.5, 0.5]], 1e4, [[0.5, -0.5]]),
    ("categorical_focal", [[1e4, -1e4]], [[1, 0]], 0, [[0, 0]]),
    ("categorical_focal", [[1e4, -1e4]], [[0, 1]], 2e4, [[1, -1]]),
    (CategoricalFocal(0), [[1e4, -1e4]], [[1, 0]], 0, [[0, 0]]),
    (CategoricalFocal(0.5), [[1e4, -1e4]], [[1, 0]], 0, [[0, 0]]),
    (CategoricalCrossEntropy(0.2), [[1e4, -1e4]], [[1, 0]], 0.1 * 2e4, [[0.1, -0.1]]),
]


@pytest.mark.parametrize(("name", "output", "y", "total", "delta"), EXTREME)
def test_extreme_outputs(backend, dtype, name, output, y, total, delta):
    got = evaluate(backend, name, np.array(output, dtype), np.array(y))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got[0], total, rtol=8 * eps, atol=1e-30)
    np.testing.assert_allclose(got[1], delta, rtol=8 * eps, atol=8 * eps)


def test_small_differences_count(backend, dtype):
    """log(cosh(d)) is d^2 / 2 there, and would cancel."""
    for d in (1e-3, 1e-6):
        total, _ = evaluate(backend, "log_cosh", np.array([[d]], dtype), np.zeros((1, 1)))
        np.testing.assert_allclose(total, d**2 / 2 - d**4 / 12 + d**6 / 45, rtol=32 * np.finfo(dtype).eps)


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
    generator, columns = np.random.default_rng(6), whole(name, columns)
    z = generator.normal(size=(3, columns)).astype(dtype)
    y = rows_of_targets(name, generator, 3, columns)
    clean = evaluate(backend, name, z, y)[1]
    for j in range(columns):
        spoiled_z, spoiled_y = z.copy(), y.copy()
        spoiled_z[1, j] = np.nan
        spoiled_y[1, j // outputs_per_target(name)] = np.nan
        for bad_z, bad_y in ((spoiled_z, y), (z, spoiled_y)):
            total, delta = evaluate(backend, name, bad_z, bad_y)
            assert np.isnan(total)
            assert np.isnan(delta[1, j : j + 1]).any() or name in (
                "output_gradient",
                "gaussian_negative_log_likelihood",
            )
            assert np.isnan(delta[1]).any() or name == "output_gradient"  # whose derivative is the target alone
            assert delta[[0, 2]].tobytes() == clean[[0, 2]].tobytes()
