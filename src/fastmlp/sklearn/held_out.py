"""Samples on which a score is measured after every epoch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.runtime.sparse_rows import Samples

Score = Callable[[Array, Array, Array | None], float]


class Others(NamedTuple):
    """Samples to measure a score on, as a fit was given them, and by which arguments."""

    X: Any
    y: Any
    weights: Any
    X_name: str = "X_val"
    y_name: str = "y_val"
    weights_name: str = "sample_weight_val"
    first_name: str = "X_val"  # of the arguments that there are


def others(X_val: Any, y_val: Any, sample_weight_val: Any, validation_data: Any) -> Others | None:
    """What `fit` was given in either way.

    Raises
    ------
    ValueError, TypeError
        If it was given both ways, or in part.
    """
    if validation_data is None:
        if X_val is None and y_val is None and sample_weight_val is None:
            return None
        for name, value in (("X_val", X_val), ("y_val", y_val)):
            if value is None:
                raise ValueError(f"{name} must be given with the other arguments of validation, got None")
        return Others(X_val, y_val, sample_weight_val)
    if not (X_val is None and y_val is None and sample_weight_val is None):
        raise ValueError("validation_data must be None beside X_val, y_val and sample_weight_val, got both")
    given = list(validation_data) if isinstance(validation_data, tuple | list) else []
    if not 2 <= len(given) <= 3:
        raise TypeError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got {type(validation_data).__name__}"
        )
    X, y, weights = (*given, None)[:3]
    names = "validation_data[0]", "validation_data[1]", "validation_data[2]"
    return Others(X, y, weights, *names, first_name="validation_data")


class HeldOut:
    """Samples, their targets and weights as kernels take them, and the score."""

    def __init__(self, X: Samples, y: Array, weights: Array | None, score: Score) -> None:
        self._X, self._y, self._weights, self._score = X, y, weights, score
        self._executor: Any = None

    @property
    def data(self) -> tuple[Samples, Array, Array | None]:
        """What the score depends on, beside the network."""
        return self._X, self._y, self._weights

    def begin(self, network: Any) -> None:
        """Measure this network from now on."""
        self._executor, self._threads = network._executor, network.threads
        self._outputs = np.empty((len(self._X), network.layer_sizes[-1]), network.dtype)

    def score(self) -> float:
        """With the parameters as they are."""
        self._executor.prediction(self._threads).run(self._X, self._outputs, allow_nan=True)
        return self._score(self._y, self._outputs, self._weights)
