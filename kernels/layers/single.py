"""Layers with a single output, whose weights lie along the inputs: in tiles, all lanes but one would be padding.

weighted_sums_of_single     z = b + a w          dot products
single_gradient             dw = delta a, db = delta          vectors of the packed weights, the first of which is b
input_gradient_of_single    delta below = delta w
losses_of_single            for as many rows at a time as a vector has lanes
"""

from ..vocabulary.simd import (
    LANES,
    PANEL,
    PANEL_VECTORS,
    at,
    call_for_vectors,
    double,
    lane_is,
    lanes_below,
    load,
    load_anywhere,
    load_first,
    quotient,
    real,
    select,
    spread,
    stay_apart,
    store,
    sum_lanes,
)
from .matvec import multiply_row
from .plan import layer_of


def weighted_sums_of_single(rows, a, a_stride, weights, inputs, z, z_stride):
    """Column 0 of z; the rest of its vector becomes zero. Rows of a may lie anywhere."""
    bias = weights[0]
    for i in range(rows):
        total = bias + dot_product(at(a, i * a_stride), at(weights, LANES), inputs)
        store(z, i * z_stride, select(lane_is(0), spread(total), real(0)))


def dot_product(a, weights, inputs):
    """The sum of a_j w_j, in two parts, so that one addition need not wait for the one before."""
    one = other = spread(real(0))
    whole = quotient(inputs, LANES) * LANES
    pairs = quotient(inputs, 2 * LANES) * 2 * LANES
    for j in range(0, pairs, 2 * LANES):
        one = one + load_anywhere(a, j) * load(weights, j)
        other = other + load_anywhere(a, j + LANES) * load(weights, j + LANES)
    if pairs < whole:
        one = one + load_anywhere(a, pairs) * load(weights, pairs)
    if whole < inputs:
        other = other + load_first(a, whole, inputs - whole) * load(weights, whole)
    return sum_lanes(one + other)


def single_gradient(rows, a, a_stride, inputs, delta, delta_stride, first, last, constants, adding, gradient):
    """Vectors `first` ... `last - 1` of the gradient: vector 0 is the bias's, vector 1 that of the first inputs."""
    if first == 0:
        start = gradient if adding else constants
        multiply_row(rows, at(constants, PANEL), 0, delta, delta_stride, LANES, gradient, start, real(1))
    for vector in range(max(first, 1), last, PANEL_VECTORS):
        j = (vector - 1) * LANES
        target = at(gradient, (vector - first) * LANES)
        start = target if adding else constants
        width = min(PANEL_VECTORS, last - vector) * LANES
        multiply_row(rows, delta, delta_stride, at(a, j), a_stride, width, target, start, real(1))
    end = (last - 1) * LANES  # of the inputs up to there; activations beyond the last input are no one's
    if end > inputs:
        i = (last - 1 - first) * LANES
        store(gradient, i, select(lanes_below(inputs - end + LANES), load(gradient, i), real(0)))


def input_gradient_of_single(rows, delta, delta_stride, weights, inputs, below, below_stride):
    for i in range(rows):
        d = delta[i * delta_stride]
        for j in range(0, inputs, LANES):
            store(below, i * below_stride + j, d * load(weights, LANES + j))


def losses_of_single(plan, first, rows, scale):
    """`row_losses` of rows from `first` on, and their derivatives times `scale` in `delta`, zero in the padding."""
    stay_apart()
    last, settings = layer_of(plan, plan.layers - 1), plan.loss_settings
    stride, factor, losses = last.stride, spread(real(scale)), plan.row_losses
    for i in range(first, first + rows, LANES):
        count = min(LANES, first + rows - i)
        delta = at(last.delta, i * stride)  # its first row is scratch until it is filled
        output = first_of_rows(at(last.activations, i * stride), stride, count, delta)
        target = first_of_rows(at(plan.targets, i * stride), stride, count, delta)
        values, slopes = call_for_vectors(plan.loss_of_vector, output, target, factor, settings)
        store(delta, 0, values)
        for k in range(count):
            losses[i + k] = double(delta[k])
        store(delta, 0, slopes)
        for k in range(count - 1, -1, -1):
            store(delta, k * stride, select(lane_is(0), spread(delta[k]), real(0)))


def first_of_rows(source, stride, count, scratch):
    """The first numbers of so many rows as a vector, the rest of which is zero."""
    for k in range(count):
        scratch[k] = source[k * stride]
    return select(lanes_below(count), load(scratch, 0), real(0))
