"""Metrics: what people want to know of outputs, beside the loss. A new one is a function and a row of the table."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks.constancy import varies
from ..kernels.base.arrays import Array
from ..kernels.base.errors import one_of, require, shortened
from ..kernels.base.records import Record, frozen
from ..kernels.base.settings import to_text
from ..kernels.functions.function import Function, name_of, numbers_of, row_of
from ..kernels.functions.losses import LOSSES
from .history import UNMONITORED

MetricFunction = Callable[[Array, Array], Any]

# --- functions of the targets, labels (n,) or rows (n, outputs), and of the network's outputs (n, outputs)


def accuracy(y: Array, outputs: Array) -> float:
    """The share of samples in their class; where each output is a yes or no of its own, the share of right answers."""
    truth, answer = answers(y, outputs)
    return float(np.mean(truth == answer))


def balanced_accuracy(y: Array, outputs: Array) -> float:
    """The accuracy within each class that occurs, averaged over these classes."""
    truth, answer = (values.ravel() for values in answers(y, outputs))
    return float(np.mean([np.mean(answer[truth == label] == label) for label in np.unique(truth)]))


def r2(y: Array, outputs: Array) -> float:
    """1 - the sum of squared errors / that of deviations from the mean, averaged over outputs; NaN where y is constant.

    A constant output has no deviations to explain.
    """
    y = y.astype(np.float64)
    mean = y.mean(axis=0)  # of equal numbers, it may be another by rounding
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        errors, deviations = np.sum((y - outputs) ** 2, axis=0), np.sum((y - mean) ** 2, axis=0)
        return float(np.mean(np.where(varies(np.sqrt(deviations / len(y)), mean), 1 - errors / deviations, np.nan)))


def mean_absolute_error(y: Array, outputs: Array) -> float:
    return float(np.mean(np.abs(y.astype(np.float64) - outputs)))


def root_mean_squared_error(y: Array, outputs: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean((y.astype(np.float64) - outputs) ** 2)))


def answers(y: Array, outputs: Array) -> tuple[Array, Array]:
    """What is right and what the network says: class labels (n,), or yes and no (n, outputs)."""
    return (y, outputs.argmax(axis=1)) if y.ndim == 1 else (y > 0.5, outputs > 0.5)


@frozen
class Metric(Record):
    """A row of the table, or one made of a user's function."""

    name: str
    function: MetricFunction
    greater_is_better: bool
    targets: tuple[str, ...] | None = None  # of the losses that it suits (see `losses.LossRow`); None: all
    formula: str = ""  # of targets y and outputs a
    source: str = ""


AMOUNTS = ("real numbers", "non-negative", "positive", "probabilities")
ANSWERS = ("classes", "probabilities")
METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, True, ANSWERS, "the share of answers that are right"),
        Metric(
            "balanced_accuracy", balanced_accuracy, True, ANSWERS, "the mean, over classes, of the accuracy in each",
            'K. Brodersen, C. Ong, K. Stephan, J. Buhmann, "The balanced accuracy and its posterior distribution", '
            "ICPR 2010",
        ),
        Metric("r2", r2, True, AMOUNTS, "1 - sum (a - y)^2 / sum (y - mean y)^2, in the mean over outputs"),
        Metric("mean_absolute_error", mean_absolute_error, False, AMOUNTS, "mean |a - y|"),
        Metric("root_mean_squared_error", root_mean_squared_error, False, AMOUNTS, "sqrt(mean (a - y)^2)"),
    )
}  # fmt: skip
TAKEN = ("epoch", "loss", "validation_loss", *UNMONITORED)  # names of a history's other columns


def metrics(value: Any, loss: str | Function) -> list[Metric]:
    """Check the argument: names of the table, functions, or a list of them."""
    chosen = [metric_of(one, loss) for one in (value if isinstance(value, list | tuple) else [value])]
    names = [one.name for one in chosen]
    for name in names:
        require(
            names.count(name) == 1 and name not in TAKEN, "metrics", "of different names, none of another column", name
        )
    return chosen


def metric_of(value: Any, loss: str | Function, argument: str = "metrics") -> Metric:
    """Check one metric."""
    suited = suited_metrics(loss)
    rule = f"{one_of(suited)}, or a function" if suited else "a function"
    rule += f" for loss '{name_of(loss)}'"
    if callable(value):
        name = str(getattr(value, "__name__", type(value).__name__))
        return Metric(name, value, bool(getattr(value, "greater_is_better", True)))
    chosen = to_text(value)
    if chosen is None:
        raise TypeError(f"{argument} must be {rule}, got {shortened(value)}")
    require(chosen in suited, argument, rule, value, suited)
    return METRICS[chosen]


def suited_metrics(loss: str | Function) -> list[str]:
    """The names of the table's metrics that make sense of such targets and outputs."""
    row = row_of(LOSSES, loss)
    if row.outputs_per_target(numbers_of(LOSSES, loss)) != 1:
        return []  # outputs are not what the target is to be: only users know what they mean
    return [name for name, metric in METRICS.items() if metric.targets and row.targets in metric.targets]


def value_of(metric: Metric, y: Array, outputs: Array, loss: str | Function) -> float:
    """The metric's value for targets as `array_checks.targets` leaves them.

    A user's function gets views that it cannot write to: what it changed would be trained on, or measured by others.

    Raises
    ------
    TypeError
        If a user's function returns no number.
    """
    if metric.targets is not None and row_of(LOSSES, loss).targets == "classes" and y.ndim == 2:
        y = y.argmax(axis=1)  # rows of probabilities
    try:
        value = metric.function(_read_only(y), _read_only(outputs))
    except ValueError as error:
        if "read-only" in str(error):
            error.add_note(f"Metric {metric.name!r} must not change y and outputs: y.copy() may be changed.")
        raise
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metrics must be functions that return a number, got {shortened(value)}") from None


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
