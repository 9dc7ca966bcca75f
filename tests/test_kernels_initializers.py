"""Initial parameters: spread, shape of the distribution, orthogonality, one for each layer."""

import numpy as np
import pytest

from fastmlp import NeuralNetwork
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.initializers import INITIALIZERS

VARIANCES = {  # of weights from 300 inputs to 200 outputs
    "he_normal": 1 / 150,
    "he_uniform": 1 / 150,
    "glorot_normal": 1 / 250,
    "glorot_uniform": 1 / 250,
    "lecun_normal": 1 / 300,
    "lecun_uniform": 1 / 300,
    "orthogonal": 1 / 300,  # each of 200 columns of 300 numbers has length 1
    "zeros": 0,
    "standard_normal": 1,
    "small_normal": 1e-4,
}
LIMITS = {"he_uniform": 0.141421356, "glorot_uniform": 0.109544512, "lecun_uniform": 0.1}  # roots of 6 / 300 and so on


def drawn(name, inputs=300, outputs=200, seed=1):
    return INITIALIZERS[name].weights(np.random.default_rng(seed), inputs, outputs)


def check_spread(weights, name):
    """60000 numbers: the mean is within five standard errors of 0, the variance within 3% of the formula."""
    assert weights.shape == (300, 200)
    assert abs(weights.mean()) <= 5 * np.sqrt(VARIANCES[name] / 60000)
    np.testing.assert_allclose(weights.var(), VARIANCES[name], rtol=0.03)


def test_every_initializer_has_its_variance():
    assert set(VARIANCES) == set(INITIALIZERS)
    for name, row in INITIALIZERS.items():
        stated = eval(row.variance, {"inputs": 300, "outputs": 200, "max": max})
        assert stated == pytest.approx(VARIANCES[name])


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights(name):
    check_spread(drawn(name), name)
    np.testing.assert_array_equal(drawn(name), drawn(name))
    for inputs, outputs in [(1, 1), (1, 5), (5, 1)]:
        assert drawn(name, inputs, outputs).shape == (inputs, outputs)


def test_a_wrong_spread_is_caught():
    for wrong in (1.05 * drawn("he_normal"), drawn("he_normal") + 0.004, drawn("glorot_normal")):
        with pytest.raises(AssertionError):
            check_spread(wrong, "he_normal")


@pytest.mark.parametrize("name", sorted(VARIANCES.keys() - {"zeros", "orthogonal"}))
def test_shapes_of_distributions(name):
    """Of a normal distribution, the mean of (x / deviation)^4 is 3; of a uniform one, 9 / 5, and it has an end."""
    weights = drawn(name)
    fourth = np.mean(weights**4) / weights.var() ** 2
    if name in LIMITS:
        assert fourth == pytest.approx(9 / 5, rel=0.02)
        assert 0.999 * LIMITS[name] < abs(weights).max() <= LIMITS[name] * (1 + 1e-8)
    else:
        assert fourth == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 7), (9, 4), (4, 9), (1, 3), (3, 1), (1, 1)])
def test_orthogonal_weights(inputs, outputs):
    weights = drawn("orthogonal", inputs, outputs)
    product = weights.T @ weights if inputs >= outputs else weights @ weights.T
    np.testing.assert_allclose(product, np.eye(min(inputs, outputs)), atol=1e-14)


def test_orthogonal_weights_prefer_no_direction():
    """Over many draws each entry of a uniform orthogonal matrix is as often positive as negative."""
    draws = np.array([drawn("orthogonal", 3, 3, seed) for seed in range(2000)])
    assert abs(np.sign(draws).mean(axis=0)).max() < 5 / np.sqrt(2000)
    without_signs = np.array([np.linalg.qr(np.random.default_rng(s).normal(size=(3, 3)))[0] for s in range(2000)])
    assert abs(np.sign(without_signs).mean(axis=0)).max() > 0.9  # what the choice of signs is for


# --- in a network


def test_every_activation_names_an_initializer():
    assert all(row.initializer in INITIALIZERS for row in ACTIVATIONS.values())


@pytest.mark.parametrize("name", INITIALIZERS)
def test_networks_begin_with_them(name, dtype):
    network = NeuralNetwork([300, 200, 2], initializer=name, dtype=dtype, seed=1)
    check_spread(network.layers[0].weights, name)
    biases = np.concatenate([layer.biases for layer in network.layers])
    assert biases.any() == (name == "standard_normal")
    if name == "standard_normal":
        assert abs(biases.mean()) < 5 / np.sqrt(202)
        assert biases.var() == pytest.approx(1, rel=0.5)


def test_one_for_each_layer():
    mixed = NeuralNetwork([300, 200, 2], "relu", initializer=["zeros", "standard_normal"], seed=0)
    assert not mixed.layers[0].weights.any()
    assert mixed.layers[1].weights.std() == pytest.approx(1, rel=0.2)
    own = NeuralNetwork([4, 3, 2], "relu", initializer=("he_normal", "glorot_uniform"), seed=0)
    np.testing.assert_array_equal(own.parameters, NeuralNetwork([4, 3, 2], "relu", seed=0).parameters)
