"""What a network keeps of its last training, so that it can go on as if it had never stopped."""

from typing import Any, NamedTuple

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from .history import History
from .schedules import Seen, seen_from_record, seen_to_record

Header = dict[str, Any]


class Snapshot(NamedTuple):
    """A network at the end of an epoch."""

    epoch: int  # of the training, from 1
    epochs: int  # of the network's whole life
    updates: int
    parameters: Array
    state: Array
    average: Array | None = None  # the running one of the parameters
    seen: "Seen" = None  # by a schedule, of losses


def snapshot(network: Any, epoch: int) -> Snapshot:
    average = None if network._average is None else network._average.copy()
    return Snapshot(
        epoch, network._epochs, network._updates, network._parameters.copy(), network._state.copy(), average,
        network._seen,
    )  # fmt: skip


def to_record(history: History, at: int | None, best: Snapshot | None) -> tuple[Header, dict[str, Array]]:
    """A network's last training as JSON values and arrays."""
    columns = history.to_dict()
    del columns["epoch"]
    at = None if at == history.epochs else at
    header: Header = {
        "columns": list(columns), "at": at, "stopped": history.stopped, "best_epoch": history._best_epoch,
        "resumable": history._resumable,
        "best": best and {"epoch": best.epoch, "epochs": best.epochs, "updates": best.updates},
    }  # fmt: skip
    if history._measured_on is not None:
        header["measured_on"] = history._measured_on
    arrays = {"history": np.array(list(columns.values()), np.float64)}
    if best is not None:
        arrays |= {"best_parameters": best.parameters, "best_state": best.state}
        if best.average is not None:
            arrays["best_average"] = best.average
        if best.seen is not None:
            header["best"]["plateau"] = seen_to_record(best.seen)
    return header, arrays


def from_record(
    header: Header, arrays: dict[str, Array], state: Array
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
    dtype, shape = state.dtype, (state.shape[1],)
    parameters = array_checks.block("best_parameters", arrays["best_parameters"], shape, dtype.name).astype(dtype)
    saved = array_checks.state("best_state", arrays["best_state"], state.shape).astype(dtype)
    average, seen = None, None
    if "best_average" in arrays:
        average = array_checks.block("best_average", arrays["best_average"], shape, dtype.name).astype(dtype)
    if best.get("plateau") is not None:
        seen = seen_from_record(best["plateau"])
    return history, at, Snapshot(**numbers, parameters=parameters, state=saved, average=average, seen=seen)


def _epoch(name: str, value: Any, history: History) -> int | None:
    if value is not None and validation.count(name, value) > history.epochs:
        raise ValueError(name)
    return None if value is None else int(value)
