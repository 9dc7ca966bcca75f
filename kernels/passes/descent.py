"""The gradient of the parameters, panel by panel, and the optimizer's step."""

from ..layers.layout import panel_width
from ..layers.masked import WORDS_AT_ONCE, masked_gradient, panels_of_share
from ..layers.matmul import panel_gradient
from ..layers.matvec import descend_by_row, panel_gradient_of_row
from ..layers.normalized import tail_gradient
from ..layers.packing import clear
from ..layers.parts import share_of_weights
from ..layers.plan import is_normalized, layer_of, normalization_of
from ..layers.samples import prefetch_more, what_comes_next
from ..layers.single import single_gradient
from ..layers.sparse import sparse_gradient
from ..layers.zeros import end_of_group, find_zeros_of_features, is_left_out, masks_of_features
from ..vocabulary.simd import NEIGHBORS, PANEL, TILE_ROWS, WORD_BITS, at, call, quotient, real

STRETCH = 96  # rows of a panel


def gradient_of_part(plan, l, column, panels, first, last, rows, adding, target):
    """Rows `first` ... `last - 1` of the panel that begins at a column of layer l, from all `rows` of the batch.

    And, where there are masks, of the next if `panels` is 2, behind them in the target.
    """
    product_of_part(plan, l, column, panels, first, last, rows, adding, target)
    if first == 0 and is_normalized(plan, l):  # what the sums start from stays zero
        w = panel_width(column, layer_of(plan, l).width)
        for p in range(panels):
            clear(at(target, p * (last - first) * w), w)


def product_of_part(plan, l, column, panels, first, last, rows, adding, target):
    layer = layer_of(plan, l)
    a, a_stride = inputs_of(plan, l)
    delta, stride = at(layer.delta, column), layer.stride
    w, constants = panel_width(column, layer.width), plan.constants
    if l == 0 and plan.has_columns:
        sparse_gradient(plan, column, first, last, rows, adding, target)
    elif layer.single_output:
        single_gradient(rows, a, a_stride, layer.fan_in, delta, stride, first, last, constants, adding, target)
    elif rows == 1 and not adding:
        panel_gradient_of_row(a, delta, w, first, last, target)
    else:
        start, start_row = (target, w) if adding else (constants, 0)
        tiles_of_part(plan, l, column, panels, first, last, rows, start, start_row, real(1), target, (last - first) * w)


def step_of_part(plan, l, column, panels, first, last, rows):
    """The step of gradient descent, made where the gradient is computed."""
    layer = layer_of(plan, l)
    w, rate = panel_width(column, layer.width), real(plan.settings[0])
    weights = at(plan.packed, layer.packed_offset + column * layer.height + first * w)
    if rows == 1:
        descend_by_row(inputs_of(plan, l)[0], at(layer.delta, column), w, first, last, rate, weights)
    else:
        tiles_of_part(plan, l, column, panels, first, last, rows, weights, w, -rate, weights, layer.height * w)


def tiles_of_part(plan, l, column, panels, first, last, rows, start, start_row, scale, target, panel):
    """target = start + scale * gradient, both of them from row `first` on; the next panel is `panel` numbers away."""
    layer = layer_of(plan, l)
    a, a_stride = inputs_of(plan, l)
    delta, stride, w = at(layer.delta, column), layer.stride, panel_width(column, layer.width)
    constants, masks = plan.constants, masks_of_features(plan) if l == 0 and rows > 1 else 0
    if masks == 0:
        panel_gradient(rows, a, a_stride, delta, stride, w, first, last, constants, start, start_row, scale, target)
    else:
        masked_gradient(
            rows, masks, a, a_stride, delta, stride, panels, w, first, last, constants, start, start_row, scale, target,
            panel,
        )  # fmt: skip


def inputs_of(plan, l):
    """What a layer is given, and from one sample to the next."""
    if l == 0:
        return plan.inputs, plan.inputs_stride
    below = layer_of(plan, l - 1)
    return below.activations, below.stride


def gradient_of_layers(plan, rows, adding):
    """The gradient as a whole, added to what is there or in its place."""
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        height = layer.height
        for column in range(0, layer.width, PANEL):
            target = at(plan.gradient, layer.packed_offset + column * height)
            gradient_of_part(plan, l, column, 1, 0, height, rows, adding, target)
        if is_normalized(plan, l):
            biases = at(plan.gradient, normalization_of(plan, l).tail)
            tail_gradient(plan, l, 0, layer.width, rows, adding, biases, at(biases, layer.width))


def descend(plan, l, rows):
    """The optimizer's step for this rank's share of layer l, panel by panel."""
    layer = layer_of(plan, l)
    width, height = layer.width, layer.height
    part = plan.part
    if l == 0 and plan.has_masks and rows > 1:
        find_zeros_of_features(plan, rows)
    at_once = steps_at_once(plan, l, rows)
    sample, until, lines, due = what_comes_next(plan, l, rows)
    line = 0
    column = 0
    while column < width:
        first, last = share_of_weights(plan, l, column, rows)
        panels = panels_at_once(plan, l, column, rows)
        w, start = panel_width(column, width), layer.packed_offset + column * height
        while first < last:
            begin, end = next_stretch(plan, l, first, last, rows, at_once)
            if begin < end and at_once:
                step_of_part(plan, l, column, panels, begin, end, rows)
            elif begin < end:
                gradient_of_part(plan, l, column, panels, begin, end, rows, False, part)
                count = (end - begin) * w
                for p in range(panels):
                    update(plan, start + (p * height + begin) * w, at(part, p * count), count)
            if sample < until:
                sample, line = prefetch_more(plan, sample, line, lines, until, (end - first) * panels * due)
            first = end
        column += panels * PANEL
    if is_normalized(plan, l) and takes_layer(plan, l):
        for column in range(0, width, PANEL):
            w, biases = panel_width(column, width), normalization_of(plan, l).tail + column
            tail_gradient(plan, l, column, w, rows, False, part, at(part, w))
            update(plan, biases, part, w)
            update(plan, biases + width, at(part, w), w)


def steps_at_once(plan, l, rows):
    """Whether nothing is done with the gradient but gradient descent, where it is computed in registers.

    With masks, the sums of a large batch are made in parts, for which weights have no room: see `masked.py`.
    """
    dense = not layer_of(plan, l).single_output and (l > 0 or not plan.has_columns)
    in_parts = l == 0 and rows > WORDS_AT_ONCE * WORD_BITS and masks_of_features(plan) != 0
    return plan.is_plain_sgd and dense and not in_parts and not is_normalized(plan, l)


def panels_at_once(plan, l, column, rows):
    """2 for panels of which this rank has the same rows, and whose gradient is computed with masks: else 1.

    Stretches of both fit into one panel's place.
    """
    layer = layer_of(plan, l)
    if l > 0 or rows == 1 or masks_of_features(plan) == 0 or layer.height < 2 * (STRETCH + TILE_ROWS + NEIGHBORS):
        return 1
    return panels_of_share(plan, column, layer.width, layer.height)


def next_stretch(plan, l, first, last, rows, at_once):
    """Where, of rows `first` ... `last - 1` of a panel, those begin and end that take the next step together.

    Rows before them rest. Few at a time have a gradient that stays in the L1 cache until their step, but sparse samples
    would be gone through for each stretch anew. Without masks, no stretch is shorter than a tile: see `tile`.
    """
    if rows == 1 or (l == 0 and plan.has_columns):
        return first, last
    limit = 1 + quotient(max(first - 1, 0) + STRETCH, NEIGHBORS) * NEIGHBORS
    if last - limit < TILE_ROWS:
        limit = last
    if l > 0 or not plan.skips_zero_gradient or at_once or masks_of_features(plan) == 0:
        return first, limit
    begin = first
    while begin < limit and is_left_out(plan, begin, rows):
        begin = end_of_group(begin)
    end = begin
    while end < limit and not is_left_out(plan, end, rows):
        end = end_of_group(end)
    return min(begin, limit), min(end, limit)


def takes_layer(plan, l):
    """Whether this rank has what is not shared of a layer."""
    return l - quotient(l, plan.ranks) * plan.ranks == plan.rank


def update(plan, first, gradient, count):
    """The optimizer's step for parameters first ... first + count - 1 of the packed vector."""
    call(
        plan.optimizer, at(plan.packed, first), gradient, at(plan.state, first),
        plan.packed_size, count, plan.settings,
    )  # fmt: skip


def prepare_update(plan, number):
    """What is computed once for an update; the first is number 1."""
    if plan.has_rates:
        set_rates(plan, plan.rates[number - plan.rates_first])
    if plan.has_prepare:
        call(plan.prepare, plan.settings, number)
        if plan.settings_stride != 0:
            for l in range(1, plan.layers):
                call(plan.prepare, at(plan.settings, l * plan.settings_stride), number)


def set_rates(plan, rate):
    """The learning rate of this update."""
    settings = plan.settings
    settings[0] = rate
    if plan.settings_stride != 0:
        for l in range(plan.layers):
            settings[l * plan.settings_stride] = rate * plan.rate_factors[l]
