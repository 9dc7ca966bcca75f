"""Names with an underscore that scikit-learn's own tests, and code that looks closely, make use of."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from .fitted import layers_of
from .quasi_newton import Objective
from .targets import log_losses


class Names:
    """What scikit-learn's estimators have beside what is documented."""

    @property
    def _optimizer(self) -> Any:
        """With the learning rate as it is now."""
        if "_rate" not in self.__dict__:
            raise AttributeError("there is no optimizer before steps have been made")
        return SimpleNamespace(learning_rate=self._rate)  # type: ignore[attr-defined]

    def _check_solver(self: Any) -> bool:
        from .parameters import is_by_steps

        if not is_by_steps(self.solver):
            raise AttributeError(f"partial_fit is for solvers that make steps, not for {self.solver!r}")
        return True

    def _loss_grad_lbfgs(
        self: Any, packed: Array, X: Any, y: Any, sample_weight: Any = None, *buffers: Any
    ) -> tuple[float, Array]:  # fmt: skip
        """The objective of "lbfgs" and its gradient; vectors have all weights first, then all biases."""
        shapes = [coef.shape for coef in self.coefs_] + [bias.shape for bias in self.intercepts_]
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
        parts = [part.reshape(shape) for part, shape in zip(np.split(packed, ends[:-1]), shapes, strict=True)]
        layers = len(self.coefs_)
        ordered = [part.ravel() for pair in zip(parts[:layers], parts[layers:], strict=True) for part in pair]
        network = self._network()
        values = y.argmax(axis=1) if self.out_activation_ == "softmax" else y
        objective = Objective(network, self.alpha, X, log_losses(values, y.shape[1]), sample_weight)
        value, gradient = objective(np.concatenate(ordered))
        slopes = layers_of(network, gradient)
        return value, np.concatenate([part.ravel() for part in slopes["coefs_"] + slopes["intercepts_"]])
