"""The introduction's drop-in: whatever a program does with the document's classes, it does the same with ours."""

import contextlib
import copy
import io
import itertools
import pickle

import document_introduction as document
import numpy as np
import pytest

from fastmlp import dropins, introduction
from fastmlp.kernels.backends.reference import ReferenceTraining
from fastmlp.kernels.runtime.training import Schedule, Training

PEOPLE = np.array([[-2, -1], [25, 6], [17, 4], [-15, -6]])  # Alice, Bob, Charlie, Diana
IS_WOMAN = np.array([1, 0, 0, 1])
NAMES = ["w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2", "b3"]


def seed(number):
    """Of NumPy's global generator, from which the documents' classes draw."""
    np.random.seed(number)  # noqa: NPY002


def networks(number=0):
    """Ours and the document's, alike."""
    pair = []
    for module in (introduction, document):
        seed(number)
        pair.append(module.OurNeuralNetwork())
    return pair


def weights(network):
    return np.array([np.sum(getattr(network, name)) for name in NAMES], float)


def difference(ours, theirs):
    """max |difference| / max |weight|; not a number is the same as itself."""
    ours, theirs = weights(ours), weights(theirs)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs), initial=1e-300)


def outcome(function, *arguments):
    """What a call printed, and the type of what it raised."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, np.errstate(all="ignore"):
        try:
            function(*arguments)
        except Exception as error:
            return printed.getvalue(), type(error)
    return printed.getvalue(), None


def train_both(ours, theirs, data=PEOPLE, all_y_trues=IS_WOMAN):
    """Train alike and require the same end; returns the outcome."""
    our_outcome, their_outcome = (outcome(network.train, data, all_y_trues) for network in (ours, theirs))
    assert our_outcome == their_outcome
    assert difference(ours, theirs) < 1e-9
    assert all(type(getattr(ours, name)) is type(getattr(theirs, name)) for name in NAMES)
    return our_outcome


# --- the document's own numbers


def test_numbers_printed_in_the_document(capsys):
    neuron = introduction.Neuron(np.array([0, 1]), 4)
    print(neuron.feedforward(np.array([2, 3])))
    print(introduction.FixedNeuralNetwork().feedforward(np.array([2, 3])))
    print(introduction.mse_loss(np.array([1, 0, 0, 1]), np.array([0, 0, 0, 0])))
    assert capsys.readouterr().out.split() == ["0.9990889488055994", "0.7216325609518421", "0.5"]


def test_fixed_network_is_of_neurons():
    network = introduction.FixedNeuralNetwork()
    for neuron in (network.h1, network.h2, network.o1):
        assert isinstance(neuron, introduction.Neuron)
        assert (neuron.weights.tolist(), neuron.bias) == ([0, 1], 0)
    network.h2.bias = 4
    assert network.feedforward(np.array([2, 3])) == introduction.sigmoid(introduction.sigmoid(7))


@pytest.mark.parametrize("number", range(5))
def test_trained_on_four_people(number, compiled_runs):
    ours, theirs = networks(number)
    printed, error = train_both(ours, theirs)
    assert (len(compiled_runs), error) == (1, None)
    assert [line.split(" loss: ")[0] for line in printed.splitlines()] == [f"Epoch {e}" for e in range(0, 1000, 10)]
    emily, frank = np.array([-7, -3]), np.array([20, 2])
    assert ours.feedforward(emily) > 0.5
    assert ours.feedforward(frank) < 0.5
    assert f"{ours.feedforward(emily):.3f}" == f"{theirs.feedforward(emily):.3f}"


@pytest.mark.parametrize("planted", [{"update_first": True}, {"delta_divisor": 2}, {"shuffle_key": 1}])
def test_comparison_catches_another_algorithm(monkeypatch, planted):
    monkeypatch.setattr(introduction, "Schedule", lambda *values, **options: Schedule(*values, **(options | planted)))
    ours, theirs = networks()
    for network in (ours, theirs):
        outcome(network.train, PEOPLE, IS_WOMAN)
    assert difference(ours, theirs) > 1e-6


# --- construction and functions


def test_same_random_numbers_in_the_same_order():
    seed(5)
    numbers = [np.random.normal() for _ in range(10)]  # noqa: NPY002
    seed(5)
    network = introduction.OurNeuralNetwork()
    assert list(vars(network).items()) == list(zip(NAMES, numbers, strict=False))
    assert np.random.normal() == numbers[9]  # noqa: NPY002


def test_feedforward_by_hand():
    network, _ = networks()
    for name, value in zip(NAMES, [1, 0, 0, 1, 2, -1, 0, 0, -2], strict=True):
        setattr(network, name, value)
    h1, h2 = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-5))
    assert network.feedforward([3, 5]) == pytest.approx(1 / (1 + np.exp(2 - 2 * h1 + h2)), rel=1e-15)


@pytest.mark.parametrize("x", [0, 3.5, np.float32(1.5), np.array([[-1, 0], [1, 2]]), np.array(["a"]), None, [1, 2], 1j])
@pytest.mark.parametrize("name", ["sigmoid", "deriv_sigmoid"])
def test_functions(name, x):
    results = []
    for module in (introduction, document):
        try:
            result = getattr(module, name)(x)
            results.append((type(result), np.asarray(result).dtype, np.asarray(result).tolist()))
        except Exception as error:
            results.append(type(error))
    assert results[0] == results[1]


# --- trained by kernels, and nobody can tell

RNG = np.random.default_rng(1)
MANY = RNG.normal(size=(23, 2))
HALVES = (MANY[:, 0] > 0) * 1.0

KINDS_OF_DATA = {
    "float64": (MANY, HALVES),
    "bytes": (np.array([[0, 1], [3, 2], [2, 4], [1, 0]], np.uint8), IS_WOMAN.astype(np.int8)),
    "booleans": (PEOPLE > 0, IS_WOMAN > 0),
    "lists": (PEOPLE.tolist(), IS_WOMAN.tolist()),
    "list of numbers and array": ([[0.5, 1], [2, -3.5]], np.array([0, 1])),
    "fortran": (np.asfortranarray(MANY), HALVES),
    "reversed": (MANY[::-1], HALVES[::-1]),
    "strided": (RNG.normal(size=(12, 6))[::3, 1::3], RNG.random(8)[::2]),
    "byte-swapped": (PEOPLE.astype(">f8"), IS_WOMAN.astype(">i4")),
    "one sample": (MANY[:1], HALVES[:1]),
    "large": (PEOPLE * 1e4, IS_WOMAN),
    "NaN": (np.array([[1, 2], [np.nan, 1], [3, 4]]), np.array([1, 0, 1])),
    "infinity": (np.array([[1, 2], [np.inf, 1], [3, 4]]), np.array([1, 0, 1])),
    "NaN in y": (MANY, np.where(HALVES > 0, HALVES, np.nan)),
}


@pytest.mark.filterwarnings("ignore:overflow")  # NumPy's in the exponential, as in the document's code
@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_kinds_of_data(kind, compiled_runs):
    train_both(*networks(), *KINDS_OF_DATA[kind])
    assert len(compiled_runs) == 1


def test_training_again_goes_on(compiled_runs):
    ours, theirs = networks()
    train_both(ours, theirs)
    ours.w1, theirs.b3 = 0.5, 1.5
    ours.b3, theirs.w1 = 1.5, 0.5
    train_both(pickle.loads(pickle.dumps(ours)), copy.deepcopy(theirs))
    assert len(compiled_runs) == 2


def test_added_methods_and_attributes_change_nothing(compiled_runs):
    class Named(introduction.OurNeuralNetwork):
        def __init__(self):
            super().__init__()
            self.name = "mine"

        def is_woman(self, x):
            return self.feedforward(x) > 0.5

    seed(0)
    ours = Named()
    train_both(ours, networks()[1])
    assert len(compiled_runs) == 1
    assert ours.name == "mine"
    assert ours.is_woman(np.array([-7, -3]))


# --- the document's algorithm as it stands, for what kernels would do otherwise


def derived(network, module, **methods):
    network.__class__ = type("Derived", (module.OurNeuralNetwork,), methods)


def override_feedforward(network, module):
    derived(network, module, feedforward=lambda self, x: x[0] * self.w1)


def override_feedforward_of_the_instance(network, module):
    network.feedforward = lambda x: 0.25


def intercept_a_weight(network, module):
    held = property(lambda self: self.held, lambda self, value: setattr(self, "held", min(value, 0.3)))
    network.held = network.__dict__.pop("w5")
    derived(network, module, w5=held)


def intercept_assignment(network, module):
    def assign(self, name, value):
        object.__setattr__(self, name, np.float64(round(value, 3)))

    derived(network, module, __setattr__=assign)


def default_in_the_class(network, module):
    del network.w6
    derived(network, module, w6=0.5)


def weights_of_arrays(network, module):
    network.w1 = np.array([0.5, -0.5])


def weights_of_integers(network, module):
    network.w1, network.w5, network.b2 = 1, -1, 0


def single_precision(network, module):
    for name in NAMES:
        setattr(network, name, np.float32(getattr(network, name)))


def missing_weight(network, module):
    del network.b3


def weight_of_another_type(network, module):
    network.w2 = "0.5"


FALLBACKS = [
    override_feedforward, override_feedforward_of_the_instance, intercept_a_weight, intercept_assignment,
    default_in_the_class, weights_of_integers, single_precision,
]  # fmt: skip


@pytest.mark.parametrize("alter", FALLBACKS)
def test_altered_networks(alter, compiled_runs):
    ours, theirs = networks()
    alter(ours, introduction)
    alter(theirs, document)
    assert train_both(ours, theirs)[1] is None
    assert compiled_runs == []


@pytest.mark.parametrize("alter", [weights_of_arrays, missing_weight, weight_of_another_type])
def test_broken_networks_fail_as_they_do(alter, compiled_runs):
    ours, theirs = networks()
    alter(ours, introduction)
    alter(theirs, document)
    outcomes = [outcome(network.train, PEOPLE, IS_WOMAN) for network in (ours, theirs)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1] is not None
    assert compiled_runs == []
    assert repr(sorted(vars(ours).items())) == repr(sorted(vars(theirs).items()))


def test_function_replaced_in_the_module(monkeypatch, compiled_runs):
    for module in (introduction, document):
        monkeypatch.setattr(module, "mse_loss", lambda y_true, y_pred: abs(y_true - y_pred).max())
    train_both(*networks())
    assert compiled_runs == []


UNUSUAL_ARGUMENTS = {
    "float32": (PEOPLE.astype(np.float32), IS_WOMAN),
    "float32 targets": (PEOPLE, IS_WOMAN.astype(np.float32)),
    "float16": (PEOPLE.astype(np.float16), IS_WOMAN.astype(np.float16)),
    "long double": (PEOPLE.astype(np.longdouble), IS_WOMAN),
    "tuples": (tuple(map(tuple, PEOPLE.tolist())), tuple(IS_WOMAN.tolist())),
    "list of arrays": (list(PEOPLE), IS_WOMAN),
    "list of float32": ([[np.float32(0.1), 1.0], [2.0, np.float32(0.3)]], np.array([0, 1])),
    "list of booleans": ([[True, False]], [1]),
    "ragged lists": ([[1, 2], [3]], [0, 1]),
    "deeper lists": ([[[1, 2], [3, 4]]], [0]),
    "empty lists": ([], []),
    "column of targets": (PEOPLE, IS_WOMAN[:, np.newaxis]),
    "fewer targets": (PEOPLE, IS_WOMAN[:3]),
    "more targets": (PEOPLE, np.append(IS_WOMAN, 1)),
    "one target": (PEOPLE, 1),
    "one target in an array": (PEOPLE, np.array(1)),
    "three features": (np.hstack([PEOPLE, PEOPLE[:, :1]]), IS_WOMAN),
    "one feature": (PEOPLE[:, :1], IS_WOMAN),
    "1-D data": (PEOPLE[0], IS_WOMAN),
    "3-D data": (PEOPLE[:, :, np.newaxis], IS_WOMAN),
    "no samples": (PEOPLE[:0], IS_WOMAN[:0]),
    "objects": (PEOPLE.astype(object), IS_WOMAN.astype(object)),
    "complex": (PEOPLE + 0j, IS_WOMAN),
    "strings": (PEOPLE.astype(str), IS_WOMAN),
    "a class of arrays": (PEOPLE.view(type("Table", (np.ndarray,), {})), IS_WOMAN),
    "no data": (None, None),
    "large integers": ([[10**400, 1]], [1]),
}


@pytest.mark.filterwarnings("ignore")  # what NumPy warns of, it warns of in the document's code too
@pytest.mark.parametrize("kind", UNUSUAL_ARGUMENTS)
def test_unusual_arguments(kind, compiled_runs):
    ours, theirs = networks()
    outcomes = [outcome(network.train, *UNUSUAL_ARGUMENTS[kind]) for network in (ours, theirs)]
    assert outcomes[0] == outcomes[1]
    assert repr(sorted(vars(ours).items())) == repr(sorted(vars(theirs).items()))  # the same operations: the same bits
    assert compiled_runs == []


def test_generators_are_used_up(compiled_runs):
    ours, theirs = networks()
    outcomes = [outcome(network.train, iter(PEOPLE), IS_WOMAN) for network in (ours, theirs)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1] is not None
    assert difference(ours, theirs) == 0
    assert compiled_runs == []


# --- progress and interruption


def test_losses_are_printed_while_training_goes_on(compiled_runs, monkeypatch):
    monkeypatch.setattr(dropins, "STRETCH", 0.0)  # Python has a look after every step
    epochs_done = []
    monkeypatch.setattr("builtins.print", lambda line: epochs_done.append(compiled_runs[0].steps_done / 4))
    networks()[0].train(PEOPLE, IS_WOMAN)
    assert epochs_done == [epoch + 1 for epoch in range(0, 1000, 10)]


def test_interrupt_leaves_the_last_finished_step(monkeypatch):
    monkeypatch.setattr(dropins, "STRETCH", 0.0)
    ours, theirs = networks()
    steps = itertools.count(1)
    for training in (Training, ReferenceTraining):

        def run(self, first, last, threads, run=training.run):
            run(self, first, last, threads)
            if next(steps) == 6:  # the signal arrived during the kernel's call
                raise KeyboardInterrupt

        monkeypatch.setattr(training, "run", run)
    with pytest.raises(KeyboardInterrupt):
        ours.train(PEOPLE, IS_WOMAN)
    for i in (0, 1, 2, 3, 0, 1):
        theirs.step(PEOPLE[i], IS_WOMAN[i])
    assert difference(ours, theirs) < 1e-9
