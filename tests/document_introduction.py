"""The introduction's algorithm, restated operation for operation: the oracle for `fastmlp.introduction`."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def deriv_sigmoid(x):
    return sigmoid(x) * (1 - sigmoid(x))


def mse_loss(y_true, y_pred):
    squares = (y_true - y_pred) ** 2
    return squares.mean()


class Neuron:
    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def feedforward(self, inputs):
        return sigmoid(np.dot(self.weights, inputs) + self.bias)


class FixedNeuralNetwork:
    def __init__(self):
        self.h1, self.h2, self.o1 = (Neuron(np.array([0, 1]), 0) for _ in range(3))

    def feedforward(self, x):
        hidden = np.array([neuron.feedforward(x) for neuron in (self.h1, self.h2)])
        return self.o1.feedforward(hidden)


class OurNeuralNetwork:
    def __init__(self):
        for name in ("w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3"):
            setattr(self, name, np.random.normal())  # noqa: NPY002

    def sums(self, x):
        first = self.w1 * x[0] + self.w2 * x[1] + self.b1
        second = self.w3 * x[0] + self.w4 * x[1] + self.b2
        return first, second, self.w5 * sigmoid(first) + self.w6 * sigmoid(second) + self.b3

    def feedforward(self, x):
        return sigmoid(OurNeuralNetwork.sums(self, x)[2])

    def train(self, data, all_y_trues):
        for epoch in range(1000):
            for x, y_true in zip(data, all_y_trues):  # noqa: B905
                OurNeuralNetwork.step(self, x, y_true)
            if epoch % 10 == 0:
                predictions = np.apply_along_axis(self.feedforward, 1, data)
                print("Epoch %d loss: %.3f" % (epoch, mse_loss(all_y_trues, predictions)))  # noqa: UP031

    def step(self, x, y_true):
        sum1, sum2, sum3 = OurNeuralNetwork.sums(self, x)
        slope1, slope2, slope3 = deriv_sigmoid(sum1), deriv_sigmoid(sum2), deriv_sigmoid(sum3)
        change = 0.1 * (-2 * (y_true - sigmoid(sum3)))
        through1, through2 = change * (self.w5 * slope3), change * (self.w6 * slope3)
        self.w1 -= through1 * (x[0] * slope1)
        self.w2 -= through1 * (x[1] * slope1)
        self.b1 -= through1 * slope1
        self.w3 -= through2 * (x[0] * slope2)
        self.w4 -= through2 * (x[1] * slope2)
        self.b2 -= through2 * slope2
        self.w5 -= change * (sigmoid(sum1) * slope3)
        self.w6 -= change * (sigmoid(sum2) * slope3)
        self.b3 -= change * slope3
