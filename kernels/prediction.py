"""Prediction from parameters that no longer change, by kernels. `reference.py` has it in plain NumPy."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np

from . import layout
from .plan import Array, Library, Model, Plan, Predictor, lies_readable, readable, room
from .sparse_rows import Samples, SparseRows
from .threads import crew, most_threads

CHUNK = 256  # rows at a time where the user sets no batch size
LOOK = 1 << 22  # multiplications, some tens of microseconds: after them it is known how long the rest takes
SHARED = 3 << 23  # multiplications, some hundred microseconds: of fewer, the rest is not worth a look
WORTH = 0.0004  # seconds of work that are worth waking a helper for
OVERHEAD = 50  # multiplications: what a row, or a sparse value, costs beside its own
CONVERTED_AT_ONCE = 1 << 18  # numbers of a kind that kernels cannot read: they are copied part by part


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
        plan.release(layout.PACKED, layout.X, layout.OUTPUT, layout.TAKEN)
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


def multiplications(model: Model, rows: int = 1, values: int | None = None) -> int:
    """Of float32, as many as take about as long as to predict: vectors hold half as many float64.

    values: how many sparse samples have, which alone are wanted in the first layer.
    """
    inputs, outputs = model.sizes[:2]
    count = rows * (model.parameter_count + OVERHEAD)
    if values is not None:
        count += values * (outputs + OVERHEAD) - rows * inputs * outputs
    return count * np.dtype(model.dtype).itemsize // 4


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
        if not isinstance(X, SparseRows) and not lies_readable(X):
            return self._run_copies(X, output, allow_nan)
        rows = len(X)
        work = multiplications(self.model, rows, int(X.starts[-1] - X.starts[0]) if isinstance(X, SparseRows) else None)
        first, seconds = 0, 0.0 if self.threads == 1 or work < SHARED else np.inf
        with self._plan(X, output, allow_nan) as plan:
            if seconds > 0.0 and CHUNK * work < SHARED * rows:  # else a single chunk is worth it
                first, began = CHUNK * max(1, rows * LOOK // (work * CHUNK)), time.perf_counter()
                if plan.call("predict", 0, first) < first:
                    return False
                seconds = (time.perf_counter() - began) / first * (rows - first)
            if seconds < WORTH:
                return plan.call("predict", first, rows) == rows
            threads = min(self.threads or sys.maxsize, most_threads(), -(-(rows - first) // CHUNK), 1 + seconds / WORTH)
            return self._run_together(int(threads), plan, X, output, allow_nan, first)

    def _run_together(
        self, threads: int, plan: Plan, X: Samples, output: Array, allow_nan: bool, first: int
    ) -> bool:  # fmt: skip
        """The same from a sample on, by this thread, with its plan, and those that help it."""
        taken = np.array([first], np.int64)

        def work(rank: int) -> int:
            with nullcontext(plan) if rank == 0 else self._plan(X, output, allow_nan) as own:
                own[layout.TAKEN] = taken
                return own.call("predict_together", 0, len(X))

        with crew(threads) as team:
            return all(team.run(work))

    def _run_copies(self, X: Array, output: Array, allow_nan: bool) -> bool:
        """The same for samples that kernels cannot read where they lie."""
        rows = max(1, CONVERTED_AT_ONCE // X.shape[1])
        with np.errstate(over="ignore"):
            parts = ((readable(X[i : i + rows]), output[i : i + rows]) for i in range(0, len(X), rows))
            return all(self.run(part, place, allow_nan) for part, place in parts)

    @contextmanager
    def _plan(self, X: Samples, output: Array, allow_nan: bool) -> Iterator[Plan]:
        """A plan that no other thread has, to predict these samples."""
        if isinstance(X, SparseRows):  # its size depends on the samples
            rows = min(len(X), CHUNK)
            plan = Plan(self.workspace.library, self.model, rows, nonzeros=room(X, rows))
            plan[layout.PACKED] = self.packed
            self._fill(plan, X, output, allow_nan)
            yield plan
        else:
            with self.workspace.plan(self.packed) as plan:
                self._fill(plan, X, output, allow_nan)
                yield plan

    def _fill(self, plan: Plan, X: Samples, output: Array, allow_nan: bool) -> None:
        plan[layout.STOP_AT_NONFINITE] = not allow_nan
        plan.read_samples(X)
        if not isinstance(X, SparseRows) and may_stay(X, self.model):
            plan[layout.X_GATHER] = 0
        plan[layout.OUTPUT] = output
