"""The solver "lbfgs": SciPy's, on scikit-learn's objective."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..kernels.base.arrays import Array
from ..kernels.runtime.sparse_rows import Samples
from ..training.lbfgs import LBFGS, find_minimizer, of_weights
from ..training.weights import normalized
from .callbacks import FitCallbacks
from .fitted import layers_of
from .targets import Target
from .threads import one_thread_in_blas


class Objective:
    """The loss with its penalty, and the gradient, of a canonical vector."""

    def __init__(self, network: Any, alpha: float, X: Samples, target: Target, weights: Array | None) -> None:
        self._network = network
        own = target.own_divisor(network.layer_sizes[-1])
        self._value_factor = own / (target.value_divisor or own)
        self._gradient_factor = own / (target.delta_divisor or own)
        self._constant = target.constant(weights)
        self._evaluate = network._executor.gradients(X, target.values, normalized(weights))
        total = len(X) if weights is None else float(weights.sum())
        self._shrink = of_weights(network._model, alpha / total)

    def __call__(self, x: Array) -> tuple[float, Array]:
        with np.errstate(over="ignore"):
            self._network._parameters[...] = x
        self._network._executor.changed()
        loss, gradient = self._evaluate()
        penalty = self._shrink * x
        value = self._value_factor * loss + self._constant + float(penalty @ x) / 2
        return value, self._gradient_factor * gradient + penalty


def minimize(
    estimator: Any,
    network: Any,
    X: Samples,
    target: Target,
    weights: Array | None,
    callbacks: FitCallbacks | None,
) -> bool:
    """Bring the network to the minimum, or to where SciPy gave up; whether all its numbers are finite."""
    settings = estimator.solver if isinstance(estimator.solver, LBFGS) else LBFGS(tolerance=float(estimator.tol))
    objective = Objective(network, estimator.alpha, X, target, weights)
    options = {
        "maxiter": estimator.max_iter, "maxfun": estimator.max_fun, "maxcor": settings.memory,
        "gtol": settings.tolerance, "ftol": settings.loss_tolerance,
    }  # fmt: skip
    done = 0

    def show(intermediate_result: Any) -> None:
        nonlocal done
        done += 1
        print(f"Iteration {done}, loss = {intermediate_result.fun:.8f}")

    start = network._parameters.astype(np.float64)
    minimizer, callback = find_minimizer(), show if estimator.verbose else None
    with one_thread_in_blas():
        result = minimizer(objective, start, jac=True, method="L-BFGS-B", options=options, callback=callback)
    network._state = network._state.begun(None)
    network._parameters[...] = result.x
    network._parameters_changed()
    estimator.n_iter_, estimator.loss_ = min(result.nit, estimator.max_iter), float(result.fun)
    if result.status != 0:
        more = f"a larger max_iter than {estimator.max_iter} or " if result.nit >= estimator.max_iter else ""
        warnings.warn(
            f"lbfgs has not converged after {result.nit} iterations ({result.message.strip(': .')}): what may help is "
            f"{more}data of similar scales, see sklearn.preprocessing.",
            ConvergenceWarning,
            stacklevel=6,
        )
    if callbacks is not None:
        callbacks.epoch_ends(lambda: layers_of(network, network._parameters.copy()), last=True)
    return bool(np.isfinite(network._parameters).all())
