"""Samples that count more or less than others: losses and gradients are sums of w_i l_i, divided by the sum of w_i."""

from ..vocabulary.simd import LANES, at, load, real, spread, stay_apart, store
from .plan import layer_of


def weigh(plan, sample, first, rows, samples):
    """Multiply the losses of rows, from `first` on, by the weights of samples, from `sample` on, and likewise deltas.

    These are already divided by the number of `samples` that the loss is a mean over, the batch or all of them: what is
    left is to divide by the mean of their weights, which is 1 for all. A weight of zero removes a sample, whatever its
    loss, and a batch without any weight has no gradient.
    """
    stay_apart()
    mean = 1.0
    if samples < plan.samples:
        mean = mean_weight(plan, sample - first, samples)
    last = layer_of(plan, plan.layers - 1)
    for i in range(rows):
        weight = weight_of(plan, sample + i)
        losses, delta = at(plan.row_losses, first + i), at(last.delta, (first + i) * last.stride)
        if weight > 0.0 and mean > 0.0:
            losses[0] = weight * losses[0]
            factor = real(weight / mean)
            for j in range(0, last.width, LANES):
                store(delta, j, factor * load(delta, j))
        else:
            losses[0] = 0.0
            for j in range(0, last.width, LANES):
                store(delta, j, spread(real(0)))


def mean_weight(plan, sample, rows):
    """Of a batch; summed by every rank in the same order, so that the bits do not depend on how many there are."""
    total = 0.0
    for i in range(rows):
        total = total + weight_of(plan, sample + i)
    return total / rows


def weight_of(plan, sample):
    if plan.has_order:
        sample = plan.order[sample]
    return plan.sample_weights[sample]
