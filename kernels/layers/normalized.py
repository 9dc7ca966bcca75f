"""Normalized layers: between weighted sums z and activation, y = gain x + bias, where x = (z - mean) / deviation.

The deviation is sqrt(variance + epsilon). BY_SAMPLE, mean and variance are those of a sample's neurons. BY_BATCH they
are those of a neuron in the batch, where a sample has a share p, 1 / samples if none is weighted. Running averages
follow the mean and the unbiased variance, and are in their place where a layer is frozen (Ioffe and Szegedy 2015,
algorithm 2). With g = gain dLoss/dy, dLoss/dz is

    by sample   (g - mean(g) - x mean(g x)) / deviation
    by batch    (g - p sum(g) - p x sum(g x)) / deviation

and sums of dLoss/dy and of x dLoss/dy are the gradients of bias and gain. Ranks have rows of the batch; to know all of
them they meet in each such layer, forward and backward, and then each sums over all rows what it has to know, in the
same order: the bits do not depend on how many there are.
"""

from ..functions.normalization import BY_BATCH, BY_SAMPLE
from ..vocabulary.simd import (
    LANES,
    at,
    lanes_below,
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
from .plan import is_frozen, is_normalized, layer_of, normalization_of
from .ranks import meet
from .weighting import weight_of

MOST_CORRECTION = 10**6  # beyond it, one sample has nearly all weight, and what the others add is lost in rounding


def place_of_sums(plan, l, first):
    """Where the weighted sums of a layer go."""
    layer = layer_of(plan, l)
    if is_normalized(plan, l):
        return at(normalization_of(plan, l).sums, first * layer.stride)
    return at(layer.weighted_sums, first * layer.stride)


def normalize(plan, l, first, rows):
    """Rows of a layer, from `sums` to `weighted_sums`."""
    stay_apart()
    if normalization_of(plan, l).kind == BY_SAMPLE:
        normalize_samples(plan, l, first, rows)
    else:
        meet_forward(plan, l)
        normalize_by_batch(plan, l, first, rows)


def denormalize(plan, l, first, rows):
    """`delta` of rows: dLoss/dz from dLoss/dy, which goes to `normalization.delta`."""
    stay_apart()
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    start = first * layer.stride
    delta, kept = at(layer.delta, start), at(record.delta, start)
    for i in range(0, rows * layer.stride, LANES):
        store(kept, i, load(delta, i))
    if record.kind == BY_SAMPLE:
        denormalize_samples(plan, l, first, rows)
    else:
        meet_backward(plan, l)
        denormalize_by_batch(plan, l, first, rows)


def tail_gradient(plan, l, column, width, rows, adding, biases, gains):
    """The gradient of biases and gains from a column on, from all rows of the batch."""
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    stride = layer.stride
    for j in range(column, column + width, LANES):
        if record.kind == BY_BATCH:
            sums = at(plan.batch_statistics, record.statistics_address + 2 * layer.width + j)
            bias, gain = load(sums, 0), load(sums, layer.width)
        else:
            z, statistics = at(record.sums, j), record.statistics
            delta = at(record.delta, j)
            bias = gain = spread(real(0))
            for i in range(rows):
                d = load(delta, i * stride)
                bias = bias + d
                gain = gain + d * ((load(z, i * stride) - statistics[2 * i]) * statistics[2 * i + 1])
        if adding:
            bias, gain = bias + load(biases, j - column), gain + load(gains, j - column)
        store(biases, j - column, bias)
        store(gains, j - column, gain)


# --- by sample


def normalize_samples(plan, l, first, rows):
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride, outputs = layer.width, layer.stride, layer.fan_out
    biases = at(plan.packed, record.tail)
    gains, epsilon = at(biases, width), real(record.settings[0])
    part = real(1.0 / outputs)
    for i in range(first, first + rows):
        z, y = at(record.sums, i * stride), at(layer.weighted_sums, i * stride)
        total = spread(real(0))
        for j in range(0, width, LANES):  # sums beyond the outputs are zero
            total = total + load(z, j)
        mean = sum_lanes(total) * part
        total = spread(real(0))
        for j in range(0, width, LANES):
            d = select(lanes_below(outputs - j), load(z, j) - mean, real(0))
            total = total + d * d
        scale = real(1) / sqrt(sum_lanes(total) * part + epsilon)
        statistics = at(record.statistics, 2 * i)
        statistics[0], statistics[1] = mean, scale
        for j in range(0, width, LANES):
            store(y, j, load(gains, j) * ((load(z, j) - mean) * scale) + load(biases, j))


def denormalize_samples(plan, l, first, rows):
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride, outputs = layer.width, layer.stride, layer.fan_out
    gains = at(plan.packed, record.tail + width)
    part = real(1.0 / outputs)
    for i in range(first, first + rows):
        z, delta = at(record.sums, i * stride), at(layer.delta, i * stride)
        statistics = at(record.statistics, 2 * i)
        mean, scale = statistics[0], statistics[1]
        total = product = spread(real(0))
        for j in range(0, width, LANES):  # gains beyond the outputs are zero
            g = load(gains, j) * load(delta, j)
            total = total + g
            product = product + g * ((load(z, j) - mean) * scale)
        along, across = sum_lanes(product) * part, sum_lanes(total) * part
        for j in range(0, width, LANES):
            x = (load(z, j) - mean) * scale
            d = scale * (load(gains, j) * load(delta, j) - across - x * along)
            store(delta, j, select(lanes_below(outputs - j), d, real(0)))


# --- by batch


def share_batch(plan, rows):
    """Note the share of each of all rows of the batch; if none has weight, it is as if all had the same."""
    if plan.has_batch_statistics:
        stay_apart()
        shares, total = plan.batch_statistics, 0.0
        if plan.has_sample_weights:
            for i in range(rows):
                total = total + weight_of(plan, plan.position + i)
        for i in range(rows):
            if total > 0.0:
                shares[i] = real(weight_of(plan, plan.position + i) / total)
            else:
                shares[i] = real(1.0 / rows)


def rows_of_batch(plan):
    return min(plan.batch_size, plan.samples - plan.position)


def correction(plan):
    """What the batch's variance is multiplied by to be an unbiased estimate: 1 / (1 - sum p^2); 0 if there is none.

    That is n / (n - 1) for n samples that count alike. If one sample has all weight, or nearly, there is no variance.
    """
    rows = rows_of_batch(plan)
    if not plan.has_sample_weights:
        return rows / (rows - 1.0) if rows > 1 else 0.0
    total = pairs = 0.0
    for i in range(rows):
        weight = weight_of(plan, plan.position + i)
        pairs = pairs + weight * total  # sum of w_i w_j for i < j, where total^2 - sum w^2 would cancel
        total = total + weight
    return total * total / (2.0 * pairs) if total * total < MOST_CORRECTION * 2.0 * pairs else 0.0


def uses_batch(plan, l):
    """Whether a layer is normalized by statistics of the batch."""
    if not is_normalized(plan, l) or is_frozen(plan, l):
        return False
    return normalization_of(plan, l).kind == BY_BATCH


def attend(plan):
    """The meetings of a rank that has no rows."""
    stay_apart()
    for l in range(plan.layers):
        if uses_batch(plan, l):
            meet_forward(plan, l)
    l = plan.layers - 1
    while l >= plan.lowest_trained:
        if uses_batch(plan, l):
            meet_backward(plan, l)
        l -= 1


def meet_forward(plan, l):
    """Know means and 1 / deviations of a layer's columns. Rank 0 keeps the running ones."""
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride, settings = layer.width, layer.stride, record.settings
    means = at(plan.batch_statistics, record.statistics_address)
    running = at(plan.packed, record.tail + 2 * width)
    epsilon, momentum = real(settings[0]), real(settings[1])
    rows, shares = rows_of_batch(plan), plan.batch_statistics
    of_batch = uses_batch(plan, l)
    factor = 0.0
    if of_batch and plan.rank == 0:
        factor = correction(plan)
    if of_batch:
        meet(plan)  # whoever waits in vain is told so at the end of the step
    for j in range(0, width, LANES):
        mean, variance = load(running, j), load(running, width + j)
        if of_batch:
            z = at(record.sums, j)
            of_rows = mean_of_column(rows, shares, z, stride)
            squares = variance_of_column(rows, shares, z, stride, of_rows)
            if factor > 0.0:
                store(running, j, mean + momentum * (of_rows - mean))
                store(running, width + j, variance + momentum * (real(factor) * squares - variance))
            mean, variance = of_rows, squares
        store(means, j, mean)
        store(means, width + j, real(1) / sqrt(variance + epsilon))


def mean_of_column(rows, shares, z, stride):
    """Four sums, so that one addition need not wait for the one before."""
    a = b = c = d = spread(real(0))
    whole = quotient(rows, 4) * 4
    for i in range(0, whole, 4):
        a = a + shares[i] * load(z, i * stride)
        b = b + shares[i + 1] * load(z, (i + 1) * stride)
        c = c + shares[i + 2] * load(z, (i + 2) * stride)
        d = d + shares[i + 3] * load(z, (i + 3) * stride)
    for i in range(whole, rows):
        a = a + shares[i] * load(z, i * stride)
    return (a + b) + (c + d)


def variance_of_column(rows, shares, z, stride, mean):
    a = b = spread(real(0))
    whole = quotient(rows, 2) * 2
    for i in range(0, whole, 2):
        u, v = load(z, i * stride) - mean, load(z, (i + 1) * stride) - mean
        a = a + shares[i] * (u * u)
        b = b + shares[i + 1] * (v * v)
    if whole < rows:
        u = load(z, whole * stride) - mean
        a = a + shares[whole] * (u * u)
    return a + b


def normalize_by_batch(plan, l, first, rows):
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride = layer.width, layer.stride
    biases = at(plan.packed, record.tail)
    means = at(plan.batch_statistics, record.statistics_address)
    for i in range(first, first + rows):
        z, y = at(record.sums, i * stride), at(layer.weighted_sums, i * stride)
        for j in range(0, width, LANES):
            x = (load(z, j) - load(means, j)) * load(means, width + j)
            store(y, j, load(biases, width + j) * x + load(biases, j))


def meet_backward(plan, l):
    """Know the sums over the batch's rows of dLoss/dy and of x dLoss/dy, behind means and 1 / deviations."""
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride, rows = layer.width, layer.stride, rows_of_batch(plan)
    means = at(plan.batch_statistics, record.statistics_address)
    if uses_batch(plan, l):
        meet(plan)
    for j in range(0, width, LANES):
        total = product = other_total = other_product = spread(real(0))
        if uses_batch(plan, l):
            z, delta = at(record.sums, j), at(record.delta, j)
            mean, scale = load(means, j), load(means, width + j)
            whole = quotient(rows, 2) * 2
            for i in range(0, whole, 2):
                d, other = load(delta, i * stride), load(delta, (i + 1) * stride)
                total, other_total = total + d, other_total + other
                product = product + d * ((load(z, i * stride) - mean) * scale)
                other_product = other_product + other * ((load(z, (i + 1) * stride) - mean) * scale)
            if whole < rows:
                d = load(delta, whole * stride)
                total, product = total + d, product + d * ((load(z, whole * stride) - mean) * scale)
        store(means, 2 * width + j, total + other_total)
        store(means, 3 * width + j, product + other_product)


def denormalize_by_batch(plan, l, first, rows):
    record, layer = normalization_of(plan, l), layer_of(plan, l)
    width, stride, shares = layer.width, layer.stride, plan.batch_statistics
    gains = at(plan.packed, record.tail + width)
    means = at(plan.batch_statistics, record.statistics_address)
    for i in range(first, first + rows):
        z, delta = at(record.sums, i * stride), at(layer.delta, i * stride)
        for j in range(0, width, LANES):
            scale = load(means, width + j)
            x = (load(z, j) - load(means, j)) * scale
            share = shares[i] * (load(means, 2 * width + j) + x * load(means, 3 * width + j))
            store(delta, j, (load(gains, j) * scale) * (load(delta, j) - share))
