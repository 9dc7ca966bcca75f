"""The plan that kernels take, made from a model and arrays. `layers/plan.py` says what its fields mean."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, chain
from typing import Any, Protocol, TypeVar

import numpy as np

from ..base.arrays import Array
from ..base.records import Record, frozen
from ..compiler.notes import Notes
from ..functions.activations import ACTIVATIONS
from ..functions.function import Function, kernel_of, kernel_of_vector, numbers_of, row_of
from ..functions.kernel import SOURCE_DTYPES, Kernel
from ..functions.losses import LOSSES, divisor, target_columns
from ..functions.normalization import (
    BY_BATCH,
    NOT,
    Normalizations,
    kind_of,
    settings_of,
    vector_counts,
    without_batches,
)
from ..functions.optimizers import Optimizer
from ..layers import layout
from ..layers.plan import HEADER, LAYER, NORMALIZATION, NORMALIZATION_RECORD, PLAN, RECORD
from ..vocabulary.levels import LEVELS, tile_shape
from .sparse_rows import Samples, SparseRows

try:
    from .._compiled import data_address as data_address  # for others, too
except ImportError:

    def data_address(array: "Array") -> int:
        """The address of the first element."""
        address: int = array.ctypes.data
        return address


READABLE = {np.dtype(name): name for name in (*SOURCE_DTYPES, "float16", "bool")}
"""How kernels name the number types, in this machine's byte order, that they read where they lie."""

NUMBERS = {name: np.dtype(name) for name in ("float32", "float64", "int64")}  # names are slow to look up in NumPy
OWN = (*(field.name for field in PLAN.fields if field.own and field.is_pointer), "inputs")  # memory of each rank
NO_SETTINGS = np.zeros(1)  # for functions that do not look there

Predictor = TypeVar("Predictor", bound=Callable[..., Array])


@frozen
class Model(Record):
    """What a network is, apart from its numbers."""

    sizes: tuple[int, ...]  # features, then outputs of each layer
    activations: tuple[str | Function, ...]  # one for each layer; names stand for the defaults
    loss: str | Function
    dtype: str
    normalizations: Normalizations = ()  # one for each layer, or none at all

    @cached_property
    def parameter_count(self) -> int:
        return layout.parameter_count(self.sizes, vector_counts(self.normalizations))

    def normalization_of(self, layer: int) -> str | Function | None:
        return self.normalizations[layer] if self.normalizations else None

    @cached_property
    def folded(self) -> "Model":
        """What computes the same where nothing is being trained: see `folding.py`."""
        kept = without_batches(self.normalizations)
        return self if kept == self.normalizations else replace(self, normalizations=kept)

    @cached_property
    def target_columns(self) -> int:
        """Numbers of a sample's target."""
        return target_columns(self.loss, self.sizes[-1])


class Seats(Protocol):
    """Plans of an extension module for the threads that predict at the same time; see `_compiled.pyx`."""

    def shortcut(self, predictor: Predictor, packed: Array) -> Predictor:
        """The same callable on a shorter way, for a predictor with these packed parameters."""


class Library(Protocol):
    """Kernels compiled, or not, in one way for one CPU level."""

    name: str
    level: str

    @property
    def system_call(self) -> tuple[int, int]:
        """By which a kernel leaves its CPU to other threads: see `futex.system_call`."""

    def address(self, kernel: str | Kernel, dtype: str) -> int:
        """Where a kernel of the table, or one that users made, is, for a plan to hold."""

    def call(self, kernel: str, plan: "Plan | Rank", first: int, last: int) -> int:
        """Run an entry of the interface."""

    def seats(self, new_plan: "Callable[[], Plan]", model: Model) -> "Seats | None":
        """What predictors go straight to the kernel with, as the compiled backend's do."""


class Plan:
    """A plan for `batch_size` rows, with its scratch.

    loss: the loss that the last layer feeds; None: outputs are wanted. Losses on logits see the last layer's weighted
    sums, and need neither its activation nor the derivative. nonzeros: as many values as `room` says a batch of sparse
    samples has; None: samples are dense.
    """

    def __init__(
        self,
        library: Library,
        model: Model,
        batch_size: int,
        loss: str | Function | None = None,
        nonzeros: int | None = None,
    ) -> None:
        self.library, self.model, self.nonzeros = library, model, nonzeros
        shape = tile_shape(model.dtype, LEVELS[library.level])
        self._lanes, self._panel = shape["LANES"], shape["PANEL"]
        layers = len(model.sizes) - 1
        self._memory = np.zeros(HEADER + layers * RECORD, np.int64)
        (self.words,) = PLAN.views(self._memory, 1)
        self.address = data_address(self._memory)
        self._arrays: dict[str, Array] = {}  # by the field that leads there, or another name where layers' fields do
        self._lent: tuple[Array, ...] = ()  # to which no field leads, as long as a kernel works on them
        self._kept: list[Array] = []  # what layers' records lead to
        self._others: list[Rank] = []
        self.notes = Notes([*model.activations, loss])
        self._records = LAYER.views(self._memory, layers, HEADER)
        self["layers"] = layers
        self["batch_size"] = batch_size
        self["ranks"] = 1
        self._lay_out_layers(batch_size)
        self["inputs_stride"] = self._stride(model.sizes[0])
        if nonzeros is None:
            self["inputs"] = self._scratch(batch_size * self._stride(model.sizes[0]))
        else:
            self["inputs"] = self._scratch(nonzeros)
            self["batch_columns"] = np.empty(nonzeros, np.int64)
            self["batch_places"] = np.empty(2 * batch_size, np.int64)
        if loss is not None:
            self._feed(loss, batch_size)

    def __setitem__(self, field: str, value: "Array | int") -> None:
        """Set a field to a number, or to the address of an array, which is kept alive."""
        if isinstance(value, np.ndarray):
            self._arrays[field] = value
            value = data_address(value)
        setattr(self.words, field, value)

    def __repr__(self) -> str:
        layers = (f"layer {l}\n{record}" for l, record in enumerate(self._records))
        return "\n".join([f"{type(self).__name__} of {self.model}", repr(self.words), *layers])

    def release(self, *fields: str) -> None:
        """Let go of the arrays that these fields lead to."""
        for field in fields:
            if field in self._arrays:
                del self._arrays[field]
                setattr(self.words, field, 0)

    def leave(self, *fields: str) -> None:
        """Leave it to somebody else to keep the arrays alive that these fields lead to."""
        for field in fields:
            self._arrays.pop(field, None)

    def arrays(self) -> list[Array]:
        """All memory that the plan's addresses lead to."""
        return [self._memory, *self._arrays.values(), *self._kept, *self._lent]

    def activations(self, rows: int) -> list[Array]:
        """Copies of every layer's, in so many rows of the batch."""
        strides = [int(record.stride) for record in self._records]
        ends = np.cumsum(strides)[:-1] * int(self.words.batch_size)
        layers = zip(np.split(self._arrays["activations"], ends), strides, self.model.sizes[1:], strict=True)
        return [values.reshape(-1, stride)[:rows, :neurons].copy() for values, stride, neurons in layers]

    def call(self, kernel: str, first: int, last: int) -> int:
        """Run an entry of the interface; what functions of users raised in it is raised."""
        answer = self.library.call(kernel, self, first, last)
        if self.notes:
            self.notes.raise_any()
        return answer

    def read_samples(self, X: Samples) -> None:
        """Take samples from X, (n, features), as it lies in memory."""
        self.words.samples = len(X)
        if isinstance(X, SparseRows):
            self._read("x", X.values[:, np.newaxis])
            self["columns"], self["starts"] = X.columns, X.starts
            address = self.library.address(f"gather_columns_{X.columns.dtype.name}", self.model.dtype)
            self["gather_columns"] = address
        else:
            self._read("x", X)

    def read_targets(self, y: Array) -> None:
        """Take targets from y: (n, outputs), or (n,) integer labels."""
        if y.ndim == 1:
            y = np.ascontiguousarray(y, np.int64)[:, np.newaxis]
            self._read("y", y)
            self["gather_y"] = self.library.address("gather_labels", self.model.dtype)
        else:
            self._read("y", y)

    def weigh_samples(self, weights: Array | None) -> None:
        """Let them count by float64 weights, (n,), whose mean is 1; None: alike."""
        self["sample_weights"] = 0 if weights is None else weights

    def optimize(self, optimizer: Optimizer) -> None:
        """Make the optimizer's steps."""
        formula, dtype = optimizer.formula, self.model.dtype
        self["optimizer"] = self.library.address(f"optimizer_{formula.name}", dtype)
        self["skips_zero_gradient"], self["is_plain_sgd"] = formula.skips_zero_gradient, formula.is_plain_sgd
        if formula.prepare is not None:
            self["prepare"] = self.library.address(f"prepare_{formula.name}", dtype)
        self._settings = np.zeros((len(self._records), len(formula.settings)))
        self["settings"] = self._settings.reshape(-1)
        self.set(optimizer)
        part = (1 + max(self.model.sizes[:-1])) * self._panel
        if self.words.batch_size == 1 and self.nonzeros is None and self._fits_into_vectors():
            self._stay_in_vectors()
            part = max(part, int(self.words.packed_size))
        self["part"] = self._scratch(part)

    def set(self, optimizer: Optimizer, factors: Sequence[float] | None = None) -> None:
        """Take the settings of an optimizer that makes the same steps, its rate multiplied by each layer's factor."""
        settings = optimizer.settings()
        self._settings[:, : len(settings)] = settings
        self._settings[:, len(settings) :] = 0
        if factors is not None:
            self._settings[:, 0] *= factors
        self.words.settings_stride = 0 if factors is None else self._settings.shape[1]

    def want_input_gradient(self, gradient: Array) -> None:
        """Fill it, (samples, features), when going backward."""
        self["input_gradient"] = gradient
        self["input_delta"] = self._scratch(int(self.words.batch_size * self.words.inputs_stride))

    def ranks(self, count: int) -> "list[Plan | Rank]":
        """Plans for threads that run this one together, until it is changed. Rank 0 is this plan."""
        self.words.ranks = count
        self.words.column_parallel = count > 1 and self.shares_first_layer()
        if count == 1:
            return [self]
        self["barrier"] = meeting = np.zeros(layout.PLACES, np.int64)
        meeting[layout.NAP + 1] = 5_000_000
        self["system_call"], self["futex"] = self.library.system_call
        self._others += [Rank(self, rank) for rank in range(len(self._others) + 1, count)]
        for other in self._others:
            other.follow()
        return [self, *self._others[: count - 1]]

    def shares_first_layer(self) -> bool:
        """Whether ranks share its neurons: where its weights are more than what they read of each other instead."""
        words, first = self.words, self.model.activations[0]
        rows = int(words.batch_size)
        if not self.has_large_first_layer(rows):
            return False
        if self.nonzeros is not None or self.model.normalization_of(0) is not None or words.is_disturbed:
            return False
        if row_of(ACTIVATIONS, first).rowwise or words.lowest_trained or words.x_column != 1:
            return False
        return rows > 1 and bool(words.samples % rows != 1)  # a batch of one sample goes another way

    def has_large_first_layer(self, rows: int) -> bool:
        """Whether it is not the last, and has no fewer weights than so many samples and outputs have numbers."""
        inputs, outputs = self.model.sizes[:2]
        return len(self._records) > 1 and inputs * outputs >= rows * (inputs + outputs)

    def release_ranks(self) -> None:
        """Let ranks return that wait for another."""
        self._arrays["barrier"][layout.RELEASED] = 1

    def packed(self, vectors: int = 1) -> Array:
        """Room for packed vectors."""
        return self._scratch(vectors * int(self.words.packed_size))

    def pack(self, canonical: Array, packed: Array) -> None:
        self._between("pack", canonical, packed)

    def unpack(self, canonical: Array, packed: Array) -> None:
        self._between("unpack", canonical, packed)

    def _between(self, kernel: str, canonical: Array, packed: Array) -> None:
        self._lent = canonical, packed
        self.call(kernel, data_address(canonical), data_address(packed))
        self._lent = ()

    def _read(self, name: str, values: Array) -> None:
        """Take samples, x, or targets, y, from an array."""
        values = readable(values)
        self[name] = values
        words, size = self.words, values.itemsize
        row_bytes, column_bytes = values.strides
        setattr(words, f"{name}_row", row_bytes // size)
        setattr(words, f"{name}_column", column_bytes // size)
        setattr(words, f"gather_{name}", self.library.address(f"gather_{READABLE[values.dtype]}", self.model.dtype))

    def _stride(self, columns: int) -> int:
        return layout.stride(columns, self._lanes, NUMBERS[self.model.dtype].itemsize)

    def _lay_out_layers(self, batch_size: int) -> None:
        model, canonical, packed = self.model, 0, 0
        strides = [self._stride(outputs) for outputs in model.sizes[1:]]
        rows = zip(self._records, model.sizes, model.sizes[1:], strides, model.activations, strict=False)
        counts = vector_counts(model.normalizations or (None,) * len(strides))
        for l, (record, inputs, outputs, stride, activation) in enumerate(rows):
            width = layout.padded(outputs, self._lanes)
            record.fan_in, record.fan_out = inputs, outputs
            normalized = model.normalization_of(l) is not None
            single = outputs == 1 and inputs > self._lanes and not normalized
            height = 1 + (layout.padded(inputs, self._lanes) // self._lanes if single else inputs)
            record.width, record.stride = width, stride
            record.height, record.single_output = height, single
            record.canonical_offset, record.packed_offset = canonical, packed
            if row_of(ACTIVATIONS, activation).forward is not None:
                record.activate = self.library.address(kernel_of("activation", activation), model.dtype)
            canonical += (inputs + counts[l]) * outputs
            packed += width * (height + counts[l] * normalized)  # these rows are the tail
        self["packed_size"] = packed
        self._arrays["activations"] = self._rows_of_layers(self._records, "activations", batch_size)
        for record in self._records:
            record.weighted_sums = record.activations
        self._lay_out_settings()
        if model.normalizations:
            self._normalize(model.normalizations, batch_size)

    def _normalize(self, normalizations: Normalizations, batch_size: int) -> None:
        memory = np.zeros(len(self._records) * NORMALIZATION_RECORD, np.int64)
        self._normalization = NORMALIZATION.views(memory, len(self._records))
        statistics = batch_size
        for layer, record, normalization in zip(self._records, self._normalization, normalizations, strict=True):
            record.kind = kind_of(normalization)
            if normalization is None:
                continue
            width, rows = layer.width, batch_size * layer.stride
            record.tail = layer.packed_offset + width * layer.height
            record.sums = self._keep(rows)
            settings = np.array(settings_of(normalization))
            self._kept.append(settings)
            record.settings = data_address(settings)
            if record.kind == BY_BATCH:
                statistics = layout.padded(statistics, self._lanes)
                record.statistics = statistics
                statistics += 4 * width
            else:
                record.statistics = self._keep(2 * batch_size)
        self["normalization"] = memory
        if statistics > batch_size:
            self["batch_statistics"] = self._scratch(statistics)

    def _keep(self, count: int) -> int:
        """The address of so many numbers, kept as long as the plan."""
        self._kept.append(self._scratch(count))
        return data_address(self._kept[-1])

    def _lay_out_settings(self) -> None:
        if self.notes:
            self._kept.append(self.notes.memory)
        numbers = [numbers_of(ACTIVATIONS, activation) for activation in self.model.activations]
        if not any(numbers) and not self.notes:
            self._kept.append(NO_SETTINGS)
            for record in self._records:
                record.activation_settings = data_address(NO_SETTINGS)
            return
        settings = np.array([*chain(*numbers), 0.0])  # one more, so that every layer has an address
        self._kept.append(settings)
        starts = accumulate(map(len, numbers), initial=0)
        for record, start in zip(self._records, starts, strict=False):
            record.activation_settings = data_address(settings) + start * settings.itemsize
        for record, activation in zip(self._records, self.model.activations, strict=True):
            if (note := self.notes.of(activation)) is not None:
                record.activation_settings = data_address(note)

    def _rows_of_layers(self, records: Iterable[Any], field: str, batch_size: int) -> Array:
        """Room for a row of every layer's outputs for each sample; this field of each record gets its address."""
        sizes = [batch_size * layer.stride for layer in self._records]
        rows = self._scratch(sum(sizes))
        address = data_address(rows)
        for record, size in zip(records, sizes, strict=True):
            setattr(record, field, address)
            address += size * rows.itemsize
        return rows

    def _feed(self, loss: str | Function, batch_size: int) -> None:
        model, last = self.model, self._records[-1]
        for record, activation in zip(self._records, model.activations, strict=True):
            if row_of(ACTIVATIONS, activation).derivative is not None:
                record.chain_derivative = self.library.address(kernel_of("derivative", activation), model.dtype)
        row = row_of(LOSSES, loss)
        if row.on_logits:
            last.activate = last.chain_derivative = 0
        for record, activation in zip(self._records, model.activations, strict=True):
            if record.chain_derivative and row_of(ACTIVATIONS, activation).of_sums:
                record.weighted_sums = self._keep(batch_size * record.stride)
        self["loss"] = self.library.address(kernel_of("loss", loss), model.dtype)
        numbers = numbers_of(LOSSES, loss)
        note = self.notes.of(loss)
        self["loss_settings"] = note if note is not None else np.array(numbers) if numbers else NO_SETTINGS
        self["target_columns"] = target_columns(loss, model.sizes[-1])
        self["value_divisor"] = self["delta_divisor"] = divisor(loss, model.sizes[-1])
        self["targets"] = self._scratch(batch_size * last.stride)
        self._arrays["deltas"] = self._rows_of_layers(self._records, "delta", batch_size)
        if model.normalizations:
            for layer, normalized in zip(self._records, self._normalization, strict=True):
                if normalized.kind != NOT:
                    normalized.delta = self._keep(batch_size * layer.stride)
        self["row_losses"] = np.empty(batch_size)
        if batch_size > 1 and model.sizes[-1] == 1 and self._is_of_vectors(LOSSES, loss):
            self._call_loss_for_vectors(loss)
        self["transposed"] = self._scratch(max(record.width for record in self._records) * self._panel)
        constants = self._scratch(self._panel + 1)
        constants[:-1], constants[-1] = 0, 1
        self["constants"] = constants

    def _fits_into_vectors(self) -> bool:
        """Whether every layer does, and activations and loss have functions of vectors."""
        model = self.model
        if model.normalizations or max(model.sizes) > self._lanes:
            return False
        functions = [(ACTIVATIONS, activation) for activation in model.activations]
        return all(self._is_of_vectors(*one) for one in [*functions, (LOSSES, model.loss)])

    def _is_of_vectors(self, table: Any, function: str | Function) -> bool:
        """Whether an activation or loss is one of single numbers, and a formula."""
        if not row_of(table, function).elementwise:
            return False
        return isinstance(function, str) or function.is_formula(self.model.dtype)

    def _call_loss_for_vectors(self, loss: str | Function) -> None:
        self["loss_of_vector"] = self.library.address(kernel_of_vector("loss", loss), self.model.dtype)

    def _stay_in_vectors(self) -> None:
        """Take steps in the way of `small.py`."""
        dtype = self.model.dtype
        self["in_registers"] = 1
        for record, activation in zip(self._records, self.model.activations, strict=True):
            if record.activate:
                kernel = kernel_of_vector("activation", activation)
                record.activation_of_vector = self.library.address(kernel, dtype)
        self._call_loss_for_vectors(self.model.loss)
        self["inputs"], self["targets"] = (self._scratch(layout.AHEAD * self._lanes) for _ in range(2))

    def _scratch(self, count: int) -> Array:
        return scratch(count, self.model.dtype)


def room(X: Samples, batch_size: int) -> int | None:
    """Places for the values of any so many sparse samples, each of which begins at a whole vector."""
    if not isinstance(X, SparseRows):
        return None
    vector = max(level.vector_bytes for level in LEVELS.values()) // 4
    counts = -(-X.counts() // vector) * vector
    return max(1, int(np.partition(counts, len(X) - batch_size)[len(X) - batch_size :].sum()))


class Rank:
    """A plan's copy for another thread, with memory of its own."""

    def __init__(self, plan: Plan, rank: int) -> None:
        self.model, self._plan, self._rank = plan.model, plan, rank
        self._memory = plan._memory.copy()
        (self.words,), self.address = PLAN.views(self._memory, 1), data_address(self._memory)
        self._own: dict[str, Array] = {}

    def follow(self) -> None:
        """Do as the plan says now."""
        self._memory[:] = self._plan._memory
        self.words.rank = self._rank
        for field in OWN if self.words.column_parallel else OWN[:-1]:
            if getattr(self.words, field):
                if field not in self._own:
                    self._own[field] = alike(self._plan._arrays[field])
                setattr(self.words, field, data_address(self._own[field]))
        self._own["settings"][:] = self._plan._arrays["settings"]

    def arrays(self) -> list[Array]:
        return [self._memory, *self._own.values(), *self._plan.arrays()]


def alike(array: Array) -> Array:
    """A copy in aligned memory."""
    copy = scratch(len(array), array.dtype.name)
    copy[...] = array
    return copy


def scratch(count: int, dtype: str) -> Array:
    """Uninitialised numbers, aligned to 64 bytes."""
    number = NUMBERS[dtype]
    memory = np.empty(count + 64 // number.itemsize, number)
    start = -data_address(memory) % 64 // number.itemsize
    return memory[start : start + count]


def readable(values: Array) -> Array:
    """The array itself if kernels can read it where it lies, else a plain copy."""
    if lies_readable(values):
        return values
    native = values.dtype.newbyteorder("=")
    return np.array(values, native if native in READABLE else np.float64, order="C")


def lies_readable(values: Array) -> bool:
    """Whether kernels can read an array where it lies."""
    if values.dtype not in READABLE or not values.flags.aligned:
        return False
    size = values.itemsize
    return math.gcd(size, *values.strides) == size
