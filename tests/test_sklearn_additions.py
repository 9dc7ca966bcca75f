"""What fastmlp's estimators have beside scikit-learn's: activations, losses, optimizers, and what else is new."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

import sklearn.neural_network as theirs
from estimators import AMOUNTS, BINARY, COUNTS, LABELS, SEVERAL, WEIGHTS, X, fitted, same_weights, unconverged
from sklearn.utils._param_validation import InvalidParameterError

import fastmlp
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.optimizers import OPTIMIZERS
from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
BASIC = {"hidden_layer_sizes": (6, 4), "random_state": 1, "max_iter": 8}
DEFAULTS = {
    "dropout": [0.0, (0.0, 0.0), [0, 0]], "clip_value": [None, 1e9], "clip_norm": [None, 1e9], "threads": [None, 1, 2],
    "dtype": [None, "float64", np.float64], "activation": ["relu", ["relu", "relu"]],
    "learning_rate": ["constant", fastmlp.InverseScaling(0.001, power=0.0), lambda epoch: 0.001],
}  # fmt: skip
OF_OTHERS = [
    "quantile", "gaussian_negative_log_likelihood", "focal", fastmlp.LeakyReLU(0.1), fastmlp.Focal(),
    fastmlp.CategoricalCrossEntropy(0.1),
]  # fmt: skip


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_signatures_begin_with_those_of_scikit_learn(name):
    """The same parameters in the same order, by position or by name, with the same defaults; the rest by name."""
    from sklearn import __version__

    if tuple(map(int, __version__.split(".")[:2])) < (1, 9):
        pytest.skip("of scikit-learn 1.9 or newer")
    own, others = ([*inspect.signature(getattr(m, name)).parameters.values()] for m in (fastmlp.sklearn, theirs))
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in own]
    assert plain[: len(others)] == others
    assert all(parameter.kind == inspect.Parameter.KEYWORD_ONLY for parameter in own[len(others) :])
    for method in ("fit", "partial_fit", "predict", "score"):
        names = [[*inspect.signature(getattr(getattr(m, name), method)).parameters] for m in (fastmlp.sklearn, theirs)]
        assert names[0][: len(names[1])] == names[1]
    assert {m for m in dir(getattr(theirs, name)) if m[0] != "_"} <= set(dir(getattr(fastmlp.sklearn, name)))


@pytest.mark.parametrize("parameter", DEFAULTS)
def test_what_is_as_by_default_changes_nothing(parameter):
    plain = fitted(MLPRegressor(**BASIC), X, AMOUNTS)
    for value in DEFAULTS[parameter]:
        same_weights(plain, fitted(MLPRegressor(**{**BASIC, parameter: value}), X, AMOUNTS), rtol=0, atol=0)


@pytest.mark.parametrize("activation", [name for name, row in ACTIVATIONS.items() if not row.rowwise])
def test_activations_are_those_of_networks(activation):
    estimator = fitted(MLPRegressor(**BASIC, activation=[activation, "tanh"]), X, AMOUNTS)
    network = fastmlp.NeuralNetwork([5, 6, 4, 2], [activation, "tanh"], dtype="float64")
    for layer, weights, biases in zip(network.layers, estimator.coefs_, estimator.intercepts_, strict=True):
        layer.weights, layer.biases = weights, biases
    np.testing.assert_allclose(network.predict(X), estimator.predict(X), rtol=1e-12)


def test_an_activation_with_settings():
    leaky = fitted(MLPRegressor(**BASIC, activation=fastmlp.LeakyReLU(1.0)), X, AMOUNTS)  # which is no kink
    same_weights(leaky, fitted(MLPRegressor(**BASIC, activation="identity"), X, AMOUNTS))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in ("sgd", "adam")])
def test_optimizers_by_name_and_as_objects(name):
    by_name = fitted(MLPRegressor(**BASIC, solver=name, learning_rate_init=0.03), X, AMOUNTS)
    same_weights(by_name, fitted(MLPRegressor(**BASIC, solver=OPTIMIZERS[name](0.03)), X, AMOUNTS), rtol=0)
    assert by_name.loss_curve_[-1] < by_name.loss_curve_[0]


def test_a_quasi_newton_method_with_settings():
    few = fitted(MLPRegressor(**BASIC, solver=fastmlp.LBFGS(memory=3, tolerance=1e-4)), X, AMOUNTS)
    plain = fitted(MLPRegressor(**BASIC, solver="lbfgs"), X, AMOUNTS)
    assert not np.allclose(few.coefs_[0], plain.coefs_[0], rtol=1e-9)
    same_weights(plain, fitted(MLPRegressor(**BASIC, solver=fastmlp.LBFGS(tolerance=1e-4)), X, AMOUNTS), rtol=0)
    assert not hasattr(few, "partial_fit")


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "log_cosh", fastmlp.Huber(0.1), "gamma"])
def test_losses_of_amounts(loss):
    y = np.exp(AMOUNTS) if loss == "gamma" else AMOUNTS
    estimator = fitted(MLPRegressor(loss, **{**BASIC, "max_iter": 1}, alpha=0), X, y)
    network = fastmlp.NeuralNetwork([5, 6, 4, 2], loss=loss, dtype="float64")
    start = fitted(MLPRegressor(loss, **{**BASIC, "max_iter": 1}, alpha=0, solver=fastmlp.SGD(1e-300)), X, y)
    for layer, weights, biases in zip(network.layers, start.coefs_, start.intercepts_, strict=True):
        layer.weights, layer.biases = weights, biases
    assert estimator.loss_curve_[0] == pytest.approx(network.evaluate(X, y), rel=1e-12)


def test_a_quantile_leaves_its_share_below():
    quantile = MLPRegressor(fastmlp.Quantile((0.8,)), 20, solver="lbfgs", alpha=0, random_state=0, max_iter=300)
    below = AMOUNTS[:, 0] <= quantile.fit(X, AMOUNTS[:, 0]).predict(X) + 1e-3
    assert 0.7 < below.mean() < 0.95


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (fastmlp.Focal(0.0, 0.5), BINARY),
        (fastmlp.Focal(0.0, 0.5), SEVERAL),
        (fastmlp.CategoricalCrossEntropy(0.0), LABELS),
        (fastmlp.CategoricalFocal(0.0), LABELS),
    ],
)
def test_losses_of_classes_that_are_the_cross_entropy(loss, y):
    """Without a gamma, focal losses are half of binary cross-entropies, in the mean over outputs."""
    outputs = 1 if y is BINARY else 3
    rate = 0.01 * (1 if y is LABELS else 2 * outputs)
    own = fitted(MLPClassifier(**BASIC, alpha=0, solver=fastmlp.SGD(rate), loss=loss), X, y)
    same_weights(own, fitted(MLPClassifier(**BASIC, alpha=0, solver=fastmlp.SGD(0.01)), X, y), rtol=1e-6)


def test_smoothed_labels_make_for_doubts():
    sharp, smooth = (
        fitted(MLPClassifier(20, solver="lbfgs", random_state=0, loss=loss), X, LABELS).predict_proba(X).max()
        for loss in ("log_loss", fastmlp.CategoricalCrossEntropy(0.3))
    )
    assert smooth < 0.9 < sharp


def test_what_is_easy_counts_less():
    """The focal loss of the probabilities that the network begins with, by its formula."""
    still = {**BASIC, "alpha": 0, "solver": fastmlp.SGD(1e-300), "max_iter": 1}
    for loss, power in ((fastmlp.CategoricalFocal(3.0), 3), ("categorical_focal", 2)):
        estimator = fitted(MLPClassifier(**still, loss=loss), X, LABELS)
        right = estimator.predict_proba(X)[np.arange(60), np.searchsorted(estimator.classes_, LABELS)]
        assert estimator.loss_ == pytest.approx(np.mean(-((1 - right) ** power) * np.log(right)), rel=1e-9)


def test_a_loss_of_ones_own():
    own = fastmlp.Loss(lambda output, target: (output - target) ** 2, lambda o, t: 2 * (o - t), name="square")
    one, other = (fitted(MLPRegressor(loss, **BASIC), X, AMOUNTS) for loss in (own, "mean_squared_error"))
    same_weights(one, other, rtol=1e-6)


def test_dropout_clipping_and_single_precision():
    plain = fitted(MLPClassifier(**BASIC), X, LABELS)
    for settings in (
        {"dropout": 0.5},
        {"dropout": [0.0, 0.5]},
        {"clip_value": 1e-3},
        {"clip_norm": 1e-3, "solver": "sgd"},
    ):
        other = fitted(MLPClassifier(**BASIC, **settings), X, LABELS)
        assert not np.allclose(plain.coefs_[0], other.coefs_[0])
        assert (other.predict(X) == other.predict(X)).all()  # nothing is dropped there
    single = fitted(MLPClassifier(**BASIC, dtype="float32"), X, LABELS)
    assert single.coefs_[0].dtype == single.predict_proba(X).dtype == np.float32
    same_weights(plain, single, rtol=1e-3, atol=1e-5)
    same_weights(single, fitted(MLPClassifier(**BASIC), X.astype(np.float32), LABELS), rtol=1e-3, atol=1e-5)


def test_a_clipped_norm_is_the_length_of_a_step():
    settings = {**BASIC, "max_iter": 1, "shuffle": False, "alpha": 0}
    ends = [
        fitted(MLPRegressor(**settings, solver=fastmlp.SGD(rate), clip_norm=1e-3), X, AMOUNTS) for rate in (1e-300, 1)
    ]
    parts = zip(*(end.coefs_ + end.intercepts_ for end in ends), strict=True)
    assert np.sqrt(sum(np.sum((one - other) ** 2) for one, other in parts)) == pytest.approx(1e-3, rel=1e-6)


def test_class_weights_are_weights_of_samples():
    weights = {"one": 3.0, "two": 0.5}
    each = np.array([weights.get(label, 1.0) for label in LABELS])
    own = fitted(MLPClassifier(**BASIC, class_weight=weights), X, LABELS)
    same_weights(own, fitted(MLPClassifier(**BASIC), X, LABELS, each), rtol=0)
    own = fitted(MLPClassifier(**BASIC, class_weight=weights), X, LABELS, WEIGHTS)
    same_weights(own, fitted(MLPClassifier(**BASIC), X, LABELS, each * WEIGHTS), rtol=0)
    counts = {label: 60 / (3 * np.sum(label == LABELS)) for label in np.unique(LABELS)}
    balanced = fitted(MLPClassifier(**BASIC, class_weight="balanced"), X, LABELS)
    same_weights(balanced, fitted(MLPClassifier(**BASIC, class_weight=counts), X, LABELS))
    with pytest.raises(ValueError, match=r"^class_weight must be a dict for partial_fit, .* got 'balanced'$"):
        MLPClassifier(class_weight="balanced").partial_fit(X, LABELS, classes=np.unique(LABELS))


def test_validation_data_are_measured_and_stop_training():
    kept, held = slice(0, 40), slice(40, 60)
    settings = {"hidden_layer_sizes": 20, "random_state": 0, "learning_rate_init": 0.02}
    for estimator, y in ((MLPRegressor(**settings), AMOUNTS), (MLPClassifier(**settings), LABELS)):
        fitted(estimator, X[kept], y[kept], validation_data=(X[held], y[held]))
        assert len(estimator.validation_scores_) == estimator.n_iter_
        assert estimator.validation_scores_[-1] == pytest.approx(estimator.score(X[held], y[held]), rel=1e-9)
        same_weights(estimator, fitted(type(estimator)(**settings), X[kept], y[kept]), rtol=0)
        estimator.set_params(early_stopping=True, n_iter_no_change=5).fit(
            X[kept], y[kept], validation_data=(X[held], y[held], WEIGHTS[held])
        )
        assert estimator.n_iter_ < 200
        score = estimator.score(X[held], y[held], WEIGHTS[held])
        assert estimator.best_validation_score_ == pytest.approx(score, rel=1e-9)
        assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    with pytest.raises(TypeError, match=r"^validation_data must be \(X, y\) or \(X, y, sample_weight\), got int$"):
        estimator.fit(X, LABELS, validation_data=3)
    with pytest.raises(ValueError, match=r"^validation_data\[1\] must be of as many samples as targets, got 60 and"):
        estimator.fit(X, LABELS, validation_data=(X, LABELS[:10]))
    with pytest.raises(ValueError, match=r"^validation_data\[1\] must have no other classes than"):
        estimator.fit(X[kept], LABELS[kept], validation_data=(X[:1], ["four"]))


def test_schedules_are_those_of_networks():
    schedule = fastmlp.StepDecay(0.1, every=2, factor=0.0001)
    long, short = (
        fitted(MLPRegressor(**{**BASIC, "max_iter": n}, learning_rate=schedule, solver="sgd", momentum=0), X, AMOUNTS)
        for n in (8, 2)
    )
    same_weights(long, short, rtol=1e-2, atol=1e-3)
    seen = []
    fitted(MLPRegressor(**BASIC, learning_rate=lambda epoch: seen.append(epoch) or 0.01), X, AMOUNTS)
    assert set(seen) == set(range(8))


@pytest.mark.parametrize(
    ("estimator", "y", "rule"),
    [
        (
            MLPClassifier(loss=fastmlp.Focal()),
            LABELS,
            "loss must be 'log_loss', 'categorical_focal' or CategoricalCrossEntropy for more than two classes",
        ),
        (
            MLPClassifier(loss=fastmlp.CategoricalCrossEntropy(0.1)),
            BINARY,
            "loss must be 'log_loss' or 'focal' for two classes, which are one question with one output, got Cat.*"
            ": fastmlp.NeuralNetwork with two outputs, and labels 0 and 1, takes it$",
        ),
        (
            MLPClassifier(loss="categorical_focal"),
            BINARY,
            "loss must be 'log_loss' or 'focal' for two classes, .*, got 'categorical_focal'$",
        ),
        (
            MLPClassifier(loss="categorical_focal"),
            SEVERAL,
            "loss must be 'log_loss' or 'focal' for several labels, each of which is a question with one output",
        ),
        (MLPRegressor(fastmlp.Quantile((0.1, 0.9))), AMOUNTS, "loss must be one of a single output for each target"),
        *((MLPRegressor(loss), AMOUNTS, "The 'loss' parameter of MLPRegressor must be") for loss in OF_OTHERS),
        (MLPRegressor("poisson"), AMOUNTS, "y must be 0 or above for loss 'poisson', got"),
        (MLPRegressor("gamma"), COUNTS, "y must be above 0 for loss 'gamma', got 0.0"),
        (MLPRegressor(activation=["tanh", "relu"]), AMOUNTS, r"activation must be a name or a list of 1 names"),
        (
            MLPRegressor(activation=["tan"]),
            AMOUNTS,
            r"activation\[0\] must be one of 'identity', .*, 'logistic', got 'tan'; did you mean 'tanh'\?$",
        ),
        (MLPRegressor(activation=[["tanh"]]), AMOUNTS, r"activation\[0\] must be one of 'identity'"),
        (MLPRegressor(dropout=[0.1, 0.2]), AMOUNTS, "dropout must be a number at least 0 and below 1, or 1 of them"),
        (MLPRegressor(dtype=int), AMOUNTS, "dtype must be one of 'float32', 'float64'"),
        (MLPRegressor(solver="lbfgs", clip_norm=1.0), AMOUNTS, "clip_norm must be None for solver 'lbfgs', got 1.0"),
        (MLPRegressor(solver="lbfgs", dropout=[0.5]), AMOUNTS, r"dropout must be 0.0 for solver 'lbfgs', got \[0.5\]"),
        (MLPRegressor((5, 0)), AMOUNTS, "The 'loss' parameter of MLPRegressor"),
        (MLPRegressor(hidden_layer_sizes=(5, 0)), AMOUNTS, "hidden_layer_sizes must be > 0, got"),
        (MLPRegressor(threads=0), AMOUNTS, "The 'threads' parameter of MLPRegressor"),
    ],
)
def test_what_is_not_allowed_is_refused(estimator, y, rule):
    with pytest.raises((ValueError, InvalidParameterError), match=f"^{rule}"):
        estimator.fit(X, y)
    assert not hasattr(estimator, "coefs_")


def test_weights_of_both_parts():
    weights = np.eye(60)[0]
    with pytest.raises(ValueError, match=r"^sample_weight must be above 0 for some samples that are held out"):
        MLPRegressor(early_stopping=True).fit(X, AMOUNTS, weights)
    with pytest.raises(ValueError, match=r"^validation_data must be None for solver 'lbfgs'"):
        MLPRegressor(solver="lbfgs").fit(X, AMOUNTS, validation_data=(X, AMOUNTS))


def test_a_batch_is_not_allowed():
    with pytest.raises(
        ValueError, match=r"^batch_size must be 'auto' or at least 60, all samples, for solver 'rprop', got 10$"
    ):
        MLPRegressor(solver="rprop", batch_size=10).fit(X, AMOUNTS)


def test_weights_that_are_not_allowed():
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        MLPRegressor().fit(X, AMOUNTS, np.zeros(60))
    with pytest.raises(ValueError, match="Negative values"):
        MLPRegressor().fit(X, AMOUNTS, -WEIGHTS)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("weights", [np.full(60, 1e-320), np.eye(60)[0] * 5e-324])
def test_weights_too_small_for_a_penalty(solver, weights):
    """0.0001 / 1e-320 is beyond float64: the weights are to blame, and alpha is not, whose default it is."""
    rule = r"must be such that alpha = 0\.0001 divided by what samples weigh is a number, got"
    with pytest.raises(ValueError, match=f"^sample_weight {rule}"):
        MLPRegressor(solver=solver).fit(X, AMOUNTS, weights)
    tiny = dict.fromkeys(LABELS, 1e-320)
    with pytest.raises(ValueError, match=f"^class_weight {rule}"):
        MLPClassifier(solver=solver, class_weight=tiny).fit(X, LABELS)
    fitted(MLPRegressor(**BASIC, solver=solver, alpha=0), X, AMOUNTS, weights)  # without a penalty there is no quotient


def test_equal_weights_that_are_tiny_are_as_none():
    alone, weighed = (fitted(MLPRegressor(**BASIC, alpha=0), X, AMOUNTS, w) for w in (None, np.full(60, 1e-320)))
    same_weights(alone, weighed, rtol=0)


def test_other_outputs_than_before_are_refused():
    estimator = MLPRegressor(hidden_layer_sizes=5)
    with unconverged():
        estimator.partial_fit(X, AMOUNTS)
        with pytest.raises(ValueError, match=r"^y must be of 2 outputs as before, got 1$"):
            estimator.partial_fit(X, AMOUNTS[:, 0])


@pytest.mark.parametrize("missing", ["sklearn", "sklearn.utils.validation"])
def test_what_is_missing_is_named_with_the_command(missing):
    program = f"import sys; sys.modules[{missing!r}] = None\nimport fastmlp\ntry: import fastmlp.sklearn\n"
    program += "except ImportError as error: print(error)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == (
        "scikit-learn 1.6 or newer must be installed for fastmlp.sklearn: `pip install fastmlp[sklearn]`"
    )


def test_fastmlp_does_without():
    program = "import sys, fastmlp; fastmlp.NeuralNetwork([1, 1]).train([[1]], [1], 1); print('sklearn' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "False"
