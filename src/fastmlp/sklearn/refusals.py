"""What a fit refuses, and that nothing has changed then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..kernels.errors import require
from ..kernels.plan import Array


@contextmanager
def unchanged_if_refused(estimator: Any) -> Iterator[None]:
    """Bring back its attributes if what is done inside ends in an error. There they are replaced, never changed."""
    before = dict(vars(estimator))
    try:
        yield
    except Exception:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def require_weight(argument: str, weights: Array) -> None:
    """Refuse weights that are all 0, or too large to be summed."""
    total = weights.sum()
    require(0 < total < np.inf, argument, "such that the sum of weights is a number above 0", float(total))


def require_same(data: str, X: Any, y: Any, wanted: Array) -> None:
    """Refuse other data with other numbers of samples, or of outputs than are wanted."""
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"{data} must be of as many samples as targets, got {X.shape[0]} and {y.shape[0]}")
    if _columns(y) != _columns(wanted):
        raise ValueError(f"{data} must be of {_columns(wanted)} outputs, got {_columns(y)}")


def _columns(y: Any) -> int:
    return 1 if y.ndim == 1 else int(y.shape[1])
