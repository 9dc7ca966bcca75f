"""Bad input is refused in one sentence, before anything is changed; odd but good input is as good as a plain copy."""

import array
import datetime
import decimal
import fractions
import pickle
import re

import numpy as np
import pytest

import fastmlp
from fastmlp import SGD, Adam, NeuralNetwork
from fastmlp.kernels.initializers import INITIALIZERS

SENTENCE = re.compile(r"(?P<argument>[A-Za-z_]\w*)(\[\d+\])? must be .+, got .+")  # no line break: `.` matches none
NAN, INF = float("nan"), float("inf")


def refusal(call, *arguments, **options):
    """The argument that a call complains about, in the sentence that is agreed."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call(*arguments, **options)
    assert type(caught.value) in (ValueError, TypeError)
    match = SENTENCE.fullmatch(str(caught.value))
    assert match, str(caught.value)
    assert len(str(caught.value)) < 300
    return match["argument"]


class Sparse:
    """What libraries of sparse matrices hand out: no sequence, no array."""

    shape = (3, 2)

    def toarray(self):
        return np.ones(self.shape)


class Frame:
    """What libraries of tables hand out: something that NumPy can make an array of."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def nested(depth):
    """Lists in lists, too deep for an array, and for `repr`."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


# --- networks

HIDDEN = (
    "'identity', 'sigmoid', 'relu', 'tanh', 'leaky_relu', 'elu', 'selu', 'gelu', 'gelu_tanh', 'silu', 'mish', "
    "'softplus', 'softsign', 'hard_sigmoid', 'hard_tanh', 'relu6', 'exponential'"
)
LOSSES = (
    "'mean_squared_error', 'mean_absolute_error', 'huber', 'log_cosh', 'quantile', 'poisson', 'gamma', "
    "'gaussian_negative_log_likelihood', 'binary_cross_entropy', 'categorical_cross_entropy', 'focal', "
    "'categorical_focal', 'hinge'"
)
BAD_NETWORKS = {
    "layer_sizes": [
        [], [3], [0, 1], [3, 0], [3, 0, 1], [-1, 2], [2, -2], [2.0, 1], [2, 1.5], [True, 1], [2, False], [2, None],
        ["2", "1"], "21",
        b"21", 3, None, {2, 1}, {2: 1}, iter([2, 1]), [2, NAN], [2, [1]], [[2], [1]], [2, 1j], np.array([2.0, 1.0]),
        np.array([[2, 1]]), np.array(3), np.array([True, True]), np.array([], int), [2, 10**30], [10**6, 10**6],
        [2, 2**31], [2**31, 1],
        [2**63, 1], [2**64, 2**64], range(0), list(range(1000)),
    ],
    "activation": [
        "rleu", "", "ReLU", "softmax", b"relu", None, 3, np.tanh, ["relu"], ["relu", "tanh", "relu"],
        ["relu", "softmax"],
        ["relu", None], ["relu", ["tanh"]], [], {"relu", "tanh"}, np.array(["relu", "relu"]), ("relu", 1),
    ],
    "output_activation": ["", "linear", "Softmax", 3, True, ["identity"], np.tanh, b"softmax"],
    "loss": ["mse", "", None, "output_gradient", "MEAN_SQUARED_ERROR", 1, ["mean_squared_error"], np.mean],
    "dtype": [
        "float16", "int32", "complex64", "float", "f16", None, int, complex, object, str, 64, "", ",", "(1,f4",
        "f4,f8", b"x", [], {},
        {"names": ["a"], "formats": ["f4"]}, "M8[s]", np.ones(2),
    ],
    "initializer": [
        "he", "", "HE_NORMAL", 0, np.zeros, True, [], ["he_normal"], ["he_normal", None, "zeros"],
        ["he_normal", "he", "zeros"], {"he_normal", "zeros", "orthogonal"}, np.array(["zeros"] * 3),
    ],
    "seed": [-1, 1.0, NAN, "1", b"1", True, np.True_, [1], 1j, np.array([1, 2]), np.random.default_rng],
    "backend": ["cuda", "", "JIT", 3, True, b"jit", ["jit"]],
}  # fmt: skip
BAD_NETWORKS["dtype"].remove("float")  # NumPy's name for float64


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_NETWORKS.items() for value in values]
)
def test_networks_that_cannot_be(name, value):
    arguments = {"layer_sizes": [3, 4, 5, 2], name: value}
    assert refusal(NeuralNetwork, **arguments) == name


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([2],), "layer_sizes must be a sequence of two or more positive integers, got [2]"),
        (([2, 2**31],), "layer_sizes must be such that parameters are at most 2147483647, got [2, 2147483648]"),
        (([2, 1], "rleu"), f"activation must be one of {HIDDEN}, got 'rleu'"),
        (([2, 3, 1], ["x"]), f"activation[0] must be one of {HIDDEN}, got 'x'"),
        (([2, 3, 1], []), "activation must be a name or a list of 1 names, one for each hidden layer, got []"),
        (
            ([2, 1], "relu", "x"),
            f"output_activation must be one of {HIDDEN}, 'softmax', got 'x'",
        ),
        (
            ([2, 1], "relu", None, "x"),
            f"loss must be one of {LOSSES}, got 'x'",
        ),
        (
            ([2, 1], "relu", "tanh", "binary_cross_entropy"),
            "output_activation must be 'sigmoid' for loss 'binary_cross_entropy', got 'tanh'",
        ),
        (
            ([2, 1], "relu", None, "categorical_cross_entropy"),
            "layer_sizes must be 2 outputs or more at the end for loss 'categorical_cross_entropy', got [2, 1]",
        ),
        (
            ([2, 2], "relu", None, fastmlp.Quantile([0.1, 0.5, 0.9])),
            "layer_sizes must be such that the outputs at the end are 3 for each target, for loss 'quantile', "
            "got [2, 2]",
        ),
        (
            ([2, 3], "relu", None, "gaussian_negative_log_likelihood"),
            "layer_sizes must be such that the outputs at the end are 2 for each target, for loss "
            "'gaussian_negative_log_likelihood', got [2, 3]",
        ),
        (
            ([2, 2], "relu", "tanh", "gaussian_negative_log_likelihood"),
            "output_activation must be 'identity' for loss 'gaussian_negative_log_likelihood', got 'tanh'",
        ),
        (
            ([2, 2], "relu", fastmlp.ELU(), "hinge"),
            "output_activation must be one of 'identity', 'tanh', 'softsign', 'hard_tanh' for loss 'hinge', "
            "got ELU(alpha=1.0)",
        ),
        (
            ([2, 2], "relu", "identity", "poisson"),
            "output_activation must be 'exponential' for loss 'poisson', got 'identity'",
        ),
        (([2, 3, 2], fastmlp.Huber()), f"activation must be one of {HIDDEN}, got Huber(delta=1.0)"),
    ],
)
def test_what_is_said_of_networks(arguments, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        NeuralNetwork(*arguments)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_losses_on_logits_allow_no_other_output_activation(loss):
    own = {"binary_cross_entropy": "sigmoid", "categorical_cross_entropy": "softmax"}[loss]
    for output in {"identity", "sigmoid", "relu", "tanh", "softmax"} - {own}:
        assert refusal(NeuralNetwork, [2, 3], "relu", output, loss) == "output_activation"


OPTIMIZER_NAMES = [
    "sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "lion", "rprop", "lbfgs",
]  # fmt: skip


def test_unknown_names_are_answered_with_the_known_ones():
    network = NeuralNetwork([2, 1])
    for call, known in [
        (lambda: NeuralNetwork([2, 1], initializer="x"), list(INITIALIZERS)),
        (lambda: NeuralNetwork([2, 1], dtype="x"), ["float32", "float64"]),
        (lambda: NeuralNetwork([2, 1], backend="x"), ["compiled", "jit", "interpreted", "reference"]),
        (lambda: network.train([[1, 2]], [1], 1, optimizer="x"), OPTIMIZER_NAMES),
    ]:
        with pytest.raises(ValueError, match=r"must be one of .*, got 'x'$") as caught:
            call()
        assert re.findall(r"'(\w+)'", str(caught.value)) == [*known, "x"]


# --- data and numbers given to a network


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


X, Y = np.arange(6.0).reshape(2, 3), np.array([[0.0, 1.0], [1.0, 0.0]])
BAD_NUMBERS = [  # for whatever must be a rectangular array of finite real numbers
    None, "abc", b"abc", 1j, object(), Sparse(), iter([1, 2]), {1, 2}, {"a": 1}, lambda: 1, nested(50), nested(2000),
    np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3)), np.ma.masked_array(np.ones((2, 3))),
]  # fmt: skip


def spoiled(good, value):
    """The array with one number replaced, in the forms that it may have."""
    wrong = np.array(good, float)
    wrong[(-1,) * wrong.ndim] = value
    return [wrong, wrong.astype(np.float32), wrong.tolist(), np.asfortranarray(wrong), wrong[::-1], wrong.astype(">f8")]


def bad_arrays(good):
    """No arrays of finite numbers, though their shape is right, or could be."""
    yield from BAD_NUMBERS
    for value in (NAN, INF, -INF):
        yield from spoiled(good, value)
    yield np.array(good, float) + 1e39  # infinite as float32
    yield np.array(good, np.longdouble) + np.longdouble("1e400")
    yield np.array(good, np.float16) + np.float16(INF)
    for dtype in (complex, object, str, "S3", "M8[s]", "m8[s]", "V8", [("a", "f4")]):
        yield np.zeros(np.shape(good), dtype)
    for wrong in ([], None, "x"):  # a ragged list, and one with a gap
        yield [*np.array(good, float).tolist()[:-1], wrong]
    yield np.full(np.shape(good), 10**30, object).tolist()
    yield np.full(np.shape(good), decimal.Decimal(1)).tolist()
    yield np.full(np.shape(good), fractions.Fraction(1, 2)).tolist()
    yield np.full(np.shape(good), datetime.date(2000, 1, 1)).tolist()


def bad_shapes(*shapes):
    return [np.zeros(shape) for shape in shapes]


BAD_X = [
    *bad_arrays(X),
    *bad_shapes((), (0,), (2,), (0, 3), (3, 0), (0, 0), (2, 2), (2, 4), (1, 2, 3), (2, 3, 1), (1, 1, 1, 3)),
    [], [[]], [[], []], [[1, 2, 3], [4, 5]], [[1, 2], [3, 4]], 5, 5.0, True,
]  # fmt: skip
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
        (lambda: real.predict([["1", "2", "3"]]), "X must be an array of real numbers, got dtype <U1"),
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


# --- good input in odd forms: the same bits as from a plain copy


def forms(values, tmp_path):
    """The numbers in every form that must make no difference."""
    rows, columns = values.shape
    path = tmp_path / f"{rows}x{columns}.npy"
    yield "Fortran order", np.asfortranarray(values)
    yield "rows of a longer table", np.repeat(values, 3, axis=0)[::3]
    yield "columns of a wider table", np.repeat(values, 2, axis=1)[:, ::2]
    yield "rows backwards", values[::-1].copy()[::-1]
    yield "columns backwards", values[:, ::-1].copy()[:, ::-1]
    yield "both backwards, Fortran order", np.asfortranarray(values[::-1, ::-1])[::-1, ::-1]
    yield "an inner window", np.pad(values, 3)[3:-3, 3:-3]
    yield "the other byte order", values.astype(values.dtype.newbyteorder())
    unaligned = np.empty(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(rows, columns)
    unaligned[...] = values
    yield "unaligned", unaligned
    fields = np.zeros((rows, columns), [("skip", "u1"), ("value", values.dtype)])
    fields["value"] = values
    yield "a field of records", fields["value"]
    read_only = values.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    np.save(path, values)
    yield "memory-mapped", np.load(path, mmap_mode="r")
    yield "a frame", Frame(values)
    yield "lists", values.tolist()
    yield "tuples of arrays", tuple(values)
    yield "a list of array.array", [array.array(values.dtype.char, row) for row in values.tolist()]
    yield "memoryview", memoryview(values)
    yield "float64", values.astype(np.float64)
    yield "longdouble", values.astype(np.longdouble)


def results(network, X, y):
    """All that a network computes of data, as bytes."""
    network = pickle.loads(pickle.dumps(network))
    outputs = [network.predict(X), network.evaluate(X, y), network.gradient(X, y), *network.backward(X, y)]
    losses = network.train(X, y, 2, batch_size=3, optimizer="adam").loss
    return [np.asarray(output).tobytes() for output in (*outputs, losses, network.parameters)]


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_forms_of_floating_point_data(source, dtype, tmp_path):
    network = NeuralNetwork([5, 4, 2], "tanh", dtype=dtype, seed=0)
    generator = np.random.default_rng(1)
    X, y = generator.normal(size=(7, 5)).astype(source), generator.normal(size=(7, 2)).astype(source)
    expected = results(network, X, y)
    assert results(network, X.astype(dtype), y.astype(dtype)) == expected
    for (name, X_form), (_, y_form) in zip(forms(X, tmp_path), forms(y, tmp_path), strict=True):
        assert results(network, X_form, y_form) == expected, name
    assert results(network, X + np.float64(1e-3), y) != expected  # the check would see other data


@pytest.mark.parametrize("source", [*"bBhHiIqQ?e", np.longdouble])
def test_forms_of_other_numbers(source, dtype, tmp_path):
    network = NeuralNetwork([5, 4, 2], "tanh", dtype=dtype, seed=0)
    generator = np.random.default_rng(1)
    X, y = generator.integers(0, 2 if source == "?" else 100, (7, 5)), generator.integers(0, 2, (7, 2))
    expected = results(network, X.astype(dtype), y.astype(dtype))
    for values, targets in [
        (X.astype(source), y.astype(source)),
        (np.asfortranarray(X.astype(source)), y[::-1].astype(source)[::-1]),
    ]:
        assert results(network, values, targets) == expected
    if source != "?" and np.dtype(source).kind in "iu":
        for (name, X_form), (_, y_form) in zip(
            forms(X.astype(source), tmp_path), forms(y.astype(source), tmp_path), strict=True
        ):
            assert results(network, X_form, y_form) == expected, name


@pytest.mark.parametrize("source", ["int64", "uint64", "int8", "uint8"])
def test_the_ends_of_integers(source, dtype):
    network = NeuralNetwork([2, 1], dtype=dtype)
    network.parameters = [1, 0, 0]
    limits = np.iinfo(source)
    values = np.array([[limits.min, 1], [limits.max, 1]], source)
    np.testing.assert_array_equal(network.predict(values).ravel(), values[:, 0].astype(dtype))


def test_labels_in_odd_forms(tmp_path):
    network = NeuralNetwork([3, 4, 3], loss="categorical_cross_entropy", seed=0)
    X, y = np.random.default_rng(0).normal(size=(7, 3)), np.array([0, 2, 1, 1, 0, 2, 2])

    def outcome(labels):
        again = pickle.loads(pickle.dumps(network))
        again.train(X, labels, 2, batch_size=3)
        return again.parameters.tobytes(), network.evaluate(X, labels), network.gradient(X, labels).tobytes()

    np.save(tmp_path / "y.npy", y)
    expected = outcome(np.eye(3)[y])
    for labels in [
        y, y.tolist(), tuple(y), y.astype(">i4"), y.astype(np.uint64), y[::-1].copy()[::-1], np.repeat(y, 3)[::3],
        Frame(y),
        np.load(tmp_path / "y.npy", mmap_mode="r"), np.eye(3, dtype=bool)[y],
        np.asfortranarray(np.eye(3, dtype=int)[y]),
    ]:  # fmt: skip
        assert outcome(labels) == expected


def test_parameters_in_odd_forms(dtype):
    network = NeuralNetwork([3, 4, 2], dtype=dtype)
    values = np.arange(26)
    for form in (
        values, values.tolist(), values.astype(">i2"), values[::-1].copy()[::-1], np.repeat(values, 2)[::2],
        Frame(values), range(26),
        values.astype(np.float16), values.astype(np.longdouble), network.parameters * 0 + values,
    ):  # fmt: skip
        network.parameters = np.zeros(26)
        network.parameters = form
        assert network.parameters.tolist() == values.tolist()
    layer = network.layers[0]
    layer.weights = np.asfortranarray(values[:12].reshape(3, 4))
    layer.biases = [True, False, True, True]
    layer.neurons[1].weights = np.array([7, 8, 9], np.uint8)
    assert layer.weights.tolist() == [[0, 7, 2, 3], [4, 8, 6, 7], [8, 9, 10, 11]]
    assert layer.biases.tolist() == [1, 0, 1, 1]


def test_a_network_may_be_given_its_own_arrays():
    network = NeuralNetwork([2, 2], seed=0, dtype="float64")
    before = network.parameters
    network.parameters = network.parameters[::-1]
    assert network.parameters.tolist() == before.tolist()[::-1]
    network.layers[0].weights = network.layers[0].weights.T
    network.train(network.layers[0].weights, network.parameters.layers[0].weights, 2)
