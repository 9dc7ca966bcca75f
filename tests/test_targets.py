"""What y may be: labels or one-hot rows, several labels at once, several outputs, numbers of any type."""

import numpy as np
import pytest

import fastmlp

X = np.random.default_rng(4).normal(size=(40, 3))
OPTIONS = {"learning_rate": 0.05, "batch_size": 7, "seed": 1}


def made(outputs, loss, backend, **options):
    return fastmlp.NeuralNetwork(
        [3, 8, outputs], "tanh", loss=loss, seed=2, dtype="float64", backend=backend.name, **options
    )


def results(network, y):
    """The bits of everything that depends on y."""
    values = [
        network.evaluate(X, y),
        network.gradient(X, y),
        network.train(X, y, 3, **OPTIONS).loss,
        network.parameters,
    ]
    return [np.asarray(value).tobytes() for value in values]


def test_labels_and_one_hot_rows_are_the_same(backend):
    labels = np.random.default_rng(1).integers(4, size=40)
    expected = results(made(4, "categorical_cross_entropy", backend), labels)
    for y in (labels.tolist(), labels.astype(np.uint8), np.eye(4)[labels], np.eye(4, dtype=bool)[labels]):
        assert results(made(4, "categorical_cross_entropy", backend), y) == expected
    other = (labels + 1) % 4
    assert results(made(4, "categorical_cross_entropy", backend), other) != expected


@pytest.mark.parametrize("source", ["bool", "int8", "uint64", "float16", "float32"])
def test_several_labels_of_any_type(backend, source):
    y = np.random.default_rng(1).integers(2, size=(40, 3))
    expected = results(made(3, "binary_cross_entropy", backend), y.astype(float))
    assert results(made(3, "binary_cross_entropy", backend), y.astype(source)) == expected


def test_several_labels_are_learned_each_on_its_own(fast_backend):
    """Label j is the sign of feature j; two, one or none of them may hold."""
    y = X[:, :2] > 0
    network = made(2, "binary_cross_entropy", fast_backend)
    network.train(X, y, 300, 0.05, 8, optimizer="adam")
    outputs = network.predict(X)
    assert ((outputs > 0.5) == y).mean() > 0.97
    assert set(y.sum(axis=1)) == {0, 1, 2}  # no softmax could say so


@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_cross_entropy"])
def test_the_loss_is_the_mean_over_outputs(backend, loss):
    """That of three outputs, and its gradient by their own weights, from three networks of one."""
    y = np.random.default_rng(1).integers(2, size=(40, 3)).astype(float)
    several = fastmlp.NeuralNetwork([3, 3], loss=loss, dtype="float64", seed=2, backend=backend.name)
    values, gradient = [], several.gradient(X, y).layers[0]
    for j in range(3):
        one = fastmlp.NeuralNetwork([3, 1], loss=loss, dtype="float64", seed=2, backend=backend.name)
        one.layers[0].weights = several.layers[0].weights[:, [j]]
        values.append(one.evaluate(X, y[:, j]))
        own = one.gradient(X, y[:, j]).layers[0]
        np.testing.assert_allclose(gradient.weights[:, j], own.weights[:, 0] / 3, rtol=1e-13)
        np.testing.assert_allclose(gradient.biases[j], own.biases[0] / 3, rtol=1e-13)
    assert several.evaluate(X, y) == pytest.approx(np.mean(values), rel=1e-13)


@pytest.mark.parametrize("source", ["int16", "float16", "float32"])
def test_several_numbers_of_any_type(backend, source):
    y = np.random.default_rng(1).integers(-9, 9, size=(40, 2)).astype(source)
    expected = results(made(2, "mean_squared_error", backend), y.astype(float))
    assert results(made(2, "mean_squared_error", backend), y) == expected
