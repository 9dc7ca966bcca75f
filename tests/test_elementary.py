"""Elementary functions against NumPy's float64 and mpmath, as arrays (never fused), as scalars, and compiled."""

import math
from types import FunctionType

import mpmath
import numpy as np
import pytest

from fastmlp.kernels.compiler.specialize import clone
from fastmlp.kernels.functions import elementary
from fastmlp.kernels.vocabulary import simd

BOUND = {"float32": 2, "float64": 4}  # units in the last place
BOUNDS = {"erfc": 8, "erf": 8, "sinh": 8, "cosh": 5}  # of products of numbers that are off by a unit or two each
TRUTH = {  # by NumPy in float64, by mpmath
    "exp": (np.exp, mpmath.exp),
    "expm1": (np.expm1, mpmath.expm1),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x))),
    "tanh": (np.tanh, mpmath.tanh),
    "log": (np.log, mpmath.log),
    "log1p": (np.log1p, mpmath.log1p),
    "log1p_anywhere": (np.log1p, lambda x: mpmath.log1p(x) if x > -1 else mpmath.nan),
    "sinh": (np.sinh, mpmath.sinh),
    "cosh": (np.cosh, mpmath.cosh),
    "erf": (np.vectorize(math.erf, otypes=[float]), mpmath.erf),
    "erfc": (np.vectorize(math.erfc, otypes=[float]), mpmath.erfc),
}
DTYPES = sorted(BOUND)

# --- three ways to run the formulas


def array_functions(dtype, **changed):
    """The functions on whole arrays, in plain NumPy; `changed` constants and polynomials replace the module's."""
    return _clones(dtype, {"select": np.where, "to_bits": simd.to_bits, "from_bits": simd.from_bits}, changed)


def scalar_functions(dtype):
    """The functions as they stand, on one number."""
    return _clones(dtype, {name: getattr(simd, name) for name in ("select", "to_bits", "from_bits")}, {})


def _clones(dtype, vocabulary, changed):
    number = np.dtype(dtype).type
    namespace = {"real": number, "absolute": np.abs, "copy_sign": np.copysign, "multiply_add": simd.multiply_add}
    namespace |= vocabulary
    for name, value in {**vars(elementary), **changed}.items():
        if isinstance(value, simd.Constant):
            namespace[name] = number(getattr(value, dtype))
        elif isinstance(value, simd.Polynomial):
            namespace[name] = simd.polynomial([number(c) for c in getattr(value, dtype)])
        elif isinstance(value, FunctionType) and value.__module__ == elementary.__name__:
            namespace[name] = clone(value, namespace)
    return namespace


def compiled_functions(dtype):
    """The functions as kernels run them on this machine: compiled by Numba, subnormal numbers flushed to zero."""
    from numba import njit

    from fastmlp.kernels.backends.jit import host_level
    from fastmlp.kernels.compiler.compilation import POLICY, namespace

    kernels = namespace(dtype, host_level())
    flush, restore = kernels["flush_subnormals"], kernels["restore_subnormals"]

    def loop(function):
        @njit(**POLICY)
        def over_array(x):
            result = np.empty_like(x)
            state = flush()
            for i in range(x.size):
                result[i] = function(x[i])
            restore(state)
            return result

        return over_array

    return {name: loop(kernels[name]) for name in TRUTH}


FORMS = {"arrays": array_functions, "compiled": compiled_functions}


@pytest.fixture(scope="module", params=[(form, dtype) for form in FORMS for dtype in DTYPES], ids="-".join)
def form(request):
    """The functions in some form, and their dtype."""
    name, dtype = request.param
    return FORMS[name](dtype), dtype


# --- inputs, truth, and the error


def inputs(name, dtype):
    """Every exponent with some fractions, where the formulas change, and the edges; within the function's domain."""
    number, info, random = np.dtype(dtype).type, np.finfo(dtype), np.random.default_rng(7)
    exact = dtype == "float64"  # a truth of mpmath is expensive
    exponents = np.arange(info.minexp, info.maxexp)
    fractions = 1 + random.random((1 if exact else 50, exponents.size))
    edges = np.array([np.log(info.max), np.log(info.tiny), 9.01, 19.06, 16.64, 36.7, 0.5, 1, 2, 2**0.5, 0.5**0.5, 1e-8])
    edges = np.concatenate([edges, np.arange(1, 2 * info.maxexp, 37 if exact else 1) * np.log(2) / 2])
    around = edges[:, None] * (1 + np.arange(-8, 9) * info.eps)
    x = np.concatenate([
        np.ldexp(fractions, exponents).ravel(), around.ravel(), random.uniform(0, 3, 1500),
        random.uniform(0, 110, 1500), [0.0, np.inf, np.nan, info.max, info.tiny],
    ]).astype(number)  # fmt: skip
    return np.abs(x) if name == "log1p" else np.concatenate([x, -x])


def truth(name, x):
    """Exact values as the nearest number of x's type plus a correction."""
    by_numpy, by_mpmath = TRUTH[name]
    with np.errstate(all="ignore"):
        if x.dtype == np.float32:
            value = by_numpy(x.astype(np.float64))
            high = value.astype(np.float32)
            return high, np.where(np.isfinite(high), value - high, 0)
        high, low = by_numpy(x), np.zeros_like(x)  # right where the value is NaN, infinite or zero
    with mpmath.workdps(40):
        for i in np.flatnonzero(np.isfinite(high) & (high != 0) & np.isfinite(x)):
            value = by_mpmath(mpmath.mpf(float(x[i])))
            high[i] = float(value)
            low[i] = float(value - high[i]) if np.isfinite(high[i]) else 0
    return high, low


def errors(got, high, low):
    """|got - (high + low)| in units in the last place; infinite where NaN, infinity or a zero's sign is wrong."""
    info = np.finfo(high.dtype)
    high, got = high.astype(np.float64), got.astype(np.float64)
    fraction, exponent = np.frexp(np.abs(high))
    below_power_of_two = (fraction == 0.5) & (low * high < 0)
    unit = np.ldexp(1.0, np.maximum(exponent - 1 - below_power_of_two, info.minexp) - info.nmant)
    with np.errstate(all="ignore"):
        error = np.abs(got - high - low) / unit
    special = ~np.isfinite(high) | (high == 0)
    same = (got == high) & (np.signbit(got) == np.signbit(high)) | np.isnan(got) & np.isnan(high)
    flushed = (got == 0) & (np.abs(high) <= info.tiny) & (high != 0)
    return np.where(special, np.where(same, 0, np.inf), np.where(flushed, 0, np.where(np.isnan(error), np.inf, error)))


def largest_error(function, name, dtype):
    x = inputs(name, dtype)
    with np.errstate(all="ignore"):
        return errors(function(x), *truth(name, x)).max()


# --- tests


@pytest.mark.parametrize("name", TRUTH)
def test_errors_are_within_bounds(form, name):
    functions, dtype = form
    assert largest_error(functions[name], name, dtype) <= BOUNDS.get(name, BOUND[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("constant", "planted", "victims"),
    [
        ("EXP_REMAINDER", 1e-5, ["exp", "expm1", "erfc", "sinh", "cosh"]),
        ("HALF_OF_DECAY", 1e-4, ["tanh"]),
        ("EXPM1_OF_REST", 1e-5, ["sigmoid"]),
        ("ERFC", 1e-5, ["erfc"]),
        ("ERF", 1e-5, ["erf"]),
        ("LOG_QUOTIENT", 1e-3, ["log", "log1p"]),
        ("LN2_LOW", 1.0, ["exp", "expm1", "sigmoid", "log"]),
        ("HALF_LN2", 1e-5, ["tanh"]),
    ],
)
def test_a_wrong_coefficient_is_caught(dtype, constant, planted, victims):
    value = getattr(elementary, constant)
    if isinstance(value, simd.Polynomial):
        numbers = {t: list(getattr(value, t)) for t in DTYPES}
        place = max(i for i, c in enumerate(numbers[dtype]) if c not in (0, 1))
        numbers[dtype][place] *= 1 + planted
    else:
        numbers = {t: getattr(value, t) * (1 + planted) for t in DTYPES}
    functions = array_functions(dtype, **{constant: type(value)(**numbers)})
    for name in victims:
        assert largest_error(functions[name], name, dtype) > 8


def test_errors_are_counted_right():
    one = np.ones(1, np.float32)
    assert errors(one + np.float32(2**-22), one, np.zeros(1)) == 2
    assert errors(one - np.float32(2**-24), one, np.full(1, 2.0**-25)) == 0.75  # above a power of two
    assert errors(one, one, np.full(1, -(2.0**-26))) == 0.25  # below it, where units are half as large
    nan, zero = np.full(1, np.nan), np.zeros(1)
    assert errors(nan, one, zero) == np.inf
    assert errors(one, nan, zero) == np.inf
    assert errors(-zero, zero, zero) == np.inf
    assert errors(zero, np.full(1, 1e-310), zero) == 0  # flushed
    assert errors(zero, np.full(1, 1e-307), zero) > 1e6


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_and_arrays_agree(name, dtype):
    x = inputs(name, dtype)
    x = np.concatenate([x[::37], x[-5:]])
    scalar = scalar_functions(dtype)[name]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal([scalar(v) for v in x], array_functions(dtype)[name](x))
    assert isinstance(scalar(x[0]), np.dtype(dtype).type)


def test_special_values(form):
    functions, dtype = form
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4], dtype)
    negative_nan = np.copysign(np.array([np.nan], dtype), -1)
    expected = {
        "exp": [1, 1, np.inf, 0, np.nan, np.inf, 0],
        "expm1": [0.0, -0.0, np.inf, -1, np.nan, np.inf, -1],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan, 1, 0],
        "tanh": [0.0, -0.0, 1, -1, np.nan, 1, -1],
        "sinh": [0.0, -0.0, np.inf, -np.inf, np.nan, np.inf, -np.inf],
        "cosh": [1, 1, np.inf, np.inf, np.nan, np.inf, np.inf],
        "erf": [0.0, -0.0, 1, -1, np.nan, 1, -1],
    }
    with np.errstate(all="ignore"):
        for name, values in expected.items():
            got = functions[name](x)
            np.testing.assert_array_equal(got, values)
            np.testing.assert_array_equal(np.signbit(got[:4]), np.signbit(values[:4]))
            assert np.isnan(functions[name](negative_nan)).all()
        np.testing.assert_array_equal(functions["erfc"](x[2:]), [0, 2, np.nan, 0, 2])
        log_of = functions["log"](x[[0, 1, 2, 3, 4, 6]])
        np.testing.assert_array_equal(log_of, [-np.inf, -np.inf, np.inf, np.nan, np.nan, np.nan])
        np.testing.assert_array_equal(functions["log1p"](x[[0, 2, 4]]), [0, np.inf, np.nan])
        np.testing.assert_array_equal(functions["log1p_anywhere"](x[2:5]), [np.inf, np.nan, np.nan])
        np.testing.assert_array_equal(functions["log1p_anywhere"](-np.ones(1, dtype)), [-np.inf])


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FC00001, 0x7FFFFFFF, -0x7FFFFF, -1])
def test_nan_with_any_payload_stays_nan(bits):
    x = np.array([bits], np.int64).astype(np.int32).view(np.float32)
    functions = array_functions("float32")
    with np.errstate(all="ignore"):
        assert all(np.isnan(functions[name](x)).all() for name in TRUTH)


def test_results_stay_in_range(form):
    functions, dtype = form
    x = np.concatenate([np.linspace(-45, 45, 20001), np.linspace(-9.2, 9.2, 20001)]).astype(dtype)
    assert (np.abs(functions["tanh"](x)) <= 1).all()
    sigmoid = functions["sigmoid"](x)
    assert ((sigmoid >= 0) & (sigmoid <= 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cosine_and_sine(dtype):
    t = np.concatenate([np.linspace(-0.5, 0.5, 100001), [1e-30, -1e-30]]).astype(dtype)
    angle, bound = 2 * np.pi * t.astype(np.float64), 12 * np.finfo(dtype).eps
    for name, planted in [("SINE", 0), ("SINE", 1e-4), ("COSINE", 1e-4)]:
        value = getattr(elementary, name)
        numbers = {d: [*getattr(value, d)[:-1], getattr(value, d)[-1] * (1 + planted)] for d in DTYPES}
        cosine, sine = array_functions(dtype, **{name: type(value)(**numbers)})["cosine_and_sine"](t)
        assert max(abs(cosine - np.cos(angle)).max(), abs(sine - np.sin(angle)).max()) <= bound or planted
        assert abs(sine - np.sin(angle)).max() > bound or not planted
