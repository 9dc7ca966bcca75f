"""Prediction from parameters that no longer change, by kernels. `reference.py` has it in plain NumPy."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from ..base.arrays import Array
from ..functions.function import Function
from ..layers import layout
from .limits import most_threads
from .pace import pace_of
from .plan import Library, Model, Plan, Predictor, lies_readable, readable, room
from .sparse_rows import Samples, SparseRows
from .threads import crew

CHUNK = 256  # rows at a time where the user sets no batch size
WORTH = 6 << 20  # multiplications, some fifty microseconds, that pay for a thread
PIECES = 4  # for each thread: one that begins later takes fewer
LEAST = 24  # rows of a piece that threads share: tiles of fewer rows than half a full one's may round in another way
OVERHEAD = 50  # multiplications: what a row, or a sparse value, costs beside its own
CONVERTED_AT_ONCE = 1 << 18  # numbers of a kind that kernels cannot read: they are copied part by part


class Workspace:
    """Plans to predict with, one for each thread that does at the same time. They outlive a change of parameters."""

    def __init__(self, library: Library, model: Model) -> None:
        self.library, self.model = library, model
        self._idle: list[Plan] = []
        self.seats = library.seats(partial(new_plan, library, model), model)
        # then what helpers note counts too
        self.calls_users = any(isinstance(f, Function) and bool(f.functions) for f in model.activations)

    @contextmanager
    def plan(self, packed: Array | None = None) -> Iterator[Plan]:
        """A plan that no other thread has meanwhile, for these parameters."""
        plan = self.take(packed)
        yield plan
        self.give_back(plan)

    def take(self, packed: Array | None = None) -> Plan:
        try:
            plan = self._idle.pop()
        except IndexError:
            plan = new_plan(self.library, self.model)
        if packed is not None:
            plan["packed"] = packed
        return plan

    def give_back(self, plan: Plan) -> None:
        plan.release("packed", "x", "output", "counts")
        self._idle.append(plan)


def new_plan(library: Library, model: Model) -> Plan:
    """A plan that wants parameters, samples, and a place for outputs."""
    plan = Plan(library, model, CHUNK)
    plan["stops_at_nonfinite"] = 1
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


def threads_for(rows: int, work: int, most: int | None) -> int:
    """How many threads share rows with so many multiplications, at most `most`; None: as many as there are."""
    if work < 2 * WORTH or rows < 2 * LEAST or most == 1:
        return 1
    return min(work // WORTH, rows // LEAST, most or sys.maxsize, most_threads())


def pieces_for(rows: int, threads: int) -> int:
    """In how many pieces, all of the same size, threads take rows. How many does not change the bits."""
    return max(-(-rows // CHUNK), min(PIECES * threads if threads > 1 else 1, rows // LEAST))


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
        if isinstance(X, SparseRows) and not lies_readable(X.values):
            X = replace(X, values=readable(X.values))
        rows = len(X)
        work = multiplications(self.model, rows, int(X.starts[-1] - X.starts[0]) if isinstance(X, SparseRows) else None)
        threads = threads_for(rows, work, self.threads)
        if threads > 1:
            return self._run_together(threads, work, X, output, allow_nan)
        plan = self._plan(X, output, allow_nan)
        finite = plan.call("predict", pieces_for(rows, 1), rows) == layout.FINITE
        self._give_back(plan)
        return finite

    def _run_together(self, threads: int, work: int, X: Samples, output: Array, allow_nan: bool) -> bool:
        """The same by this thread and those that help it, if that pays."""
        rows, counts = len(X), np.zeros(layout.COUNTERS, np.int64)
        arrays: list[Any] = [X, output]  # only as long as they are needed: whoever begins later finds none
        held = Lock()  # while somebody refers to them beside this thread
        pace = pace_of((self.model, work.bit_length()), threads)
        with crew(pace.threads) as team:
            pieces = pieces_for(rows, team.size)

            def predict(rank: int) -> int:
                with held:
                    if not arrays:
                        return 0
                    plan = self._plan(arrays[0], arrays[1], allow_nan)
                    plan.leave("x", "columns", "starts", "output")  # to rank 0, who may end sooner
                plan["counts"], plan["rank"] = counts, rank
                answer = plan.call("predict", pieces, rows)
                plan["x"] = plan["output"] = plan["rank"] = 0
                self._give_back(plan)
                return answer

            began = time.perf_counter()
            try:
                done = None if self.workspace.calls_users else lambda answer: bool(answer & layout.COMPLETE)
                team.run(predict, done=done)
            finally:
                with held:
                    arrays.clear()
            finite = not counts[layout.SPOILED]
            if finite:
                pace.told(team.size, work, time.perf_counter() - began)
        return finite

    def _run_copies(self, X: Array, output: Array, allow_nan: bool) -> bool:
        """The same for samples that kernels cannot read where they lie."""
        rows = max(1, CONVERTED_AT_ONCE // X.shape[1])
        with np.errstate(over="ignore"):
            parts = ((readable(X[i : i + rows]), output[i : i + rows]) for i in range(0, len(X), rows))
            return all(self.run(part, place, allow_nan) for part, place in parts)

    def _plan(self, X: Samples, output: Array, allow_nan: bool) -> Plan:
        """A plan that no other thread has, to predict these samples."""
        if isinstance(X, SparseRows):  # its size depends on the samples
            rows = min(len(X), CHUNK)
            plan = Plan(self.workspace.library, self.model, rows, nonzeros=room(X, rows))
            plan["packed"] = self.packed
        else:
            plan = self.workspace.take(self.packed)
        plan["stops_at_nonfinite"] = not allow_nan
        plan.read_samples(X)
        if not isinstance(X, SparseRows) and may_stay(X, self.model):
            plan["gather_x"] = 0
        plan["output"] = output
        return plan

    def _give_back(self, plan: Plan) -> None:
        if plan.nonzeros is None:
            self.workspace.give_back(plan)
