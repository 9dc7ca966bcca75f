"""The three matrix products of a layer, each made of tiles whose sums stay in registers.

weighted_sums     z = b + a W                dense rows, packed W
weight_gradient   dW = a^T delta, db = 1^T delta          packed like W
input_gradient    delta below = delta W^T    from panels of W^T, made one at a time
"""

from .layout import panel_width
from .matvec import multiply_row
from .simd import LANES, PANEL, PANEL_VECTORS, TILE_ROWS, at, quotient, real, tile


def multiply_panel(rows, depth, a, a_row, a_column, b, b_row, width, c, c_row, start, start_row):
    """c = start + a @ b for any number of rows and one panel of b, `width` wide.

    Rows are dealt out evenly: 26 rows are tiles of 9, 9 and 8, not of 12, 12 and 2, since a short tile is bound by
    latency.
    """
    tiles = quotient(rows + TILE_ROWS - 1, TILE_ROWS)
    short, longer = rows, 0  # rows of a tile, and how many tiles have one more
    if tiles > 1:
        short = quotient(rows, tiles)
        longer = rows - short * tiles
    for t in range(tiles):
        count = short + 1 if t < longer else short
        if width == LANES:
            tile(1, count, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row)
        else:
            tile(PANEL_VECTORS, count, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row)
        a, c, start = at(a, count * a_row), at(c, count * c_row), at(start, count * start_row)


def weighted_sums(rows, a, a_stride, weights, inputs, width, z, z_stride):
    """z[rows, width] = biases + a[rows, inputs] @ weights, packed and followed by the biases."""
    biases = at(weights, inputs * width)
    column = 0
    while column < width:
        w = panel_width(column, width)
        multiply_panel(
            rows,
            inputs,
            a,
            a_stride,
            1,
            at(weights, column * inputs),
            w,
            w,
            at(z, column),
            z_stride,
            at(biases, column),
            0,
        )
        column += PANEL


def weight_gradient(rows, a, a_stride, delta, delta_stride, inputs, width, constants, adding, gradient):
    """gradient = a^T @ delta, packed, followed by the sums of delta's columns; or that added to the gradient.

    `constants` points to a panel row of zeros, then a 1.
    """
    one = at(constants, PANEL)
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel, biases = at(gradient, column * inputs), at(gradient, inputs * width + column)
        start = panel if adding else constants
        multiply_panel(
            inputs, rows, a, 1, a_stride, at(delta, column), delta_stride, w, panel, w, start, w if adding else 0
        )
        multiply_row(rows, one, 0, at(delta, column), delta_stride, w, biases, biases if adding else constants)
        column += PANEL


def input_gradient(
    rows, delta, delta_stride, weights, inputs, outputs, width, transposed, zeros, below, below_stride, below_width
):
    """below[rows, below_width] = delta[rows, outputs] @ W^T; columns from `inputs` on become zero."""
    column = 0
    while column < below_width:
        w = panel_width(column, below_width)
        transpose_panel(weights, inputs, outputs, width, column, w, transposed)
        multiply_panel(
            rows, outputs, delta, delta_stride, 1, transposed, w, w, at(below, column), below_stride, zeros, 0
        )
        column += PANEL


def transpose_panel(weights, inputs, outputs, width, first, count, transposed):
    """transposed[outputs, count] = W^T, from input `first` on; zero where there is no such input."""
    inside = min(count, inputs - first)
    column = 0
    while column < width:
        w = panel_width(column, width)
        panel = at(weights, column * inputs + first * w)
        target = at(transposed, column * count)
        for j in range(min(w, outputs - column)):
            for i in range(inside):
                target[j * count + i] = panel[i * w + j]
            for i in range(inside, count):
                target[j * count + i] = real(0)
        column += PANEL
