"""Loss functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from typing import Any

from ..base.records import Record, frozen
from ..vocabulary.simd import (
    LANES,
    absolute,
    at,
    double,
    lanes_below,
    load,
    quotient,
    real,
    select,
    spread,
    store,
    sum_lanes,
)
from .activations import relu, softmax_of_row
from .elementary import NAN, SMALLEST, exp, expm1, log, log1p, sigmoid, tanh
from .function import Function, Variant, numbers_of, row_of
from .variants import CategoricalCrossEntropy, CategoricalFocal, Focal, Huber, Quantile

# --- the loss of one output a or, on logits, its weighted sum z, and below it the derivative with respect to that.
# Comparisons are such that NaN goes through.


def mean_squared_error(a, y):
    return (a - y) * (a - y)


def mean_squared_error_derivative(a, y):
    return real(2) * (a - y)


def mean_absolute_error(a, y):
    return absolute(a - y)


def mean_absolute_error_derivative(a, y):
    d = a - y
    return select(d > real(0), real(1), select(d < real(0), real(-1), d))


def huber(a, y, settings):
    d, delta = absolute(a - y), real(settings[0])
    return select(d > delta, delta * (d - real(0.5) * delta), real(0.5) * d * d)


def huber_derivative(a, y, settings):
    d, delta = a - y, real(settings[0])
    return select(d > delta, delta, select(d < -delta, -delta, d))


def log_cosh(a, y):
    # cosh d - 1 = e^2 / (2 (1 + e)) with e = e^|d| - 1: nothing cancels; beyond 20 the logarithm grows as |d| does
    d = absolute(a - y)
    near = select(d > real(20), real(20), d)
    e = expm1(near)
    return log1p(e * e / (real(2) + real(2) * e)) + (d - near)


def log_cosh_derivative(a, y):
    return tanh(a - y)


def poisson(z, y):
    return exp(z) - y * z


def poisson_derivative(z, y):
    return exp(z) - y


def gamma(z, y):
    return z + y * exp(-z)


def gamma_derivative(z, y):
    return real(1) - y * exp(-z)


def hinge(a, y):
    return relu(real(1) - y * a)


def hinge_derivative(a, y):
    short = real(1) - y * a  # of the margin
    return select(short > real(0), -y, select(short <= real(0), real(0), short))


def binary_cross_entropy(z, y):
    # -y log(a) - (1 - y) log(1 - a) with a = sigmoid(z), without overflow or cancellation
    return select(z > real(0), z, real(0)) - z * y + log1p(exp(-absolute(z)))


def binary_cross_entropy_derivative(z, y):
    return sigmoid(z) - y


def focal(z, y, settings):
    # with -log(a) = l(-z) and -log(1 - a) = l(z), where l is softplus: (1 - a)^gamma = e^(-gamma l(z))
    power, alpha, rest = real(settings[0]), real(settings[1]), log1p(exp(-absolute(z)))
    above, below = relu(z) + rest, relu(-z) + rest
    right, wrong = alpha * y * exp(-power * above), (real(1) - alpha) * (real(1) - y) * exp(-power * below)
    return right * below + wrong * above


def focal_derivative(z, y, settings):
    power, alpha, rest = real(settings[0]), real(settings[1]), log1p(exp(-absolute(z)))
    above, below = relu(z) + rest, relu(-z) + rest
    right, wrong = alpha * y * exp(-power * above), (real(1) - alpha) * (real(1) - y) * exp(-power * below)
    return wrong * (sigmoid(z) + power * sigmoid(-z) * above) - right * (sigmoid(-z) + power * sigmoid(z) * below)


def output_gradient(a, y):
    """No loss to train with: its derivative is the target itself, so that a given gradient is backpropagated."""
    return a * y


def output_gradient_derivative(a, y):
    return y


# --- losses of rows: losses[i] = that of row i; delta = scale times the derivative, zero in the padding


def categorical_cross_entropy(z, target, delta, losses, rows, columns, stride, scale, settings):
    """losses[i] = -sum_j y_j log(softmax(z)_j); delta = scale (softmax(z) - y), with targets smoothed.

    In short passes, so that the CPU works on many rows at a time: in one, it would wait for the sums of each.
    """
    for i in range(rows):
        row, d = at(z, i * stride), at(delta, i * stride)
        losses[i] = double(softmax_of_row(row, columns, row, d))
    for i in range(rows):
        losses[i] = double(log(real(losses[i])))
    factor, kept, share = real(scale), real(1.0 - settings[0]), real(settings[0] / columns)
    for i in range(rows):
        row, y, d = at(z, i * stride), at(target, i * stride), at(delta, i * stride)
        log_total = real(losses[i])
        loss = spread(real(0))
        for j in range(0, columns, LANES):
            inside, y_j = lanes_below(columns - j), load(y, j) * kept + share
            loss = loss + select(inside, y_j * (log_total - load(row, j)), real(0))
            store(d, j, select(inside, factor * (load(d, j) - y_j), real(0)))
        losses[i] = double(sum_lanes(loss))


def categorical_focal(z, target, delta, losses, rows, columns, stride, scale, settings):
    """losses[i] = -sum_j y_j r_j^gamma log(a_j) with a = softmax(z), and r = 1 - a from log(a), which does not cancel.

    With c_j = dL/da_j a_j = -y_j r_j^gamma (1 - gamma a_j log(a_j) / r_j), delta = scale (c - a sum_j c_j).
    """
    factor, power = real(scale), real(settings[0])
    of_nothing = select(power > real(0), real(0), real(1))  # 0^gamma
    for i in range(rows):
        row, d = at(z, i * stride), at(delta, i * stride)
        losses[i] = double(softmax_of_row(row, columns, row, d))
    for i in range(rows):
        losses[i] = double(log(real(losses[i])))
    for i in range(rows):
        row, y, d = at(z, i * stride), at(target, i * stride), at(delta, i * stride)
        log_total = real(losses[i])
        loss, change = spread(real(0)), spread(real(0))
        for j in range(0, columns, LANES):
            inside, log_a = lanes_below(columns - j), load(row, j) - log_total
            r = -expm1(log_a)
            weight = load(y, j) * select(r < SMALLEST, of_nothing, exp(power * log(r)))
            slope = select(r < SMALLEST, real(-1), log_a / r)  # its limit
            c = select(inside, weight * (power * load(d, j) * slope - real(1)), real(0))
            loss = loss - select(inside, weight * log_a, real(0))
            change = change + c
            store(row, j, c)
        losses[i] = double(sum_lanes(loss))
        sum_of_changes = sum_lanes(change)
        for j in range(0, columns, LANES):
            derivative = load(row, j) - load(d, j) * sum_of_changes
            store(d, j, select(lanes_below(columns - j), factor * derivative, real(0)))


def quantile(output, target, delta, losses, rows, columns, stride, scale, settings):
    """Of outputs for each quantile of the first target, then of the second, ...; `settings`: how many, then they."""
    factor, count = real(scale), int(settings[0])
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        clear_row(d, columns)
        loss = 0.0
        for j in range(columns):
            t = quotient(j, count)
            level = real(settings[1 + j - t * count])
            short = y[t] - o[j]
            loss = loss + double(short * select(short > real(0), level, level - real(1)))
            d[j] = factor * select(short > real(0), -level, select(short < real(0), real(1) - level, short))
        losses[i] = loss


def gaussian_negative_log_likelihood(output, target, delta, losses, rows, columns, stride, scale, settings):
    """Of outputs that are the means of all targets, and then the logarithms of their variances."""
    factor, targets = real(scale), quotient(columns, 2)
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        clear_row(d, columns)
        loss = 0.0
        for j in range(targets):
            log_variance, difference = o[targets + j], o[j] - y[j]
            inverse = exp(real(-0.5) * log_variance)  # of the standard deviation; infinite times 0 is meant to be 0
            ratio = select(difference == real(0), real(0), difference * inverse)
            loss = loss + double(real(0.5) * (log_variance + ratio * ratio))
            d[j] = factor * select(difference == real(0), real(0), ratio * inverse)
            d[targets + j] = factor * (real(0.5) - real(0.5) * ratio * ratio)
        losses[i] = loss


def clear_row(row, columns):
    """Zeros, in the padding too."""
    for j in range(0, columns, LANES):
        store(row, j, spread(real(0)))


# --- from functions of a number to functions of a block of rows: `value` and `derivative` are bound to the former


def elementwise_loss(output, target, delta, losses, rows, columns, stride, scale, settings):
    factor = real(scale)
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        loss = spread(real(0))
        for j in range(0, columns, LANES):
            inside, o_j, y_j = lanes_below(columns - j), load(o, j), load(y, j)
            loss = loss + select(inside, value(o_j, y_j), real(0))  # noqa: F821
            store(d, j, select(inside, factor * derivative(o_j, y_j), real(0)))  # noqa: F821
        losses[i] = double(sum_lanes(loss))


def elementwise_loss_set(output, target, delta, losses, rows, columns, stride, scale, settings):
    factor = real(scale)
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        loss = spread(real(0))
        for j in range(0, columns, LANES):
            inside, o_j, y_j = lanes_below(columns - j), load(o, j), load(y, j)
            loss = loss + select(inside, value(o_j, y_j, settings), real(0))  # noqa: F821
            store(d, j, select(inside, factor * derivative(o_j, y_j, settings), real(0)))  # noqa: F821
        losses[i] = double(sum_lanes(loss))


def with_loss_derivative(output, target, factor, settings):
    """Losses, and factor times their derivatives by the outputs."""
    return value(output, target), factor * derivative(output, target)  # noqa: F821


def with_loss_derivative_set(output, target, factor, settings):
    return value(output, target, settings), factor * derivative(output, target, settings)  # noqa: F821


def scalar_loss(output, target, delta, losses, rows, columns, stride, scale, note):
    """The same for functions of users that are no formulas, of float64, under a guard: see `notes.py`.

    Where the derivative raises, there is no loss: no step is made by it.
    """
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        clear_row(d, columns)
        loss = 0.0
        for j in range(columns):
            loss = loss + double(value(double(o[j]), double(y[j]), note))  # noqa: F821
            d[j] = real(scale * derivative(double(o[j]), double(y[j]), note))  # noqa: F821
        losses[i] = loss if note[0] == 0.0 else double(NAN)


@frozen
class LossRow(Record):
    """A row of the table.

    Elementwise functions are given as functions of one output and its target, and of `settings` if there are any.
    Functions of whole rows take a block and fill the losses of its rows, and have no separate derivative.
    """

    name: str
    value: Callable[..., Any]
    derivative: Callable[..., Any] | None
    output_activation: str  # the default
    formula: str
    kink: str = ""  # the derivative where it jumps
    source: str = ""
    allowed: tuple[str, ...] | None = None  # output activations beside the default; None: any
    on_logits: bool = False  # works on the weighted sums, so that no other output activation will do
    mean_over: str = "outputs"  # and samples: "outputs", "targets" or "" for samples alone
    targets: str = "real numbers"  # what y may be: a key of TARGET_KINDS
    outputs_per_target: Callable[[list[float]], int] = lambda numbers: 1  # from the numbers of the settings
    settings: type[Variant] | None = None
    foreign: bool = False  # functions of users: plain Python
    public: bool = True  # may be asked for by name

    @property
    def elementwise(self) -> bool:
        return self.derivative is not None


TARGET_KINDS: dict[str, tuple[str, Callable[[Any], Any]] | None] = {  # a rule, and where it is broken
    "real numbers": None,
    "positive": ("above 0", lambda y: ~(y > 0)),
    "non-negative": ("0 or above", lambda y: ~(y >= 0)),
    "probabilities": ("from 0 to 1", lambda y: (y < 0) | (y > 1)),
    "classes": ("from 0 to 1", lambda y: (y < 0) | (y > 1)),
    "signs": ("-1 or 1", lambda y: (y != -1) & (y != 1)),
}


def target_columns(loss: str | Function, outputs: int) -> int:
    """How many numbers a sample's target has."""
    each: int = row_of(LOSSES, loss).outputs_per_target(numbers_of(LOSSES, loss))
    return outputs // each


def divisor(loss: str | Function, outputs: int) -> int:
    """The mean of a loss is its sum over samples and outputs, divided by the number of samples and by this."""
    over = row_of(LOSSES, loss).mean_over
    return outputs if over == "outputs" else target_columns(loss, outputs) if over == "targets" else 1


LOSSES = {
    row.name: row
    for row in (
        LossRow("mean_squared_error", mean_squared_error, mean_squared_error_derivative, "identity", "(a - y)^2"),
        LossRow(
            "mean_absolute_error", mean_absolute_error, mean_absolute_error_derivative, "identity", "|a - y|",
            "0 at a = y",
        ),
        LossRow(
            "huber", huber, huber_derivative, "identity",
            "d^2 / 2 if d <= delta else delta * (d - delta / 2), with d = |a - y|",
            source='P. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964',
            settings=Huber,
        ),
        LossRow("log_cosh", log_cosh, log_cosh_derivative, "identity", "log(cosh(a - y))"),
        LossRow(
            "quantile", quantile, None, "identity", "q * (y - a) if y > a else (q - 1) * (y - a)", "0 at a = y",
            'R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978',
            allowed=("relu", "softplus", "exponential"),
            outputs_per_target=lambda numbers: int(numbers[0]), settings=Quantile,
        ),
        LossRow(
            "poisson", poisson, poisson_derivative, "exponential", "a - y log(a), with a = e^z",
            source='P. McCullagh, J. Nelder, "Generalized linear models", 1989, chapter 6', on_logits=True,
            targets="non-negative",
        ),
        LossRow(
            "gamma", gamma, gamma_derivative, "exponential", "log(a) + y / a, with a = e^z",
            source='P. McCullagh, J. Nelder, "Generalized linear models", 1989, chapter 8', on_logits=True,
            targets="positive",
        ),
        LossRow(
            "gaussian_negative_log_likelihood", gaussian_negative_log_likelihood, None, "identity",
            "(s + (a - y)^2 e^-s) / 2 of the mean a and the log variance s; log(2 pi) / 2 is left out",
            source='D. Nix, A. Weigend, "Estimating the mean and variance of the target probability distribution", '
            "ICNN 1994",
            allowed=(), mean_over="targets", outputs_per_target=lambda numbers: 2,
        ),
        LossRow(
            "binary_cross_entropy", binary_cross_entropy, binary_cross_entropy_derivative, "sigmoid",
            "-y log(a) - (1 - y) log(1 - a)", on_logits=True, targets="probabilities",
        ),
        LossRow(
            "categorical_cross_entropy", categorical_cross_entropy, None, "softmax", "-sum_j y_j log(a_j)",
            source='label smoothing: C. Szegedy et al., "Rethinking the inception architecture for computer vision", '
            "CVPR 2016",
            on_logits=True, mean_over="", targets="classes", settings=CategoricalCrossEntropy,
        ),
        LossRow(
            "focal", focal, focal_derivative, "sigmoid",
            "-alpha y (1 - a)^gamma log(a) - (1 - alpha) (1 - y) a^gamma log(1 - a)",
            source='T. Lin et al., "Focal loss for dense object detection", ICCV 2017',
            on_logits=True, targets="probabilities", settings=Focal,
        ),
        LossRow(
            "categorical_focal", categorical_focal, None, "softmax", "-sum_j y_j (1 - a_j)^gamma log(a_j)",
            source='T. Lin et al., "Focal loss for dense object detection", ICCV 2017',
            on_logits=True, mean_over="", targets="classes", settings=CategoricalFocal,
        ),
        LossRow(
            "hinge", hinge, hinge_derivative, "identity", "max(0, 1 - y a)", "0 at y a = 1",
            'C. Cortes, V. Vapnik, "Support-vector networks", Machine Learning 20, 1995',
            allowed=("tanh", "softsign", "hard_tanh"), targets="signs",
        ),
        LossRow(
            "output_gradient", output_gradient, output_gradient_derivative, "identity", "a y", public=False,
        ),
    )
}  # fmt: skip
