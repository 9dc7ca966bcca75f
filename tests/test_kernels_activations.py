"""Every row of the table of activations: against the oracle, on NaN, infinities and signed zeros, in rows with gaps."""

import numpy as np
import oracle
import pytest
from cases import case
from direct import block, call

from fastmlp.kernels import reference
from fastmlp.kernels.activations import ACTIVATIONS
from fastmlp.kernels.levels import LEVELS
from fastmlp.kernels.plan import Model

FORWARD = [name for name, row in ACTIVATIONS.items() if row.forward is not None]
BACKWARD = [name for name, row in ACTIVATIONS.items() if row.derivative is not None]
ULPS = 16  # units in the last place, of sums and quotients of numbers that are right to 4


def stride(columns, backend, dtype):
    """A row's padded length, and a vector more: a gap such as scratch leaves."""
    lanes = LEVELS[backend.level].vector_bytes // np.dtype(dtype).itemsize if backend.level else 0
    return columns if backend.level is None else (columns // lanes + 2) * lanes


def one_layer(name, outputs):
    return Model((1, outputs.shape[1]), (name,), "mean_squared_error", outputs.dtype.name)


def activate(backend, name, z):
    """f(z) by a backend."""
    rows, columns = z.shape
    if backend.level is None:
        with np.errstate(all="ignore"):
            return reference.activate(one_layer(name, z), 0, z)
    gap = stride(columns, backend, z.dtype)
    memory = block(z, gap)
    call(backend, f"activation_{name}", z.dtype.name, memory, rows, columns, gap)
    return memory.reshape(rows, gap)[:, :columns]


def chain(backend, name, a, delta):
    """dL/dz from dL/da by a backend."""
    rows, columns = a.shape
    if backend.level is None:
        with np.errstate(all="ignore"):
            return reference.through_activation(one_layer(name, a), 0, a, delta)
    gap = stride(columns, backend, a.dtype)
    memory = block(delta, gap)
    call(backend, f"derivative_{name}", a.dtype.name, block(a, gap), memory, rows, columns, gap)
    return memory.reshape(rows, gap)[:, :columns]


def test_the_oracle_knows_every_row():
    assert set(oracle.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_forward(backend, dtype, name, columns):
    z = (4 * np.random.default_rng(1).normal(size=(7, columns))).astype(dtype)
    expected = oracle.ACTIVATIONS[name].forward(z.astype(float))
    np.testing.assert_allclose(activate(backend, name, z), expected, rtol=ULPS * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_derivative(backend, dtype, name, columns):
    generator = np.random.default_rng(2)
    z, delta = generator.normal(size=(2, 7, columns))
    row = oracle.ACTIVATIONS[name]
    a = row.forward(z).astype(dtype)
    expected = row.backward(z, delta)
    # rounding a to the dtype moves the derivative by eps a: where 1 - a is small, that is much of it
    actual, eps = chain(backend, name, a, delta.astype(dtype)), np.finfo(dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=ULPS * eps, atol=8 * eps)


HAND_WORKED = [  # activation, z, a, da/dz
    ("sigmoid", 0.0, 0.5, 0.25),
    ("sigmoid", np.log(3.0), 0.75, 0.1875),
    ("relu", 2.0, 2.0, 1.0),
    ("relu", -2.0, 0.0, 0.0),
    ("relu", 0.0, 0.0, 0.0),
    ("tanh", 0.0, 0.0, 1.0),
    ("tanh", np.log(2.0), 0.6, 0.64),  # (4 - 1) / (4 + 1), 1 - 0.36
]


@pytest.mark.parametrize(("name", "z", "a", "derivative"), HAND_WORKED)
def test_hand_worked_numbers(backend, dtype, name, z, a, derivative):
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(activate(backend, name, np.full((1, 1), z, dtype)), [[a]], rtol=tolerance)
    result = chain(backend, name, np.full((1, 1), a, dtype), np.full((1, 1), 8, dtype))
    np.testing.assert_allclose(result, [[8 * derivative]], rtol=tolerance)


def test_softmax_by_hand(backend, dtype):
    z = np.log(np.array([[1, 2, 5], [6, 1, 1]])).astype(dtype)
    a = np.array([[0.125, 0.25, 0.625], [0.75, 0.125, 0.125]])
    np.testing.assert_allclose(activate(backend, "softmax", z), a, rtol=ULPS * np.finfo(dtype).eps)
    # row 0: the mean of delta is 8 * 0.125 = 1; a (delta - mean)
    delta = np.array([[8, 0, 0], [0, 0, 0]], dtype)
    expected = [[0.875, -0.25, -0.625], [0, 0, 0]]
    actual = chain(backend, "softmax", a.astype(dtype), delta)
    np.testing.assert_allclose(actual, expected, rtol=ULPS * np.finfo(dtype).eps)


def test_softmax_does_not_overflow(backend, dtype):
    big = np.finfo(dtype).max / 4
    z = np.array([[big, 0, -big], [1000, 1000, 0], [-big, -big, -big]], dtype)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(activate(backend, "softmax", z), expected, rtol=ULPS * np.finfo(dtype).eps)


EDGES = [  # activation, z, a exactly
    ("sigmoid", np.inf, 1.0), ("sigmoid", -np.inf, 0.0), ("tanh", np.inf, 1.0), ("tanh", -np.inf, -1.0),
    ("tanh", -0.0, -0.0), ("relu", np.inf, np.inf), ("relu", -np.inf, 0.0), ("relu", -0.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "z", "a"), EDGES)
def test_infinities_and_zeros(backend, dtype, name, z, a):
    result = activate(backend, name, np.full((1, 1), z, dtype))[0, 0]
    assert result == a
    assert np.signbit(result) == np.signbit(a)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 17])
def test_nan_stays_in_its_row_and_shows(backend, dtype, name, columns):
    z = np.random.default_rng(3).normal(size=(3, columns)).astype(dtype)
    clean = activate(backend, name, z.copy())
    for j in range(columns):
        spoiled = z.copy()
        spoiled[1, j] = np.nan
        a = activate(backend, name, spoiled)
        assert np.isnan(a[1]).all() if ACTIVATIONS[name].rowwise else np.isnan(a[1, j])
        assert a[[0, 2]].tobytes() == clean[[0, 2]].tobytes()


@pytest.mark.parametrize("name", BACKWARD)
def test_nan_in_delta_or_activation_shows(backend, dtype, name):
    if not ACTIVATIONS[name].rowwise:
        numbers = np.array([[np.nan, 0.5, 0.0, -0.5]], dtype)
        assert np.isnan(chain(backend, name, np.array([[0.5, 0.5, 0.0, 0.5]], dtype), numbers.copy())[0, 0])
    for spoiled in range(3):
        a, delta = np.full((1, 3), 1 / 3, dtype), np.array([[1, 2, 3]], dtype)
        delta[0, spoiled] = np.nan
        assert np.isnan(chain(backend, name, a, delta)[0, spoiled])


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [True, False])
def test_nan_in_any_row_of_the_samples_reaches_the_output(backend, dtype, name, hidden):
    if hidden and ACTIVATIONS[name].rowwise:
        return
    kinds = (name, "identity") if hidden else ("tanh", name)
    network = case((5, 19, 3), kinds[0], kinds[1], "mean_squared_error", dtype, samples=27)
    executor = network.executor(backend)
    clean = executor.predict(network.X)
    assert np.isfinite(clean).all()
    rows = range(27) if backend.name in ("jit", "compiled") else (0, 5, 6, 13, 26)
    for row in rows:
        spoiled = network.X.copy()
        spoiled[row, row % 5] = np.nan
        output = executor.predict(spoiled)
        assert np.isnan(output[row]).all()
        assert np.delete(output, row, axis=0).tobytes() == np.delete(clean, row, axis=0).tobytes()
        assert np.isnan(executor.evaluate(spoiled, network.y))
