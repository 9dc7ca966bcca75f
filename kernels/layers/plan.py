"""The plan: everything that a kernel reads, in one structure; and the structures that it leads to.

The header of a plan, PLAN, is followed by a LAYER for each layer. Pointers lead to memory that the host keeps. What the
note calls `or none` may be absent: `plan.has_masks` says whether it is there.

Threads that work on one batch are ranks 0, 1, ... Each has a copy of the plan, in which fields marked `own` differ.
Shapes in the notes use the names of fields, and `outputs` and `features` of the network.
"""

from ..functions.normalization import BY_BATCH, NOT
from ..vocabulary.structures import (
    ADDRESS,
    DOUBLE,
    DOUBLES,
    FLAG,
    INTEGER,
    INTEGERS,
    REALS,
    Field,
    Structure,
)

REGULARIZATION = Structure(
    "Regularization",  # 0: not wanted
    Field("l1", DOUBLE),
    Field("l2", DOUBLE),
    Field("weight_decay", DOUBLE),
    Field("clip_value", DOUBLE),
    Field("clip_norm", DOUBLE),
    Field("max_norm", DOUBLE),
    Field("average_decay", DOUBLE),
    Field("alpha", DOUBLE, "l2 of the sum of a batch's losses"),
)

PLAN = Structure(
    "Plan",
    Field("layers", INTEGER),
    Field("samples", INTEGER),
    Field("batch_size", INTEGER, "rows that scratch has room for"),
    Field("steps", INTEGER, "steps in an epoch: batches, the last of which may be smaller"),
    Field("steps_done", INTEGER, "written by `run` as it goes"),
    Field("stopped", FLAG, "written by `run`: it did not come to the last step"),
    Field("first_epoch", INTEGER, "epochs trained before step 0: the shuffle of an epoch depends on its number"),
    Field("first_update", INTEGER, "updates done before step 0"),
    # --- samples
    Field("x", ADDRESS, "the first feature of the first sample"),
    Field("x_row", INTEGER, "elements from one sample to the next"),
    Field("x_column", INTEGER, "elements from one feature to the next"),
    Field("gather_x", ADDRESS, "the function that reads samples, or none: predictions read them in place"),
    Field("x_item", INTEGER, "bytes of a number, where it pays to prefetch samples; 0: it does not"),
    Field("columns", ADDRESS, "columns of the values in x, if samples are sparse (see `sparse.py`), or none"),
    Field("gather_columns", ADDRESS, "the function that reads them"),
    Field("starts", INTEGERS, "[samples + 1]: where samples begin in x and columns"),
    Field("y", ADDRESS, "the first number of the first target"),
    Field("y_row", INTEGER),
    Field("y_column", INTEGER),
    Field("gather_y", ADDRESS, "the function that reads targets"),
    Field("y_item", INTEGER),
    Field("order", INTEGERS, "[samples]: the order of the samples, or none: as they come"),
    Field("shuffle_key", INTEGER),
    Field("twister", INTEGERS, "state that shuffles the last order again (see `twister.py`), or none: the key does"),
    Field("sample_weights", DOUBLES, "[samples]: weights whose mean is 1, or none: samples count alike"),
    # --- results
    Field("output", REALS, "[samples, outputs]"),
    Field("reverse_panels", FLAG, "panels of weights meet a single row from the last one on"),
    Field("counts", INTEGERS, "where threads that predict together count pieces, or none: one predicts alone"),
    Field("input_gradient", REALS, "[samples, features], or none"),
    Field("losses", DOUBLES, "[epochs]"),
    # --- parameters
    Field("canonical", ADDRESS, "the canonical vector of the last epoch that ended with finite numbers"),
    Field("canonical_step", INTEGER, "bytes to where the next epoch's goes; 0: in the same place"),
    Field("packed", REALS, "the packed vector"),
    Field("packed_size", INTEGER),
    Field("gradient", REALS, "a packed vector, or none: the gradient is not wanted as a whole"),
    Field("part", REALS, "a part of the gradient on its way to the update; in registers, all of it", own=True),
    Field("state", REALS, "the optimizer's packed vectors, one after the other"),
    Field("optimizer", ADDRESS, "the function that updates parameters"),
    Field("prepare", ADDRESS, "the function that prepares an update, or none"),
    Field("skips_zero_gradient", FLAG, "an update changes nothing where the gradient is zero"),
    Field("is_plain_sgd", FLAG, "an update subtracts the gradient times the learning rate, and does nothing else"),
    Field("settings", DOUBLES, "the learning rate, the optimizer's settings, and what `prepare` leaves", own=True),
    Field("settings_stride", INTEGER, "numbers from one layer's settings to the next; 0: all have the same"),
    Field("rates", DOUBLES, "learning rates of the updates from `rates_first` on, or none: as in settings"),
    Field("rates_first", INTEGER),
    Field("rate_factors", DOUBLES, "[layers]: factors of the learning rate, 0 for frozen layers, or none: all are 1"),
    Field("lowest_trained", INTEGER, "the first layer that is not frozen"),
    Field("regularization", REGULARIZATION, "or none: nothing but the optimizer's step"),
    Field("average", REALS, "the packed running average of the parameters"),
    Field("squares", DOUBLES, "[packed_size / LANES]: squares of the gradient, or none: no norm is wanted"),
    Field("norms", DOUBLES, "[epochs]: mean norms of the gradient, or none"),
    Field("epoch", INTEGER, "written by `run`: epochs that have gone before", own=True),
    Field("position", INTEGER, "written by `run`: the place of the batch's first sample in the epoch", own=True),
    # --- dropout and noise: see `disturbed.py`
    Field("is_disturbed", FLAG, "there is dropout or noise"),
    Field("disturbance_key", INTEGER),
    Field("noise", DOUBLES, "[1]: the standard deviation of the samples' noise, or none"),
    Field("input_drops", INTEGER, "of 2^32 inputs, so many are dropped"),
    Field("input_mask", REALS, "[batch_size, inputs_stride]: what inputs were multiplied by"),
    Field("dropout", INTEGERS, "a DROPOUT for each layer, or none"),
    # --- normalization: see `normalized.py`
    Field("normalization", INTEGERS, "a NORMALIZATION for each layer, or none"),
    Field("batch_statistics", REALS, "samples' shares of the batch's weight, then statistics of layers", own=True),
    # --- loss
    Field("loss", ADDRESS, "the function of blocks"),
    Field("loss_of_vector", ADDRESS, "the function of vectors: losses, and derivatives times a factor; or none"),
    Field("loss_settings", DOUBLES, "what these functions take"),
    Field("target_columns", INTEGER, "numbers of a sample's target; some losses have more outputs than that"),
    Field("value_divisor", INTEGER, "the loss is its sum over samples and outputs / (samples * value_divisor)"),
    Field("delta_divisor", INTEGER, "its gradient is the sum's / (samples * delta_divisor)"),
    Field("stops_at_nonfinite", FLAG, "stop when a loss, a parameter or a sample is not finite"),
    Field("updates_first", FLAG, "a layer is updated before its delta is passed on: the new weights pass it"),
    Field("in_registers", FLAG, "each layer fits into a vector: see `small.py`"),
    # --- scratch
    Field("inputs", REALS, "[batch_size, inputs_stride], own if column_parallel; in registers: [AHEAD, LANES]"),
    Field("inputs_stride", INTEGER),
    Field("batch_columns", INTEGERS, "the column of each of the inputs, where samples are sparse"),
    Field("batch_places", INTEGERS, "[batch_size, 2]: where the values of a sparse row begin and end"),
    Field("targets", REALS, "[batch_size, stride of the last layer]; in registers: [AHEAD, LANES]"),
    Field("input_delta", REALS, "[batch_size, inputs_stride]: dLoss/dx, or none"),
    Field("row_losses", DOUBLES, "[batch_size]"),
    Field("transposed", REALS, "[widest layer, PANEL]", own=True),
    Field("constants", REALS, "[PANEL + 1]: zeros, then a one"),
    Field("masks", INTEGERS, "what is not zero in the batch (see `zeros.py`), or none: nothing is skipped", own=True),
    Field("large_deltas", INTEGERS, "[1], where there are masks: 1 once deltas of the first layer end their use"),
    # --- ranks
    Field("rank", INTEGER, own=True),
    Field("ranks", INTEGER),
    Field("parts", INTEGER, "of the second layer's sums (see `parts.py`); 0: they are made at once"),
    Field("partial_sums", REALS, "[parts, batch_size, stride of the second layer]"),
    Field("column_parallel", FLAG, "ranks share the first layer's outputs for all rows: see `shared_layer.py`"),
    Field("barrier", INTEGERS, "[PLACES]: zero but for the nap before ranks begin"),
    Field("system_call", ADDRESS, "the function by which a thread that waits leaves its CPU to others, or none"),
    Field("futex", INTEGER, "the number of Linux's system call of this name, its first argument; 0: it takes none"),
)

LAYER = Structure(
    "Layer",
    Field("fan_in", INTEGER),
    Field("fan_out", INTEGER),
    Field("width", INTEGER, "outputs padded to a multiple of LANES"),
    Field("height", INTEGER, "rows of a panel"),
    Field("single_output", FLAG, "there is one output, and weights lie along the inputs: see `single.py`"),
    Field("stride", INTEGER, "numbers from one row of the outputs to the next"),
    Field("canonical_offset", INTEGER),
    Field("packed_offset", INTEGER),
    Field("weighted_sums", REALS, "[batch_size, stride]: z; activations itself unless the derivative is one of z"),
    Field("activations", REALS, "[batch_size, stride]: a"),
    Field("delta", REALS, "[batch_size, stride]: dLoss/da, then dLoss/dz in its place"),
    Field("activate", ADDRESS, "the activation function, or none: identity"),
    Field("chain_derivative", ADDRESS, "the function that multiplies delta by the derivative, or none: by 1"),
    Field("activation_of_vector", ADDRESS, "in registers: the function that makes a and da/dz of z, or none: identity"),
    Field("activation_settings", DOUBLES, "what these functions take"),
)

DROPOUT = Structure(
    "Dropout",
    Field("drops", INTEGER, "of 2^32 activations, so many are dropped"),
    Field("mask", REALS, "[batch_size, stride]: what activations were multiplied by"),
    Field("undropped", REALS, "[batch_size, stride]: activations as they were, or none"),
)

NORMALIZATION = Structure(
    "Normalization",
    Field("kind", INTEGER, "NOT, BY_SAMPLE or BY_BATCH"),
    Field("tail", INTEGER, "where biases, gains, running means and running variances are in the packed vector"),
    Field("sums", REALS, "[batch_size, stride]: z, before it is normalized"),
    Field("delta", REALS, "[batch_size, stride]: dLoss/dy of what the activation takes, or none"),
    Field("statistics", REALS, "by sample: [batch_size, 2], means and 1 / deviations; by batch: a place, no address"),
    Field("settings", DOUBLES, "epsilon and, by batch, momentum"),
)

HEADER, RECORD, DROPOUT_RECORD, NORMALIZATION_RECORD = len(PLAN), len(LAYER), len(DROPOUT), len(NORMALIZATION)


def layer_of(plan, l):
    """The structure of layer 0, 1, ..."""
    return LAYER(plan, HEADER + l * RECORD)


def dropout_of(plan, l):
    return DROPOUT(plan.dropout, l * DROPOUT_RECORD)


def normalization_of(plan, l):
    return NORMALIZATION(plan.normalization, l * NORMALIZATION_RECORD)


def is_normalized(plan, l):
    return plan.has_normalization and normalization_of(plan, l).kind != NOT


def is_frozen(plan, l):
    return plan.has_rate_factors and plan.rate_factors[l] == 0.0


def tail_rows(plan, l):
    """How many rows a normalized layer has after its panels."""
    return 4 if normalization_of(plan, l).kind == BY_BATCH else 2
