"""Dropout and noise as users ask for them: what they depend on, what they leave alone, and that they do what they are
for."""

import numpy as np
import pytest

from fastmlp import NeuralNetwork

X = np.random.default_rng(1).normal(size=(40, 6))
Y = np.sin(X[:, :2])
WISHES = [{"dropout": 0.5}, {"dropout": [0, 0.5]}, {"input_dropout": 0.2}, {"input_noise": 0.1}]


def trained(seed=3, epochs=3, **options):
    network = NeuralNetwork([6, 8, 7, 2], "tanh", seed=3, backend="reference")
    network.train(X, Y, epochs, 0.05, batch_size=8, **{"seed": seed, **options})
    return network


@pytest.mark.parametrize("wishes", WISHES, ids=str)
def test_the_seed_decides(wishes):
    """Samples in their order, so that it has nothing else to decide."""
    parameters = [trained(seed, shuffle=False, **wishes).parameters.tobytes() for seed in (3, 3, 4, None)]
    assert parameters[0] == parameters[1] == parameters[3]  # None: the network's own, which is 3 too
    assert parameters[0] != parameters[2]
    assert parameters[0] != trained(shuffle=False).parameters.tobytes()


def test_one_probability_is_that_of_every_hidden_layer():
    assert (trained(dropout=0.3).parameters == trained(dropout=[0.3, 0.3]).parameters).all()
    assert (trained(dropout=np.array([0.3, 0])).parameters == trained(dropout=(0.3, 0.0)).parameters).all()
    assert (trained(dropout=[0.3, 0]).parameters != trained(dropout=[0, 0.3]).parameters).any()
    for nothing in (0, 0.0, [0, 0], np.zeros(2)):
        assert (trained(dropout=nothing, input_dropout=0, input_noise=0).parameters == trained().parameters).all()


def test_epochs_draw_anew():
    """Without training to speak of, the losses of epochs differ by what is dropped alone."""
    network = NeuralNetwork([6, 8, 2], "tanh", seed=3, dtype="float64")
    losses = network.train(X, Y, 8, 1e-12, batch_size=8, dropout=0.5, shuffle=False).loss
    assert min(abs(np.subtract.outer(losses, losses))[~np.eye(8, dtype=bool)]) > 1e-4
    more = network.train(X, Y, 1, 1e-12, batch_size=8, dropout=0.5, shuffle=False).loss
    assert abs(np.subtract(losses, more)).min() > 1e-4


def test_only_training_sees_it():
    """Validation losses are those of `evaluate`; with no step to speak of, they stay what they were."""
    network = NeuralNetwork([6, 8, 2], "relu", seed=3, dtype="float64")
    before, outputs = network.evaluate(X, Y), network.predict(X)
    history = network.train(
        X, Y, 3, 1e-15, validation_data=(X, Y), dropout=0.5, input_dropout=0.5, input_noise=2
    )  # fmt: skip
    np.testing.assert_allclose(history.validation_loss, before, rtol=1e-9)
    np.testing.assert_allclose(network.predict(X), outputs, rtol=1e-9)
    assert min(abs(np.subtract(history.loss, before))) > 1e-3


def test_the_mean_stays():
    """The mean output of many linear networks that drop is that of the network, within five standard errors."""
    network = NeuralNetwork([6, 8, 2], "identity", seed=3, dtype="float64")
    target = network.predict(X)  # the loss of an epoch is the variance that dropout makes, whose mean can be told
    a, weights = X @ network.layers[0].weights + network.layers[0].biases, network.layers[1].weights
    variance = (a**2 @ weights**2).mean()  # p / (1 - p) is 1
    losses = network.train(X, target, 400, 1e-15, batch_size=40, dropout=0.5).loss
    assert abs(np.mean(losses) - variance) < 5 * np.std(losses) / np.sqrt(len(losses))


@pytest.mark.parametrize("deviation", [0.5, 2.0])
def test_noise_is_a_penalty(deviation):
    """Of a linear network with mean squared error: noise of variance s^2 adds s^2 times the mean of squared weights."""
    network = NeuralNetwork([6, 2], seed=3, dtype="float64")
    expected = deviation**2 * (network.layers[0].weights ** 2).sum() / 2
    losses = network.train(X, network.predict(X), 400, 1e-15, batch_size=40, input_noise=deviation).loss
    assert abs(np.mean(losses) - expected) < 5 * np.std(losses) / np.sqrt(len(losses))
