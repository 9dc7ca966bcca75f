"""The guide's drop-in: whatever a program does with the document's classes, it does the same with ours."""

import contextlib
import copy
import io
import pickle
import re

import document_guide as document
import numpy as np
import pytest

from fastmlp import dropins, guide
from fastmlp.datasets import load_digits
from fastmlp.kernels import training as kernels_training
from fastmlp.kernels.executor import Executor
from fastmlp.kernels.reference import ReferenceExecutor, ReferenceTraining
from fastmlp.kernels.training import Schedule, Training

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6))
Y = RNG.normal(size=(50, 3)) + 1


def seed(number):
    """Of NumPy's global generator, from which the documents' classes draw."""
    np.random.seed(number)  # noqa: NPY002


def weights(network):
    return np.concatenate([np.append(n.weights, n.bias) for layer in network.layers for n in layer.neurons])


def difference(ours, theirs):
    """max |difference| / max |weight|; not a number is the same as itself."""
    ours, theirs = weights(ours), weights(theirs)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs), initial=1e-300)


def losses(printed):
    return [float(re.fullmatch(r"Epoch \d+/\d+, Loss: (\S+)", line)[1]) for line in printed.splitlines()]


def networks(sizes=(6, 8, 3), scale=30):
    """Ours and the document's, alike; with weights large enough for all layers to be at work."""
    pair = []
    for module in (guide, document):
        seed(1)
        network = module.NeuralNetwork(sizes)
        for layer in network.layers:
            for neuron in layer.neurons:
                neuron.weights *= scale
        pair.append(network)
    return pair


def outcome(function, *arguments, **options):
    """What a call printed, and the type of what it raised."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, np.errstate(all="ignore"):
        try:
            function(*arguments, **options)
        except Exception as error:
            return printed.getvalue(), type(error)
    return printed.getvalue(), None


def train_both(ours, theirs, X=X, y=Y, epochs=4, learning_rate=0.05, batch_size=16):
    """Train alike and require the same end; returns the outcome of ours."""
    our_outcome = outcome(ours.train, X, y, epochs, learning_rate, batch_size)
    their_outcome = outcome(theirs.train, X, y, epochs, learning_rate, batch_size)
    assert our_outcome[1] == their_outcome[1]
    np.testing.assert_allclose(losses(our_outcome[0]), losses(their_outcome[0]), rtol=1e-9, atol=0)
    assert re.sub("Loss: .*", "", our_outcome[0]) == re.sub("Loss: .*", "", their_outcome[0])
    assert difference(ours, theirs) < 1e-9
    for our_layer, their_layer in zip(ours.layers, theirs.layers, strict=True):
        for a, b in zip(our_layer.neurons, their_layer.neurons, strict=True):
            for name in ("last_input", "last_output"):
                mine, its = getattr(a, name), getattr(b, name)
                assert type(mine) is type(its)
                assert np.shape(mine) == np.shape(its)
                if not np.array_equal(mine, its):
                    np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)
    return our_outcome


@pytest.fixture
def compiled_runs(monkeypatch):
    """A list that grows by one with every training that kernels (or the backend that stands for them) do."""
    runs = []
    for executor in (Executor, ReferenceExecutor):

        def spy(self, *arguments, training=executor.training):
            runs.append(training(self, *arguments))
            return runs[-1]

        monkeypatch.setattr(executor, "training", spy)
    return runs


# --- the acceptance run


def one_hot_digits():
    X, labels = load_digits()
    return X / 16, np.eye(10)[labels]


def train_on_digits(module, epochs=20):
    X, y = one_hot_digits()
    seed(1)
    network = module.NeuralNetwork([64, 32, 10])
    printed, _ = outcome(network.train, X, y, epochs, 0.01)
    return network, losses(printed)


@pytest.fixture(scope="module")
def digits_of_document():
    return train_on_digits(document)


def test_digits_end_with_the_documents_weights_and_losses(digits_of_document, compiled_runs):
    ours, our_losses = train_on_digits(guide)
    theirs, their_losses = digits_of_document
    assert len(compiled_runs) == 1
    assert difference(ours, theirs) < 1e-9
    assert len(our_losses) == 20
    np.testing.assert_allclose(our_losses, their_losses, rtol=1e-9, atol=0)


def test_digits_keep_outputs_alive(digits_of_document):
    X, y = one_hot_digits()
    network, its_losses = digits_of_document
    outputs = network.predict(X)
    assert (outputs > 0).any(axis=0).all()  # every output neuron answers to some digit
    assert np.mean(outputs.argmax(axis=1) == y.argmax(axis=1)) > 0.8
    assert its_losses[-1] < 0.6 * its_losses[0]


@pytest.mark.parametrize("forgotten", [{"update_first": False}, {"delta_divisor": None}])
def test_comparison_catches_a_habit_forgotten(digits_of_document, monkeypatch, forgotten):
    monkeypatch.setattr(guide, "Schedule", lambda *values, **options: Schedule(*values, **(options | forgotten)))
    ours, our_losses = train_on_digits(guide)
    theirs, their_losses = digits_of_document
    assert difference(ours, theirs) > 1e-6
    assert not np.allclose(our_losses, their_losses, rtol=1e-6, atol=0)


# --- construction and the plain methods


def test_same_random_numbers_in_the_same_order():
    ours, theirs = networks([5, 4, 4, 2], scale=1)
    np.testing.assert_array_equal(weights(ours), weights(theirs))
    states = []
    for module in (guide, document):
        seed(3)
        module.NeuralNetwork([3, 2]), module.Layer(2, 3), module.Neuron(4)
        states.append(np.random.random())  # noqa: NPY002
    assert states[0] == states[1]


def test_attributes_of_a_new_network():
    seed(0)
    network = guide.NeuralNetwork([3, 2])
    assert list(vars(network)) == ["layers"]
    assert list(vars(network.layers[0])) == ["neurons"]
    neuron = network.layers[0].neurons[0]
    assert list(vars(neuron)) == ["weights", "bias", "last_input", "last_output"]
    assert (neuron.weights.shape, neuron.bias.tolist()) == ((3, 1), [[0]])
    assert neuron.last_input is neuron.last_output is None


def test_neuron_by_hand():
    neuron = guide.Neuron(2)
    neuron.weights, neuron.bias = np.array([[1.0], [-2.0]]), np.array([[0.5]])
    inputs = np.array([[3.0, 1.0], [0.0, 1.0]])
    assert neuron.forward(inputs).tolist() == [[1.5], [0.0]]
    assert neuron.last_input is inputs
    # delta = 4 and 0: weights - 0.5 * 4 * (3, 1), bias - 0.5 * 4, and back through the new weights (-5, -4)
    assert neuron.backward(np.array([[4.0], [7.0]]), 0.5).tolist() == [[-20.0, -16.0], [0.0, 0.0]]
    assert (neuron.weights.tolist(), neuron.bias.tolist()) == ([[-5.0], [-4.0]], [[-1.5]])


@pytest.mark.parametrize(
    "samples", [X, X[:1], X[:0], X.astype(np.float32), (X * 9).astype(int), X.tolist(), X[0], X[:, :4], "no"]
)
def test_forward_and_predict(samples):
    ours, theirs = networks()
    for name in ("forward", "predict"):
        results = []
        for network in (ours, theirs):
            try:
                output = getattr(network, name)(samples)
                results.append((output.dtype, output.shape, output.tobytes()))
            except Exception as error:
                results.append(type(error))
        assert results[0] == results[1]


def test_layer_backward():
    ours, theirs = networks()
    gradient = RNG.normal(size=(50, 8))
    results = []
    for network in (ours, theirs):
        network.layers[0].forward(X)
        results.append(network.layers[0].backward(gradient, 0.1))
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(weights(ours), weights(theirs))


def test_losses_as_methods():
    network = guide.NeuralNetwork([1, 1])
    y, outputs = np.array([[1.0, 2.0]]), np.array([[2.0, 4.0]])
    assert network.mse_loss(y, outputs) == 2.5
    assert network.derivative_mse_loss(y, outputs).tolist() == [[2.0, 4.0]]


# --- trained by kernels, and nobody can tell

KINDS_OF_DATA = {
    "integers": ((X * 5).astype(int), (Y * 3).astype(np.int8)),
    "float32": (X.astype(np.float32), Y.astype(np.float32)),
    "float16": (X.astype(np.float16), Y.astype(np.float16)),
    "bytes": ((abs(X) * 99).astype(np.uint8), Y > 1),
    "fortran": (np.asfortranarray(X), np.asfortranarray(Y)),
    "reversed": (X[::-1], Y[::-1, ::-1]),
    "strided": (np.repeat(X, 2, axis=1)[:, ::2], np.repeat(Y, 3, axis=0)[::3]),
    "byte-swapped": (X.astype(">f8"), Y.astype(">f8")),
    "read-only": (np.broadcast_to(X[0], X.shape), np.broadcast_to(Y[0], Y.shape)),
    "one sample": (X[:1], Y[:1]),
    "NaN": (np.where(X > 2.3, np.nan, X), Y),
    "infinity in X": (np.where(X > 2.3, np.inf, X), Y),
    "infinity in y": (X, np.where(Y > 3.3, -np.inf, Y)),
    "NaN in y": (X, np.where(Y > 3.3, np.nan, Y)),
}


@pytest.fixture(params=["few features", "many features"])
def features(request, monkeypatch):
    """Of many, kernels leave out those that are zero in several samples."""
    monkeypatch.setattr(kernels_training, "MANY_FEATURES", 1 if request.param == "many features" else 99)


@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_kinds_of_data(kind, features, compiled_runs):
    samples, targets = KINDS_OF_DATA[kind]
    train_both(*networks(), samples, targets, learning_rate=0.01 if kind in ("integers", "bytes") else 0.05)
    assert len(compiled_runs) == 1


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 1000, True])
def test_batch_sizes(batch_size, features, compiled_runs):
    train_both(*networks(), batch_size=batch_size)
    assert len(compiled_runs) == 1


@pytest.mark.parametrize("learning_rate", [0.05, 1e60, 1e160])
@pytest.mark.parametrize("weight", [1, np.nan, np.inf])
def test_features_that_are_zero_in_a_batch(learning_rate, weight, features, compiled_runs):
    """0 * w is zero for finite weights only: those that a run begins with, and those that a diverging one comes to."""
    samples, pair = X.copy(), networks()
    samples[:, [1, 4]] = samples[:16, 0] = samples[32:, 5] = 0
    for network in pair:
        network.layers[0].neurons[2].weights[1] = weight
    train_both(*pair, samples, learning_rate=learning_rate)
    assert len(compiled_runs) == 1


@pytest.mark.parametrize("sizes", [(6, 3), (6, 1, 3), (6, 5, 33, 17, 3), (6, 129, 3)])
def test_sizes(sizes, compiled_runs):
    train_both(*networks(sizes, scale=20))
    assert len(compiled_runs) == 1


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 50), (1, 16), (2, 16), (50, 16)])
def test_epochs(epochs, batch_size, compiled_runs):
    train_both(*networks(), epochs=epochs, batch_size=batch_size)
    assert len(compiled_runs) == 1


def test_default_batch_size_and_keywords():
    ours, theirs = networks()
    arguments = {"X": X, "y": Y, "epochs": 2, "learning_rate": 0.05}
    assert outcome(ours.train, **arguments)[1] is None
    assert outcome(theirs.train, **arguments)[1] is None
    assert difference(ours, theirs) < 1e-9


def test_training_again_goes_on(compiled_runs):
    ours, theirs = networks()
    train_both(ours, theirs)
    train_both(ours, theirs, batch_size=9, learning_rate=0.01)
    assert len(compiled_runs) == 2


def test_weights_change_in_place():
    network, _ = networks()
    held = [(n.weights, n.bias, n) for layer in network.layers for n in layer.neurons]
    before = weights(network)
    outcome(network.train, X, Y, 2, 0.05)
    assert all(n.weights is w and n.bias is b for w, b, n in held)
    assert not np.array_equal(weights(network), before)


def test_last_input_is_a_view_of_the_samples():
    network, _ = networks()
    outcome(network.train, X, Y, 1, 0.05)
    assert np.shares_memory(network.layers[0].neurons[0].last_input, X)
    assert len({id(n.last_input) for n in network.layers[1].neurons}) == 1


def test_divergence_is_printed_and_goes_on(compiled_runs):
    printed, error = train_both(*networks(), learning_rate=1e60, batch_size=50)
    assert (len(compiled_runs), error) == (1, None)
    assert np.isfinite(losses(printed)[0])
    assert printed.splitlines()[1:] == ["Epoch 2/4, Loss: inf", "Epoch 3/4, Loss: nan", "Epoch 4/4, Loss: nan"]


class WithAccuracy(guide.NeuralNetwork):
    """A program's own class, that only adds."""

    def __init__(self, layer_sizes):
        super().__init__(layer_sizes)
        self.name = "mine"

    def accuracy(self, X, y):
        return np.mean(self.predict(X).argmax(axis=1) == y)


def test_added_methods_and_attributes_change_nothing(compiled_runs):
    _, theirs = networks(scale=1)
    seed(1)
    ours = WithAccuracy([6, 8, 3])
    ours.layers[0].name = ours.layers[0].neurons[0].name = "first"
    train_both(ours, theirs)
    assert len(compiled_runs) == 1
    assert (ours.name, ours.layers[0].name, ours.layers[0].neurons[0].name) == ("mine", "first", "first")
    assert 0 <= ours.accuracy(X, Y.argmax(axis=1)) <= 1


def remove_a_neuron(network, module):
    del network.layers[0].neurons[3]
    for neuron in network.layers[1].neurons:
        neuron.weights = np.delete(neuron.weights, 3, axis=0)


def replace_a_layer(network, module):
    network.layers[1] = module.Layer(3, 8)


def insert_a_layer(network, module):
    network.layers.insert(1, module.Layer(8, 8))
    for neuron in network.layers[1].neurons:
        neuron.weights += 0.2


def assign_weights(network, module):
    network.layers[0].neurons[0].weights = np.linspace(-1, 1, 6).reshape(6, 1)
    network.layers[0].neurons[0].bias = np.ones((1, 1))


def copy_layers(network, module):
    network.layers = copy.deepcopy(network.layers)


@pytest.mark.parametrize("edit", [remove_a_neuron, replace_a_layer, insert_a_layer, assign_weights, copy_layers])
def test_edited_networks(edit, compiled_runs):
    ours, theirs = networks()
    for network, module in ((ours, guide), (theirs, document)):
        seed(2)
        edit(network, module)
    train_both(ours, theirs)
    assert len(compiled_runs) == 1


def test_copies_and_pickles_train_on(compiled_runs):
    ours, theirs = networks()
    train_both(ours, theirs)
    train_both(pickle.loads(pickle.dumps(ours)), copy.deepcopy(theirs))
    train_both(copy.deepcopy(ours), theirs)
    assert len(compiled_runs) == 3


# --- the document's algorithm as it stands, for what kernels would do otherwise


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


# --- progress and interruption


def test_losses_are_printed_while_training_goes_on(compiled_runs, monkeypatch):
    monkeypatch.setattr(dropins, "STRETCH", 0.0)  # Python has a look after every step
    steps_done = []
    monkeypatch.setattr("builtins.print", lambda line: steps_done.append(compiled_runs[0].steps_done))
    network, _ = networks()
    network.train(X, Y, 5, 0.05, 16)
    assert steps_done == [4, 8, 12, 16, 20]


def test_length_of_stretches_does_not_matter(monkeypatch):
    results = []
    for seconds in (0.0, 1e-5, 10.0):
        monkeypatch.setattr(dropins, "STRETCH", seconds)
        network, _ = networks()
        results.append((outcome(network.train, X, Y, 12, 0.05, 16), weights(network).tobytes()))
    assert results[0] == results[1] == results[2]


def test_interrupt_leaves_the_last_finished_step(monkeypatch, compiled_runs):
    monkeypatch.setattr(dropins, "STRETCH", 0.0)
    ours, theirs = networks()
    calls = []
    for training in (Training, ReferenceTraining):

        def run(self, first, last, threads, run=training.run):
            run(self, first, last, threads)
            calls.append(last)
            if len(calls) == 6:  # the signal arrived during the kernel's call
                raise KeyboardInterrupt

        monkeypatch.setattr(training, "run", run)
    with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(KeyboardInterrupt):
        ours.train(X, Y, 5, 0.05, 16)
    assert calls == [1, 2, 3, 4, 5, 6]
    assert len(printed.getvalue().splitlines()) == 1
    outcome(theirs.train, X, Y, 1, 0.05, 16)
    outcome(theirs.train, X[:32], Y[:32], 1, 0.05, 16)  # four steps and two
    assert difference(ours, theirs) < 1e-9
    assert outcome(ours.train, X, Y, 1, 0.05)[1] is None
