"""What a fit refuses."""

import math
from typing import Any

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from .held_out import Others


def require_weight(argument: str, weights: Array) -> None:
    """Refuse weights that are all 0, or too large to be summed."""
    total = weights.sum()
    require(0 < total < math.inf, argument, "such that the sum of weights is a number above 0", float(total))


def require_same(others: Others, X: Any, y: Any, wanted: Array) -> None:
    """Refuse other data with other numbers of samples, or of outputs than are wanted."""
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"{others.y_name} must be of as many samples as targets, got {X.shape[0]} and {y.shape[0]}")
    if _columns(y) != _columns(wanted):
        raise ValueError(f"{others.y_name} must be of {_columns(wanted)} outputs, got {_columns(y)}")


def _columns(y: Any) -> int:
    return 1 if y.ndim == 1 else int(y.shape[1])
