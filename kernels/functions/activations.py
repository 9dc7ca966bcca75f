"""Activation functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from typing import Any

from ..base.records import Record, frozen
from ..vocabulary.simd import (
    LANES,
    Constant,
    absolute,
    at,
    copy_sign,
    double,
    lanes_below,
    largest_lane,
    load,
    real,
    select,
    spread,
    store,
    sum_lanes,
)
from .elementary import erfc, exp, expm1, log1p, sigmoid, tanh
from .function import Variant
from .variants import ELU, LeakyReLU

LARGE = Constant(float32=100.0, float64=750.0)  # e^-LARGE is 0, and e^LARGE infinite
LARGEST = Constant(float32=1e38, float64=1e308)  # about
SELU_SCALE = Constant(float32=1.0507009873554805, float64=1.0507009873554805)
SELU_ALPHA = Constant(float32=1.6732632423543772, float64=1.6732632423543772)
ROOT_HALF = Constant(float32=0.5**0.5, float64=0.5**0.5)
ROOT_8_BY_PI = Constant(float32=1.5957691216057308, float64=1.5957691216057308)
NORMAL_DENSITY = Constant(float32=0.3989422804014327, float64=0.3989422804014327)  # 1 / sqrt(2 pi), of z = 0

# --- a = f(z), where `elementary.py` does not have it, and below it da/dz, in terms of a if it has a short form there,
# else in terms of z. Comparisons are such that NaN goes through; 0 * infinity must not make one where a limit exists.


def at_most(z, limit):
    """|z|, or the limit where that is smaller."""
    return select(absolute(z) > limit, limit, absolute(z))


def sigmoid_derivative(a):
    return a * (real(1) - a)


def relu(z):
    return select(z <= real(0), real(0), z)  # this way round, NaN stays NaN


def relu_derivative(a):
    return select(a > real(0), real(1), real(0))


def tanh_derivative(a):
    return (real(1) - a) * (real(1) + a)  # exact where 1 - a^2 cancels


def leaky_relu(z, settings):
    return select(z > real(0), z, real(settings[0]) * z)


def leaky_relu_derivative(a, settings):
    return select(a > real(0), real(1), real(settings[0]))


def elu(z, settings):
    return select(z > real(0), z, real(settings[0]) * expm1(z))


def elu_derivative(a, settings):
    return select(a > real(0), real(1), a + real(settings[0]))


def selu(z):
    return SELU_SCALE * select(z > real(0), z, SELU_ALPHA * expm1(z))


def selu_derivative(a):
    return select(a > real(0), SELU_SCALE, a + SELU_SCALE * SELU_ALPHA)


def gelu(z):
    m = at_most(z, LARGE)
    return relu(z) - m * (real(0.5) * erfc(m * ROOT_HALF))  # z P(Z < z), from the tail that does not cancel


def gelu_derivative(z):
    m = at_most(z, LARGE)
    tail = real(0.5) * erfc(m * ROOT_HALF)
    density = NORMAL_DENSITY * exp(real(-0.5) * m * m)
    return select(z > real(0), real(1) - tail, tail) + copy_sign(m, z) * density


def gelu_tanh(z):
    m = at_most(z, LARGE)
    # (1 + tanh u) / 2 = sigmoid(2 u)
    return relu(z) - m * sigmoid(-ROOT_8_BY_PI * m * (real(1) + real(0.044715) * m * m))


def gelu_tanh_derivative(z):
    z = copy_sign(at_most(z, LARGE), z)
    s = sigmoid(ROOT_8_BY_PI * z * (real(1) + real(0.044715) * z * z))
    return s + s * (real(1) - s) * z * ROOT_8_BY_PI * (real(1) + real(3 * 0.044715) * z * z)


def silu(z):
    m = at_most(z, LARGE)
    return relu(z) - m * sigmoid(-m)


def silu_derivative(z):
    z = copy_sign(at_most(z, LARGE), z)
    s = sigmoid(z)
    return s + s * (real(1) - s) * z


def mish(z):
    # with e = e^z and n = e (e + 2), tanh(log(1 + e)) = n / (n + 2), which is 1 from z = 20 on
    e = exp(select(z > real(20), real(20), z))
    n = e * (e + real(2))
    return select(z < -LARGE, -LARGE, z) * (n / (n + real(2)))


def mish_derivative(z):
    m = at_most(z, LARGE)
    z = select(z > real(20), real(20), copy_sign(m, z))
    e = exp(z)
    n = e * (e + real(2))
    rest = real(1) / (n + real(2))
    t = n * rest
    return t + z * real(2) * rest * (real(1) + t) * (e / (real(1) + e))  # 1 - t = 2 rest


def softplus(z):
    return relu(z) + log1p(exp(-absolute(z)))


def softplus_derivative(a):
    return -expm1(-a)


def softsign(z):
    m = at_most(z, LARGEST)
    return copy_sign(m / (real(1) + m), z)


def softsign_derivative(a):
    return (real(1) - absolute(a)) * (real(1) - absolute(a))


def hard_sigmoid(z):
    return relu6(z + real(3)) * real(1 / 6)


def hard_sigmoid_derivative(a):
    return select(a > real(0), select(a < real(1), real(1 / 6), real(0)), real(0))


def hard_tanh(z):
    return select(z <= real(-1), real(-1), select(z >= real(1), real(1), z))


def hard_tanh_derivative(a):
    return select(absolute(a) < real(1), real(1), real(0))


def relu6(z):
    return select(z <= real(0), real(0), select(z >= real(6), real(6), z))


def relu6_derivative(a):
    return select(a > real(0), select(a < real(6), real(1), real(0)), real(0))


def exponential_derivative(a):
    return a


def softmax(z, a, rows, columns, stride, settings):
    """a_j = exp(z_j) / sum_k exp(z_k) in every row; subtracting the largest z first, nothing overflows."""
    for i in range(rows):
        softmax_of_row(at(z, i * stride), columns, at(a, i * stride), at(a, i * stride))


def softmax_derivative(a, delta, rows, columns, stride, settings):
    """delta_j = a_j (delta_j - sum_k a_k delta_k): the Jacobian diag(a) - a a^T times delta, in every row."""
    for i in range(rows):
        row, delta_row = at(a, i * stride), at(delta, i * stride)
        mean = spread(real(0))
        for j in range(0, columns, LANES):
            mean = mean + select(lanes_below(columns - j), load(row, j) * load(delta_row, j), real(0))
        mean = sum_lanes(mean)
        for j in range(0, columns, LANES):
            store(delta_row, j, load(row, j) * (load(delta_row, j) - mean))


def softmax_of_row(row, columns, shifted, target):
    """shifted_j = row_j - the largest; target_j = exp(shifted_j) / their sum, which it returns."""
    if columns <= LANES:  # the same, in registers
        x, inside = load(row, 0), lanes_below(columns)
        x = x - largest_lane(select(inside, x, row[0]))
        e = select(inside, exp(x), real(0))
        total = sum_lanes(e)
        store(shifted, 0, x)
        store(target, 0, e * (real(1) / total))
    else:
        subtract_largest(row, columns, shifted)
        total = exponentials(shifted, columns, target)
        scale_row(target, columns, real(1) / total)
    return total


def subtract_largest(row, columns, target):
    """target_j = row_j - the largest. A NaN may hide from the comparisons, but stays where it is."""
    first = row[0]
    top = spread(first)
    for j in range(0, columns, LANES):
        x = select(lanes_below(columns - j), load(row, j), first)
        top = select(x > top, x, top)
    top = largest_lane(top)
    for j in range(0, columns, LANES):
        store(target, j, load(row, j) - top)


def exponentials(row, columns, target):
    """target_j = exp(row_j), zero in the padding; returns their sum."""
    total = spread(real(0))
    for j in range(0, columns, LANES):
        e = select(lanes_below(columns - j), exp(load(row, j)), real(0))
        store(target, j, e)
        total = total + e
    return sum_lanes(total)


def scale_row(row, columns, factor):
    """row_j *= factor."""
    for j in range(0, columns, LANES):
        store(row, j, load(row, j) * factor)


# --- from functions of a number to functions of a block of rows or of a vector: `element` is bound to the former.
# z and a may be the same memory; `of` is what the derivative is given in terms of.


def apply(z, a, rows, columns, stride, settings):
    for i in range(0, rows * stride, LANES):
        store(a, i, element(load(z, i)))  # noqa: F821


def apply_set(z, a, rows, columns, stride, settings):
    for i in range(0, rows * stride, LANES):
        store(a, i, element(load(z, i), settings))  # noqa: F821


def chain(of, delta, rows, columns, stride, settings):
    for i in range(0, rows * stride, LANES):
        store(delta, i, load(delta, i) * element(load(of, i)))  # noqa: F821


def chain_set(of, delta, rows, columns, stride, settings):
    for i in range(0, rows * stride, LANES):
        store(delta, i, load(delta, i) * element(load(of, i), settings))  # noqa: F821


def with_derivative(z, settings):
    """a and da/dz, to which `slope` is bound."""
    a = element(z)  # noqa: F821
    return a, slope(a)  # noqa: F821


def with_derivative_set(z, settings):
    a = element(z, settings)  # noqa: F821
    return a, slope(a, settings)  # noqa: F821


def with_derivative_of_sums(z, settings):
    return element(z), slope(z)  # noqa: F821


def with_derivative_of_sums_set(z, settings):
    return element(z, settings), slope(z, settings)  # noqa: F821


WITH_DERIVATIVE = {  # by whether the derivative is one of weighted sums, and whether there are settings
    (False, False): with_derivative,
    (False, True): with_derivative_set,
    (True, False): with_derivative_of_sums,
    (True, True): with_derivative_of_sums_set,
}


def apply_scalar(z, a, rows, columns, stride, note):
    """`apply` for functions of users that are no formulas, of float64, under a guard: see `notes.py`."""
    for i in range(rows):
        for j in range(columns):
            a[i * stride + j] = real(element(double(z[i * stride + j]), note))  # noqa: F821


def chain_scalar(of, delta, rows, columns, stride, note):
    for i in range(rows):
        for j in range(columns):
            k = i * stride + j
            delta[k] = delta[k] * real(element(double(of[k]), note))  # noqa: F821


@frozen
class ActivationRow(Record):
    """A row of the table.

    Elementwise functions are given as functions of one number, and of `settings` if there are any. Functions of a whole
    row (`rowwise`) work on a block of rows, and are for output layers. None is the identity.
    """

    name: str
    forward: Callable[..., Any] | None
    derivative: Callable[..., Any] | None
    formula: str
    range: str
    kink: str = ""  # the derivative where it jumps, "value at z"
    source: str = ""
    of_sums: bool = False  # the derivative is one of z, which a plan that goes backward must keep, and not of a
    settings: type[Variant] | None = None
    initializer: str = "glorot_uniform"  # of the layer's weights, unless the user names one
    rowwise: bool = False
    foreign: bool = False  # functions of users: plain Python

    @property
    def elementwise(self) -> bool:
        return not self.rowwise


_HE = "he_normal"

ACTIVATIONS = {
    row.name: row
    for row in (
        ActivationRow("identity", None, None, "z", "all numbers"),
        ActivationRow("sigmoid", sigmoid, sigmoid_derivative, "1 / (1 + e^-z)", "0 to 1"),
        ActivationRow(
            "relu", relu, relu_derivative, "max(0, z)", "0 and above", "0 at 0",
            'V. Nair, G. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010',
            initializer=_HE,
        ),
        ActivationRow("tanh", tanh, tanh_derivative, "(e^z - e^-z) / (e^z + e^-z)", "-1 to 1"),
        ActivationRow(
            "leaky_relu", leaky_relu, leaky_relu_derivative, "z if z > 0 else negative_slope * z", "all numbers",
            "negative_slope at 0",
            'A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013',
            settings=LeakyReLU, initializer=_HE,
        ),
        ActivationRow(
            "elu", elu, elu_derivative, "z if z > 0 else alpha * (e^z - 1)", "above -alpha", "alpha at 0",
            'D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear '
            'units", ICLR 2016',
            settings=ELU, initializer=_HE,
        ),
        ActivationRow(
            "selu", selu, selu_derivative, "1.0507... * (z if z > 0 else 1.6733... * (e^z - 1))", "above -1.7581...",
            "1.7581... at 0",
            'G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", NeurIPS 2017',
            initializer="lecun_normal",
        ),
        ActivationRow(
            "gelu", gelu, gelu_derivative, "z P(Z < z) for Z normally distributed: z / 2 * (1 + erf(z / sqrt 2))",
            "above -0.1700", source='D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016, arXiv 1606.08415',
            of_sums=True, initializer=_HE,
        ),
        ActivationRow(
            "gelu_tanh", gelu_tanh, gelu_tanh_derivative, "z / 2 * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 * z^3)))",
            "above -0.1701", source='D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016, arXiv 1606.08415',
            of_sums=True, initializer=_HE,
        ),
        ActivationRow(
            "silu", silu, silu_derivative, "z / (1 + e^-z)", "above -0.2785",
            source='S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function '
            'approximation in reinforcement learning", Neural Networks 107, 2018',
            of_sums=True, initializer=_HE,
        ),
        ActivationRow(
            "mish", mish, mish_derivative, "z * tanh(log(1 + e^z))", "above -0.3089",
            source='D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020',
            of_sums=True, initializer=_HE,
        ),
        ActivationRow(
            "softplus", softplus, softplus_derivative, "log(1 + e^z)", "above 0",
            source='C. Dugas, Y. Bengio, F. Belisle, C. Nadeau, R. Garcia, "Incorporating second-order functional '
            'knowledge for better option pricing", NIPS 2000',
        ),
        ActivationRow(
            "softsign", softsign, softsign_derivative, "z / (1 + |z|)", "-1 to 1",
            source='J. Bergstra, G. Desjardins, P. Lamblin, Y. Bengio, "Quadratic polynomials learn better image '
            'features", 2009',
        ),
        ActivationRow(
            "hard_sigmoid", hard_sigmoid, hard_sigmoid_derivative, "min(max(0, z + 3), 6) / 6", "0 to 1",
            "0 at -3, 0 at 3", 'A. Howard et al., "Searching for MobileNetV3", ICCV 2019',
        ),
        ActivationRow(
            "hard_tanh", hard_tanh, hard_tanh_derivative, "min(max(-1, z), 1)", "-1 to 1", "0 at -1, 0 at 1",
            'R. Collobert, "Large scale machine learning", 2004',
        ),
        ActivationRow(
            "relu6", relu6, relu6_derivative, "min(max(0, z), 6)", "0 to 6", "0 at 0, 0 at 6",
            'A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010',
            initializer=_HE,
        ),
        ActivationRow("exponential", exp, exponential_derivative, "e^z", "above 0"),
        ActivationRow("softmax", softmax, softmax_derivative, "e^z_j / sum_k e^z_k", "0 to 1, of sum 1", rowwise=True),
    )
}  # fmt: skip
