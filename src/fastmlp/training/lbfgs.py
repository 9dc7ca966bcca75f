"""L-BFGS by SciPy, on the flat vector of parameters."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.records import frozen
from ..kernels.base.settings import FROM_1, NOT_NEGATIVE, Settings, setting
from ..kernels.runtime.folding import parts
from ..kernels.runtime.plan import Model
from ..kernels.runtime.sparse_rows import Samples
from .history import History
from .loop import ALL_TRAINED

if TYPE_CHECKING:
    from .watching import Watcher


@frozen
class LBFGS(Settings):
    """Quasi-Newton steps with a line search, on all samples at once: for small tables and exact fits. Needs SciPy.

    An epoch is an iteration, which may look at the samples several times; training ends early where there is no more
    to gain. Nothing is kept for a further call, which begins afresh. Of `train`'s arguments, those of penalties other
    than `l2`, of noise, dropout, learning rates and `resume` do not go along; losses are those at the end of an epoch.

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


def of_weights(model: Model, value: float) -> Array:
    """A canonical vector that is this for weights, and 0 for all else."""
    vector = np.zeros(model.parameter_count)
    for weights, *_ in parts(model, vector):
        weights[...] = value
    return vector


class Descent:
    """Iterations on a network's parameters: each is an epoch, which may be looked at as those of kernels are.

    Tries are made on a copy. What the network takes over from it may be taken over again: see `underway.Underway`.
    """

    def __init__(
        self,
        network: Any,
        data: tuple[Samples, Array, Array | None],
        l2: float,
        history: History,
        watch: "Watcher | None",
    ) -> None:
        self._network, self._history, self._watch = network, history, watch
        self._penalties = of_weights(network._model, l2)
        self._accepted: Array = network._parameters.copy()  # by the last iteration
        self._tried = self._accepted.copy()
        self._executor = network._backend.executor(network._model, self._tried)
        self._evaluate = self._executor.gradients(*data)
        self._first_epoch, self._loss, self._last_finite = network._state.epochs, 0.0, np.inf
        self._unseen, self._assigned = False, False  # an iteration; new parameters, by a callback
        self.ended = False  # by itself: then the network goes back to its best epoch, if that is wanted

    def start(self) -> Array:
        """The network's parameters, as SciPy begins with them."""
        self._assigned = False
        vector = self._accepted.astype(np.float64)
        if not math.isfinite(self._objective(vector)[0]):
            raise FloatingPointError(f"the loss must be finite to begin with optimizer 'lbfgs', got {self._loss}")
        return vector

    def run(self, minimize: Callable[..., Any], start: Array, settings: LBFGS, epochs: int) -> None:
        """Minimize until the history says why it ended."""
        options = {
            "maxcor": settings.memory, "gtol": settings.tolerance, "ftol": settings.loss_tolerance, "maxfun": 2**31 - 1,
        }  # fmt: skip
        self._began = time.perf_counter()
        while self._history.stopped is None:
            try:
                result = minimize(
                    self._finite, start, jac=True, method="L-BFGS-B", callback=lambda x: self._accept(x),
                    options=options | {"maxiter": epochs - self._history.epochs},
                )  # fmt: skip
            except _Ended:
                if self._history.stopped is None:
                    start = self.start()
                continue
            reason = "The minimum was found." if result.success else f"SciPy stopped: {result.message}."
            self._look(ALL_TRAINED if self._history.epochs == epochs else reason)

    def _finite(self, x: Array) -> tuple[float, Array]:
        """What SciPy minimizes. It asks for more when an iteration was not the last: the time to look at that."""
        self._look()
        if self._assigned or (self._watch is not None and self._watch.stops()):
            raise _Ended
        value, gradient = self._objective(x)
        if np.isfinite(value) and np.isfinite(gradient).all():
            self._last_finite = value
            return value, gradient
        return 2 * abs(self._last_finite) + 1, np.zeros(len(x))  # a hill: the line search turns back

    def _objective(self, x: Array) -> tuple[float, Array]:
        with np.errstate(over="ignore"):
            self._tried[...] = x
        self._executor.changed()
        self._loss, gradient = self._evaluate()
        penalty = self._penalties * x
        return self._loss + float(penalty @ x) / 2, gradient + penalty

    def _accept(self, x: Array) -> None:
        now = time.perf_counter()
        self._accepted[...] = x
        self._history._add([self._loss], seconds=[now - self._began])
        self._began, self._unseen = now, True

    def _look(self, reason: str | None = None) -> None:
        """Look at the last iteration, if nobody has; it was the last of all for that reason, if there is one."""
        if self._unseen and self._watch is not None:
            self._watch.look(self, well=True, reason=reason)
        self._unseen = False
        self._history._stopped = self._history.stopped or reason

    def collect(self) -> None:
        """Have the network be as the last iteration left it."""
        network = self._network
        with network._computer.lock:
            network._parameters[...] = self._accepted
            network._state = network._state._replace(epochs=self._first_epoch + self._history.epochs)
            network._parameters_changed()

    def finish(self) -> None:
        """Take over everything."""
        network, best = self._network, None if self._watch is None else self._watch.best
        self.collect()
        network._become(_history=self._history, _at=None, _best=None)
        if best is not None and self.ended:
            network._go_back(best)
        network._unsettled = None

    def restart(self) -> None:
        """Go on from the network's parameters, which a callback has assigned."""
        self._accepted, self._assigned = self._network._parameters.copy(), True


class _Ended(Exception):
    """Leads out of SciPy."""


def train(
    network: Any, X: Samples, y: Array, weights: Array | None, epochs: int, settings: LBFGS, l2: float,
    watch: "Watcher | None",
) -> History:  # fmt: skip
    """`NeuralNetwork.train`, from arguments that are checked."""
    minimize = find_minimizer()
    history = watch.history if watch is not None else History()
    history._resumable = False
    descent = Descent(network, (X, y, weights), l2, history, watch)
    start = descent.start()
    network._state = network._state.begun(None)
    network._owe(descent.finish)
    try:
        if watch is not None:
            watch.begin(descent.collect)
        descent.run(minimize, start, settings, epochs)
        descent.ended = True
    finally:
        try:
            descent.finish()
        finally:
            if watch is not None:
                watch.end()
    return history
