"""A network's work, done by kernels: plans are made, kept and filled here. `reference.py` has it in plain NumPy."""

from collections.abc import Callable
from threading import RLock
from typing import NamedTuple

import numpy as np

from ..base.arrays import Array
from ..functions.function import Function
from .folding import fold, unfold_gradient
from .plan import Library, Model, Plan, room
from .prediction import CHUNK, Prediction, Workspace
from .sparse_rows import Samples
from .training import Schedule, Training, TrainingPlan


class Copies(NamedTuple):
    """The parameters of a moment."""

    packed: Array  # as kernels want them, folded
    canonical: Array  # what they were made of: a copy, if that is asked for at all


class Executor:
    """Works for one model. `parameters` is its canonical vector; after writing to it, call `changed`.

    Threads may work with it at the same time, if whoever writes to the parameters holds the `lock`. Only a training at
    a time may use it.
    """

    def __init__(self, library: Library, model: Model, parameters: Array) -> None:
        require_numbers("parameters", parameters, (model.parameter_count,), model.dtype)
        self.library, self.model, self.parameters = library, model, parameters
        self.lock = RLock()
        self._workspace = Workspace(library, model.folded)
        self._training_plan: TrainingPlan | None = None
        self._copies: list[Copies] = []  # once they have been asked for

    def changed(self) -> None:
        """Forget what was made from the parameters."""
        self._copies = []

    def prediction(self, threads: int | None = None) -> Prediction:
        """What predicts from the parameters as they are now, and goes on to when they change.

        threads: how many may work; None: as many as there are.
        """
        with self._workspace.plan() as plan:
            return Prediction(self._workspace, self._copied(plan).packed, threads)

    def predict(self, X: Samples) -> Array:
        """Outputs of the last layer, (n, outputs)."""
        output = np.empty((len(X), self.model.sizes[-1]), self.model.dtype)
        self.prediction().run(X, output, allow_nan=True)
        return output

    def evaluate(self, X: Samples, y: Array, weights: Array | None = None) -> float:
        """The mean loss; weights, here and below, are float64, (n,), and their mean is 1."""
        return self.evaluation(X, y, weights)()

    def evaluation(self, X: Samples, y: Array, weights: Array | None = None) -> Callable[[], float]:
        """What computes the mean loss from the parameters as they are whenever it is called."""
        plan, losses = self._plan(self.model.loss, X, y, weights)

        def evaluate() -> float:
            plan["packed"] = self._copied(plan).packed
            losses[0] = 0.0
            plan.call("evaluate", 0, len(X))
            return float(losses[0])

        return evaluate

    def gradient(self, X: Samples, y: Array, weights: Array | None = None) -> tuple[float, Array]:
        """The mean loss and its gradient, canonical; batch normalization is by running statistics."""
        return self.gradients(X, y, weights)()

    def gradients(self, X: Samples, y: Array, weights: Array | None = None) -> Callable[[], tuple[float, Array]]:
        """What computes both from the parameters as they are whenever it is called."""
        plan, losses = self._plan(self.model.loss, X, y, weights)

        def gradient() -> tuple[float, Array]:
            losses[0] = 0.0
            vector = self._canonical_gradient(plan, len(X))
            return float(losses[0]), vector

        return gradient

    def backward(self, X: Array, output_gradient: Array) -> tuple[Array, Array]:
        """Gradients with respect to parameters (canonical) and inputs, from one with respect to the outputs."""
        plan, _ = self._plan("output_gradient", X, output_gradient)
        inputs = np.empty((len(X), self.model.sizes[0]), self.model.dtype)
        plan.want_input_gradient(inputs)
        plan["samples"] = plan["delta_divisor"] = 1  # what is given belongs to a sum, not to a mean
        return self._canonical_gradient(plan, len(X)), inputs

    def input_gradient(self, X: Samples, y: Array) -> Array:
        """The gradient of the mean loss with respect to the inputs."""
        plan, _ = self._plan(self.model.loss, X, y)
        inputs = np.empty((len(X), self.model.sizes[0]), self.model.dtype)
        plan.want_input_gradient(inputs)
        plan["packed"] = self._copied(plan).packed
        plan.call("gradient", 0, len(X))
        return inputs

    def training(
        self,
        X: Samples,
        y: Array,
        state: Array,
        schedule: Schedule,
        average: Array | None = None,
        weights: Array | None = None,
    ) -> Training:
        """Ready to train. Canonical: `state`, the optimizer's vectors; `average`, the running one, if it is wanted."""
        plan = self._training_plan
        self._training_plan = None  # until it is closed: another training meanwhile makes its own
        rows = min(len(X), schedule.batch_size)
        needs = schedule, rows, room(X, rows)
        if plan is None or not plan.suits(*needs):
            plan = TrainingPlan(self.library, self.model, *needs)
        plan.begin(X, y, self.parameters, state, schedule, average, weights)
        return Training(plan, self.parameters, state, schedule, self._trained, average)

    def _trained(self, plan: TrainingPlan) -> None:
        self._training_plan = plan if plan.is_worth_keeping() else None

    def _plan(self, loss: str | Function, X: Samples, y: Array, weights: Array | None = None) -> tuple[Plan, Array]:
        rows = min(len(X), CHUNK)
        plan = Plan(self.library, self.model.folded, rows, loss, room(X, rows))
        plan.read_samples(X)
        plan.read_targets(y)
        plan.weigh_samples(weights)
        plan["losses"] = losses = np.zeros(1)
        return plan, losses

    def _canonical_gradient(self, plan: Plan, samples: int) -> Array:
        copies = self._copied(plan)
        plan["packed"], plan["gradient"] = copies.packed, (packed := plan.packed())
        plan.call("gradient", 0, samples)
        gradient = np.empty(plan.model.parameter_count, self.model.dtype)
        plan.unpack(gradient, packed)
        return unfold_gradient(self.model, copies.canonical, gradient)

    def _copied(self, plan: Plan) -> Copies:
        with self.lock:
            made = self._copies
            if not made:
                packed = plan.packed()
                plan.pack(fold(self.model, self.parameters), packed)
                canonical = self.parameters if self.model.folded is self.model else self.parameters.copy()
                made.append(Copies(packed, canonical))
            return made[0]


def require_numbers(argument: str, array: Array, shape: tuple[int, ...], dtype: str) -> None:
    """Refuse an array that does not lie in memory as kernels read and write it: pickles may hold any."""
    if array.shape != shape or array.dtype != dtype or not array.flags.carray:
        got = f"{array.shape} of {array.dtype}"
        raise ValueError(f"{argument} must be a contiguous array {shape} of {dtype}, got {got}")
