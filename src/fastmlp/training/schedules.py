"""Learning rates that change in the course of training.

A schedule is a function of how many updates the optimizer has made: training can be stopped and resumed anywhere. One
that depends on the losses keeps, beside it, a state of two counts and a loss.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.base.records import frozen
from ..kernels.base.settings import (
    ABOVE_ONE,
    FLAG,
    FROM_0,
    FROM_1,
    INNER_FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    RULES,
    Settings,
    ruled,
    setting,
    to_float,
)

GROWTH, SHARE = "a finite number from 1 on", "above 0 and at most 1"
LOOKED_AHEAD = 1000  # epochs whose rates a function is asked for before training begins

RULES[GROWTH] = lambda v: 1 <= v < math.inf
RULES[SHARE] = lambda v: 0 < v <= 1


@frozen
class RateSchedule(Settings):
    """What all schedules share. Epochs are counted from 0, and as the optimizer's updates make them."""

    formula: ClassVar[str]  # of the rate, for people

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        """The rates of these updates, whose numbers count from 0: as many finite numbers from 0 on."""
        raise NotImplementedError

    @property
    def named_rate(self) -> float | None:
        """The learning rate that it was given, if one."""
        rate: float | None = getattr(self, "learning_rate", None)
        return rate

    def check(self, first_update: int, epochs: int, steps_per_epoch: int) -> None:
        """Refuse what would give no rates for the epochs that begin at this update, whose number counts from 0."""


@frozen
class StepDecay(RateSchedule):
    """learning_rate * factor^k in the k-th stretch of `every` epochs.

    Parameters
    ----------
    learning_rate : float, default 0.01
    every : int, default 10
        Epochs.
    factor : float, default 0.1
        Above 0 and at most 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.StepDecay(0.1, every=5)
    StepDecay(learning_rate=0.1, every=5, factor=0.1)
    """

    formula = "learning_rate * factor^floor(epoch / every)"
    learning_rate: float = setting(0.01, POSITIVE)
    every: int = setting(10, FROM_1)
    factor: float = setting(0.1, SHARE)

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        return self.learning_rate * self.factor ** (updates // steps_per_epoch // self.every)


@frozen
class ExponentialDecay(RateSchedule):
    """learning_rate * factor^epoch.

    Parameters
    ----------
    learning_rate : float, default 0.01
    factor : float, default 0.99
        Above 0 and at most 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.ExponentialDecay(0.1, factor=0.95)
    ExponentialDecay(learning_rate=0.1, factor=0.95)
    """

    formula = "learning_rate * factor^epoch"
    learning_rate: float = setting(0.01, POSITIVE)
    factor: float = setting(0.99, SHARE)

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        return self.learning_rate * self.factor ** (updates // steps_per_epoch).astype(np.float64)


@frozen
class InverseScaling(RateSchedule):
    """learning_rate / t^power at update t = 1, 2, ...

    Parameters
    ----------
    learning_rate : float, default 0.01
    power : float, default 0.5

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.InverseScaling(0.1)
    InverseScaling(learning_rate=0.1, power=0.5)
    """

    formula = "learning_rate / update^power"
    learning_rate: float = setting(0.01, POSITIVE)
    power: float = setting(0.5, NOT_NEGATIVE)

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        return self.learning_rate / (updates + 1.0) ** self.power


@frozen
class Cosine(RateSchedule):
    """Half a cosine wave from `learning_rate` down to `lowest`, update by update; then it stays there, or restarts.

    Parameters
    ----------
    learning_rate : float, default 0.01
    epochs : int, default 10
        Length of the half wave.
    lowest : float, default 0
    restarts : bool, default False
        Begin again at the end.
    growth : float, default 1
        How many times as long each half wave is as the one before; from 1 on.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Cosine(0.1, epochs=50)
    Cosine(learning_rate=0.1, epochs=50, lowest=0.0, restarts=False, growth=1.0)
    """

    formula = (
        "lowest + (learning_rate - lowest) * (1 + cos(pi * part)) / 2, where part of the half wave, 0 to 1, is over"
    )
    learning_rate: float = setting(0.01, POSITIVE)
    epochs: int = setting(10, FROM_1)
    lowest: float = setting(0.0, NOT_NEGATIVE)
    restarts: bool = setting(False, FLAG)
    growth: float = setting(1.0, GROWTH)

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        part = updates / (self.epochs * steps_per_epoch)  # of the first half wave
        if not self.restarts:
            part = np.minimum(part, 1.0)
        elif self.growth == 1:
            part = part % 1.0
        else:  # waves 0 ... n - 1 are (growth^n - 1) / (growth - 1) long
            wave = np.floor(np.log1p(part * (self.growth - 1)) / math.log(self.growth) + 1e-12)
            length = self.growth**wave
            part = np.clip((part - (length - 1) / (self.growth - 1)) / length, 0.0, 1.0)
        return self.lowest + (self.learning_rate - self.lowest) / 2 * (1 + np.cos(math.pi * part))


@frozen
class OneCycle(RateSchedule):
    """Up from a low rate to `learning_rate` and down to a much lower one, by half cosine waves, update by update.

    Parameters
    ----------
    learning_rate : float, default 0.01
        The highest.
    epochs : int, default 10
        Length of the whole cycle; the rate then stays where it is.
    rising : float, default 0.3
        The part of the cycle in which it rises; above 0 and below 1.
    first, last : float, default 25 and 1e4
        The rate begins at learning_rate / first, and ends at learning_rate / (first * last).

    References
    ----------
    L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018; in
    detail as PyTorch's OneCycleLR, without momentum's cycle.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.OneCycle(0.1, epochs=30)
    OneCycle(learning_rate=0.1, epochs=30, rising=0.3, first=25.0, last=10000.0)
    """

    formula = (
        "low + (learning_rate - low) * (1 - cos(pi * part)) / 2 with low = learning_rate / first while it rises, then "
        "end + (learning_rate - end) * (1 + cos(pi * part)) / 2 with end = low / last, where part of the rise or the "
        "fall, from 0 to 1, is over"
    )
    learning_rate: float = setting(0.01, POSITIVE)
    epochs: int = setting(10, FROM_1)
    rising: float = setting(0.3, INNER_FRACTION)
    first: float = setting(25.0, ABOVE_ONE)
    last: float = setting(1e4, ABOVE_ONE)

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        total, low = self.epochs * steps_per_epoch, self.learning_rate / self.first
        peak, end = max(self.rising * total - 1, 0.0), total - 1
        up = np.minimum(updates / peak, 1.0) if peak > 0 else np.ones(len(updates))
        down = np.clip((updates - peak) / (end - peak), 0.0, 1.0) if end > peak else np.zeros(len(updates))
        rise = low + (self.learning_rate - low) / 2 * (1 - np.cos(math.pi * up))
        fall = low / self.last + (self.learning_rate - low / self.last) / 2 * (1 + np.cos(math.pi * down))
        return np.where(updates <= peak, rise, fall)


@frozen
class WarmUp(RateSchedule):
    """Up in a straight line, update by update, to the first rate of another schedule, which then begins.

    Parameters
    ----------
    then : float, schedule or callable
        What follows: as `learning_rate` of `NeuralNetwork.train`, but not `ReduceOnPlateau`.
    epochs : float, default 1
        How long it takes. The k-th of its n updates has k / n of the rate.

    References
    ----------
    P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.2.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.WarmUp(fastmlp.ExponentialDecay(0.1), epochs=5)
    WarmUp(then=ExponentialDecay(learning_rate=0.1, factor=0.99), epochs=5.0)
    """

    formula = "min(1, update / (epochs * steps_per_epoch)) * then"
    then: float | RateSchedule | Callable[[int], float] = 0.01
    epochs: float = setting(1.0, POSITIVE)

    def __post_init__(self) -> None:
        rule = "a number above 0, a schedule other than WarmUp and ReduceOnPlateau, or a callable"
        allowed = not isinstance(self.then, WarmUp | ReduceOnPlateau) and as_schedule(self.then) is not None
        require(allowed, "then", rule, self.then)
        super().__post_init__()

    @property
    def named_rate(self) -> float | None:
        return self._then.named_rate

    @property
    def _then(self) -> RateSchedule:
        schedule = as_schedule(self.then)
        assert schedule is not None
        return schedule

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        count = self._count(steps_per_epoch)
        return self._then.rates(np.maximum(updates - count, 0), steps_per_epoch) * np.minimum((updates + 1) / count, 1)

    def check(self, first_update: int, epochs: int, steps_per_epoch: int) -> None:
        self._then.check(max(0, first_update - self._count(steps_per_epoch)), epochs, steps_per_epoch)

    def _count(self, steps_per_epoch: int) -> int:
        return max(1, round(self.epochs * steps_per_epoch))


class PlateauState(NamedTuple):
    """What `ReduceOnPlateau` has seen."""

    reductions: int = 0
    best: float = math.inf
    waited: int = 0  # epochs without a better loss


@frozen
class ReduceOnPlateau(RateSchedule):
    """Multiply the rate by `factor` when the loss of training has not become better for more than `patience` epochs.

    Parameters
    ----------
    learning_rate : float, default 0.01
    factor : float, default 0.1
        Above 0 and at most 1.
    patience : int, default 10
    threshold : float, default 1e-4
        Better is a loss below the best one by more than this part of it.
    lowest : float, default 0
        The rate stays at or above this.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.ReduceOnPlateau(0.1, patience=5)
    ReduceOnPlateau(learning_rate=0.1, factor=0.1, patience=5, threshold=0.0001, lowest=0.0)
    """

    formula = "max(lowest, learning_rate * factor^n) after n waits in vain"
    learning_rate: float = setting(0.01, POSITIVE)
    factor: float = setting(0.1, SHARE)
    patience: int = setting(10, FROM_0)
    threshold: float = setting(1e-4, NOT_NEGATIVE)
    lowest: float = setting(0.0, NOT_NEGATIVE)

    def rate(self, state: PlateauState) -> float:
        """The rate until the end of the epoch."""
        return max(self.lowest, self.learning_rate * self.factor**state.reductions)

    def after(self, state: PlateauState, loss: float) -> PlateauState:
        """The state after an epoch of this loss."""
        if loss < state.best - self.threshold * abs(state.best) or state.best == math.inf:
            return PlateauState(state.reductions, loss, 0)
        if state.waited < self.patience:
            return state._replace(waited=state.waited + 1)
        return PlateauState(state.reductions + 1, state.best, 0)


@frozen
class Called(RateSchedule):
    """The rates that a callable gives for epochs 0, 1, ..."""

    function: Callable[[int], float]

    def rates(self, updates: Array, steps_per_epoch: int) -> Array:
        epochs, places = np.unique(updates // steps_per_epoch, return_inverse=True)
        return np.array([self._rate(int(epoch)) for epoch in epochs])[places]

    def check(self, first_update: int, epochs: int, steps_per_epoch: int) -> None:
        """Ask for the next rates; all would take long, and much memory, where a limit of time ends the training."""
        last = first_update + min(epochs, LOOKED_AHEAD) * steps_per_epoch - 1
        for epoch in range(first_update // steps_per_epoch, last // steps_per_epoch + 1):
            self._rate(epoch)

    def _rate(self, epoch: int) -> float:
        value = self.function(epoch)
        rate = to_float(value)
        if rate is None or not 0 <= rate < math.inf:
            raise ValueError(
                f"learning_rate must be a callable that returns finite numbers from 0 on, got {shortened(value)} for "
                f"epoch {epoch}"
            )
        return rate


def as_schedule(value: Any) -> RateSchedule | None:
    """A schedule from all that stands for one; None if it does not."""
    if isinstance(value, RateSchedule):
        return value
    if callable(value):
        return Called(value)
    rate = to_float(value)  # a constant is a decay by 1
    return ExponentialDecay(rate, factor=1.0) if rate is not None and 0 < rate < math.inf else None


Seen: TypeAlias = tuple[ReduceOnPlateau, PlateauState] | None


class Course:
    """The rates of one training, by a schedule that may follow its losses.

    seen: what is to be remembered of them. It begins with what another course has left, if that is of this schedule.
    """

    def __init__(self, schedule: RateSchedule, steps_per_epoch: int, seen: Seen) -> None:
        self._schedule, self._steps_per_epoch, self._known = schedule, steps_per_epoch, 0
        self.seen: Seen = None
        if isinstance(schedule, ReduceOnPlateau):
            self.seen = seen if seen is not None and seen[0] == schedule else (schedule, PlateauState())

    @property
    def wants_losses(self) -> bool:
        """Whether the rates of an epoch depend on the loss of the one before."""
        return self.seen is not None

    def see(self, losses: Array) -> None:
        """Take the losses of all epochs of this training so far; those that are known already change nothing."""
        if self.seen is not None:
            schedule, state = self.seen
            for loss in losses[self._known :].tolist():
                state = schedule.after(state, loss)
            vars(self).update(seen=(schedule, state), _known=len(losses))  # at once: an interrupt cannot part them

    def __call__(self, first_update: int, count: int) -> Array:
        """The rates of so many updates, numbered from 1.

        Raises
        ------
        TypeError, ValueError
            If a schedule of the user's own gives no such array, or other numbers than finite ones from 0 on.
        """
        if self.seen is not None:
            schedule, state = self.seen
            return checked_rates(np.full(count, schedule.rate(state)), count)
        updates = np.arange(first_update - 1, first_update - 1 + count)
        return checked_rates(self._schedule.rates(updates, self._steps_per_epoch), count)


def checked_rates(value: Any, count: int) -> Array:
    """A copy of what a schedule gives: kernels read as many rates as there are updates."""
    array = np.array(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"rates must return an array of real numbers, got {shortened(value)}")
    require(array.shape == (count,), "rates", f"of shape ({count},), one for each update", array.shape)
    rates = array.astype(np.float64, copy=False)
    wrong = ~((rates >= 0) & (rates < np.inf))
    require(not wrong.any(), "rates", "finite numbers from 0 on", float(rates[wrong.argmax()]))
    return rates


class CourseOfPasses(Course):
    """The rates of a training whose epochs are passes over chunks: nobody knows how many updates one will have.

    Each has the rate that it begins with, as if it were a single update.
    """

    wants_losses = False  # of chunks

    def __init__(self, schedule: RateSchedule, seen: Seen) -> None:
        super().__init__(schedule, 1, seen)
        self._epoch = 0

    def see(self, losses: Array) -> None:
        """A chunk is over, which changes nothing."""

    def see_passes(self, losses: Array) -> None:
        """Take the losses of all epochs so far."""
        super().see(losses)
        self._epoch = len(losses)

    def __call__(self, first_update: int, count: int) -> Array:
        return np.full(count, super().__call__(self._epoch + 1, 1)[0])


def seen_to_record(seen: Any) -> dict[str, Any]:
    """What a schedule has seen of losses, for files."""
    return dataclasses.asdict(seen[0]) | {"seen": list(seen[1])}


def seen_from_record(record: dict[str, Any]) -> Seen:
    """What a file says of it: the schedule's settings and, under "seen", its state; every entry is checked."""
    settings = dict(record)
    reductions, best, waited = settings.pop("seen")
    number = to_float(best)
    require(number is not None and not math.isnan(number), "best", "a number", best)
    state = PlateauState(ruled("reductions", reductions, FROM_0), number or 0.0, ruled("waited", waited, FROM_0))
    return ReduceOnPlateau(**settings), state
