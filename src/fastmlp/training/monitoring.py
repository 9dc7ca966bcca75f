"""What is measured when an epoch has ended, and when that is a reason to stop."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import array_checks, sparse, validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.functions.function import row_of
from ..kernels.functions.losses import LOSSES
from ..kernels.runtime.executor import Executor
from ..kernels.runtime.plan import Model
from ..kernels.runtime.sparse_rows import Samples
from .history import History
from .metrics import Metric, metrics, value_of
from .splitting import classes_of, split_rows
from .weights import normalized, weights_of_samples

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceExecutor


class Validation:
    """Data to measure on after every epoch: the validation data, or those of training if there are only metrics."""

    def __init__(
        self, X: Samples, y: Array, chosen: list[Metric], held_out: bool, weights: Array | None = None
    ) -> None:  # fmt: skip
        self._X, self._y, self._weights, self.metrics, self.held_out = X, y, weights, chosen, held_out
        self._evaluate: Callable[[], float]

    @property
    def data(self) -> tuple[Samples, Array, Array | None]:
        """Samples, targets and weights."""
        return self._X, self._y, self._weights

    def is_missing(self, history: History) -> bool:
        """Whether an interrupt came between the end of the history's last epoch and what is measured then."""
        names = [name for name in self._names() if name in history._columns]
        return history.epochs > 0 and any(math.isnan(history._column(name, history.epochs - 1)[0]) for name in names)

    def expect(self, history: History) -> None:
        """Have what is measured in the history: NaN for epochs in which it was not."""
        for name in self._names():
            history._room(name, history.epochs)

    def _names(self) -> list[str]:
        return [*(["validation_loss"] if self.held_out else []), *(metric.name for metric in self.metrics)]

    def begin(self, executor: "Executor | ReferenceExecutor", threads: int | None) -> None:
        """Be ready to measure what this executor's parameters do."""
        self._executor, self._threads = executor, threads
        if self.held_out:
            self._evaluate = executor.evaluation(self._X, self._y, self._weights)

    def measure(self, history: History) -> None:
        """Add the loss, if on data that are held out, and the metrics."""
        executor, values = self._executor, {}
        if self.metrics:
            outputs = np.empty((len(self._X), executor.model.sizes[-1]), executor.model.dtype)
            executor.prediction(self._threads).run(self._X, outputs, allow_nan=True)
            values = {metric.name: value_of(metric, self._y, outputs, executor.model.loss) for metric in self.metrics}
        loss = {"validation_loss": self._evaluate()} if self.held_out else {}
        history._note(**loss, **values)


class Stopping:
    """Follows one curve of a history, and finds its best epoch and reasons to stop.

    A value is better if it is so by more than `min_delta`; what is not finite never is.
    """

    def __init__(
        self, monitor: str, sign: int, patience: int | None, min_delta: float, target: tuple[str, float] | None
    ) -> None:
        self.monitor, self.patience = monitor, patience
        self._sign, self._min_delta, self._target = sign, min_delta, target  # sign: -1 if greater is better
        self.best_epoch, self._best, self._seen = 0, math.inf, 0
        self._began = 0  # after how many epochs, which were measured on other data

    def begin_anew(self, history: History) -> None:
        """The epochs so far were measured on other data: nothing compares with them."""
        self._seen = self._began = history.epochs

    def see(self, history: History) -> bool:
        """Follow the curve to its end; whether that is the best so far."""
        for value in history._column(self.monitor, self._seen):
            self._seen += 1
            value *= self._sign
            if -math.inf < value < self._best - self._min_delta:
                self.best_epoch, self._best = self._seen, value
        return self.best_epoch == self._seen > 0

    def next_look(self) -> int:
        """The first epoch that may be the last."""
        soonest = max(self.best_epoch, self._began) + self.patience if self.patience else self._seen + 2**62
        return self._seen + 1 if self._target else soonest

    def reason(self, history: History) -> str | None:
        """Why to stop after the epoch that was seen last; None: there is no reason."""
        if self._target is not None and self._seen > self._began:
            name, target = self._target
            if history._last()[name] <= target:
                return f"{name} reached target_loss {target:g} in epoch {self._seen}."
        since = max(self.best_epoch, self._began)
        if self.patience and self._seen - since >= self.patience:
            epochs = "1 epoch" if self.patience == 1 else f"{self.patience} epochs"
            return f"{self.monitor} did not improve for {epochs} after epoch {since}."
        return None


# --- from arguments of `train`


def validation_of(
    X: Samples,
    y: Array,
    weights: Array | None,
    model: Model,
    data: Any,
    fraction: Any,
    wanted: Any,
    entropy: "np.random.SeedSequence",
) -> tuple[Samples, Array, Array | None, Validation | None]:
    """The data to train on, with weights, and what to measure on, if anything is to be."""
    chosen = [] if wanted is None else metrics(wanted, model.loss)
    require(data is None or fraction is None, "validation_fraction", "None if there are validation_data", fraction)
    if data is not None:
        return X, y, weights, Validation(*_held_out(data, model, chosen))
    if fraction is not None:
        rule = "a number above 0 and below 1"
        share = validation.real_number("validation_fraction", fraction)
        require(0 < share < 1, "validation_fraction", rule, fraction)
        codes = classes_of(y, row_of(LOSSES, model.loss).targets)
        kept, held = split_rows(len(X), share, np.random.default_rng(entropy), codes)
        rule = f"such that some of {len(X)} samples are held out and some are not"
        require(len(kept) > 0 and len(held) > 0, "validation_fraction", rule, fraction)
        parts = [None, None] if weights is None else [weights[kept], weights[held]]
        weighed = all(part is None or part.any() for part in parts)
        require(weighed, "validation_fraction", "such that some weights on either side are above 0", fraction)
        trained, measured = map(normalized, parts)
        return X[kept], y[kept], trained, Validation(X[held], y[held], chosen, True, measured)
    return X, y, weights, Validation(X, y, chosen, held_out=False) if chosen else None


def _held_out(data: Any, model: Model, chosen: list[Metric]) -> tuple[Samples, Array, list[Metric], bool, Array | None]:
    """What `Validation` is made of, from `validation_data`."""
    given = list(data) if isinstance(data, tuple | list) else []
    if not 2 <= len(given) <= 3:
        raise TypeError(f"validation_data must be (X, y) or (X, y, sample_weight), got {shortened(data)}")
    X = sparse.samples(given[0], model.sizes[0], model.dtype, "validation_data[0]")
    y = array_checks.targets(given[1], len(X), model, "validation_data[1]")
    weights = weights_of_samples(given[2] if len(given) == 3 else None, None, y, model, "validation_data[2]")
    return X, y, chosen, True, normalized(weights)


def stopping_of(
    validated: Validation | None, monitor: Any, patience: Any, min_delta: Any, target_loss: Any
) -> Stopping:  # fmt: skip
    """What to follow, and until when."""
    held_out = validated is not None and validated.held_out
    loss = "validation_loss" if held_out else "loss"
    chosen = {metric.name: metric for metric in (validated.metrics if validated else [])}
    names = ["loss", *(["validation_loss"] if held_out else []), *chosen]
    if monitor is None:
        monitor = loss
    monitor = validation.name_of("monitor", monitor, names)
    if patience is not None:
        patience = validation.positive_integer("patience", patience)
    delta = validation.real_number("min_delta", min_delta)
    require(0 <= delta < math.inf, "min_delta", "a finite number from 0 on", min_delta)
    target = None
    if target_loss is not None:
        target = (loss, validation.real_number("target_loss", target_loss))
        require(math.isfinite(target[1]), "target_loss", "a finite number", target_loss)
    greater = monitor in chosen and chosen[monitor].greater_is_better
    return Stopping(monitor, -1 if greater else 1, patience, delta, target)
