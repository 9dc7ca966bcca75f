"""A network's work on rows of samples: the phases, and the entries that call them and join them."""

from ..layers.disturbed import disturb_samples, drop_activations, drop_delta
from ..layers.layout import panel_width
from ..layers.masked import masked_sums, whole_panels
from ..layers.matmul import input_gradient, weighted_sums
from ..layers.matvec import input_gradient_of_row, weighted_sums_of_row
from ..layers.normalized import denormalize, normalize, place_of_sums
from ..layers.packing import copy_rows
from ..layers.parts import comes_in_parts, join_parts, sums_of_parts
from ..layers.plan import is_normalized, layer_of
from ..layers.samples import load_samples, load_targets
from ..layers.single import input_gradient_of_single, losses_of_single, weighted_sums_of_single
from ..layers.sparse import sparse_sums
from ..layers.weighting import weigh
from ..layers.zeros import find_zeros, masks_of_samples
from ..vocabulary.simd import PANEL, accumulate, at, call, flush_subnormals, reals, restore_subnormals
from .descent import gradient_of_layers, prepare_update, update

# --- phases, for rows `first` ... `first + rows - 1` of the batch


def forward(plan, first, rows):
    """Weighted sums and activations of every layer, from `inputs`."""
    if plan.has_columns:
        forward_sparse(plan, first, rows)
        return
    if plan.has_masks and rows > 1:
        find_zeros(plan, first, rows)
    stride = plan.inputs_stride
    forward_from(plan, at(plan.inputs, first * stride), stride, first, rows)


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
    if plan.layers > 1:
        sums_from_below(plan, 1, first, rows)
        forward_from_second_sums(plan, first, rows)


def forward_from_second_sums(plan, first, rows):
    """The same from the second layer's weighted sums."""
    activate(plan, 1, first, rows)
    for l in range(2, plan.layers):
        sums_from_below(plan, l, first, rows)
        activate(plan, l, first, rows)


def sums_from_below(plan, l, first, rows):
    below = layer_of(plan, l - 1)
    stride = below.stride
    sums_of_layer(plan, l, at(below.activations, first * stride), stride, first, rows)


def sums_of_layer(plan, l, a, a_stride, first, rows):
    layer, z = layer_of(plan, l), place_of_sums(plan, l, first)
    weights = at(plan.packed, layer.packed_offset)
    masks = masks_of_samples(plan) if l == 0 and rows > 1 else 0  # `forward` has found them
    if layer.single_output:
        weighted_sums_of_single(rows, a, a_stride, weights, layer.fan_in, z, layer.stride)
    elif comes_in_parts(plan, l, rows):
        sums_of_parts(plan, first, rows, 0, plan.parts)
        join_parts(plan, first, rows, z, True)
    elif masks == 0:
        weighted_sums(rows, a, a_stride, weights, layer.fan_in, layer.width, z, layer.stride)
    else:
        column = 0
        while column < layer.width:
            panels, w = whole_panels(column, layer.width), panel_width(column, layer.width)
            panel = at(weights, column * layer.height)
            masked_sums(
                0, rows, masks, a, a_stride, panel, layer.fan_in, panels, w, at(z, column), layer.stride,
                plan.constants,
            )  # fmt: skip
            column += panels * PANEL


def activate(plan, l, first, rows):
    """A layer's activations, from its weighted sums."""
    layer = layer_of(plan, l)
    stride = layer.stride
    if is_normalized(plan, l):
        normalize(plan, l, first, rows)
    if layer.has_activate:
        z, a = at(layer.weighted_sums, first * stride), at(layer.activations, first * stride)
        call(layer.activate, z, a, rows, layer.fan_out, stride, layer.activation_settings)
    if plan.has_dropout:
        drop_activations(plan, l, first, rows)


def goes_by_row(plan):
    """Whether one row is worked on by `forward_row`: then it is the only one of the batch, and nothing is special."""
    return not plan.is_disturbed and not plan.has_normalization


def forward_row(plan, a):
    """The same for one row, the first."""
    sums_of_row(plan, 0, a)
    forward_row_from_sums(plan)


def forward_row_from_sums(plan):
    a = activate_row(plan, 0)
    for l in range(1, plan.layers):
        sums_of_row(plan, l, a)
        a = activate_row(plan, l)


def sums_of_row(plan, l, a):
    layer = layer_of(plan, l)
    z, weights = layer.weighted_sums, at(plan.packed, layer.packed_offset)
    if layer.single_output:
        weighted_sums_of_single(1, a, 0, weights, layer.fan_in, z, 0)
    else:
        weighted_sums_of_row(a, weights, layer.fan_in, layer.width, plan.reverse_panels, z)


def activate_row(plan, l):
    layer = layer_of(plan, l)
    a = layer.activations
    if layer.has_activate:
        z, settings = layer.weighted_sums, layer.activation_settings
        call(layer.activate, z, a, 1, layer.fan_out, layer.stride, settings)
    return a


def loss(plan, sample, first, rows, samples):
    """Losses of rows, from `sample` on; delta = the gradient of the mean over `samples` in the last layer."""
    load_targets(plan, sample, first, rows)
    last = layer_of(plan, plan.layers - 1)
    stride, scale = last.stride, 1.0 / (samples * plan.delta_divisor)
    if rows > 1 and last.fan_out == 1 and plan.has_loss_of_vector:
        losses_of_single(plan, first, rows, scale)
    else:
        call(
            plan.loss, at(last.activations, first * stride), at(plan.targets, first * stride),
            at(last.delta, first * stride), at(plan.row_losses, first),
            rows, last.fan_out, stride, scale, plan.loss_settings,
        )  # fmt: skip
    if plan.has_sample_weights:
        weigh(plan, sample, first, rows, samples)


def backward(plan, first, rows, lowest):
    """The delta of every layer from that of the last down to the `lowest`; below it, of the inputs if wanted."""
    for l in range(plan.layers - 1, lowest - 1, -1):
        delta_of_sums(plan, l, first, rows)
        if l > lowest:
            pass_down(plan, l, first, rows)
        elif plan.has_input_delta:
            pass_down_to(plan, l, first, rows, plan.input_delta_address, plan.inputs_stride, plan.inputs_stride)


def delta_of_sums(plan, l, first, rows):
    """dLoss/dz of a layer from its dLoss/da."""
    if plan.has_dropout:
        drop_delta(plan, l, first, rows)
    layer = layer_of(plan, l)
    if layer.has_chain_derivative:
        stride = layer.stride
        of, delta = at(layer.weighted_sums, first * stride), at(layer.delta, first * stride)
        call(layer.chain_derivative, of, delta, rows, layer.fan_out, stride, layer.activation_settings)
    if is_normalized(plan, l):
        denormalize(plan, l, first, rows)


def pass_down(plan, l, first, rows):
    """dLoss/da of the layer below, from a layer's delta."""
    below = layer_of(plan, l - 1)
    pass_down_to(plan, l, first, rows, below.delta_address, below.stride, below.width)


def pass_down_to(plan, l, first, rows, below, below_stride, below_width):
    layer = layer_of(plan, l)
    inputs, outputs, width, stride = layer.fan_in, layer.fan_out, layer.width, layer.stride
    delta, target = at(layer.delta, first * stride), at(reals(below), first * below_stride)
    weights = at(plan.packed, layer.packed_offset)
    if layer.single_output:
        input_gradient_of_single(rows, delta, stride, weights, inputs, target, below_stride)
    elif rows == 1:
        input_gradient_of_row(delta, weights, inputs, outputs, width, target, below_width)
    else:
        input_gradient(
            rows, delta, stride, weights, inputs, outputs, width, plan.transposed,
            plan.constants, target, below_stride, below_width,
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
    """Add the loss of the batch that went forward to `losses[0]`, as part of all samples' mean; fill `delta`."""
    state = flush_subnormals()
    rows = last - first
    loss(plan, first, 0, rows, plan.samples)
    add_loss(plan, 0, loss_of_rows(plan, rows))
    restore_subnormals(state)
    return 0


def backward_phase(plan, first, last):
    """The batch's part of `gradient`, and of `input_gradient` if it is wanted, from `delta`."""
    state = flush_subnormals()
    backward_and_gradient(plan, first, last - first)
    restore_subnormals(state)
    return 0


def update_phase(plan, number, _):
    """The optimizer's step for all parameters from `gradient`; updates count from 1."""
    state = flush_subnormals()
    prepare_update(plan, number)
    update(plan, 0, plan.gradient, plan.packed_size)
    restore_subnormals(state)
    return 0


def evaluate(plan, first, last):
    """Add the loss of samples first ... last - 1 to `losses[0]`; divided, so that all samples make the mean."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan.batch_size, last - first)
        load_and_forward(plan, first, 0, rows)
        loss(plan, first, 0, rows, plan.samples)
        add_loss(plan, 0, loss_of_rows(plan, rows))
        first += rows
    restore_subnormals(state)
    return 0


def gradient(plan, first, last):
    """Add the loss of samples first ... last - 1 to `losses[0]`, its gradient to `gradient`, cleared when first is
    0."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan.batch_size, last - first)
        load_and_forward(plan, first, 0, rows)
        loss(plan, first, 0, rows, plan.samples)
        add_loss(plan, 0, loss_of_rows(plan, rows))
        backward_and_gradient(plan, first, rows)
        first += rows
    restore_subnormals(state)
    return 0


def load_and_forward(plan, sample, first, rows):
    load_samples(plan, sample, first, rows)
    if plan.is_disturbed:
        disturb_samples(plan, first, rows)
    forward(plan, first, rows)


def loss_of_rows(plan, rows):
    """The loss summed over the batch."""
    losses = plan.row_losses
    value = 0.0
    for i in range(rows):
        value = accumulate(value, losses[i])
    return value


def add_loss(plan, epoch, value):
    losses = plan.losses
    losses[epoch] = losses[epoch] + value / (plan.samples * plan.value_divisor)


def backward_and_gradient(plan, sample, rows):
    backward(plan, 0, rows, plan.lowest_trained)
    if plan.has_gradient:
        gradient_of_layers(plan, rows, sample > 0)
    if plan.has_input_delta:
        features = layer_of(plan, 0).fan_in
        target = at(plan.input_gradient, sample * features)
        copy_rows(rows, features, plan.input_delta, plan.inputs_stride, target, features)
