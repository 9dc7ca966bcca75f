"""The first layer of a network whose ranks share its neurons instead of the batch's rows.

Where samples have many features, its weights are most of all: here they, and each rank's own copy of the batch, never
leave the cache of the rank that sums their gradient and updates them. What ranks read of each other are activations
and deltas, which are few, or sums and deltas of the next layer, which are fewer: see `parts.py`.
"""

from ..layers.layout import (
    ACTIVATION_SETTINGS,
    ACTIVATIONS,
    BACKWARD,
    CONSTANTS,
    DELTA,
    FAN_IN,
    FAN_OUT,
    FORWARD,
    HEIGHT,
    INPUTS,
    INPUTS_STRIDE,
    MASKS,
    PACKED,
    PACKED_OFFSET,
    RANK,
    RANKS,
    SINGLE,
    STRIDE,
    TRANSPOSED,
    WEIGHTED_SUMS,
    WIDTH,
    layer_record,
    panel_width,
)
from ..layers.masked import masked_sums, panels_of_share
from ..layers.matmul import panel_of_input_gradient, panel_sums
from ..layers.ranks import share_of_panel
from ..layers.samples import load_samples
from ..layers.single import input_gradient_of_single
from ..layers.zeros import find_zeros, masks_of_samples
from ..vocabulary.simd import PANEL, at, call, doubles, quotient, reals, stay_apart


def forward_first_layer(plan, sample, rows):
    """Load the batch that begins with this sample; the activations of this rank's neurons."""
    stay_apart()
    begin = quotient(rows * plan[RANK], plan[RANKS])  # not all with the same: whoever comes later finds it near
    load_samples(plan, sample + begin, begin, rows - begin)
    load_samples(plan, sample, 0, begin)
    if plan[MASKS] != 0:
        find_zeros(plan, 0, rows)
    layer = layer_record(plan, 0)
    inputs, outputs, width, stride = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH], layer[STRIDE]
    x_stride, masks, column = plan[INPUTS_STRIDE], masks_of_samples(plan), 0
    while column < width:
        first, last = share_of_panel(plan, column, width, rows)
        panels = panels_of_share(plan, column, width, rows) if masks != 0 else 1
        if first < last:
            w, place = panel_width(column, width), first * stride + column
            x, z = at(reals(plan[INPUTS]), first * x_stride), at(reals(layer[WEIGHTED_SUMS]), place)
            panel = at(reals(plan[PACKED]), layer[PACKED_OFFSET] + column * layer[HEIGHT])
            if masks == 0:
                panel_sums(last - first, x, x_stride, panel, inputs, w, z, stride)
            else:
                zeros = reals(plan[CONSTANTS])
                masked_sums(first, last, masks, x, x_stride, panel, inputs, panels, w, z, stride, zeros)
            if layer[FORWARD] != 0:
                a, settings, w = at(reals(layer[ACTIVATIONS]), place), doubles(layer[ACTIVATION_SETTINGS]), panels * w
                call_by_rows(layer[FORWARD], z, a, last - first, min(w, outputs - column), w, stride, settings)
        column += panels * PANEL


def backward_first_layer(plan, rows):
    """The deltas of this rank's neurons, from those of the next layer."""
    stay_apart()
    layer, above = layer_record(plan, 0), layer_record(plan, 1)
    outputs, width, stride, stride_above = layer[FAN_OUT], layer[WIDTH], layer[STRIDE], above[STRIDE]
    weights = at(reals(plan[PACKED]), above[PACKED_OFFSET])
    for column in range(0, width, PANEL):
        first, last = share_of_panel(plan, column, width, rows)
        if first < last:
            w, place = panel_width(column, width), first * stride + column
            inside = min(w, outputs - column)
            delta_above, delta = at(reals(above[DELTA]), first * stride_above), at(reals(layer[DELTA]), place)
            if above[SINGLE] != 0:
                weights_of_panel = at(weights, column)
                input_gradient_of_single(
                    last - first, delta_above, stride_above, weights_of_panel, inside, delta, stride
                )
            else:
                panel_of_input_gradient(
                    last - first, delta_above, stride_above, weights, outputs, above[FAN_OUT], above[WIDTH],
                    reals(plan[TRANSPOSED]), reals(plan[CONSTANTS]), column, w, delta, stride,
                )  # fmt: skip
            if layer[BACKWARD] != 0:
                of, settings = at(reals(layer[WEIGHTED_SUMS]), place), doubles(layer[ACTIVATION_SETTINGS])
                call_by_rows(layer[BACKWARD], of, delta, last - first, inside, w, stride, settings)


def call_by_rows(function, source, target, rows, columns, width, stride, settings):
    """Call an elementwise function, which works on whole rows, for `width` columns of them."""
    for i in range(rows):
        call(function, at(source, i * stride), at(target, i * stride), 1, columns, width, settings)
