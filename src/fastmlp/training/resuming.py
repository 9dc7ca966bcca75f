"""What a network keeps of its last training, so that it can go on as if it had never stopped."""

from typing import Any

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from .history import History
from .schedules import seen_from_record, seen_to_record
from .state import Snapshot, TrainingState

Header = dict[str, Any]


def to_record(history: History, at: int | None, best: Snapshot | None) -> tuple[Header, dict[str, Array]]:
    """A network's last training as JSON values and arrays."""
    columns = history.to_dict()
    del columns["epoch"]
    at = None if at == history.epochs else at
    header: Header = {
        "columns": list(columns), "at": at, "stopped": history.stopped, "best_epoch": history._best_epoch,
        "resumable": history._resumable,
        "best": best and {"epoch": best.epoch, "epochs": best.state.epochs, "updates": best.state.updates},
    }  # fmt: skip
    if history._measured_on is not None:
        header["measured_on"] = history._measured_on
    arrays = {"history": np.array(list(columns.values()), np.float64)}
    if best is not None:
        arrays |= {"best_parameters": best.parameters, "best_state": best.state.slots}
        if best.state.average is not None:
            arrays["best_average"] = best.state.average
        if best.state.seen is not None:
            header["best"]["plateau"] = seen_to_record(best.state.seen)
    return header, arrays


def from_record(
    header: Header, arrays: dict[str, Array], state: TrainingState
) -> tuple[History, int | None, Snapshot | None]:  # fmt: skip
    """What `to_record` was given, all of it checked; `state` is the network's."""
    columns = header["columns"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns) or "loss" not in columns:
        raise ValueError("columns")
    values = array_checks.numbers("history", arrays["history"])
    if values.ndim != 2 or len(values) != len(columns):
        raise ValueError("history")
    history = History()
    history._columns |= dict(zip(columns, values.astype(np.float64).tolist(), strict=True))
    if not isinstance(header["stopped"], str | None):
        raise ValueError("stopped")
    history._stopped = header["stopped"]
    history._resumable = validation.flag("resumable", header.get("resumable", True))
    measured_on = header.get("measured_on")
    history._measured_on = None if measured_on is None else validation.count("measured_on", measured_on)
    history._best_epoch, at = (_epoch(name, header[name], history) for name in ("best_epoch", "at"))
    best = header["best"]
    if best is None:
        return history, at, None
    numbers = {name: validation.count(name, best[name]) for name in ("epoch", "epochs", "updates")}
    dtype, shape = state.slots.dtype, (state.slots.shape[1],)
    parameters = array_checks.block("best_parameters", arrays["best_parameters"], shape, dtype.name).astype(dtype)
    slots = array_checks.state("best_state", arrays["best_state"], state.slots.shape).astype(dtype)
    average, seen = None, None
    if "best_average" in arrays:
        average = array_checks.block("best_average", arrays["best_average"], shape, dtype.name).astype(dtype)
    if best.get("plateau") is not None:
        seen = seen_from_record(best["plateau"])
    epoch, epochs, updates = numbers.values()
    then = TrainingState(state.optimizer, slots, epochs, updates, seen, average)
    return history, at, Snapshot(epoch, parameters, then)


def _epoch(name: str, value: Any, history: History) -> int | None:
    if value is not None and validation.count(name, value) > history.epochs:
        raise ValueError(name)
    return None if value is None else int(value)
