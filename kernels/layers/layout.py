"""Where things are: the plan that a kernel takes, and the packed layout of weights.

A plan is a vector of int64: a header, then one record per layer. Words that hold addresses may be 0 where it says so.

The canonical vector is what users see: W0 in C order (inputs, outputs), b0, W1, b1, ...; after the biases of a
normalized layer come its gains, and the running means and variances, if it has any. The packed vector is the same
numbers in the order in which a tile reads them. Outputs are padded with zeros to `width`, a multiple of LANES, and lie
in panels of PANEL outputs (the last may be narrower, but a multiple of LANES). A panel is a row of biases, which the
sums of a tile start from, and a row of weights for each input:

    [width / PANEL][1 + inputs][PANEL]

A layer with one output and more inputs than a vector has lanes is SINGLE: its panel is a vector that begins with the
bias, and then the weights, filled up to whole vectors.

A normalized layer's sums start from zeros: these are where the biases of others are, and its own, its gains and so on
are rows of `width` after the panels.

Threads that work on one batch are ranks 0, 1, ..., each with a copy of the plan in which the words marked `own` differ.
"""

from ..functions.normalization import BY_BATCH, NOT
from ..vocabulary.simd import LANES, PANEL, at, doubles, integers, load_first, real, spread, sum_lanes

# --- the header of a plan
(
    LAYERS,
    SAMPLES,
    BATCH_SIZE,  # rows that scratch has room for
    STEPS,  # steps in an epoch: batches, the last of which may be smaller
    STEPS_DONE,  # written by `run` as it goes
    STOPPED,  # written by `run`: 1 if it did not come to the last step
    FIRST_EPOCH,  # epochs trained before step 0: the shuffle of an epoch depends on its number
    FIRST_UPDATE,  # updates done before step 0
    # samples
    X,  # address of the first feature of the first sample
    X_ROW,  # elements from one sample to the next
    X_COLUMN,  # elements from one feature to the next
    X_GATHER,  # address of the function that reads them; 0: predictions read them in place, X_COLUMN being 1
    X_ITEM,  # bytes of a number, where it pays to ask for samples before they are read; 0: it does not
    COLUMNS,  # address of the columns of the values in X, where samples are sparse: see `sparse.py`; 0: they are dense
    COLUMNS_GATHER,  # address of the function that reads them
    STARTS,  # address of int64[SAMPLES + 1]: where samples begin in X and COLUMNS
    Y,
    Y_ROW,
    Y_COLUMN,
    Y_GATHER,
    Y_ITEM,
    ORDER,  # address of int64[SAMPLES], the order of the samples; 0: as they come
    KEY,  # of the shuffle
    TWISTER,  # address of the state that the last order is shuffled by again: see `twister.py`; 0: KEY is used
    WEIGHTS,  # address of float64[SAMPLES], weights of the samples, whose mean is 1; 0: they count alike
    # results
    OUTPUT,  # address of real[SAMPLES, outputs]
    BACKWARDS,  # 1: panels of weights meet a single row from the last one on
    COUNTS,  # address of where threads that predict together count pieces; 0: one predicts alone
    INPUT_GRADIENT,  # address of real[SAMPLES, features]; 0: not wanted
    LOSSES,  # address of float64[epochs]
    # parameters
    CANONICAL,  # address of the canonical vector: holds the last epoch that ended with finite numbers
    CANONICAL_STEP,  # bytes to where the next epoch's goes; 0: in the place of the one before
    PACKED,  # address of the packed vector
    PACKED_SIZE,
    GRADIENT,  # address of a packed vector; 0: not wanted as a whole
    PART,  # own: address of a packed panel, or parts of two, of the gradient on its way to the update; SMALL: all of it
    STATE,  # address of the optimizer's packed vectors, one after the other
    OPTIMIZER,  # address of its update function
    PREPARE,  # address of the function that prepares an update; 0: there is none
    RESTS,  # 1: it changes nothing where the gradient is zero
    DESCENDS,  # 1: it takes the gradient times the learning rate from the parameters, and nothing else
    SETTINGS,  # own: address of float64: the learning rate, the optimizer's own, and what `PREPARE` leaves
    SETTINGS_STRIDE,  # numbers from one layer's settings to the next; 0: all have the same
    RATES,  # address of float64: the learning rates of updates RATES_FIRST, RATES_FIRST + 1, ...; 0: as in SETTINGS
    RATES_FIRST,
    FACTORS,  # address of float64[LAYERS], by which learning rates are multiplied, 0 for frozen layers; 0: all are 1
    LOWEST_TRAINED,  # the first layer that is not frozen
    REGULARIZATION,  # address of float64[WISHES]; 0: nothing but the optimizer's step
    AVERAGE,  # address of the packed running average of the parameters
    SQUARES,  # address of float64[PACKED_SIZE / LANES] for the squares of the gradient; 0: no norm is wanted
    NORMS,  # address of float64[epochs], the gradient's mean norm; 0: not wanted
    EPOCH,  # own, written by `run`: how many epochs have gone before
    POSITION,  # own, written by `run`: that of the batch's first sample in the epoch
    # disturbance: see `disturbed.py`
    DISTURBED,  # 1: samples or activations are
    DISTURBANCE_KEY,
    NOISE,  # address of float64: the standard deviation of the samples' noise; 0: there is none
    INPUT_DROPS,  # of 2^32 inputs, so many are dropped
    INPUT_MASK,  # address of real[BATCH_SIZE, INPUTS_STRIDE]: what inputs were multiplied by
    DROPOUT,  # address of int64[LAYERS, DROPOUT_RECORD]; 0: no layer drops any
    # normalization: see `normalized.py`
    NORMALIZATION,  # address of int64[LAYERS, NORMALIZATION_RECORD]; 0: no layer is normalized
    BATCH_STATISTICS,  # own: address of real: samples' shares of the batch's weight, then statistics of layers
    # loss
    LOSS,  # address of the loss function
    LOSS_OF_VECTOR,  # address of the function of vectors: losses, and derivatives times a factor; 0: unused
    LOSS_SETTINGS,  # address of float64: what it takes
    TARGET_COLUMNS,  # numbers of a sample's target; some losses have more outputs than that
    VALUE_DIVISOR,  # the loss is its sum over samples and outputs / (samples * VALUE_DIVISOR)
    DELTA_DIVISOR,  # and its gradient is the sum's / (samples * DELTA_DIVISOR)
    STOP_AT_NONFINITE,  # 1: stop when the loss or a parameter is no longer finite, or before samples that are not
    UPDATE_FIRST,  # 1: a layer is updated before its delta is passed on, so that the new weights pass it
    SMALL,  # 1: each layer fits into a vector: see `small.py`
    # scratch
    INPUTS,  # address of real[BATCH_SIZE, INPUTS_STRIDE], own if FIRST_LAYER_SHARED; SMALL: of real[AHEAD, LANES]
    INPUTS_STRIDE,
    BATCH_COLUMNS,  # address of int64 for each of INPUTS, where samples are sparse
    BATCH_PLACES,  # address of int64[BATCH_SIZE, 2]: where a row's begin and end
    TARGETS,  # address of real[BATCH_SIZE, stride of the last layer]; SMALL: of real[AHEAD, LANES]
    INPUT_DELTA,  # address of real[BATCH_SIZE, INPUTS_STRIDE]: dLoss/dx; 0: not wanted
    ROW_LOSSES,  # address of float64[BATCH_SIZE]
    TRANSPOSED,  # own: address of real[widest layer, PANEL]
    CONSTANTS,  # address of real[PANEL + 1]: zeros, then a one
    MASKS,  # own: address of int64: what is not zero in the batch, see `zeros.py`; 0: nothing is left out
    LARGE_DELTAS,  # address of int64, where there are MASKS: 1 once the first layer had deltas that end their use
    # ranks
    RANK,  # own
    RANKS,
    PARTS,  # of how many the second layer's sums are made: see `parts.py`; 0: they are made at once
    PARTIAL_SUMS,  # address of real[PARTS, BATCH_SIZE, stride of the second layer]; 0: they have none
    FIRST_LAYER_SHARED,  # 1: ranks have shares of its outputs for all rows, and each the whole batch for itself
    MEETING,  # address of int64[PLACES], all zero but for the nap before ranks begin
    SYSTEM_CALL,  # address of the function by which a thread that waits leaves its CPU to others; 0: there is none
    FUTEX,  # the number of Linux's system call of this name, which is its first argument; 0: it takes none
    HEADER,  # words in a header
) = range(90)

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

# --- places of the numbers at REGULARIZATION; 0: not wanted
(L1, L2, WEIGHT_DECAY, CLIP_VALUE, CLIP_NORM, MAX_NORM, AVERAGE_DECAY, ALPHA, WISHES) = range(9)

AHEAD = 16  # samples that small networks gather at a time

# --- a layer's record
(
    FAN_IN,
    FAN_OUT,
    WIDTH,  # outputs padded to a multiple of LANES
    HEIGHT,  # rows of a panel
    SINGLE,  # 1: it has one output, and its weights lie along its inputs: see `single.py`
    STRIDE,  # numbers from one row of the outputs to the next
    CANONICAL_OFFSET,
    PACKED_OFFSET,
    WEIGHTED_SUMS,  # address of real[BATCH_SIZE, STRIDE]: z; ACTIVATIONS itself unless the derivative is one of z
    ACTIVATIONS,  # address of real[BATCH_SIZE, STRIDE]
    DELTA,  # address of real[BATCH_SIZE, STRIDE]: dLoss/da, then dLoss/dz in its place
    FORWARD,  # address of the activation function; 0: identity
    BACKWARD,  # address of the function that multiplies delta by its derivative; 0: nothing to do
    ACTIVATION_OF_VECTOR,  # SMALL: address of the function that makes a and da/dz of a vector z; 0: identity
    ACTIVATION_SETTINGS,  # address of float64: what these functions take, if they take any
    RECORD,  # words in a record
) = range(16)


# --- what a layer drops: apart from its record, whose 16 words make addresses quick to compute
(
    DROPS,  # of 2^32 activations, so many are dropped
    MASK,  # address of real[BATCH_SIZE, STRIDE]: what they were multiplied by
    UNDROPPED,  # address of real[BATCH_SIZE, STRIDE], WEIGHTED_SUMS too: activations as they were; 0: not wanted
    DROPOUT_RECORD,  # words in a record
) = range(4)

# --- how a layer is normalized
(
    NORMALIZED,  # BY_SAMPLE, BY_BATCH, or not
    TAIL,  # where biases, gains, running means and running variances are in the packed vector
    SUMS,  # address of real[BATCH_SIZE, STRIDE]: z, before it is normalized
    NORMALIZED_DELTA,  # address of real[BATCH_SIZE, STRIDE]: dLoss/dy of what the activation takes; 0: no loss
    STATISTICS,  # BY_SAMPLE: address of real[BATCH_SIZE, 2], means and 1 / deviations; BY_BATCH: place of the batch's
    NORMALIZATION_SETTINGS,  # address of float64: epsilon and, BY_BATCH, momentum
    NORMALIZATION_RECORD,  # words in a record
) = range(7)


def layer_record(plan, layer):
    """Pointer to the record of layer 0, 1, ..."""
    return at(plan, HEADER + layer * RECORD)


def normalization_record(plan, layer):
    return at(integers(plan[NORMALIZATION]), layer * NORMALIZATION_RECORD)


def is_normalized(plan, layer):
    return plan[NORMALIZATION] != 0 and normalization_record(plan, layer)[NORMALIZED] != NOT


def is_frozen(plan, layer):
    return plan[FACTORS] != 0 and doubles(plan[FACTORS])[layer] == 0.0


def tail_rows(plan, layer):
    """How many rows a normalized layer has after its panels."""
    return 4 if normalization_record(plan, layer)[NORMALIZED] == BY_BATCH else 2


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
