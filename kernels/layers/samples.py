"""Reading samples and targets from wherever they lie."""

from ..functions.elementary import FRACTION_BITS, INTEGER
from ..vocabulary.simd import (
    LANES,
    PANEL,
    at,
    call,
    from_bits,
    integers,
    load,
    load_first,
    prefetch,
    quotient,
    real,
    select,
    spread,
    stay_apart,
    store,
    to_bits,
    to_reals,
)
from .plan import layer_of
from .ranks import share_of_rows
from .sparse import load_sparse

CACHE_LINE = 64  # bytes
SHORT_ROW = 1024  # bytes of a sample: those of a whole batch may be asked for at once

# `source` is a pointer to numbers of any type


def gather(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """target[i, j] = source[order[first + i], j]; order_address 0 takes the rows as they come."""
    for i in range(rows):
        sample = first + i
        if order_address != 0:
            sample = integers(order_address)[sample]
        row = at(source, sample * row_stride)
        if column_stride == 1:
            for j in range(0, columns, LANES):
                store(target, i * stride + j, to_reals(load_first(row, j, columns - j)))
        else:
            for j in range(columns):
                target[i * stride + j] = real(row[j * column_stride])


def gather_halves(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """The same for float16, given as int16: plain x86-64 has no instruction, and compilers call a function for each."""
    gather(source, row_stride, column_stride, order_address, first, rows, columns, target, stride)
    for i in range(rows):
        for j in range(0, columns, LANES):
            store(target, i * stride + j, half(load(target, i * stride + j)))


def half(n):
    """The number that has the bits of the integer n, -2^15 ... 2^15 - 1, in float16 (IEEE 754-2008, binary16).

    Exact: an exponent of 1 ... 30 moves to the place that it has in a wider type, and its bias, 15, becomes that of the
    wider type, by the bits of 2^-15. The exponent 31 of infinity and NaN moves as far again, to the largest. Exponent 0
    is that of m 2^-24.
    """
    m = select(n < real(0), n + real(2**15), n)
    bits = (to_bits(m + INTEGER) - to_bits(INTEGER)) << (int(FRACTION_BITS) - 10)
    bias = to_bits(real(2.0**-15))
    finite = select(m < real(2**10), m * real(2.0**-24), from_bits(bits + bias))
    magnitude = select(m < real(31 * 2**10), finite, from_bits(bits + bias + bias))
    return select(n < real(0), -magnitude, magnitude)


def gather_booleans(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """The same for booleans, given as bytes: all but 0 are true, as in NumPy. A view of other data has any bytes."""
    gather(source, row_stride, column_stride, order_address, first, rows, columns, target, stride)
    for i in range(rows):
        for j in range(0, columns, LANES):
            number = load(target, i * stride + j)
            store(target, i * stride + j, select(number > real(0), spread(real(1)), spread(real(0))))


def gather_labels(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """Labels 0 ... columns - 1 as rows that are 1 in the label's column and 0 elsewhere.

    No label leads out of its row, even if it was changed after it was checked.
    """
    for i in range(rows):
        sample = first + i
        if order_address != 0:
            sample = integers(order_address)[sample]
        for j in range(columns):
            target[i * stride + j] = real(0)
        target[i * stride + min(max(source[sample * row_stride] + 0, 0), columns - 1)] = real(1)


def load_samples(plan, sample, first, rows):
    """Gather samples from `sample` on in X."""
    if plan.has_columns:
        load_sparse(plan, sample, first, rows)
        return
    stride = plan.inputs_stride
    call(
        plan.gather_x, plan.x, plan.x_row, plan.x_column, plan.order_address, sample, rows,
        layer_of(plan, 0).fan_in, at(plan.inputs, first * stride), stride,
    )  # fmt: skip


def prefetch_samples(plan, sample, rows):
    """Have samples from `sample` on, and their targets, brought nearer: a later step reads them.

    Those of more data than caches hold, in random order, arrive later than a small network has done a step. The next
    batch is asked for, or the one after the next if it is small: small networks gather several at a time. Of long
    samples, memory would not take so many requests at once: see `what_comes_next`.
    """
    stay_apart()
    length = plan.x_item * layer_of(plan, 0).fan_in
    if length > SHORT_ROW:
        return
    for i in range(sample, min(sample + rows, plan.samples)):
        row = i
        if plan.has_order:
            row = plan.order[i]
        prefetch_lines(plan, i, 0, cache_lines(length))
        prefetch(plan.y + row * plan.y_row * plan.y_item)


def cache_lines(length):
    """How many addresses, a cache line apart, and that of the last byte, are in all cache lines of a sample."""
    return quotient(length + CACHE_LINE - 2, CACHE_LINE) + 1


def prefetch_lines(plan, i, first, count):
    """So many cache lines of the sample at place i, from one of them on."""
    row = i
    if plan.has_order:
        row = plan.order[i]
    x, end = plan.x + row * plan.x_row * plan.x_item, plan.x_item * layer_of(plan, 0).fan_in - 1
    for line in range(first, first + count):
        prefetch(x + min(line * CACHE_LINE, end))


def prefetch_more(plan, sample, line, lines, until, count):
    """So many of a sample's `lines`, from this one on, and of the samples after it; returns where it stopped."""
    while count > 0 and sample < until:
        asked = min(count, lines - line)
        prefetch_lines(plan, sample, line, asked)
        count -= asked
        line += asked
        if line == lines:
            sample, line = sample + 1, 0
    return sample, line


def what_comes_next(plan, l, rows):
    """Which samples, from one to before another, this rank may ask for while it sums the gradient of `rows`, if long.

    That is while it does so for layer 0. Also how many cache lines each has, and how many of all are due for each row
    of its share of panels.
    """
    layer = layer_of(plan, 0)
    length = plan.x_item * layer.fan_in
    if l > 0 or rows == 1 or length <= SHORT_ROW:
        return 0, 0, 1, 0
    first, last = 0, rows
    if not plan.column_parallel:
        first, last = share_of_rows(plan, rows)
    sample, lines = plan.position + rows, cache_lines(length)
    rows_of_panels = quotient(layer.width + PANEL - 1, PANEL) * layer.height
    due = quotient((last - first) * lines * plan.ranks, rows_of_panels) + 1
    return sample + first, min(sample + last, plan.samples), lines, due


def load_targets(plan, sample, first, rows):
    """Gather the same samples' targets."""
    last = layer_of(plan, plan.layers - 1)
    stride = last.stride
    call(
        plan.gather_y, plan.y, plan.y_row, plan.y_column, plan.order_address, sample, rows, plan.target_columns,
        at(plan.targets, first * stride), stride,
    )  # fmt: skip
