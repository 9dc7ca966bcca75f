"""Every check of what a training is asked for. A check returns the value in the form that the rest needs."""

import dataclasses
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..checks.validation import name_of, positive_integer, real_number
from ..kernels.base.errors import one_of, require
from ..kernels.base.settings import Settings, to_text
from ..kernels.functions.disturbance import UNDISTURBED, Disturbance, probabilities
from ..kernels.functions.normalization import BY_BATCH, kind_of
from ..kernels.functions.optimizers import KNOWN_OPTIMIZERS, OPTIMIZERS, Optimizer
from ..kernels.functions.regularization import NOTHING, Regularization, factors
from ..kernels.runtime.plan import Model

if TYPE_CHECKING:
    from .lbfgs import LBFGS
    from .schedules import RateSchedule

DEFAULT_BATCH = 32


def schedule(learning_rate: Any) -> "RateSchedule | None":
    """The schedule that is given for a learning rate; None if it is none."""
    if learning_rate is None or isinstance(learning_rate, float | int):
        return None
    from .schedules import RateSchedule, as_schedule  # which many do without

    return as_schedule(learning_rate) if isinstance(learning_rate, RateSchedule) or callable(learning_rate) else None


def optimizer(value: Any, learning_rate: Any, schedule: "RateSchedule | None" = None) -> "Optimizer | LBFGS":
    """An optimizer from its name or itself, with the learning rate, or the one of the schedule, if one is given."""
    if isinstance(value, type):
        name = value.__name__
        raise TypeError(f"optimizer must be a name or an object, got the class {name}: {name}() makes an object")
    if "lbfgs" in (getattr(value, "name", None), to_text(value)):
        from .lbfgs import LBFGS, find_minimizer

        require(learning_rate is None, "learning_rate", "None for optimizer 'lbfgs'", learning_rate)
        find_minimizer()
        return value if isinstance(value, LBFGS) else LBFGS()
    if schedule is not None:
        learning_rate = schedule.named_rate
    if (learning_rate is None or type(learning_rate) is float) and isinstance(value, str | Optimizer):
        return _known_optimizer(value, learning_rate)
    return _optimizer(value, learning_rate)


def _optimizer(value: Any, learning_rate: Any) -> Optimizer:
    if isinstance(value, Optimizer):
        rule = f"{one_of(OPTIMIZERS)}, or an object of their classes and of no subclass"
        require(type(value) in KNOWN_OPTIMIZERS.values(), "optimizer", rule, value)
        chosen = value
    else:
        default: Callable[[], Optimizer] = OPTIMIZERS[name_of("optimizer", value, [*OPTIMIZERS, "lbfgs"])]
        chosen = default()
    if learning_rate is None:
        return chosen
    rate = real_number("learning_rate", learning_rate)
    require(0 < rate < math.inf, "learning_rate", "a finite number above 0", learning_rate)
    return dataclasses.replace(chosen, learning_rate=rate)


def batch_size(value: Any, n_samples: int, optimizer: "Optimizer | LBFGS") -> int:
    """Samples in a step, at most all; None: as many as suit the optimizer."""
    if value is None:
        return n_samples if optimizer.full_batch else min(DEFAULT_BATCH, n_samples)
    size = min(positive_integer("batch_size", value), n_samples)
    if optimizer.full_batch and size < n_samples:
        rule = f"None or at least {n_samples}, all samples, for optimizer '{optimizer.name}'"
        require(False, "batch_size", rule, value)
    return size


def batches_to_normalize_by(size: int, samples: int, model: Model, wishes: Regularization) -> None:
    """The check that a neuron's sums have a variance over each batch, where they are to be divided by its root."""
    if model.folded is not model and samples % size == 1 % size:
        kinds = enumerate(map(kind_of, model.normalizations))
        if not all(wishes.factor(l) == 0 for l, kind in kinds if kind == BY_BATCH):
            rule = "such that no batch is of one sample, as batch normalization takes two for a variance"
            raise ValueError(f"batch_size must be {rule}, got {size} for {samples} samples")


def only_for_kernels(wishes: Settings, *others: str) -> None:
    """The check that nothing is wished for that only kernels can do, but for these."""
    for f in dataclasses.fields(wishes):
        value = getattr(wishes, f.name)
        plain = 0.0 if f.default == () else f.default
        require(f.name in others or value == f.default, f.name, f"{plain} for optimizer 'lbfgs'", value)


def regularization(layers: int, rate_factors: Any, *wishes: Any) -> Regularization:
    """What is to be done beside the optimizer's steps; `wishes` in the order of `Regularization`."""
    try:
        chosen = _known_regularization(*wishes)
    except TypeError:  # what cannot be hashed
        chosen = _regularization(*wishes)
    if rate_factors is None:
        return chosen
    return dataclasses.replace(chosen, rate_factors=factors(rate_factors, layers))


def _regularization(*wishes: Any) -> Regularization:
    chosen = Regularization(*wishes)
    return NOTHING if chosen == NOTHING else chosen


def disturbance(hidden: int, dropout: Any, input_dropout: Any, input_noise: Any) -> Disturbance:
    """What is to happen to samples and activations at random."""
    plain = type(dropout) is type(input_dropout) is type(input_noise) is float
    if plain and dropout == input_dropout == input_noise == 0:
        return UNDISTURBED
    chosen = Disturbance(input_noise, input_dropout, probabilities(dropout, hidden))
    return UNDISTURBED if chosen == UNDISTURBED else chosen


def undisturbed_inputs(wishes: Disturbance) -> None:
    """Sparse samples would be sparse no more."""
    require(wishes.input_noise == 0, "input_noise", "0 for sparse samples", wishes.input_noise)
    require(wishes.input_dropout == 0, "input_dropout", "0 for sparse samples", wishes.input_dropout)


_known_regularization = lru_cache(typed=True)(_regularization)
_known_optimizer = lru_cache(_optimizer)  # short trainings, one after the other, ask for the same again and again
