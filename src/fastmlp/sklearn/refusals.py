"""What a fit refuses."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, told
from .held_out import Others


@contextmanager
def named(argument: str, role: str) -> Iterator[None]:
    """Have scikit-learn's complaints begin with the argument that was given in this role: they may name the role."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if argument == role or str(error).startswith(f"{argument} "):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument} must be what {role} may be, got: {told(error)}") from None


def require_weight(argument: str, weights: Array) -> None:
    """Refuse weights that are all 0, or too large to be summed."""
    with np.errstate(over="ignore"):
        total = weights.sum()
    require(0 < total < math.inf, argument, "such that the sum of weights is a number above 0", float(total))


def require_penalty(argument: str, alpha: float, weight: float) -> None:
    """Refuse weights so small that `alpha` divided by their mean, or sum, is no number."""
    if alpha > 0 and not (weight > 0 and alpha / weight < math.inf):
        rule = f"such that alpha = {alpha:g} divided by what samples weigh is a number"
        raise ValueError(f"{argument} must be {rule}, got {weight:g}: multiply all weights by one large factor")


def require_same(others: Others, X: Any, y: Any, wanted: Array) -> None:
    """Refuse other data with other numbers of samples, or of outputs than are wanted."""
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"{others.y_name} must be of as many samples as targets, got {X.shape[0]} and {y.shape[0]}")
    if _columns(y) != _columns(wanted):
        raise ValueError(f"{others.y_name} must be of {_columns(wanted)} outputs, got {_columns(y)}")


def _columns(y: Any) -> int:
    return 1 if y.ndim == 1 else int(y.shape[1])
