"""The guide's drop-in follows the document's algorithm as it stands, for what kernels would do otherwise."""

import document_guide as document
import numpy as np
import pytest
from guide_pairs import X, Y, networks, outcome, train_both, weights

from fastmlp import guide


def leaky(self, z):
    return np.where(z > 0, z, 0.1 * z)


def derived(module, name, **methods):
    return type(name, (getattr(module, name),), methods)


def override_relu(network, module):
    slope = lambda self, z: np.where(z > 0, 1, 0.1)  # noqa: E731
    for neuron in network.layers[0].neurons:
        neuron.__class__ = derived(module, "Neuron", relu=leaky, relu_derivative=slope)


def override_one_neuron(network, module):
    network.layers[1].neurons[2].relu = lambda z: z


def override_forward(network, module):
    network.layers[0].__class__ = derived(module, "Layer", forward=lambda self, a: module.Layer.forward(self, a) * 2)


def override_loss(network, module):
    network.__class__ = derived(module, "NeuralNetwork", mse_loss=lambda self, y, a: np.mean(np.abs(a - y)))


def override_loss_derivative(network, module):
    network.derivative_mse_loss = lambda y, a: np.sign(a - y) / len(y)


def intercept_weights(network, module):
    clipped = property(lambda self: self.held, lambda self, value: setattr(self, "held", np.clip(value, -0.3, 0.3)))
    neuron = network.layers[0].neurons[0]
    neuron.held = neuron.__dict__.pop("weights")
    neuron.__class__ = derived(module, "Neuron", weights=clipped)


def intercept_assignment(network, module):
    def assign(self, name, value):
        object.__setattr__(self, name, np.round(value, 2) if name == "bias" else value)

    network.layers[1].neurons[0].__class__ = derived(module, "Neuron", __setattr__=assign)


def share_weights(network, module):
    network.layers[0].neurons[1].weights = network.layers[0].neurons[0].weights


def overlap_weights(network, module):
    both = np.linspace(-1, 1, 7).reshape(7, 1)
    network.layers[0].neurons[0].weights, network.layers[0].neurons[1].weights = both[1:], both[:-1]


def repeat_a_neuron(network, module):
    network.layers[0].neurons[1] = network.layers[0].neurons[0]


def weights_as_columns_of_a_matrix(network, module):
    matrix = np.linspace(-1, 1, 48).reshape(6, 8)
    for j, neuron in enumerate(network.layers[0].neurons):
        neuron.weights = matrix[:, j : j + 1]


def single_precision(network, module):
    for neuron in network.layers[0].neurons:
        neuron.weights = neuron.weights.astype(np.float32)


def bias_as_a_number(network, module):
    network.layers[0].neurons[0].bias = 0.5


def layers_as_a_tuple(network, module):
    network.layers = tuple(network.layers)


def another_kind_of_layer(network, module):
    class Scaled:
        def forward(self, activations):
            return activations * 0.5

        def backward(self, gradient, learning_rate):
            return gradient * 0.5

    scaled = Scaled()
    scaled.neurons = []
    network.layers.insert(1, scaled)


FALLBACKS = [
    override_relu, override_one_neuron, override_forward, override_loss, override_loss_derivative, intercept_weights,
    intercept_assignment, share_weights, overlap_weights, repeat_a_neuron, weights_as_columns_of_a_matrix,
    single_precision, bias_as_a_number, layers_as_a_tuple, another_kind_of_layer,
]  # fmt: skip


@pytest.mark.parametrize("alter", FALLBACKS)
def test_altered_networks(alter, compiled_runs):
    ours, theirs = networks()
    before = weights(theirs)
    alter(ours, guide)
    alter(theirs, document)
    assert train_both(ours, theirs)[1] is None
    assert compiled_runs == []
    assert not np.array_equal(weights(theirs), before)


def test_weights_that_cannot_be_written(compiled_runs):
    ours, theirs = networks()
    for network in (ours, theirs):
        network.layers[0].neurons[5].weights.flags.writeable = False
    assert train_both(ours, theirs) == ("", ValueError)  # after the layer above and five neurons took their step
    assert compiled_runs == []


def test_method_replaced_on_the_class(monkeypatch, compiled_runs):
    ours, theirs = networks()
    for module in (guide, document):
        monkeypatch.setattr(module.Neuron, "relu", leaky)
    train_both(ours, theirs)
    assert compiled_runs == []


def test_class_replaced_in_the_module(monkeypatch, compiled_runs):
    for module in (guide, document):
        monkeypatch.setattr(module, "Neuron", derived(module, "Neuron", relu=leaky))
    train_both(*networks())
    assert compiled_runs == []


UNUSUAL_ARGUMENTS = {
    "1-D y": {"y": Y[:, 0]},
    "1-D y that broadcasts": {"y": Y[:, 0], "X": X[:48], "batch_size": 3},
    "y of one column": {"y": Y[:, :1]},
    "y of one row": {"y": Y[:1], "batch_size": 100},
    "y too short": {"y": Y[:40]},
    "y too long": {"y": np.concatenate([Y, Y])},
    "y too wide": {"y": np.hstack([Y, Y])},
    "lists": {"X": X.tolist(), "y": Y.tolist()},
    "a list of targets": {"y": Y.tolist()},
    "a class of arrays": {"X": X.view(type("Table", (np.ndarray,), {}))},
    "masked array": {"y": np.ma.masked_array(Y, Y > 2)},
    "complex": {"X": X + 0j},
    "objects": {"X": X.astype(object)},
    "long double": {"X": X.astype(np.longdouble) / 3},
    "strings": {"X": X.astype(str)},
    "another number of features": {"X": X[:, :5]},
    "1-D samples": {"X": X[:, 0]},
    "3-D samples": {"X": X[:, np.newaxis]},
    "no samples": {"X": X[:0], "y": Y[:0]},
    "no data": {"X": None},
    "no epochs": {"epochs": 0},
    "fewer than no epochs": {"epochs": -3},
    "epochs of another type": {"epochs": 2.0},
    "epochs of NumPy": {"epochs": np.int64(3)},
    "batches of none": {"batch_size": 0},
    "batches of less": {"batch_size": -4},
    "batches of another type": {"batch_size": 2.5},
    "batches of NumPy": {"batch_size": np.int64(20)},
    "learning rate 0": {"learning_rate": 0},
    "learning rate below 0": {"learning_rate": -0.01},
    "learning rate NaN": {"learning_rate": float("nan")},
    "infinite learning rate": {"learning_rate": float("inf")},
    "huge learning rate": {"learning_rate": 10**400},
    "learning rate array": {"learning_rate": np.full((1, 1), 0.05)},
    "no learning rate": {"learning_rate": None},
}


@pytest.mark.filterwarnings("ignore")  # what NumPy warns of, it warns of in the document's code too
@pytest.mark.parametrize("kind", UNUSUAL_ARGUMENTS)
def test_unusual_arguments(kind, compiled_runs):
    train_both(*networks(), **UNUSUAL_ARGUMENTS[kind])
    assert compiled_runs == []


def test_one_output_and_1d_targets(compiled_runs):
    # every output is compared with all targets of the batch, and learns from the first
    train_both(*networks((6, 8, 1)), y=Y[:, 0])
    assert compiled_runs == []
    network = guide.NeuralNetwork([1, 1])
    neuron = network.layers[0].neurons[0]
    neuron.weights[...] = 1
    assert outcome(network.train, np.array([[1.0], [2.0]]), np.array([3.0, 5.0]), 1, 0.5)[0] == "Epoch 1/1, Loss: 7.5\n"
    # the mean of (1 - 3)^2, (1 - 5)^2, (2 - 3)^2, (2 - 5)^2; then 1 - 0.5 (-2 * 1 - 1 * 2) and 0 - 0.5 (-2 - 1)
    assert (neuron.weights.item(), neuron.bias.item()) == (3.0, 1.5)


@pytest.mark.parametrize("sizes", [[6], []])
def test_network_without_layers(sizes, compiled_runs):
    assert outcome(guide.NeuralNetwork(sizes).train, X, X, 1, 0.1) == ("Epoch 1/1, Loss: 0.0\n", None)
    assert compiled_runs == []


@pytest.mark.parametrize("sizes", [[2, -1], [2, 1.5], [2, 0], ["2", 1], 3, None, {2, 3}, iter([2, 3])])
def test_unusual_sizes_fail_as_they_do(sizes):
    results = []
    for module in (guide, document):
        try:
            results.append([len(layer.neurons) for layer in module.NeuralNetwork(sizes).layers])
        except Exception as error:
            results.append(type(error))
    assert results[0] == results[1]
