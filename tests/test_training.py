"""`train`: steps, history, order, optimizer state, divergence, interruption."""

import _thread
import contextlib
import copy
import io
import pickle
import re
import threading
import time
import tracemalloc
import weakref
from dataclasses import asdict
from functools import partial

import numpy as np
import oracle
import pytest

import fastmlp
from fastmlp import SGD, Adam, NeuralNetwork
from fastmlp.kernels.optimizers import OPTIMIZERS
from fastmlp.kernels.reference import ReferenceTraining
from fastmlp.kernels.training import Training

LOSSES = ["mean_squared_error", "binary_cross_entropy", "categorical_cross_entropy"]


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


# --- steps


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1), Adam(0.02), Adam(0.02, beta1=0.5, beta2=0.9, epsilon=0.01), Adam(0.1, 0.0, 0.0)]
)
@pytest.mark.parametrize("batch_size", [1, 7, 23, 32])
@pytest.mark.parametrize("loss", LOSSES)
def test_training_is_the_textbooks(optimizer, batch_size, loss):
    network = NeuralNetwork([3, 5, 2], "tanh", loss=loss, dtype="float64", seed=1)
    X, y = table()
    formulas = network.layer_sizes, network.activations
    vector, losses = network.parameters, []
    state, t = np.zeros((2, len(vector))), 0
    for _ in range(3):
        losses.append(0.0)
        for first in range(0, 23, batch_size):  # the last batch is smaller
            rows = slice(first, first + batch_size)
            value, gradient = oracle.loss_and_gradient(*formulas, loss, vector, X[rows], y[rows])
            losses[-1] += value * len(X[rows]) / len(X)
            t += 1
            vector, state = oracle.OPTIMIZERS[optimizer.name](vector, state, gradient, t, **asdict(optimizer))
    history = network.train(X, y, 3, batch_size=batch_size, optimizer=optimizer, shuffle=False)
    np.testing.assert_allclose(network.parameters, vector, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_learns(loss, optimizer, dtype):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 2))
    inside = (X**2).sum(axis=1) < 1.4
    network = NeuralNetwork([2, 16, 2], "tanh", loss=loss, dtype=dtype, seed=0)
    rate = 0.5 if optimizer == "sgd" else 0.02
    history = network.train(X, np.eye(2)[inside.astype(int)], 400, rate, optimizer=optimizer)
    assert history.loss[-1] < history.loss[0] / 3
    assert (network.predict(X).argmax(axis=1) == inside).mean() > 0.9


def test_a_batch_larger_than_the_table_is_the_table():
    np.testing.assert_array_equal(trained(3, batch_size=1000).parameters, trained(3, batch_size=23).parameters)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 1, 1), (4, 3, 3, 3, 3, 1)])
@pytest.mark.parametrize("samples", [1, 2])
def test_small_tables_and_networks(sizes, samples, dtype):
    network = trained(5, sizes=sizes, samples=samples, dtype=dtype)
    assert np.isfinite(network.parameters).all()


def test_default_learning_rates():
    X, y = table()
    for name, rate in [("sgd", 0.01), ("adam", 0.001)]:
        np.testing.assert_array_equal(
            trained(2, optimizer=name, learning_rate=None).parameters,
            trained(2, optimizer=name, learning_rate=rate).parameters,
        )
    own = NeuralNetwork([3, 5, 2], seed=1)
    other = NeuralNetwork([3, 5, 2], seed=1)
    own.train(X, y, 2, optimizer=Adam(0.03))
    other.train(X, y, 2, 0.03, optimizer=Adam(0.5))  # the argument of train goes before the object's
    np.testing.assert_array_equal(own.parameters, other.parameters)


@pytest.mark.parametrize("rate", [1, np.float32(0.5), np.float64(0.5), np.int8(1)])
def test_learning_rates_may_be_any_numbers(rate, dtype):
    expected = trained(2, learning_rate=float(rate), dtype=dtype).parameters
    np.testing.assert_array_equal(trained(2, learning_rate=rate, dtype=dtype).parameters, expected)
    np.testing.assert_array_equal(trained(2, learning_rate=None, optimizer=SGD(rate), dtype=dtype).parameters, expected)


# --- history


def test_history():
    network = NeuralNetwork([3, 5, 2], seed=0, dtype="float64")
    X, y = table()
    before = network.evaluate(X, y)
    history = network.train(X, y, epochs=4, batch_size=len(X))
    assert isinstance(history, fastmlp.History)
    assert [type(loss) for loss in history.loss] == [float] * 4
    assert history.loss[0] == pytest.approx(before, rel=1e-14)  # of samples as they were trained on
    assert network.history is history


def test_verbose_prints_a_line_for_every_epoch(capsys):
    network = NeuralNetwork([1, 1], dtype="float64")
    network.parameters = [0, 0]
    network.train([[1]], [1], 3, learning_rate=0.125, verbose=True)  # the error is 1, then halves: 1, 1/4, 1/16
    assert (
        capsys.readouterr().out == "Epoch 1/3, loss: 1.000000\nEpoch 2/3, loss: 0.250000\nEpoch 3/3, loss: 0.062500\n"
    )
    network.train([[1]], [1], 3)
    assert capsys.readouterr() == ("", "")


def test_verbose_prints_every_epoch_once_in_a_longer_training(capsys):
    history = NeuralNetwork([3, 5, 2], seed=0).train(*table(), 500, verbose=True)
    lines = [f"Epoch {i}/500, loss: {loss:.6f}" for i, loss in enumerate(history.loss, start=1)]
    assert capsys.readouterr().out.splitlines() == lines


# --- order


def test_every_sample_is_seen_once_in_an_epoch(dtype):
    network = NeuralNetwork([1, 1], dtype=dtype)
    network.parameters = [0, 0]
    y = 2.0 ** np.arange(11)  # no two ways to sum squares of these numbers: a sample left out or repeated would show
    history = network.train(np.zeros((11, 1)), y, epochs=20, learning_rate=1e-30, batch_size=3)
    assert [loss * 11 for loss in history.loss] == pytest.approx([np.sum(y**2)] * 20, rel=1e-12)


def test_orders_differ_between_epochs_and_seeds():
    def first_batch_losses(epochs, **options):
        """The losses of a first batch of one sample: its target, since nothing is learned."""
        network = NeuralNetwork([1, 1], seed=0, dtype="float64")
        network.parameters = [0, 0]
        targets = []
        for _ in range(epochs):
            X, y = np.zeros((50, 1)), np.arange(1.0, 51.0)
            network.train(X, y, 1, learning_rate=0.25, batch_size=1, **options)
            targets.append(network.parameters[1])  # depends on the order: bias = (bias + y) / 2
        return targets

    assert len(set(first_batch_losses(10, shuffle=True))) == 10
    assert len({round(bias, 6) for bias in first_batch_losses(10, shuffle=False)}) == 1
    assert first_batch_losses(3, seed=1) == first_batch_losses(3, seed=1)
    assert first_batch_losses(3, seed=1) != first_batch_losses(3, seed=2)
    assert first_batch_losses(3, seed=1) != first_batch_losses(3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"seed": 3}], ids=str)
def test_trainings_are_reproducible_and_go_on(optimizer, options, dtype, backend):
    options = {"optimizer": optimizer, "samples": 11, "sizes": (2, 3, 1), **options}

    def fresh():
        return NeuralNetwork([2, 3, 1], "tanh", dtype=dtype, seed=4, backend=backend.name)

    if OPTIMIZERS[optimizer].full_batch:
        options["batch_size"] = None
    whole = trained(10, network=fresh(), **options)
    assert everything(whole) == everything(trained(10, network=fresh(), **options))
    parts = trained(5, network=trained(5, network=fresh(), **options), **options)
    assert everything(whole) == everything(parts)
    assert everything(whole) != everything(trained(9, network=fresh(), **options))


def test_stretches_do_not_change_results(monkeypatch):
    monkeypatch.setattr("fastmlp.training.STRETCH", 1e-9)  # one step at a time
    stepwise = everything(trained(20, optimizer="adam"))
    monkeypatch.setattr("fastmlp.training.STRETCH", 1e9)
    assert everything(trained(20, optimizer="adam")) == stepwise


# --- optimizer state


def test_a_change_of_the_learning_rate_keeps_the_state():
    split = trained(1, optimizer=Adam(0.05), learning_rate=None, network=trained(1, optimizer="adam"))
    assert everything(split) == everything(trained(2, optimizer="adam"))
    slower = trained(1, optimizer="adam", learning_rate=0.01, network=trained(1, optimizer="adam"))
    anew = NeuralNetwork([3, 5, 2], "tanh", seed=4)
    anew.parameters = trained(1, optimizer="adam").parameters
    trained(1, optimizer="adam", learning_rate=0.01, network=anew)
    assert (slower.parameters != anew.parameters).any()


@pytest.mark.parametrize("other", ["sgd", Adam(beta1=0.5), Adam(beta2=0.9), Adam(epsilon=1e-3)], ids=repr)
def test_another_optimizer_begins_afresh(other):
    options = {"shuffle": False, "dtype": "float64"}
    network = trained(3, optimizer="adam", **options)
    trained(2, optimizer=other, network=network, **options)
    anew = NeuralNetwork([3, 5, 2], "tanh", dtype="float64")
    anew.parameters = trained(3, optimizer="adam", **options).parameters
    trained(2, optimizer=other, network=anew, **options)
    np.testing.assert_array_equal(network.parameters, anew.parameters)
    trained(2, optimizer="adam", network=network, **options)  # and back: from zero again
    trained(2, optimizer="adam", network=anew, **options)
    np.testing.assert_array_equal(network.parameters, anew.parameters)


def test_an_optimizer_can_be_reset():
    options = {"shuffle": False, "optimizer": "adam"}
    network = trained(3, **options)
    network.reset_optimizer()
    trained(2, network=network, **options)
    anew = NeuralNetwork([3, 5, 2], "tanh")
    anew.parameters = trained(3, **options).parameters
    np.testing.assert_array_equal(network.parameters, trained(2, network=anew, **options).parameters)


def test_full_batch_optimizers_want_all_samples():
    X, y = table()
    network = NeuralNetwork([3, 5, 2], seed=0)
    before = network.parameters
    with pytest.raises(ValueError, match=r"^batch_size must be None or at least 23, all samples, .* 'rprop', got 22$"):
        network.train(X, y, 5, batch_size=22, optimizer="rprop")
    np.testing.assert_array_equal(network.parameters, before)
    other = copy.deepcopy(network)
    network.train(X, y, 5, optimizer="rprop")
    other.train(X, y, 5, batch_size=23, optimizer="rprop")
    np.testing.assert_array_equal(network.parameters, other.parameters)
    assert network._updates == 5


def test_optimizers_show_their_settings():
    assert repr(SGD()) == "SGD(learning_rate=0.01, momentum=0.0, nesterov=False)"
    assert repr(Adam(beta2=0.99)) == "Adam(learning_rate=0.001, beta1=0.9, beta2=0.99, epsilon=1e-08)"
    assert Adam() == Adam(0.001)
    with pytest.raises(AttributeError):
        Adam().beta1 = 0.5


# --- data


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_data_are_neither_changed_nor_kept(optimizer):
    X, y = table()
    copies = X.tolist(), y.tolist()
    network = NeuralNetwork([3, 5, 2])
    network.train(X, y, 2, optimizer=optimizer)
    network.predict(X), network.evaluate(X, y), network.gradient(X, y), network.backward(X, y)
    assert (X.tolist(), y.tolist()) == copies
    alive = [weakref.ref(X), weakref.ref(y)]
    del X, y
    assert [reference() for reference in alive] == [None, None]


@pytest.mark.parametrize("source", ["float32", "float64", "int16", "reversed", "columns"])
def test_data_are_not_copied_whole(source, fast_backend):
    X = np.ones((60000, 32), source if source[-1].isdigit() else "float64")
    X = {"reversed": X[::-1], "columns": X[:, ::2]}.get(source, X)
    y = np.zeros((len(X), 1), X.dtype)
    network = NeuralNetwork([X.shape[1], 1], backend=fast_backend.name)
    for work in (partial(network.train, epochs=1), network.evaluate, network.gradient):
        work(X[:9], y[:9])  # compiles
        tracemalloc.start()
        work(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < len(X) * 16 + 2**21  # an order of samples, and scratch; X takes 4 to 15 MB


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
        while network._optimizer is None:
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
    steps = network._updates
    assert network._epochs == steps // len(X)
    twin = fresh()
    if network._epochs == 0 and steps:  # as on any machine of today
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
    assert network._epochs == network._updates == network.history.epochs
    assert {len(column) for column in network.history.to_dict().values()} == {network._epochs}
    twin = trained(network._epochs, samples=8, **options)
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
    assert network._epochs >= 5
    assert network._updates == 5 * network._epochs
    assert everything(network) == everything(trained(network._epochs, optimizer="adam"))


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
