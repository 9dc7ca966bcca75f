"""Scores that early stopping asks for after every epoch: scikit-learn's own look at their arguments for longer than
tiny networks train."""

from typing import Any

import numpy as np

from ..kernels.base.arrays import Array


def accuracy(y: Array, outputs: Array, weights: Array | None = None) -> float:
    """Of labels (n,), or of (n, outputs) of which each is a question of its own, and all must be right.

    NaN if outputs are not finite.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    right = outputs.argmax(axis=1) == y if y.ndim == 1 else ((outputs > 0.5) == y).all(axis=1)
    return float(np.average(right, weights=weights))


def always_right(y: Array, outputs: Array, weights: Array | None = None) -> float:
    """The accuracy where there is one class only: nothing else is predicted."""
    return 1.0


def r2(y: Array, outputs: Array, weights: Array | None = None) -> float:
    """1 - the sum of squared errors / that of deviations, in the mean over outputs; NaN if outputs are not finite.

    Where y is constant it is 1 if there are no errors, and 0 if there are.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    y = y.astype(np.float64)
    factor: Any = 1.0 if weights is None else weights[:, np.newaxis]
    with np.errstate(over="ignore", invalid="ignore"):  # on the way to divergence
        errors = np.sum(factor * (y - outputs) ** 2, axis=0)
        deviations = np.sum(factor * (y - np.average(y, axis=0, weights=weights)) ** 2, axis=0)
        there_are = deviations != 0
        ratio = errors / np.where(there_are, deviations, 1.0)
    return float(np.mean(np.where(there_are, 1 - ratio, np.where(errors == 0, 1.0, 0.0))))
