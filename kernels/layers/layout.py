"""Where things are in vectors of parameters, and in the memory that threads share.

The canonical vector is what users see: W0 in C order (inputs, outputs), b0, W1, b1, ...; after the biases of a
normalized layer come its gains, and the running means and variances, if it has any. The packed vector is the same
numbers in the order in which a tile reads them. Outputs are padded with zeros to `width`, a multiple of LANES, and lie
in panels of PANEL outputs (the last may be narrower, but a multiple of LANES). A panel is a row of biases, which the
sums of a tile start from, and a row of weights for each input:

    [width / PANEL][1 + inputs][PANEL]

A layer with one output and more inputs than a vector has lanes has `single_output`: its panel is a vector that begins
with the bias, and then the weights, filled up to whole vectors.

A normalized layer's sums start from zeros: these are where the biases of others are, and its own, its gains and so on
are rows of `width` after the panels.
"""

from ..vocabulary.simd import LANES, PANEL, at, load_first, real, spread, sum_lanes

# --- places where ranks meet, a cache line apart
ARRIVALS = 0  # how often a rank has come to a meeting
RELEASED = 8  # 1: somebody will not come: do not wait
OBJECTIONS = 16  # how many ranks found that training cannot go on
SLEEPERS = 24  # how many sleep
NAP = 25  # seconds and nanoseconds after which a sleeper looks around
PLACES = 32

# --- places where threads that predict together count, a cache line apart
TAKEN = 0  # pieces that some thread has begun
DONE = 8  # pieces that are done, or never will be
SPOILED = 16  # pieces with samples that are not finite
COUNTERS = 17

# --- a note of an exception of a user's function: float64, of which a plan has a row for each such function
NOTE = 3  # whether there is one, and up to two arguments; of several threads that write it, any wins

# --- what `predict` returns, added up
FINITE, COMPLETE = 1, 2  # all samples that were seen are finite; all threads' pieces are done

AHEAD = 16  # samples that small networks gather at a time

def panel_width(column, width):
    """Width of the panel that begins at this column of a packed matrix `width` wide."""
    return min(PANEL, width - column)


def all_finite(x, rows, columns, stride):
    """Whether no number is infinite or NaN. 0 * x is zero for finite x only."""
    one = other = spread(real(0))  # sums, so that one addition need not wait for the one before
    for i in range(rows):
        row = at(x, i * stride)
        for j in range(0, columns, 2 * LANES):
            one = one + load_first(row, j, columns - j) * real(0)
            other = other + load_first(row, j + LANES, columns - j - LANES) * real(0)
    return sum_lanes(one + other) == real(0)


# --- the same facts for the Python that makes plans


def padded(columns: int, lanes: int) -> int:
    """Columns rounded up to a multiple of the lanes."""
    return -(-columns // lanes) * lanes


def stride(columns: int, lanes: int, itemsize: int) -> int:
    """Row stride of scratch: padded, and no multiple of 4 KiB, since such rows evict each other from the L1 cache."""
    width = padded(columns, lanes)
    return width + lanes if width * itemsize % 4096 == 0 else width


def parameter_count(sizes: tuple[int, ...], vectors: tuple[int, ...] = ()) -> int:
    """Length of the canonical vector; vectors: how many a layer has, as long as its biases, if not these alone."""
    layers = zip(sizes, sizes[1:], vectors or (1,) * (len(sizes) - 1), strict=False)
    return sum((inputs + count) * outputs for inputs, outputs, count in layers)
