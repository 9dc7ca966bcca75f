"""Networks with normalized layers: what they hold, keep and give back, what must be true of them, what is refused."""

import pickle
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import BatchNormalization, LayerNormalization, NeuralNetwork
from fastmlp.kernels.functions.normalization import NORMALIZATIONS

NAMES = list(NORMALIZATIONS)


def data(samples=40):
    generator = np.random.default_rng(3)
    X = generator.normal(size=(samples, 4)) * [1, 10, 0.1, 1] + 5
    return X, np.sin(X[:, :2])


def made(normalization, backend=None, dtype="float64", **options):
    return NeuralNetwork(
        [4, 6, 5, 2], "tanh", normalization=normalization, dtype=dtype, seed=2, backend=backend, **options
    )


def everything(network):
    return network.parameters.tobytes(), network._state.slots.tobytes(), network._state.updates, network._state.epochs


# --- what there is


@pytest.mark.parametrize("name", NAMES)
def test_layers_begin_with_the_values_of_the_table(name):
    network = made(name)
    for layer, part in zip(network.layers[:-1], network.parameters.layers, strict=False):
        assert layer.normalization == name
        for vector, value in NORMALIZATIONS[name].vectors.items():
            assert getattr(layer, vector).tolist() == [value] * len(layer.biases)
            assert getattr(part, vector).tolist() == [value] * len(layer.biases)
        assert part._fields == ("weights", "biases", *NORMALIZATIONS[name].vectors)
    assert network.layers[-1].normalization is None
    assert network.layers[-1].gains is None
    weights = [layer.weights.tobytes() for layer in network.layers]
    assert weights == [layer.weights.tobytes() for layer in made(None).layers]  # the same draws


def test_vectors_follow_the_biases_in_the_canonical_order():
    network = NeuralNetwork([1, 2, 1], normalization="batch")
    network.parameters = np.arange(13.0)
    layer = network.layers[0]
    assert [part.tolist() for part in (layer.weights, layer.biases, layer.gains)] == [[[0, 1]], [2, 3], [4, 5]]
    assert [layer.running_means.tolist(), layer.running_variances.tolist()] == [[6, 7], [8, 9]]
    assert network.layers[1].weights.tolist() == [[10], [11]]


def test_by_hand(backend):
    network = NeuralNetwork([1, 2, 1], "identity", normalization=["batch"], dtype="float64", backend=backend.name)
    network.parameters = [1, 2, 10, 20, 3, 4, 1, 2, 4 - 1e-5, 1 - 1e-5, 1, 1, 0]
    # x = 5: z = 5, 10; (5 - 1) / 2 = 2, (10 - 2) / 1 = 8; 3 * 2 + 10 = 16, 4 * 8 + 20 = 52
    np.testing.assert_allclose(network.layer_outputs([5])[0], [16, 52], rtol=1e-14)
    np.testing.assert_allclose(network.predict([5]), [68], rtol=1e-14)
    np.testing.assert_allclose([neuron.forward([5]) for neuron in network.layers[0].neurons], [16, 52], rtol=1e-14)
    network = NeuralNetwork(
        [1, 2, 1], "identity", normalization=LayerNormalization(1.0), dtype="float64", backend=backend.name
    )
    network.parameters = [1, 2, 10, 20, 3, 4, 1, 1, 0]
    # x = 2 sqrt(3): z = x, 2 x; mean 1.5 x, variance x^2 / 4 = 3; -+ sqrt(3) / sqrt(3 + 1)
    x = 2 * np.sqrt(3)
    half = np.sqrt(3) / 2
    np.testing.assert_allclose(network.layer_outputs([x])[0], [10 - 3 * half, 20 + 4 * half], rtol=1e-14)


def test_assigning():
    network = made("batch")
    layer = network.layers[0]
    before = network.predict(data()[0])
    layer.gains, layer.running_means, layer.running_variances = [2] * 6, range(6), [1, 2, 3, 4, 5, 0]
    assert layer.gains.tolist() == [2] * 6
    assert not np.array_equal(before, network.predict(data()[0]))
    with pytest.raises(ValueError, match=r"^running_variances must be from 0 on, got "):
        layer.running_variances = [-1] * 6
    with pytest.raises(ValueError, match=r"^gains must be of shape \(6,\), got \(5,\)$"):
        layer.gains = [1] * 5
    with pytest.raises(AttributeError, match=r"^gains are of layers with normalization, not of one with None$"):
        network.layers[-1].gains = [1, 1]
    wrong = np.array(network.parameters)
    wrong[24 + 6 * 3 :][:6] = -1
    with pytest.raises(ValueError, match=r"^parameters\.layers\[0\]\.running_variances must be from 0 on, got "):
        network.parameters = wrong
    assert layer.running_variances.tolist() == [1, 2, 3, 4, 5, 0]


def test_what_it_looks_like():
    network = made(["batch", LayerNormalization(0.1)])
    assert repr(network).endswith("normalization=['batch', LayerNormalization(epsilon=0.1)])")
    assert repr(made("layer")).endswith("normalization='layer')")
    assert repr(network.layers[1]) == "Layer(6 -> 5, 'tanh', normalization='layer')"
    line = network.summary().splitlines()[2]
    assert line.split() == ["0", "4", "6", "batch,", "tanh", "48", "384", "48"]  # 24 weights, and 4 times 6


# --- training


@pytest.mark.parametrize("name", NAMES)
def test_sums_of_any_size_leave_room_for_learning(backend, name):
    """Where tanh is flat, nearly everywhere, of sums as they are."""
    X, y = data()
    flat = []
    for normalization in (None, name):
        network = made(normalization, backend.name)
        network.train(1000 * X, y, 20, learning_rate=1e-9, batch_size=8)
        flat.append(np.mean(abs(network.layer_outputs(1000 * X)[0]) > 0.99))
    assert flat[0] > 0.9
    assert flat[1] < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_row_counts_as_one_of_weight_two_and_none_as_no_row(backend, name):
    X, y = data(10)
    weights = np.array([1.0] * 5 + [2.0] * 3 + [0.0] * 2)
    rows = [*range(8), 5, 6, 7]
    weighted, repeated = made(name, backend.name), made(name, backend.name)
    one = weighted.train(X, y, 5, learning_rate=0.05, batch_size=10, sample_weight=weights)
    other = repeated.train(X[rows], y[rows], 5, learning_rate=0.05, batch_size=11, shuffle=False)
    for layer, twin in zip(weighted.parameters.layers, repeated.parameters.layers, strict=True):
        for part, values in layer._asdict().items():
            if part != "running_variances":  # unbiased estimates tell them apart: twice the same is no new sample
                np.testing.assert_allclose(values, getattr(twin, part), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-12)


def test_with_momentum_one_a_batch_is_evaluated_as_it_was_trained_on(backend):
    X, y = data()
    network = made(BatchNormalization(momentum=1), backend.name)
    loss = network.train(X, y, 1, learning_rate=1e-300, batch_size=40).loss[-1]
    for layer in network.layers[:-1]:
        layer.running_variances = layer.running_variances * (39 / 40)  # which are unbiased: the batch's are not
    np.testing.assert_allclose(network.evaluate(X, y), loss, rtol=1e-12)


def test_a_batch_in_which_one_sample_counts_moves_no_running_statistics(backend):
    X, y = data(6)
    network, whole = made("batch", backend.name), made("batch", backend.name)
    one_at_the_end = [1, 1, 1, 1, 1, 0]
    network.train(X, y, 1, learning_rate=1e-300, batch_size=4, shuffle=False, sample_weight=one_at_the_end)
    whole.train(X[:4], y[:4], 1, learning_rate=1e-300, batch_size=4, shuffle=False)
    assert whole.layers[0].running_means.tolist() != [0] * 6
    for one, other in zip(network.layers[:-1], whole.layers[:-1], strict=True):
        np.testing.assert_allclose(one.running_means, other.running_means, rtol=1e-12)
        np.testing.assert_allclose(one.running_variances, other.running_variances, rtol=1e-12)
    for weights in ([1, 0, 0, 0], [1, 0]):
        one, two = made("batch", backend.name), made("batch", backend.name)
        one.train(X[: len(weights)], y[: len(weights)], 2, batch_size=len(weights), sample_weight=weights)
        two.train(X[:2], y[:2], 2, batch_size=2, sample_weight=[3, 0])
        assert one.layers[0].running_variances.tolist() == [1] * 6
        np.testing.assert_allclose(one.parameters, two.parameters, rtol=1e-12, atol=1e-14)


def test_samples_without_weight_leave_no_trace(backend):
    """Nor do whole batches of them."""
    X, y = data(24)
    far, classes = np.concatenate([X, 1e4 + np.ones((8, 4))]), np.array([0] * 12 + [1] * 12 + [2] * 8)
    for with_them, without in (
        ({"sample_weight": [1] * 24 + [0] * 8}, {}),
        ({"class_weight": {2: 0}}, {"class_weight": {2: 0}}),
    ):
        by_class = "class_weight" in with_them
        options = {"loss": "categorical_cross_entropy"} if by_class else {}
        one, other = (
            NeuralNetwork(
                [4, 6, 5, 3 if by_class else 2], "tanh", normalization="batch", dtype="float64", seed=2,
                backend=backend.name, **options,
            )
            for _ in range(2)
        )  # fmt: skip
        targets = classes if by_class else np.concatenate([y, y[:8]])
        one.train(far, targets, 3, 0.05, 8, shuffle=False, **with_them)
        other.train(X, targets[:24], 3, 0.05, 8, shuffle=False, **without)
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [3, 1, 1, 2], [1, 0, 2, 0], [1e-3, 1, 5, 5], [0.7] * 4])
def test_running_variances_are_unbiased(backend, weights):
    """NumPy's estimate for samples of such weights (`aweights`), as algorithm 2 of the paper has it."""
    X, y = data(4)
    network = made(BatchNormalization(momentum=1), backend.name)
    before = network.layers[0].weights.astype(float)
    network.train(X, y, 1, learning_rate=1e-300, batch_size=4, sample_weight=weights)
    estimate = np.cov(X @ before, rowvar=False, aweights=weights).diagonal()
    np.testing.assert_allclose(network.layers[0].running_variances, estimate, rtol=1e-10)
    means = np.average(X @ before, axis=0, weights=weights)
    np.testing.assert_allclose(network.layers[0].running_means, means, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("little", [1e-9, 1e-30, 1e-200])
def test_nearly_all_weight_on_one_sample_moves_no_running_statistics(backend, little):
    X, y = data(4)
    network = made("batch", backend.name)
    network.train(X, y, 2, batch_size=4, sample_weight=[1, little, little, 0])
    assert network.layers[0].running_variances.tolist() == [1] * 6


def test_batches_of_one_are_refused_where_they_would_train_on_constants():
    X, y = data()
    network = made("batch")
    before = everything(network)
    message = (
        r"^batch_size must be such that no batch is of one sample, as batch normalization takes two for a variance, "
        r"got \d+ for \d+ samples"
    )
    for train, told in (
        (lambda: network.train(X, y, 1, batch_size=1), "got 1 for 40 samples$"),
        (lambda: network.train(X[:1], y[:1], 1), "got 1 for 1 samples$"),
        (lambda: network.train(X[:33], y[:33], 1), "got 32 for 33 samples$"),
        (lambda: network.train(X, y, 1, batch_size=13), "got 13 for 40 samples$"),
        (lambda: network.train(X[:36], y[:36], 1, batch_size=2, validation_fraction=0.25), "got 2 for 27 samples$"),
        (lambda: network.train_stream([(X, y)], batch_size=1), "got 1 for 1 samples$"),
        (lambda: network.train_stream([(X[:1], y[:1])]), "got 1 for 1 samples, in chunk 1 of epoch 1$"),
        (lambda: network.train_stream([(X[:7], y[:7])], batch_size=3), "got 3 for 7 samples, in chunk 1 of epoch 1$"),
    ):
        with pytest.raises(ValueError, match=message) as refusal:
            train()
        assert re.search(told, str(refusal.value))
    assert everything(network) == before
    network.train(X, y, 1, batch_size=1, rate_factors=[0, 0, 1])
    network.train(X[:33], y[:33], 1, rate_factors=[0, 0, 1])
    made("layer").train(X, y, 1, batch_size=1)


def test_predicting_costs_no_more_with_batch_normalization():
    network = made("batch")
    model = network.predictor()._prediction.model
    assert model.normalizations == ()
    assert model.parameter_count == made(None)._model.parameter_count


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_differences(name):
    X, y = data(7)
    network = made(name)
    network.train(X, y, 3, batch_size=4)
    check = network.gradient_check(X, y, most=10**6)
    running = [vector for layer in network.parameters.layers for vector in layer[3:]]
    assert check.checked == len(network.parameters) - sum(vector.size for vector in running)
    assert check.max_relative_error < 1e-6


def test_gradients_leave_running_statistics_alone():
    X, y = data(7)
    network = made("batch")
    network.train(X, y, 3, batch_size=4)
    before = network.layers[0].running_variances
    for _ in range(3):
        network.parameters = network.parameters - 0.3 * network.gradient(X, y)
    assert network.layers[0].running_variances.tolist() == before.tolist()
    network.layers[0].running_variances = [0] * 6  # where a difference would leave what is allowed
    assert network.gradient_check(X, y, most=10**6).max_relative_error < 1e-5


# --- kept and given back


@pytest.mark.parametrize("normalization", [*NAMES, ["layer", BatchNormalization(0.2, 0.3)]], ids=str)
def test_files_and_copies_hold_it(normalization, tmp_path):
    X, y = data()
    network = made(normalization)
    network.train(X, y, 2, optimizer="adam", ema_decay=0.9)
    network.save(tmp_path / "a.npz")
    for copy in (fastmlp.load(tmp_path / "a.npz"), pickle.loads(pickle.dumps(network))):
        assert repr(copy) == repr(network)
        assert copy.predict(X).tobytes() == network.predict(X).tobytes()
        network_too = pickle.loads(pickle.dumps(network))
        for one in (copy, network_too):
            one.train(X, y, 2, optimizer="adam", ema_decay=0.9)
        assert everything(copy) == everything(network_too)
    vector = pickle.loads(pickle.dumps(network.parameters))
    assert vector.layers[1].gains.tobytes() == network.layers[1].gains.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_five_and_five_epochs_are_ten(backend, name):
    X, y = data()
    options = {"learning_rate": 0.02, "optimizer": "adam", "batch_size": 8, "dropout": 0.2}
    whole, parts = made(name, backend.name), made(name, backend.name)
    whole.train(X, y, 10, **options)
    parts.train(X, y, 5, **options)
    parts.train(X, y, 5, **options)
    assert everything(whole) == everything(parts)


def test_the_best_epoch_is_restored_with_its_running_statistics():
    X, y = data()
    network, seen = made("batch"), []
    network.train(
        X, y, 12, learning_rate=0.3, batch_size=8, validation_data=(X, y), restore_best=True,
        callbacks=lambda network, progress: seen.append(network.layers[0].running_variances.tolist()),
    )  # fmt: skip
    best = network.history.best_epoch - 1
    assert network.layers[0].running_variances.tolist() == seen[best]
    np.testing.assert_allclose(network.evaluate(X, y), network.history.validation_loss[best], rtol=1e-12)


def test_a_divergence_leaves_the_last_good_epoch():
    X, y = data()
    network = made("batch", output_activation="identity")
    network.train(X, y, 1)
    before = network.parameters.tobytes()
    with pytest.raises(fastmlp.DivergenceError):
        network.train(X, y * 1e200, 5, learning_rate=1e200)
    assert network.parameters.tobytes() == before


# --- what is refused


@pytest.mark.parametrize(("wrong", "sentence"), [
    ("group", "normalization must be one of 'layer', 'batch', got 'group'"),
    (["layer"], "normalization must be one for all hidden layers, or a list of 2, got ['layer']"),
    (fastmlp.LeakyReLU(0.2), "normalization must be one of 'layer', 'batch', got LeakyReLU(negative_slope=0.2)"),
    (LayerNormalization(1e-60), "epsilon must be above 0 as a float32, got LayerNormalization(epsilon=1e-60)"),
    (3, "normalization must be one of 'layer', 'batch', an object with settings, a list of these, or None, got 3"),
])  # fmt: skip
def test_what_is_none_is_refused(wrong, sentence):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(sentence)}$"):
        made(wrong, dtype="float32")


def test_activations_are_no_normalizations():
    own = fastmlp.Activation(lambda z: z, lambda z: 1.0)
    with pytest.raises(ValueError, match=r"^normalization must be one of 'layer', 'batch', got "):
        made(own)


def test_a_neuron_alone_has_no_layer_to_be_normalized_with():
    with pytest.raises(ValueError, match=r"^normalization must be one of each neuron by itself, got 'layer'$"):
        made("layer").layers[0].neurons[0].forward([1, 2, 3, 4])


def test_lbfgs_goes_along_with_layer_normalization_only():
    pytest.importorskip("scipy", reason="SciPy is not installed")
    X, y = data()
    network = made("batch")
    before = everything(network)
    message = r"^optimizer must be another than 'lbfgs' for a network with batch normalization, got 'lbfgs'$"
    with pytest.raises(ValueError, match=message):
        network.train(X, y, 5, optimizer="lbfgs")
    assert everything(network) == before
    network = made("layer")
    history = network.train(X, y, 20, optimizer="lbfgs")
    assert history.loss[-1] < 0.8 * history.loss[0]
