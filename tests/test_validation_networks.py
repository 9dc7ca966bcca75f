"""Networks that cannot be are refused in one sentence, which says what can be."""

import re

import numpy as np
import pytest
from refusals import NAN, refusal

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.functions.initializers import INITIALIZERS

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
        (([2, 1], "rleu"), f"activation must be one of {HIDDEN}, got 'rleu'; did you mean 'relu'?"),
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


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        ({"activation": "ReLU"}, "relu"),
        ({"activation": ["relu", "sigmiod"]}, "sigmoid"),
        ({"output_activation": "sofmax"}, "softmax"),
        ({"loss": "binary_crossentropy"}, "binary_cross_entropy"),
        ({"loss": "mean_square_error"}, "mean_squared_error"),
        ({"normalization": "batches"}, "batch"),
        ({"initializer": "he-normal"}, "he_normal"),
        ({"dtype": "flaot32"}, "float32"),
        ({"backend": "refrence"}, "reference"),
        ({"activation": "x"}, None),
        ({"activation": "relu" * 100}, None),
        ({"activation": ""}, None),
        ({"loss": "mse"}, None),
    ],
)
def test_misspelled_names_are_answered_with_the_near_one(arguments, near):
    with pytest.raises(ValueError, match=" must be one of ") as caught:
        NeuralNetwork([3, 4, 5, 2], **arguments)
    _, _, question = str(caught.value).partition("; ")
    assert question == (f"did you mean {near!r}?" if near else "")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        ({"optimizer": "Adm"}, "adam"),
        ({"metrics": "root_mean_square_error"}, "root_mean_squared_error"),
        ({"monitor": "losses"}, "loss"),
    ],
)
def test_misspelled_names_in_training(arguments, near):
    with pytest.raises(ValueError, match=rf"; did you mean '{near}'\?$"):
        NeuralNetwork([2, 1]).train([[1, 2]], [1], 1, **arguments)
    with pytest.raises(ValueError, match=r"got 'ballanced'; did you mean 'balanced'\?$"):
        NeuralNetwork([2, 2], loss="categorical_cross_entropy").train([[1, 2]], [1], 1, class_weight="ballanced")
