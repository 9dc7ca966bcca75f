"""The guide's algorithm, restated operation for operation: the oracle for `fastmlp.guide`."""

import numpy as np


class Neuron:
    def __init__(self, num_inputs):
        self.weights = 0.01 * np.random.randn(num_inputs, 1)  # noqa: NPY002
        self.bias = np.zeros((1, 1))
        self.last_input = self.last_output = None

    def relu(self, z):
        return np.maximum(0, z)

    def relu_derivative(self, z):
        return np.where(z > 0, 1, 0)

    def forward(self, activations):
        self.last_input = activations
        self.last_output = self.relu(np.dot(activations, self.weights) + self.bias)
        return self.last_output

    def backward(self, dC_da, learning_rate):
        delta = dC_da * self.relu_derivative(self.last_output)
        steps = [learning_rate * np.dot(self.last_input.T, delta), learning_rate * delta.sum(axis=0, keepdims=True)]
        self.weights -= steps[0]
        self.bias -= steps[1]
        return np.dot(delta, self.weights.T)


class Layer:
    def __init__(self, num_neurons, num_inputs_per_neuron):
        self.neurons = []
        for _ in range(num_neurons):
            self.neurons.append(Neuron(num_inputs_per_neuron))

    def forward(self, activations):
        return np.hstack([neuron.forward(activations) for neuron in self.neurons])

    def backward(self, output_gradient, learning_rate):
        parts = []
        for i, neuron in enumerate(self.neurons):
            parts.append(neuron.backward(output_gradient[:, [i]], learning_rate))
        return np.sum(parts, axis=0)


class NeuralNetwork:
    def __init__(self, layer_sizes):
        self.layers = []
        for i in range(1, len(layer_sizes)):
            self.layers.append(Layer(layer_sizes[i], layer_sizes[i - 1]))

    def forward(self, activations):
        for layer in self.layers:
            activations = layer.forward(activations)
        return activations

    def mse_loss(self, y, activations):
        return np.mean((activations - y) ** 2)

    def derivative_mse_loss(self, y, activations):
        return 2 * (activations - y) / y.shape[0]

    def train(self, X, y, epochs, learning_rate, batch_size=32):
        for epoch in range(1, epochs + 1):
            total = 0
            for first in range(0, len(X), batch_size):
                rows = slice(first, first + batch_size)
                outputs = self.forward(X[rows])
                total += self.mse_loss(y[rows], outputs) * len(X[rows])
                gradient = self.derivative_mse_loss(y[rows], outputs)
                for layer in self.layers[::-1]:
                    gradient = layer.backward(gradient, learning_rate)
            print(f"Epoch {epoch}/{epochs}, Loss: {total / len(X)}")

    def predict(self, X):
        return self.forward(X)
