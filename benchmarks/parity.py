"""Losses of fastmlp beside PyTorch's on MNIST: same network, initial weights, batches and optimizer, step by step.

    python benchmarks/parity.py PATH [--seed 0] [--float32-activation tanh]

PATH is as for mnist.py. In float64, three epochs with relu must agree to 1e-6, and in float32 the first 200 steps to
1e-4: beyond that, optimizers that divide by small gradients amplify rounding. tanh, because relu has a kink: now and
then a weighted sum is so near to zero that rounding decides whether a neuron takes part, and Adam's kin make whole
steps of that. PyTorch has no Lion: its other side is NumPy, by the paper's formula. The exit status is 1 if a bound is
missed.

fastmlp trains twice: with a call for each step, whose losses are compared one by one, and with a call for each epoch,
as users do, whose mean loss is compared with the mean of the steps of the other side.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mnist import read
from report import cpu, table, version_of
from torch import nn

import fastmlp
from fastmlp.kernels.functions.optimizers import Optimizer

BATCH = 64
Parts = list[np.ndarray]  # weights (inputs, outputs) and biases of each layer in turn
Step = Callable[[np.ndarray, np.ndarray], float]  # trains on a batch; its loss before
Side = Callable[[Parts, str], Step]  # from initial parameters and the hidden layer's activation


@dataclass(frozen=True)
class Course:
    """How far to go, and how near the losses must stay."""

    dtype: str
    activation: str
    epochs: int
    samples: int | None  # of an epoch; None: all
    bound: float


# --- the other sides


def by_torch(make: Callable[..., torch.optim.Optimizer], parts: Parts, activation: str) -> Step:
    hidden = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]()
    model = nn.Sequential(nn.Linear(784, 128), hidden, nn.Linear(128, 10)).to(torch.from_numpy(parts[0]).dtype)
    with torch.no_grad():
        for parameter, part in zip(model.parameters(), parts, strict=True):
            parameter.copy_(torch.from_numpy(part.T.copy()))
    optimizer = make(model.parameters())

    def step(X: np.ndarray, y: np.ndarray) -> float:
        loss = nn.functional.cross_entropy(model(torch.from_numpy(X)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def lion_by_numpy(settings: fastmlp.Lion, parts: Parts, activation: str) -> Step:
    """X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2."""
    parts = [part.copy() for part in parts]
    moments = [np.zeros_like(part) for part in parts]

    def step(X: np.ndarray, y: np.ndarray) -> float:
        loss, gradients = cross_entropy_by_numpy(parts, activation, X, y)
        for w, m, g in zip(parts, moments, gradients, strict=True):
            direction = np.sign(settings.beta1 * m + (1 - settings.beta1) * g)
            w -= settings.learning_rate * (direction + settings.weight_decay * w)
            m *= settings.beta2
            m += (1 - settings.beta2) * g
        return loss

    return step


def cross_entropy_by_numpy(parts: Parts, activation: str, X: np.ndarray, y: np.ndarray) -> tuple[float, Parts]:
    """The mean loss and its gradient."""
    W0, b0, W1, b1 = parts
    rows, z = np.arange(len(X)), X @ W0 + b0
    hidden, slope = (np.maximum(z, 0), z > 0) if activation == "relu" else (np.tanh(z), 1 - np.tanh(z) ** 2)
    z = hidden @ W1 + b1
    z -= z.max(axis=1, keepdims=True)
    logarithms = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    delta = np.exp(logarithms)
    delta[rows, y] -= 1
    delta /= len(X)
    below = (delta @ W1.T) * slope
    loss = -float(np.mean(logarithms[rows, y], dtype=np.float64))
    return loss, [X.T @ below, below.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]


LION = fastmlp.Lion(weight_decay=0.1)
PAIRS: list[tuple[str, str, Optimizer, Side]] = [
    ("SGD", "PyTorch", fastmlp.SGD(0.1), partial(by_torch, partial(torch.optim.SGD, lr=0.1))),
    (
        "Nesterov", "PyTorch", fastmlp.SGD(0.02, momentum=0.9, nesterov=True),
        partial(by_torch, partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True)),
    ),
    ("Adam", "PyTorch", fastmlp.Adam(), partial(by_torch, torch.optim.Adam)),
    ("AdamW", "PyTorch", fastmlp.AdamW(), partial(by_torch, torch.optim.AdamW)),
    ("RMSprop", "PyTorch", fastmlp.RMSprop(0.001), partial(by_torch, partial(torch.optim.RMSprop, lr=0.001))),
    ("Lion", "NumPy", LION, partial(lion_by_numpy, LION)),
]  # fmt: skip

# --- the comparison


class Found(NamedTuple):
    """How many steps were compared, the loss of the first and of the last epoch, the largest relative differences."""

    steps: int
    first: float
    last: float
    of_steps: float
    of_epochs: float


def differences(course: Course, seed: int, optimizer: Optimizer, other: Side, X: np.ndarray, y: np.ndarray) -> Found:
    stepwise, epochwise = (
        fastmlp.NeuralNetwork(
            [784, 128, 10], course.activation, loss="categorical_cross_entropy", dtype=course.dtype, seed=seed
        )
        for _ in range(2)
    )
    parts = [part.copy() for layer in stepwise.layers for part in (layer.weights, layer.biases)]
    step = other(parts, course.activation)
    how: dict[str, Any] = {"epochs": 1, "batch_size": BATCH, "optimizer": optimizer, "shuffle": False}
    ours, theirs, our_means, their_means = [], [], [], []
    for epoch in range(course.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(X))[: course.samples]
        X_epoch, y_epoch = X[order], y[order]
        sizes = []
        for X_batch, y_batch in batches(X_epoch, y_epoch):
            ours += stepwise.train(X_batch, y_batch, **how).loss
            theirs.append(step(X_batch, y_batch))
            sizes.append(len(X_batch))
        our_means += epochwise.train(X_epoch, y_epoch, **how).loss
        their_means.append(np.average(theirs[-len(sizes) :], weights=sizes))
    return Found(len(ours), theirs[0], their_means[-1], largest(ours, theirs), largest(our_means, their_means))


def largest(ours: list[float], theirs: list[float]) -> float:
    """Difference, relative to the other side."""
    return float(np.max(np.abs(np.divide(ours, theirs) - 1)))


def batches(X: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for first in range(0, len(X), BATCH):
        yield X[first : first + BATCH], y[first : first + BATCH]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32-activation", choices=["relu", "tanh"], default="tanh")
    options = parser.parse_args()
    images, labels, _, _ = read(options.path)
    X, y = images.reshape(len(images), -1) / 255, labels.astype(np.int64)
    courses = [
        Course("float64", "relu", 3, None, 1e-6), Course("float32", options.float32_activation, 1, 200 * BATCH, 1e-4)
    ]  # fmt: skip
    torch.set_flush_denormal(True)  # as in fastmlp's kernels
    rows, missed = [], False
    for course in courses:
        for name, side, optimizer, other in PAIRS:
            found = differences(course, options.seed, optimizer, other, X.astype(course.dtype), y)
            kept = found.of_steps <= course.bound and found.of_epochs <= course.bound  # NaN is not
            missed |= not kept
            loss = f"{found.first:.4f} -> {found.last:.4f}"
            bound = f"{course.bound:.0e}{'' if kept else ', **missed**'}"
            rows.append([
                name, side, course.dtype, course.activation, f"{found.steps:,}", loss, f"{found.of_steps:.1e}",
                f"{found.of_epochs:.1e}", bound,
            ])  # fmt: skip
    head = ["optimizer", "beside", "dtype", "activation", "steps", "loss", "difference, steps", "epochs", "bound"]
    print(table(head, rows))
    print(f"{cpu()}; torch {version_of('torch')}")
    fastmlp.show_config()
    sys.exit(missed)


if __name__ == "__main__":
    main()
