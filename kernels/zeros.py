"""What is zero in a batch is left out of the first layer's products, to which it would add nothing.

Images have such margins, and categories written as ones and zeros most of all: of the pixels of MNIST, 53% are zero in
all of 8 images. The rows that a tile multiplies, GROUP of them, share a list of the columns in which any is not zero:

    weighted_sums     rows are samples, columns features
    panel_gradient    rows are features, columns samples

At LISTS are two words, 1 if there are lists of the former and of the latter kind, then these, one for each group: how
many, then which. After them comes, for each 32 columns and each sample, a word whose bits say which are not zero.

0 * w is zero for finite w only, and 0 * delta for finite deltas. Before weights overflow, unless it is by samples or
rates as large, deltas are large: from then on, nothing is left out until the end of the training.
"""

from .layout import (
    BATCH_SIZE,
    DELTA,
    FAN_IN,
    FIRST_LAYER_SHARED,
    INPUTS,
    INPUTS_STRIDE,
    LISTS,
    RANKS,
    STRIDE,
    WIDTH,
    layer_record,
)
from .simd import (
    GROUP,
    LANES,
    Constant,
    absolute,
    at,
    integers,
    lane_bits,
    load,
    quotient,
    real,
    reals,
    select,
    spread,
    stay_apart,
    sum_lanes,
)

BITS = 32  # columns that share a word
LARGE_DELTA = Constant(float32=1e10, float64=1e100)


def room_for_lists(features: int, samples: int, group: int) -> int:
    """How many words there are at LISTS: two, lists of both kinds, and bits."""
    of_samples, of_features, words = -(-samples // group), -(-features // group), -(-features // BITS)
    return 2 + of_samples * (1 + features) + of_features * (1 + samples) + words * samples


def find_lists(plan, first, rows):
    """Lists of features, for groups of samples of the batch, from `first` on, unless samples are dense."""
    stay_apart()
    columns, lists = layer_record(plan, 0)[FAN_IN], integers(plan[LISTS])
    lists[0] = 0
    dense = 8 * list_features(plan, first, 0, 1, rows) > 7 * columns  # one row may tell
    for begin in range(0, rows, GROUP):
        if not dense:
            count = list_features(plan, first, begin, min(begin + GROUP, rows), rows)
            dense = begin == 0 and 8 * count > 7 * columns
    lists[0] = 0 if dense else 1


def list_features(plan, first, begin, end, rows):
    """The list of features in which any of a group is not zero: samples begin ... end - 1 of `rows` from `first` on."""
    columns, stride = layer_record(plan, 0)[FAN_IN], plan[INPUTS_STRIDE]
    x, bits = at(reals(plan[INPUTS]), first * stride), place_of_bits(plan)
    target, count = at(integers(plan[LISTS]), 2 + quotient(begin, GROUP) * (1 + columns)), 0
    for j in range(0, columns, BITS):
        of_group = 0
        for i in range(begin, end):
            of_sample = bits_of_sample(at(x, i * stride + j), min(BITS, columns - j))
            bits[i] = of_sample
            of_group |= of_sample
        bits = at(bits, rows)
        if of_group != 0:
            for k in range(min(BITS, columns - j)):
                target[1 + count] = j + k
                count += (of_group >> k) & 1
    target[0] = count
    return count


def bits_of_sample(x, columns):
    """Bit k is 1 where x[k] is not zero, for at most BITS columns."""
    bits = 0
    for k in range(0, columns, LANES):
        bits |= lane_bits(absolute(load(x, k)) <= real(0)) << k
    return ~bits & ((1 << columns) - 1)


def find_lists_of_gradient(plan, rows):
    """Lists of samples, for groups of features, from all samples of the batch."""
    stay_apart()
    layer, lists = layer_record(plan, 0), integers(plan[LISTS])
    if plan[RANKS] > 1 and plan[FIRST_LAYER_SHARED] == 0:  # this rank has seen its share of samples only
        find_lists(plan, 0, rows)
    lists[1] = lists[0]
    if not all_small(reals(layer[DELTA]), rows, layer[WIDTH], layer[STRIDE]):
        plan[LISTS] = 0
    elif lists[1] != 0:
        for begin in range(0, layer[FAN_IN], GROUP):
            list_samples(plan, begin, rows)


def all_small(delta, rows, columns, stride):
    """Whether no number is so large that one like it could make weights overflow; NaN is."""
    least = spread(real(1))
    for i in range(rows):
        for j in range(0, columns, LANES):
            least = select(absolute(load(delta, i * stride + j)) <= LARGE_DELTA, least, real(0))
    return sum_lanes(least) == real(LANES)


def list_samples(plan, begin, rows):
    """The list of samples in which any feature of the group that begins here is not zero."""
    bits, shift = at(place_of_bits(plan), quotient(begin, BITS) * rows), begin & (BITS - 1)
    target, count = list_of_group(plan, begin, rows), 0
    for i in range(rows):
        target[1 + count] = i
        count += 1 if ((bits[i] >> shift) & ((1 << GROUP) - 1)) != 0 else 0
    target[0] = count


def lists_of_samples(plan):
    """The address of lists of features, for groups of samples; 0: all are taken."""
    return plan[LISTS] + 16 if plan[LISTS] != 0 and integers(plan[LISTS])[0] != 0 else 0


def lists_of_features(plan):
    """The address of lists of samples, for groups of features; 0: all are taken."""
    return plan[LISTS] + 8 * place_of_gradient(plan) if plan[LISTS] != 0 and integers(plan[LISTS])[1] != 0 else 0


def list_of_group(plan, feature, rows):
    """The list of samples for the group to which a feature belongs."""
    return at(integers(plan[LISTS]), place_of_gradient(plan) + quotient(feature, GROUP) * (1 + rows))


def is_left_out(plan, row, rows):
    """Whether the gradient is zero in this row of panels, and in all of its group: row 0 is the biases'."""
    return row > 0 and list_of_group(plan, row - 1, rows)[0] == 0


def end_of_group(row):
    """The row of panels after this one's group."""
    return 1 + quotient(row - 1 + GROUP, GROUP) * GROUP


def place_of_gradient(plan):
    return 2 + groups(plan[BATCH_SIZE]) * (1 + layer_record(plan, 0)[FAN_IN])


def place_of_bits(plan):
    features, samples = layer_record(plan, 0)[FAN_IN], plan[BATCH_SIZE]
    return at(integers(plan[LISTS]), place_of_gradient(plan) + groups(features) * (1 + samples))


def groups(rows):
    return quotient(rows + GROUP - 1, GROUP)
