"""Reading samples and targets from wherever they lie."""

from .layout import (
    FAN_IN,
    INPUTS,
    INPUTS_STRIDE,
    LAYERS,
    ORDER,
    STRIDE,
    TARGET_COLUMNS,
    TARGETS,
    X_COLUMN,
    X_GATHER,
    X_ROW,
    Y_COLUMN,
    Y_GATHER,
    Y_ROW,
    X,
    Y,
    layer_record,
)
from .simd import LANES, at, call, integers, load_first, real, reals, store, to_reals

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


def gather_labels(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """Labels 0 ... columns - 1 as rows that are 1 in the label's column and 0 elsewhere."""
    for i in range(rows):
        sample = first + i
        if order_address != 0:
            sample = integers(order_address)[sample]
        for j in range(columns):
            target[i * stride + j] = real(0)
        target[i * stride + source[sample * row_stride]] = real(1)


def load_samples(plan, sample, first, rows):
    """Gather samples from `sample` on in X."""
    stride = plan[INPUTS_STRIDE]
    call(
        plan[X_GATHER], plan[X], plan[X_ROW], plan[X_COLUMN], plan[ORDER], sample, rows,
        layer_record(plan, 0)[FAN_IN], at(reals(plan[INPUTS]), first * stride), stride,
    )  # fmt: skip


def load_targets(plan, sample, first, rows):
    """Gather the same samples' targets."""
    last = layer_record(plan, plan[LAYERS] - 1)
    stride = last[STRIDE]
    call(
        plan[Y_GATHER], plan[Y], plan[Y_ROW], plan[Y_COLUMN], plan[ORDER], sample, rows, plan[TARGET_COLUMNS],
        at(reals(plan[TARGETS]), first * stride), stride,
    )  # fmt: skip
