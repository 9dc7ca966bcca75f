"""Where things are: the plan that a kernel takes, and the packed layout of weights.

A plan is a vector of int64: a header, then one record per layer. Words that hold addresses may be 0 where it says so.

The canonical vector is what users see: W0 in C order (inputs, outputs), b0, W1, b1, ... The packed vector is the same
numbers in the order in which a tile reads them. Outputs are padded with zeros to `width`, a multiple of LANES; weights
lie in panels of PANEL outputs (the last may be narrower, but a multiple of LANES), each panel row after row:

    [outputs / PANEL][inputs][PANEL], then the biases [width]
"""

from .simd import PANEL, accumulate, at, real, reals

# --- the header of a plan
(
    LAYERS,
    SAMPLES,
    BATCH_SIZE,  # rows that scratch has room for
    STEPS,  # steps in an epoch: batches, the last of which may be smaller
    STEPS_DONE,  # written by `run` as it goes
    FIRST_EPOCH,  # epochs trained before step 0: the shuffle of an epoch depends on its number
    FIRST_UPDATE,  # updates done before step 0
    # samples
    X,  # address of the first feature of the first sample
    X_ROW,  # elements from one sample to the next
    X_COLUMN,  # elements from one feature to the next
    X_GATHER,  # address of the function that reads them
    Y,
    Y_ROW,
    Y_COLUMN,
    Y_GATHER,
    ORDER,  # address of int64[SAMPLES], the order of the samples; 0: as they come
    KEY,  # of the shuffle
    # results
    OUTPUT,  # address of real[SAMPLES, outputs]
    INPUT_GRADIENT,  # address of real[SAMPLES, features]; 0: not wanted
    LOSSES,  # address of float64[epochs]
    # parameters
    CANONICAL,  # address of the canonical vector: holds the last epoch that ended with finite numbers
    PACKED,  # address of the packed vector
    PACKED_SIZE,
    GRADIENT,  # address of a packed vector
    STATE,  # address of the optimizer's packed vectors, one after the other
    OPTIMIZER,  # address of its update function
    SETTINGS,  # address of float64: the learning rate, then the optimizer's own
    # loss
    LOSS,  # address of the loss function
    VALUE_DIVISOR,  # the loss is its sum over samples and outputs / (samples * VALUE_DIVISOR)
    DELTA_DIVISOR,  # and its gradient is the sum's / (samples * DELTA_DIVISOR)
    STOP_AT_NONFINITE,  # 1: stop when the loss or a parameter is no longer finite
    UPDATE_FIRST,  # 1: a layer is updated before its delta is passed on, so that the new weights pass it
    # scratch
    INPUTS,  # address of real[BATCH_SIZE, INPUTS_STRIDE]
    INPUTS_STRIDE,
    TARGETS,  # address of real[BATCH_SIZE, stride of the last layer]
    DELTA,  # address of real[BATCH_SIZE, widest stride]: dLoss/dz of the layer at work
    DELTA_BELOW,  # the same, of the layer below it
    TRANSPOSED,  # address of real[widest layer's outputs, PANEL]
    CONSTANTS,  # address of real[PANEL + 1]: zeros, then a one
    HEADER,  # words in a header
) = range(40)

# --- a layer's record
(
    FAN_IN,
    FAN_OUT,
    WIDTH,  # outputs padded to a multiple of LANES
    STRIDE,  # numbers from one row of the outputs to the next
    CANONICAL_OFFSET,
    PACKED_OFFSET,
    ACTIVATIONS,  # address of real[BATCH_SIZE, STRIDE]: weighted sums, then activations in their place
    FORWARD,  # address of the activation function; 0: identity
    BACKWARD,  # address of the function that multiplies delta by its derivative; 0: nothing to do
    RECORD,  # words in a record
) = range(10)


def layer_record(plan, layer):
    """Pointer to the record of layer 0, 1, ..."""
    return at(plan, HEADER + layer * RECORD)


def panel_width(column, width):
    """Width of the panel that begins at this column of a packed matrix `width` wide."""
    return min(PANEL, width - column)


def pack(plan, canonical_address, packed_address):
    """Fill a packed vector from a canonical one."""
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        inputs, outputs, width = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH]
        source = at(reals(canonical_address), layer[CANONICAL_OFFSET])
        target = at(reals(packed_address), layer[PACKED_OFFSET])
        # the biases are one more row below the weights in the canonical vector, and panels of one row in the packed one
        copy_into_panels(source, inputs, outputs, width, target)
        copy_into_panels(at(source, inputs * outputs), 1, outputs, width, at(target, inputs * width))
    return 0


def unpack(plan, canonical_address, packed_address):
    """Fill a canonical vector from a packed one."""
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        inputs, outputs, width = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH]
        target = at(reals(canonical_address), layer[CANONICAL_OFFSET])
        source = at(reals(packed_address), layer[PACKED_OFFSET])
        copy_from_panels(source, inputs, outputs, width, target)
        copy_from_panels(at(source, inputs * width), 1, outputs, width, at(target, inputs * outputs))
    return 0


def copy_into_panels(matrix, rows, columns, width, panels):
    column = 0
    while column < width:
        w = panel_width(column, width)
        inside = min(w, columns - column)
        panel = at(panels, column * rows)
        for i in range(rows):
            for j in range(inside):
                panel[i * w + j] = matrix[i * columns + column + j]
            for j in range(inside, w):
                panel[i * w + j] = real(0)
        column += PANEL


def copy_from_panels(panels, rows, columns, width, matrix):
    column = 0
    while column < width:
        w = panel_width(column, width)
        inside = min(w, columns - column)
        panel = at(panels, column * rows)
        for i in range(rows):
            for j in range(inside):
                matrix[i * columns + column + j] = panel[i * w + j]
        column += PANEL


def all_finite(x, count):
    """1 if no number is infinite or NaN, else 0. 0 * x is zero for finite x only."""
    total = real(0)
    for i in range(count):
        total = accumulate(total, x[i] * real(0))
    return 1 if total == real(0) else 0


# --- the same facts for the Python that makes plans


def padded(columns: int, lanes: int) -> int:
    """Columns rounded up to a multiple of the lanes."""
    return -(-columns // lanes) * lanes


def stride(columns: int, lanes: int, itemsize: int) -> int:
    """Row stride of scratch: padded, and no multiple of 4 KiB, since such rows evict each other from the L1 cache."""
    width = padded(columns, lanes)
    return width + lanes if width * itemsize % 4096 == 0 else width


def parameter_count(sizes: tuple[int, ...]) -> int:
    """Length of the canonical vector."""
    return sum(i * o + o for i, o in zip(sizes, sizes[1:], strict=False))
