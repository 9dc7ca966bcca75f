"""Loss functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .activations import exponentials, largest
from .elementary import exp, log, log1p, sigmoid
from .simd import absolute, accumulate, at, double, real, select

# --- the loss of one output, and its derivative with respect to it


def mean_squared_error(a, y):
    return (a - y) * (a - y)


def mean_squared_error_derivative(a, y):
    return real(2) * (a - y)


def binary_cross_entropy(z, y):
    # -y log(a) - (1 - y) log(1 - a) with a = sigmoid(z), without overflow or cancellation
    return select(z > real(0), z, real(0)) - z * y + log1p(exp(-absolute(z)))


def binary_cross_entropy_derivative(z, y):
    return sigmoid(z) - y


def categorical_cross_entropy(z, target, delta, rows, columns, stride, scale):
    """-sum_j y_j log(softmax(z)_j) summed over rows; delta = scale (softmax(z) - y), zero in the padding."""
    factor = real(scale)
    sum_of_rows = 0.0
    for i in range(rows):
        row, y, d = at(z, i * stride), at(target, i * stride), at(delta, i * stride)
        top = largest(row, columns, stride)
        total = exponentials(row, top, columns, stride, d)
        log_total = log(total)
        loss = real(0)
        for j in range(stride):
            inside = j < columns
            loss = accumulate(loss, select(inside, y[j] * (log_total + (top - row[j])), real(0)))
            d[j] = select(inside, factor * (d[j] / total - y[j]), real(0))
        sum_of_rows += double(loss)
    return sum_of_rows


def output_gradient(a, y):
    """No loss to train with: its derivative is the target itself, so that a given gradient is backpropagated."""
    return a * y


def output_gradient_derivative(a, y):
    return y


# --- from functions of a number to functions of a block of rows: `value` and `derivative` are bound to the former


def elementwise_loss(output, target, delta, rows, columns, stride, scale):
    """Sum of `value` over rows and columns; delta = scale * derivative, zero in the padding."""
    factor = real(scale)
    sum_of_rows = 0.0
    for i in range(rows):
        row = i * stride
        loss = real(0)
        for j in range(stride):
            inside = j < columns
            o, y = output[row + j], target[row + j]
            loss = accumulate(loss, select(inside, value(o, y), real(0)))  # noqa: F821
            delta[row + j] = select(inside, factor * derivative(o, y), real(0))  # noqa: F821
        sum_of_rows += double(loss)
    return sum_of_rows


@dataclass(frozen=True)
class Loss:
    """A row of the table.

    Elementwise functions are given as functions of one output and its target. Functions of whole rows (`rowwise`) take
    a block and return the sum of their values, and have no separate derivative.
    """

    name: str
    value: Callable[..., Any]
    derivative: Callable[..., Any] | None
    output_activation: str  # the default
    on_logits: bool = False  # works on the weighted sums, so that no other output activation will do
    rowwise: bool = False
    per_output: bool = True  # the mean is taken over outputs too
    targets: str = "real numbers"  # what y may be: see validation
    public: bool = True  # may be asked for by name


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mean_squared_error", mean_squared_error, mean_squared_error_derivative, "identity"),
        Loss(
            "binary_cross_entropy", binary_cross_entropy, binary_cross_entropy_derivative, "sigmoid",
            on_logits=True, targets="probabilities",
        ),
        Loss(
            "categorical_cross_entropy", categorical_cross_entropy, None, "softmax",
            on_logits=True, rowwise=True, per_output=False, targets="classes",
        ),
        Loss("output_gradient", output_gradient, output_gradient_derivative, "identity", public=False),
    )
}  # fmt: skip
