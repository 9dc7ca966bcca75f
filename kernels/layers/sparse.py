"""The first layer where samples are sparse: rows of which only what is not zero is kept, with its columns (CSR).

A batch's rows are gathered to scratch: row i has its values in `inputs` and their columns in `batch_columns`, from
`batch_places[2 i]` to `batch_places[2 i + 1]`. Columns may come in any order, and more than once: then their values add
up.

sparse_sums        z = b + sum of x_ij W_j over the values of row i
sparse_gradient    dW_j = sum of x_ij delta_i over the values in column j, db = 1^T delta
"""

from ..vocabulary.simd import (
    LANES,
    PANEL,
    at,
    call,
    integers,
    lane_is,
    load,
    quotient,
    real,
    select,
    spread,
    stay_apart,
    store,
)
from .layout import all_finite, panel_width
from .matvec import multiply_row
from .plan import layer_of


def gather_columns(source, begin, count, features, target_address):
    """Columns of one row; `source` is a pointer to integers of any type.

    None leads out of the matrix, even if it was changed after it was checked.
    """
    target = integers(target_address)
    for k in range(count):
        target[k] = min(max(source[begin + k] + 0, 0), features - 1)


def load_sparse(plan, sample, first, rows):
    """Gather samples from `sample` on to rows of the batch from `first` on; those before are others' work."""
    stay_apart()
    starts, places, place = plan.starts, plan.batch_places, 0
    features = layer_of(plan, 0).fan_in
    for i in range(first + rows):
        row = sample - first + i
        if plan.has_order:
            row = plan.order[row]
        begin = starts[row]
        count = starts[row + 1] - begin
        if i >= first:
            places[2 * i], places[2 * i + 1] = place, place + count
            if count > 0:
                call(plan.gather_x, plan.x, 1, 1, 0, begin, 1, count, at(plan.inputs, place), 0)
                call(plan.gather_columns, plan.columns, begin, count, features, plan.batch_columns_address + 8 * place)
        place += quotient(count + LANES - 1, LANES) * LANES


def sparse_finite(plan, rows):
    """Whether no value of a batch is infinite or NaN."""
    places = plan.batch_places
    finite = True
    for i in range(rows):
        begin = places[2 * i]
        finite = finite and all_finite(at(plan.inputs, begin), 1, places[2 * i + 1] - begin, 0)
    return finite


def sparse_sums(plan, first, rows, sums):
    """The weighted sums of the first layer."""
    stay_apart()
    layer, places = layer_of(plan, 0), plan.batch_places
    weights = at(plan.packed, layer.packed_offset)
    for i in range(first, first + rows):
        begin = places[2 * i]
        count = places[2 * i + 1] - begin
        values, columns = at(plan.inputs, begin), at(plan.batch_columns, begin)
        z = at(sums, (i - first) * layer.stride)
        if layer.single_output:
            total = weights[0]
            for k in range(count):
                total = total + values[k] * weights[LANES + columns[k]]
            store(z, 0, select(lane_is(0), spread(total), real(0)))
        else:
            for column in range(0, layer.width, PANEL):
                panel = at(weights, column * layer.height)
                sums_of_panel(values, columns, count, panel, panel_width(column, layer.width), at(z, column))


def sums_of_panel(values, columns, count, panel, width, z):
    if width == LANES:
        sums = load(panel, 0)
        for k in range(count):
            sums = sums + values[k] * load(panel, (1 + columns[k]) * LANES)
        store(z, 0, sums)
    else:
        one, other = load(panel, 0), load(panel, LANES)
        for k in range(count):
            row = at(panel, (1 + columns[k]) * PANEL)
            one = one + values[k] * load(row, 0)
            other = other + values[k] * load(row, LANES)
        store(z, 0, one)
        store(z, LANES, other)


def sparse_gradient(plan, column, first, last, rows, adding, gradient):
    """Rows `first` ... `last - 1` of a panel of the first layer's gradient: row 0 is the biases'.

    `single_output`: vectors of the gradient instead, the first of which is the bias's.
    """
    stay_apart()
    layer, places = layer_of(plan, 0), plan.batch_places
    stride, width = layer.stride, panel_width(column, layer.width)
    delta = at(layer.delta, column)
    if not adding:
        for j in range(0, (last - first) * width, LANES):
            store(gradient, j, spread(real(0)))
    if first == 0:
        multiply_row(rows, at(plan.constants, PANEL), 0, delta, stride, width, gradient, gradient, real(1))
    for i in range(rows):
        begin = places[2 * i]
        count = places[2 * i + 1] - begin
        values, columns = at(plan.inputs, begin), at(plan.batch_columns, begin)
        d = at(delta, i * stride)
        if layer.single_output:
            add_to_vectors(values, columns, count, d[0], first, last, gradient)
        elif width == LANES:
            add_to_panel(values, columns, count, d, LANES, first, last, gradient)
        else:
            add_to_panel(values, columns, count, d, PANEL, first, last, gradient)


def add_to_vectors(values, columns, count, delta, first, last, gradient):
    for k in range(count):
        j = columns[k] + (1 - first) * LANES
        if j >= 0 and j < (last - first) * LANES:
            gradient[j] = gradient[j] + values[k] * delta


def add_to_panel(values, columns, count, delta, width, first, last, gradient):
    for k in range(count):
        row = 1 + columns[k] - first
        if row >= 0 and row < last - first:
            for j in range(row * width, (row + 1) * width, LANES):
                store(gradient, j, load(gradient, j) + values[k] * load(delta, j - row * width))
