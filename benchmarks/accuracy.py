"""Largest errors of the elementary functions, in units in the last place; exit code 1 if one is over its bound.

    python benchmarks/accuracy.py                  all 2^32 float32 inputs and 10^7 float64 inputs, some minutes
    python benchmarks/accuracy.py --quick          every 257th float32 input and 10^5 float64 inputs
    python benchmarks/accuracy.py --coefficients   the polynomials' coefficients, made anew by Remez's algorithm

The functions run on vectors and are compiled twice: as kernels are, with fused multiply-adds and subnormal numbers
flushed to zero, and with neither. The truth is NumPy's float64 for float32, and long double, itself compared with
mpmath, for float64.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf
from numba import njit, vectorize

from fastmlp.kernels.backends.jit import host_level
from fastmlp.kernels.compiler.compilation import POLICY
from fastmlp.kernels.compiler.specialize import specialize
from fastmlp.kernels.functions import elementary
from fastmlp.kernels.runtime.plan import scratch
from fastmlp.kernels.vocabulary import simd
from fastmlp.kernels.vocabulary.intrinsics import polynomial, vocabulary

BOUND = {"float32": 2, "float64": 4}
BOUNDS = {"erfc": 8, "erf": 8, "sinh": 8, "cosh": 5}
TRUTH: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "log": np.log,
    "log1p": np.log1p,
    "log1p_anywhere": np.log1p,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "erf": vectorize(["float64(float64)"])(lambda x: math.erf(x)),
    "erfc": vectorize(["float64(float64)"])(lambda x: math.erfc(x)),
}
BY_MPMATH = ("erf", "erfc")  # in float64: NumPy has none of long double
FEW = 1000  # of a chunk, where only mpmath knows the truth
CHUNK = 2**20


# --- the functions, compiled


def functions(dtype: str) -> Iterator[tuple[str, str, Callable[..., None]]]:
    """Name, how it is compiled, and the function of an array of inputs and an array for the results."""
    fused = vocabulary(dtype, host_level())
    plain = fused | {
        "polynomial": partial(polynomial, flags=()),
        "multiply_add": njit(simd.multiply_add, error_model="numpy"),
        "flush_subnormals": njit(simd.flush_subnormals),
        "restore_subnormals": njit(simd.restore_subnormals),
    }
    for how, words, policy in (("fused", fused, POLICY), ("plain", plain, {"error_model": "numpy"})):
        namespace = specialize(dtype, words, njit(**policy))
        for name in TRUTH:
            yield name, how, loop(namespace[name], words, policy)


def loop(function: Any, words: dict[str, Any], policy: dict[str, Any]) -> Any:
    flush, restore = words["flush_subnormals"], words["restore_subnormals"]
    lanes, reals, load, store = words["LANES"], words["reals"], words["load"], words["store"]

    @njit(**policy)
    def vectors(x, y, count):  # type: ignore[no-untyped-def]
        state = flush()
        for i in range(0, count, lanes):
            store(reals(y), i, function(load(reals(x), i)))
        restore(state)

    def run(x: Any, y: Any) -> None:
        size = x.size
        source, target = (scratch(-(-size // lanes) * lanes, x.dtype.name) for _ in range(2))
        source[:size], source[size:] = x, 1
        vectors(source.ctypes.data, target.ctypes.data, source.size)
        y[...] = target[:size]

    return run


# --- inputs and truth


def float32_inputs(step: int) -> Iterator[Any]:
    for start in range(0, 2**32, CHUNK * step):
        bits = np.arange(start, min(start + CHUNK * step, 2**32), step, dtype=np.int64)
        yield bits.astype(np.uint32).view(np.float32)


def float64_inputs(count: int) -> Iterator[Any]:
    """All magnitudes, where the functions bend, and around multiples of ln 2 / 2, where the formulas are at a limit."""
    random = np.random.default_rng(2024)
    parts = 5
    for n in [CHUNK // 16] * (count * 16 // CHUNK // parts + 1):
        yield random.integers(-(2**63), 2**63, n).view(np.float64)
        yield random.uniform(-750, 750, n)
        yield random.uniform(-3, 3, n)
        yield np.exp2(random.uniform(-60, 6, n)) * random.choice([-1, 1], n)
        yield random.integers(-2100, 2101, n) * (np.log(2) / 2) * (1 + random.normal(0, 1e-4, n) ** 3)


def domain(name: str, x: Any) -> Any:
    """x, with 1 in place of what the function is not for."""
    if name in ("log", "erf"):  # take subnormal numbers for zero; erf of the largest is none any more
        x = np.where((np.abs(x) >= np.finfo(x.dtype).tiny) | (x == 0) | np.isnan(x), x, x.dtype.type(1))
    if name in BY_MPMATH and x.dtype == np.float64:
        return x[:: x.size // FEW]
    return np.abs(x) if name == "log1p" else x


def truth(name: str, x: Any) -> tuple[Any, Any]:
    """The nearest number of x's type, and what it lacks, both as float64."""
    if name in BY_MPMATH and x.dtype == np.float64:
        with mpmath.workdps(40):
            exact = [getattr(mpmath, name)(mpf(v)) for v in np.clip(x, -40, 40).tolist()]  # beyond, it is at its limit
            high = np.array([float(v) for v in exact])
            return high, np.array([float(v - mpf(h)) for v, h in zip(exact, high.tolist(), strict=True)])
    value = TRUTH[name](x.astype(np.float64 if x.dtype == np.float32 else np.longdouble))
    high = value.astype(x.dtype)
    return high.astype(np.float64), (value - high).astype(np.float64)


def verify_long_double() -> None:
    if np.finfo(np.longdouble).nmant < 63:
        sys.exit("float64 needs a platform whose long double has 64 bits or more, to compare with")

    def exact_value(name: str, x: Any) -> Any:
        return 1 / (1 + mpmath.exp(-x)) if name == "sigmoid" else getattr(mpmath, name.partition("_")[0])(x)

    with mpmath.workdps(50):
        for x in np.concatenate([x[:400] for x, _ in zip(float64_inputs(1), range(5), strict=False)]):
            for name, function in TRUTH.items():
                if name in BY_MPMATH:  # compared with mpmath itself
                    continue
                y = function(np.longdouble(abs(x)))
                if np.isfinite(y) and y != 0:
                    exact, high = exact_value(name, mpf(abs(x))), float(y)
                    if abs(mpf(high) + mpf(float(y - high)) - exact) > abs(exact) * mpf(2) ** -61:
                        sys.exit(f"long double's {name}({abs(x)!r}) is not accurate enough to compare with")


# --- errors


@njit(error_model="numpy")
def worst(y, high, low, smallest, epsilon):  # type: ignore[no-untyped-def]
    """The largest |y - (high + low)| in units in the last place, and where; infinite for a wrong NaN or sign."""
    largest, at = -1.0, 0
    for i in range(y.size):
        got, h = np.float64(y[i]), high[i]
        size = abs(h)
        if np.isnan(h):
            error = 0.0 if np.isnan(got) else np.inf
        elif size == np.inf or h == 0:
            error = 0.0 if got == h and np.copysign(1.0, got) == np.copysign(1.0, h) else np.inf
        elif got == 0 and size <= smallest:  # flushed
            error = 0.0
        else:
            power = np.int64(np.float64(size).view(np.int64) & 0x7FF0000000000000).view(np.float64)
            unit = max(power, smallest) * epsilon
            if size == power and power > smallest and low[i] * h < 0:
                unit *= 0.5  # just below a power of two
            error = abs(got - h - low[i]) / unit
        if not error <= largest:
            largest, at = error, i
    return largest, at


def check(dtype: str, inputs: Iterator[Any]) -> bool:
    """Print a table of the largest errors; whether all are within bounds."""
    info = np.finfo(dtype)
    compiled = list(functions(dtype))
    largest: dict[tuple[str, str], tuple[float, float]] = {}
    count = 0
    for chunk in inputs:
        count += chunk.size
        for name in TRUTH:
            x = domain(name, chunk)
            high, low = truth(name, x)
            for function_name, how, function in compiled:
                if function_name == name:
                    y = np.empty_like(x)
                    function(x, y)
                    error, i = worst(y, high, low, float(info.tiny), float(info.eps))
                    if (name, how) not in largest or not error <= largest[name, how][0]:
                        largest[name, how] = error, x[i]
    print(f"\n{dtype}, {count} inputs, bound {BOUND[dtype]}, other than {BOUNDS}")
    within = True
    for (name, how), (error, x) in largest.items():
        right = error <= BOUNDS.get(name, BOUND[dtype])
        print(f"  {name:14} {how:6} {error:8.4f}  at {x!r}{'' if right else '   OVER THE BOUND'}")
        within &= right
    return within


# --- coefficients


def minimax(f: Callable[[Any], Any], degree: int, low: Any, high: Any) -> tuple[list[Any], Any]:
    """The polynomial with the least max |p / f - 1| on [low, high], and that error.

    Remez's exchange: find p whose error has equal size and alternating signs at degree + 2 points, move the points to
    the extrema of that error, repeat. E. W. Cheney, Introduction to Approximation Theory, 1966, chapter 3.
    """
    n = degree + 2
    points = [(low + high - (high - low) * mpmath.cos(mpmath.pi * (i + mpf(0.5)) / n)) / 2 for i in range(n)]
    grid = [(x, f(x)) for x in mpmath.linspace(low, high, 3001)]
    while True:
        rows = [[x ** (degree - j) for j in range(degree + 1)] + [(-1) ** i * f(x)] for i, x in enumerate(points)]
        *coefficients, level = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([f(x) for x in points]))
        extrema: list[tuple[Any, Any]] = []  # the largest error between two changes of sign
        for x, value in grid:
            error = mpmath.polyval(coefficients, x) / value - 1
            if not extrema or error * extrema[-1][1] < 0:
                extrema.append((x, error))
            elif abs(error) > abs(extrema[-1][1]):
                extrema[-1] = x, error
        while len(extrema) > n:  # one too many at an end
            extrema.pop(0 if abs(extrema[0][1]) < abs(extrema[-1][1]) else -1)
        points = [x for x, _ in extrema]
        assert len(points) == n, "the error must change its sign at every step"
        if max(abs(error) for _, error in extrema) < abs(level) * mpf("1.0005"):
            return coefficients, abs(level)


def expm1_quotient(r: Any) -> Any:
    return mpmath.expm1(r) / r if r else mpf(1)


def decay_quotient(s: Any) -> Any:
    return -mpmath.expm1(-2 * s) / (2 * s) if s else mpf(1)


def log_quotient(z: Any) -> Any:
    s = mpmath.sqrt(z)
    return (2 * mpmath.atanh(s) - 2 * s) / s**3 if z else mpf(2) / 3


def scaled_erfc(t: Any) -> Any:
    x = 3 * (1 + t) / (1 - t)
    return mpmath.exp(x * x) * mpmath.erfc(x) * (x + 3)


def print_coefficients() -> None:
    """Of the polynomials in elementary.py. The last ones of e^r and e^-2s are 1 when rounded, and left out there."""
    mpmath.mp.dps = 60
    ln2 = mpmath.log(2)
    ends = {dtype: mpf(getattr(elementary.END, dtype)) for dtype in BOUND}
    for title, f, used_polynomial, left_out, low, highest in (
        ("(e^r - 1) / r", expm1_quotient, elementary.EXP_REMAINDER, [mpf(1)], -ln2 / 2, dict.fromkeys(BOUND, ln2)),
        (
            "(1 - e^-2s) / 2 s", decay_quotient, elementary.HALF_OF_DECAY, [mpf(1)], -ln2 / 4,
            dict.fromkeys(BOUND, ln2 / 4),
        ),
        (
            "(2 artanh(s) - 2 s) / s^3", log_quotient, elementary.LOG_QUOTIENT, [], mpf(0),
            dict.fromkeys(BOUND, (3 - 2 * mpmath.sqrt(2)) ** 2),
        ),
        (
            "e^(x^2) erfc(x) (x + 3)", scaled_erfc, elementary.ERFC, [], mpf(-1),
            {dtype: (end - 3) / (end + 3) for dtype, end in ends.items()},
        ),
    ):  # fmt: skip
        for dtype, high in highest.items():
            used = [mpf(float(np.dtype(dtype).type(c))) for c in getattr(used_polynomial, dtype)] + left_out
            coefficients, error = minimax(f, len(used) - 1, low, high)
            rounded = max(abs(mpmath.polyval(used, x) / f(x) - 1) for x in mpmath.linspace(low, high, 3001))
            print(f"\n{title}, {dtype}: relative error {float(error):.2g}; as rounded in use {float(rounded):.2g}")
            print(*(mpmath.nstr(c, 10 if dtype == "float32" else 19) for c in coefficients), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--float32", "--float64", "--quick", "--coefficients"):
        parser.add_argument(option, action="store_true")
    options = parser.parse_args()
    if options.coefficients:
        return print_coefficients()
    both = options.float32 == options.float64
    within = True
    with np.errstate(all="ignore"):
        if both or options.float32:
            within &= check("float32", float32_inputs(257 if options.quick else 1))
        if both or options.float64:
            verify_long_double()
            within &= check("float64", float64_inputs(10**5 if options.quick else 10**7))
    sys.exit(0 if within else 1)


if __name__ == "__main__":
    main()
