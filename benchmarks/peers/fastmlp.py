"""Ours, through the public interface."""

from typing import Any

import numpy as np

import fastmlp

from . import Job


def network(workload: Any, backend: str | None = None) -> fastmlp.NeuralNetwork:
    made = fastmlp.NeuralNetwork(
        workload.layer_sizes, workload.activation, workload.output, workload.loss,
        dtype=workload.dtype, seed=0, backend=backend,
    )  # fmt: skip
    made.parameters = workload.parameters()
    return made


def training(workload: Any, backend: str | None = None) -> dict[str, Job]:
    X, y = workload.data()
    options = {"batch_size": workload.batch_size, "optimizer": workload.optimizer, "shuffle": workload.shuffle}
    arguments = (X, y, workload.epochs, workload.learning_rate)
    made, start = network(workload, backend), workload.parameters()

    def begin() -> None:
        made.reset_optimizer()
        made.parameters = start

    names = {"arguments": arguments, "options": options, "network": made, "begin": begin}
    statement = "network.train(*arguments, **options)"
    return {"": Job(statement, names, "network.parameters", before="begin()")}


def prediction(workload: Any, backend: str | None = None) -> dict[str, Job]:
    names = {"predict": network(workload, backend).predict, "X": samples(workload)}
    return {"": Job("predict(X)", names, "predict(X)")}


def predictor(workload: Any) -> dict[str, Job]:
    prepared = network(workload)
    if not hasattr(prepared, "predictor"):
        return {}
    X = samples(workload)
    names = {"predict": prepared.predictor(), "X": X, "out": np.empty_like(prepared.predict(X))}
    return {"": Job("predict(X, out=out)", names, "out")}


def samples(workload: Any) -> np.ndarray:
    X, _ = workload.data()
    return X[0] if len(X) == 1 else X
