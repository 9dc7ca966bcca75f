"""The demo: what it prints, and that what it compares fastmlp with is honest."""

import re
from itertools import pairwise

import numpy as np
import pytest

from fastmlp.cli import demo
from fastmlp.cli.cli import main
from fastmlp.cli.plain import PlainNetwork


def plain_network(sizes, seed=0):
    rng = np.random.default_rng(seed)
    layers = [(rng.normal(size=(a, b)), rng.normal(size=b)) for a, b in pairwise(sizes)]
    return layers, PlainNetwork(layers)


def test_plain_network_by_hand():
    network = PlainNetwork(
        [(np.array([[1.0, -1.0]]), np.array([0.0, 0.0])), (np.array([[2.0], [5.0]]), np.array([1.0]))]
    )
    X, y = np.array([[3.0]]), np.array([[6.0]])
    assert network.predict(X) == 7  # 2 max(0, 3) + 5 max(0, -3) + 1
    assert network.train(X, y, 1, 0.25, 1) == 1
    # error 1, dL/dz = 2: output weights 2 - 0.25 * 2 * 3 and 5, bias 1 - 0.25 * 2; hidden delta 2 * 2 and 0
    assert [weights.tolist() for weights in network.weights()] == [[[-2.0, -1.0]], [[0.5], [5.0]]]
    assert [neuron.bias for layer in network.layers for neuron in layer] == [-1.0, 0.0, 0.5]


def test_plain_network_descends_the_gradient_of_its_loss():
    layers, network = plain_network([3, 4, 2])
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

    def loss(weights):
        hidden = np.maximum(X @ weights + layers[0][1], 0)
        return np.mean((hidden @ layers[1][0] + layers[1][1] - y) ** 2)

    expected = np.zeros((3, 4))
    for i, j in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[i, j] = 1e-6
        expected[i, j] = (loss(layers[0][0] + step) - loss(layers[0][0] - step)) / 2e-6
    assert network.train(X, y, 1, 1e-3, 5) == pytest.approx(loss(layers[0][0]))
    np.testing.assert_allclose((layers[0][0] - network.weights()[0]) / 1e-3, expected, rtol=1e-6, atol=1e-8)


def test_introduction(capsys):
    demo.introduction()
    lines = capsys.readouterr().out.splitlines()
    epochs = [line for line in lines if line.startswith("Epoch")]
    assert len(epochs) == 100
    assert (epochs[0], epochs[-1]) == ("Epoch 0 loss: 0.501", "Epoch 990 loss: 0.002")
    assert lines[-2:] == ["Emily: 0.967 - F", "Frank: 0.039 - M"]


def test_introduction_leaves_the_global_generator_alone(capsys):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random(2)[1]  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    np.random.random()  # noqa: NPY002
    demo.introduction()
    assert np.random.random() == expected  # noqa: NPY002


def test_digits_by_both_networks(capsys):
    demo.digits(epochs=2)
    output = capsys.readouterr()
    results = re.findall(
        r"^ *(.*): +([\d.]+) s, final loss ([\d.]+), test accuracy ([\d.]+)%$", output.out, re.MULTILINE
    )
    (fast, fast_time, *fast_result), (plain, plain_time, *plain_result) = results
    assert (fast, plain) == ("fastmlp", "plain Python")
    assert fast_result == plain_result
    assert 50 < float(fast_result[1]) < 100
    factor, difference = re.search(r"fastmlp was (\d+) times faster; .* at most (\S+)\.", output.out).groups()
    assert int(factor) == pytest.approx(float(plain_time) / float(fast_time), rel=0.1, abs=1)
    assert float(difference) < 1e-10
    assert output.err == ""


def test_digits_are_learned():
    net, data = demo.new_network(), demo.Digits()
    demo.train(net, data, demo.EPOCHS)
    assert data.accuracy(net.predict(data.X_test)) >= 0.97
    assert len(data.X_test) == 449


def test_demo_command(capsys, monkeypatch):
    monkeypatch.setattr(demo, "digits", lambda: print("digits"))
    assert main(["demo"]) == 0
    assert capsys.readouterr().out.endswith("Frank: 0.039 - M\n\ndigits\n")
