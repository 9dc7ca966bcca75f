"""The second layer's sums in parts, one for some neurons of the first each, which may be a rank's own.

Where ranks share a first layer's neurons, each then has the second layer's weights for what its neurons say, too. Of
others it reads their parts of the sums and, later, the deltas of the second layer; its own activations, deltas and
weights of the first stay with it. How many parts there are, 2 or 4, depends on the shape alone, and they are added in
pairs, whoever has them: the bits are the same with any number of ranks.
"""

from ..vocabulary.simd import LANES, PANEL, TILE_ROWS, at, load, quotient, real, reals, stay_apart, store
from .layout import (
    ACTIVATIONS,
    BATCH_SIZE,
    CONSTANTS,
    FAN_IN,
    FIRST_LAYER_SHARED,
    HEIGHT,
    NORMALIZATION,
    PACKED,
    PACKED_OFFSET,
    PARTIAL_SUMS,
    PARTS,
    RANK,
    RANKS,
    REGULARIZATION,
    STRIDE,
    WIDTH,
    layer_record,
    panel_width,
)
from .matmul import multiply_panel
from .ranks import share_of_panel


def comes_in_parts(plan, l, rows):
    """Whether the sums of layer l do, for so many rows: of a batch, or a rank's share of its rows."""
    return l == 1 and plan[PARTS] > 1 and rows >= TILE_ROWS


def ranks_have_parts(plan, rows):
    """Whether each rank has as many as another, in a batch of so many rows."""
    even = plan[PARTS] == quotient(plan[PARTS], plan[RANKS]) * plan[RANKS]
    plain = plan[REGULARIZATION] == 0 and plan[NORMALIZATION] == 0
    return plan[FIRST_LAYER_SHARED] != 0 and comes_in_parts(plan, 1, rows) and even and plain


def share_of_weights(plan, l, column, rows):
    """First and past-the-last row for this rank of a panel of layer l, to be updated from a batch of so many rows."""
    layer = layer_record(plan, l)
    if l == 1 and plan[RANKS] > 1 and ranks_have_parts(plan, rows):
        begin, end = neurons_of_rank(plan)
        first, last = 1 + begin, min(1 + end, layer[HEIGHT])
        return 0 if begin == 0 else first, last  # the biases are the first's
    return share_of_panel(plan, column, layer[WIDTH], layer[HEIGHT])


def neurons_of_rank(plan):
    """Those of the first layer of which this rank has the parts."""
    width = layer_record(plan, 0)[WIDTH]
    return quotient(width * plan[RANK], plan[RANKS]), quotient(width * (plan[RANK] + 1), plan[RANKS])


def sums_of_parts(plan, first, rows, part, end):
    """Those from `part` to before `end`, for rows from `first` on; the biases are in the first.

    Two of a pair that come together are one, in the place of the former.
    """
    stay_apart()
    below, layer = layer_record(plan, 0), layer_record(plan, 1)
    width, stride = layer[WIDTH], layer[STRIDE]
    neurons = quotient(below[WIDTH], plan[PARTS])
    a = at(reals(below[ACTIVATIONS]), first * below[STRIDE])
    for p in range(part, end):
        begin, joins = p * neurons, p > part and p & 1 == 1
        depth = min(neurons, layer[FAN_IN] - begin)
        sums = place_of_part(plan, p - 1 if joins else p, first)
        for column in range(0, width, PANEL):
            w, target = panel_width(column, width), at(sums, column)
            panel = at(reals(plan[PACKED]), layer[PACKED_OFFSET] + column * layer[HEIGHT])
            start, start_row = panel if p == 0 else reals(plan[CONSTANTS]), 0
            if joins:
                start, start_row = target, stride
            multiply_panel(
                rows, depth, at(a, begin), below[STRIDE], 1, at(panel, (1 + begin) * w), w, w, target, stride, start,
                start_row, real(1),
            )  # fmt: skip


def join_parts(plan, first, rows, z, pairs):
    """The sums of rows from `first` on, to be written from z on. Parts are added in pairs, if they do not come so."""
    stay_apart()
    layer = layer_record(plan, 1)
    stride, sums = layer[STRIDE], place_of_part(plan, 0, first)
    next_part = plan[BATCH_SIZE] * stride
    for i in range(rows):
        for j in range(i * stride, i * stride + layer[WIDTH], LANES):
            total = load(sums, j)
            if not pairs:
                total = total + load(sums, next_part + j)
            for p in range(2, plan[PARTS], 2):
                pair = load(sums, p * next_part + j)
                if not pairs:
                    pair = pair + load(sums, (p + 1) * next_part + j)
                total = total + pair
            store(z, j, total)


def place_of_part(plan, part, first):
    """The sums of a part, or a pair, in rows from `first` on."""
    return at(reals(plan[PARTIAL_SUMS]), (part * plan[BATCH_SIZE] + first) * layer_record(plan, 1)[STRIDE])
