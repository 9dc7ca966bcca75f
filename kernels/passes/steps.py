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
from ..layers.layout import (
    ACTIVATION_SETTINGS,
    ACTIVATIONS,
    AHEAD,
    ALPHA,
    BACKWARD,
    BATCH_SIZE,
    CANONICAL,
    CANONICAL_STEP,
    COLUMNS,
    DELTA,
    DESCENDS,
    DISTURBED,
    EPOCH,
    FAN_IN,
    FAN_OUT,
    FIRST_EPOCH,
    FIRST_LAYER_SHARED,
    FIRST_UPDATE,
    INPUTS,
    KEY,
    LAYERS,
    LOWEST_TRAINED,
    NORMALIZATION,
    ORDER,
    PACKED,
    PACKED_OFFSET,
    PACKED_SIZE,
    PART,
    PARTS,
    POSITION,
    RANK,
    RANKS,
    REGULARIZATION,
    ROW_LOSSES,
    SAMPLES,
    SETTINGS,
    SINGLE,
    SMALL,
    STEPS,
    STEPS_DONE,
    STOP_AT_NONFINITE,
    STOPPED,
    STRIDE,
    TWISTER,
    UPDATE_FIRST,
    WEIGHTED_SUMS,
    WIDTH,
    X_ITEM,
    all_finite,
    layer_record,
)
from ..layers.matvec import descend_by_row, input_gradient_of_row, panel_gradient_of_row
from ..layers.normalized import attend, place_of_sums, share_batch
from ..layers.packing import unpack
from ..layers.parts import join_parts, ranks_have_parts, sums_of_parts
from ..layers.ranks import all_agree, meet, share_of_rows, share_of_vectors
from ..layers.samples import load_samples, prefetch_samples
from ..layers.single import input_gradient_of_single
from ..vocabulary.simd import (
    PANEL,
    at,
    call,
    doubles,
    flush_subnormals,
    integers,
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
    samples, batch_size = plan[SAMPLES], plan[BATCH_SIZE]
    epoch = quotient(first_step, plan[STEPS])
    first = (first_step - epoch * plan[STEPS]) * batch_size
    state = flush_subnormals()
    step = first_step
    alone = plan[RANKS] == 1 and plan[REGULARIZATION] == 0 and plan[DISTURBED] == 0 and plan[NORMALIZATION] == 0
    alone = alone and plan[COLUMNS] == 0
    in_vectors = alone and plan[SMALL] != 0 and plan[UPDATE_FIRST] == 0
    going = True
    while going and step < last_step:
        rows, steps, done, number = min(batch_size, samples - first), 1, 0, plan[FIRST_UPDATE] + step + 1
        if in_vectors:
            steps = min(AHEAD - (first & (AHEAD - 1)), samples - first, last_step - step)
        if first == 0 and plan[ORDER] != 0:
            going = begin_epoch(plan, epoch)
        if going:
            if plan[X_ITEM] != 0:
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
        plan[STEPS_DONE] = step
    plan[STOPPED] = 0 if going else 1
    restore_subnormals(state)
    return step


def begin_epoch(plan, epoch):
    """Draw the order of the samples; whether all ranks came to see it."""
    if plan[RANK] == 0:
        if plan[TWISTER] != 0:
            shuffle_again(integers(plan[TWISTER]), integers(plan[ORDER]), plan[SAMPLES])
        else:
            shuffle(plan[KEY], plan[FIRST_EPOCH] + epoch, integers(plan[ORDER]), plan[SAMPLES])
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
    forward_row(plan, reals(plan[INPUTS]))
    loss(plan, sample, 0, 1, 1)
    value = doubles(plan[ROW_LOSSES])[0]
    add_loss(plan, epoch, value)
    if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
        return False
    prepare_update(plan, number)
    part, packed = reals(plan[PART]), reals(plan[PACKED])
    l = plan[LAYERS] - 1
    while l >= 0:
        layer = layer_record(plan, l)
        inputs, outputs, width, delta = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH], reals(layer[DELTA])
        if layer[BACKWARD] != 0:
            of, settings = reals(layer[WEIGHTED_SUMS]), doubles(layer[ACTIVATION_SETTINGS])
            call(layer[BACKWARD], of, delta, 1, outputs, layer[STRIDE], settings)
        if plan[UPDATE_FIRST] != 0:
            descend(plan, l, 1)
        a = plan[INPUTS]
        if l > 0:
            below = layer_record(plan, l - 1)
            a = below[ACTIVATIONS]
            weights = at(packed, layer[PACKED_OFFSET])
            if layer[SINGLE] != 0:
                input_gradient_of_single(1, delta, 0, weights, inputs, reals(below[DELTA]), 0)
            else:
                input_gradient_of_row(delta, weights, inputs, outputs, width, reals(below[DELTA]), below[WIDTH])
        if plan[UPDATE_FIRST] == 0:
            if width <= PANEL and layer[SINGLE] == 0 and plan[DESCENDS] != 0:
                rate = real(doubles(plan[SETTINGS])[0])
                descend_by_row(reals(a), delta, width, 0, 1 + inputs, rate, at(packed, layer[PACKED_OFFSET]))
            elif width <= PANEL and layer[SINGLE] == 0:
                panel_gradient_of_row(reals(a), delta, width, 0, 1 + inputs, part)
                update(plan, layer[PACKED_OFFSET], part, (1 + inputs) * width)
            else:
                descend(plan, l, 1)
        l -= 1
    return True


def take_step(plan, epoch, sample, rows, number):
    """One step on the batch that begins with this sample; whether its loss is as it should be and all ranks came."""
    stay_apart()
    if plan[UPDATE_FIRST] != 0:
        prepare_update(plan, number)
    plan[EPOCH], plan[POSITION] = plan[FIRST_EPOCH] + epoch, sample
    share_batch(plan, rows)
    if plan[RANK] == 0 and plan[REGULARIZATION] != 0 and doubles(plan[REGULARIZATION])[ALPHA] != 0.0:
        add_penalty(plan, epoch)
    in_parts = plan[RANKS] > 1 and ranks_have_parts(plan, rows)
    if in_parts and not deltas_by_parts(plan, sample, rows):
        return False
    if not in_parts and (not deltas_of_batch(plan, sample, rows) or not meet(plan)):
        return False
    value = loss_of_rows(plan, rows)
    if plan[RANK] == 0:
        add_loss(plan, epoch, value)
    if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
        return False
    if plan[UPDATE_FIRST] == 0:
        prepare_update(plan, number)
        if plan[REGULARIZATION] == 0:
            for l in range(plan[LAYERS]):
                descend(plan, l, rows)
        elif not regularized_update(plan, epoch, sample, rows):
            return False
    # with parts again, nothing that others read is written before they meet in the next step
    return (in_parts and ranks_have_parts(plan, plan[SAMPLES] - sample - rows)) or meet(plan)


def deltas_of_batch(plan, sample, rows):
    """This rank's share of forward and backward; whether all ranks came to their meetings."""
    if plan[FIRST_LAYER_SHARED] != 0:
        return deltas_by_neurons(plan, sample, rows)
    first, last = share_of_rows(plan, rows)
    if first < last:
        load_and_forward(plan, sample + first, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    elif plan[NORMALIZATION] != 0:
        attend(plan)
    return backward_share(plan, first, last - first, plan[LOWEST_TRAINED], rows)


def deltas_by_neurons(plan, sample, rows):
    """The same where ranks share the first layer's neurons: before and after all that they share rows of."""
    first, last = share_of_rows(plan, rows)
    forward_first_layer(plan, sample, rows)
    if not meet(plan):
        return False
    if first < last:
        forward_from_first(plan, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    elif plan[NORMALIZATION] != 0:
        attend(plan)
    if not backward_share(plan, first, last - first, 1, rows) or not meet(plan):
        return False
    backward_first_layer(plan, rows)
    if plan[UPDATE_FIRST] != 0:
        if not meet(plan):
            return False
        descend(plan, 0, rows)
    return True


def deltas_by_parts(plan, sample, rows):
    """The same where each rank has as many parts of the second layer's sums: what belongs to these is its own."""
    first, last = share_of_rows(plan, rows)
    forward_first_layer(plan, sample, rows)
    per_rank = quotient(plan[PARTS], plan[RANKS])
    sums_of_parts(plan, 0, rows, per_rank * plan[RANK], per_rank * (plan[RANK] + 1))
    if not meet(plan):
        return False
    if first < last:
        join_parts(plan, first, last - first, place_of_sums(plan, 1, first), per_rank > 1)
        forward_from_second_sums(plan, first, last - first)
        loss(plan, sample + first, first, last - first, rows)
    if not backward_share(plan, first, last - first, 1, rows):
        return False
    if plan[UPDATE_FIRST] == 0 and not meet(plan):
        return False
    backward_first_layer(plan, rows)
    if plan[UPDATE_FIRST] != 0:
        descend(plan, 0, rows)
    return True


def backward_share(plan, first, rows, lowest, batch_rows):
    """`backward`; if UPDATE_FIRST, each layer takes its step before its delta is passed on.

    After that of the lowest, ranks have not met.
    """
    if plan[UPDATE_FIRST] == 0:
        if rows > 0:
            backward(plan, first, rows, lowest)
        return True
    for l in range(plan[LAYERS] - 1, lowest - 1, -1):
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
    canonical = plan[CANONICAL] + epoch * plan[CANONICAL_STEP]
    if in_vectors:
        return keep_vectors(plan, canonical)
    well = True
    if plan[STOP_AT_NONFINITE] != 0:
        first, last = share_of_vectors(plan, plan[PACKED_SIZE])
        well = all_finite(at(reals(plan[PACKED]), first), 1, last - first, 0)
    if not all_agree(plan, well):
        return False
    unpack(plan, canonical, plan[PACKED])
    return True
