"""Training steps on one sample each, for networks whose layers each fit into a vector: then every instruction counts.

Weighted sums, activations and deltas stay in registers, and what is called takes vectors: a number that goes by way of
memory arrives some eight cycles later, and each step waits for the one before.
"""

from ..layers.layout import (
    ACTIVATION_OF_VECTOR,
    ACTIVATION_SETTINGS,
    ACTIVATIONS,
    AHEAD,
    CANONICAL_OFFSET,
    DELTA,
    DELTA_DIVISOR,
    DESCENDS,
    FAN_IN,
    FAN_OUT,
    INPUTS,
    LAYERS,
    LOSS_OF_VECTOR,
    LOSS_SETTINGS,
    ORDER,
    PACKED,
    PACKED_OFFSET,
    PACKED_SIZE,
    PART,
    SAMPLES,
    SETTINGS,
    STOP_AT_NONFINITE,
    TARGETS,
    all_finite,
    layer_record,
)
from ..layers.matvec import descend_by_product, outer_product
from ..layers.samples import load_samples, load_targets
from ..vocabulary.simd import (
    LANES,
    at,
    call_for_vectors,
    double,
    doubles,
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
    if beginning or (first == 0 and (plan[SAMPLES] > AHEAD or plan[ORDER] != 0)):
        rows = min(AHEAD, plan[SAMPLES] - sample + first)
        load_samples(plan, sample - first, 0, rows)
        load_targets(plan, sample - first, 0, rows)
    scale = 1.0 / plan[DELTA_DIVISOR]
    for i in range(steps):
        place = (first + i) * LANES
        x, target = at(reals(plan[INPUTS]), place), load(reals(plan[TARGETS]), place)
        prepare_update(plan, number + i)
        output, factor = forward_vectors(plan, x, scale)
        values, delta = call_for_vectors(plan[LOSS_OF_VECTOR], output, target, factor, doubles(plan[LOSS_SETTINGS]))
        value = sum_of_outputs(plan, values)
        add_loss(plan, epoch, value)
        if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
            return i
        backward_vectors(plan, x, delta)
        if plan[DESCENDS] == 0:
            update(plan, 0, reals(plan[PART]), plan[PACKED_SIZE])
    return steps


def keep_vectors(plan, canonical_address):
    """`steps.end_epoch` for such a network."""
    stay_apart()
    packed = reals(plan[PACKED])
    if plan[STOP_AT_NONFINITE] != 0 and not all_finite(packed, 1, plan[PACKED_SIZE], 0):
        return False
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        inputs, outputs = layer[FAN_IN], layer[FAN_OUT]
        vectors, weights = at(packed, layer[PACKED_OFFSET]), at(reals(canonical_address), layer[CANONICAL_OFFSET])
        for i in range(inputs):
            store_first(weights, i * outputs, outputs, load(vectors, (1 + i) * LANES))
        store_first(weights, inputs * outputs, outputs, load(vectors, 0))
    return True


def forward_vectors(plan, x, scale):
    """The outputs of a sample, and what the loss's derivatives by them are times, to be those by the last sums.

    That is the learning rate, too, where nothing else is done with the gradient. Layers' ACTIVATIONS get what they say,
    and DELTA their derivatives by z.
    """
    a = load(x, 0)
    slope = spread(real(1))
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
        z = load(weights, 0)
        for i in range(layer[FAN_IN]):
            z = z + first_lane(a) * load(weights, (1 + i) * LANES)
            a = rotate(a)
        a, slope = z, spread(real(1))
        if layer[ACTIVATION_OF_VECTOR] != 0:
            a, slope = call_for_vectors(layer[ACTIVATION_OF_VECTOR], z, doubles(layer[ACTIVATION_SETTINGS]))
        store(reals(layer[DELTA]), 0, slope)
        store(reals(layer[ACTIVATIONS]), 0, a)
    if plan[DESCENDS] != 0:
        scale = scale * doubles(plan[SETTINGS])[0]
    return a, real(scale) * slope


def sum_of_outputs(plan, values):
    outputs = layer_record(plan, plan[LAYERS] - 1)[FAN_OUT]
    if outputs == 1:
        return double(first_lane(values))
    return double(sum_lanes(select(lanes_below(outputs), values, real(0))))


def backward_vectors(plan, x, delta):
    """The step, or else the gradient of all parameters, in PART, from what `forward_vectors` tells."""
    l = plan[LAYERS] - 1
    delta = select(lanes_below(layer_record(plan, l)[FAN_OUT]), delta, real(0))
    while l >= 0:
        layer = layer_record(plan, l)
        inputs, offset = layer[FAN_IN], layer[PACKED_OFFSET]
        weights, a, below = at(reals(plan[PACKED]), offset), x, delta
        if l > 0:
            record = layer_record(plan, l - 1)
            a = reals(record[ACTIVATIONS])
            below = delta_below(delta, weights, inputs, layer[FAN_OUT], load(reals(record[DELTA]), 0))
        if plan[DESCENDS] != 0:
            descend_by_product(a, delta, LANES, 0, 1 + inputs, weights)
        else:
            outer_product(a, delta, LANES, 0, 1 + inputs, at(reals(plan[PART]), offset))
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
