"""Rows that are held out of training."""

from __future__ import annotations  # naming numpy.random would import it

import numpy as np

from ..kernels.base.arrays import Array


def split_rows(
    n_rows: int, fraction: float, rng: np.random.Generator, codes: Array | None = None
) -> tuple[Array, Array]:  # fmt: skip
    """Draw training and held-out rows; given the codes of classes, each in proportion and always in training."""
    order = rng.permutation(n_rows)
    groups = np.zeros(n_rows, np.int64) if codes is None else codes
    by_group = order[np.argsort(groups[order], kind="stable")]
    held_out = []
    owed = 0.5  # what rounding left is carried on to the next class: many small classes still yield a test part
    for rows in np.split(by_group, np.cumsum(np.bincount(groups))[:-1]):
        owed += fraction * len(rows)
        taken = max(0, min(int(owed), len(rows) - 1))
        owed -= taken
        held_out.append(rows[:taken])
    test = np.sort(np.concatenate(held_out))
    return np.setdiff1d(order, test), test


def classes_of(y: Array, kind: str) -> Array | None:
    """The codes of classes that targets tell, by the kind that their loss takes; None if they tell none.

    Labels and rows of probabilities do, and a column of zeros and ones.
    """
    if kind == "classes":
        return y if y.ndim == 1 else y.argmax(axis=1)
    if kind == "probabilities" and y.shape[1] == 1 and np.isin(y, (0, 1)).all():
        return y[:, 0].astype(np.int64)
    return None
