"""Optimizers. A new one is an update function and a class, its row of the table, with its settings and state."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from .elementary import SMALLEST, expm1
from .errors import require
from .simd import LANES, at, double, load, maximum, real, sqrt, store

# --- One pass over `count` parameters, whole vectors. `state` holds the optimizer's vectors, `slot` numbers apart.
# `settings` is what the class's method of that name returns; `prepare` runs once before each update, number 1, 2, ...,
# and leaves behind the settings what they make at this update.


def sgd(parameters, gradient, state, slot, count, settings):
    rate = real(settings[0])
    for i in range(0, count, LANES):
        store(parameters, i, load(parameters, i) - rate * load(gradient, i))


def adam_corrections(settings, update):
    """The corrections 1 - beta^t = -expm1(t log beta) are a function of t alone: training can be resumed anywhere."""
    settings[6] = double(real(settings[0]) / -expm1(real(update * settings[4])))
    settings[7] = double(real(1) / sqrt(-expm1(real(update * settings[5]))))


def adam(parameters, gradient, state, slot, count, settings):
    # D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    beta1, beta2 = real(settings[1]), real(settings[2])
    epsilon = maximum(real(settings[3]), SMALLEST)  # an epsilon of 0 would make 0 / 0 of parameters that never moved
    rest1, rest2 = real(1.0 - settings[1]), real(1.0 - settings[2])
    rate, root = real(settings[6]), real(settings[7])
    first_moment, second_moment = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        m = beta1 * load(first_moment, i) + rest1 * g
        v = beta2 * load(second_moment, i) + rest2 * g * g
        store(first_moment, i, m)
        store(second_moment, i, v)
        store(parameters, i, load(parameters, i) - rate * m / (sqrt(v) * root + epsilon))


RULES = {
    "a finite number above 0": lambda v: 0 < v < math.inf,
    "at least 0 and below 1": lambda v: 0 <= v < 1,
}


def to_float(value: Any) -> float | None:
    """A real number as a float; None for anything else."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def setting(default: float, rule: str) -> Any:
    """A field of an optimizer with the rule that its value must keep."""
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers share. State is a tuple of vectors like the parameters, one for each name in `slots`."""

    name: ClassVar[str]
    update: ClassVar[Callable[..., None]]
    prepare: ClassVar[Callable[..., None] | None] = None
    prepared: ClassVar[int] = 0  # numbers that `prepare` leaves
    slots: ClassVar[tuple[str, ...]] = ()
    learning_rate: float

    def __post_init__(self) -> None:
        for f in fields(self):
            value, rule = getattr(self, f.name), f.metadata["rule"]
            number = to_float(value)
            require(number is not None and RULES[rule](number), f.name, rule, value)
            object.__setattr__(self, f.name, number)

    def settings(self) -> list[float]:
        """The numbers that the update function takes, the learning rate first, without those that are prepared."""
        return [getattr(self, f.name) for f in fields(self)]


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent on minibatches: w -= learning_rate * gradient.

    Parameters
    ----------
    learning_rate : float, default 0.01

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.SGD(learning_rate=0.1)
    SGD(learning_rate=0.1)
    """

    name = "sgd"
    update = staticmethod(sgd)
    learning_rate: float = setting(0.01, "a finite number above 0")


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moment estimation.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        How slowly the running means of the gradient and of its square forget; at least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the root of the second moment.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adam(beta1=0.8)
    Adam(learning_rate=0.001, beta1=0.8, beta2=0.999, epsilon=1e-08)
    """

    name = "adam"
    update = staticmethod(adam)
    prepare = staticmethod(adam_corrections)
    prepared = 2
    slots = ("first_moment", "second_moment")
    learning_rate: float = setting(0.001, "a finite number above 0")
    beta1: float = setting(0.9, "at least 0 and below 1")
    beta2: float = setting(0.999, "at least 0 and below 1")
    epsilon: float = setting(1e-8, "a finite number above 0")

    def settings(self) -> list[float]:
        logs = [math.log(beta) if beta > 0 else -math.inf for beta in (self.beta1, self.beta2)]
        return [*super().settings(), *logs]


OPTIMIZERS: dict[str, type[Optimizer]] = {optimizer.name: optimizer for optimizer in (SGD, Adam)}
