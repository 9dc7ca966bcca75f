"""Networks to save, and what their files hold, right or wrong."""

import json

import numpy as np
import pytest

import fastmlp
from fastmlp import NeuralNetwork

X, Y = np.random.default_rng(0).normal(size=(11, 3)), np.eye(2)[[0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0]]


def trained(optimizer="adam", epochs=3, **options):
    network = NeuralNetwork([3, 4, 2], "tanh", **{"loss": "categorical_cross_entropy", "seed": 1, **options})
    network.train(X, Y, epochs, batch_size=4, optimizer=optimizer)
    return network


def saved_in(folder):
    """A file that a network was saved to."""
    path = folder / "model.npz"
    trained().save(path)
    return path


def refused(path):
    """The sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r"^path must be a (file|network) .*got ") as caught:
        fastmlp.load(path)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    return str(caught.value)


def parts(path):
    """Header and arrays of a file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("header"))), arrays


def forged(path, header, arrays):
    """A file with these contents, which nobody checked."""
    text = header if isinstance(header, str) else json.dumps(header)
    np.savez(path, header=np.array(text), **arrays)
    return path
