"""Predictions: forward alone, batch by batch, of any number of samples."""

from .layout import (
    ACTIVATIONS,
    BATCH_SIZE,
    COLUMNS,
    FAN_IN,
    FAN_OUT,
    INPUTS,
    INPUTS_STRIDE,
    LAYERS,
    OUTPUT,
    STOP_AT_NONFINITE,
    STRIDE,
    TAKEN,
    X_GATHER,
    X_ROW,
    X,
    all_finite,
    layer_record,
)
from .network import forward_from_sums, forward_row_from_sums, forward_sparse, goes_by_row, sums_of_layer, sums_of_row
from .normalized import place_of_sums
from .packing import copy_rows
from .samples import load_samples
from .simd import at, fetch_add, flush_subnormals, integers, reals, restore_subnormals, stay_apart
from .sparse import load_sparse, sparse_finite


def predict(plan, first, last):
    """Outputs of samples first ... last - 1; returns the sample before which it stopped.

    That is `last`, or less when STOP_AT_NONFINITE is set and a sample of the next batch is not finite.
    """
    state = flush_subnormals()
    while first < last and predict_batch(plan, first, last):
        first = min(last, first + plan[BATCH_SIZE])
    restore_subnormals(state)
    return first


def predict_together(plan, _, last):
    """The same for batches that no other thread has taken.

    Threads call it at the same time, each with a plan of its own; TAKEN is one number for all. Returns 1, or 0 if it
    stopped: then there are no more batches for anybody.
    """
    state, taken = flush_subnormals(), integers(plan[TAKEN])
    going, first = True, fetch_add(taken, 0, plan[BATCH_SIZE])
    while going and first < last:
        going = predict_batch(plan, first, last)
        first = fetch_add(taken, 0, plan[BATCH_SIZE] if going else last)
    restore_subnormals(state)
    return 1 if going else 0


def predict_batch(plan, first, last):
    """Outputs of a batch, which ends before `last`, unless a sample is not finite; whether all are."""
    stay_apart()
    output, rows = layer_record(plan, plan[LAYERS] - 1), min(plan[BATCH_SIZE], last - first)
    columns = output[FAN_OUT]
    going = forward_if_finite(plan, first, rows)
    if going:
        target = at(reals(plan[OUTPUT]), first * columns)
        copy_rows(rows, columns, reals(output[ACTIVATIONS]), output[STRIDE], target, columns)
    return going


def forward_if_finite(plan, sample, rows):
    """Activations of samples from `sample` on, unless one is not finite and that is to be noticed; whether they are.

    What is not finite makes a weighted sum of it so, whatever the weight: 0 * infinity is NaN. One output tells, and
    samples are looked through only if it does.
    """
    if plan[COLUMNS] != 0:
        return forward_sparse_if_finite(plan, sample, rows)
    samples, stride, first = reals(plan[INPUTS]), plan[INPUTS_STRIDE], layer_record(plan, 0)
    if plan[X_GATHER] != 0:
        load_samples(plan, sample, 0, rows)
    else:
        stride = plan[X_ROW]
        samples = at(reals(plan[X]), sample * stride)
    by_row = rows == 1 and goes_by_row(plan)
    if by_row:
        sums_of_row(plan, 0, samples)
    else:
        sums_of_layer(plan, 0, samples, stride, 0, rows)
    told = plan[STOP_AT_NONFINITE] != 0 and not all_finite(place_of_sums(plan, 0, 0), rows, 1, first[STRIDE])
    if told and not all_finite(samples, rows, first[FAN_IN], stride):
        return False
    if by_row:
        forward_row_from_sums(plan)
    else:
        forward_from_sums(plan, 0, rows)
    return True


def forward_sparse_if_finite(plan, sample, rows):
    load_sparse(plan, sample, 0, rows)
    if plan[STOP_AT_NONFINITE] != 0 and not sparse_finite(plan, rows):
        return False
    forward_sparse(plan, 0, rows)
    return True
