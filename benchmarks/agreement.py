"""That all sides compute the same as NumPy in float64: losses and weights of training, outputs of prediction."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from children import Child
from peers import Peer
from peers import numpy as oracle
from workloads import Row, Workload

OUTPUTS = {"float32": 1e-4, "float64": 1e-12}  # largest relative difference of predictions
CHECKED_ROWS = 1000
FEW_SAMPLES = 64  # all classes are among them, without which scikit-learn refuses

Children = dict[Peer, list[Child]]


@dataclass
class Agreement:
    """The losses that all should have, and each side's largest relative difference of all that was compared."""

    row: Row
    losses: list[float] = field(default_factory=list)
    differences: dict[Peer, float] = field(default_factory=dict)

    def see(self, what: str, difference: float, side: Peer, label: str) -> None:
        most = side.tolerance if self.losses else OUTPUTS[self.row.workload.dtype]
        if not difference <= most:
            raise SystemExit(
                f"{label} differs in {what} of {self.row}: relative difference {difference:.2g}, allowed {most:g}"
            )
        self.differences[side] = max(difference, self.differences.get(side, 0))


def distance(value: Any, truth: Any) -> float:
    return float(np.linalg.norm(np.float64(value).ravel() - np.ravel(truth)) / np.linalg.norm(truth))


def exactly(workload: Workload) -> tuple[Workload, np.ndarray, np.ndarray, np.ndarray]:
    """The workload in float64, with the initial parameters and data that the others have."""
    X, y = workload.data()
    y = y if y.dtype.kind == "i" else y.astype(np.float64)
    return replace(workload, dtype="float64"), workload.parameters().astype(np.float64), X.astype(np.float64), y


def compare(row: Row, children: Children) -> Agreement:
    return (compare_training if row.kind in ("training", "start") else compare_prediction)(row, children)


def compare_training(row: Row, children: Children) -> Agreement:
    """From the same weights without shuffling: how the weights move in the first steps, before rounding turns a ReLU on
    or off, and the losses after one epoch and after all."""
    workload = replace(row.workload, shuffle=False)
    steps = max(2, FEW_SAMPLES // workload.batch_size)
    few_steps = replace(workload, samples=min(workload.samples, steps * workload.batch_size), epochs=1)
    exact, start, X, y = exactly(workload)
    agreement = Agreement(row, [oracle.loss(exact, start, X, y)])
    truth = trained(few_steps)
    for side, label, parameters in trained_by(children, row, few_steps):
        agreement.see("the weights' movement", distance(parameters - start, truth - start), side, label)
    first_of_each = {side: members[:1] for side, members in children.items()}
    for epochs, those in {1: first_of_each, workload.epochs: children}.items():
        right = oracle.loss(exact, trained(replace(workload, epochs=epochs)), X, y)
        agreement.losses.append(right)
        for side, label, parameters in trained_by(those, row, replace(workload, epochs=epochs)):
            loss = oracle.loss(exact, np.float64(parameters), X, y)
            agreement.see("the loss", abs(loss - right) / right, side, label)
    return agreement


def trained(workload: Workload) -> np.ndarray:
    """The parameters as NumPy has them in float64."""
    exact, parameters, X, y = exactly(workload)
    oracle.train(exact, parameters, X, y)
    return parameters


def trained_by(children: Children, row: Row, workload: Workload) -> Iterator[tuple[Peer, str, np.ndarray]]:
    for side, child in pairs(children):
        for label, parameters in child.outcomes(replace(row, workload=workload)).items():
            yield side, label, parameters


def compare_prediction(row: Row, children: Children) -> Agreement:
    exact, parameters, X, _ = exactly(replace(row.workload, samples=min(row.workload.samples, CHECKED_ROWS)))
    truth = oracle.forward(exact, list(exact.layers(parameters)), X)[-1]
    agreement = Agreement(row)
    for side, child in pairs(children):
        for label, outputs in child.outcomes(row).items():
            first_rows = np.reshape(outputs, (row.workload.samples, -1))[: len(truth)]
            agreement.see("the outputs", distance(first_rows, truth), side, label)
    return agreement


def pairs(children: Children) -> list[tuple[Peer, Child]]:
    return [(side, child) for side, members in children.items() for child in members]
