"""Products that leave out what masks say is zero: see `zeros.py`.

masked_sums        z = b + a W                rows of a, samples, in pairs
masked_gradient    start + scale a^T delta    rows of a^T, features, in pairs, and the biases' row

Of few rows, few columns are zero in all: a tile has two, and two panels to be busy with.
"""

from ..vocabulary.simd import LANES, NEIGHBORS, PANEL, WORD_BITS, at, integers, masked_tile, quotient, real, stay_apart
from .matvec import multiply_row
from .ranks import share_of_panel
from .zeros import end_of_neighbors, is_blank, words_of

WORDS_AT_ONCE = 2  # of masks: what belongs to 128 of their columns, in two panels, takes 32 KiB at most


def whole_panels(column, width):
    """How many panels begin at this column: 2 if both are whole, else 1."""
    return 2 if column + 2 * PANEL <= width else 1


def panels_of_share(plan, column, width, height):
    """The same, if this rank has the same share of both."""
    if whole_panels(column, width) == 1:
        return 1
    first, last = share_of_panel(plan, column, width, height)
    first_of_next, last_of_next = share_of_panel(plan, column + PANEL, width, height)
    return 2 if first == first_of_next and last == last_of_next else 1


def masked_sums(first, last, masks, a, a_stride, weights, inputs, panels, width, z, z_stride, zeros):
    """The columns of z that one or two panels make, for samples `first` ... `last - 1` of those that have masks.

    `a` and z point to the first of them.
    """
    panel = (1 + inputs) * width
    masked_product(
        first, last, masks, inputs, a, a_stride, 1, at(weights, width), width, panel, panels * quotient(width, LANES),
        z, z_stride, PANEL, weights, 0, panel, real(1), zeros,
    )  # fmt: skip


def masked_gradient(
    rows, masks, a, a_stride, delta, delta_stride, panels, width, first, last, constants, start, start_row, scale,
    target, panel,
):  # fmt: skip
    """target = start + scale * gradient, as `panel_gradient`, for one or two panels, `panel` numbers apart.

    Where `start_row` is not 0, they are so in `start` too, which then is the target.
    """
    start_panel = panel if start_row != 0 else 0
    if first == 0:
        for p in range(panels):
            multiply_row(
                rows, at(constants, PANEL), 0, at(delta, p * PANEL), delta_stride, width, at(target, p * panel),
                at(start, p * start_panel), scale,
            )  # fmt: skip
        first = 1
        target, start = at(target, width), at(start, start_row)
    masked_product(
        first - 1, last - 1, masks, rows, at(a, first - 1), 1, a_stride, delta, delta_stride, PANEL,
        panels * quotient(width, LANES), target, width, panel, start, start_row, start_panel, scale, constants,
    )  # fmt: skip


def masked_product(
    first, last, masks, depth, a, a_row, a_column, b, b_row, b_panel, vectors, c, c_row, c_panel, start, start_row,
    start_panel, scale, zeros,
):  # fmt: skip
    """c = start + scale * (a @ b) for rows `first` ... `last - 1` of those that have masks: a, c, start begin there.

    As many rows of b at a time as stay in the L1 cache: c has sums meanwhile, unless it is where they start.
    """
    words, word = words_of(depth), 0
    while word < words:
        end = min(word + WORDS_AT_ONCE, words) if start_row == 0 else words
        from_here, panel, factor = (start, start_panel, scale) if end == words else (zeros, 0, real(1))
        k = word * WORD_BITS
        masked_rows(
            first, last, masks + 8 * word, words, end - word, word, at(a, k * a_column), a_row, a_column,
            at(b, k * b_row), b_row, b_panel, vectors, c, c_row, c_panel, from_here, start_row, panel, factor,
        )  # fmt: skip
        word = end


def masked_rows(
    first, last, masks, stride, words, begun, a, a_row, a_column, b, b_row, b_panel, vectors, c, c_row, c_panel, start,
    start_row, start_panel, scale,
):  # fmt: skip
    """Tile by tile, by `words` of masks that are `stride` words from one to the next."""
    stay_apart()
    while first < last:
        count = min(last, end_of_neighbors(first)) - first
        mask = masks + 8 * stride * quotient(first, NEIGHBORS)
        if start_row == 0 or not is_blank(integers(mask), words):
            masked_tile(
                vectors, count, words, mask, begun, a, a_row, a_column, b, b_row, b_panel, c, c_row, c_panel, start,
                start_row, start_panel, scale,
            )  # fmt: skip
        a, c, start = at(a, count * a_row), at(c, count * c_row), at(start, count * start_row)
        first += count
