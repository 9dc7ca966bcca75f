"""The three matrix products of a layer, each made of tiles whose sums stay in registers.

weighted_sums     z = b + a W                dense rows, packed W and b
panel_gradient    start + scale a^T delta, and 1^T delta for biases: the gradient, or W and b that have taken a step
input_gradient    delta below = delta W^T    from panels of W^T, made one at a time
"""

from ..vocabulary.simd import LANES, PANEL, PANEL_VECTORS, TILE_ROWS, at, quotient, real, tile, transpose
from .layout import panel_width
from .matvec import multiply_row


def multiply_panel(rows, depth, a, a_row, a_column, b, b_row, width, c, c_row, start, start_row, scale):
    """c = start + scale * (a @ b) for any number of rows and one panel of b, `width` wide.

    Rows are dealt out evenly: 26 rows are tiles of 9, 9 and 8, not of 12, 12 and 2, since a short tile is bound by
    latency.
    """
    tiles = quotient(rows + TILE_ROWS - 1, TILE_ROWS)
    short, longer = rows, 0  # rows of a tile, and how many tiles have one more
    if tiles > 1:
        short = quotient(rows, tiles)
        longer = rows - short * tiles
    t, done = 0, 0
    while done < rows:
        count = short + 1 if t < longer else short
        if width == LANES:
            tile(1, count, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale)
        else:
            tile(PANEL_VECTORS, count, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale)
        a, c, start = at(a, count * a_row), at(c, count * c_row), at(start, count * start_row)
        t, done = t + 1, done + count


def weighted_sums(rows, a, a_stride, weights, inputs, width, z, z_stride):
    """z[rows, width] = b + a[rows, inputs] @ W."""
    for column in range(0, width, PANEL):
        panel, w = at(weights, column * (1 + inputs)), panel_width(column, width)
        panel_sums(rows, a, a_stride, panel, inputs, w, at(z, column), z_stride)


def panel_sums(rows, a, a_stride, panel, inputs, width, z, z_stride):
    """The columns of z that one panel makes."""
    multiply_panel(rows, inputs, a, a_stride, 1, at(panel, width), width, width, z, z_stride, panel, 0, real(1))


def panel_gradient(
    rows, a, a_stride, delta, delta_stride, width, first, last, constants, start, start_row, scale, target
):
    """target = start + scale * gradient.

    Rows `first` ... `last - 1` of a panel of the gradient: row 0 is the biases', row 1 that of the first input. `delta`
    points to the panel's column; `constants` to a panel row of zeros, then a 1; `start`, as the target, to row `first`.
    """
    if first == 0:
        multiply_row(rows, at(constants, PANEL), 0, delta, delta_stride, width, target, start, scale)
        first = 1
        target, start = at(target, width), at(start, start_row)
    multiply_panel(
        last - first, rows, at(a, first - 1), 1, a_stride, delta, delta_stride, width, target, width, start, start_row,
        scale,
    )  # fmt: skip


def input_gradient(
    rows, delta, delta_stride, weights, inputs, outputs, width, transposed, zeros, below, below_stride, below_width
):
    """below[rows, below_width] = delta[rows, outputs] @ W^T; columns from `inputs` on become zero."""
    for column in range(0, below_width, PANEL):
        w = panel_width(column, below_width)
        panel_of_input_gradient(
            rows, delta, delta_stride, weights, inputs, outputs, width, transposed, zeros, column, w,
            at(below, column), below_stride,
        )  # fmt: skip


def panel_of_input_gradient(
    rows, delta, delta_stride, weights, inputs, outputs, width, transposed, zeros, first, count, below, below_stride
):
    """`count` columns of it, for inputs from `first` on."""
    transpose_panel(weights, inputs, width, first, count, zeros, transposed)
    multiply_panel(
        rows, outputs, delta, delta_stride, 1, transposed, count, count, below, below_stride, zeros, 0, real(1)
    )


def transpose_panel(weights, inputs, width, first, count, zeros, transposed):
    """transposed[width, count] = W^T, from input `first` on; zero where there is no such input."""
    for column in range(0, width, PANEL):
        w = panel_width(column, width)
        panel = at(weights, column * (1 + inputs) + w)
        for j in range(0, w, LANES):
            for i in range(0, count, LANES):
                source, target = at(panel, (first + i) * w + j), at(transposed, (column + j) * count + i)
                transpose(source, w, inputs - first - i, zeros, target, count)
