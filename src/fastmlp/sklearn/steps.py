"""Training by steps on minibatches: the solvers "sgd" and "adam", and all of fastmlp's optimizers."""

import math
import warnings
from contextlib import nullcontext
from numbers import Integral
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.functions.disturbance import UNDISTURBED
from ..kernels.runtime.sparse_rows import Samples
from ..kernels.runtime.training import Schedule
from ..seeding import DISTURBANCE, key_of
from ..training import arguments
from ..training.loop import DivergenceError
from ..training.weights import normalized
from . import parameters
from .callbacks import FitCallbacks
from .epochs import Epochs
from .held_out import HeldOut
from .orders import twister_of
from .rates import Adaptive, InverseScaling
from .targets import Target

REMEDY = "learning_rate_init may be too large, or the data need to be preprocessed."


def descend(
    estimator: Any,
    network: Any,
    X: Samples,
    target: Target,
    weights: Array | None,
    size: int,
    random: Any,
    held_out: HeldOut | None,
    callbacks: FitCallbacks | None,
    once: bool,
) -> bool:
    """Train the network; whether it has weights to keep. once: an epoch of a training that goes on elsewhere.

    What diverges has some only with early stopping: those of the best epoch, or of the beginning if that is better.
    """
    optimizer = parameters.optimizer(estimator)
    steps, epochs = -(-len(X) // size), 1 if once else estimator.max_iter
    going_on = once and network._goes_on(optimizer)
    if not going_on:
        estimator._rate = optimizer.learning_rate
    rates = _rates(estimator, network, len(X), steps, epochs, going_on)
    network._adopt(optimizer, going_on)
    wishes = parameters.disturbance(estimator, len(network.activations) - 1)
    key = 0 if wishes is UNDISTURBED else key_of(estimator._seed_of_dropout(random), DISTURBANCE)
    schedule = Schedule(
        optimizer, size, epochs, None, network._state.epochs, network._state.updates,
        delta_divisor=target.delta_divisor, value_divisor=target.value_divisor,
        regularization=parameters.regularization(estimator, 1.0 if weights is None else float(weights.mean())),
        rates=rates, disturbance=wishes, disturbance_key=key,
    )  # fmt: skip
    watch = Epochs(estimator, network, len(X), epochs, held_out, rates, target.constant(weights), callbacks)
    try:
        shared = not isinstance(estimator.random_state, Integral)  # else it was made for this fit
        with network._turn, twister_of(random, shared) if estimator.shuffle else nullcontext() as twister:
            schedule = schedule._replace(twister=twister)
            network._train(X, target.values, schedule, watch, normalized(weights))
    except DivergenceError as error:
        watch.catch_up()
        if watch.best_parameters is None:
            return False
        watch.diverged(error.loss)
        better = watch.best_is_better()
        if not math.isfinite(watch.best_score):
            return False
        kept = f"epoch {watch.best_epoch}, the best" if better else "before training, as no epoch is better"
        _warn(
            f"Training diverged in epoch {estimator.n_iter_} (loss {error.loss:.6g}): the weights are those of {kept}, "
            f"with a validation score of {watch.best_score:.6g}. {REMEDY}"
        )
    except KeyboardInterrupt:
        watch.catch_up()
        estimator._network_kept = None  # wherever its training was broken off: the next is made of what is taken over
        warnings.warn("Training was interrupted: the network stays where it was.", stacklevel=6)
    else:
        if not (watch.stopped or once):
            _warn(f"Training ended after max_iter={epochs} epochs, and has not converged yet.")
        if watch.best_parameters is not None:
            first = watch.first_score()
            if watch.best_score < first or not math.isfinite(watch.best_score):
                _warn(
                    f"No epoch has a better validation score than there was before training, {first:.6g}: the best is "
                    f"{watch.best_score:.6g}. {REMEDY}"
                )
    if watch.best_parameters is not None:
        network._parameters[...] = watch.best_parameters
        network._parameters_changed()
    return True


def _warn(text: str) -> None:
    warnings.warn(text, ConvergenceWarning, stacklevel=7)


def batch_size(estimator: Any, samples: int) -> int:
    """Samples in a step."""
    optimizer = parameters.optimizer(estimator)
    if estimator.batch_size == "auto":
        return samples if optimizer.full_batch else min(200, samples)
    if optimizer.full_batch:
        rule = f"'auto' or at least {samples}, all samples, for solver {optimizer.name!r}"
        require(estimator.batch_size >= samples, "batch_size", rule, estimator.batch_size)
    if estimator.batch_size > samples:
        warnings.warn(
            f"batch_size={estimator.batch_size} is more than there are samples: {samples} are taken.", stacklevel=6
        )
    return min(int(estimator.batch_size), samples)


def _rates(estimator: Any, network: Any, samples: int, steps: int, epochs: int, going_on: bool) -> Any:
    """Those of the schedule; None: the optimizer's own."""
    schedule = arguments.schedule(estimator.learning_rate) if not isinstance(estimator.learning_rate, str) else None
    if schedule is not None:
        return network._course(schedule, epochs, steps, going_on)
    if estimator.solver != "sgd" or estimator.learning_rate == "constant":
        return None
    if estimator.learning_rate == "adaptive":
        return Adaptive(estimator._rate)
    update = network._state.updates if going_on else 0
    return InverseScaling(
        estimator._rate, estimator.learning_rate_init, estimator.power_t, estimator.t_, samples, update, steps
    )
