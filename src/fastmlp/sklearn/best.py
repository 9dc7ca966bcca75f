"""What is best so far: it counts as long as it is measured on the same data, and training goes on from its weights.

A warm start on other data, or with other samples held out, has nothing to compare its losses or scores with.
"""

from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.runtime.sparse_rows import Samples
from ..training.checksums import checksum
from .held_out import HeldOut
from .targets import Target

BEST = ("best_loss_", "validation_scores_", "best_validation_score_")
Measured = dict[str, int]  # checksums of the data of losses, of those of scores, and of the weights


def measured_on(
    estimator: Any, network: Any, X: Samples, target: Target, weights: Array | None, held_out: HeldOut | None
) -> Measured:  # fmt: skip
    """What tells a fit from one on other data."""
    how = repr((target.loss, estimator.alpha, estimator.early_stopping))
    return {
        "losses": checksum(how, X, target.values, weights),
        "scores": checksum(how, *(held_out.data if held_out is not None else ())),
        "weights": checksum(network._parameters),
    }


def begin_records(estimator: Any, anew: bool, scored: bool, measured: Measured | None, incremental: bool) -> None:
    """Begin the records of training, or go on with them; what is best begins anew where nothing compares with it."""
    before, records = estimator._progress.pop("measured", None), vars(estimator)
    if anew or "loss_curve_" not in records:
        before = None
        records |= {"loss_curve_": [], "loss_": np.inf, **dict.fromkeys(BEST)}
    for name in BEST:
        records.setdefault(name)  # somebody may have made an estimator of weights
    if incremental and estimator.best_loss_ is not None:  # parts of a whole, whose losses are compared
        return
    if before is None or measured is None or before["weights"] != measured["weights"]:
        before = measured = {}
    losses, scores = (name in measured and before[name] == measured[name] for name in ("losses", "scores"))
    if not losses:
        estimator.best_loss_ = None if estimator.early_stopping else np.inf
    if scored and not scores:
        estimator.validation_scores_ = estimator.validation_scores_ or []
        estimator.best_validation_score_ = -np.inf
    if not (losses and scores):
        estimator._no_improvement_count = 0
