"""Samples on which a score is measured after every epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels.plan import Array
from ..kernels.sparse_rows import Samples

Score = Callable[[Array, Array, Array | None], float]


class HeldOut:
    """Samples, their targets and weights as kernels take them, and the score."""

    def __init__(self, X: Samples, y: Array, weights: Array | None, score: Score) -> None:
        self._X, self._y, self._weights, self._score = X, y, weights, score
        self._executor: Any = None

    def begin(self, network: Any) -> None:
        """Measure this network from now on."""
        self._executor, self._threads = network._executor, network.threads
        self._outputs = np.empty((len(self._X), network.layer_sizes[-1]), network.dtype)

    def score(self) -> float:
        """With the parameters as they are."""
        self._executor.prediction(self._threads).run(self._X, self._outputs, allow_nan=True)
        return self._score(self._y, self._outputs, self._weights)
