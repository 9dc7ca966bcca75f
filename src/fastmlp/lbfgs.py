"""L-BFGS by SciPy, on the flat vector of parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .kernels.plan import Array
from .kernels.settings import FROM_1, NOT_NEGATIVE, Settings, setting
from .training import ALL_TRAINED

Objective = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class LBFGS(Settings):
    """Quasi-Newton steps with a line search, on all samples at once: for small tables and exact fits. Needs SciPy.

    An epoch is an iteration, which may look at the samples several times; training ends early where there is no more
    to gain. Nothing is kept for a further call, which begins afresh.

    Parameters
    ----------
    memory : int, default 10
        How many of the last steps the curvature is estimated from.
    tolerance : float, default 1e-5
        Stop when no derivative is larger than this.
    loss_tolerance : float, default 2e-9
        Stop when an iteration makes the loss less by no more than this part of it, or of 1 if that is larger.

    Raises
    ------
    ValueError
        If a setting is none of what is allowed.

    References
    ----------
    R. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound constrained optimization", 1995; as
    `scipy.optimize.minimize` has it, without bounds.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.LBFGS(memory=20)
    LBFGS(memory=20, tolerance=1e-05, loss_tolerance=2e-09)
    """

    name: ClassVar[str] = "lbfgs"
    full_batch: ClassVar[bool] = True
    memory: int = setting(10, FROM_1)
    tolerance: float = setting(1e-5, NOT_NEGATIVE)
    loss_tolerance: float = setting(2e-9, NOT_NEGATIVE)


def find_minimizer() -> Callable[..., Any]:
    """SciPy's."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("SciPy must be installed for optimizer 'lbfgs': `pip install fastmlp[scipy]`") from None
    found: Callable[..., Any] = minimize
    return found


def descend(objective: Objective, start: Array, settings: LBFGS, epochs: int, accept: Callable[[Array], None]) -> str:
    """Minimize, telling `accept` each iteration's vector; why it ended. At the start the objective is finite."""
    last = [np.inf]  # value where it was finite

    def finite(x: Array) -> tuple[float, Array]:
        value, gradient = objective(x)
        if np.isfinite(value) and np.isfinite(gradient).all():
            last[0] = value
            return value, gradient
        return 2 * abs(last[0]) + 1, np.zeros(len(x))  # a hill: the line search turns back

    options = {
        "maxcor": settings.memory, "gtol": settings.tolerance, "ftol": settings.loss_tolerance, "maxiter": epochs,
        "maxfun": 2**31 - 1,
    }  # fmt: skip
    result = find_minimizer()(finite, start, jac=True, method="L-BFGS-B", callback=lambda x: accept(x), options=options)
    if result.nit == epochs:
        return ALL_TRAINED
    return "The minimum was found." if result.success else f"SciPy stopped: {result.message}."
