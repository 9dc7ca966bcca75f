"""Looking inside: outputs of layers, derivatives with respect to inputs, checks of gradients, importance, summaries."""

import math

import numpy as np
import oracle
import pytest
from cases import PAIRINGS, case
from custom_functions import squared, squared_derivative, swish, swish_derivative
from refusals import refusal
from trainings import everything, table

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.backends import reference

SIZES = (4, 5, 3, 2)


def network_of(example, backend):
    model = example.model
    *hidden, output = model.activations
    network = NeuralNetwork(model.sizes, hidden, output, model.loss, dtype=model.dtype, backend=backend.name)
    network.parameters = example.parameters
    return network


def tolerance(dtype):
    return {"rtol": 3e-4, "atol": 3e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-11}


# --- outputs of layers


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_layer_outputs(hidden, output, loss, backend, dtype):
    example = case(SIZES, hidden, output, loss, dtype, 19)
    network = network_of(example, backend)
    outputs = network.layer_outputs(example.X)
    a = example.X.astype(np.float64)
    for (weights, biases), chosen, found in zip(
        oracle.split(example.model.sizes, example.parameters), example.model.activations, outputs, strict=True
    ):
        a = oracle.activation(chosen).forward(a @ weights + biases)
        np.testing.assert_allclose(found, a, **tolerance(dtype))
        assert found.dtype == dtype
    np.testing.assert_array_equal(outputs[-1], network.predict(example.X))
    for one, many in zip(network.layer_outputs(example.X[3]), outputs, strict=True):
        np.testing.assert_allclose(one, many[3], **tolerance(dtype))


# --- derivatives with respect to inputs


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_jacobians(hidden, output, loss, backend, dtype):
    example = case(SIZES, hidden, output, loss, dtype, 19)
    network = network_of(example, backend)
    jacobian = network.jacobian(example.X)
    outputs = example.model.sizes[-1]
    assert jacobian.shape == (19, outputs, 4)
    assert jacobian.dtype == dtype
    for k in range(outputs):
        rows = np.tile(np.eye(outputs)[k], (19, 1))
        expected = oracle.backpropagate(*example.formulas, example.parameters, example.X, rows)[1]
        np.testing.assert_allclose(jacobian[:, k], expected, **tolerance(dtype))
    np.testing.assert_allclose(network.jacobian(example.X[3]), jacobian[3], **tolerance(dtype))


def test_a_jacobian_is_the_limit_of_differences():
    network = NeuralNetwork([3, 6, 4, 2], "tanh", output_activation="sigmoid", dtype="float64", seed=1)
    x, step = np.array([0.3, -0.2, 0.5]), 1e-6
    differences = [(network.predict(x + step * e) - network.predict(x - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(network.jacobian(x), np.transpose(differences), atol=1e-9)


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_input_gradients(hidden, output, loss, backend, dtype):
    example = case(SIZES, hidden, output, loss, dtype, 300)  # more than are worked on at once
    found = network_of(example, backend).input_gradient(example.X, example.y)
    a = oracle.predict(*example.formulas, example.parameters, example.X)
    output_gradient = oracle.loss_of(loss).gradient(a, example.rows_of_y)
    expected = oracle.backpropagate(*example.formulas, example.parameters, example.X, output_gradient)[1]
    np.testing.assert_allclose(found * 300, expected * 300, **tolerance(dtype))
    assert found.dtype == dtype


# --- checks of gradients


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_right_gradients_pass(hidden, output, loss, dtype):
    example = case(SIZES, hidden, output, loss, dtype, 60).far_from_kinks(1e-3)
    network = NeuralNetwork(example.model.sizes, hidden, output, loss, dtype=dtype)
    network.parameters = example.parameters
    before = everything(network)
    check = network.gradient_check(example.X, example.y)
    assert check.max_relative_error < 1e-5
    assert check.checked == network.parameters.size
    assert check.backpropagated == pytest.approx(check.numerical, rel=1e-4, abs=1e-8)
    assert everything(network) == before


@pytest.mark.parametrize("index", [0, 19, 24, 25, 40, 50])
def test_a_wrong_derivative_is_found(index, monkeypatch):
    """One per cent off in a single parameter."""
    example = case(SIZES, "tanh", "identity", "mean_squared_error", "float64", 20)
    network = NeuralNetwork(SIZES, "tanh", dtype="float64", backend="reference")
    network.parameters = example.parameters
    names = {
        0: "layers[0].weights[0, 0]", 19: "layers[0].weights[3, 4]", 24: "layers[0].biases[4]",
        25: "layers[1].weights[0, 0]", 40: "layers[1].biases[0]", 50: "layers[2].biases[1]",
    }  # fmt: skip
    original = reference.backpropagate
    size = abs(network.gradient(example.X, example.y)).max()

    def wrong(*arguments):
        gradient, inputs = original(*arguments)
        gradient[index] += 0.01 * size
        return gradient, inputs

    monkeypatch.setattr(reference, "backpropagate", wrong)
    check = network.gradient_check(example.X, example.y)
    assert check.parameter == names[index]
    assert check.max_relative_error > 0.009
    assert check.backpropagated - check.numerical == pytest.approx(0.01 * size, rel=1e-4)


def test_a_sample_of_parameters():
    network = NeuralNetwork([10, 30, 2], "tanh", seed=0)
    X, y = table(8, 10, 2)
    check = network.gradient_check(X, y, most=20)
    assert check.checked == 20
    assert check == network.gradient_check(X, y, most=20)
    assert check != network.gradient_check(X, y, most=20, seed=1)
    assert network.gradient_check(X, y, most=10**6).checked == 392


# --- importance


def test_importance_by_hand():
    """The output is x1, so is the target, x2 is for nothing: permuting x1 changes the loss by mean (x1 - x1')^2."""
    network = NeuralNetwork([2, 1], dtype="float64")
    network.parameters = [1, 0, 0]
    X = np.random.default_rng(0).normal(size=(40_000, 2))
    importance = network.permutation_importance(X, X[:, 0], repeats=3, seed=1)
    np.testing.assert_allclose(importance.mean, [2, 0], atol=0.05)
    assert importance.values.shape == (2, 3)
    np.testing.assert_array_equal(importance.mean, importance.values.mean(axis=1))
    np.testing.assert_array_equal(importance.std, importance.values.std(axis=1))
    again = network.permutation_importance(X, X[:, 0], repeats=3, seed=1)
    np.testing.assert_array_equal(importance.values, again.values)
    assert (importance.values[0] != network.permutation_importance(X, X[:, 0], repeats=3, seed=2).values[0]).all()


def test_importance_in_metrics():
    network = NeuralNetwork([2, 2], loss="categorical_cross_entropy", dtype="float64")
    network.parameters = [1, -1, 0, 0, 0, 0]  # class 0 where x1 > 0
    X = np.random.default_rng(0).normal(size=(4000, 2))
    y = (X[:, 0] < 0).astype(int)
    importance = network.permutation_importance(X, y, metric="accuracy")
    np.testing.assert_allclose(importance.mean, [0.5, 0], atol=0.05)

    def mistakes(y, outputs):
        return np.mean(outputs.argmax(axis=1) != y)

    mistakes.greater_is_better = False
    own = network.permutation_importance(X, y, metric=mistakes)
    np.testing.assert_allclose(own.values, importance.values, atol=1e-12)


def test_importance_leaves_the_data_alone():
    X, y = table()
    before = X.copy()
    network = NeuralNetwork([3, 4, 2], seed=0)
    network.permutation_importance(X, y)
    np.testing.assert_array_equal(X, before)


# --- summaries


def test_summaries():
    summary = NeuralNetwork([1000, 20, 3], "tanh", dtype="float64").summary()
    assert summary == (
        "loss mean_squared_error, float64\n"
        " layer  inputs  neurons  activation  parameters    bytes   FLOPs\n"
        "     0   1,000       20        tanh      20,020  160,160  40,000\n"
        "     1      20        3    identity          63      504     120\n"
        " total                                   20,083  160,664  40,120"
    )


# --- what is refused


@pytest.mark.parametrize("X", [None, "abc", [[1, 2]], [[1, 2, math.nan]], [], [[[1, 2, 3]]]])
def test_samples_that_cannot_be(X):
    network = NeuralNetwork([3, 4, 2], seed=0)
    for call in (network.layer_outputs, network.jacobian):
        assert refusal(call, X) == "X"
    for call in (network.input_gradient, network.gradient_check, network.permutation_importance):
        assert refusal(call, X, [[0, 1]]) == "X"
        assert refusal(call, [[1, 2, 3]], [[0, 1, 2]]) == "y"


def test_numbers_that_cannot_be():
    network, (X, y) = NeuralNetwork([3, 4, 2], seed=0), table()
    for wrong in (0, -1, 1.5, "a", True, None):
        assert refusal(network.gradient_check, X, y, most=wrong) == "most"
        assert refusal(network.permutation_importance, X, y, repeats=wrong) == "repeats"
    for wrong in (-1, 1.5, "a"):
        assert refusal(network.gradient_check, X, y, seed=wrong) == "seed"
        assert refusal(network.permutation_importance, X, y, seed=wrong) == "seed"
    for wrong in ("accuracy", 3, ["r2"]):
        assert refusal(network.permutation_importance, X, y, metric=wrong) == "metric"


# --- functions that are more than names


def test_gradients_are_checked_with_the_settings_of_functions():
    network = NeuralNetwork(
        [3, 4, 2], fastmlp.LeakyReLU(0.3), loss=fastmlp.Huber(0.1), dtype="float64", seed=0, backend="reference"
    )
    X, y = table()
    check = network.gradient_check(X, y)
    assert check.max_relative_error < 1e-6
    assert np.isclose(network.gradient(X, y), check.backpropagated, rtol=1e-12, atol=0).any()  # not another network's


def test_functions_of_users_are_looked_into():
    own = fastmlp.Activation(swish, swish_derivative, "own")
    network = NeuralNetwork(
        [3, 4, 2], own, loss=fastmlp.Loss(squared, squared_derivative, "mine"), dtype="float64", backend="reference"
    )
    assert network.gradient_check(*table()).max_relative_error < 1e-6
    loss, _, layer, *_ = network.summary().splitlines()
    assert loss == "loss mine, float64"
    assert " own " in layer
