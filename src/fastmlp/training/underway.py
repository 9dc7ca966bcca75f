"""A training under way: what its network takes over from it, whatever interrupts it."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..kernels.base.arrays import Array
from ..kernels.runtime.training import Schedule, Training
from .history import History

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceTraining
    from .watching import Watcher


class Underway:
    """A training of a network, from its first step until the network has taken over all that it leaves.

    Every method may be cut short at any point and called again: what is taken over stays with the `work` until that is
    closed in the end.

    chunk: whether it is a part of an epoch of this history only; the network does not count it as one.
    """

    def __init__(
        self,
        network: Any,
        work: "Training | ReferenceTraining",
        schedule: Schedule,
        history: History,
        watch: "Watcher | None",
        chunk: bool,
    ) -> None:
        self._network, self._work, self._schedule = network, work, schedule
        self._history, self._watch, self._chunk = history, watch, chunk
        self._before, self._collected = history.epochs, False
        self.ended = False  # by itself: then the network goes back to its best epoch, if that is wanted

    def collect(self, **more: Any) -> None:
        """Have the network be as the last finished step left it, or the last epoch if numbers ceased to be finite.

        more: attributes that the network gets in the same step.
        """
        network, schedule, work = self._network, self._schedule, self._work
        with network._computer.lock:
            steps = work.steps_done
            epochs = 0 if self._chunk else steps // work.steps_per_epoch
            before = network._state
            seen = before.seen if schedule.rates is None else schedule.rates.seen
            finite = work.collect()
            epochs, updates = schedule.first_epoch + epochs, schedule.first_update + steps
            state = before._replace(epochs=epochs, updates=updates, seen=seen)
            network._become(_state=state if finite else state.begun(None), **more)
            network._parameters_changed()

    def finish(self) -> None:
        """Take over everything."""
        network, work, history = self._network, self._work, self._history
        if not self._collected:
            epochs = work.steps_done // work.steps_per_epoch
            if not self._chunk and (history.epochs < self._before + epochs or self._schedule.rates is not None):
                self._remember(work.losses[:epochs])
            self.collect(_history=history, _at=None, _best=None)
            self._collected = True
        best = None if self._watch is None or network._state.optimizer is None else self._watch.best
        if best is not None:  # without an optimizer it has no state to fit
            network._best = best
        work.close()
        if best is not None and self.ended:
            network._go_back(best)
        network._unsettled = None

    def _remember(self, losses: Array) -> None:
        """Tell the history and the schedule of the losses of all epochs, of which an interrupt may have kept some."""
        known = self._history.epochs - self._before
        if known < len(losses):
            self._history._add(losses[known:].tolist())
        if self._schedule.rates is not None:
            with suppress(Exception):  # of a user's schedule: it would keep the network from being tidied up for ever
                self._schedule.rates.see(losses)
