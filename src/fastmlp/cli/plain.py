"""A network in plain Python, one object per neuron and one `np.dot` per object: what the demo compares fastmlp with.

It is the guide's way of writing a network and the textbook's algorithm: gradient descent on mean squared error.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class PlainNeuron:
    """A weighted sum and its activation: ReLU in hidden layers, none in the last one."""

    def __init__(self, weights: Array, bias: float, rectified: bool) -> None:
        self.weights, self.bias, self.rectified = weights.copy(), bias, rectified

    def forward(self, inputs: Array) -> Array:
        self.inputs = inputs
        self.z: Array = np.dot(inputs, self.weights) + self.bias
        activation: Array = np.maximum(self.z, 0) if self.rectified else self.z
        return activation

    def backward(self, output_gradient: Array, learning_rate: float) -> Array:
        """Take a gradient step and return the gradient with respect to the inputs."""
        delta = output_gradient * (self.z > 0) if self.rectified else output_gradient
        input_gradient = np.outer(delta, self.weights)
        self.weights -= learning_rate * np.dot(self.inputs.T, delta)
        self.bias -= learning_rate * np.sum(delta)
        return input_gradient


class PlainNetwork:
    """Layers of neurons, built from each layer's weights (inputs, outputs) and biases (outputs,)."""

    def __init__(self, layers: Iterable[tuple[Array, Array]]) -> None:
        parameters = list(layers)
        self.layers = [
            [PlainNeuron(column, bias, depth < len(parameters)) for column, bias in zip(weights.T, biases, strict=True)]
            for depth, (weights, biases) in enumerate(parameters, start=1)
        ]

    def predict(self, X: Array) -> Array:
        for layer in self.layers:
            X = np.stack([neuron.forward(X) for neuron in layer], axis=1)
        return X

    def train(self, X: Array, y: Array, epochs: int, learning_rate: float, batch_size: int) -> float:
        """Descend the mean over samples and outputs of (prediction - y)², batch after batch in the order of the rows.

        Returns the last epoch's loss, that of the batches before their steps.
        """
        loss = 0.0
        for _ in range(epochs):
            loss = 0.0
            for start in range(0, len(X), batch_size):
                target = y[start : start + batch_size]
                error = self.predict(X[start : start + batch_size]) - target
                loss += float(np.sum(error**2)) / y.size
                gradient = 2 * error / target.size
                for layer in reversed(self.layers):
                    parts = [neuron.backward(gradient[:, i], learning_rate) for i, neuron in enumerate(layer)]
                    gradient = np.sum(parts, axis=0)
        return loss

    def weights(self) -> list[Array]:
        """Return each layer's weights, (inputs, outputs)."""
        return [np.stack([neuron.weights for neuron in layer], axis=1) for layer in self.layers]
