"""Prediction from parameters that no longer change, by kernels. `reference.py` has it in plain NumPy."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from . import layout
from .plan import Array, Library, Model, Plan, Predictor, lies_readable, room
from .sparse_rows import Samples, SparseRows
from .threads import crew, most_threads

CHUNK = 256  # rows at a time where the user sets no batch size
SHARED = 1 << 24  # multiplications, some hundred microseconds: from here on, threads share the rows
PARTS = 8  # for each of them, as one may be slower than another
CONVERTED_AT_ONCE = 1 << 17  # numbers of a kind that kernels cannot read: they are copied part by part


class Workspace:
    """Plans to predict with, one for each thread that does at the same time. They outlive a change of parameters."""

    def __init__(self, library: Library, model: Model) -> None:
        self.library, self.model = library, model
        self._idle: list[Plan] = []
        self.seats = library.seats(partial(new_plan, library, model), model)

    @contextmanager
    def plan(self, packed: Array | None = None) -> Iterator[Plan]:
        """A plan that no other thread has meanwhile, for these parameters."""
        try:
            plan = self._idle.pop()
        except IndexError:
            plan = new_plan(self.library, self.model)
        if packed is not None:
            plan[layout.PACKED] = packed
        yield plan
        plan.release(layout.PACKED, layout.X, layout.OUTPUT)
        self._idle.append(plan)


def new_plan(library: Library, model: Model) -> Plan:
    """A plan that wants parameters, samples, and a place for outputs."""
    plan = Plan(library, model, CHUNK)
    plan[layout.STOP_AT_NONFINITE] = 1
    return plan


def may_stay(X: Array, model: Model) -> bool:
    """Whether tiles can read samples where they lie. Rows a multiple of 4 KiB apart would evict each other from L1."""
    row, column = X.strides
    return X.dtype == model.dtype and lies_readable(X) and column == X.itemsize and row % 4096 != 0


def multiplications(model: Model, X: Samples) -> int:
    """As many as it takes to predict. In the first layer, sparse samples want only those of the values they have."""
    if not isinstance(X, SparseRows):
        return len(X) * model.parameter_count
    inputs, outputs = model.sizes[:2]
    return len(X) * (model.parameter_count - inputs * outputs) + int(X.starts[-1] - X.starts[0]) * outputs


class Parts:
    """An iterator that threads share."""

    def __init__(self, firsts: Iterable[int]) -> None:
        self._firsts, self._lock = iter(firsts), threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._firsts)


class Prediction:
    """A model with parameters of its own, a packed vector that nobody writes to. Threads may share it."""

    def __init__(self, workspace: Workspace, packed: Array, threads: int | None = None) -> None:
        self.workspace, self.packed, self.threads = workspace, packed, threads

    @property
    def model(self) -> Model:
        return self.workspace.model

    def apart(self) -> "Prediction":
        """The same, in a workspace of its own."""
        return Prediction(Workspace(self.workspace.library, self.model), self.packed, self.threads)

    def parameters(self) -> Array:
        """The canonical vector."""
        canonical = np.empty(self.model.parameter_count, self.model.dtype)
        with self.workspace.plan() as plan:
            plan.unpack(canonical, self.packed)
        return canonical

    def shortcut(self, predictor: Predictor) -> Predictor:
        """The same callable on a shorter way, if the library has one; it checks its arguments, and calls `run`."""
        seats = self.workspace.seats
        return seats.shortcut(predictor, self.packed) if seats else predictor

    def run(self, X: Samples, output: Array, allow_nan: bool) -> bool:
        """Fill `output`, (n, outputs), from X, (n, features).

        If not to allow them, numbers that are not finite as the model's dtype end it: the answer is then False, and
        some rows may be missing.
        """
        whole = isinstance(X, SparseRows) or lies_readable(X)
        rows = len(X) if whole else max(1, CONVERTED_AT_ONCE // X.shape[1])
        if multiplications(self.model, X) < SHARED or self.threads == 1:
            return self._run_parts(X, output, allow_nan, iter(range(0, len(X), rows)), rows)
        with crew(min(self.threads or sys.maxsize, most_threads())) as team:
            rows = min(rows, max(CHUNK, len(X) // (PARTS * team.size)))
            parts = Parts(range(0, len(X), rows))
            return all(team.run(lambda rank: self._run_parts(X, output, allow_nan, parts, rows)))

    def _run_parts(self, X: Samples, output: Array, allow_nan: bool, parts: Iterator[int], rows: int) -> bool:
        with self._plan(X) as plan, np.errstate(over="ignore"):
            plan[layout.STOP_AT_NONFINITE] = not allow_nan
            return all(self._run(plan, X[first : first + rows], output[first : first + rows]) for first in parts)

    @contextmanager
    def _plan(self, X: Samples) -> Iterator[Plan]:
        if isinstance(X, SparseRows):  # its size depends on the samples
            rows = min(len(X), CHUNK)
            plan = Plan(self.workspace.library, self.model, rows, nonzeros=room(X, rows))
            plan[layout.PACKED] = self.packed
            yield plan
        else:
            with self.workspace.plan(self.packed) as plan:
                yield plan

    def _run(self, plan: Plan, X: Samples, output: Array) -> bool:
        plan.read_samples(X)
        if not isinstance(X, SparseRows) and may_stay(X, self.model):
            plan[layout.X_GATHER] = 0
        plan[layout.OUTPUT] = output
        return plan.call("predict", 0, len(X)) == len(X)
