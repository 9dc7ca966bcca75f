"""`train`: steps, history, order, optimizer state, data."""

import copy
import tracemalloc
import weakref
from dataclasses import asdict
from functools import partial

import numpy as np
import oracle
import pytest
from trainings import everything, table, trained

import fastmlp
from fastmlp import SGD, Adam, NeuralNetwork
from fastmlp.kernels.functions.optimizers import OPTIMIZERS

LOSSES = ["mean_squared_error", "binary_cross_entropy", "categorical_cross_entropy"]


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
    monkeypatch.setattr("fastmlp.training.loop.STRETCH", 1e-9)  # one step at a time
    stepwise = everything(trained(20, optimizer="adam"))
    monkeypatch.setattr("fastmlp.training.loop.STRETCH", 1e9)
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
    assert network._state.updates == 5


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
