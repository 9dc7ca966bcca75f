"""Steps with more to them than a gradient and the optimizer's formula; what a plan does not ask for is passed over.

The gradient g of a batch's loss becomes g + l2 w + l1 sign(w) for weights w: that of the loss plus the sum of l1 |w| +
l2 w^2 / 2. It is cut to the interval of `clip_value`; then, if the norm of the whole is above `clip_norm`, divided down
to it. Weights decay by rate * `weight_decay`, and the optimizer makes its step. Then every neuron whose weights have a
norm above `max_norm` has them multiplied down to it, and the running average follows. Biases, and gains of normalized
layers, are neither penalized nor decayed nor limited. Layers with a factor of 0 are left as they are.

`alpha` is an l2 of the sum of a batch's losses, as scikit-learn has it: of their mean, it is `alpha` divided by what
the batch weighs. This penalty alone is told in the losses of epochs, in the mean over the samples.

For the norm, the gradient is made as a whole, and the squares are summed row by row of panels, whoever makes them: the
bits do not depend on the number of ranks.
"""

from ..functions.optimizer_formulas import sign
from ..layers.layout import panel_width
from ..layers.normalized import tail_gradient
from ..layers.plan import is_frozen, is_normalized, layer_of, normalization_of, tail_rows
from ..layers.ranks import meet, share_of_panel
from ..layers.weighting import mean_weight
from ..layers.zeros import find_zeros_of_features
from ..vocabulary.simd import (
    LANES,
    PANEL,
    accumulate,
    at,
    call,
    double,
    load,
    quotient,
    real,
    select,
    spread,
    sqrt,
    stay_apart,
    store,
    sum_lanes,
)
from .descent import gradient_of_part, takes_layer


def regularized_update(plan, epoch, sample, rows):
    """The optimizer's step for all parameters, from the batch's delta; whether all ranks came to their meetings.

    The batch begins with this sample.
    """
    stay_apart()
    scale, l2 = 1.0, l2_of_batch(plan, sample, rows)
    if plan.has_masks and rows > 1 and plan.lowest_trained == 0:  # else there are no deltas to look at
        find_zeros_of_features(plan, rows)
    if plan.has_squares:
        for l in range(plan.layers):
            update_layer(plan, l, rows, True, l2, scale)
        if not meet(plan):
            return False
        scale = scale_of_gradient(plan, epoch)
    for l in range(plan.layers):
        update_layer(plan, l, rows, False, l2, scale)
    if plan.regularization.max_norm != 0.0:
        if not meet(plan):
            return False
        limit_layers(plan)
    return True


def l2_of_batch(plan, sample, rows):
    """What weights are multiplied by in the gradient; a batch without any weight has no share of `alpha`."""
    wishes, weight = plan.regularization, double(rows)
    if wishes.alpha != 0.0 and plan.has_sample_weights and rows < plan.samples:
        weight = rows * mean_weight(plan, sample, rows)
    if wishes.alpha == 0.0 or weight == 0.0:
        return wishes.l2
    return wishes.l2 + wishes.alpha / weight


def add_penalty(plan, epoch):
    """Tell `alpha`'s share of a step in the loss of the epoch: to be done while nobody writes to the weights."""
    stay_apart()
    total = 0.0
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        for column in range(0, layer.width, PANEL):
            w = panel_width(column, layer.width)
            weights = at(plan.packed, layer.packed_offset + column * layer.height)
            squares = spread(real(0))
            for i in range(w, layer.height * w, LANES):
                v = load(weights, i)
                squares = squares + v * v
            total = total + double(sum_lanes(squares))
    losses = plan.losses
    losses[epoch] = losses[epoch] + 0.5 * plan.regularization.alpha * total / plan.samples


def update_layer(plan, l, rows, measuring, l2, scale):
    """This rank's share of a layer: its gradient and the squares of it, to measure; or the step."""
    layer = layer_of(plan, l)
    width, height = layer.width, layer.height
    for column in range(0, width, PANEL):
        first, last = share_of_panel(plan, column, width, height)
        if first < last:
            w = panel_width(column, width)
            start, biases = layer.packed_offset + column * height + first * w, w if first == 0 else 0
            part = plan.part if not plan.has_squares else at(plan.gradient, start)
            if not is_frozen(plan, l):
                if measuring or not plan.has_squares:
                    gradient_of_part(plan, l, column, 1, first, last, rows, False, part)
                    penalize(plan, start, part, biases, (last - first) * w, l2)
                if measuring:
                    squares = at(plan.squares, quotient(start, LANES))
                    square_rows(part, last - first, w, squares)
                else:
                    update_part(plan, l, start, part, biases, (last - first) * w, scale)
            if not measuring and plan.regularization.max_norm == 0.0:
                average(plan, start, (last - first) * w)
    if is_normalized(plan, l) and takes_layer(plan, l):
        update_tail(plan, l, rows, measuring, scale)


def update_tail(plan, l, rows, measuring, scale):
    """The same for a normalized layer's biases and gains; the running average follows its running statistics too."""
    width, start = layer_of(plan, l).width, normalization_of(plan, l).tail
    for column in range(0, width, PANEL):
        w = panel_width(column, width)
        biases, gains = plan.part, at(plan.part, w)
        if plan.has_squares:
            biases = at(plan.gradient, start + column)
            gains = at(biases, width)
        if not is_frozen(plan, l) and (measuring or not plan.has_squares):
            tail_gradient(plan, l, column, w, rows, False, biases, gains)
        for row in range(2):
            place, part = start + row * width + column, gains if row == 1 else biases
            if not is_frozen(plan, l):
                if measuring or not plan.has_squares:
                    penalize(plan, place, part, w, w, 0.0)
                if measuring:
                    square_rows(part, 1, w, at(plan.squares, quotient(place, LANES)))
                else:
                    update_part(plan, l, place, part, w, w, scale)
    if not measuring:
        average(plan, start, tail_rows(plan, l) * width)


def penalize(plan, start, gradient, biases, count, l2):
    """Add the penalties' gradient for what follows the first `biases` parameters, and clip all."""
    wishes, weights = plan.regularization, at(plan.packed, start)
    l1, shrink, limit = real(wishes.l1), real(l2), real(wishes.clip_value)
    if l2 != 0.0:
        for i in range(biases, count, LANES):
            store(gradient, i, load(gradient, i) + shrink * load(weights, i))
    if wishes.l1 != 0.0:
        for i in range(biases, count, LANES):
            store(gradient, i, load(gradient, i) + l1 * sign(load(weights, i)))
    if wishes.clip_value != 0.0:
        for i in range(0, count, LANES):
            g = load(gradient, i)
            store(gradient, i, select(g > limit, limit, select(g < -limit, -limit, g)))


def square_rows(gradient, rows, w, squares):
    """The sum of squares of every row of a panel, in the place of the row's first vector."""
    for i in range(rows):
        total = spread(real(0))
        for j in range(i * w, (i + 1) * w, LANES):
            g = load(gradient, j)
            total = total + g * g
        squares[quotient(i * w, LANES)] = double(sum_lanes(total))


def scale_of_gradient(plan, epoch):
    """What the gradient is to be multiplied by, 1 or less; NaN if its norm is not finite, so that it is noticed."""
    squares, total = plan.squares, 0.0
    for i in range(quotient(plan.packed_size, LANES)):
        total = accumulate(total, squares[i])
    norm, limit = sqrt(double(total)), plan.regularization.clip_norm
    if plan.rank == 0 and plan.has_norms:
        norms = plan.norms
        norms[epoch] = norms[epoch] + norm / plan.steps
    if limit == 0.0 or norm <= limit:
        return 1.0
    return limit / norm + (norm - norm)


def update_part(plan, l, start, gradient, biases, count, scale):
    parameters, settings = at(plan.packed, start), at(plan.settings, l * plan.settings_stride)
    decay = plan.regularization.weight_decay
    if scale != 1.0:
        multiply(gradient, count, real(scale))
    if decay != 0.0:
        multiply(at(parameters, biases), count - biases, real(1.0 - settings[0] * decay))
    call(plan.optimizer, parameters, gradient, at(plan.state, start), plan.packed_size, count, settings)


def multiply(numbers, count, factor):
    for i in range(0, count, LANES):
        store(numbers, i, load(numbers, i) * factor)


def limit_layers(plan):
    """`max_norm` for this rank's panels, whole ones, in turn."""
    panel = 0
    for l in range(plan.layers):
        layer = layer_of(plan, l)
        height = layer.height
        for column in range(0, layer.width, PANEL):
            if panel - quotient(panel, plan.ranks) * plan.ranks == plan.rank:
                w, start = panel_width(column, layer.width), layer.packed_offset + column * height
                if not is_frozen(plan, l):
                    limit = real(plan.regularization.max_norm)
                    limit_panel(at(plan.packed, start + w), height - 1, w, layer.single_output, limit)
                average(plan, start, height * w)
            panel += 1


def limit_panel(weights, rows, w, single, limit):
    """Multiply the columns, or all of a single output, down to this norm; to NaN if it is not finite, to be noticed."""
    for j in range(0, w, LANES):
        squares = spread(real(0))
        for i in range(rows):
            v = load(weights, i * w + j)
            squares = squares + v * v
        if single:
            squares = spread(sum_lanes(squares))
        norm = sqrt(squares)
        factor = select(norm <= limit, real(1), limit / norm + (norm - norm))
        for i in range(rows):
            store(weights, i * w + j, load(weights, i * w + j) * factor)


def average(plan, start, count):
    """The running average goes the rest of `average_decay` towards the parameters."""
    decay = plan.regularization.average_decay
    if decay != 0.0:
        rest, averages = real(1.0 - decay), at(plan.average, start)
        parameters = at(plan.packed, start)
        for i in range(0, count, LANES):
            a = load(averages, i)
            store(averages, i, a + rest * (load(parameters, i) - a))
