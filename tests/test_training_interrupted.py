"""Trainings that end before their time: what a divergence leaves, and what an interruption."""

import _thread
import contextlib
import copy
import io
import pickle
import re
import threading
import time

import numpy as np
import pytest
from trainings import everything, table, trained

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.backends.reference import ReferenceTraining
from fastmlp.kernels.runtime.training import Schedule, Training

# --- interrupts of threads that share the steps


@pytest.mark.parametrize("steps", [2, 4])  # to an epoch's end, and to the middle of one
def test_two_interrupts_of_a_team_leave_all_of_the_last_step(fast_backend, steps, monkeypatch):
    """The second one comes before the plan is one thread's again: what it brings is not that thread's share alone."""
    from fastmlp.kernels.runtime.plan import Plan

    right, results = Plan.ranks, []
    X, y = table(48, 6, 2)

    def ranks(self, count):
        if count == 1:
            raise KeyboardInterrupt
        return right(self, count)

    for threads in (1, 2):
        network = NeuralNetwork([6, 40, 2], "tanh", seed=0, backend=fast_backend.name, dtype="float64")
        network._state = network._state.begun(fastmlp.Adam())
        schedule = Schedule(fastmlp.Adam(), 16, epochs=2)
        work = network._executor.training(X, y, network._state.slots, schedule)
        if threads == 1:
            work.run(0, steps, 1)
        else:
            monkeypatch.setattr(Plan, "ranks", ranks)
            with pytest.raises(KeyboardInterrupt):
                work.run(0, steps, 2)
            monkeypatch.undo()
            assert work.threads == 2
        assert work.steps_done == steps
        assert work.collect()
        results.append((network._parameters.tobytes(), network._state.slots.tobytes()))
    assert results[0] == results[1]


# --- divergence


def diverging(backend=None, **options):
    """A network, and arguments of a training in which the error grows fivefold with every step."""
    network = NeuralNetwork([1, 1], seed=0, backend=backend, **options)
    network.parameters = [1, 0]
    return network, {"X": np.ones((8, 1)), "y": np.zeros(8), "batch_size": 1, "learning_rate": 1.5, "shuffle": False}


def test_a_diverging_training_keeps_the_last_good_epoch(backend):
    network, arguments = diverging(backend.name)
    with pytest.raises(FloatingPointError) as caught:
        network.train(epochs=50, **arguments)
    message = str(caught.value)
    epoch = int(re.match(r"training diverged in epoch (\d+) of 50 \(loss (inf|nan|[\d.]+e\+\d+)\): ", message)[1])
    assert message.endswith(f"the parameters are those of epoch {epoch - 1}; learning_rate 1.5 may be too large")
    assert epoch > 1
    twin, arguments = diverging(backend.name)
    history = twin.train(epochs=epoch - 1, **arguments)
    assert np.isfinite(history.loss).all()
    np.testing.assert_array_equal(network.parameters, twin.parameters)
    np.testing.assert_array_equal(network.predict([[1]]), twin.predict([[1]]))
    with pytest.raises(FloatingPointError):  # that epoch was the last one indeed
        copy.deepcopy(twin).train(epochs=1, **arguments)
    for net in (network, twin):
        net.parameters = [1, 0]
        net.train(np.arange(8.0).reshape(8, 1), np.zeros(8), 2, 0.01, batch_size=1)
    np.testing.assert_array_equal(network.parameters, twin.parameters)  # in the same order: as many epochs are counted


def test_what_is_raised_tells_where_and_can_be_pickled():
    network, arguments = diverging()
    with pytest.raises(fastmlp.DivergenceError) as caught:
        network.train(epochs=50, **arguments)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):  # as between the processes of a pool
        assert isinstance(error, FloatingPointError)
        assert str(error) == str(caught.value)
        assert str(error).startswith(f"training diverged in epoch {error.epoch + 1} of 50 (loss {error.loss:.6g})")


def test_training_goes_on_after_a_divergence(dtype):
    network, arguments = diverging(dtype=dtype)
    with pytest.raises(FloatingPointError):
        network.train(epochs=1000, **arguments)
    again = copy.deepcopy(network)
    network.parameters = again.parameters = [1, 0]
    for net in (network, again):
        losses = net.train(np.ones((8, 1)), np.zeros(8), 200, 0.05).loss
        assert losses[-1] < 1e-6
    np.testing.assert_array_equal(network.parameters, again.parameters)


def test_a_divergence_in_the_first_epoch_leaves_the_first_weights(backend):
    for X, rate in [
        (np.full((8, 1), 1e10), 1.0),
        (np.ones((1, 1)), 3e38),
    ]:  # by the loss; by a parameter in the only step
        network, arguments = diverging(backend.name)
        before = network.parameters
        arguments |= {"X": X, "y": np.full(len(X), 0.25), "learning_rate": rate}
        with pytest.raises(
            FloatingPointError, match=r"^training diverged in epoch 1 of 3 .* parameters are those from before;"
        ):
            network.train(epochs=3, **arguments)
        np.testing.assert_array_equal(network.parameters, before)


def test_a_divergence_after_good_trainings_counts_from_this_one():
    network, arguments = diverging()
    network.train(epochs=3, **{**arguments, "learning_rate": 0.01}, optimizer="adam")
    before = network.parameters
    with pytest.raises(FloatingPointError, match=r"^training diverged in epoch 1 of 2 "):
        network.train(epochs=2, **{**arguments, "X": np.full((8, 1), 1e15)})
    np.testing.assert_array_equal(network.parameters, before)
    network.train(epochs=3, **{**arguments, "learning_rate": 0.01}, optimizer="adam")
    assert np.isfinite(network.parameters).all()


def test_epochs_before_a_divergence_are_printed(capsys):
    network, arguments = diverging()
    with pytest.raises(FloatingPointError) as caught:
        network.train(epochs=50, **arguments, verbose=True)
    epoch = int(re.search(r"epoch (\d+)", str(caught.value))[1])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"Epoch {i}/50" for i in range(1, epoch)
    ]


# --- interruption


def interrupted(network, *arguments, **options):
    """Train until another thread presses Ctrl-C, which it does when training has been going on for a while."""

    def press():
        while network._state.optimizer is None:
            time.sleep(0.001)
        time.sleep(0.03)
        _thread.interrupt_main()

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        network.train(*arguments, **options)
    thread.join()


def long_table(samples, features, outputs):
    """More samples than a training gets through, in little memory."""
    X, y = table(64, features, outputs)
    return np.tile(X.astype(np.float32), (samples // 64, 1)), np.tile(y.astype(np.float32), (samples // 64, 1))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_ctrl_c_in_the_middle_of_an_epoch_leaves_the_last_finished_step(optimizer):
    X, y = long_table(640_000, 4, 2)
    options = {"learning_rate": 1e-4, "batch_size": 1, "optimizer": optimizer, "shuffle": False}

    def fresh():
        return NeuralNetwork([4, 64, 64, 2], "tanh", seed=0)

    fresh().train(X[:1], y[:1], 1, **options)  # compiles
    network = fresh()
    interrupted(network, X, y, 100, **options)
    steps = network._state.updates
    assert network._state.epochs == steps // len(X)
    twin = fresh()
    if network._state.epochs == 0 and steps:  # as on any machine of today
        twin.train(X[:steps], y[:steps], 1, **options)
        np.testing.assert_array_equal(network.parameters, twin.parameters)
        network.train(X[:99], y[:99], 1, **options)
        twin.train(X[:99], y[:99], 1, **options)
        np.testing.assert_array_equal(network.parameters, twin.parameters)


@pytest.mark.parametrize(
    "monitored", [{}, {"patience": 10**7}, {"target_loss": -1.0}, {"metrics": "r2", "restore_best": True}], ids=str
)
def test_ctrl_c_between_epochs_leaves_whole_epochs(monitored):
    X, y = table(samples=8)
    options = {"batch_size": 8, "optimizer": "adam"}
    trained(1, samples=8, **options)
    network = NeuralNetwork([3, 5, 2], "tanh", seed=4)
    interrupted(network, X, y, 10_000_000, 0.05, **options, **monitored)
    assert network._state.epochs == network._state.updates == network.history.epochs
    assert {len(column) for column in network.history.to_dict().values()} == {network._state.epochs}
    twin = trained(network._state.epochs, samples=8, **options)
    assert everything(network) == everything(twin)
    np.testing.assert_array_equal(network.predict(X), twin.predict(X))


class Interrupting(io.StringIO):
    """A stream that raises at the fifth line."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        if "Epoch 5/" in text:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_error_while_printing_leaves_whole_epochs(error):
    network = NeuralNetwork([3, 5, 2], "tanh", seed=4)
    with contextlib.redirect_stdout(Interrupting(error)), pytest.raises(error):
        trained(50, network=network, optimizer="adam", verbose=True)
    assert network._state.epochs >= 5
    assert network._state.updates == 5 * network._state.epochs
    assert everything(network) == everything(trained(network._state.epochs, optimizer="adam"))


@pytest.mark.parametrize("where", ["loss", "parameters"])
def test_ctrl_c_at_the_moment_of_a_divergence(monkeypatch, where):
    network, arguments = diverging(dtype="float32")
    if where == "parameters":
        arguments |= {"X": np.ones((1, 1)), "y": np.ones(1), "learning_rate": 3e38}
        network.parameters = [2, 0]
        before = network.parameters
    for training in (Training, ReferenceTraining):

        def run(self, first, last, threads=None, run=training.run):
            if run(self, first, last, threads) < last:
                raise KeyboardInterrupt
            return last

        monkeypatch.setattr(training, "run", run)
    with pytest.raises(KeyboardInterrupt):
        network.train(epochs=50, **arguments)
    monkeypatch.undo()
    assert np.isfinite(network.parameters).all()
    if where == "parameters":
        np.testing.assert_array_equal(network.parameters, before)
    network = copy.deepcopy(network)
    network.parameters = [1, 0]
    assert network.train(np.ones((8, 1)), np.zeros(8), 200, 0.05).loss[-1] < 1e-6


def test_ctrl_c_during_a_prediction_leaves_a_usable_network(monkeypatch):
    network = NeuralNetwork([3, 5, 2], seed=0)
    expected = network.predict([[1, 2, 3]])
    for owner, name in [
        (network._executor, "prediction"),  # while a predictor is made
        (network._executor.prediction(), "run"),  # while it predicts
    ]:
        network.parameters = network.parameters
        with monkeypatch.context() as patched:
            patched.setattr(type(owner), name, lambda *_, **__: _thread.interrupt_main() or time.sleep(1))
            with pytest.raises(KeyboardInterrupt):
                network.predict([[1, 2, 3]])
        np.testing.assert_array_equal(network.predict([[1, 2, 3]]), expected)
