"""Data, short trainings of them, and all that a network is written with."""

import numpy as np

from fastmlp import NeuralNetwork


def table(samples=23, features=3, outputs=2, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, features)), np.eye(outputs)[generator.integers(outputs, size=samples)]


def trained(epochs, *, network=None, sizes=(3, 5, 2), dtype="float32", samples=23, **options):
    network = network or NeuralNetwork(sizes, "tanh", dtype=dtype, seed=4)
    network.train(*table(samples, sizes[0], sizes[-1]), epochs, **{"learning_rate": 0.05, "batch_size": 5, **options})
    return network


def everything(network):
    """All that a network is written with: facts, and the bytes of its arrays."""
    header, arrays = network._to_record()
    return header, {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}
