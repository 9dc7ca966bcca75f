"""What is zero in a batch is left out of the first layer's products, to which it would add nothing.

Images have such margins, and categories written as ones and zeros most of all: of the pixels of MNIST, 53% are zero in
all of 8 images, and 71% in both of 2. The rows that a tile multiplies, NEIGHBORS of them, are a group and share a mask,
whose bits say in which columns any of them is not zero.

    masked_sums        rows are samples, columns features
    masked_gradient    rows are features, columns samples

At `masks` are two words, 1 if there are masks of the former and of the latter kind, then these, each of as many words
of 64 bits as its columns take. After them come, for each 64 features and each sample, a word of those that are not
zero, and 64 words to transpose.

0 * w is zero for finite w only, and 0 * delta for finite deltas. Before weights overflow, unless it is by samples or
rates as large, or in a batch of one sample, deltas are large: from then on, nothing is left out until the end of the
training.
"""

from ..vocabulary.simd import (
    LANES,
    NEIGHBORS,
    PANEL,
    WORD_BITS,
    Constant,
    absolute,
    at,
    count_bits,
    lane_bits,
    load,
    quotient,
    real,
    select,
    spread,
    stay_apart,
    sum_lanes,
)
from .parts import neurons_of_rank, ranks_have_parts
from .plan import layer_of

LARGE_DELTA = Constant(float32=1e10, float64=1e100)


def room_for_masks(features: int, samples: int) -> int:
    """How many words there are at `masks`: two, masks of both kinds, those of each sample, and a square."""
    of_samples, of_features = -(-samples // NEIGHBORS), -(-features // NEIGHBORS)
    return 2 + (of_samples + samples) * -(-features // WORD_BITS) + of_features * -(-samples // WORD_BITS) + WORD_BITS


def find_zeros(plan, first, rows):
    """Masks of features, for groups of samples of the batch, from `first` on, unless samples are dense."""
    stay_apart()
    masks = plan.masks
    masks[0] = 0
    dense = plan.large_deltas[0] != 0
    dense = dense or is_dense(plan, mask_features(plan, first, 0, 1, rows))  # one row may tell
    for begin in range(0, rows, NEIGHBORS):
        if not dense:
            count = mask_features(plan, first, begin, min(begin + NEIGHBORS, rows), rows)
            dense = begin == 0 and is_dense(plan, count)
    masks[0] = 0 if dense else 1


def is_dense(plan, count):
    """Whether so many of the columns are too many: a whole tile does more with each number that it loads."""
    layer = layer_of(plan, 0)
    limit = 2 if layer.width >= 2 * PANEL else 1  # thirds of the columns
    return 3 * count > limit * layer.fan_in


def mask_features(plan, first, begin, end, rows):
    """The mask of a group of samples, begin ... end - 1 of `rows` from `first` on; how many bits it has."""
    columns, stride = layer_of(plan, 0).fan_in, plan.inputs_stride
    x, bits = at(plan.inputs, first * stride), place_of_bits(plan)
    mask, count = at(plan.masks, 2 + quotient(begin, NEIGHBORS) * words_of(columns)), 0
    for j in range(0, columns, WORD_BITS):
        of_group = 0
        for i in range(begin, end):
            of_sample = bits_of_sample(at(x, i * stride + j), min(WORD_BITS, columns - j))
            bits[i] = of_sample
            of_group |= of_sample
        bits = at(bits, rows)
        mask[quotient(j, WORD_BITS)] = of_group
        count += count_bits(of_group)
    return count


def bits_of_sample(x, columns):
    """Bit k is 1 where x[k] is not zero, for at most WORD_BITS columns."""
    zeros = 0
    for k in range(0, columns, LANES):
        zeros |= lane_bits(absolute(load(x, k)) <= real(0)) << k
    return ~zeros if columns == WORD_BITS else ~zeros & ~(-1 << columns)


def find_zeros_of_features(plan, rows):
    """Masks of samples, for groups of features, from all samples of the batch."""
    stay_apart()
    layer, masks = layer_of(plan, 0), plan.masks
    if plan.ranks > 1 and not plan.column_parallel:  # this rank has seen its share of samples only
        find_zeros(plan, 0, rows)
    masks[1] = masks[0]
    column, end = 0, layer.width
    if ranks_have_parts(plan, rows):  # those of others may not be there yet: before one reads their weights, it is told
        column, end = neurons_of_rank(plan)
    if not all_small(at(layer.delta, column), rows, end - column, layer.stride):
        plan.large_deltas[0] = 1
        masks[0] = masks[1] = 0
    elif masks[1] != 0:
        for begin in range(0, layer.fan_in, WORD_BITS):
            mask_samples(plan, begin, rows)


def all_small(delta, rows, columns, stride):
    """Whether no number is so large that one like it could make weights overflow; NaN is."""
    least = spread(real(1))
    for i in range(rows):
        for j in range(0, columns, LANES):
            least = select(absolute(load(delta, i * stride + j)) <= LARGE_DELTA, least, real(0))
    return sum_lanes(least) == real(LANES)


def mask_samples(plan, begin, rows):
    """The masks of the groups of features that begin here, as many as have bits in one word of a sample."""
    bits, square = at(place_of_bits(plan), quotient(begin, WORD_BITS) * rows), place_of_square(plan)
    words, masks = words_of(rows), mask_of_group(plan, begin, rows)
    for i in range(0, rows, WORD_BITS):
        for k in range(WORD_BITS):
            square[k] = any_of_neighbors(bits[i + k]) if k < rows - i else 0
        transpose_bits(square, min(WORD_BITS, rows - i))
        for k in range(0, min(WORD_BITS, layer_of(plan, 0).fan_in - begin), NEIGHBORS):
            masks[quotient(k, NEIGHBORS) * words + quotient(i, WORD_BITS)] = square[k]


def any_of_neighbors(bits):
    """The first bit of each group is 1 where any of its bits is."""
    some = bits
    for n in range(1, NEIGHBORS):
        some |= bits >> n
    return some


def transpose_bits(square, rows):
    """Bit i of word j becomes bit j of word i, where words from `rows` on are 0.

    Squares of 1, 2, 4, ... bits change places: H. S. Warren, "Hacker's Delight", 2nd ed., 2012, 7-3.
    """
    swap_bits(square, rows, 1, 0x5555555555555555)
    swap_bits(square, rows, 2, 0x3333333333333333)
    swap_bits(square, rows, 4, 0x0F0F0F0F0F0F0F0F)
    swap_bits(square, rows, 8, 0x00FF00FF00FF00FF)
    swap_bits(square, rows, 16, 0x0000FFFF0000FFFF)
    swap_bits(square, rows, 32, 0x00000000FFFFFFFF)


def swap_bits(square, rows, size, lower):
    """Swap the squares, of size * size bits, above and below the diagonal: the mask says which bits are the lower."""
    begin = 0
    while begin < rows:
        for i in range(begin, begin + size):
            swapped = ((square[i] >> size) ^ square[i + size]) & lower
            square[i] ^= swapped << size
            square[i + size] ^= swapped
        begin += 2 * size


def masks_of_samples(plan):
    """The address of masks of features, for groups of samples; 0: all are taken."""
    return plan.masks_address + 16 if plan.has_masks and plan.masks[0] != 0 else 0


def masks_of_features(plan):
    """The address of masks of samples, for groups of features; 0: all are taken."""
    return plan.masks_address + 8 * place_for_features(plan) if plan.has_masks and plan.masks[1] != 0 else 0


def mask_of_group(plan, feature, rows):
    """The mask of samples for the group to which a feature belongs."""
    return at(plan.masks, place_for_features(plan) + quotient(feature, NEIGHBORS) * words_of(rows))


def is_left_out(plan, row, rows):
    """Whether the gradient is zero in this row of panels, and in all of its group: row 0 is the biases'."""
    if row == 0:
        return False
    return is_blank(mask_of_group(plan, row - 1, rows), words_of(rows))


def is_blank(mask, words):
    """Whether all bits of a mask are 0."""
    some = 0
    for i in range(words):
        some |= mask[i]
    return some == 0


def end_of_group(row):
    """The row of panels after this one's group: row 0 has none."""
    return 1 + end_of_neighbors(row - 1) if row > 0 else 1


def end_of_neighbors(row):
    """The row after this one and its neighbors."""
    return quotient(row + NEIGHBORS, NEIGHBORS) * NEIGHBORS


def place_for_features(plan):
    return 2 + groups_of(plan.batch_size) * words_of(layer_of(plan, 0).fan_in)


def place_of_bits(plan):
    groups = groups_of(layer_of(plan, 0).fan_in)
    return at(plan.masks, place_for_features(plan) + groups * words_of(plan.batch_size))


def place_of_square(plan):
    """As many words as one has bits."""
    return at(place_of_bits(plan), plan.batch_size * words_of(layer_of(plan, 0).fan_in))


def groups_of(rows):
    """How many groups there are of so many rows."""
    return quotient(rows + NEIGHBORS - 1, NEIGHBORS)


def words_of(columns):
    """Of how many words a mask is."""
    return quotient(columns + WORD_BITS - 1, WORD_BITS)
