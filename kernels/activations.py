"""Activation functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .elementary import exp, sigmoid, tanh
from .simd import LANES, at, lanes_below, largest_lane, load, real, select, spread, store, sum_lanes

# --- da/dz in terms of a, with a = f(z) above it where `elementary.py` does not have it


def sigmoid_derivative(a):
    return a * (real(1) - a)


def relu(z):
    return select(z <= real(0), real(0), z)  # this way round, NaN stays NaN


def relu_derivative(a):
    return select(a > real(0), real(1), real(0))  # 0 at the kink


def tanh_derivative(a):
    return (real(1) - a) * (real(1) + a)  # exact where 1 - a^2 cancels


def softmax(z, rows, columns, stride):
    """a_j = exp(z_j) / sum_k exp(z_k) in every row, in place; subtracting the largest z first, nothing overflows."""
    for i in range(rows):
        row = at(z, i * stride)
        subtract_largest(row, columns)
        scale_row(row, columns, real(1) / exponentials(row, columns, row))


def softmax_derivative(a, delta, rows, columns, stride):
    """delta_j = a_j (delta_j - sum_k a_k delta_k): the Jacobian diag(a) - a a^T times delta, in every row."""
    for i in range(rows):
        row, delta_row = at(a, i * stride), at(delta, i * stride)
        mean = spread(real(0))
        for j in range(0, columns, LANES):
            mean = mean + select(lanes_below(columns - j), load(row, j) * load(delta_row, j), real(0))
        mean = sum_lanes(mean)
        for j in range(0, columns, LANES):
            store(delta_row, j, load(row, j) * (load(delta_row, j) - mean))


def subtract_largest(row, columns):
    """row_j -= the largest. A NaN may hide from the comparisons, but stays where it is."""
    first = row[0]
    top = spread(first)
    for j in range(0, columns, LANES):
        x = select(lanes_below(columns - j), load(row, j), first)
        top = select(x > top, x, top)
    top = largest_lane(top)
    for j in range(0, columns, LANES):
        store(row, j, load(row, j) - top)


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


# --- from functions of a number to functions of a block of rows or of a vector: `element` is bound to the former


def apply(z, rows, columns, stride):
    for i in range(0, rows * stride, LANES):
        store(z, i, element(load(z, i)))  # noqa: F821


def chain(a, delta, rows, columns, stride):
    for i in range(0, rows * stride, LANES):
        store(delta, i, load(delta, i) * element(load(a, i)))  # noqa: F821


def with_derivative(z):
    """a and da/dz, to which `slope` is bound."""
    a = element(z)  # noqa: F821
    return a, slope(a)  # noqa: F821


@dataclass(frozen=True)
class Activation:
    """A row of the table.

    Elementwise functions are given as functions of one number. Functions of a whole row (`rowwise`) work in place on a
    block of rows, and are for output layers. None is the identity.
    """

    name: str
    forward: Callable[..., Any] | None
    derivative: Callable[..., Any] | None
    rowwise: bool = False
    initializer: str = "glorot_uniform"  # of the layer's weights, unless the user names one


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("identity", None, None),
        Activation("sigmoid", sigmoid, sigmoid_derivative),
        Activation("relu", relu, relu_derivative, initializer="he_normal"),
        Activation("tanh", tanh, tanh_derivative),
        Activation("softmax", softmax, softmax_derivative, rowwise=True),
    )
}
