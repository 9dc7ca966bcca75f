"""Loss functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .activations import exponentials, scale_row, subtract_largest
from .elementary import exp, log, log1p, sigmoid
from .simd import LANES, absolute, at, double, lanes_below, load, real, select, spread, store, sum_lanes

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


def categorical_cross_entropy(z, target, delta, losses, rows, columns, stride, scale):
    """losses[i] = -sum_j y_j log(softmax(z)_j) in row i; delta = scale (softmax(z) - y), zero in the padding.

    In short passes, so that the CPU works on many rows at a time: in one, it would wait for the sums of each.
    """
    for i in range(rows):
        row, d = at(z, i * stride), at(delta, i * stride)
        subtract_largest(row, columns, row)
        total = exponentials(row, columns, d)
        scale_row(d, columns, real(1) / total)
        losses[i] = double(total)
    for i in range(rows):
        losses[i] = double(log(real(losses[i])))
    factor = real(scale)
    for i in range(rows):
        row, y, d = at(z, i * stride), at(target, i * stride), at(delta, i * stride)
        log_total = real(losses[i])
        loss = spread(real(0))
        for j in range(0, columns, LANES):
            inside, y_j = lanes_below(columns - j), load(y, j)
            loss = loss + select(inside, y_j * (log_total - load(row, j)), real(0))
            store(d, j, select(inside, factor * (load(d, j) - y_j), real(0)))
        losses[i] = double(sum_lanes(loss))


def output_gradient(a, y):
    """No loss to train with: its derivative is the target itself, so that a given gradient is backpropagated."""
    return a * y


def output_gradient_derivative(a, y):
    return y


# --- from functions of a number to functions of a block of rows: `value` and `derivative` are bound to the former


def elementwise_loss(output, target, delta, losses, rows, columns, stride, scale):
    """losses[i] = the sum of `value` over row i; delta = scale * derivative, zero in the padding."""
    factor = real(scale)
    for i in range(rows):
        o, y, d = at(output, i * stride), at(target, i * stride), at(delta, i * stride)
        loss = spread(real(0))
        for j in range(0, columns, LANES):
            inside, o_j, y_j = lanes_below(columns - j), load(o, j), load(y, j)
            loss = loss + select(inside, value(o_j, y_j), real(0))  # noqa: F821
            store(d, j, select(inside, factor * derivative(o_j, y_j), real(0)))  # noqa: F821
        losses[i] = double(sum_lanes(loss))


@dataclass(frozen=True)
class Loss:
    """A row of the table.

    Elementwise functions are given as functions of one output and its target. Functions of whole rows (`rowwise`) take
    a block and fill the losses of its rows, and have no separate derivative.
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
