"""Wherever an interrupt hits a training, and wherever a second one does: the network is whole, and goes on."""

import copy
import random

import numpy as np
import pytest
from interrupts import interrupted

import fastmlp
from fastmlp import NeuralNetwork

EPOCHS = 4
X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1]], axis=1)


def quiet(network, progress):
    """A callback that has the network collected after every epoch."""


WAYS = {
    "plain": {"optimizer": "adam"},
    "momentum": {"optimizer": fastmlp.SGD(momentum=0.9), "learning_rate": fastmlp.Cosine(0.05, epochs=EPOCHS)},
    "plateau": {"optimizer": "adam", "learning_rate": fastmlp.ReduceOnPlateau(0.5, patience=0, factor=0.5)},
    "average": {"optimizer": "rmsprop", "ema_decay": 0.9, "gradient_norms": True},
    "watched": {"optimizer": "adam", "metrics": "r2", "callbacks": quiet, "validation_data": (X[:5], Y[:5])},
    "restored": {"optimizer": "adam", "restore_best": True, "patience": 2, "learning_rate": 1.0},
}


def made(**options):
    return NeuralNetwork([3, 4, 2], "tanh", normalization="batch", dtype="float64", seed=1, **options)


def train(network, epochs, **options):
    return network.train(X, Y, epochs, batch_size=12, **options)  # an epoch is a step


def whole(network):
    """All that has to fit together."""
    parameters = np.asarray(network.parameters)  # who reads them tidies up, if that is left to be done
    optimizer, slots, epochs, updates, seen, average = network._state
    return (
        parameters.tobytes(), slots.tobytes(), slots.shape, updates, epochs, optimizer and optimizer.name,
        None if average is None else average.tobytes(), seen,
    )  # fmt: skip


def states(options):
    """The network before training and after each epoch."""
    plain = {name: value for name, value in options.items() if name not in ("restore_best", "patience")}
    seen = [whole(made())]
    for epochs in range(1, EPOCHS + 1):
        network = made()
        train(network, epochs, **plain)
        seen.append(whole(network))
    return seen


def lines_of(function):
    """How many lines the package executes in a call, counted by interrupting it later and later."""
    low, high = 1, 1
    while interrupted(function(), high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if interrupted(function(), middle) else (low, middle)
    return low


def check(network, options, known):
    """It is as after some epoch, whose history it has; it can be used and trained, as its copy can."""
    assert not network._watched
    predicted = network.predict(X)  # before anything else tidies up
    prepared = whole(network)
    ends = [epoch for epoch, state in enumerate(known) if state[0] == prepared[0] and state[4] == prepared[4]]
    assert ends, "parameters of no epoch, or counted as another's"
    if network._state.updates or ends[0]:  # else a new optimizer may have been adopted, with nothing in its state
        assert prepared in known
    if network.history is not None and "restore_best" not in options:
        assert network.history.epochs in (0, network._state.epochs)
    twin = made(backend="reference")
    twin.parameters = network.parameters
    np.testing.assert_allclose(predicted, twin.predict(X), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(network.predict(X), predicted)
    copied = copy.deepcopy(network)
    losses = [train(one, 2, **options).loss for one in (network, copied)]
    assert losses[0] == losses[1]
    assert whole(network) == whole(copied)


@pytest.mark.parametrize("way", WAYS)
def test_one_interrupt(way):
    options = WAYS[way]
    known = states(options)

    def call():
        network = made()
        network.predict(X)
        return lambda: train(network, EPOCHS, **options)

    count = lines_of(call)
    assert count > 100
    for line in range(1, count + 1):
        network = made()
        network.predict(X)  # whoever has predicted before keeps what it takes
        assert interrupted(lambda network=network: train(network, EPOCHS, **options), line)
        check(network, options, known)


@pytest.mark.parametrize("way", WAYS)
def test_two_interrupts(way):
    """The second one hits what the first one has begun to tidy up."""
    options = WAYS[way]
    known, draw = states(options), random.Random(way)

    def call():
        network = made()
        network.predict(X)
        return lambda: train(network, EPOCHS, **options)

    count = lines_of(call)
    for _ in range(150):
        network = made()
        network.predict(X)
        line, more = draw.randint(1, count), draw.randint(1, 25)
        assert interrupted(lambda network=network: train(network, EPOCHS, **options), line, more)
        check(network, options, known)


def test_what_an_interrupt_kept_from_being_measured_is_measured_on_resuming():
    """Wherever it comes, a training that goes on ends as it would have."""
    options = {"optimizer": "adam", "validation_data": (X[:5], Y[:5]), "patience": 3, "restore_best": True}
    whole_run = made()
    expected = train(whole_run, 8, **options)

    def call():
        network = made()
        return lambda: train(network, 8, **options)

    unmeasured = 0
    for line in range(1, lines_of(call) + 1, 2):
        network = made()
        assert interrupted(lambda network=network: train(network, 8, **options), line)
        if network.history is None:
            continue
        unmeasured += bool(np.isnan(network.history.validation_loss[-1:]).any())
        history = train(network, 8, resume=True, **options)
        assert [history.loss, history.validation_loss] == [expected.loss, expected.validation_loss]
        assert whole(network) == whole(whole_run)
    assert unmeasured


def test_a_schedule_that_always_raises_leaves_a_network_that_can_be_used():
    class Failing(fastmlp.ReduceOnPlateau):
        def after(self, state, loss):
            raise ZeroDivisionError

    network = made()
    with pytest.raises(ZeroDivisionError):
        train(network, 3, learning_rate=Failing(0.01))
    assert network.history.epochs == network._state.epochs == 1
    assert train(network, 2).epochs == 2


def test_interrupted_streams_go_on():
    chunks = [(X[:6], Y[:6]), (X[6:], Y[6:])]
    options = {"optimizer": "adam", "batch_size": 6, "callbacks": quiet}
    known = []
    for epochs in range(3):
        for parts in range(2):
            network = made()
            if epochs:
                network.train_stream(chunks, epochs, **options)
            if parts:
                network.train_stream(chunks[:1], **options)
            state = network._state
            known.append((np.asarray(network.parameters).tobytes(), state.slots.tobytes(), state.updates))

    def call(network):
        return lambda: network.train_stream(chunks, 2, **options)

    count = lines_of(lambda: call(made()))
    for line in range(1, count + 1, 3):
        network = made()
        assert interrupted(call(network), line)
        now = np.asarray(network.parameters).tobytes(), network._state.slots.tobytes(), network._state.updates
        assert now in known or not network._state.updates
        assert not network._watched
        assert network.history is None or network.history.epochs <= 2
        assert network.train_stream(chunks, 1, **options).epochs == 1


def test_interrupted_quasi_newton_steps_stay_where_an_iteration_ended():
    pytest.importorskip("scipy")
    plain = NeuralNetwork([3, 4, 2], "tanh", dtype="float64", seed=1)
    known = [np.asarray(plain.parameters).tobytes()]
    for epochs in range(1, 4):
        network = copy.deepcopy(plain)
        network.train(X, Y, epochs, optimizer="lbfgs")
        known.append(np.asarray(network.parameters).tobytes())

    def call(network):
        return lambda: network.train(X, Y, 3, optimizer="lbfgs", callbacks=quiet)

    count = lines_of(lambda: call(copy.deepcopy(plain)))
    for line in range(1, count + 1, 7):
        network = copy.deepcopy(plain)
        assert interrupted(call(network), line)
        assert np.asarray(network.parameters).tobytes() in known
        assert network.train(X, Y, 1, optimizer="lbfgs").epochs == 1


def test_interrupted_assignments_are_seen_by_predictions():
    new = np.arange(26) / 100
    for line in range(1, 60):
        network = NeuralNetwork([3, 4, 2], "tanh", dtype="float64", seed=1)
        before = network.predict(X)
        happened = interrupted(lambda network=network: setattr(network, "parameters", new), line)
        twin = NeuralNetwork([3, 4, 2], "tanh", dtype="float64", backend="reference")
        twin.parameters = network.parameters
        np.testing.assert_allclose(network.predict(X), twin.predict(X), rtol=1e-12)
        if not happened:
            break
    assert line < 59
    assert not np.array_equal(network.predict(X), before)


def test_a_network_that_is_not_tidied_up_is_found(monkeypatch):
    """The checks see a training whose end an interrupt cuts off for good."""
    from fastmlp.training.underway import Underway

    right = Underway.collect
    calls = []

    def collect(self, **more):
        calls.append(None)
        if len(calls) > 1:
            self._network._unsettled = None
            raise KeyboardInterrupt
        right(self, **more)

    def count_wrong(network, progress):
        network._state = network._state._replace(epochs=9)

    network, known = made(), states({})
    monkeypatch.setattr(Underway, "collect", collect)
    with pytest.raises(KeyboardInterrupt):
        train(network, 2, callbacks=count_wrong)
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="parameters of no epoch"):
        check(network, {}, known)
