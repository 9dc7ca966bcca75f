"""Predictions: forward alone, batch by batch, of any number of samples."""

from ..layers.layout import COMPLETE, DONE, FINITE, SPOILED, TAKEN, all_finite
from ..layers.normalized import place_of_sums
from ..layers.packing import copy_rows
from ..layers.plan import layer_of
from ..layers.samples import load_samples
from ..layers.sparse import load_sparse, sparse_finite
from ..vocabulary.simd import (
    at,
    fetch,
    fetch_add,
    flush_subnormals,
    pause,
    quotient,
    reals,
    restore_subnormals,
    stay_apart,
)
from .network import forward_from_sums, forward_row_from_sums, forward_sparse, goes_by_row, sums_of_layer, sums_of_row

# Moments, some hundred microseconds, to wait for pieces that others have begun: to sleep and wake costs half of it.
LINGER = 8000
MANNERS = 200  # moments, some microseconds, for which others let rank 0 go first


def predict(plan, pieces, rows):
    """Outputs of samples 0 ... rows - 1, dealt out evenly to so many pieces, of which none is larger than a batch.

    Threads that share them call it at the same time, each with a plan of its own and the same `counts`. Returns FINITE,
    unless it stopped, as `stops_at_nonfinite` is set and a sample is not finite: then there is no more for anybody. And
    COMPLETE, if it knows that no thread has anything left to do.
    """
    state = flush_subnormals()
    if plan.has_counts:
        answer = predict_together(plan, pieces, rows)
    elif pieces > 1:
        answer = FINITE if predict_alone(plan, pieces, rows) else 0
    else:
        answer = FINITE if predict_rows(plan, 0, rows) else 0
    restore_subnormals(state)
    return answer


def predict_alone(plan, pieces, rows):
    piece = 0
    while piece < pieces and predict_piece(plan, piece, pieces, rows):
        piece += 1
    return piece == pieces


def predict_together(plan, pieces, rows):
    """Pieces that no other thread has taken. All wait a while until others have done theirs too.

    Rank 0 leaves first: it would sleep if another held Python's lock.
    """
    counts = plan.counts
    piece = fetch_add(counts, TAKEN, 1)
    while piece < pieces:
        done = 1
        if not predict_piece(plan, piece, pieces, rows):
            fetch_add(counts, SPOILED, 1)
            done += max(0, pieces - fetch_add(counts, TAKEN, pieces))  # those that nobody has taken
        fetch_add(counts, DONE, done)
        piece = fetch_add(counts, TAKEN, 1)
    moments, done = 0, fetch(counts, DONE)
    while moments < LINGER and done < pieces:
        pause()
        moments, done = moments + 1, fetch(counts, DONE)
    if plan.rank != 0:
        for _ in range(MANNERS):
            pause()
    return (FINITE if fetch(counts, SPOILED) == 0 else 0) + (COMPLETE if done == pieces else 0)


def predict_piece(plan, piece, pieces, rows):
    first, last = quotient(piece * rows, pieces), quotient((piece + 1) * rows, pieces)
    return predict_rows(plan, first, last - first)


def predict_rows(plan, first, rows):
    """Outputs of samples, at most a batch, unless one is not finite; whether all are."""
    stay_apart()
    output = layer_of(plan, plan.layers - 1)
    columns = output.fan_out
    going = forward_if_finite(plan, first, rows)
    if going:
        target = at(plan.output, first * columns)
        copy_rows(rows, columns, output.activations, output.stride, target, columns)
    return going


def forward_if_finite(plan, sample, rows):
    """Activations of samples from `sample` on, unless one is not finite and that is to be noticed; whether they are.

    What is not finite makes a weighted sum of it so, whatever the weight: 0 * infinity is NaN. One output tells, and
    samples are looked through only if it does.
    """
    if plan.has_columns:
        return forward_sparse_if_finite(plan, sample, rows)
    samples, stride, first = plan.inputs, plan.inputs_stride, layer_of(plan, 0)
    if plan.has_gather_x:
        load_samples(plan, sample, 0, rows)
    else:
        stride = plan.x_row
        samples = at(reals(plan.x), sample * stride)
    by_row = rows == 1 and goes_by_row(plan)
    if by_row:
        plan.reverse_panels = not plan.reverse_panels  # what the row before has read last may still be in a near cache
        sums_of_row(plan, 0, samples)
    else:
        sums_of_layer(plan, 0, samples, stride, 0, rows)
    told = plan.stops_at_nonfinite and not all_finite(place_of_sums(plan, 0, 0), rows, 1, first.stride)
    if told and not all_finite(samples, rows, first.fan_in, stride):
        return False
    if by_row:
        forward_row_from_sums(plan)
    else:
        forward_from_sums(plan, 0, rows)
    return True


def forward_sparse_if_finite(plan, sample, rows):
    load_sparse(plan, sample, 0, rows)
    if plan.stops_at_nonfinite and not sparse_finite(plan, rows):
        return False
    forward_sparse(plan, 0, rows)
    return True
