"""A network's work, done by kernels: plans are made, kept and filled here. `reference.py` has it in plain NumPy."""

from dataclasses import dataclass

import numpy as np

from . import layout
from .optimizers import Optimizer
from .plan import Array, Library, Model, Plan
from .prediction import CHUNK, Prediction, Workspace
from .threads import crew


@dataclass(frozen=True)
class Schedule:
    """How to train: what `run` takes apart from data and numbers."""

    optimizer: Optimizer
    batch_size: int
    epochs: int
    shuffle_key: int | None = None  # 63 bits; None: samples in their order
    first_epoch: int = 0
    first_update: int = 0
    stop_at_nonfinite: bool = True
    update_first: bool = False
    delta_divisor: int | None = None


class Executor:
    """Works for one model. `parameters` is its canonical vector; after writing to it, call `changed`."""

    def __init__(self, library: Library, model: Model, parameters: Array) -> None:
        self.library, self.model, self.parameters = library, model, parameters
        self._workspace = Workspace(library, model)
        self._packed: list[Array] = []  # the parameters as kernels want them, once they have been asked for

    def changed(self) -> None:
        """Forget what was made from the parameters."""
        self._packed = []  # another list: what a thread is just making of the old ones goes into the old list

    def prediction(self) -> Prediction:
        """What predicts from the parameters as they are now, and goes on to when they change."""
        with self._workspace.plan() as plan:
            return Prediction(self._workspace, self._packed_parameters(plan))

    def predict(self, X: Array) -> Array:
        """Outputs of the last layer, (n, outputs)."""
        output = np.empty((len(X), self.model.sizes[-1]), self.model.dtype)
        self.prediction().run(X, output, allow_nan=True)
        return output

    def evaluate(self, X: Array, y: Array) -> float:
        """The mean loss."""
        plan, losses = self._plan(self.model.loss, X, y)
        plan.call("evaluate", 0, len(X))
        return float(losses[0])

    def gradient(self, X: Array, y: Array) -> tuple[float, Array]:
        """The mean loss and its gradient, canonical."""
        plan, losses = self._plan(self.model.loss, X, y)
        gradient = self._canonical_gradient(plan, len(X))
        return float(losses[0]), gradient

    def backward(self, X: Array, output_gradient: Array) -> tuple[Array, Array]:
        """Gradients with respect to parameters (canonical) and inputs, from one with respect to the outputs."""
        plan, _ = self._plan("output_gradient", X, output_gradient)
        inputs = np.empty((len(X), self.model.sizes[0]), self.model.dtype)
        plan.want_input_gradient(inputs)
        plan[layout.SAMPLES] = plan[layout.DELTA_DIVISOR] = 1  # what is given belongs to a sum, not to a mean
        return self._canonical_gradient(plan, len(X)), inputs

    def training(self, X: Array, y: Array, state: Array, schedule: Schedule) -> "Training":
        """Ready to train; `state` is (slots, parameters), the optimizer's canonical vectors."""
        return Training(self, X, y, state, schedule)

    def _plan(self, loss: str, X: Array, y: Array) -> tuple[Plan, Array]:
        plan = Plan(self.library, self.model, min(len(X), CHUNK), loss)
        plan[layout.PACKED] = self._packed_parameters(plan)
        plan.read_samples(X)
        plan.read_targets(y)
        plan[layout.LOSSES] = losses = np.zeros(1)
        return plan, losses

    def _canonical_gradient(self, plan: Plan, samples: int) -> Array:
        plan[layout.GRADIENT] = packed = plan.packed()
        plan.call("gradient", 0, samples)
        gradient = np.empty(self.model.parameter_count, self.model.dtype)
        plan.unpack(gradient, packed)
        return gradient

    def _packed_parameters(self, plan: Plan) -> Array:
        made = self._packed
        if not made:
            packed = plan.packed()
            plan.pack(self.parameters, packed)
            made.append(packed)
        return made[0]


class Training:
    """One call of `train`, to be run in stretches of steps. What it reads must not change meanwhile."""

    def __init__(self, executor: Executor, X: Array, y: Array, state: Array, schedule: Schedule) -> None:
        self._executor, self._state, self._stop_at_nonfinite = executor, state, schedule.stop_at_nonfinite
        self.steps_per_epoch = -(-len(X) // schedule.batch_size)
        self.losses = np.zeros(schedule.epochs)
        self._plan = plan = Plan(
            executor.library, executor.model, min(len(X), schedule.batch_size), executor.model.loss
        )
        plan.read_samples(X)
        plan.read_targets(y)
        plan[layout.STEPS] = self.steps_per_epoch
        plan[layout.FIRST_EPOCH], plan[layout.FIRST_UPDATE] = schedule.first_epoch, schedule.first_update
        if schedule.shuffle_key is not None:
            plan[layout.ORDER] = np.empty(len(X), np.int64)
            plan[layout.KEY] = schedule.shuffle_key
        plan[layout.LOSSES] = self.losses
        plan[layout.CANONICAL] = executor.parameters
        plan[layout.PACKED] = self._packed = plan.packed()
        plan[layout.STATE] = self._packed_state = plan.packed(len(state))
        plan.optimize(schedule.optimizer)
        plan[layout.STOP_AT_NONFINITE], plan[layout.UPDATE_FIRST] = schedule.stop_at_nonfinite, schedule.update_first
        if schedule.delta_divisor is not None:
            plan[layout.DELTA_DIVISOR] = schedule.delta_divisor
        plan.pack(executor.parameters, self._packed)
        for canonical, packed in self._slots():
            plan.pack(canonical, packed)

    def run(self, first_step: int, last_step: int, threads: int = 1) -> int:
        """Train; returns the step before which it stopped, less than `last_step` if numbers ceased to be finite.

        threads: how many may work, if as many are idle.
        """
        with crew(threads) as team:
            plans = [self._plan, *self._plan.ranks(team.size)]
            call = self._executor.library.call
            return team.run(lambda rank: call("run", plans[rank], first_step, last_step), self._plan.release_ranks)[0]

    @property
    def steps_done(self) -> int:
        """Where `run` stopped; known even if what it returned was lost to an interrupt."""
        return int(self._plan.words[layout.STEPS_DONE])

    def collect(self) -> bool:
        """Bring parameters and optimizer state to where the last step left them.

        If training was to stop at numbers that are not finite and these are such, nothing is moved, and the answer is
        False.
        """
        self._executor.changed()
        if self._stop_at_nonfinite and not np.isfinite(self._packed).all():
            return False
        self._plan.unpack(self._executor.parameters, self._packed)
        for canonical, packed in self._slots():
            self._plan.unpack(canonical, packed)
        return True

    def _slots(self) -> list[tuple[Array, Array]]:
        count = len(self._state)
        return list(zip(self._state, self._packed_state.reshape(count, -1), strict=True)) if count else []
