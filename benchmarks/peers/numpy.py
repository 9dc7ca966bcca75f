"""NumPy, written out: what a network costs without a package, and the oracle of the others' arithmetic."""

from typing import Any

import numpy as np
from workloads import ADAM, BINARY, MSE

from . import Job


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# Each with its derivative, as a function of its value; those of cross-entropies' outputs are in `deltas`
ACTIVATIONS = {
    "identity": (lambda z: z, lambda a: 1), "relu": (lambda z: np.maximum(z, 0), lambda a: a > 0),
    "tanh": (np.tanh, lambda a: 1 - a * a), "sigmoid": (sigmoid, lambda a: a * (1 - a)), "softmax": (softmax, None),
}  # fmt: skip


def forward(workload: Any, layers: Any, X: Any) -> list[Any]:
    """The samples and the activations of all layers."""
    activations = [X]
    for (weights, biases), name in zip(layers, workload.activations, strict=True):
        activations.append(ACTIVATIONS[name][0](activations[-1] @ weights + biases))
    return activations


def loss(workload: Any, parameters: Any, X: Any, y: Any) -> float:
    a = forward(workload, workload.layers(parameters), X)[-1]
    if workload.loss == MSE:
        return float(np.mean((a - y) ** 2))
    if workload.loss == BINARY:
        return float(-np.mean(np.log(np.where(y == 1, a, 1 - a))))
    return float(-np.mean(np.log(a[np.arange(len(y)), y])))


def gradient(workload: Any, layers: Any, X: Any, y: Any) -> Any:
    """Of the loss on a batch, in the order of the parameters."""
    activations = forward(workload, layers, X)
    a = activations[-1]
    if workload.loss == MSE:
        delta = 2 / a.size * (a - y) * ACTIVATIONS[workload.activations[-1]][1](a)
    elif workload.loss == BINARY:
        delta = (a - y) / a.size
    else:
        delta = a.copy()
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
    parts: list[Any] = []
    for i in reversed(range(len(layers))):
        parts[:0] = [(activations[i].T @ delta).ravel(), delta.sum(axis=0)]
        if i:
            delta = delta @ layers[i][0].T * ACTIVATIONS[workload.activations[i - 1]][1](activations[i])
    return np.concatenate(parts)


def train(workload: Any, parameters: Any, X: Any, y: Any) -> None:
    """In place. Adam is D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1."""
    layers, rate = list(workload.layers(parameters)), workload.learning_rate
    beta1, beta2, epsilon = ADAM.values()
    first, second, t = np.zeros_like(parameters), np.zeros_like(parameters), 0
    generator = np.random.default_rng(0)
    for _ in range(workload.epochs):
        order = generator.permutation(len(X)) if workload.shuffle else None
        for start in range(0, len(X), workload.batch_size):
            rows = slice(start, start + workload.batch_size)
            rows = rows if order is None else order[rows]
            g = gradient(workload, layers, X[rows], y[rows])
            if workload.optimizer == "sgd":
                parameters -= rate * g
                continue
            t += 1
            first += (1 - beta1) * (g - first)
            second += (1 - beta2) * (g * g - second)
            parameters -= rate / (1 - beta1**t) * first / (np.sqrt(second / (1 - beta2**t)) + epsilon)


def training(workload: Any) -> dict[str, Job]:
    X, y = workload.data()
    names = {"train": train, "workload": workload, "new": workload.parameters, "X": X, "y": y}
    return {"": Job("train(workload, parameters, X, y)", names, "parameters", before="parameters = new()")}


def prediction(workload: Any) -> dict[str, Job]:
    X, _ = workload.data()
    layers = [
        (*layer, ACTIVATIONS[name][0]) for layer, name in zip(workload.layers(), workload.activations, strict=True)
    ]

    def predict(a: Any) -> Any:
        for weights, biases, activation in layers:
            a = activation(a @ weights + biases)
        return a

    return {"": Job("y = predict(X)", {"predict": predict, "X": X[0] if len(X) == 1 else X}, "y")}
