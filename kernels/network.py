"""A network's work on rows of samples: the phases, and the loops that join them.

Ranks share a batch twice. Its rows: each rank takes its own through the layers, forward and down again. Then, after a
meeting, its parameters: each rank sums the gradient of its own over all rows, and updates them while the gradient is in
the cache. After a second meeting, the next step may read them. Every number is computed by one rank in the same way as
a single one would: the bits do not depend on how many there are.
"""

from .layout import (
    ACTIVATIONS,
    BACKWARD,
    BATCH_SIZE,
    CANONICAL,
    CONSTANTS,
    DELTA,
    DELTA_DIVISOR,
    FAN_IN,
    FAN_OUT,
    FIRST_EPOCH,
    FIRST_UPDATE,
    FORWARD,
    GRADIENT,
    INPUT_DELTA,
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
    PART,
    PREPARE,
    RANK,
    RANKS,
    ROW_LOSSES,
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
    copy_rows,
    layer_record,
    panel_width,
    unpack,
)
from .matmul import input_gradient, panel_gradient, weighted_sums
from .matvec import input_gradient_of_row, panel_gradient_of_row, weighted_sums_of_row
from .random import shuffle
from .ranks import all_agree, meet, share_of_panel_rows, share_of_rows
from .simd import (
    LANES,
    PANEL,
    accumulate,
    at,
    call,
    doubles,
    flush_subnormals,
    integers,
    load_first,
    quotient,
    real,
    reals,
    restore_subnormals,
    stay_apart,
    store,
    to_reals,
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
            for j in range(0, columns, LANES):
                store(target, i * stride + j, to_reals(load_first(row, j, columns - j)))
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


# --- phases, for rows `first` ... `first + rows - 1` of the batch


def load_samples(plan, sample, first, rows):
    """Gather samples from `sample` on in X."""
    stride = plan[INPUTS_STRIDE]
    call(
        plan[X_GATHER], plan[X], plan[X_ROW], plan[X_COLUMN], plan[ORDER], sample, rows,
        layer_record(plan, 0)[FAN_IN], at(reals(plan[INPUTS]), first * stride), stride,
    )  # fmt: skip


def load_targets(plan, sample, first, rows):
    """Gather the same samples' targets."""
    last = layer_record(plan, plan[LAYERS] - 1)
    stride = last[STRIDE]
    call(
        plan[Y_GATHER], plan[Y], plan[Y_ROW], plan[Y_COLUMN], plan[ORDER], sample, rows, last[FAN_OUT],
        at(reals(plan[TARGETS]), first * stride), stride,
    )  # fmt: skip


def forward(plan, first, rows):
    """Weighted sums and activations of every layer, from INPUTS."""
    stride = plan[INPUTS_STRIDE]
    forward_from(plan, at(reals(plan[INPUTS]), first * stride), stride, first, rows)


def forward_from(plan, a, stride, first, rows):
    """The same from samples that are `stride` apart."""
    if rows == 1:  # then it is the only one of the batch
        forward_row(plan, a)
        return
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        a_stride, stride = stride, layer[STRIDE]
        z = at(reals(layer[ACTIVATIONS]), first * stride)
        weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
        weighted_sums(rows, a, a_stride, weights, layer[FAN_IN], layer[WIDTH], z, stride)
        if layer[FORWARD] != 0:
            call(layer[FORWARD], z, rows, layer[FAN_OUT], stride)
        a = z


def forward_row(plan, a):
    """The same for one row, the first."""
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        z = reals(layer[ACTIVATIONS])
        weighted_sums_of_row(a, at(reals(plan[PACKED]), layer[PACKED_OFFSET]), layer[FAN_IN], layer[WIDTH], z)
        if layer[FORWARD] != 0:
            call(layer[FORWARD], z, 1, layer[FAN_OUT], layer[STRIDE])
        a = z


def loss(plan, first, rows, samples):
    """Losses of rows; delta = the gradient of the mean over `samples` in the last layer."""
    last = layer_record(plan, plan[LAYERS] - 1)
    stride = last[STRIDE]
    call(
        plan[LOSS], at(reals(last[ACTIVATIONS]), first * stride), at(reals(plan[TARGETS]), first * stride),
        at(reals(last[DELTA]), first * stride), at(doubles(plan[ROW_LOSSES]), first),
        rows, last[FAN_OUT], stride, 1.0 / (samples * plan[DELTA_DIVISOR]),
    )  # fmt: skip


def backward(plan, first, rows):
    """The delta of every layer from that of the last, and of the inputs if it is wanted."""
    l = plan[LAYERS] - 1
    while l >= 0:
        layer = layer_record(plan, l)
        inputs, outputs, width, stride = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH], layer[STRIDE]
        delta = at(reals(layer[DELTA]), first * stride)
        if layer[BACKWARD] != 0:
            call(layer[BACKWARD], at(reals(layer[ACTIVATIONS]), first * stride), delta, rows, outputs, stride)
        if plan[UPDATE_FIRST] != 0:
            descend(plan, l, rows)
        below, below_stride = plan[INPUT_DELTA], plan[INPUTS_STRIDE]
        below_width = below_stride
        if l > 0:
            layer_below = layer_record(plan, l - 1)
            below, below_stride, below_width = layer_below[DELTA], layer_below[STRIDE], layer_below[WIDTH]
        if below != 0:
            target = at(reals(below), first * below_stride)
            weights = at(reals(plan[PACKED]), layer[PACKED_OFFSET])
            if rows == 1:
                input_gradient_of_row(delta, weights, inputs, outputs, width, target, below_width)
            else:
                input_gradient(
                    rows, delta, stride, weights, inputs, outputs, width, reals(plan[TRANSPOSED]),
                    reals(plan[CONSTANTS]), target, below_stride, below_width,
                )  # fmt: skip
        l -= 1


# --- phases, for the parameters


def gradient_of_part(plan, l, column, first, last, rows, adding, target):
    """Rows `first` ... `last - 1` of the panel that begins at a column of layer l, from all `rows` of the batch."""
    layer = layer_record(plan, l)
    w, stride = panel_width(column, layer[WIDTH]), layer[STRIDE]
    a, a_stride = plan[INPUTS], plan[INPUTS_STRIDE]
    if l > 0:
        layer_below = layer_record(plan, l - 1)
        a, a_stride = layer_below[ACTIVATIONS], layer_below[STRIDE]
    delta = at(reals(layer[DELTA]), column)
    if rows == 1 and not adding:
        panel_gradient_of_row(reals(a), delta, w, first, last, target)
    else:
        panel_gradient(rows, reals(a), a_stride, delta, stride, w, first, last, reals(plan[CONSTANTS]), adding, target)


def gradient_of_layers(plan, rows, adding):
    """The gradient as a whole, added to what is there or in its place."""
    for l in range(plan[LAYERS]):
        layer = layer_record(plan, l)
        height = 1 + layer[FAN_IN]
        for column in range(0, layer[WIDTH], PANEL):
            target = at(reals(plan[GRADIENT]), layer[PACKED_OFFSET] + column * height)
            gradient_of_part(plan, l, column, 0, height, rows, adding, target)


def descend(plan, l, rows):
    """The optimizer's step for this rank's share of layer l, panel by panel."""
    layer = layer_record(plan, l)
    width, height = layer[WIDTH], 1 + layer[FAN_IN]
    begin, end = share_of_panel_rows(plan, quotient(width + PANEL - 1, PANEL) * height, height)
    part = reals(plan[PART])
    for column in range(0, width, PANEL):
        first, last = max(0, begin), min(height, end)
        if first < last:
            w = panel_width(column, width)
            gradient_of_part(plan, l, column, first, last, rows, False, part)
            update(plan, layer[PACKED_OFFSET] + column * height + first * w, part, (last - first) * w)
        begin, end = begin - height, end - height


def update(plan, first, gradient, count):
    """The optimizer's step for parameters first ... first + count - 1 of the packed vector."""
    call(
        plan[OPTIMIZER], at(reals(plan[PACKED]), first), gradient, at(reals(plan[STATE]), first),
        plan[PACKED_SIZE], count, doubles(plan[SETTINGS]),
    )  # fmt: skip


def prepare_update(plan, number):
    """What the optimizer computes once for an update; the first is number 1."""
    if plan[PREPARE] != 0:
        call(plan[PREPARE], doubles(plan[SETTINGS]), number)


# --- what is called from Python: each phase on its own for a batch, samples first ... last - 1, and the phases joined


def forward_phase(plan, first, last):
    """Activations of a batch."""
    state = flush_subnormals()
    load_samples(plan, first, 0, last - first)
    forward(plan, 0, last - first)
    restore_subnormals(state)
    return 0


def loss_phase(plan, first, last):
    """Add the loss of the batch that went forward to LOSSES[0], as part of all samples' mean; fill DELTA."""
    state = flush_subnormals()
    rows = last - first
    load_targets(plan, first, 0, rows)
    loss(plan, 0, rows, plan[SAMPLES])
    add_loss(plan, 0, loss_of_rows(plan, rows))
    restore_subnormals(state)
    return 0


def backward_phase(plan, first, last):
    """The batch's part of GRADIENT, and of INPUT_GRADIENT if it is wanted, from DELTA."""
    state = flush_subnormals()
    backward_and_gradient(plan, first, last - first)
    restore_subnormals(state)
    return 0


def update_phase(plan, number, _):
    """The optimizer's step for all parameters from GRADIENT; updates count from 1."""
    state = flush_subnormals()
    prepare_update(plan, number)
    update(plan, 0, reals(plan[GRADIENT]), plan[PACKED_SIZE])
    restore_subnormals(state)
    return 0


def predict(plan, first, last):
    """Outputs of samples first ... last - 1; returns the sample before which it stopped.

    That is `last`, or less when STOP_AT_NONFINITE is set and a sample of the next batch is not finite. Batches are
    independent: threads with plans of their own may share them.
    """
    output = layer_record(plan, plan[LAYERS] - 1)
    features, columns = layer_record(plan, 0)[FAN_IN], output[FAN_OUT]
    state = flush_subnormals()
    going = True
    while going and first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        samples, stride = reals(plan[INPUTS]), plan[INPUTS_STRIDE]
        if plan[X_GATHER] != 0:
            load_samples(plan, first, 0, rows)
        else:
            stride = plan[X_ROW]
            samples = at(reals(plan[X]), first * stride)
        going = plan[STOP_AT_NONFINITE] == 0 or all_finite(samples, rows, features, stride)
        if going:
            forward_from(plan, samples, stride, 0, rows)
            target = at(reals(plan[OUTPUT]), first * columns)
            copy_rows(rows, columns, reals(output[ACTIVATIONS]), output[STRIDE], target, columns)
            first += rows
    restore_subnormals(state)
    return first


def evaluate(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0]; divided, so that all samples make the mean."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        forward_and_loss(plan, first, 0, rows, plan[SAMPLES])
        add_loss(plan, 0, loss_of_rows(plan, rows))
        first += rows
    restore_subnormals(state)
    return 0


def gradient(plan, first, last):
    """Add the loss of samples first ... last - 1 to LOSSES[0] and its gradient to GRADIENT, cleared when first is 0."""
    state = flush_subnormals()
    while first < last:
        rows = min(plan[BATCH_SIZE], last - first)
        forward_and_loss(plan, first, 0, rows, plan[SAMPLES])
        add_loss(plan, 0, loss_of_rows(plan, rows))
        backward_and_gradient(plan, first, rows)
        first += rows
    restore_subnormals(state)
    return 0


def run(plan, first_step, last_step):
    """Train from one step to another, over any number of epochs; returns the step before which it stopped.

    That is last_step, or less when the loss or a parameter is no longer finite. All ranks call it.
    """
    samples, batch_size = plan[SAMPLES], plan[BATCH_SIZE]
    epoch = quotient(first_step, plan[STEPS])
    first = (first_step - epoch * plan[STEPS]) * batch_size
    state = flush_subnormals()
    step = first_step
    going = True
    while going and step < last_step:
        if first == 0 and plan[ORDER] != 0:
            if plan[RANK] == 0:
                shuffle(plan[KEY], plan[FIRST_EPOCH] + epoch, integers(plan[ORDER]), samples)
            going = meet(plan)
        rows = min(batch_size, samples - first)
        if not going:
            rows = 0
        elif rows == 1 and plan[RANKS] == 1:
            going = step_on_row(plan, epoch, first, plan[FIRST_UPDATE] + step + 1)
        else:
            going = take_step(plan, epoch, first, rows, plan[FIRST_UPDATE] + step + 1)
        first += rows
        if going and first == samples:
            going = end_epoch(plan)
            first = 0
            epoch += 1
        if going:
            step += 1
            plan[STEPS_DONE] = step
    restore_subnormals(state)
    return step


def step_on_row(plan, epoch, sample, number):
    """`take_step` on a batch of one sample, for a network that may be tiny: then every instruction counts."""
    stay_apart()
    load_samples(plan, sample, 0, 1)
    load_targets(plan, sample, 0, 1)
    forward_row(plan, reals(plan[INPUTS]))
    loss(plan, 0, 1, 1)
    value = doubles(plan[ROW_LOSSES])[0]
    add_loss(plan, epoch, value)
    if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
        return False
    prepare_update(plan, number)
    part, packed = reals(plan[PART]), reals(plan[PACKED])
    l = plan[LAYERS] - 1
    while l >= 0:
        layer = layer_record(plan, l)
        inputs, outputs, width, delta = layer[FAN_IN], layer[FAN_OUT], layer[WIDTH], reals(layer[DELTA])
        if layer[BACKWARD] != 0:
            call(layer[BACKWARD], reals(layer[ACTIVATIONS]), delta, 1, outputs, layer[STRIDE])
        if plan[UPDATE_FIRST] != 0:
            descend(plan, l, 1)
        a = plan[INPUTS]
        if l > 0:
            below = layer_record(plan, l - 1)
            a = below[ACTIVATIONS]
            weights = at(packed, layer[PACKED_OFFSET])
            input_gradient_of_row(delta, weights, inputs, outputs, width, reals(below[DELTA]), below[WIDTH])
        if plan[UPDATE_FIRST] == 0:
            if width <= PANEL:
                panel_gradient_of_row(reals(a), delta, width, 0, 1 + inputs, part)
                update(plan, layer[PACKED_OFFSET], part, (1 + inputs) * width)
            else:
                descend(plan, l, 1)
        l -= 1
    return True


def take_step(plan, epoch, sample, rows, number):
    """One step on the batch that begins with this sample; whether its loss is as it should be and all ranks came."""
    stay_apart()
    first, last = share_of_rows(plan, rows)
    if plan[UPDATE_FIRST] != 0:
        prepare_update(plan, number)
    if first < last:
        forward_and_loss(plan, sample + first, first, last - first, rows)
        backward(plan, first, last - first)
    if not meet(plan):
        return False
    value = loss_of_rows(plan, rows)
    if plan[RANK] == 0:
        add_loss(plan, epoch, value)
    if plan[STOP_AT_NONFINITE] != 0 and value - value != 0.0:
        return False
    if plan[UPDATE_FIRST] == 0:
        prepare_update(plan, number)
        for l in range(plan[LAYERS]):
            descend(plan, l, rows)
    return meet(plan)


def forward_and_loss(plan, sample, first, rows, samples):
    load_samples(plan, sample, first, rows)
    load_targets(plan, sample, first, rows)
    forward(plan, first, rows)
    loss(plan, first, rows, samples)


def loss_of_rows(plan, rows):
    """The loss summed over the batch."""
    losses = doubles(plan[ROW_LOSSES])
    value = 0.0
    for i in range(rows):
        value = accumulate(value, losses[i])
    return value


def add_loss(plan, epoch, value):
    losses = doubles(plan[LOSSES])
    losses[epoch] = losses[epoch] + value / (plan[SAMPLES] * plan[VALUE_DIVISOR])


def backward_and_gradient(plan, sample, rows):
    backward(plan, 0, rows)
    gradient_of_layers(plan, rows, sample > 0)
    if plan[INPUT_DELTA] != 0:
        features = layer_record(plan, 0)[FAN_IN]
        target = at(reals(plan[INPUT_GRADIENT]), sample * features)
        copy_rows(rows, features, reals(plan[INPUT_DELTA]), plan[INPUTS_STRIDE], target, features)


def end_epoch(plan):
    """Keep the parameters of an epoch that ended well; whether it did."""
    stay_apart()
    well = True
    if plan[RANK] == 0:
        well = plan[STOP_AT_NONFINITE] == 0 or all_finite(reals(plan[PACKED]), 1, plan[PACKED_SIZE], 0)
        if well:
            unpack(plan, plan[CANONICAL], plan[PACKED])
    return all_agree(plan, well)
