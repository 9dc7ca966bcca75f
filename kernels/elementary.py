"""Exponential, logarithm and hyperbolic tangent: formulas without branches, tables and library calls, for vector loops.

exp, expm1 and tanh write x = n ln 2 + r with a whole n and |r| <= ln 2 / 2, and log the reverse: x = 2^n (1 + f) with
1/sqrt 2 <= 1 + f < sqrt 2. Adding 1.5 * 2^23 (float64: 2^52), where neighboring floats lie 1 apart, rounds to a whole
number and leaves it in the lowest bits. ln 2 comes in two parts, the first with so few bits that its product with n is
exact (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980).

Largest errors in units in the last place, over all float32 and 10^7 float64 inputs, fused multiply-adds or not:

              exp   expm1  sigmoid  tanh   log   log1p
    float32   1.34   1.70    2.00   1.95   0.96   1.55     (python benchmarks/accuracy.py)
    float64   1.49   2.59    2.00   2.13   0.86   1.47

A result below the smallest normal number may come out as zero; log takes an argument below it for zero. The
polynomials are minimax in the relative error, by Remez's algorithm (python benchmarks/accuracy.py --coefficients).
"""

from .simd import Constant, Polynomial, absolute, copy_sign, from_bits, real, select, to_bits

FRACTION_BITS = Constant(float32=23, float64=52)
SMALLEST = Constant(float32=2.0**-126, float64=2.0**-1022)  # normal number
INFINITY = Constant(float32=float("inf"), float64=float("inf"))
NAN = Constant(float32=float("nan"), float64=float("nan"))

LOG2_E = Constant(float32=1.4426950408889634, float64=1.4426950408889634)
LN2_HIGH = Constant(float32=float.fromhex("0x1.62e4p-1"), float64=float.fromhex("0x1.62e42fefa38p-1"))
LN2_LOW = Constant(float32=float.fromhex("0x1.7f7d1cp-20"), float64=float.fromhex("0x1.ef35793c7673p-45"))

# --- exponentials

ZERO_EXPONENT = Constant(float32=1.5 * 2.0**23 + 127, float64=1.5 * 2.0**52 + 1023)  # ends in the exponent field of 2^0
LAST_EXPONENT = Constant(float32=1.5 * 2.0**23 + 254, float64=1.5 * 2.0**52 + 2046)  # of the largest power of two
LOWEST = Constant(float32=-88.0, float64=-709.0)  # the exponent field of 2^n is 0, hence 2^n is: exp is 0, expm1 -1

# (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2], degree 5 and 10: r times it, plus 1, is (e^r - 1) / r but for a relative
# error of 1.2e-8 and 6.7e-17, coefficients rounded. All of them are positive, so that larger r give larger values.
EXP_REMAINDER = Polynomial(
    float32=[0.000230886093, 0.001385272989, 0.008326968591, 0.04166775558, 0.1666670223, 0.4999999631],
    float64=[
        2.449629324320313925e-9, 2.485107256973633274e-8, 2.755203189922029306e-7, 2.755802982108462062e-6,
        2.480158239766297467e-5, 1.984126902417934149e-4, 1.388888890011999774e-3, 8.333333333730737286e-3,
        4.166666666661506962e-2, 1.666666666666592852e-1, 0.5000000000000005452,
    ],
)  # fmt: skip


def split(x, t):
    """2^n and r of x = n ln 2 + r, where t = n + ZERO_EXPONENT."""
    n = t - ZERO_EXPONENT
    return from_bits(to_bits(t) << int(FRACTION_BITS)), x - n * LN2_HIGH - n * LN2_LOW


def octaves(x):
    """2^n and r for any x.

    n stops at the exponent of the largest power of two: from there on r grows, up to ln 2 at the largest number whose
    exponential is finite, and beyond it the polynomial makes the exponential overflow. The comparisons let NaN pass.
    """
    x = select(x < LOWEST, LOWEST, x)
    t = x * LOG2_E + ZERO_EXPONENT
    return split(x, select(t < LAST_EXPONENT, t, LAST_EXPONENT))


def expm1_of_rest(r):
    """e^r - 1 for small r."""
    return r + r * r * EXP_REMAINDER(r)


def exp(x):
    """e^x."""
    power, r = octaves(x)
    return (real(1) + r * (real(1) + r * EXP_REMAINDER(r))) * power


def expm1(x):
    """e^x - 1, accurate near 0 too."""
    power, r = octaves(x)
    return copy_sign(power * expm1_of_rest(r) - (real(1) - power), x)


def sigmoid(x):
    """1 / (1 + e^-x). The sum never sees a rounded exponential: 1 / (1 + exp(-x)) is off by up to 2.5 units."""
    power, r = octaves(-x)
    return real(1) / ((power * expm1_of_rest(r) + real(1)) + power)


def tanh(x):
    """(1 - e^-2|x|) / (1 + e^-2|x|). Even rounded, one is at most 1 and the other at least 1: no result exceeds 1."""
    y = absolute(x) * real(-2)
    y = select(y < real(-40), real(-40), y)  # where tanh has long been 1
    power, r = split(y, y * LOG2_E + ZERO_EXPONENT)
    e = power * expm1_of_rest(r)
    return copy_sign(((real(1) - power) - e) / ((real(1) + power) + e), x)


# --- logarithms

INTEGER = Constant(float32=1.5 * 2.0**23, float64=1.5 * 2.0**52)  # INTEGER + n has the bits of INTEGER, plus n
SQRT_HALF = Constant(float32=0.5**0.5, float64=0.5**0.5)

# (log((1 + s) / (1 - s)) - 2 s) / s^3 as a function of s^2 on [0, (3 - 2 sqrt 2)^2], degree 2 and 6, relative error
# 3.0e-7 and 4.7e-16 (coefficients rounded), of which at most a hundredth gets into the logarithm.
LOG_QUOTIENT = Polynomial(
    float32=[0.2958051159, 0.3998876405, 0.666666851],
    float64=[
        0.1461687545884573866, 0.153316840324060382, 0.1818289036809111047, 0.2222221111585057648,
        0.2857142862610593696, 0.3999999999989917637, 0.66666666666666697,
    ],
)  # fmt: skip


def exponent(x):
    """n of x = 2^n m, 1/sqrt 2 <= m < sqrt 2, for x >= 0."""
    ratio = from_bits(to_bits(x) - to_bits(SQRT_HALF))  # back to a float: its bits are an integer of the same width
    return to_bits(ratio) >> int(FRACTION_BITS)


def scaled(x, n):
    """2^n x, where both numbers are normal."""
    return from_bits(to_bits(x) + (n << int(FRACTION_BITS)))


def log_of_parts(n, f):
    """log(2^n (1 + f)), from log(1 + f) = 2 artanh(s) = f - s (f - s^2 P(s^2)) where s = f / (2 + f)."""
    n = from_bits(n + to_bits(INTEGER)) - INTEGER
    s = f / (real(2) + f)
    z = s * s
    return n * LN2_HIGH + (f - (s * (f - z * LOG_QUOTIENT(z)) - n * LN2_LOW))


def log(x):
    """The natural logarithm: -inf of zero, NaN of negative numbers."""
    n = exponent(absolute(x))
    y = log_of_parts(n, scaled(absolute(x), -n) - real(1))
    y = select(x < INFINITY, y, x)
    return select(x < SMALLEST, select(x <= -SMALLEST, NAN, -INFINITY), y)


def log1p(x):
    """log(1 + x) for x >= 0, accurate near 0 too."""
    u = real(1) + x
    lost = x - (u - real(1))  # by rounding
    n = exponent(u)
    lost = lost * scaled(real(2), -n) * real(0.5)  # by way of 2^(1 - n), because 2^-n may be subnormal
    y = log_of_parts(n, (scaled(u, -n) - real(1)) + lost)
    return select(x < INFINITY, y, x)
