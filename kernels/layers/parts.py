"""The second layer's sums in parts, one for some neurons of the first each, which may be a rank's own.

Where ranks share a first layer's neurons, each then has the second layer's weights for what its neurons say, too. Of
others it reads their parts of the sums and, later, the deltas of the second layer; its own activations, deltas and
weights of the first stay with it. How many parts there are, 2 or 4, depends on the shape alone, and they are added in
pairs, whoever has them: the bits are the same with any number of ranks.
"""

from ..vocabulary.simd import LANES, PANEL, TILE_ROWS, at, load, quotient, real, stay_apart, store
from .layout import panel_width
from .matmul import multiply_panel
from .plan import layer_of
from .ranks import share_of_panel


def comes_in_parts(plan, l, rows):
    """Whether the sums of layer l do, for so many rows: of a batch, or a rank's share of its rows."""
    return l == 1 and plan.parts > 1 and rows >= TILE_ROWS


def ranks_have_parts(plan, rows):
    """Whether each rank has as many as another, in a batch of so many rows."""
    even = plan.parts == quotient(plan.parts, plan.ranks) * plan.ranks
    plain = not plan.has_regularization and not plan.has_normalization
    return plan.column_parallel and comes_in_parts(plan, 1, rows) and even and plain


def share_of_weights(plan, l, column, rows):
    """First and past-the-last row for this rank of a panel of layer l, to be updated from a batch of so many rows."""
    layer = layer_of(plan, l)
    if l == 1 and plan.ranks > 1 and ranks_have_parts(plan, rows):
        begin, end = neurons_of_rank(plan)
        first, last = 1 + begin, min(1 + end, layer.height)
        return 0 if begin == 0 else first, last  # the biases are the first's
    return share_of_panel(plan, column, layer.width, layer.height)


def neurons_of_rank(plan):
    """Those of the first layer of which this rank has the parts."""
    width = layer_of(plan, 0).width
    return quotient(width * plan.rank, plan.ranks), quotient(width * (plan.rank + 1), plan.ranks)


def sums_of_parts(plan, first, rows, part, end):
    """Those from `part` to before `end`, for rows from `first` on; the biases are in the first.

    Two of a pair that come together are one, in the place of the former.
    """
    stay_apart()
    below, layer = layer_of(plan, 0), layer_of(plan, 1)
    width, stride = layer.width, layer.stride
    neurons = quotient(below.width, plan.parts)
    a = at(below.activations, first * below.stride)
    for p in range(part, end):
        begin, joins = p * neurons, p > part and p & 1 == 1
        depth = min(neurons, layer.fan_in - begin)
        sums = place_of_part(plan, p - 1 if joins else p, first)
        for column in range(0, width, PANEL):
            w, target = panel_width(column, width), at(sums, column)
            panel = at(plan.packed, layer.packed_offset + column * layer.height)
            start, start_row = panel if p == 0 else plan.constants, 0
            if joins:
                start, start_row = target, stride
            multiply_panel(
                rows, depth, at(a, begin), below.stride, 1, at(panel, (1 + begin) * w), w, w, target, stride, start,
                start_row, real(1),
            )  # fmt: skip


def join_parts(plan, first, rows, z, pairs):
    """The sums of rows from `first` on, to be written from z on. Parts are added in pairs, if they do not come so."""
    stay_apart()
    layer = layer_of(plan, 1)
    stride, sums = layer.stride, place_of_part(plan, 0, first)
    next_part = plan.batch_size * stride
    for i in range(rows):
        for j in range(i * stride, i * stride + layer.width, LANES):
            total = load(sums, j)
            if not pairs:
                total = total + load(sums, next_part + j)
            for p in range(2, plan.parts, 2):
                pair = load(sums, p * next_part + j)
                if not pairs:
                    pair = pair + load(sums, (p + 1) * next_part + j)
                total = total + pair
            store(z, j, total)


def place_of_part(plan, part, first):
    """The sums of a part, or a pair, in rows from `first` on."""
    return at(plan.partial_sums, (part * plan.batch_size + first) * layer_of(plan, 1).stride)
