"""The running average of parameters, arguments of `train` that regularize, and what files and copies keep of them."""

import copy
import pickle

import numpy as np
import pytest

import fastmlp
import fastmlp.files.storage
from fastmlp import Adam, NeuralNetwork, ReduceOnPlateau

GENERATOR = np.random.default_rng(7)
X, Y = GENERATOR.normal(size=(12, 3)), GENERATOR.normal(size=(12, 2))


def trained(epochs=3, network=None, dtype="float64", **options):
    network = network or NeuralNetwork([3, 4, 2], "tanh", dtype=dtype, seed=0)
    network.train(
        X, Y, epochs, batch_size=5, **{"ema_decay": 0.9, "optimizer": "adam", "learning_rate": 0.05, **options}
    )
    return network


def through_a_file(network, path):
    network.save(path)
    return fastmlp.load(path)


COPIES = {
    "file": through_a_file,
    "pickle": lambda network, path: pickle.loads(pickle.dumps(network)),
    "copy": lambda network, path: copy.deepcopy(network),
}


def test_the_average_follows_every_step(dtype):
    network = NeuralNetwork([3, 4, 2], "tanh", dtype=dtype, seed=0)
    average = network.parameters.astype(float)
    for _ in range(7):  # a step each
        network.train(X, Y, 1, 0.05, 12, ema_decay=0.75)
        average = 0.75 * average + 0.25 * network.parameters
        np.testing.assert_allclose(network.averaged().parameters, average, rtol=64 * np.finfo(dtype).eps, atol=1e-7)
    assert abs(average - network.parameters).max() > 1e-3
    whole = NeuralNetwork([3, 4, 2], "tanh", dtype=dtype, seed=0)
    whole.train(X, Y, 7, 0.05, 12, ema_decay=0.75, shuffle=False)
    np.testing.assert_allclose(whole.averaged().parameters, average, rtol=1e-4)


def test_the_averaged_network_is_another():
    network = trained()
    before, twin = network.parameters, network.averaged()
    assert isinstance(twin, NeuralNetwork)
    assert repr(twin) == repr(network)
    assert (twin.parameters != before).all()
    assert (twin.predict(X) != network.predict(X)).any()
    twin.train(X, Y, 2, optimizer="adam")
    np.testing.assert_array_equal(network.parameters, before)
    network.train(X, Y, 2, optimizer="adam")  # without: the average stays as it was
    np.testing.assert_array_equal(network.averaged().parameters, trained().averaged().parameters)
    with pytest.raises(
        ValueError, match=r"^ema_decay must be given to train before averaged is called, got no average"
    ):
        twin.averaged()


def test_there_is_none_before_it_was_asked_for():
    network = NeuralNetwork([3, 4, 2])
    network.train(X, Y, 1)
    with pytest.raises(ValueError, match=r"^ema_decay must be given"):
        network.averaged()
    trained(network=network).averaged()
    network.reset_optimizer()
    with pytest.raises(ValueError, match=r"^ema_decay must be given"):
        network.averaged()


@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
def test_copies_and_files_keep_the_average_and_the_plateau(way, tmp_path, dtype):
    schedule = ReduceOnPlateau(0.05, factor=0.5, patience=0, threshold=0.2)
    network = trained(dtype=dtype, learning_rate=schedule)
    again = way(network, tmp_path / "network.npz")
    assert network._state.seen is not None
    assert again._state.seen == network._state.seen
    assert again.averaged().parameters.tobytes() == network.averaged().parameters.tobytes()
    for net in (network, again):
        trained(network=net, learning_rate=schedule)
    assert again.averaged().parameters.tobytes() == network.averaged().parameters.tobytes()
    assert again.parameters.tobytes() == network.parameters.tobytes()
    assert again._state.seen == network._state.seen


@pytest.mark.parametrize(
    "record",
    [
        3, [], {}, {"seen": [0, 1.0, 0], "factor": 2}, {"seen": [0, 1.0]}, {"seen": [-1, 1.0, 0]},
        {"seen": [0, float("nan"), 0]}, {"seen": [0, "1", 0]}, {"seen": [0, 1.0, 0.5]},
        {"seen": [0, 1.0, 0], "other": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_records_of_plateaus_are_refused(record, tmp_path):
    network = trained(learning_rate=ReduceOnPlateau(0.05))
    header, arrays = network._to_record()
    fastmlp.files.storage.write(tmp_path / "network.npz", {**header, "plateau": record}, arrays)
    with pytest.raises(ValueError, match=r"^path must be a network saved by fastmlp"):
        fastmlp.load(tmp_path / "network.npz")


@pytest.mark.parametrize(
    "average", [np.zeros(3), np.full(26, np.nan), np.array(["x"] * 26)], ids=["short", "nan", "text"]
)
def test_wrong_averages_in_files_are_refused(average, tmp_path):
    header, arrays = trained()._to_record()
    fastmlp.files.storage.write(tmp_path / "network.npz", header, {**arrays, "average": average})
    with pytest.raises(ValueError, match=r"^path must be a network saved by fastmlp.* average must be"):
        fastmlp.load(tmp_path / "network.npz")


def test_a_divergence_leaves_the_average_of_before():
    network = trained()
    before = network.averaged().parameters
    with pytest.raises(fastmlp.DivergenceError):
        trained(50, network, optimizer="sgd", learning_rate=1e6)
    np.testing.assert_array_equal(network.averaged().parameters, before)


def test_parts_make_a_whole(dtype):
    options = {
        "l1": 1e-3,
        "l2": 1e-2,
        "weight_decay": 0.01,
        "clip_norm": 0.5,
        "max_norm": 1.0,
        "rate_factors": [0.5, 1],
    }
    whole, parts = trained(6, dtype=dtype, **options), trained(2, dtype=dtype, **options)
    trained(4, parts, **options)
    assert whole.parameters.tobytes() == parts.parameters.tobytes()
    assert whole.averaged().parameters.tobytes() == parts.averaged().parameters.tobytes()


def test_losses_are_reported_without_penalties():
    network = NeuralNetwork([3, 4, 2], seed=0, dtype="float64")
    before = network.evaluate(X, Y)
    assert network.train(X, Y, 1, batch_size=12, l1=3.0, l2=5.0).loss[0] == pytest.approx(before, rel=1e-13)


def test_scikit_learns_alpha_is_l2_times_the_batch():
    """Its gradient: (sum over the batch + alpha * w) / n."""
    network = NeuralNetwork([3, 2], dtype="float64", seed=0)
    gradient, parameters, alpha = network.gradient(X, Y), network.parameters, 0.5
    network.train(X, Y, 1, 0.25, 12, l2=alpha / 12)
    expected = np.array(parameters - 0.25 * gradient)
    expected[:6] -= 0.25 * alpha * parameters[:6] / 12
    np.testing.assert_allclose(network.parameters, expected, rtol=1e-13)


def test_frozen_layers_are_fine_tunings():
    network = NeuralNetwork([3, 4, 4, 2], "tanh", seed=0)
    before = network.parameters
    network.train(X, Y, 5, optimizer=Adam(0.01), rate_factors=np.array([0, 0, 1]))
    for layer, (old, new) in enumerate(zip(before.layers, network.parameters.layers, strict=True)):
        assert (old.weights == new.weights).all() == (old.biases == new.biases).all() == (layer < 2)
