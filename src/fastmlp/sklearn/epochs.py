"""What scikit-learn does at the ends of epochs: the rules by which training stops, and what it leaves behind."""

import math
from typing import Any

import numpy as np

from ..history import History
from ..kernels.plan import Array
from ..kernels.reference import ReferenceTraining
from ..kernels.training import Schedule, Training
from .callbacks import FitCallbacks
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
        self._seen, self._stopped = 0, False
        self._each = bool(estimator.verbose) or held_out is not None or callbacks is not None
        self.history = History([])
        self.best_parameters = network._parameters.copy() if estimator.early_stopping else None
        estimator.n_iter_ = 0

    @property
    def stopped(self) -> bool:
        """Whether it was enough before the last epoch."""
        return self._stopped

    @property
    def _patience(self) -> float:
        return float(self._estimator.n_iter_no_change)

    def begin(self, schedule: Schedule) -> None:
        self._network._watched = True
        if self._held_out is not None:
            self._held_out.begin(self._network)

    def end(self) -> None:
        self._network._watched = False

    def next_look(self) -> int:
        epoch = self.history.epochs
        if self._each:
            return epoch + 1
        return int(min(self._epochs, epoch + max(1, self._patience + 1 - self._estimator._no_improvement_count)))

    def look(self, work: Training | ReferenceTraining, well: bool) -> None:
        if well:
            self.catch_up()

    def stops(self) -> bool:
        return self._stopped

    def catch_up(self) -> None:
        """See the epochs that have ended since the last look: all but the last are known to be no reason to stop."""
        for loss in self.history.loss[self._seen :]:
            self._see(loss + self._constant)

    def _see(self, loss: float) -> None:
        estimator = self._estimator
        self._seen += 1
        estimator.n_iter_ += 1
        estimator.t_ += self._samples
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self._held_out is not None:
            self._network._executor.changed()
            self._see_score(self._held_out.score())
        if not estimator.early_stopping:
            self._count(loss > estimator.best_loss_ - estimator.tol)
            estimator.best_loss_ = min(estimator.best_loss_, loss)
        self._estimator._rate = self._rate_after()
        if estimator._no_improvement_count > self._patience:
            self._had_enough()
        if self._callbacks is not None:
            last = self._stopped or self._seen == self._epochs
            self._stopped |= self._callbacks.epoch_ends(self._attributes, last)

    def _see_score(self, score: float) -> None:
        estimator = self._estimator
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:.6f}")
        if estimator.early_stopping:
            self._count(score < estimator.best_validation_score_ + estimator.tol)
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            if self.best_parameters is not None:
                self.best_parameters[...] = self._network._parameters

    def _count(self, in_vain: bool) -> None:
        self._estimator._no_improvement_count = self._estimator._no_improvement_count + 1 if in_vain else 0

    def _rate_after(self) -> float:
        """What the next epoch begins with."""
        estimator = self._estimator
        if isinstance(self._rates, InverseScaling):
            return float(estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t)
        return float(estimator._rate)

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
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        estimator.validation_scores_.append(math.nan)
        self._stopped = True

    def _attributes(self) -> dict[str, Any]:
        parameters: Array = self._network._parameters if self.best_parameters is None else self.best_parameters
        return {**self._estimator._unpacked(np.array(parameters)), "_network_kept": None}
