"""Training that is disturbed at random, so that a network learns to rely on no single number.

Samples get Gaussian noise. Of the inputs and of each layer's activations, the share `drops` / 2^32 is dropped: made
zero, and the rest is multiplied by what keeps the mean (N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R.
Salakhutdinov, "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014).

Random words are a function of the key, the epoch, the place in the network, the sample's position in the epoch and the
column. Who computes, in batches of which size, with how many threads and in how wide vectors makes no difference. The
four words of a counter are for four samples in a row.
"""

from ..functions.elementary import cosine_and_sine, log
from ..functions.random import WORD, philox
from ..vocabulary.simd import (
    LANES,
    at,
    lanes_below,
    load,
    numbers_from,
    real,
    select,
    spread,
    sqrt,
    stay_apart,
    store,
    to_reals,
)
from .plan import dropout_of, layer_of

(PLACE_OF_NOISE, PLACE_OF_INPUTS, PLACE_OF_LAYERS) = range(3)  # layers have a place each


def disturb_samples(plan, first, rows):
    """Noise and dropout for rows of the batch."""
    stay_apart()
    columns, stride = layer_of(plan, 0).fan_in, plan.inputs_stride
    x = at(plan.inputs, first * stride)
    if plan.has_noise:
        add_noise(plan, plan.position + first, rows, columns, real(plan.noise[0]), x, stride)
    if plan.input_drops != 0:
        mask = at(plan.input_mask, first * stride)
        draw_mask(plan, PLACE_OF_INPUTS, plan.position + first, rows, columns, plan.input_drops, mask, stride)
        multiply_rows(rows * stride, mask, x)


def drop_activations(plan, l, first, rows):
    stay_apart()
    layer, dropout = layer_of(plan, l), dropout_of(plan, l)
    if dropout.drops != 0:
        stride = layer.stride
        a, mask = at(layer.activations, first * stride), at(dropout.mask, first * stride)
        if dropout.has_undropped:
            keep_rows(rows * stride, a, at(dropout.undropped, first * stride))
        position = plan.position + first
        draw_mask(plan, PLACE_OF_LAYERS + l, position, rows, layer.fan_out, dropout.drops, mask, stride)
        multiply_rows(rows * stride, mask, a)


def drop_delta(plan, l, first, rows):
    """dLoss/da of all activations from that of those that went on."""
    layer, dropout = layer_of(plan, l), dropout_of(plan, l)
    if dropout.drops != 0:
        stride = layer.stride
        delta = at(layer.delta, first * stride)
        multiply_rows(rows * stride, at(dropout.mask, first * stride), delta)


def keep_rows(count, source, target):
    for i in range(0, count, LANES):
        store(target, i, load(source, i))


def multiply_rows(count, mask, values):
    """A product, not a choice: what is not finite must be noticed, dropped or not."""
    for i in range(0, count, LANES):
        store(values, i, load(values, i) * load(mask, i))


def draw_mask(plan, place, position, rows, columns, drops, mask, stride):
    """Zero with probability drops / 2^32, else what keeps the mean, for `rows` samples from a position on."""
    kept = spread(real(1.0 / (1.0 - drops * 2.0**-32)))
    group = position >> 2
    while 4 * group < position + rows:
        i = 4 * group - position
        for j in range(0, columns, LANES):
            w0, w1, w2, w3 = words_of_group(plan, place, group, j)
            put(mask, i, rows, stride, j, select(w0 >= drops, kept, real(0)))
            put(mask, i + 1, rows, stride, j, select(w1 >= drops, kept, real(0)))
            put(mask, i + 2, rows, stride, j, select(w2 >= drops, kept, real(0)))
            put(mask, i + 3, rows, stride, j, select(w3 >= drops, kept, real(0)))
        group += 1


def put(target, i, rows, stride, j, value):
    if 0 <= i < rows:
        store(target, i * stride + j, value)


def add_noise(plan, position, rows, columns, deviation, x, stride):
    """Normal numbers with this standard deviation, added to `rows` samples from a position on."""
    group = position >> 2
    while 4 * group < position + rows:
        i = 4 * group - position
        for j in range(0, columns, LANES):
            w0, w1, w2, w3 = words_of_group(plan, PLACE_OF_NOISE, group, j)
            n0, n1 = normal_pair(w0, w1)
            n2, n3 = normal_pair(w2, w3)
            add_to(x, i, rows, stride, j, columns, deviation * n0)
            add_to(x, i + 1, rows, stride, j, columns, deviation * n1)
            add_to(x, i + 2, rows, stride, j, columns, deviation * n2)
            add_to(x, i + 3, rows, stride, j, columns, deviation * n3)
        group += 1


def add_to(x, i, rows, stride, j, columns, value):
    if 0 <= i < rows:
        before = load(x, i * stride + j)
        store(x, i * stride + j, select(lanes_below(columns - j), before + value, before))


def words_of_group(plan, place, group, column):
    """A word for each of the four samples of a group, in the LANES columns from here on."""
    epoch = plan.epoch
    last = (((epoch >> 32) << 16) + place) & WORD
    return philox(
        plan.disturbance_key, numbers_from(column) & WORD, spread(group & WORD), spread(epoch & WORD), spread(last)
    )  # fmt: skip


def normal_pair(u, v):
    """Two independent normal numbers from two words of 32 bits: at most 6.8 in size.

    G. Box, M. Muller, "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29, 1958.
    """
    radius = sqrt(real(-2) * log(to_reals(u) * real(2.0**-32) + real(2.0**-33)))
    cosine, sine = cosine_and_sine(to_reals(v) * real(2.0**-32) - real(0.5))
    return radius * cosine, radius * sine
