"""Layers, neurons and parameter vectors: windows onto a network's numbers."""

import copy
import pickle

import numpy as np
import pytest

import fastmlp
from fastmlp import NeuralNetwork


@pytest.fixture
def network():
    return NeuralNetwork([3, 4, 2], ["tanh"], "sigmoid", dtype="float64", seed=0)


def test_public_names():
    layer = NeuralNetwork([3, 4, 2]).layers[0]
    assert isinstance(layer, fastmlp.Layer)
    assert isinstance(layer.neurons[0], fastmlp.Neuron)


def test_repr(network):
    assert repr(network.layers[0]) == "Layer(3 -> 4, 'tanh')"
    assert repr(network.layers[-1]) == "Layer(4 -> 2, 'sigmoid')"
    assert repr(network.layers[0].neurons[1]) == "Neuron(3 inputs, 'tanh')"


def test_lengths_and_names(network):
    assert [layer.activation for layer in network.layers] == ["tanh", "sigmoid"]
    assert [len(layer.neurons) for layer in network.layers] == [4, 2]
    with pytest.raises(IndexError):
        network.layers[2]
    with pytest.raises(IndexError):
        network.layers[0].neurons[4]


def test_weights_and_biases_can_be_set(network):
    X = np.ones((2, 3))
    network.predict(X)
    layer, other = network.layers
    untouched = other.weights, other.biases
    layer.weights = np.zeros((3, 4), int)
    layer.biases = [0.5, 0, 0, 0]
    np.testing.assert_array_equal(layer.weights, np.zeros((3, 4)))
    np.testing.assert_array_equal(layer.biases, [0.5, 0, 0, 0])
    z = np.tanh(0.5) * other.weights[0] + other.biases
    np.testing.assert_allclose(network.predict(X), np.tile(1 / (1 + np.exp(-z)), (2, 1)), rtol=1e-13)
    np.testing.assert_array_equal(other.weights, untouched[0])
    np.testing.assert_array_equal(other.biases, untouched[1])


def test_all_windows_show_the_same_numbers(network):
    held = network.layers[0]
    network.layers[0].weights = np.arange(12).reshape(3, 4)
    network.layers[0].neurons[2].bias = 7
    assert held.weights.tolist() == np.arange(12).reshape(3, 4).tolist()
    assert held.biases.tolist() == [0, 0, 7, 0]
    assert network.parameters[:16].tolist() == [*range(12), 0, 0, 7, 0]
    assert held.neurons[1].weights.tolist() == [1, 5, 9]
    network.train([[1, 2, 3]], [[0, 1]], epochs=1)
    np.testing.assert_array_equal(held.weights, network.parameters.layers[0].weights)


def test_a_neuron_is_one_column(network):
    layer, before = network.layers[0], network.parameters
    neuron = layer.neurons[1]
    neuron.weights, neuron.bias = (1, 2, 3), -1
    assert neuron.weights.tolist() == layer.weights[:, 1].tolist() == [1, 2, 3]
    assert neuron.bias == layer.biases[1] == -1
    assert type(neuron.bias) is float
    changed = np.flatnonzero(network.parameters != before).tolist()
    assert changed == [1, 5, 9, 13]  # its column, and its bias after twelve weights


@pytest.mark.parametrize("read", [lambda l: l.weights, lambda l: l.biases, lambda l: l.neurons[0].weights])
def test_what_is_read_is_a_snapshot_that_cannot_be_written(network, read):
    values = read(network.layers[0])
    kept = values.tolist()
    with pytest.raises(ValueError, match="read-only"):
        values[...] = 1
    network.train([[1, 2, 3]], [[0, 1]], epochs=1)
    network.layers[0].weights = np.full((3, 4), 9)
    network.layers[0].biases = np.full(4, 9)
    assert values.tolist() == kept


def test_misspelled_attributes_are_errors(network):
    for owner, name in [
        (network.layers[0], "bias"), (network.layers[0], "weight"),
        (network.layers[0].neurons[0], "biases"), (network.layers[0].neurons[0], "weight"),
    ]:  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(owner, name, 0)


@pytest.mark.parametrize("activation", ["identity", "sigmoid", "relu", "tanh"])
def test_a_neuron_computes_its_column_of_the_layer(activation, backend, dtype):
    network = NeuralNetwork([5, 7], output_activation=activation, dtype=dtype, seed=0, backend=backend.name)
    network.layers[0].biases = np.linspace(-1, 1, 7)
    X = np.random.default_rng(1).normal(size=(6, 5))
    outputs = network.predict(X)
    for j, neuron in enumerate(network.layers[0].neurons):
        column = neuron.forward(X)
        assert (column.shape, column.dtype) == ((6,), dtype)
        np.testing.assert_allclose(column, outputs[:, j], rtol=1e-6 if dtype == "float32" else 1e-14, atol=1e-7)
        one = neuron.forward(X[0])
        assert np.ndim(one) == 0
        assert one == pytest.approx(outputs[0, j], rel=1e-6)


def test_a_neuron_in_the_middle_takes_what_the_layer_below_puts_out(network):
    hidden = np.array([neuron.forward([1, 2, 3]) for neuron in network.layers[0].neurons])
    outputs = [float(neuron.forward(hidden)) for neuron in network.layers[1].neurons]
    assert outputs == pytest.approx(network.predict([1, 2, 3]).tolist(), rel=1e-13)


def test_a_neuron_by_hand(network):
    neuron = NeuralNetwork([2, 1], output_activation="sigmoid", dtype="float64").layers[0].neurons[0]
    neuron.weights, neuron.bias = [0, 1], 4
    assert neuron.forward([2, 3]) == pytest.approx(1 / (1 + np.exp(-7)), rel=1e-14)


# --- vectors


def test_arithmetic_keeps_the_layers(network):
    vector = network.gradient([[1, 2, 3]], [[0, 1]])
    for derived in (-0.1 * vector, vector + 1, vector.copy(), copy.copy(vector), copy.deepcopy(vector)):
        assert isinstance(derived, fastmlp.ParameterVector)
        assert derived.layers[0].weights.shape == (3, 4)
        np.testing.assert_array_equal(derived.layers[1].biases, np.asarray(derived)[-2:])


def test_parts_of_a_vector_have_no_layers(network):
    vector = network.parameters
    for part in (vector[:5], vector.reshape(1, -1), vector[np.newaxis]):
        assert not hasattr(part, "layers")


def test_sums_are_plain_numbers(network):
    vector = network.parameters
    for number in (vector.sum(), vector.max(), vector.mean(), vector @ vector, np.linalg.norm(vector), vector[0]):
        assert isinstance(number, np.float64)
    assert repr(vector.max()).startswith("np.float64(")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_vectors_are_pickled_with_their_layers(network, protocol):
    vector = pickle.loads(pickle.dumps(network.parameters, protocol))
    assert isinstance(vector, fastmlp.ParameterVector)
    np.testing.assert_array_equal(vector, network.parameters)
    assert vector.layers[1].weights.shape == (4, 2)


def test_layers_and_neurons_are_pickled_and_copied_with_their_network(network):
    for duplicate in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        layer, neuron = duplicate((network.layers[1], network.layers[1].neurons[0]))
        np.testing.assert_array_equal(layer.weights, network.layers[1].weights)
        neuron.bias = 99
        assert layer.biases[0] == 99  # they share a network still
        assert network.layers[1].biases[0] == 0  # not this one
