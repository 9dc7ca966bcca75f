"""Exponential, logarithm, tanh, error function, cosine: formulas without branches, tables and library calls.

exp and expm1 write x = n ln 2 + r with a whole n and |r| <= ln 2 / 2, and log the reverse: x = 2^n (1 + f) with
1/sqrt 2 <= 1 + f < sqrt 2. Adding 1.5 * 2^23 (float64: 2^52), where neighboring floats lie 1 apart, rounds to a whole
number and leaves it in the lowest bits. ln 2 comes in two parts, the first with so few bits that its product with n is
exact (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980).

Largest errors in units in the last place, over all float32 and 10^7 float64 inputs (of erfc 10^4), fused or not:

              exp   expm1  sigmoid  tanh   log   log1p  erfc
    float32   1.30   1.62    2.00   1.96   0.96   1.55  7.15     (python benchmarks/accuracy.py)
    float64   1.49   2.52    2.00   2.17   0.86   1.47  6.43

What only functions of users call is off by less than 2 units (`log1p_anywhere`), 5 (`cosh`) or 8 (`sinh`, `erf`).

A result below the smallest normal number may come out as zero; log takes an argument below it for zero. The
polynomials are minimax in the relative error, by Remez's algorithm (python benchmarks/accuracy.py --coefficients).
"""

from math import factorial, pi

from ..vocabulary.simd import Constant, Polynomial, absolute, copy_sign, from_bits, multiply_add, real, select, to_bits

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

# e^r - 1 as one polynomial: there sooner than from its parts, by a multiplication, and less exact, by a rounding
EXPM1_OF_REST = Polynomial(float32=[*EXP_REMAINDER.float32, 1, 0], float64=[*EXP_REMAINDER.float64, 1, 0])


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


def exp(x):
    """e^x."""
    power, r = octaves(x)
    return (real(1) + r * (real(1) + r * EXP_REMAINDER(r))) * power


def expm1(x):
    """e^x - 1, accurate near 0 too."""
    power, r = octaves(x)
    return copy_sign(power * (r + r * r * EXP_REMAINDER(r)) - (real(1) - power), x)


def sigmoid(x):
    """1 / (1 + e^-x). The sum never sees a rounded exponential: 1 / (1 + exp(-x)) is off by up to 2.5 units."""
    x = select(x > -LOWEST, -LOWEST, x)  # `octaves(-x)`, but nothing waits for -x: it is 3% of a tiny network's step
    t = ZERO_EXPONENT - x * LOG2_E
    power, r = split(-x, select(t < LAST_EXPONENT, t, LAST_EXPONENT))
    return real(1) / ((power * EXPM1_OF_REST(r) + real(1)) + power)


# ((1 - e^-2s) / 2 - s) / s^2 on [-ln 2 / 4, ln 2 / 4], degree 5 and 9: s times it, plus 1, is (1 - e^-2s) / 2 s but for
# a relative error of 2.2e-9 and 2.1e-17, coefficients rounded
HALF_OF_DECAY = Polynomial(
    float32=[0.01269840378, -0.04461121617, 0.1333344462, -0.3333308356, 0.66666665, -1],
    float64=[
        2.565336578963312972e-5, -1.414464663670346401e-4, 7.05469817034938578e-4, -3.174592589031655055e-3,
        0.01269841261282581472, -0.04444444458322888837, 0.1333333333343647536, -0.3333333333325912694,
        0.666666666666662544, -1.00000000000000111,
    ],
)  # fmt: skip
HALF_LN2 = Constant(float32=0.34657359027997264, float64=0.34657359027997264)


def tanh(x):
    """(1/2 - e^-2|x| / 2) / (1/2 + e^-2|x| / 2). Even rounded, one is not above 1/2 and the other not below.

    With |x| = s - n ln 2 / 2 and h = (1 - e^-2s) / 2, e^-2|x| / 2 is 2^n / 2 - 2^n h. Beside 1/2, what ln 2 lacks in
    one part is nothing.
    """
    y = absolute(x)
    y = select(y > real(20), real(20), y)  # where tanh has long been 1
    t = y * (real(-2) * LOG2_E) + ZERO_EXPONENT
    n = t - ZERO_EXPONENT
    power, s = from_bits(to_bits(t) << int(FRACTION_BITS)), y + n * HALF_LN2
    h = s + s * s * HALF_OF_DECAY(s)
    less = multiply_add(power, h, multiply_add(power, real(-0.5), real(0.5)))
    more = multiply_add(-power, h, multiply_add(power, real(0.5), real(0.5)))
    return copy_sign(less / more, x)


STRAIGHT = Constant(float32=1e-4, float64=1e-8)  # below it, sinh x is x


def sinh(x):
    """(e^x - e^-x) / 2, from p = e^(|x| / 2), which does not overflow before the result does."""
    y = absolute(x)
    less = expm1(y * real(0.5))  # p - 1
    p = less + real(1)
    far = less * (real(1) + real(1) / p) * (real(0.5) * p + real(0.5) / p)
    return copy_sign(select(y < STRAIGHT, y, far), x)  # half of the smallest number may be flushed to zero


def cosh(x):
    """(e^x + e^-x) / 2, in the same way."""
    p = exp(absolute(x) * real(0.5))
    half = real(0.5) * p * p
    return half + real(0.25) / half


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


def log1p_anywhere(x):
    """The same for any x: -inf of -1, NaN below."""
    return select(x < real(-1), NAN, select(x <= real(-1), -INFINITY, copy_sign(log1p(x), x)))


# --- the error function and its complement

# e^(x^2) erfc(x) (x + 3) as a function of t = (x - 3) / (x + 3) for x from 0 to END, degree 9 and 22, relative
# error 1.4e-9 and 6.0e-18; coefficients rounded, 2.0e-8 and 1.7e-16. The variable is that of J. L. Schonfelder,
# "Chebyshev expansions for the error and related functions", Mathematics of Computation 32, 1978.
ERFC = Polynomial(
    float32=[
        -0.0003306445167, -0.0004934462534, 0.00307782475, -0.00122151972, -0.0268378024, 0.1195283076,
        -0.310466313, 0.590228341, -0.8833944763, 1.074006907,
    ],
    float64=[
        -1.43930695398564782e-9, -6.069733817113746236e-9, 1.972375892448127069e-9, 4.768142981219478921e-8,
        4.067249557606312971e-8, -2.31434926312446693e-7, -4.027673504317010744e-7, 9.979744496242050268e-7,
        2.762351901293288767e-6, -4.74896253822132687e-6, -0.00001746944252675677681,
        0.0000303981104797390054, 0.0001075612232362954349, -0.0002767778377997511357,
        -0.000548309653724674785, 0.003034062000058734267, -0.00121241663037700774, -0.02682723462437757857,
        0.1195277612874243079, -0.3104672619005717775, 0.5902283571040996464, -0.8833944531698835752,
        1.074006907088339708,
    ],
)  # fmt: skip
END = Constant(float32=9.38, float64=26.627)  # e^-(END^2) is 0 by its exponent, as in `exp`, and erfc is almost
HALF_OF_BITS = Constant(float32=12, float64=27)  # without them, a number's square is exact


def exp_of_minus_square(x):
    """e^-(x^2) for 0 <= x <= END, as accurate as `exp`: no rounding of the square gets in."""
    high = from_bits((to_bits(x) >> int(HALF_OF_BITS)) << int(HALF_OF_BITS))
    power, r = split(-high * high, -x * x * LOG2_E + ZERO_EXPONENT)
    r = r - (x - high) * (x + high)
    return (real(1) + r * (real(1) + r * EXP_REMAINDER(r))) * power


def erfc(x):
    """1 - erf(x) = 2 / sqrt(pi) times the integral of e^(-t^2) from x on."""
    y = absolute(x)
    y = select(y > END, END, y)
    scale = real(1) / (y + real(3))
    tail = exp_of_minus_square(y) * ERFC((y - real(3)) * scale) * scale
    return select(x < real(0), real(2) - tail, tail)


# erf(x) / x as a function of x^2 on [0, 1/4]: Taylor's series as far as the numbers see it
_ERF = [(-1) ** k * 2 / pi**0.5 / (factorial(k) * (2 * k + 1)) for k in reversed(range(13))]
ERF = Polynomial(float32=_ERF[-7:], float64=_ERF)


def erf(x):
    """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    y = absolute(x)
    return select(y < real(0.5), x * ERF(x * x), copy_sign(real(1) - erfc(y), x))


# --- the circle

# sin(pi t / 2) / t and cos(pi t / 2) as functions of t^2 on [0, 1/4]: Taylor's series as far as the numbers see it
_SINE = [(-1) ** k * (pi / 2) ** (2 * k + 1) / factorial(2 * k + 1) for k in reversed(range(8))]
_COSINE = [(-1) ** k * (pi / 2) ** (2 * k) / factorial(2 * k) for k in reversed(range(9))]
SINE = Polynomial(float32=_SINE[-5:], float64=_SINE)
COSINE = Polynomial(float32=_COSINE[-5:], float64=_COSINE)


def cosine_and_sine(t):
    """Of 2 pi t, |t| <= 1/2: of a quarter of the angle, doubled twice. Off by at most 12 times the last place of 1."""
    s = t * SINE(t * t)
    s, c = real(2) * s * COSINE(t * t), real(1) - real(2) * s * s
    return real(1) - real(2) * s * s, real(2) * s * c
