"""The guide's drop-in and the document's classes, side by side: alike, and trained alike."""

import contextlib
import io
import re

import document_guide as document
import numpy as np

from fastmlp import guide

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6))
Y = RNG.normal(size=(50, 3)) + 1


def seed(number):
    """Of NumPy's global generator, from which the documents' classes draw."""
    np.random.seed(number)  # noqa: NPY002


def weights(network):
    return np.concatenate([np.append(n.weights, n.bias) for layer in network.layers for n in layer.neurons])


def difference(ours, theirs):
    """max |difference| / max |weight|; not a number is the same as itself."""
    ours, theirs = weights(ours), weights(theirs)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    ours, theirs = np.nan_to_num(ours), np.nan_to_num(theirs)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs), initial=1e-300)


def losses(printed):
    return [float(re.fullmatch(r"Epoch \d+/\d+, Loss: (\S+)", line)[1]) for line in printed.splitlines()]


def networks(sizes=(6, 8, 3), scale=30):
    """Ours and the document's, alike; with weights large enough for all layers to be at work."""
    pair = []
    for module in (guide, document):
        seed(1)
        network = module.NeuralNetwork(sizes)
        for layer in network.layers:
            for neuron in layer.neurons:
                neuron.weights *= scale
        pair.append(network)
    return pair


def outcome(function, *arguments, **options):
    """What a call printed, and the type of what it raised."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, np.errstate(all="ignore"):
        try:
            function(*arguments, **options)
        except Exception as error:
            return printed.getvalue(), type(error)
    return printed.getvalue(), None


def train_both(ours, theirs, X=X, y=Y, epochs=4, learning_rate=0.05, batch_size=16):
    """Train alike and require the same end; returns the outcome of ours."""
    our_outcome = outcome(ours.train, X, y, epochs, learning_rate, batch_size)
    their_outcome = outcome(theirs.train, X, y, epochs, learning_rate, batch_size)
    assert our_outcome[1] == their_outcome[1]
    np.testing.assert_allclose(losses(our_outcome[0]), losses(their_outcome[0]), rtol=1e-9, atol=0)
    assert re.sub("Loss: .*", "", our_outcome[0]) == re.sub("Loss: .*", "", their_outcome[0])
    assert difference(ours, theirs) < 1e-9
    for our_layer, their_layer in zip(ours.layers, theirs.layers, strict=True):
        for a, b in zip(our_layer.neurons, their_layer.neurons, strict=True):
            for name in ("last_input", "last_output"):
                mine, its = getattr(a, name), getattr(b, name)
                assert type(mine) is type(its)
                assert np.shape(mine) == np.shape(its)
                if not np.array_equal(mine, its):
                    np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)
    return our_outcome
