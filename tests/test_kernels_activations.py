"""Every row of the table of activations: against the oracle, on NaN, infinities and signed zeros, in rows with gaps."""

from dataclasses import fields

import numpy as np
import oracle
import pytest
from cases import HIDDEN_WITH_SETTINGS, case
from direct import aligned, block, call

from fastmlp.kernels.backends import reference_network as reference
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.function import name_of, numbers_of, row_of
from fastmlp.kernels.functions.variants import ELU, LeakyReLU
from fastmlp.kernels.runtime.plan import Model
from fastmlp.kernels.vocabulary.levels import LEVELS

FORWARD = [name for name, row in ACTIVATIONS.items() if row.forward is not None]
BACKWARD = [name for name, row in ACTIVATIONS.items() if row.derivative is not None]
ULPS = 16  # units in the last place, of sums and quotients of numbers that are right to 4


def stride(columns, backend, dtype):
    """A row's padded length, and a vector more: a gap such as scratch leaves."""
    lanes = LEVELS[backend.level].vector_bytes // np.dtype(dtype).itemsize if backend.level else 0
    return columns if backend.level is None else (columns // lanes + 2) * lanes


def one_layer(name, outputs):
    return Model((1, outputs.shape[1]), (name,), "mean_squared_error", outputs.dtype.name)


def activate(backend, chosen, z, in_place=False):
    """f(z) by a backend."""
    rows, columns = z.shape
    if backend.level is None:
        with np.errstate(all="ignore"):
            return reference.activate(one_layer(chosen, z), 0, z)
    gap = stride(columns, backend, z.dtype)
    memory = block(z, gap)
    target = memory if in_place else aligned(len(memory), z.dtype)
    settings = np.array([*numbers_of(ACTIVATIONS, chosen), 0.0])
    call(backend, f"activation_{name_of(chosen)}", z.dtype.name, memory, target, rows, columns, gap, settings)
    return target.reshape(rows, gap)[:, :columns]


def chain(backend, chosen, z, delta, a=None):
    """dL/dz from dL/da by a backend: at z, or at a where the derivative is one of a and another `a` is given."""
    rows, columns = z.shape
    dtype = z.dtype
    row = row_of(ACTIVATIONS, chosen)
    of = z if row.of_sums else oracle.activation(chosen).forward(z.astype(float)).astype(dtype) if a is None else a
    if backend.level is None:
        with np.errstate(all="ignore"):
            return reference.through_activation(one_layer(chosen, z), 0, of, delta)
    gap = stride(columns, backend, dtype)
    memory = block(delta, gap)
    settings = np.array([*numbers_of(ACTIVATIONS, chosen), 0.0])
    call(backend, f"derivative_{name_of(chosen)}", dtype.name, block(of, gap), memory, rows, columns, gap, settings)
    return memory.reshape(rows, gap)[:, :columns]


def test_the_oracle_knows_every_row():
    assert set(oracle.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("name", [*FORWARD, *HIDDEN_WITH_SETTINGS], ids=str)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_forward(backend, dtype, name, columns, in_place):
    z = (4 * np.random.default_rng(1).normal(size=(7, columns))).astype(dtype)
    expected = oracle.activation(name).forward(z.astype(float))
    # where a product with z^2 is exponentiated, its rounding moves the result by as many units; the oracle's too
    tolerance = (ULPS + (z.astype(float) ** 2 if "gelu" in str(name) else 0)) * np.finfo(dtype).eps * abs(expected)
    if name in ("gelu_tanh", "mish", "elu", "selu", *HIDDEN_WITH_SETTINGS):  # the oracle cancels
        tolerance += 16 * np.finfo(float).eps
    assert (abs(activate(backend, name, z, in_place) - expected) <= tolerance).all()


@pytest.mark.parametrize("name", [*BACKWARD, *HIDDEN_WITH_SETTINGS], ids=str)
@pytest.mark.parametrize("columns", [2, 5, 16, 33])
def test_derivative(backend, dtype, name, columns):
    generator = np.random.default_rng(2)
    z, delta = generator.normal(size=(2, 7, columns)).astype(dtype)
    expected = oracle.activation(name).backward(z.astype(float), delta.astype(float))
    # rounding a to the dtype moves the derivative by eps a: where 1 - a is small, that is much of it
    actual, eps = chain(backend, name, z, delta), np.finfo(dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=ULPS * eps, atol=8 * eps)


HAND_WORKED = [  # activation, z, a, da/dz
    ("sigmoid", 0.0, 0.5, 0.25),
    ("sigmoid", np.log(3.0), 0.75, 0.1875),
    ("relu", 2.0, 2.0, 1.0),
    ("relu", -2.0, 0.0, 0.0),
    ("tanh", 0.0, 0.0, 1.0),
    ("tanh", np.log(2.0), 0.6, 0.64),  # (4 - 1) / (4 + 1), 1 - 0.36
    ("leaky_relu", -3.0, -0.03, 0.01),
    (LeakyReLU(0.25), -2.0, -0.5, 0.25),
    ("elu", -np.log(4.0), -0.75, 0.25),
    (ELU(2.0), -np.log(4.0), -1.5, 0.5),
    (ELU(2.0), 3.0, 3.0, 1.0),
    ("selu", 1.0, 1.0507009873554805, 1.0507009873554805),
    ("selu", -np.log(2.0), -0.8790496704, 0.8790496704),  # half of 1.0507 * 1.67326 = 1.7580993408
    ("gelu", 1.0, 0.8413447460685429, 1.0833154705876848),  # P(Z < 1), and that plus the density 0.2419707245
    ("gelu", 0.0, 0.0, 0.5),
    ("gelu_tanh", 0.0, 0.0, 0.5),
    ("gelu_tanh", 1.0, 0.8411919906082768, None),
    ("silu", np.log(3.0), 0.75 * np.log(3.0), 0.75 + 0.1875 * np.log(3.0)),
    ("mish", 0.0, 0.0, 0.6),  # tanh(log 2)
    ("softplus", np.log(3.0), np.log(4.0), 0.75),
    ("softsign", -3.0, -0.75, 0.0625),
    ("hard_sigmoid", 1.5, 0.75, 1 / 6),
    ("hard_sigmoid", -4.0, 0.0, 0.0),
    ("hard_sigmoid", 4.0, 1.0, 0.0),
    ("hard_tanh", 0.5, 0.5, 1.0),
    ("hard_tanh", -2.0, -1.0, 0.0),
    ("hard_tanh", 2.0, 1.0, 0.0),
    ("relu6", 4.0, 4.0, 1.0),
    ("relu6", 7.0, 6.0, 0.0),
    ("relu6", -1.0, 0.0, 0.0),
    ("exponential", np.log(5.0), 5.0, 5.0),
]


@pytest.mark.parametrize(("name", "z", "a", "derivative"), HAND_WORKED)
def test_hand_worked_numbers(backend, dtype, name, z, a, derivative):
    tolerance = 8 * np.finfo(dtype).eps
    z = np.full((1, 1), z, dtype)
    np.testing.assert_allclose(activate(backend, name, z), [[a]], rtol=max(tolerance, 1e-10))
    if derivative is not None:
        result = chain(backend, name, z, np.full((1, 1), 8, dtype), np.full((1, 1), a, dtype))
        np.testing.assert_allclose(result, [[8 * derivative]], rtol=max(tolerance, 1e-10))


def kinks_of(name):
    """(z, derivative) of a row's text, "value at z, value at z"."""
    row = ACTIVATIONS[name]
    known = {f.name: f.default for f in fields(row.settings)} if row.settings else {}
    pairs = [kink.split(" at ") for kink in row.kink.split(", ") if kink]
    return [(float(z), float(known.get(value, value.rstrip(".")))) for value, z in pairs]


@pytest.mark.parametrize("name", BACKWARD)
def test_derivatives_at_kinks_are_as_stated(backend, dtype, name):
    stated = kinks_of(name)
    assert sorted(z for z, _ in stated) == sorted(oracle.ACTIVATIONS[name].kinks)
    for z, derivative in stated:
        z = np.full((1, 1), z, dtype)
        result = chain(backend, name, z, np.ones((1, 1), dtype), activate(backend, name, z))
        assert result[0, 0] == pytest.approx(derivative, rel=1e-4)


def test_every_row_says_what_it_is():
    for row in ACTIVATIONS.values():
        assert row.formula
        assert row.range
        assert not row.of_sums or row.derivative


def test_softmax_by_hand(backend, dtype):
    z = np.log(np.array([[1, 2, 5], [6, 1, 1]])).astype(dtype)
    a = np.array([[0.125, 0.25, 0.625], [0.75, 0.125, 0.125]])
    np.testing.assert_allclose(activate(backend, "softmax", z), a, rtol=ULPS * np.finfo(dtype).eps)
    # row 0: the mean of delta is 8 * 0.125 = 1; a (delta - mean)
    delta = np.array([[8, 0, 0], [0, 0, 0]], dtype)
    expected = [[0.875, -0.25, -0.625], [0, 0, 0]]
    actual = chain(backend, "softmax", z, delta, a.astype(dtype))
    np.testing.assert_allclose(actual, expected, rtol=ULPS * np.finfo(dtype).eps)


def test_softmax_does_not_overflow(backend, dtype):
    big = np.finfo(dtype).max / 4
    z = np.array([[big, 0, -big], [1000, 1000, 0], [-big, -big, -big]], dtype)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(activate(backend, "softmax", z), expected, rtol=ULPS * np.finfo(dtype).eps)


EDGES = [  # activation, z, a exactly
    ("sigmoid", np.inf, 1.0), ("sigmoid", -np.inf, 0.0), ("tanh", np.inf, 1.0), ("tanh", -np.inf, -1.0),
    ("tanh", -0.0, -0.0), ("relu", np.inf, np.inf), ("relu", -np.inf, 0.0), ("relu", -0.0, 0.0),
    ("leaky_relu", np.inf, np.inf), ("leaky_relu", -np.inf, -np.inf), ("elu", np.inf, np.inf), ("elu", -np.inf, -1.0),
    ("selu", np.inf, np.inf), ("gelu", np.inf, np.inf), ("gelu", -np.inf, 0.0), ("gelu_tanh", np.inf, np.inf),
    ("gelu_tanh", -np.inf, 0.0), ("silu", np.inf, np.inf), ("silu", -np.inf, 0.0), ("mish", np.inf, np.inf),
    ("mish", -np.inf, -0.0), ("softplus", np.inf, np.inf), ("softplus", -np.inf, 0.0), ("softplus", 1e4, 1e4),
    ("softsign", np.inf, 1.0), ("softsign", -np.inf, -1.0), ("softsign", -0.0, -0.0),
    ("hard_sigmoid", np.inf, 1.0), ("hard_sigmoid", -np.inf, 0.0), ("hard_tanh", np.inf, 1.0),
    ("hard_tanh", -np.inf, -1.0), ("relu6", np.inf, 6.0), ("relu6", -np.inf, 0.0), ("exponential", np.inf, np.inf),
    ("exponential", -np.inf, 0.0), ("gelu", 1e4, 1e4), ("gelu", -1e4, 0.0), ("silu", 1e4, 1e4), ("silu", -1e4, 0.0),
    ("mish", 1e4, 1e4), ("gelu_tanh", 1e4, 1e4), ("gelu_tanh", -1e4, 0.0),
]  # fmt: skip

SLOPES = [  # derivatives in both tails: (activation, at -infinity and -1e4, at infinity and 1e4)
    ("gelu", 0, 1), ("gelu_tanh", 0, 1), ("silu", 0, 1), ("mish", 0, 1), ("softplus", 0, 1), ("elu", 0, 1),
    ("hard_sigmoid", 0, 0), ("hard_tanh", 0, 0), ("relu6", 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "low", "high"), SLOPES)
def test_slopes_in_the_tails(backend, dtype, name, low, high):
    z = np.array([[-np.inf, -1e4, 1e4, np.inf]], dtype)
    result = chain(backend, name, z, np.ones((1, 4), dtype), activate(backend, name, z))
    np.testing.assert_allclose(result, [[low, low, high, high]], atol=1e-14 if dtype == "float64" else 1e-6)


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
        some = np.array([[0.5, 0.5, 0.0, 0.5]], dtype)
        assert np.isnan(chain(backend, name, some, numbers.copy(), some)[0, 0])
    for spoiled in range(3):
        a, delta = np.full((1, 3), 1 / 3, dtype), np.array([[1, 2, 3]], dtype)
        delta[0, spoiled] = np.nan
        assert np.isnan(chain(backend, name, a, delta, a)[0, spoiled])
    if ACTIVATIONS[name].of_sums:
        assert np.isnan(chain(backend, name, np.full((1, 3), np.nan, dtype), np.ones((1, 3), dtype))).all()


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
