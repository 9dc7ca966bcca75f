"""Targets as kernels take them, and the loss that scikit-learn makes of them.

scikit-learn's gradient is that of the sum over outputs, where ours is of the mean. It reports half of the mean, or
later of the sum, over outputs for squared errors, sums for the rest, and for Poisson's the deviance, which differs by
what no weight changes.
"""

from dataclasses import replace

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.records import Record, frozen
from ..kernels.functions.function import Function
from ..kernels.functions.losses import divisor


@frozen
class Target(Record):
    """Targets, and what the sum of their losses is divided by, beside the number of samples; None: as fastmlp does."""

    values: Array
    loss: str | Function
    outputs: int
    delta_divisor: int | None = None
    value_divisor: int | None = None
    deviance: bool = False
    strata: Array | None = None  # what parts of the samples are drawn in proportion to

    def of(self, values: Array) -> "Target":
        """The same of other samples."""
        return replace(self, values=values, strata=None)

    def by(self, loss: str | Function) -> "Target":
        """The same by another loss, as fastmlp divides it."""
        return replace(self, loss=loss, delta_divisor=None, value_divisor=None)

    def own_divisor(self, outputs: int) -> int:
        """What fastmlp divides by."""
        return divisor(self.loss, outputs)

    def constant(self, weights: Array | None) -> float:
        """What the mean loss lacks of the deviance."""
        if not self.deviance:
            return 0.0
        y = self.values.astype(np.float64)
        each = np.sum(y * np.log(np.where(y > 0, y, 1.0)) - y, axis=1)
        return float(np.average(each, weights=weights))


def squared_errors(y: Array) -> Target:
    """Half of their mean or sum over outputs; the derivative of a square is divided by 2, too."""
    return Target(y, "mean_squared_error", y.shape[1], 2, _divisor_of_squares(y.shape[1]))


def _divisor_of_squares(outputs: int) -> int:
    """By what the installed scikit-learn divides the sum of a sample's squares.

    Up to 1.9 it reports half of the mean over outputs, though its gradient is that of half of the sum, which later
    versions report. "lbfgs" searches by it, and `tol` is held against it.
    """
    if outputs == 1:
        return 2
    try:
        from sklearn.neural_network._base import LOSS_FUNCTIONS

        value = float(LOSS_FUNCTIONS["squared_error"](np.zeros((1, outputs)), np.ones((1, outputs))))
    except (ImportError, KeyError, TypeError):  # they are private
        value = 0.5
    return round(outputs / value)


def poisson_deviances(y: Array) -> Target:
    """Half of them."""
    return Target(y, "poisson", y.shape[1], 1, 1, deviance=True)


def log_losses(y: Array, classes: int = 0) -> Target:
    """Of labels (n,), or of yes and no (n, outputs)."""
    if y.ndim == 1:
        return Target(y, "categorical_cross_entropy", classes)
    return Target(y, "binary_cross_entropy", y.shape[1], 1, 1, strata=y if y.shape[1] == 1 else None)
