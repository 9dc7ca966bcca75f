"""What the constructors take: the rules, in scikit-learn's terms, and what names and numbers mean to fastmlp."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..checks import array_checks
from ..kernels.base.arrays import Array
from ..kernels.base.errors import one_of, require
from ..kernels.functions.activations import ACTIVATIONS
from ..kernels.functions.disturbance import Disturbance
from ..kernels.functions.function import Function, name_of, numbers_of, row_of
from ..kernels.functions.losses import LOSSES, TARGET_KINDS
from ..kernels.functions.optimizers import OPTIMIZERS, AdamCorrectedByRate, ClassicalSGD, Optimizer
from ..kernels.functions.regularization import NOTHING, Regularization
from ..training import arguments
from ..training.lbfgs import LBFGS
from ..training.schedules import RateSchedule

OURS = {"logistic": "sigmoid", "exp": "exponential"}  # by scikit-learn's names of activations
THEIRS = {ours: theirs for theirs, ours in OURS.items()}

_HIDDEN = [*(name for name, row in ACTIVATIONS.items() if not row.rowwise), "logistic"]

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(_HIDDEN)), Function, list, tuple],
    "solver": [StrOptions({*OPTIMIZERS, "lbfgs"}), Optimizer, LBFGS],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), RateSchedule, callable],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "clip_value": [None, Interval(Real, 0, None, closed="neither")],
    "clip_norm": [None, Interval(Real, 0, None, closed="neither")],
    "dtype": [None, StrOptions({"float32", "float64"}), type, np.dtype],
    "threads": [None, Interval(Integral, 1, None, closed="left")],
}
"""Of both estimators."""


def hidden_activations(value: Any) -> Any:
    """By fastmlp's names."""
    if isinstance(value, list | tuple):
        for i, one in enumerate(value):
            require(isinstance(one, Function) or one in _HIDDEN, f"activation[{i}]", one_of(_HIDDEN), one, _HIDDEN)
        return [OURS.get(one, one) if isinstance(one, str) else one for one in value]
    return OURS.get(value, value) if isinstance(value, str) else value


def is_by_steps(solver: Any) -> bool:
    """Whether it makes steps on minibatches."""
    return solver != "lbfgs" and not isinstance(solver, LBFGS)


def optimizer(estimator: Any) -> Optimizer:
    """The one that makes the estimator's steps."""
    solver, rate = estimator.solver, float(estimator.learning_rate_init)
    if isinstance(solver, Optimizer):
        return solver
    if solver == "sgd":
        return ClassicalSGD(rate, estimator.momentum, bool(estimator.nesterovs_momentum))
    if solver == "adam":
        return AdamCorrectedByRate(rate, estimator.beta_1, estimator.beta_2, estimator.epsilon)
    return OPTIMIZERS[solver](rate)


def regularization(estimator: Any, mean_weight: float) -> Regularization:
    """What is done to gradients; kernels see weights of samples divided by their mean."""
    alpha = estimator.alpha and estimator.alpha / mean_weight  # without a penalty the mean may be too small
    chosen = Regularization(alpha=alpha, clip_value=estimator.clip_value, clip_norm=estimator.clip_norm)
    return NOTHING if chosen == NOTHING else chosen


def disturbance(estimator: Any, hidden: int) -> Disturbance:
    return arguments.disturbance(hidden, estimator.dropout, 0.0, 0.0)


def refuse_what_is_for_steps(estimator: Any) -> None:
    """Of what scikit-learn does not have: it ignores its own."""
    for name, nothing in (("clip_value", None), ("clip_norm", None), ("dropout", 0.0)):
        value = getattr(estimator, name)
        require(not np.any(value or 0.0), name, f"{nothing} for solver 'lbfgs'", value)
    rate = estimator.learning_rate
    require(isinstance(rate, str), "learning_rate", "a name for solver 'lbfgs', which makes its own steps", rate)


def check_class_weight(value: Any, outputs: int) -> None:
    """One dictionary, or one for each of several outputs; "balanced" is for all."""
    if isinstance(value, str):
        return
    several = isinstance(value, list) and len(value) == outputs and all(isinstance(one, dict) for one in value)
    rule = "a dict, 'balanced' or None for one output" if outputs == 1 else f"'balanced' or {outputs} dicts in a list"
    require(several if outputs > 1 else isinstance(value, dict), "class_weight", rule, value)
    for weights in [value] if isinstance(value, dict) else value:
        right = all(isinstance(weight, Real) and 0 <= float(weight) < np.inf for weight in weights.values())
        require(right, "class_weight", "of finite numbers from 0 on", value)


def out_activation(loss: str | Function) -> str:
    """The one that goes with it, as scikit-learn calls it."""
    output: str = row_of(LOSSES, loss).output_activation
    return THEIRS.get(output, output)


def check_amounts(loss: str | Function, y: Array) -> None:
    """Refuse targets that the loss is not of, and a loss with more outputs than targets: which would `predict` tell?"""
    row = row_of(LOSSES, loss)
    if row.outputs_per_target(numbers_of(LOSSES, loss)) != 1:
        raise ValueError(f"loss must be one of a single output for each target, got {name_of(loss)!r}")
    restriction = TARGET_KINDS[row.targets]
    if restriction:
        rule, broken = restriction
        array_checks.require_each("y", y, f"{rule} for loss {name_of(loss)!r}", lambda part: ~broken(part))
