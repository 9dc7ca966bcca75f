"""The products of `matmul.py` for a single row, where tiles of several rows and transposed panels are more work than
the sums.

weighted_sums_of_row     z = b + a W
weight_gradient_of_row   dW = a^T delta, db = delta
input_gradient_of_row    delta below = delta W^T: dot products with the rows of W as they lie
"""

from .layout import panel_width
from .simd import LANES, PANEL, PANEL_VECTORS, at, dot, real, tile


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


def weight_gradient_of_row(a, delta, inputs, width, constants, gradient):
    """`constants` points to a panel row of zeros, then a 1."""
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel, d = at(gradient, column * inputs), at(delta, column)
        for i in range(inputs):
            multiply_row(1, at(a, i), 0, d, 0, w, at(panel, i * w), constants)
        multiply_row(1, at(constants, PANEL), 0, d, 0, w, at(gradient, inputs * width + column), constants)
        column += PANEL


def input_gradient_of_row(delta, weights, inputs, outputs, width, below, below_width):
    for i in range(below_width):
        below[i] = real(0)
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel, d = at(weights, column * inputs), at(delta, column)
        inside = outputs - column  # padding may be NaN after an overflow: it stays out
        for i in range(inputs):
            if w == LANES:
                below[i] = below[i] + dot(1, d, at(panel, i * w), inside)
            else:
                below[i] = below[i] + dot(PANEL_VECTORS, d, at(panel, i * w), inside)
        column += PANEL
