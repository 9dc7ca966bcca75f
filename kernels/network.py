"""A network's work on rows of samples: the phases, and the loops that join them."""

from .layout import (
    ACTIVATIONS,
    BACKWARD,
    BATCH_SIZE,
    CANONICAL,
    CONSTANTS,
    DELTA,
    DELTA_BELOW,
    DELTA_DIVISOR,
    FAN_IN,
    FAN_OUT,
    FIRST_EPOCH,
    FIRST_UPDATE,
    FORWARD,
    GRADIENT,
    INPUT_GRADIENT,
    INPUTS,
    INPUTS_STRIDE,
    KEY,
    LAYERS,
    LOSS,
    LOSSES,
    OPTIMIZER,
    ORDER,
    OUTPUT,
    PACKED,
    PACKED_OFFSET,
    PACKED_SIZE,
    SAMPLES,
    SETTINGS,
    STATE,
    STEPS,
    STEPS_DONE,
    STOP_AT_NONFINITE,
    STRIDE,
    TARGETS,
    TRANSPOSED,
    UPDATE_FIRST,
    VALUE_DIVISOR,
    WIDTH,
    X_COLUMN,
    X_GATHER,
    X_ROW,
    Y_COLUMN,
    Y_GATHER,
    Y_ROW,
    X,
    Y,
    all_finite,
    layer_record,
    unpack,
)
from .matmul import input_gradient, weight_gradient, weighted_sums
from .matvec import input_gradient_of_row, weight_gradient_of_row, weighted_sums_of_row
from .random import shuffle
from .simd import (
    at,
    call,
    call_double,
    doubles,
    flush_subnormals,
    integers,
    quotient,
    real,
    reals,
    restore_subnormals,
)

# --- reading samples: `source` is a pointer to numbers of any type


def gather(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """target[i, j] = source[order[first + i], j]; order_address 0 takes the rows as they come."""
    for i in range(rows):
        sample = first + i
        if order_address != 0:
            sample = integers(order_address)[sample]
        row = at(source, sample * row_stride)
        if column_stride == 1:
            for j in range(columns):
                target[i * stride + j] = real(row[j])
        else:
            for j in range(columns):
                target[i * stride + j] = real(row[j * column_stride])


def gather_labels(source, row_stride, column_stride, order_address, first, rows, columns, target, stride):
    """Labels 0 ... columns - 1 as rows that are 1 in the label's column and 0 elsewhere."""
    for i in range(rows):
        sample = first + i
        if order_address != 0:
            sample = integers(order_address)[sample]
        for j in range(columns):
            target[i * stride + j] = real(0)
        target[i * stride + source[sample * row_stride]] = real(1)


# --- phases


def load(plan, first, rows):
    """Gather samples `first` ... `first + rows - 1` of X."""
    features = layer_record(plan, 0)[FAN_IN]
    call(
        plan[X_GATHER], plan[X], plan[X_ROW], plan[X_COLUMN], plan[ORDER], first, rows, features,
        reals(plan[INPUTS]), plan[INPUTS_STRIDE],
    )  # fmt: skip


def load_targets(plan, first, rows):
    """Gather the same samples' targets."""
    last = layer_record(plan, plan[LAYERS] - 1)
    call(
        plan[Y_GATHER], plan[Y], plan[Y_ROW], plan[Y_COLUMN], plan[ORDER], first, rows, last[FAN_OUT],
        reals(plan[TARGETS]), last[STRIDE],
    )  # fmt: skip


def forward(plan, rows):
    """Weighted sums and activations of every layer."""
    a, a_stride = reals(plan[INPUTS]), plan[INPUTS_STRIDE]
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        z, stride = reals(layer[ACTIVATIONS]), layer[STRIDE]
        weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
        if rows == 1:
            weighted_sums_of_row(a, weights, layer[FAN_IN], layer[WIDTH], z)
        else:
            weighted_sums(rows, a, a_stride, weights, layer[FAN_IN], layer[WIDTH], z, stride)
        if layer[FORWARD] != 0:
            call(layer[FORWARD], z, rows, layer[FAN_OUT], stride)
        a, a_stride = z, stride


def loss(plan, rows, samples):
    """The loss summed over the batch; delta = the gradient of the mean over `samples` in the last layer."""
    last = layer_record(plan, plan[LAYERS] - 1)
    scale = 1.0 / (samples * plan[DELTA_DIVISOR])
    return call_double(
        plan[LOSS], reals(last[ACTIVATIONS]), reals(plan[TARGETS]), reals(plan[DELTA]),
        rows, last[FAN_OUT], last[STRIDE], scale,
    )  # fmt: skip


def backward(plan, first, rows, adding, update_number):
    """The gradient of every layer, added to what is there or in its place, and of the inputs if it is wanted."""
    delta, below = reals(plan[DELTA]), reals(plan[DELTA_BELOW])
    gradient = reals(plan[GRADIENT])
    constants = reals(plan[CONSTANTS])
    l = plan[LAYERS] - 1
    while l >= 0:
        layer = layer_record(plan, l)
        inputs, width, stride, offset = layer[FAN_IN], layer[WIDTH], layer[STRIDE], layer[PACKED_OFFSET]
        if layer[BACKWARD] != 0:
            call(layer[BACKWARD], reals(layer[ACTIVATIONS]), delta, rows, layer[FAN_OUT], stride)
        a, a_stride = reals(plan[INPUTS]), plan[INPUTS_STRIDE]
        below_width = a_stride
        if l > 0:
            layer_below = layer_record(plan, l - 1)
            a, a_stride = reals(layer_below[ACTIVATIONS]), layer_below[STRIDE]
            below_width = layer_below[WIDTH]
        if rows == 1 and not adding:
            weight_gradient_of_row(a, delta, inputs, width, constants, at(gradient, offset))
        else:
            weight_gradient(rows, a, a_stride, delta, stride, inputs, width, constants, adding, at(gradient, offset))
        if plan[UPDATE_FIRST] != 0:
            update(plan, offset, inputs * width + width, update_number)
        if l > 0 or plan[INPUT_GRADIENT] != 0:
            weights = at(reals(plan[PACKED]), offset)
            if rows == 1:
                input_gradient_of_row(delta, weights, inputs, layer[FAN_OUT], width, below, below_width)
            else:
                input_gradient(
                    rows, delta, stride, weights, inputs, layer[FAN_OUT], width, reals(plan[TRANSPOSED]), constants,
                    below, a_stride, below_width,
                )  # fmt: skip
            delta, below = below, delta
        l -= 1
    if plan[INPUT_GRADIENT] != 0:
        features = layer_record(plan, 0)[FAN_IN]
        copy_rows(delta, plan[INPUTS_STRIDE], rows, features, at(reals(plan[INPUT_GRADIENT]), first * features))


def update(plan, first, count, update_number):
    """The optimizer's step for parameters first ... first + count - 1 of the packed vector."""
    call(
        plan[OPTIMIZER],
        at(reals(plan[PACKED]), first), at(reals(plan[GRADIENT]), first), at(reals(plan[STATE]), first),
        plan[PACKED_SIZE], count, doubles(plan[SETTINGS]), update_number,
    )  # fmt: skip


def copy_rows(source, stride, rows, columns, target):
    for i in range(rows):
        for j in range(columns):
            target[i * columns + j] = source[i * stride + j]


# --- what is called from Python: each phase on its own for a batch, samples first ... last - 1, and the phases joined


def forward_phase(plan, first, last):
    """Activations of a batch."""
    state = flush_subnormals()
    load(plan, first, last - first)
    forward(plan, last - first)
    restore_subnormals(state)
    return 0


def loss_phase(plan, first, last):
    """Add the loss of the batch that went forward to LOSSES[0], as part of all samples' mean; fill DELTA."""
    state = flush_subnormals()
    load_targets(plan, first, last - first)
    add_loss(plan, 0, loss(plan, last - first, plan[SAMPLES]))
    restore_subnormals(state)
    return 0


def backward_phase(plan, first, last):
    """The batch's part of GRADIENT, and of INPUT_GRADIENT if it is wanted, from DELTA."""
    state = flush_subnormals()
    backward(plan, first, last - first, first > 0, 0)
    restore_subnormals(state)
    return 0


def update_phase(plan, update_number, _):
    """The optimizer's step for all parameters from GRADIENT; updates count from 1."""
    state = flush_subnormals()
    update(plan, 0, plan[PACKED_SIZE], update_number)
    restore_subnormals(state)
    return 0


def predict(plan, first, last):
    """Outputs of samples first ... last - 1."""
    output = layer_record(plan, plan[LAYERS] - 1)
    columns = output[FAN_OUT]
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        load(plan, first, rows)
        forward(plan, rows)
        copy_rows(reals(output[ACTIVATIONS]), output[STRIDE], rows, columns, at(reals(plan[OUTPUT]), first * columns))
        first += rows
    restore_subnormals(state)
    return 0


def evaluate(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0]; divided, so that all samples make the mean."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        add_loss(plan, 0, forward_and_loss(plan, first, rows, plan[SAMPLES]))
        first += rows
    restore_subnormals(state)
    return 0


def gradient(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0] and its gradient to GRADIENT, cleared when first is 0."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        add_loss(plan, 0, forward_and_loss(plan, first, rows, plan[SAMPLES]))
        backward(plan, first, rows, first > 0, 0)
        first += rows
    restore_subnormals(state)
    return 0


def run(plan, first_step, last_step):
    """Train from one step to another, over any number of epochs; returns the step before which it stopped.

    That is last_step, or less when the loss or a parameter is no longer finite.
    """
    samples, batch_size, steps = plan[SAMPLES], plan[BATCH_SIZE], plan[STEPS]
    state = flush_subnormals()
    step = first_step
    going = True
    while going and step < last_step:
        epoch = quotient(step, steps)
        first = (step - epoch * steps) * batch_size
        rows = min(batch_size, samples - first)
        if first == 0 and plan[ORDER] != 0:
            shuffle(plan[KEY], plan[FIRST_EPOCH] + epoch, integers(plan[ORDER]), samples)
        value = forward_and_loss(plan, first, rows, rows)
        add_loss(plan, epoch, value)
        going = plan[STOP_AT_NONFINITE] == 0 or value - value == 0.0
        if going:
            update_number = plan[FIRST_UPDATE] + step + 1
            backward(plan, 0, rows, False, update_number)
            if plan[UPDATE_FIRST] == 0:
                update(plan, 0, plan[PACKED_SIZE], update_number)
            if first + rows == samples:
                going = end_epoch(plan) != 0
            if going:
                step += 1
                plan[STEPS_DONE] = step
    restore_subnormals(state)
    return step


def forward_and_loss(plan, first, rows, samples):
    load(plan, first, rows)
    load_targets(plan, first, rows)
    forward(plan, rows)
    return loss(plan, rows, samples)


def add_loss(plan, epoch, value):
    losses = doubles(plan[LOSSES])
    losses[epoch] = losses[epoch] + value / (plan[SAMPLES] * plan[VALUE_DIVISOR])


def end_epoch(plan):
    """Keep the parameters of an epoch that ended well; 0 if it did not."""
    if plan[STOP_AT_NONFINITE] != 0 and all_finite(reals(plan[PACKED]), plan[PACKED_SIZE]) == 0:
        return 0
    unpack(plan, plan[CANONICAL], plan[PACKED])
    return 1
