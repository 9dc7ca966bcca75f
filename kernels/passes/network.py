"""A network's work on rows of samples: the phases, and the entries that call them and join them."""

from ..layers.disturbed import disturb_samples, drop_activations, drop_delta
from ..layers.layout import (
    ACTIVATION_SETTINGS,
    ACTIVATIONS,
    BACKWARD,
    BACKWARDS,
    BATCH_SIZE,
    COLUMNS,
    CONSTANTS,
    DELTA,
    DELTA_DIVISOR,
    DISTURBED,
    DROPOUT,
    FAN_IN,
    FAN_OUT,
    FORWARD,
    GRADIENT,
    HEIGHT,
    INPUT_DELTA,
    INPUT_GRADIENT,
    INPUTS,
    INPUTS_STRIDE,
    LAYERS,
    LOSS,
    LOSS_OF_VECTOR,
    LOSS_SETTINGS,
    LOSSES,
    LOWEST_TRAINED,
    MASKS,
    NORMALIZATION,
    PACKED,
    PACKED_OFFSET,
    PACKED_SIZE,
    PARTS,
    ROW_LOSSES,
    SAMPLES,
    SINGLE,
    STRIDE,
    TARGETS,
    TRANSPOSED,
    VALUE_DIVISOR,
    WEIGHTED_SUMS,
    WEIGHTS,
    WIDTH,
    is_normalized,
    layer_record,
    panel_width,
)
from ..layers.masked import masked_sums, whole_panels
from ..layers.matmul import input_gradient, weighted_sums
from ..layers.matvec import input_gradient_of_row, weighted_sums_of_row
from ..layers.normalized import denormalize, normalize, place_of_sums
from ..layers.packing import copy_rows
from ..layers.parts import comes_in_parts, join_parts, sums_of_parts
from ..layers.samples import load_samples, load_targets
from ..layers.single import input_gradient_of_single, losses_of_single, weighted_sums_of_single
from ..layers.sparse import sparse_sums
from ..layers.weighting import weigh
from ..layers.zeros import find_zeros, masks_of_samples
from ..vocabulary.simd import PANEL, accumulate, at, call, doubles, flush_subnormals, reals, restore_subnormals
from .descent import gradient_of_layers, prepare_update, update

# --- phases, for rows `first` ... `first + rows - 1` of the batch


def forward(plan, first, rows):
    """Weighted sums and activations of every layer, from INPUTS."""
    if plan[COLUMNS] != 0:
        forward_sparse(plan, first, rows)
        return
    if plan[MASKS] != 0 and rows > 1:
        find_zeros(plan, first, rows)
    stride = plan[INPUTS_STRIDE]
    forward_from(plan, at(reals(plan[INPUTS]), first * stride), stride, first, rows)


def forward_from(plan, a, stride, first, rows):
    """The same from samples that are `stride` apart."""
    if rows == 1 and goes_by_row(plan):
        forward_row(plan, a)
    else:
        sums_of_layer(plan, 0, a, stride, first, rows)
        forward_from_sums(plan, first, rows)


def forward_sparse(plan, first, rows):
    """The same from sparse samples."""
    sparse_sums(plan, first, rows, place_of_sums(plan, 0, first))
    forward_from_sums(plan, first, rows)


def forward_from_sums(plan, first, rows):
    """The same from the first layer's weighted sums."""
    activate(plan, 0, first, rows)
    forward_from_first(plan, first, rows)


def forward_from_first(plan, first, rows):
    """The same from the first layer's activations."""
    if plan[LAYERS] > 1:
        sums_from_below(plan, 1, first, rows)
        forward_from_second_sums(plan, first, rows)


def forward_from_second_sums(plan, first, rows):
    """The same from the second layer's weighted sums."""
    activate(plan, 1, first, rows)
    for l in range(2, plan[LAYERS]):
        sums_from_below(plan, l, first, rows)
        activate(plan, l, first, rows)


def sums_from_below(plan, l, first, rows):
    below = layer_record(plan, l - 1)
    stride = below[STRIDE]
    sums_of_layer(plan, l, at(reals(below[ACTIVATIONS]), first * stride), stride, first, rows)


def sums_of_layer(plan, l, a, a_stride, first, rows):
    layer, z = layer_record(plan, l), place_of_sums(plan, l, first)
    weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
    masks = masks_of_samples(plan) if l == 0 and rows > 1 else 0  # `forward` has found them
    if layer[SINGLE] != 0:
        weighted_sums_of_single(rows, a, a_stride, weights, layer[FAN_IN], z, layer[STRIDE])
    elif comes_in_parts(plan, l, rows):
        sums_of_parts(plan, first, rows, 0, plan[PARTS])
        join_parts(plan, first, rows, z, True)
    elif masks == 0:
        weighted_sums(rows, a, a_stride, weights, layer[FAN_IN], layer[WIDTH], z, layer[STRIDE])
    else:
        column = 0
        while column < layer[WIDTH]:
            panels, w = whole_panels(column, layer[WIDTH]), panel_width(column, layer[WIDTH])
            panel = at(weights, column * layer[HEIGHT])
            masked_sums(
                0, rows, masks, a, a_stride, panel, layer[FAN_IN], panels, w, at(z, column), layer[STRIDE],
                reals(plan[CONSTANTS]),
            )  # fmt: skip
            column += panels * PANEL


def activate(plan, l, first, rows):
    """A layer's activations, from its weighted sums."""
    layer = layer_record(plan, l)
    stride = layer[STRIDE]
    if is_normalized(plan, l):
        normalize(plan, l, first, rows)
    if layer[FORWARD] != 0:
        z, a = at(reals(layer[WEIGHTED_SUMS]), first * stride), at(reals(layer[ACTIVATIONS]), first * stride)
        call(layer[FORWARD], z, a, rows, layer[FAN_OUT], stride, doubles(layer[ACTIVATION_SETTINGS]))
    if plan[DROPOUT] != 0:
        drop_activations(plan, l, first, rows)


def goes_by_row(plan):
    """Whether one row is worked on by `forward_row`: then it is the only one of the batch, and nothing is special."""
    return plan[DISTURBED] == 0 and plan[NORMALIZATION] == 0


def forward_row(plan, a):
    """The same for one row, the first."""
    sums_of_row(plan, 0, a)
    forward_row_from_sums(plan)


def forward_row_from_sums(plan):
    a = activate_row(plan, 0)
    for l in range(1, plan[LAYERS]):
        sums_of_row(plan, l, a)
        a = activate_row(plan, l)


def sums_of_row(plan, l, a):
    layer = layer_record(plan, l)
    z, weights = reals(layer[WEIGHTED_SUMS]), at(reals(plan[PACKED]), layer[PACKED_OFFSET])
    if layer[SINGLE] != 0:
        weighted_sums_of_single(1, a, 0, weights, layer[FAN_IN], z, 0)
    else:
        weighted_sums_of_row(a, weights, layer[FAN_IN], layer[WIDTH], plan[BACKWARDS] != 0, z)


def activate_row(plan, l):
    layer = layer_record(plan, l)
    a = reals(layer[ACTIVATIONS])
    if layer[FORWARD] != 0:
        z, settings = reals(layer[WEIGHTED_SUMS]), doubles(layer[ACTIVATION_SETTINGS])
        call(layer[FORWARD], z, a, 1, layer[FAN_OUT], layer[STRIDE], settings)
    return a


def loss(plan, sample, first, rows, samples):
    """Losses of rows, from `sample` on; delta = the gradient of the mean over `samples` in the last layer."""
    load_targets(plan, sample, first, rows)
    last = layer_record(plan, plan[LAYERS] - 1)
    stride, scale = last[STRIDE], 1.0 / (samples * plan[DELTA_DIVISOR])
    if rows > 1 and last[FAN_OUT] == 1 and plan[LOSS_OF_VECTOR] != 0:
        losses_of_single(plan, first, rows, scale)
    else:
        call(
            plan[LOSS], at(reals(last[ACTIVATIONS]), first * stride), at(reals(plan[TARGETS]), first * stride),
            at(reals(last[DELTA]), first * stride), at(doubles(plan[ROW_LOSSES]), first),
            rows, last[FAN_OUT], stride, scale, doubles(plan[LOSS_SETTINGS]),
        )  # fmt: skip
    if plan[WEIGHTS] != 0:
        weigh(plan, sample, first, rows, samples)


def backward(plan, first, rows, lowest):
    """The delta of every layer from that of the last down to the `lowest`; below it, of the inputs if wanted."""
    for l in range(plan[LAYERS] - 1, lowest - 1, -1):
        delta_of_sums(plan, l, first, rows)
        if l > lowest:
            pass_down(plan, l, first, rows)
        elif plan[INPUT_DELTA] != 0:
            pass_down_to(plan, l, first, rows, plan[INPUT_DELTA], plan[INPUTS_STRIDE], plan[INPUTS_STRIDE])


def delta_of_sums(plan, l, first, rows):
    """dLoss/dz of a layer from its dLoss/da."""
    if plan[DROPOUT] != 0:
        drop_delta(plan, l, first, rows)
    layer = layer_record(plan, l)
    if layer[BACKWARD] != 0:
        stride = layer[STRIDE]
        of, delta = at(reals(layer[WEIGHTED_SUMS]), first * stride), at(reals(layer[DELTA]), first * stride)
        call(layer[BACKWARD], of, delta, rows, layer[FAN_OUT], stride, doubles(layer[ACTIVATION_SETTINGS]))
    if is_normalized(plan, l):
        denormalize(plan, l, first, rows)


def pass_down(plan, l, first, rows):
    """dLoss/da of the layer below, from a layer's delta."""
    below = layer_record(plan, l - 1)
    pass_down_to(plan, l, first, rows, below[DELTA], below[STRIDE], below[WIDTH])


def pass_down_to(plan, l, first, rows, below, below_stride, below_width):
    layer = layer_record(plan, l)
    inputs, outputs, width, stride = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH], layer[STRIDE]
    delta, target = at(reals(layer[DELTA]), first * stride), at(reals(below), first * below_stride)
    weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
    if layer[SINGLE] != 0:
        input_gradient_of_single(rows, delta, stride, weights, inputs, target, below_stride)
    elif rows == 1:
        input_gradient_of_row(delta, weights, inputs, outputs, width, target, below_width)
    else:
        input_gradient(
            rows, delta, stride, weights, inputs, outputs, width, reals(plan[TRANSPOSED]),
            reals(plan[CONSTANTS]), target, below_stride, below_width,
        )  # fmt: skip


# --- what is called from Python: each phase on its own for a batch, samples first ... last - 1, and the phases joined


def forward_phase(plan, first, last):
    """Activations of a batch."""
    state = flush_subnormals()
    load_samples(plan, first, 0, last - first)
    forward(plan, 0, last - first)
    restore_subnormals(state)
    return 0


def loss_phase(plan, first, last):
    """Add the loss of the batch that went forward to LOSSES[0], as part of all samples' mean; fill DELTA."""
    state = flush_subnormals()
    rows = last - first
    loss(plan, first, 0, rows, plan[SAMPLES])
    add_loss(plan, 0, loss_of_rows(plan, rows))
    restore_subnormals(state)
    return 0


def backward_phase(plan, first, last):
    """The batch's part of GRADIENT, and of INPUT_GRADIENT if it is wanted, from DELTA."""
    state = flush_subnormals()
    backward_and_gradient(plan, first, last - first)
    restore_subnormals(state)
    return 0


def update_phase(plan, number, _):
    """The optimizer's step for all parameters from GRADIENT; updates count from 1."""
    state = flush_subnormals()
    prepare_update(plan, number)
    update(plan, 0, reals(plan[GRADIENT]), plan[PACKED_SIZE])
    restore_subnormals(state)
    return 0


def evaluate(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0]; divided, so that all samples make the mean."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        load_and_forward(plan, first, 0, rows)
        loss(plan, first, 0, rows, plan[SAMPLES])
        add_loss(plan, 0, loss_of_rows(plan, rows))
        first += rows
    restore_subnormals(state)
    return 0


def gradient(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0] and its gradient to GRADIENT, cleared when first is 0."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        load_and_forward(plan, first, 0, rows)
        loss(plan, first, 0, rows, plan[SAMPLES])
        add_loss(plan, 0, loss_of_rows(plan, rows))
        backward_and_gradient(plan, first, rows)
        first += rows
    restore_subnormals(state)
    return 0


def load_and_forward(plan, sample, first, rows):
    load_samples(plan, sample, first, rows)
    if plan[DISTURBED] != 0:
        disturb_samples(plan, first, rows)
    forward(plan, first, rows)


def loss_of_rows(plan, rows):
    """The loss summed over the batch."""
    losses = doubles(plan[ROW_LOSSES])
    value = 0.0
    for i in range(rows):
        value = accumulate(value, losses[i])
    return value


def add_loss(plan, epoch, value):
    losses = doubles(plan[LOSSES])
    losses[epoch] = losses[epoch] + value / (plan[SAMPLES] * plan[VALUE_DIVISOR])


def backward_and_gradient(plan, sample, rows):
    backward(plan, 0, rows, plan[LOWEST_TRAINED])
    if plan[GRADIENT] != 0:
        gradient_of_layers(plan, rows, sample > 0)
    if plan[INPUT_DELTA] != 0:
        features = layer_record(plan, 0)[FAN_IN]
        target = at(reals(plan[INPUT_GRADIENT]), sample * features)
        copy_rows(rows, features, reals(plan[INPUT_DELTA]), plan[INPUTS_STRIDE], target, features)
