"""A training step on one sample, for networks whose layers each fit into a vector: then every instruction counts.

Weighted sums, activations and deltas stay in registers, and what is called takes vectors: a number that goes by way of
memory arrives some eight cycles later, and each step waits for the one before.
"""

from .descent import prepare_update, update
from .layout import (
    ACTIVATION_OF_VECTOR,
    ACTIVATION_SETTINGS,
    ACTIVATIONS,
    AHEAD,
    CANONICAL_OFFSET,
    DELTA,
    DELTA_DIVISOR,
    FAN_IN,
    FAN_OUT,
    INPUTS,
    LAYERS,
    LOSS_DERIVATIVE_OF_VECTOR,
    LOSS_OF_VECTOR,
    LOSS_SETTINGS,
    PACKED,
    PACKED_OFFSET,
    PACKED_SIZE,
    PART,
    SAMPLES,
    STOP_AT_NONFINITE,
    TARGETS,
    all_finite,
    layer_record,
)
from .network import add_loss
from .samples import load_samples, load_targets
from .simd import (
    LANES,
    at,
    call_for_vector,
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


def step_on_vectors(plan, epoch, sample, number, beginning):
    """`steps.take_step` for such a network, and a batch of one sample. `beginning`: nothing has been gathered yet."""
    stay_apart()
    row = sample & (AHEAD - 1)
    if row == 0 or beginning:
        rows = min(AHEAD, plan[SAMPLES] - sample + row)
        load_samples(plan, sample - row, 0, rows)
        load_targets(plan, sample - row, 0, rows)
    x, target = at(reals(plan[INPUTS]), row * LANES), load(reals(plan[TARGETS]), row * LANES)
    backward_vectors(plan, x, slope_of_loss(plan, forward_vectors(plan, x), target))
    value = value_of_loss(plan, target)
    add_loss(plan, epoch, value)
    if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
        return False
    prepare_update(plan, number)
    update(plan, 0, reals(plan[PART]), plan[PACKED_SIZE])
    return True


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


def forward_vectors(plan, x):
    """The outputs, from a sample. Layers' ACTIVATIONS get what they say, and DELTA their derivatives by z."""
    a = load(x, 0)
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
        z = load(weights, 0)
        for i in range(layer[FAN_IN]):
            z = z + first_lane(a) * load(weights, (1 + i) * LANES)
            a = rotate(a)
        if layer[ACTIVATION_OF_VECTOR] != 0:
            z, slope = call_for_vectors(layer[ACTIVATION_OF_VECTOR], z, doubles(layer[ACTIVATION_SETTINGS]))
            store(reals(layer[DELTA]), 0, slope)
        a = z
        store(reals(layer[ACTIVATIONS]), 0, a)
    return a


def slope_of_loss(plan, output, target):
    """The derivatives of the loss by the outputs."""
    last = layer_record(plan, plan[LAYERS] - 1)
    slope = call_for_vector(plan[LOSS_DERIVATIVE_OF_VECTOR], output, target, doubles(plan[LOSS_SETTINGS]))
    return select(lanes_below(last[FAN_OUT]), real(1.0 / plan[DELTA_DIVISOR]) * slope, real(0))


def backward_vectors(plan, x, delta):
    """The gradient of all parameters, in PART, from the derivatives by the outputs."""
    l = plan[LAYERS] - 1
    while l >= 0:
        layer = layer_record(plan, l)
        if layer[ACTIVATION_OF_VECTOR] != 0:
            delta = delta * load(reals(layer[DELTA]), 0)
        inputs, offset = layer[FAN_IN], layer[PACKED_OFFSET]
        a, gradient = x, at(reals(plan[PART]), offset)
        store(gradient, 0, delta)
        if l > 0:
            a = reals(layer_record(plan, l - 1)[ACTIVATIONS])
        for i in range(inputs):
            store(gradient, (1 + i) * LANES, a[i] * delta)
        if l > 0:
            delta = delta_below(delta, at(reals(plan[PACKED]), offset), inputs, layer[FAN_OUT])
        l -= 1


def value_of_loss(plan, target):
    """The loss of what went forward."""
    last = layer_record(plan, plan[LAYERS] - 1)
    values = call_for_vector(
        plan[LOSS_OF_VECTOR], load(reals(last[ACTIVATIONS]), 0), target, doubles(plan[LOSS_SETTINGS])
    )
    return double(sum_lanes(select(lanes_below(last[FAN_OUT]), values, real(0))))


def delta_below(delta, weights, inputs, outputs):
    """W delta. Padding may be NaN after an overflow: it stays out."""
    below = spread(real(0))
    if outputs == 1:
        for i in range(inputs):
            below = select(lane_is(i), weights[(1 + i) * LANES], below)
        return first_lane(delta) * below
    inside = lanes_below(outputs)
    for i in range(inputs):
        products = select(inside, delta * load(weights, (1 + i) * LANES), real(0))
        below = select(lane_is(i), sum_lanes(products), below)
    return below
