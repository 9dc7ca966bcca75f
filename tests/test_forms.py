"""Odd but good input gives the same bits as a plain copy."""

import pickle

import numpy as np
import pytest
from forms import Frame, forms

from fastmlp import NeuralNetwork


def results(network, X, y):
    """All that a network computes of data, as bytes."""
    network = pickle.loads(pickle.dumps(network))
    outputs = [network.predict(X), network.evaluate(X, y), network.gradient(X, y), *network.backward(X, y)]
    losses = network.train(X, y, 2, batch_size=3, optimizer="adam").loss
    return [np.asarray(output).tobytes() for output in (*outputs, losses, network.parameters)]


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_forms_of_floating_point_data(source, dtype, tmp_path):
    network = NeuralNetwork([5, 4, 2], "tanh", dtype=dtype, seed=0)
    generator = np.random.default_rng(1)
    X, y = generator.normal(size=(7, 5)).astype(source), generator.normal(size=(7, 2)).astype(source)
    expected = results(network, X, y)
    assert results(network, X.astype(dtype), y.astype(dtype)) == expected
    for (name, X_form), (_, y_form) in zip(forms(X, tmp_path), forms(y, tmp_path), strict=True):
        assert results(network, X_form, y_form) == expected, name
    assert results(network, X + np.float64(1e-3), y) != expected  # the check would see other data


@pytest.mark.parametrize("source", [*"bBhHiIqQ?e", np.longdouble])
def test_forms_of_other_numbers(source, dtype, tmp_path):
    network = NeuralNetwork([5, 4, 2], "tanh", dtype=dtype, seed=0)
    generator = np.random.default_rng(1)
    X, y = generator.integers(0, 2 if source == "?" else 100, (7, 5)), generator.integers(0, 2, (7, 2))
    expected = results(network, X.astype(dtype), y.astype(dtype))
    for values, targets in [
        (X.astype(source), y.astype(source)),
        (np.asfortranarray(X.astype(source)), y[::-1].astype(source)[::-1]),
    ]:
        assert results(network, values, targets) == expected
    if source != "?" and np.dtype(source).kind in "iu":
        for (name, X_form), (_, y_form) in zip(
            forms(X.astype(source), tmp_path), forms(y.astype(source), tmp_path), strict=True
        ):
            assert results(network, X_form, y_form) == expected, name


@pytest.mark.parametrize("source", ["int64", "uint64", "int8", "uint8"])
def test_the_ends_of_integers(source, dtype):
    network = NeuralNetwork([2, 1], dtype=dtype)
    network.parameters = [1, 0, 0]
    limits = np.iinfo(source)
    values = np.array([[limits.min, 1], [limits.max, 1]], source)
    np.testing.assert_array_equal(network.predict(values).ravel(), values[:, 0].astype(dtype))


def test_labels_in_odd_forms(tmp_path):
    network = NeuralNetwork([3, 4, 3], loss="categorical_cross_entropy", seed=0)
    X, y = np.random.default_rng(0).normal(size=(7, 3)), np.array([0, 2, 1, 1, 0, 2, 2])

    def outcome(labels):
        again = pickle.loads(pickle.dumps(network))
        again.train(X, labels, 2, batch_size=3)
        return again.parameters.tobytes(), network.evaluate(X, labels), network.gradient(X, labels).tobytes()

    np.save(tmp_path / "y.npy", y)
    expected = outcome(np.eye(3)[y])
    for labels in [
        y, y.tolist(), tuple(y), y.astype(">i4"), y.astype(np.uint64), y[::-1].copy()[::-1], np.repeat(y, 3)[::3],
        Frame(y),
        np.load(tmp_path / "y.npy", mmap_mode="r"), np.eye(3, dtype=bool)[y],
        np.asfortranarray(np.eye(3, dtype=int)[y]),
    ]:  # fmt: skip
        assert outcome(labels) == expected


def test_parameters_in_odd_forms(dtype):
    network = NeuralNetwork([3, 4, 2], dtype=dtype)
    values = np.arange(26)
    for form in (
        values, values.tolist(), values.astype(">i2"), values[::-1].copy()[::-1], np.repeat(values, 2)[::2],
        Frame(values), range(26),
        values.astype(np.float16), values.astype(np.longdouble), network.parameters * 0 + values,
    ):  # fmt: skip
        network.parameters = np.zeros(26)
        network.parameters = form
        assert network.parameters.tolist() == values.tolist()
    layer = network.layers[0]
    layer.weights = np.asfortranarray(values[:12].reshape(3, 4))
    layer.biases = [True, False, True, True]
    layer.neurons[1].weights = np.array([7, 8, 9], np.uint8)
    assert layer.weights.tolist() == [[0, 7, 2, 3], [4, 8, 6, 7], [8, 9, 10, 11]]
    assert layer.biases.tolist() == [1, 0, 1, 1]


def test_a_network_may_be_given_its_own_arrays():
    network = NeuralNetwork([2, 2], seed=0, dtype="float64")
    before = network.parameters
    network.parameters = network.parameters[::-1]
    assert network.parameters.tolist() == before.tolist()[::-1]
    network.layers[0].weights = network.layers[0].weights.T
    network.train(network.layers[0].weights, network.parameters.layers[0].weights, 2)
