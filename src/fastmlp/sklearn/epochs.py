"""What scikit-learn does at the ends of epochs: the rules by which training stops, and what it leaves behind."""

import math
from collections.abc import Callable
from typing import Any

from ..kernels.backends.reference import ReferenceTraining
from ..kernels.base.arrays import Array
from ..kernels.runtime.training import Training
from ..training.history import History
from .callbacks import FitCallbacks
from .fitted import layers_of
from .held_out import HeldOut
from .rates import Adaptive, InverseScaling

SMALLEST_RATE = 1e-6  # "adaptive" gives up at or below


class Epochs:
    """Looks at the training of an estimator's network: see `training.Watch`.

    The kernels run undisturbed up to the first epoch that may be the last, and the losses of all are looked at then,
    unless somebody wants to see every epoch.
    """

    best: None = None  # of the snapshots that `train` goes back to

    def __init__(
        self,
        estimator: Any,
        network: Any,
        samples: int,
        epochs: int,
        held_out: HeldOut | None,
        rates: Any,
        constant: float,
        callbacks: FitCallbacks | None,
    ) -> None:
        self._estimator, self._network, self._samples, self._epochs = estimator, network, samples, epochs
        self._held_out, self._rates, self._callbacks = held_out, rates, callbacks
        self._constant = constant  # what the loss lacks of scikit-learn's
        self._patience, self._tol = float(estimator.n_iter_no_change), float(estimator.tol)
        self._stopped, self._records = False, vars(estimator)
        self._begins = len(estimator.loss_curve_), len(estimator.validation_scores_ or ()), estimator.t_
        self._each = bool(estimator.verbose) or held_out is not None or callbacks is not None
        self.history = History()
        self._first = network._parameters.copy() if estimator.early_stopping else None
        self.best_parameters = None if self._first is None else self._first.copy()
        self.best_epoch = 0
        estimator.n_iter_ = 0

    @property
    def stopped(self) -> bool:
        """Whether it was enough before the last epoch."""
        return self._stopped

    @property
    def _seen(self) -> int:
        epochs: int = self._records["n_iter_"]
        return epochs

    def begin(self, collect: Callable[[], None]) -> None:
        self._collect = collect
        if self._held_out is not None:
            self._held_out.begin(self._network)

    def end(self) -> None:
        """There is nothing to close."""

    def next_look(self) -> int:
        epoch = self.history.epochs
        if self._each:
            return epoch + 1
        return int(min(self._epochs, epoch + max(1, self._patience + 1 - self._estimator._no_improvement_count)))

    def look(self, work: Training | ReferenceTraining, well: bool) -> None:
        if well:
            if self._each:
                self._collect()
            self.catch_up()

    def stops(self) -> bool:
        return self._stopped

    def catch_up(self) -> None:
        """See the epochs that have ended since the last look: all but the last are known to be no reason to stop."""
        for loss in self.history._column("loss", self._seen):
            self._see(loss + self._constant)

    def _see(self, loss: float) -> None:
        """An epoch is noted at once; if Ctrl-C comes before, it is seen again."""
        estimator, records = self._estimator, self._records
        epoch, early_stopping = self._seen + 1, estimator.early_stopping
        noted: dict[str, Any] = {}
        if not early_stopping:
            best = records["best_loss_"]
            in_vain = loss > best - self._tol
            noted["best_loss_"] = min(best, loss)
        score = None
        if self._held_out is not None:
            score = self._held_out.score()
            best = records["best_validation_score_"]
            if early_stopping:
                in_vain = score < best + self._tol
            if score > best:
                noted["best_validation_score_"] = score
                if self.best_parameters is not None:
                    self.best_parameters[...], self.best_epoch = self._network._parameters, epoch
        noted["_no_improvement_count"] = records["_no_improvement_count"] + 1 if in_vain else 0
        self._note(epoch, loss, score, noted)
        if estimator.verbose:
            print(f"Iteration {epoch}, loss = {loss:.8f}")
            if score is not None:
                print(f"Validation score: {score:.6f}")
        if isinstance(self._rates, InverseScaling):  # what the next epoch begins with
            estimator._rate = float(estimator.learning_rate_init / (records["t_"] + 1) ** estimator.power_t)
        if noted["_no_improvement_count"] > self._patience:
            self._had_enough()
        if self._callbacks is not None:
            last = self._stopped or epoch == self._epochs
            self._stopped |= self._callbacks.epoch_ends(self._attributes, last)

    def _note(self, epoch: int, loss: float, score: float | None, noted: dict[str, Any]) -> None:
        """What is done last counts: all before may happen again."""
        records, (losses, scores, samples) = self._records, self._begins
        records["loss_curve_"][losses + epoch - 1 :] = [loss]
        if score is not None:
            records["validation_scores_"][scores + epoch - 1 :] = [score]
        noted["t_"], noted["loss_"], noted["n_iter_"] = samples + epoch * self._samples, loss, epoch
        records.update(noted)

    def _had_enough(self) -> None:
        estimator, then = self._estimator, "Stopping."
        if not isinstance(self._rates, Adaptive):
            self._stopped = True
        elif self._rates.rate <= SMALLEST_RATE:
            self._stopped, then = True, "The learning rate is too small. Stopping."
        else:
            self._rates.rate /= 5
            estimator._rate = self._rates.rate
            estimator._no_improvement_count = 0
            then = f"The learning rate becomes {self._rates.rate:f}."
        if estimator.verbose:
            what = "The validation score" if estimator.early_stopping else "The training loss"
            epochs = f"{estimator.n_iter_no_change} epochs"
            print(f"{what} did not improve by more than tol={estimator.tol:f} for {epochs}. {then}")

    def diverged(self, loss: float) -> None:
        """The last epoch ended in numbers that are not finite: with the best of the epochs before, that is an end."""
        self._note(self._seen + 1, loss, math.nan, {})
        self._stopped = True

    @property
    def best_score(self) -> float:
        """Of the best parameters."""
        return float(self._estimator.best_validation_score_)

    def first_score(self) -> float:
        """Of what the training began with, which the network is from here on."""
        self._network._parameters[...] = self._first
        self._network._executor.changed()
        assert self._held_out is not None
        return self._held_out.score()

    def best_is_better(self) -> bool:
        """Whether the best epoch is better than the beginning, which is the best otherwise."""
        first = self.first_score()
        better = self.best_epoch > 0 and not self.best_score <= first
        if not better:
            assert self.best_parameters is not None
            self.best_parameters[...], self.best_epoch = self._first, 0
            self._estimator.best_validation_score_ = -math.inf if math.isnan(first) else first
        return better

    def _attributes(self) -> dict[str, Any]:
        parameters: Array = self._network._parameters if self.best_parameters is None else self.best_parameters
        return layers_of(self._network, parameters.copy())
