"""Training by steps on minibatches: the solvers "sgd" and "adam", and all of fastmlp's optimizers."""

import warnings
from contextlib import nullcontext
from numbers import Integral
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from .. import validation
from ..core import DISTURBANCE
from ..kernels.disturbance import UNDISTURBED
from ..kernels.errors import require
from ..kernels.plan import Array
from ..kernels.sparse_rows import Samples
from ..kernels.training import Schedule
from ..learning import key_of
from ..training import DivergenceError
from ..weights import normalized
from . import parameters
from .callbacks import FitCallbacks
from .epochs import Epochs
from .held_out import HeldOut
from .orders import twister_of
from .rates import Adaptive, InverseScaling
from .targets import Target


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
    """Train the network; whether all its numbers are finite. once: an epoch of a training that goes on elsewhere."""
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
        optimizer, size, epochs, None, network._epochs, network._updates, delta_divisor=target.delta_divisor,
        value_divisor=target.value_divisor,
        regularization=parameters.regularization(estimator, 1.0 if weights is None else float(weights.mean())),
        rates=rates, disturbance=wishes, disturbance_key=key,
    )  # fmt: skip
    watch = Epochs(estimator, network, len(X), epochs, held_out, rates, target.constant(weights), callbacks)
    well = True
    try:
        shared = not isinstance(estimator.random_state, Integral)  # else it was made for this fit
        with twister_of(random, shared) if estimator.shuffle else nullcontext() as twister:
            schedule = schedule._replace(twister=twister)
            network._train(X, target.values, schedule, watch, normalized(weights))
    except DivergenceError as error:
        watch.catch_up()
        well = watch.best_parameters is not None
        if well:
            watch.diverged(error.loss)
    except KeyboardInterrupt:
        watch.catch_up()
        warnings.warn("Training was interrupted: the network stays where it was.", stacklevel=5)
    else:
        if not (watch.stopped or once):
            warnings.warn(
                f"Training ended after max_iter={epochs} epochs, and has not converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
    if watch.best_parameters is not None:
        network._parameters[...] = watch.best_parameters
        network._parameters_changed()
    return well


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
    schedule = validation.schedule(estimator.learning_rate) if not isinstance(estimator.learning_rate, str) else None
    if schedule is not None:
        return network._course(schedule, epochs, steps, going_on)
    if estimator.solver != "sgd" or estimator.learning_rate == "constant":
        return None
    if estimator.learning_rate == "adaptive":
        return Adaptive(estimator._rate)
    update = network._updates if going_on else 0
    return InverseScaling(
        estimator._rate, estimator.learning_rate_init, estimator.power_t, estimator.t_, samples, update, steps
    )
