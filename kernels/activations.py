"""Activation functions. A new one is a pair of functions below and a row of the table at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .elementary import exp, sigmoid, tanh
from .simd import accumulate, at, maximum, real, select

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
        total = exponentials(row, largest(row, columns, stride), columns, stride, row)
        for j in range(stride):
            row[j] = row[j] / total


def softmax_derivative(a, delta, rows, columns, stride):
    """delta_j = a_j (delta_j - sum_k a_k delta_k): the Jacobian diag(a) - a a^T times delta, in every row."""
    for i in range(rows):
        row, delta_row = at(a, i * stride), at(delta, i * stride)
        mean = real(0)
        for j in range(stride):
            mean = accumulate(mean, select(j < columns, row[j] * delta_row[j], real(0)))
        for j in range(stride):
            delta_row[j] = row[j] * (delta_row[j] - mean)


def largest(row, columns, stride):
    """The largest number of a row; NaN if there is one. Loops run over the padding too: they are whole vectors."""
    top = row[0]
    for j in range(stride):
        top = maximum(top, select(j < columns, row[j], row[0]))
    return top


def exponentials(row, top, columns, stride, target):
    """target_j = exp(row_j - top), zero in the padding; returns their sum."""
    for j in range(stride):
        target[j] = select(j < columns, exp(row[j] - top), real(0))
    total = real(0)
    for j in range(stride):
        total = accumulate(total, target[j])
    return total


# --- from functions of a number to functions of a block of rows: `element` is bound to the former


def apply(z, rows, columns, stride):
    for i in range(rows * stride):
        z[i] = element(z[i])  # noqa: F821


def chain(a, delta, rows, columns, stride):
    for i in range(rows * stride):
        delta[i] = delta[i] * element(a[i])  # noqa: F821


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
