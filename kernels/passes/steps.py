"""Training, step by step.

Ranks share a batch twice. Its rows: each rank takes its own through the layers, forward and down again. Then, after a
meeting, its parameters: each rank sums the gradient of its own over all rows, and updates them while the gradient is in
the cache. After a second meeting, the next step may read them. Of a first layer with many weights they share the
neurons instead of rows, before and after those: see `shared_layer.py`. With `parts.py`, what they share of the first
two layers nobody else reads, and the next meeting is that of the next step. Every number is computed by one rank in
the same way as a single one would: the bits do not depend on how many there are.
"""

from ..functions.random import shuffle
from ..functions.twister import shuffle_again
from ..layers.layout import AHEAD, all_finite
from ..layers.matvec import descend_by_row, input_gradient_of_row, panel_gradient_of_row
from ..layers.normalized import attend, place_of_sums, share_batch
from ..layers.packing import unpack
from ..layers.parts import join_parts, ranks_have_parts, sums_of_parts
from ..layers.plan import layer_of
from ..layers.ranks import all_agree, meet, share_of_rows, share_of_vectors
from ..layers.samples import load_samples, prefetch_samples
from ..layers.single import input_gradient_of_single
from ..vocabulary.simd import (
    PANEL,
    at,
    call,
    flush_subnormals,
    quotient,
    real,
    reals,
    restore_subnormals,
    stay_apart,
)
from .descent import descend, prepare_update, update
from .network import (
    add_loss,
    backward,
    delta_of_sums,
    forward_from_first,
    forward_from_second_sums,
    forward_row,
    load_and_forward,
    loss,
    loss_of_rows,
    pass_down,
)
from .regularized import add_penalty, regularized_update
from .shared_layer import backward_first_layer, forward_first_layer
from .small import keep_vectors, steps_on_vectors


def run(plan, first_step, last_step):
    """Train from one step to another, over any number of epochs; returns the step before which it stopped.

    That is last_step, or less when the loss or a parameter is no longer finite. All ranks call it.
    """
    samples, batch_size = plan.samples, plan.batch_size
    epoch = quotient(first_step, plan.steps)
    first = (first_step - epoch * plan.steps) * batch_size
    state = flush_subnormals()
    step = first_step
    alone = plan.ranks == 1 and not plan.has_regularization and not plan.is_disturbed and not plan.has_normalization
    alone = alone and not plan.has_columns
    in_vectors = alone and plan.in_registers and not plan.updates_first
    going = True
    while going and step < last_step:
        rows, steps, done, number = min(batch_size, samples - first), 1, 0, plan.first_update + step + 1
        if in_vectors:
            steps = min(AHEAD - (first & (AHEAD - 1)), samples - first, last_step - step)
        if first == 0 and plan.has_order:
            going = begin_epoch(plan, epoch)
        if going:
            if plan.x_item != 0:
                begin, end = share_of_rows(plan, rows * steps)
                prefetch_samples(plan, first + max(batch_size, 2 * AHEAD) + begin, end - begin)
            if in_vectors:
                done = steps_on_vectors(plan, epoch, first, steps, number, step == first_step)
            elif step_on_batch(plan, epoch, first, rows, number, alone):
                done = 1
            going = done == steps
        first += rows * steps
        if going and first == samples:
            going = end_epoch(plan, epoch, in_vectors)
            first = 0
            epoch += 1
            if not going:
                done -= 1
        step += done
        plan.steps_done = step
    plan.stopped = not going
    restore_subnormals(state)
    return step


def begin_epoch(plan, epoch):
    """Draw the order of the samples; whether all ranks came to see it."""
    if plan.rank == 0:
        if plan.has_twister:
            shuffle_again(plan.twister, plan.order, plan.samples)
        else:
            shuffle(plan.shuffle_key, plan.first_epoch + epoch, plan.order, plan.samples)
    return meet(plan)


def step_on_batch(plan, epoch, sample, rows, number, alone):
    """One step; whether its loss is as it should be and all ranks came."""
    if rows == 1 and alone:
        return step_on_row(plan, epoch, sample, number)
    return take_step(plan, epoch, sample, rows, number)


def step_on_row(plan, epoch, sample, number):
    """`take_step` on a batch of one sample, for a network that may be tiny: then every instruction counts."""
    stay_apart()
    load_samples(plan, sample, 0, 1)
    forward_row(plan, plan.inputs)
    loss(plan, sample, 0, 1, 1)
    value = plan.row_losses[0]
    add_loss(plan, epoch, value)
    if plan.stops_at_nonfinite and value - value != 0.0:
        return False
    prepare_update(plan, number)
    part, packed = plan.part, plan.packed
    l = plan.layers - 1
    while l >= 0:
        layer = layer_of(plan, l)
        inputs, outputs, width, delta = layer.fan_in, layer.fan_out, layer.width, layer.delta
        if layer.has_chain_derivative:
            of, settings = layer.weighted_sums, layer.activation_settings
            call(layer.chain_derivative, of, delta, 1, outputs, layer.stride, settings)
        if plan.updates_first:
            descend(plan, l, 1)
        a = plan.inputs_address
        if l > 0:
            below = layer_of(plan, l - 1)
            a = below.activations_address
            weights = at(packed, layer.packed_offset)
            if layer.single_output:
                input_gradient_of_single(1, delta, 0, weights, inputs, below.delta, 0)
            else:
                input_gradient_of_row(delta, weights, inputs, outputs, width, below.delta, below.width)
        if not plan.updates_first:
            if width <= PANEL and not layer.single_output and plan.is_plain_sgd:
                rate = real(plan.settings[0])
                descend_by_row(reals(a), delta, width, 0, 1 + inputs, rate, at(packed, layer.packed_offset))
            elif width <= PANEL and not layer.single_output:
                panel_gradient_of_row(reals(a), delta, width, 0, 1 + inputs, part)
                update(plan, layer.packed_offset, part, (1 + inputs) * width)
            else:
                descend(plan, l, 1)
        l -= 1
    return True


def take_step(plan, epoch, sample, rows, number):
    """One step on the batch that begins with this sample; whether its loss is as it should be and all ranks came."""
    stay_apart()
    if plan.updates_first:
        prepare_update(plan, number)
    plan.epoch, plan.position = plan.first_epoch + epoch, sample
    share_batch(plan, rows)
    if plan.rank == 0 and plan.has_regularization and plan.regularization.alpha != 0.0:
        add_penalty(plan, epoch)
    in_parts = plan.ranks > 1 and ranks_have_parts(plan, rows)
    if in_parts and not deltas_by_parts(plan, sample, rows):
        return False
    if not in_parts and (not deltas_of_batch(plan, sample, rows) or not meet(plan)):
        return False
    value = loss_of_rows(plan, rows)
    if plan.rank == 0:
        add_loss(plan, epoch, value)
    if plan.stops_at_nonfinite and value - value != 0.0:
        return False
    if not plan.updates_first:
        prepare_update(plan, number)
        if not plan.has_regularization:
            for l in range(plan.layers):
                descend(plan, l, rows)
        elif not regularized_update(plan, epoch, sample, rows):
            return False
    # with parts again, nothing that others read is written before they meet in the next step
    return (in_parts and ranks_have_parts(plan, plan.samples - sample - rows)) or meet(plan)


def deltas_of_batch(plan, sample, rows):
    """This rank's share of forward and backward; whether all ranks came to their meetings."""
    if plan.column_parallel:
        return deltas_by_neurons(plan, sample, rows)
    first, last = share_of_rows(plan, rows)
    if first < last:
        load_and_forward(plan, sample + first, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    elif plan.has_normalization:
        attend(plan)
    return backward_share(plan, first, last - first, plan.lowest_trained, rows)


def deltas_by_neurons(plan, sample, rows):
    """The same where ranks share the first layer's neurons: before and after all that they share rows of."""
    first, last = share_of_rows(plan, rows)
    forward_first_layer(plan, sample, rows)
    if not meet(plan):
        return False
    if first < last:
        forward_from_first(plan, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    elif plan.has_normalization:
        attend(plan)
    if not backward_share(plan, first, last - first, 1, rows) or not meet(plan):
        return False
    backward_first_layer(plan, rows)
    if plan.updates_first:
        if not meet(plan):
            return False
        descend(plan, 0, rows)
    return True


def deltas_by_parts(plan, sample, rows):
    """The same where each rank has as many parts of the second layer's sums: what belongs to these is its own."""
    first, last = share_of_rows(plan, rows)
    forward_first_layer(plan, sample, rows)
    per_rank = quotient(plan.parts, plan.ranks)
    sums_of_parts(plan, 0, rows, per_rank * plan.rank, per_rank * (plan.rank + 1))
    if not meet(plan):
        return False
    if first < last:
        join_parts(plan, first, last - first, place_of_sums(plan, 1, first), per_rank > 1)
        forward_from_second_sums(plan, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    if not backward_share(plan, first, last - first, 1, rows):
        return False
    if not plan.updates_first and not meet(plan):
        return False
    backward_first_layer(plan, rows)
    if plan.updates_first:
        descend(plan, 0, rows)
    return True


def backward_share(plan, first, rows, lowest, batch_rows):
    """`backward`; if `updates_first`, each layer takes its step before its delta is passed on.

    After that of the lowest, ranks have not met.
    """
    if not plan.updates_first:
        if rows > 0:
            backward(plan, first, rows, lowest)
        return True
    for l in range(plan.layers - 1, lowest - 1, -1):
        delta_of_sums(plan, l, first, rows)
        if not meet(plan):
            return False
        descend(plan, l, batch_rows)
        if l > lowest:
            if not meet(plan):
                return False
            pass_down(plan, l, first, rows)
    return True


def end_epoch(plan, epoch, in_vectors):
    """Keep the parameters of an epoch that ended well; whether it did."""
    stay_apart()
    canonical = plan.canonical + epoch * plan.canonical_step
    if in_vectors:
        return keep_vectors(plan, canonical)
    well = True
    if plan.stops_at_nonfinite:
        first, last = share_of_vectors(plan, plan.packed_size)
        well = all_finite(at(plan.packed, first), 1, last - first, 0)
    if not all_agree(plan, well):
        return False
    unpack(plan, canonical, plan.packed_address)
    return True
