"""Training steps on one sample each, for networks whose layers each fit into a vector: then every instruction counts.

Weighted sums, activations and deltas stay in registers, and what is called takes vectors: a number that goes by way of
memory arrives some eight cycles later, and each step waits for the one before.
"""

from ..layers.layout import AHEAD, all_finite
from ..layers.matvec import descend_by_product, outer_product
from ..layers.plan import layer_of
from ..layers.samples import load_samples, load_targets
from ..vocabulary.simd import (
    LANES,
    at,
    call_for_vectors,
    double,
    first_lane,
    lane_is,
    lanes_below,
    load,
    real,
    reals,
    rotate,
    select,
    spread,
    stay_apart,
    store,
    store_first,
    sum_lanes,
)
from .descent import prepare_update, update
from .network import add_loss


def steps_on_vectors(plan, epoch, sample, steps, number, beginning):
    """`steps.take_step` for such a network and batches of one sample: so many of them, none past those gathered.

    Returns how many went well. `beginning`: nothing has been gathered yet. number: that of the first update.
    """
    stay_apart()
    first = sample & (AHEAD - 1)
    if beginning or (first == 0 and (plan.samples > AHEAD or plan.has_order)):
        rows = min(AHEAD, plan.samples - sample + first)
        load_samples(plan, sample - first, 0, rows)
        load_targets(plan, sample - first, 0, rows)
    scale = 1.0 / plan.delta_divisor
    for i in range(steps):
        place = (first + i) * LANES
        x, target = at(plan.inputs, place), load(plan.targets, place)
        prepare_update(plan, number + i)
        output, factor = forward_vectors(plan, x, scale)
        values, delta = call_for_vectors(plan.loss_of_vector, output, target, factor, plan.loss_settings)
        value = sum_of_outputs(plan, values)
        add_loss(plan, epoch, value)
        if plan.stops_at_nonfinite and value - value != 0.0:
            return i
        backward_vectors(plan, x, delta)
        if not plan.is_plain_sgd:
            update(plan, 0, plan.part, plan.packed_size)
    return steps


def keep_vectors(plan, canonical_address):
    """`steps.end_epoch` for such a network."""
    stay_apart()
    packed = plan.packed
    if plan.stops_at_nonfinite and not all_finite(packed, 1, plan.packed_size, 0):
        return False
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        inputs, outputs = layer.fan_in, layer.fan_out
        vectors, weights = at(packed, layer.packed_offset), at(reals(canonical_address), layer.canonical_offset)
        for i in range(inputs):
            store_first(weights, i * outputs, outputs, load(vectors, (1 + i) * LANES))
        store_first(weights, inputs * outputs, outputs, load(vectors, 0))
    return True


def forward_vectors(plan, x, scale):
    """The outputs of a sample, and what the loss's derivatives by them are times, to be those by the last sums.

    That is the learning rate, too, where nothing else is done with the gradient. Layers' `activations` get what they
    say, and `delta` their derivatives by z.
    """
    a = load(x, 0)
    slope = spread(real(1))
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        weights = at(plan.packed, layer.packed_offset)
        z = load(weights, 0)
        for i in range(layer.fan_in):
            z = z + first_lane(a) * load(weights, (1 + i) * LANES)
            a = rotate(a)
        a, slope = z, spread(real(1))
        if layer.has_activation_of_vector:
            a, slope = call_for_vectors(layer.activation_of_vector, z, layer.activation_settings)
        store(layer.delta, 0, slope)
        store(layer.activations, 0, a)
    if plan.is_plain_sgd:
        scale = scale * plan.settings[0]
    return a, real(scale) * slope


def sum_of_outputs(plan, values):
    outputs = layer_of(plan, plan.layers - 1).fan_out
    if outputs == 1:
        return double(first_lane(values))
    return double(sum_lanes(select(lanes_below(outputs), values, real(0))))


def backward_vectors(plan, x, delta):
    """The step, or else the gradient of all parameters, in `part`, from what `forward_vectors` tells."""
    l = plan.layers - 1
    delta = select(lanes_below(layer_of(plan, l).fan_out), delta, real(0))
    while l >= 0:
        layer = layer_of(plan, l)
        inputs, offset = layer.fan_in, layer.packed_offset
        weights, a, below = at(plan.packed, offset), x, delta
        if l > 0:
            record = layer_of(plan, l - 1)
            a = record.activations
            below = delta_below(delta, weights, inputs, layer.fan_out, load(record.delta, 0))
        if plan.is_plain_sgd:
            descend_by_product(a, delta, LANES, 0, 1 + inputs, weights)
        else:
            outer_product(a, delta, LANES, 0, 1 + inputs, at(plan.part, offset))
        delta = below
        l -= 1


def delta_below(delta, weights, inputs, outputs, slope):
    """(W delta) slope. Padding may be NaN after an overflow: it stays out."""
    below = spread(real(0))
    if outputs == 1:
        for i in range(inputs):
            below = select(lane_is(i), weights[(1 + i) * LANES], below)
        return first_lane(delta) * (below * slope)
    inside = lanes_below(outputs)
    for i in range(inputs):
        products = select(inside, delta * load(weights, (1 + i) * LANES), real(0))
        below = select(lane_is(i), sum_lanes(products), below)
    return below * slope
