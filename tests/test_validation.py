"""Bad data and numbers given to a network are refused in one sentence, before anything is changed."""

import pickle

import numpy as np
import pytest
from refusals import BAD_X, INF, NAN, X, Y, bad_arrays, bad_shapes, refusal

import fastmlp
from fastmlp import SGD, Adam, NeuralNetwork


def networks():
    """One for each kind of target, trained so far that there is something to lose."""
    for loss, y in [
        ("mean_squared_error", [[0, 1], [2, 3]]), ("binary_cross_entropy", [[0, 1], [1, 0]]),
        ("categorical_cross_entropy", [0, 1]),
    ]:  # fmt: skip
        network = NeuralNetwork([3, 4, 2], loss=loss, seed=0)
        network.train([[1, 2, 3], [4, 5, 6]], y, 3, optimizer="adam")
        yield network


@pytest.fixture(params=range(3), ids=["real numbers", "probabilities", "classes"])
def network(request):
    """A network that a test may not change."""
    network = list(networks())[request.param]
    before = pickle.dumps(network)
    yield network
    assert pickle.dumps(network) == before
    assert network.predict([[1, 2, 3]]).tolist() == pickle.loads(before).predict([[1, 2, 3]]).tolist()


CALLS = {
    "predict": lambda network, X: network.predict(X),
    "evaluate": lambda network, X: network.evaluate(X, Y),
    "gradient": lambda network, X: network.gradient(X, Y),
    "backward": lambda network, X: network.backward(X, Y),
    "train": lambda network, X: network.train(X, Y, 1),
}


@pytest.mark.parametrize("call", CALLS)
def test_bad_samples(network, call):
    for value in BAD_X:
        assert refusal(CALLS[call], network, value) == "X"
    if call != "predict":  # where a single sample has its own shape
        assert refusal(CALLS[call], network, [1, 2, 3]) == "X"


BAD_Y = {
    "mean_squared_error": [],
    "binary_cross_entropy": [[[0, 1], [1, 2]], [[0, 1], [1, -1e-9]], [[0, 1], [1, 1 + 1e-9]], [[0, 255], [1, 1]]],
    "categorical_cross_entropy": [
        [0, 2], [0, -1], [0, 2**40], [-1, -1], np.array([0, 2**64 - 1], np.uint64),  # out of range
        [0.0, 1.0], [0, 1.5], [False, True], ["0", "1"], [0, NAN],  # not integers
        [0], [0, 1, 0], [[0], [1]],  # not one for each sample
        [[0, 0], [1, 0]], [[1, 1], [1, 0]], [[0.5, 0.6], [1, 0]], [[2, -1], [1, 0]], [[0.5, 0.49], [1, 0]],
    ],
}  # fmt: skip
BAD_Y_OF_ALL = [
    *bad_arrays(Y), *bad_shapes((), (0,), (0, 2), (1, 2), (3, 2), (2, 3), (2, 1), (4,), (1, 2, 2), (2, 2, 1)), [],
    [[]], 0, True, [[1, 0], [1]],
]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "good", "bad", "rule"),
    [
        ("poisson", 0, -1, "0 or above"),
        ("gamma", 1e-9, 0, "above 0"),
        ("hinge", -1, 0, "-1 or 1"),
        ("focal", 0.5, 1.5, "from 0 to 1"),
    ],
)
def test_kinds_of_targets(loss, good, bad, rule):
    network = NeuralNetwork([3, 4, 1], loss=loss, seed=0)
    network.train(X, [good, 1], 1)
    with pytest.raises(ValueError, match=f"^y must be {rule} for loss '{loss}', got {bad}$"):
        network.train(X, [1, bad], 1)


def test_targets_of_losses_with_more_outputs():
    network = NeuralNetwork([3, 4, 6], loss=fastmlp.Quantile([0.1, 0.9, 0.5]), seed=0)
    network.train(X, np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match=r"^y must be of shape \(2, 2\), got \(2, 6\)$"):
        network.evaluate(X, np.ones((2, 6)))
    one = NeuralNetwork([3, 2], loss="gaussian_negative_log_likelihood", seed=0)
    assert one.evaluate(X, [1, 2]) == one.evaluate(X, [[1], [2]])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: fastmlp.LeakyReLU(0), "negative_slope must be a finite number above 0, got 0"),
        (lambda: fastmlp.ELU("1"), "alpha must be a finite number above 0, got '1'"),
        (lambda: fastmlp.Huber(-1), "delta must be a finite number above 0, got -1"),
        (lambda: fastmlp.Focal(gamma=NAN), "gamma must be a finite number from 0 on, got nan"),
        (lambda: fastmlp.Focal(alpha=1), "alpha must be above 0 and below 1, got 1"),
        (lambda: fastmlp.CategoricalCrossEntropy(1), "label_smoothing must be at least 0 and below 1, got 1"),
        (lambda: fastmlp.Quantile([]), "quantiles must be a number between 0 and 1, or one or more of them, got []"),
        (lambda: fastmlp.Quantile(1.5), "quantiles must be a number between 0 and 1, or one or more of them, got 1.5"),
        (
            lambda: fastmlp.Quantile(np.array([[0.5]])),
            "quantiles must be a number between 0 and 1, or one or more of them, got array([[0.5]])",
        ),
        (
            lambda: fastmlp.Quantile([0.5, 1]),
            "quantiles must be a number between 0 and 1, or one or more of them, got [0.5, 1]",
        ),
    ],
)
def test_settings_that_cannot_be(make, sentence):
    with pytest.raises(ValueError, match="must be") as caught:
        make()
    assert str(caught.value) == sentence


def test_quantiles_in_any_form():
    for given in ((0.25, 0.5), [0.25, 0.5], np.array([0.25, 0.5], np.float32)):
        assert fastmlp.Quantile(given) == fastmlp.Quantile([0.25, 0.5])
        assert fastmlp.Quantile(given).quantiles == (0.25, 0.5)
    for given in (0.75, np.float64(0.75), np.array(0.75)):
        assert fastmlp.Quantile(given).quantiles == (0.75,)


@pytest.mark.parametrize("call", ["evaluate", "gradient", "train"])
def test_bad_targets(network, call):
    for value in BAD_Y_OF_ALL + BAD_Y[network.loss]:
        assert refusal(getattr(network, call), X, value, **({"epochs": 1} if call == "train" else {})) == "y"


def test_bad_targets_of_one_output():
    network = NeuralNetwork([3, 1])
    for value in bad_shapes((), (1,), (3,), (1, 2), (2, 2), (2, 1, 1), (1, 1)):
        assert refusal(network.train, X, value, 1) == "y"


def test_bad_output_gradients(network):
    for value in [*BAD_Y_OF_ALL, [0, 1]]:
        assert refusal(network.backward, X, value) == "output_gradient"


BAD_OPTIONS = {
    "epochs": [0, -1, 1.0, 2.5, NAN, INF, None, "1", True, np.True_, [1], 2**31, 10**30, np.float64(3)],
    "batch_size": [0, -1, 1.0, NAN, INF, "32", True, [1], 2**31, 10**30, np.array([1, 2])],
    "learning_rate": [
        0, 0.0, -0.0, -1, -1e-300, NAN, INF, -INF, "0.1", b"0.1", True, np.False_, [0.1], (0.1,), 1j, object(),
        np.array([0.1, 0.2]), 10**400,
        -(10**400), lambda epoch: -1.0, lambda epoch: "0.1", lambda epoch: NAN,
    ],
    "l1": [-1e-9, NAN, INF, None, "0.1", True, [0.1], 10**400],
    "l2": [-1e-9, NAN, INF, None, "0.1", True, [0.1], np.zeros(2)],
    "weight_decay": [-1e-9, NAN, INF, None, "0.1", True],
    "clip_value": [0, -1, NAN, INF, "1", True, [1]],
    "clip_norm": [0, -1, NAN, INF, "1", True, [1]],
    "max_norm": [0, -1, NAN, INF, "1", True, [1]],
    "ema_decay": [0, 1, -0.5, 1.5, NAN, "0.9", False, [0.9]],
    "rate_factors": [1, [], [1], [1, 1, 1], [1, -1], [0, 0], [1, NAN], [1, INF], [1, "1"], "11", [True, 1], [None, 1]],
    "dropout": [1, 1.0, -0.1, NAN, INF, None, "0.5", True, [0.5, 0.5], [], [1.0], [NAN], [None], [[0.5]], ["0"], {0.5}],
    "input_dropout": [1, -0.1, NAN, INF, None, "0.5", False, [0.5]],
    "input_noise": [-0.1, NAN, INF, None, "1", True, [0.5]],
    "optimizer": ["sdg", "", "Adam", None, 3, Adam, SGD, ["adam"], {"name": "adam"}, b"sgd", True],
    "shuffle": [1, 0, None, "yes", np.ones(2), 1.0],
    "seed": [-1, 1.0, "1", True, [1], NAN],
    "verbose": [1, 2, None, "yes", 0.0],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_of_train(network, name):
    for value in BAD_OPTIONS[name]:
        assert refusal(network.train, X, Y, **{"epochs": 1, name: value}) == name
        assert refusal(network.train, X, Y, **{"epochs": 1, "optimizer": SGD(0.5), name: value}) == name


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_bad_settings_of_optimizers(cls):
    bad = {
        "learning_rate": [0, -1, NAN, INF, None, "0.1", True, [0.1], 1j, 10**400],
        "beta1": [1, 1.0, -0.1, NAN, INF, None, "0.9", False, 2, 10**400],
        "beta2": [1, -1e-9, NAN, "x", True],
        "epsilon": [0, -1e-8, NAN, INF, None, "1e-8", True],
        "momentum": [1, -0.1, NAN, None, "0.9", True],
        "nesterov": [1, 0.0, None, "yes", True],  # True: without momentum
    }
    for name in cls.__match_args__:
        for value in bad[name]:
            assert refusal(cls, **{name: value}) == ("momentum" if value is True and name == "nesterov" else name)
    with pytest.raises(TypeError):
        cls(rho=0.9)


def test_bad_parameters(network):
    count = len(network.parameters)
    good = np.zeros(count)
    for value in [*bad_arrays(good), *bad_shapes((), (0,), (1,), (count - 1,), (count + 1,), (count, 1), (1, count))]:
        assert refusal(setattr, network, "parameters", value) == "parameters"


def test_bad_parts(network):
    layer = network.layers[0]
    for value in [*bad_arrays(np.zeros((3, 4))), *bad_shapes((), (4, 3), (12,), (3,), (4,), (3, 1), (1, 4), (3, 4, 1))]:
        assert refusal(setattr, layer, "weights", value) == "weights"
    for value in [*bad_arrays(np.zeros(4)), *bad_shapes((), (1,), (3,), (4, 1), (1, 4)), 0]:
        assert refusal(setattr, layer, "biases", value) == "biases"
    for value in [*bad_arrays(np.zeros(3)), *bad_shapes((), (1,), (4,), (3, 1))]:
        assert refusal(setattr, layer.neurons[1], "weights", value) == "weights"
    for value in [None, "1", NAN, INF, -INF, 1e39, [1], np.zeros(2), 1j, True, 10**400, object()]:
        assert refusal(setattr, layer.neurons[1], "bias", value) == "bias"
    for value in [*bad_arrays(np.zeros(3)), *bad_shapes((), (1,), (4,), (2, 2), (3, 1), (0, 3))]:
        assert refusal(layer.neurons[1].forward, value) == "inputs"


def test_softmax_has_no_neurons_of_its_own():
    network = NeuralNetwork([3, 2], loss="categorical_cross_entropy")
    assert refusal(network.layers[0].neurons[0].forward, [1, 2, 3]) == "activation"


def test_what_is_said_of_data():
    network = NeuralNetwork([3, 4, 2], loss="categorical_cross_entropy")
    real = NeuralNetwork([3, 2], dtype="float64")
    one = NeuralNetwork([3, 1], loss="binary_cross_entropy")
    spoiled = X.copy()
    spoiled[1, 2] = NAN
    many = np.ones((200_000, 3))
    many[123_456, 1] = -INF
    for call, sentence in [
        (lambda: real.predict([1, 2]), "X must be of shape (n_samples, 3), got (2,)"),
        (lambda: real.predict([[1, 2], [3]]), "X must be a rectangular array of numbers, got [[1, 2], [3]]"),
        (lambda: real.predict([["1", "2", "3"]]), "X must be an array of real numbers, got text"),
        (lambda: real.predict(None), "X must be an array of real numbers, got None"),
        (lambda: real.predict({"a": 1}), "X must be an array of real numbers, got {'a': 1}"),
        (lambda: real.predict("abc"), "X must be an array of real numbers, got 'abc'"),
        (lambda: real.predict([[1, 2, 3], [1, None, 3]]), "X must be an array of real numbers, got None at X[1, 1]"),
        (lambda: real.predict([[1, {}, 3]]), "X must be an array of real numbers, got {} at X[0, 1]"),
        (lambda: real.predict([[10**30] * 3]), "X must be an array of real numbers, got dtype object"),
        (lambda: real.predict([[1j] * 3]), "X must be an array of real numbers, got complex numbers"),
        (lambda: real.evaluate(X, None), "y must be an array of real numbers, got None"),
        (
            lambda: real.train(X, Y, 1, validation_data=(X, [[1, None]] * 2)),
            "validation_data[1] must be an array of real numbers, got None at validation_data[1][0, 1]",
        ),
        (lambda: real.predict(np.ma.ones((2, 3))), "X must be an array without a mask, got a masked array"),
        (lambda: real.predict(spoiled), "X must be finite, got nan at X[1, 2]"),
        (lambda: real.predict(many), "X must be finite, got -inf at X[123456, 1]"),
        (lambda: network.predict([[1, 1e39, 1]]), "X must be finite as float32, got 1e+39 at X[0, 1]"),
        (lambda: real.evaluate(X, [1, 2, 3]), "y must be of shape (2, 2), got (3,)"),
        (lambda: one.evaluate(X, [1, 0, 1]), "y must be of shape (2,) or (2, 1), got (3, 1)"),
        (lambda: one.evaluate(X, [1, 2]), "y must be from 0 to 1 for loss 'binary_cross_entropy', got 2"),
        (lambda: network.evaluate(X, [0, 7]), "y must be labels from 0 to 1, got 7"),
        (
            lambda: network.evaluate(X, [0.0, 1.0]),
            "y must be integer labels 0 ... 1, or rows of 2 probabilities, got dtype float64",
        ),
        (
            lambda: network.evaluate(X, [[1, 0], [1, 1]]),
            "y must be integer labels, or rows of probabilities that sum to 1, got [1, 1]",
        ),
        (lambda: network.evaluate(X, [1, 0, 1]), "y must be of shape (2,) or (2, 2), got (3,)"),
        (lambda: real.backward(X, [[1]]), "output_gradient must be of shape (2, 2), got (1, 1)"),
        (lambda: real.train(X, Y, 0), "epochs must be an integer from 1 to 2147483647, got 0"),
        (lambda: real.train(X, Y, 1, -1), "learning_rate must be a finite number above 0, got -1"),
        (lambda: real.train(X, Y, 1, "1"), "learning_rate must be a number, got '1'"),
        (lambda: real.train(X, Y, 1, shuffle=1), "shuffle must be True or False, got 1"),
        (lambda: Adam(beta1=1), "beta1 must be at least 0 and below 1, got 1"),
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        assert str(caught.value) == sentence


def test_all_arguments_are_checked_before_anything_is_done(network):
    """What is wrong in the last argument is found although all before it are right."""
    for options in [
        {"optimizer": "sgd", "verbose": 1},
        {"optimizer": Adam(beta1=0.1), "shuffle": None},
        {"batch_size": 1, "seed": -1},
    ]:
        refusal(network.train, X, Y, 2, 0.5, **options)


# --- NaN where it is wanted


def test_nan_passes_where_it_is_allowed(dtype):
    network = NeuralNetwork([3, 4, 2], "tanh", dtype=dtype, seed=0)
    rows = np.ones((4, 3))
    rows[1, 2], rows[3, 0] = NAN, INF
    outputs = network.predict(rows, allow_nan=True)
    assert np.isnan(outputs[1]).all()
    assert np.isfinite(outputs[[0, 2, 3]]).all()  # tanh of infinity is 1
    np.testing.assert_allclose(outputs[[0, 2]], network.predict(rows[[0, 2]]), rtol=1e-5)
    assert np.isnan(network.predict([1, NAN, 1], allow_nan=True)).all()
    for flag in (1, "yes", None):
        assert refusal(network.predict, rows, allow_nan=flag) == "allow_nan"
    assert refusal(network.predict, [["a", "b", "c"]], allow_nan=True) == "X"
