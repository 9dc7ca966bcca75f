"""Training by kernels: what a call of `train` sets up, and the stretches that it runs in."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..base.arrays import Array
from ..functions.activations import ACTIVATIONS
from ..functions.disturbance import UNDISTURBED, Disturbance, drops
from ..functions.function import row_of
from ..functions.optimizers import Optimizer
from ..functions.regularization import NOTHING, Regularization
from ..layers.plan import DROPOUT, DROPOUT_RECORD, REGULARIZATION
from ..layers.zeros import room_for_masks
from .plan import Library, Model, Plan, data_address
from .sparse_rows import Samples
from .threads import crew

FAR = 1 << 23  # bytes of samples: caches near the CPU hold less
MANY_FEATURES = 256  # of which it pays to look for those that are zero in two samples
SEVERAL = 4  # samples in a batch for which it does
KEPT = 1 << 25  # bytes of a plan that is kept between trainings
MANY_EPOCHS = 1000  # whose losses take memory that counts: there is room for no more to begin with
MOST_PARTS = 4  # of the second layer's sums, which as many ranks may share
LEAST_PART = 12  # neurons: no less than a tile has rows, see `tiles.py`
NEAR = 1 << 18  # bytes of a batch: the caches near the CPU have room for it beside other things


class Rates(Protocol):
    """Learning rates."""

    seen: Any  # what it has to remember of losses

    @property
    def wants_losses(self) -> bool:
        """Whether the rates of an epoch depend on the loss of the one before."""

    def see(self, losses: Array) -> None:
        """Take the losses of all epochs of this training so far; those that are known already change nothing."""

    def __call__(self, first_update: int, count: int) -> Array:
        """The rates of so many updates, numbered from 1."""


class Schedule(NamedTuple):  # which is made quicker than a dataclass
    """How to train: what `run` takes apart from data and numbers."""

    optimizer: Optimizer
    batch_size: int
    epochs: int
    shuffle_key: int | None = None  # 63 bits; None: samples in their order
    first_epoch: int = 0
    first_update: int = 0
    stop_at_nonfinite: bool = True
    update_first: bool = False
    delta_divisor: int | None = None  # None, here and below: the loss's own
    value_divisor: int | None = None
    trail: bool = False  # keep the parameters of every epoch
    regularization: Regularization = NOTHING
    rates: Rates | None = None  # None: the optimizer's own
    disturbance: Disturbance = UNDISTURBED
    disturbance_key: int = 0  # 63 bits
    twister: Array | None = None  # a state that orders are drawn from in place of the key: see `twister.py`


def regularization_numbers(wishes: Regularization) -> Array:
    """As kernels read them."""
    numbers = {field.name: getattr(wishes, field.name, None) or 0.0 for field in REGULARIZATION.fields}
    numbers["average_decay"] = wishes.ema_decay or 0.0
    return np.array(list(numbers.values()))


class TrainingPlan(Plan):
    """A plan to train with, and what it works in. The next training of its kind may use it again."""

    def __init__(
        self,
        library: Library,
        model: Model,
        schedule: Schedule,
        batch_size: int,
        nonzeros: int | None,
    ) -> None:
        super().__init__(library, model, batch_size, model.loss, nonzeros)
        self._divisor = int(self.words.delta_divisor)
        self._optimizer = schedule.optimizer
        self._parameters = np.empty(model.parameter_count, model.dtype)  # those of the last epoch that ended well
        self._parameters_address = data_address(self._parameters)
        self["canonical"] = self._parameters
        self.trail = np.empty((0, model.parameter_count), model.dtype)
        self._packed = self["packed"] = self.packed()
        slots = len(schedule.optimizer.slots)
        state = self["state"] = self.packed(slots)
        size = self._packed.size
        self._packed_state = [state[slot * size : (slot + 1) * size] for slot in range(slots)]
        self.optimize(schedule.optimizer)
        self._small = bool(self.words.in_registers)
        self._order = np.empty(0, np.int64)
        self._changed_settings = False
        self._is_small: bool | None = None  # whether its memory is, once that was added up
        self._masks = self._room_for_masks(batch_size)
        self._sum_in_parts(batch_size)

    @property
    def gradient_norms(self) -> Array | None:
        """The mean norm of each epoch's gradients, if it is wanted."""
        return self._arrays.get("norms")

    def suits(self, schedule: Schedule, batch_size: int, nonzeros: int | None) -> bool:
        """Whether it can be used again for this."""
        if (nonzeros is None) != (self.nonzeros is None) or (nonzeros or 0) > (self.nonzeros or 0):
            return False
        same_rows = self.words.batch_size == batch_size
        before, now = self._optimizer, schedule.optimizer
        return bool(same_rows and (before is now or before.formula is now.formula))

    def begin(
        self,
        X: Samples,
        y: Array,
        parameters: Array,
        state: Array,
        schedule: Schedule,
        average: Array | None = None,
        weights: Array | None = None,
    ) -> None:
        """Read from these samples; start from copies of the parameters and of the optimizer's state."""
        self.read_samples(X)
        self.read_targets(y)
        if weights is not None or self.words.sample_weights:
            self.weigh_samples(weights)
        self._prefetch(schedule.batch_size)
        if self._masks is not None:
            self._leave_out_zeros(self._masks, schedule, parameters)
        self.losses = self["losses"] = np.zeros(min(schedule.epochs, MANY_EPOCHS))
        if schedule.trail or schedule.twister is not None:
            self._is_small = None
        words = self.words
        words.ranks, words.column_parallel = 1, 0  # whatever an interrupt left
        if self.notes:
            self.notes.clear()
        words.in_registers = self._small and weights is None
        words.steps = -(-len(X) // schedule.batch_size)
        words.steps_done = words.stopped = 0
        words.first_epoch, words.first_update = schedule.first_epoch, schedule.first_update
        words.stops_at_nonfinite, words.updates_first = schedule.stop_at_nonfinite, schedule.update_first
        words.delta_divisor = schedule.delta_divisor or self._divisor
        words.value_divisor = schedule.value_divisor or self._divisor
        if schedule.twister is not None:
            self["order"], self["twister"] = np.arange(len(X), dtype=np.int64), schedule.twister
        elif schedule.shuffle_key is None:
            words.order = 0
        else:
            if len(self._order) != len(X):
                self._order, self._is_small = np.empty(len(X), np.int64), None
            self["order"], words.shuffle_key = self._order, schedule.shuffle_key
        factors = schedule.regularization.rate_factors
        if self._optimizer is not schedule.optimizer or self._changed_settings or factors is not None:
            self.set(schedule.optimizer, factors)
            self._optimizer = schedule.optimizer
        self._changed_settings = factors is not None
        if schedule.regularization is not NOTHING or words.regularization:
            self._regularize(schedule, average)
        if schedule.disturbance is not UNDISTURBED or words.is_disturbed:
            self._disturb(schedule)
        self.pack_parameters(parameters)
        if schedule.trail or len(self.trail):
            self._arrays["parameters"] = self._parameters  # to which no word leads while there is a trail
            self.trail = np.empty((schedule.epochs if schedule.trail else 0, len(self._parameters)), self.model.dtype)
            words.canonical_step = self.trail.strides[0] if schedule.trail else 0
            self["canonical"] = self.trail if schedule.trail else self._parameters
        for slot, packed in enumerate(self._packed_state):
            self.pack(state[slot], packed)

    def _prefetch(self, batch_size: int) -> None:
        """Ask for samples before they are read, if it pays."""
        X, y = self._arrays["x"], self._arrays["y"]
        pays = X.nbytes > FAR and X.strides[1] == X.itemsize and self.nonzeros is None
        pays = pays and X[0].nbytes <= NEAR // batch_size
        self.words.x_item, self.words.y_item = pays * X.itemsize, pays * y.itemsize

    def _room_for_masks(self, batch_size: int) -> Array | None:
        """Where kernels note what is not zero in a batch; None: it does not pay."""
        features, width = self.model.sizes[0], self._records[0].width
        pays = features >= MANY_FEATURES and batch_size >= SEVERAL and width > self._lanes
        if not pays or self.nonzeros is not None:
            return None
        return np.empty(room_for_masks(features, batch_size), np.int64)

    def _sum_in_parts(self, batch_size: int) -> None:
        """Have the second layer's sums made of parts, of as many whole panels of the first layer each, if it is large.

        That is if batches of a few tiles would have its neurons shared, and all parts are no more than these say.
        """
        width, records = int(self._records[0].width), self._records
        if width % self._panel or not self.has_large_first_layer(2 * LEAST_PART) or records[1].single_output:
            return
        parts, stride = math.gcd(width // self._panel, MOST_PARTS), int(records[1].stride)
        while parts > 1 and (parts * stride > width or parts * LEAST_PART > width):
            parts //= 2
        if parts > 1:
            self["parts"], self["partial_sums"] = parts, self._scratch(parts * batch_size * stride)

    def _leave_out_zeros(self, masks: Array, schedule: Schedule, parameters: Array) -> None:
        """Where nothing stops at NaN, what is not finite from the beginning is multiplied by all zeros."""
        if schedule.stop_at_nonfinite or np.isfinite(parameters).all():
            self["masks"], self["large_deltas"] = masks, np.zeros(1, np.int64)
        else:
            self.release("masks")

    def is_worth_keeping(self) -> bool:
        """For the next training, which may be short; a large one is soon made beside its work."""
        if self._is_small is None:
            self._is_small = sum(array.nbytes for array in self.arrays()) < KEPT
        return self._is_small

    def pack_parameters(self, parameters: Array) -> None:
        """Begin, or go on, from these."""
        self._parameters[...] = parameters
        self.call("pack", self._parameters_address, self.words.packed)

    def make_room(self, epochs: int, of: int) -> None:
        """Have room for the losses, and norms, of so many epochs, as there may be many more that never come."""
        room, self._is_small = min(of, max(epochs, 2 * len(self.losses))), None
        self.losses = self["losses"] = lengthened(self.losses, room)
        if self.gradient_norms is not None:
            self["norms"] = lengthened(self.gradient_norms, room)

    def _regularize(self, schedule: Schedule, average: Array | None) -> None:
        wishes, words, size, self._is_small = schedule.regularization, self.words, self._packed.size, None
        self.release("regularization", "rate_factors", "squares", "norms")
        words.lowest_trained = 0
        if wishes == NOTHING:
            return
        self["regularization"] = regularization_numbers(wishes)
        if wishes.rate_factors is not None:
            self["rate_factors"] = np.array(wishes.rate_factors)
            words.lowest_trained = np.flatnonzero(wishes.rate_factors)[0]
        if wishes.needs_norm:
            self["squares"] = np.zeros(size // self._lanes)
            if not words.gradient:
                self["gradient"] = self.packed()
        if wishes.gradient_norms:
            self["norms"] = np.zeros(len(self.losses))
        if average is not None:
            self["average"] = self.packed()
            self.pack(average, self._arrays["average"])

    def _disturb(self, schedule: Schedule) -> None:
        wishes, words, rows = schedule.disturbance, self.words, int(self.words.batch_size)
        self._is_small = None
        self.release("noise", "input_mask", "dropout")
        for name in ("dropout masks", "undropped"):
            self._arrays.pop(name, None)
        for record, of_sums in zip(self._records, self._of_sums(), strict=True):  # as it is without dropout
            if not of_sums:
                record.weighted_sums = record.activations
        words.is_disturbed = wishes != UNDISTURBED
        words.disturbance_key, words.input_drops = schedule.disturbance_key, drops(wishes.input_dropout)
        if wishes.input_noise:
            self["noise"] = np.array([wishes.input_noise])
        if wishes.input_dropout:
            self["input_mask"] = self._scratch(rows * int(words.inputs_stride))
        if wishes.dropout:
            self._drop(wishes.dropout, rows)

    def _drop(self, probabilities: tuple[float, ...], rows: int) -> None:
        memory = np.zeros(len(self._records) * DROPOUT_RECORD, np.int64)
        records = DROPOUT.views(memory, len(self._records))
        for record, probability in zip(records, probabilities, strict=False):  # the last layer drops none
            record.drops = drops(probability)
        self._arrays["dropout masks"] = self._rows_of_layers(records, "mask", rows)
        self._arrays["undropped"] = self._rows_of_layers(records, "undropped", rows)
        for layer, dropout, of_sums in zip(self._records, records, self._of_sums(), strict=True):
            if dropout.drops and layer.chain_derivative and not of_sums:  # the derivative is one of these
                layer.weighted_sums = dropout.undropped
            else:
                dropout.undropped = 0
        self["dropout"] = memory

    def _of_sums(self) -> list[bool]:
        """Of each layer, whether its weighted sums are kept for the derivative."""
        layers = zip(self._records, self.model.activations, strict=True)
        return [bool(record.chain_derivative and row_of(ACTIVATIONS, a).of_sums) for record, a in layers]

    def rate(self, first_update: int, rates: Array) -> None:
        """Use these learning rates from this update on."""
        self["rates"], self.words.rates_first = rates, first_update
        self._changed_settings = True

    def raise_noted(self) -> None:
        """Raise what functions of users raised in the steps that ran last.

        If that was on the way to a loss, no step was made by it, and there is nothing that may not be brought.
        """
        if self.notes and self.notes.any():
            if np.isfinite(self._packed).all():
                self.words.stopped = 0
            self.notes.raise_any()

    def bring(self, parameters: Array, state: Array, average: Array | None = None) -> bool:
        """Bring parameters, state and running average to where the last step left them.

        If that is at numbers that are not finite, the parameters are those of the last epoch that ended well, all else
        stays as it is, and the answer is False. To be cut short and called again does no harm.
        """
        words = self.words
        words.ranks, words.column_parallel = 1, 0  # or this thread would bring its share alone
        within = words.steps_done % words.steps or len(self.trail)
        spoiled = within and words.stops_at_nonfinite and not np.isfinite(self._packed).all()
        if words.stopped or spoiled:
            parameters[...] = self._parameters
            return False
        if within:
            self.unpack(parameters, self._packed)
        else:
            parameters[...] = self._parameters
        for slot, packed in enumerate(self._packed_state):  # an iterator of no rows of an array takes a microsecond
            self.unpack(state[slot], packed)
        if average is not None:
            self.unpack(average, self._arrays["average"])
        return True


def lengthened(values: Array, count: int) -> Array:
    """A copy with zeros at its end."""
    longer = np.zeros(count, values.dtype)
    longer[: len(values)] = values
    return longer


class Training:
    """One call of `train`, to be run in stretches of steps. What it reads must not change meanwhile.

    What it writes, `parameters`, the optimizer's `state` and the running `average`, stays as it is until it is
    collected. done: takes the plan when it is closed.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        parameters: Array,
        state: Array,
        schedule: Schedule,
        done: Callable[[TrainingPlan], None],
        average: Array | None = None,
    ) -> None:
        self._plan, self._parameters, self._state, self._average = plan, parameters, state, average
        self._schedule, self._done, self._closed = schedule, done, False
        self.trail = plan.trail
        self.steps_per_epoch = int(plan.words.steps)
        self._take_curves()

    def _take_curves(self) -> None:
        """Losses, and mean norms of gradients if they are wanted, of as many epochs as there is room for."""
        self.losses, self.gradient_norms = self._plan.losses, self._plan.gradient_norms
        self._room = len(self.losses) * self.steps_per_epoch  # in steps

    def run(self, first_step: int, last_step: int, threads: int | None = None) -> int:
        """Train; returns the step before which it stopped, less than `last_step` if numbers ceased to be finite.

        threads: how many may work, if as many are idle; `self.threads` then is how many did. None: this one alone, for
        too short a time for others to leave it a CPU.
        """
        plan, call, schedule = self._plan, self._plan.library.call, self._schedule
        if last_step > self._room:
            plan.make_room(-(-last_step // self.steps_per_epoch), schedule.epochs)
            self._take_curves()
        if schedule.rates is not None:
            first = schedule.first_update + first_step + 1
            plan.rate(first, schedule.rates(first, last_step - first_step))
        if threads is None or (schedule.update_first and plan.model.normalizations):  # whose ranks meet otherwise
            self.threads = 1
            reached = call("run", plan, first_step, last_step)
            plan.raise_noted()
            return reached
        with crew(threads) as team:
            self.threads = team.size
            try:
                ranks = plan.ranks(team.size)
                reached = team.run(lambda rank: call("run", ranks[rank], first_step, last_step), plan.release_ranks)[0]
            finally:
                plan.ranks(1)
        plan.raise_noted()
        return reached

    @property
    def steps_done(self) -> int:
        """Where `run` stopped; known even if what it returned was lost to an interrupt."""
        return int(self._plan.words.steps_done)

    def activations(self) -> list[Array]:
        """Copies of every layer's in the last step, (samples of its batch, neurons). One must have been done."""
        words = self._plan.words
        first = (words.steps_done - 1) % words.steps * words.batch_size
        return self._plan.activations(min(words.batch_size, words.samples - first))

    def collect(self) -> bool:
        """Bring parameters, state and average to where the last step left them: see `TrainingPlan.bring`."""
        return self._plan.bring(self._parameters, self._state, self._average)

    def restart(self) -> None:
        """Go on, at an epoch's end, from parameters that were assigned meanwhile."""
        self._plan.pack_parameters(self._parameters)

    def close(self) -> None:
        """Let go of all arrays; there is no more to come. A second time does nothing."""
        if self._closed:
            return
        self._closed, plan = True, self._plan
        plan.release(
            "x", "y", "sample_weights", "columns", "starts", "rates", "average",
            "twister",
        )  # fmt: skip
        self._done(plan)
