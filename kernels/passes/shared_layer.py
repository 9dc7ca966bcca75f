"""The first layer of a network whose ranks share its neurons instead of the batch's rows.

Where samples have many features, its weights are most of all: here they, and each rank's own copy of the batch, never
leave the cache of the rank that sums their gradient and updates them. What ranks read of each other are activations
and deltas, which are few, or sums and deltas of the next layer, which are fewer: see `parts.py`.
"""

from ..layers.layout import panel_width
from ..layers.masked import masked_sums, panels_of_share
from ..layers.matmul import panel_of_input_gradient, panel_sums
from ..layers.plan import layer_of
from ..layers.ranks import share_of_panel
from ..layers.samples import load_samples
from ..layers.single import input_gradient_of_single
from ..layers.zeros import find_zeros, masks_of_samples
from ..vocabulary.simd import PANEL, at, call, quotient, stay_apart


def forward_first_layer(plan, sample, rows):
    """Load the batch that begins with this sample; the activations of this rank's neurons."""
    stay_apart()
    begin = quotient(rows * plan.rank, plan.ranks)  # not all with the same: whoever comes later finds it near
    load_samples(plan, sample + begin, begin, rows - begin)
    load_samples(plan, sample, 0, begin)
    if plan.has_masks:
        find_zeros(plan, 0, rows)
    layer = layer_of(plan, 0)
    inputs, outputs, width, stride = layer.fan_in, layer.fan_out, layer.width, layer.stride
    x_stride, masks, column = plan.inputs_stride, masks_of_samples(plan), 0
    while column < width:
        first, last = share_of_panel(plan, column, width, rows)
        panels = panels_of_share(plan, column, width, rows) if masks != 0 else 1
        if first < last:
            w, place = panel_width(column, width), first * stride + column
            x, z = at(plan.inputs, first * x_stride), at(layer.weighted_sums, place)
            panel = at(plan.packed, layer.packed_offset + column * layer.height)
            if masks == 0:
                panel_sums(last - first, x, x_stride, panel, inputs, w, z, stride)
            else:
                zeros = plan.constants
                masked_sums(first, last, masks, x, x_stride, panel, inputs, panels, w, z, stride, zeros)
            if layer.has_activate:
                a, settings, w = at(layer.activations, place), layer.activation_settings, panels * w
                call_by_rows(layer.activate, z, a, last - first, min(w, outputs - column), w, stride, settings)
        column += panels * PANEL


def backward_first_layer(plan, rows):
    """The deltas of this rank's neurons, from those of the next layer."""
    stay_apart()
    layer, above = layer_of(plan, 0), layer_of(plan, 1)
    outputs, width, stride, stride_above = layer.fan_out, layer.width, layer.stride, above.stride
    weights = at(plan.packed, above.packed_offset)
    for column in range(0, width, PANEL):
        first, last = share_of_panel(plan, column, width, rows)
        if first < last:
            w, place = panel_width(column, width), first * stride + column
            inside = min(w, outputs - column)
            delta_above, delta = at(above.delta, first * stride_above), at(layer.delta, place)
            if above.single_output:
                weights_of_panel = at(weights, column)
                input_gradient_of_single(
                    last - first, delta_above, stride_above, weights_of_panel, inside, delta, stride
                )
            else:
                panel_of_input_gradient(
                    last - first, delta_above, stride_above, weights, outputs, above.fan_out, above.width,
                    plan.transposed, plan.constants, column, w, delta, stride,
                )  # fmt: skip
            if layer.has_chain_derivative:
                of, settings = at(layer.weighted_sums, place), layer.activation_settings
                call_by_rows(layer.chain_derivative, of, delta, last - first, inside, w, stride, settings)


def call_by_rows(function, source, target, rows, columns, width, stride, settings):
    """Call an elementwise function, which works on whole rows, for `width` columns of them."""
    for i in range(rows):
        call(function, at(source, i * stride), at(target, i * stride), 1, columns, width, settings)
