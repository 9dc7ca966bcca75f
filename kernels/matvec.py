"""The products of `matmul.py` for a single row, where tiles of several rows and transposed panels are more work than
the sums.

weighted_sums_of_row     z = b + a W
weight_gradient_of_row   dW = a^T delta, db = delta
input_gradient_of_row    delta below = delta W^T: dot products with the rows of W as they lie
"""

from .layout import panel_width
from .simd import LANES, PANEL, PANEL_VECTORS, accumulate, at, real, select, tile


def multiply_row(depth, a, a_column, b, b_row, width, c, start):
    """c = start + a @ b for one panel of b, `width` wide."""
    if width == LANES:
        tile(1, 1, depth, a, 0, a_column, b, b_row, c, 0, start, 0)
    else:
        tile(PANEL_VECTORS, 1, depth, a, 0, a_column, b, b_row, c, 0, start, 0)


def weighted_sums_of_row(a, weights, inputs, width, z):
    column = 0
    while column < width:
        w = panel_width(column, width)
        multiply_row(
            inputs, a, 1, at(weights, column * inputs), w, w, at(z, column), at(weights, inputs * width + column)
        )
        column += PANEL


def weight_gradient_of_row(a, delta, inputs, width, gradient):
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel, d = at(gradient, column * inputs), at(delta, column)
        for i in range(inputs):
            scaled_row(a[i], d, w, at(panel, i * w))
        scaled_row(real(1), d, w, at(gradient, inputs * width + column))
        column += PANEL


def scaled_row(factor, row, width, target):
    """target = factor * row. Loops of constant length become vectors without a remainder."""
    for j in range(LANES):
        target[j] = factor * row[j]
    if width > LANES:
        for j in range(LANES, PANEL):
            target[j] = factor * row[j]


def input_gradient_of_row(delta, weights, inputs, outputs, width, below, below_width):
    for i in range(below_width):
        below[i] = real(0)
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel, d = at(weights, column * inputs), at(delta, column)
        for i in range(inputs):
            below[i] = below[i] + dot(d, at(panel, i * w), w, outputs - column)
        column += PANEL


def dot(x, y, width, count):
    """The sum of the first `count` products of a panel's row: padding may be NaN after an overflow, and stays out."""
    total = real(0)
    for j in range(LANES):
        total = accumulate(total, select(j < count, x[j] * y[j], real(0)))
    if width > LANES:
        for j in range(LANES, PANEL):
            total = accumulate(total, select(j < count, x[j] * y[j], real(0)))
    return total
