"""The products of `matmul.py` for a single row, where tiles of several rows and transposed panels are more work than
the sums.

weighted_sums_of_row     z = b + a W
panel_gradient_of_row    dW = a^T delta, db = delta
descend_by_row           W -= rate * dW, b -= rate * db
input_gradient_of_row    delta below = delta W^T: dot products with the rows of W as they lie
"""

from ..vocabulary.simd import (
    LANES,
    PANEL,
    PANEL_VECTORS,
    at,
    lane_is,
    lanes_below,
    load,
    quotient,
    real,
    select,
    spread,
    store,
    sum_lanes,
    tile,
)
from .layout import panel_width


def multiply_row(depth, a, a_column, b, b_row, width, c, start, scale):
    """c = start + scale * (a @ b) for one panel of b, `width` wide."""
    if width == LANES:
        tile(1, 1, depth, a, 0, a_column, b, b_row, c, 0, start, 0, scale)
    else:
        tile(PANEL_VECTORS, 1, depth, a, 0, a_column, b, b_row, c, 0, start, 0, scale)


def weighted_sums_of_row(a, weights, inputs, width, backwards, z):
    """Panel by panel, from the last one on if `backwards`."""
    if width == LANES and inputs <= LANES:  # a loop over depth that is too short to be cut into parts
        sums = load(weights, 0)
        for k in range(inputs):
            sums = sums + a[k] * load(weights, (1 + k) * LANES)
        store(z, 0, sums)
    elif width <= PANEL:
        panel_sums_of_row(a, weights, inputs, width, z)
    else:
        last = quotient(width - 1, PANEL) * PANEL
        for done in range(0, width, PANEL):
            column = last - done if backwards else done
            panel_sums_of_row(a, at(weights, column * (1 + inputs)), inputs, panel_width(column, width), at(z, column))


def panel_sums_of_row(a, panel, inputs, width, z):
    multiply_row(inputs, a, 1, at(panel, width), width, width, z, panel, real(1))


def panel_gradient_of_row(a, delta, width, first, last, gradient):
    """Rows `first` ... `last - 1` of a panel of the gradient; `delta` points to the panel's column."""
    if width == LANES:
        outer_product(a, load(delta, 0), LANES, first, last, gradient)
    else:
        outer_product(a, load(delta, 0), PANEL, first, last, gradient)
        outer_product(a, load(delta, LANES), PANEL, first, last, at(gradient, LANES))


def outer_product(a, delta, width, first, last, gradient):
    if first == 0:
        store(gradient, 0, delta)
    for i in range(max(first, 1), last):
        store(gradient, (i - first) * width, a[i - 1] * delta)


def descend_by_row(a, delta, width, first, last, rate, weights):
    """weights -= rate * gradient, for the same rows of a panel."""
    if width == LANES:
        descend_by_product(a, rate * load(delta, 0), LANES, first, last, weights)
    else:
        descend_by_product(a, rate * load(delta, 0), PANEL, first, last, weights)
        descend_by_product(a, rate * load(delta, LANES), PANEL, first, last, at(weights, LANES))


def descend_by_product(a, step, width, first, last, weights):
    if first == 0:
        store(weights, 0, load(weights, 0) - step)
    for i in range(max(first, 1), last):
        place = (i - first) * width
        store(weights, place, load(weights, place) - a[i - 1] * step)


def input_gradient_of_row(delta, weights, inputs, outputs, width, below, below_width):
    """Every LANES inputs make a vector of sums, lane by lane."""
    for first in range(0, below_width, LANES):
        sums = spread(real(0))
        for i in range(first, min(first + LANES, inputs)):
            sums = select(lane_is(i - first), product_with_row(delta, weights, inputs, outputs, width, i), sums)
        store(below, first, sums)


def product_with_row(delta, weights, inputs, outputs, width, i):
    """The sum of delta_j W_ij. Padding may be NaN after an overflow: it stays out."""
    row = at(weights, (1 + i) * min(width, PANEL))
    if outputs == 1:
        return delta[0] * row[0]
    products = select(lanes_below(outputs), load(delta, 0) * load(row, 0), real(0))
    for j in range(LANES, width, LANES):
        column = quotient(j, PANEL) * PANEL
        w = panel_width(column, width)
        row = at(weights, column * (1 + inputs) + (1 + i) * w + j - column)
        products = products + select(lanes_below(outputs - j), load(delta, j) * load(row, 0), real(0))
    return sum_lanes(products)
