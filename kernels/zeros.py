"""Columns of a batch that hold nothing but zeros: what they would add to sums and gradients is zero, and left out.

The margins of images are such columns, and rare categories written as ones and zeros: of the pixels of MNIST, 42% are
zero in all of 32 images. The other columns make runs: at RUNS are their number, then where each begins and ends.

0 * w is zero for finite w only. Biases that are not finite tell of weights that are not, see `panel_sums`; deltas that
are not make gradients NaN, whatever they are multiplied by.
"""

from .layout import (
    CONSTANTS,
    DELTA,
    FAN_IN,
    FIRST_LAYER_SHARED,
    HEIGHT,
    INPUTS,
    INPUTS_STRIDE,
    RANKS,
    RUNS,
    STRIDE,
    TRANSPOSED,
    WIDTH,
    all_finite,
    layer_record,
    panel_width,
)
from .matmul import panel_gradient
from .packing import clear
from .simd import LANES, absolute, at, integers, load, real, reals, select, spread, stay_apart, store, sum_lanes

LONGEST_RUN = 96  # whose gradient stays in the L1 cache until its step is taken
GAP = 4  # zeros between two runs that take less time than a run of its own


def find_runs(plan, first, rows):
    """Those of rows of the batch."""
    stay_apart()
    columns, stride = layer_record(plan, 0)[FAN_IN], plan[INPUTS_STRIDE]
    x, runs, marks = at(reals(plan[INPUTS]), first * stride), integers(plan[RUNS]), reals(plan[TRANSPOSED])
    runs[0] = 0
    for j in range(0, columns, LANES):
        count = min(LANES, columns - j)
        zeros = zeros_of_columns(at(x, j), 1, stride)  # one row of dense samples tells
        if sum_lanes(zeros) != real(0):
            zeros = zeros_of_columns(at(x, j), rows, stride)
        if sum_lanes(zeros) == real(0):
            add_to_runs(runs, j, j + count)
        else:
            store(marks, 0, zeros)
            for k in range(count):
                if marks[k] == real(0):
                    add_to_runs(runs, j + k, j + k + 1)
    used = 0
    for r in range(runs[0]):
        used += runs[2 * r + 2] - runs[2 * r + 1]
    if 8 * used > 7 * columns:
        take_all(runs, columns)


def zeros_of_columns(x, rows, stride):
    """1 in the lanes of columns of zeros alone, else 0. Sums of four rows in turn, since an addition takes its time."""
    one = two = three = four = spread(real(0))
    for i in range(0, rows - 3, 4):
        one = one + absolute(load(x, i * stride))
        two = two + absolute(load(x, (i + 1) * stride))
        three = three + absolute(load(x, (i + 2) * stride))
        four = four + absolute(load(x, (i + 3) * stride))
    for i in range(rows & ~3, rows):
        one = one + absolute(load(x, i * stride))
    return select((one + two) + (three + four) <= real(0), real(1), real(0))


def add_to_runs(runs, begin, end):
    """Columns begin ... end - 1, which come after those that are there."""
    last = 2 * runs[0]  # where the last run ends
    if last > 0 and begin - runs[last] <= GAP and end - runs[last - 1] <= LONGEST_RUN:
        runs[last] = end
    else:
        runs[0] = runs[0] + 1
        runs[last + 1], runs[last + 2] = begin, end


def take_all(runs, columns):
    """Runs of all columns."""
    runs[0] = 0
    for begin in range(0, columns, LONGEST_RUN):
        add_to_runs(runs, begin, min(begin + LONGEST_RUN, columns))


def place_of_all_rows(columns: int) -> int:
    """Where, after the runs of columns, there is one of all rows of the batch."""
    return 1 + 2 * columns


def find_runs_of_gradient(plan, rows):
    """Those of the whole batch, as far as this rank has not looked for them; all columns if deltas are not finite."""
    stay_apart()
    layer = layer_record(plan, 0)
    if plan[RANKS] > 1 and plan[FIRST_LAYER_SHARED] == 0:
        find_runs(plan, 0, rows)
    all_rows = at(integers(plan[RUNS]), place_of_all_rows(layer[FAN_IN]))
    all_rows[0], all_rows[1], all_rows[2] = 1, 0, rows
    if not all_finite(reals(layer[DELTA]), rows, layer[WIDTH], layer[STRIDE]):
        take_all(integers(plan[RUNS]), layer[FAN_IN])


def gradient_of_runs(plan, column, first, last, rows, adding, gradient):
    """Rows `first` ... `last - 1` of the first layer's panel at this column: row 0 is the biases'."""
    w = panel_width(column, layer_record(plan, 0)[WIDTH])
    for r in range(-1, integers(plan[RUNS])[0] + 1):
        gap, begin, end = run_within(plan, r, first, last)
        if gap < begin and not adding:
            clear(at(gradient, (gap - first) * w), (begin - gap) * w)
        if begin < end:
            gradient_of_run(plan, column, begin, end, rows, adding, at(gradient, (begin - first) * w))


def run_within(plan, r, first, last):
    """Where, among rows `first` ... `last - 1` of a panel, the zeros before a run begin, and it begins and ends.

    Run -1 is the biases, and after the last run comes an empty one at the panel's end.
    """
    runs = integers(plan[RUNS])
    gap, begin, end = 0, 0, 1
    if r >= 0:
        gap = 1
        begin = end = layer_record(plan, 0)[HEIGHT]
    if r > 0:
        gap = 1 + runs[2 * r]
    if r >= 0 and r < runs[0]:
        begin, end = 1 + runs[2 * r + 1], 1 + runs[2 * r + 2]
    return min(max(first, gap), last), min(max(first, begin), last), min(max(first, end), last)


def gradient_of_run(plan, column, first, last, rows, adding, gradient):
    layer = layer_record(plan, 0)
    panel_gradient(
        rows, reals(plan[INPUTS]), plan[INPUTS_STRIDE], at(reals(layer[DELTA]), column), layer[STRIDE],
        panel_width(column, layer[WIDTH]), first, last, reals(plan[CONSTANTS]), adding, gradient,
        plan[RUNS] + 8 * place_of_all_rows(layer[FAN_IN]),
    )  # fmt: skip
