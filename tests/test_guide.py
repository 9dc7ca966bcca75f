"""The guide's drop-in is trained by kernels, and nobody can tell: it does what the document's classes do."""

import contextlib
import copy
import io
import pickle

import document_guide as document
import numpy as np
import pytest
from guide_pairs import RNG, X, Y, difference, losses, networks, outcome, seed, train_both, weights

from fastmlp import dropins, guide
from fastmlp.datasets import load_digits
from fastmlp.kernels.backends.reference import ReferenceTraining
from fastmlp.kernels.runtime import training as kernels_training
from fastmlp.kernels.runtime.training import Schedule, Training

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
    """The sizes of networks: of many features, kernels leave out those that are zero in two samples of a wide layer."""
    many = request.param == "many features"
    monkeypatch.setattr(kernels_training, "MANY_FEATURES", 1 if many else 99)
    return (6, 40, 3) if many else (6, 8, 3)


@pytest.fixture
def masks(monkeypatch):
    """Those of all trainings' plans; None for each that has none."""
    made, room = [], kernels_training.TrainingPlan._room_for_masks

    def spy(plan, batch_size):
        made.append(room(plan, batch_size))
        return made[-1]

    monkeypatch.setattr(kernels_training.TrainingPlan, "_room_for_masks", spy)
    return made


@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_kinds_of_data(kind, features, compiled_runs):
    samples, targets = KINDS_OF_DATA[kind]
    train_both(*networks(features), samples, targets, learning_rate=0.01 if kind in ("integers", "bytes") else 0.05)
    assert len(compiled_runs) == 1


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 1000, True])
def test_batch_sizes(batch_size, features, compiled_runs):
    train_both(*networks(features), batch_size=batch_size)
    assert len(compiled_runs) == 1


@pytest.mark.parametrize("learning_rate", [0.05, 1e60, 1e160])
@pytest.mark.parametrize("weight", [1, np.nan, np.inf])
def test_features_that_are_zero_in_a_batch(learning_rate, weight, features, masks, compiled_runs):
    """0 * w is zero for finite weights only: those that a run begins with, and those that a diverging one comes to."""
    samples, pair = X.copy(), networks(features)
    samples[:, [1, 4]] = samples[:16, 0] = samples[32:, 5] = 0
    for network in pair:
        network.layers[0].neurons[2].weights[1] = weight
    train_both(*pair, samples, learning_rate=learning_rate)
    assert len(compiled_runs) == 1
    if weight == 1 and learning_rate == 0.05 and masks:  # the reference has no plan
        assert (masks[0] is not None and masks[0][:2].tolist() == [1, 1]) == (features == (6, 40, 3))


@pytest.mark.parametrize("sizes", [(6, 3), (6, 1, 3), (6, 5, 33, 17, 3), (6, 129, 3)])
def test_sizes(sizes, compiled_runs):
    train_both(*networks(sizes, scale=20))
    assert len(compiled_runs) == 1


def test_a_size_that_threads_share(monkeypatch, compiled_runs):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    generator = np.random.default_rng(3)
    samples, targets = generator.random((130, 784)), generator.random((130, 3))
    train_both(*networks((784, 128, 3)), samples, targets, epochs=3, learning_rate=0.01, batch_size=32)
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
