"""`fastmlp demo`: the introduction's network, then handwritten digits by fastmlp and by plain Python."""

from __future__ import annotations

import time
from argparse import Namespace

import numpy as np
from numpy.typing import NDArray

from ..datasets import load_digits
from ..introduction import OurNeuralNetwork
from ..network.network import NeuralNetwork
from ..training.progress import train_in_rounds
from .plain import PlainNetwork

LAYER_SIZES = [64, 64, 10]
EPOCHS, BATCH_SIZE, LEARNING_RATE = 40, 16, 0.5

Array = NDArray[np.float64]


def run(_: Namespace | None = None) -> None:
    """Print both parts of the demonstration."""
    introduction()
    print()
    digits()


def introduction() -> None:
    """Train the introduction's network on its four people and guess at two more."""
    print("The introduction's network learns from four people's weight and height who is a woman.", flush=True)
    people = np.array([[-2, -1], [25, 6], [17, 4], [-15, -6]])  # Alice, Bob, Charlie, Diana: pounds - 135, inches - 66
    is_woman = np.array([1, 0, 0, 1])
    state = np.random.get_state()  # noqa: NPY002 (the document's class draws its weights from NumPy's global generator)
    np.random.seed(2)  # noqa: NPY002
    network = OurNeuralNetwork()
    np.random.set_state(state)  # noqa: NPY002
    network.train(people, is_woman)
    for name, person in {"Emily": [-7, -3], "Frank": [20, 2]}.items():
        output = float(network.feedforward(np.array(person)))
        print(f"{name}: {output:.3f} - {'F' if output > 0.5 else 'M'}")


def digits(epochs: int = EPOCHS) -> None:
    """Train on three quarters of the digits and test on the others: fastmlp against one Python object per neuron."""
    data = Digits()
    print(f"Handwritten digits, 8 x 8 pixels: {len(data.X)} to learn from, {len(data.X_test)} others to be tested on.")
    print("fastmlp, and plain Python as the guide writes it: one object per neuron, each with its np.dot. The same for")
    print(f"both: layers of {', '.join(map(str, LAYER_SIZES))}, ReLU between them, mean squared error, float64,")
    print(f"gradient descent, {epochs} epochs in batches of {BATCH_SIZE}, and the first weights.", flush=True)
    net = new_network()
    plain = PlainNetwork((layer.weights, layer.biases) for layer in net.layers)
    compile_kernels()

    def train_net(start: int, stop: int) -> float:
        return train(net, data, stop - start)

    def train_plain(start: int, stop: int) -> float:
        return plain.train(data.X, data.y, stop - start, LEARNING_RATE, BATCH_SIZE)

    times = []
    for name, network, train_part in (("fastmlp", net, train_net), ("plain Python", plain, train_plain)):
        began = time.perf_counter()
        loss = train_in_rounds(name, epochs, train_part)
        times.append(time.perf_counter() - began)
        outputs = network.predict(data.X_test)
        if not np.all(np.ptp(outputs, axis=0) > 0):
            raise RuntimeError(f"{name} must keep all its outputs alive, got one that is the same for every digit")
        accuracy = data.accuracy(outputs)
        print(f"{name:>14}: {times[-1]:8.4f} s, final loss {loss:.5f}, test accuracy {accuracy:.1%}", flush=True)
    difference = max(
        float(np.abs(layer.weights - weights).max()) for layer, weights in zip(net.layers, plain.weights(), strict=True)
    )
    factor = times[1] / times[0]
    print(f"fastmlp was {factor:.0f} times faster; the two networks' weights differ by at most {difference:.0e}.")


class Digits:
    """The bundled digits, scaled to 0 … 1 and one-hot, a fixed random quarter of them set aside for tests."""

    def __init__(self) -> None:
        images, labels = load_digits()
        order = np.random.default_rng(0).permutation(len(images))
        test, training = np.split(order, [len(order) // 4])
        self.X: Array = images[training] / 16
        self.y: Array = np.eye(10)[labels[training]]
        self.X_test: Array = images[test] / 16
        self.labels_test = labels[test]

    def accuracy(self, outputs: Array) -> float:
        """Return the share of test digits whose own output is the largest."""
        return float(np.mean(outputs.argmax(axis=1) == self.labels_test))


def new_network() -> NeuralNetwork:
    # Without an activation on the outputs: a ReLU there soon dies for some digit, on both sides.
    return NeuralNetwork(LAYER_SIZES, "relu", "identity", "mean_squared_error", dtype="float64", seed=0)


def train(net: NeuralNetwork, data: Digits, epochs: int) -> float:
    """Train a network on the digits, in order; return the last epoch's loss."""
    return net.train(data.X, data.y, epochs, LEARNING_RATE, BATCH_SIZE, shuffle=False).loss[-1]


def compile_kernels() -> None:
    """Train a little, as the first call may have to compile the kernels; say so if it took long."""
    began = time.perf_counter()
    train(new_network(), Digits(), 1)
    if (seconds := time.perf_counter() - began) > 0.5:
        print(f"Preparing the kernels took {seconds:.1f} s, once, and is not counted below.", flush=True)
