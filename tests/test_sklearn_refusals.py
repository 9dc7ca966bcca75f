"""What fastmlp's estimators refuse, in one sentence, and what is left of a fit that was there before."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, BINARY, COUNTS, LABELS, SEVERAL, WEIGHTS, X, fitted, same_weights
from scipy.sparse import csr_array

import fastmlp.sklearn
from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 3}


@pytest.mark.parametrize(
    ("estimator", "y", "others", "rule"),
    [
        (MLPRegressor, AMOUNTS, AMOUNTS[:, 0], "of 2 outputs, got 1"),
        (MLPRegressor, AMOUNTS[:, 0], np.c_[AMOUNTS, AMOUNTS], "of 1 outputs, got 4"),
        (MLPClassifier, SEVERAL, SEVERAL[:, 0], "of 3 outputs, got 1"),
        (MLPClassifier, SEVERAL, SEVERAL[:, :2], "of 3 outputs, got 2"),
        (MLPClassifier, SEVERAL, SEVERAL + [[0], [1]] * 30, "of labels, or of zeros and ones for each, got"),
        (MLPClassifier, BINARY, AMOUNTS[:, 0], "of labels, or of zeros and ones for each, got 'continuous'"),
        (MLPClassifier, BINARY, SEVERAL, "of 1 outputs, got 3"),
        (MLPClassifier, LABELS, BINARY, "have no other classes than"),
    ],
)
def test_validation_data_are_of_the_same_kind(estimator, y, others, rule):
    rule = rule if rule.startswith("have") else f"be {rule}"
    with pytest.raises(ValueError, match=rf"^validation_data\[1\] must {rule}"):
        estimator(**SMALL).fit(X, y, validation_data=(X, others))


def test_validation_data_in_other_forms():
    column = fitted(MLPRegressor(**SMALL), X, AMOUNTS[:, 0], validation_data=(X, AMOUNTS[:, :1]))
    assert column.validation_scores_[-1] == pytest.approx(column.score(X, AMOUNTS[:, 0]))
    forms = SEVERAL, csr_array(SEVERAL)
    dense, sparse = (fitted(MLPClassifier(**SMALL), X, y, validation_data=(X, y)) for y in forms)
    assert dense.validation_scores_ == sparse.validation_scores_
    same_weights(dense, sparse, rtol=0)


@pytest.mark.parametrize(
    ("settings", "y", "keywords"),
    [
        ({}, LABELS, {"validation_data": (X, LABELS[:3])}),
        ({}, LABELS, {"validation_data": 3}),
        ({}, LABELS, {"sample_weight": np.zeros(60)}),
        ({}, BINARY, {"sample_weight": np.zeros(60)}),
        ({"early_stopping": True, "validation_fraction": 0.01}, LABELS, {}),
        ({"early_stopping": True}, LABELS, {"sample_weight": np.eye(60)[0]}),
        ({"solver": "rprop", "batch_size": 7}, BINARY, {}),
        ({"hidden_layer_sizes": (2, 3), "dropout": [0.1]}, BINARY, {}),
        ({"warm_start": True, "learning_rate_init": 0.1, "dropout": [0.1, 0.2]}, LABELS, {}),
    ],
)
def test_what_is_refused_leaves_the_fitted_model(settings, y, keywords):
    estimator = fitted(MLPClassifier(**SMALL), X, LABELS)
    before, answer = dict(vars(estimator)), estimator.predict_proba(X)
    estimator.set_params(**settings)
    with pytest.raises((ValueError, TypeError)):
        estimator.fit(X, y, **keywords)
    estimator.set_params(**{name: before[name] for name in settings})
    assert vars(estimator) == before
    np.testing.assert_array_equal(estimator.predict_proba(X), answer)


def test_random_draws_are_in_the_order_of_scikit_learn():
    """First weights, then the part that is held out, then all else: seen by the score of networks that do not learn."""
    import sklearn.neural_network as theirs

    still = {**SMALL, "early_stopping": True, "solver": "sgd", "learning_rate_init": 1e-300, "max_iter": 1}
    one, other = (
        fitted(module.MLPRegressor(**{**still, "random_state": np.random.RandomState(5)}), X, AMOUNTS)
        for module in (theirs, fastmlp.sklearn)
    )
    assert other.best_validation_score_ == pytest.approx(one.best_validation_score_, rel=1e-9)


def test_the_loss_is_that_of_the_fit():
    estimator = fitted(MLPRegressor("poisson", **SMALL, warm_start=True), X, COUNTS)
    wanted = estimator.predict(X)
    estimator.set_params(loss="squared_error")
    np.testing.assert_array_equal(estimator.predict(X), wanted)
    for fit in (estimator.fit, estimator.partial_fit):
        with pytest.raises(
            ValueError, match=r"^loss must be one with output activation 'exp' as before, got 'squared_error'$"
        ):
            fit(X, COUNTS)
    np.testing.assert_array_equal(estimator.predict(X), wanted)
    fitted(estimator.set_params(loss="gamma"), X, COUNTS + 1)
    assert not np.array_equal(estimator.predict(X), wanted)
    assert estimator.out_activation_ == "exp"
    fitted(estimator.set_params(loss="squared_error", warm_start=False), X, COUNTS)
    assert estimator.out_activation_ == "identity"
    assert estimator.predict(X).min() < 0


@pytest.mark.parametrize(
    ("class_weight", "y", "rule"),
    [
        ({"one": -1, "two": 1, "three": 2}, LABELS, "be of finite numbers from 0 on, got {'one': -1"),
        ({"one": np.nan}, LABELS, "be of finite numbers from 0 on, got {'one': nan}"),
        ({"one": np.inf}, LABELS, "be of finite numbers from 0 on"),
        ({"one": "2"}, LABELS, "be of finite numbers from 0 on"),
        ({"yes": 0, "no": 0.0}, BINARY, "be such that the sum of weights is a number above 0, got 0.0"),
        ([1, 2], BINARY, r"be a dict, 'balanced' or None for one output, got \[1, 2\]"),
        ([{"yes": 1.0}], BINARY, "be a dict, 'balanced' or None for one output"),
        ({0: 1.0}, SEVERAL, "be 'balanced' or 3 dicts in a list, got {0: 1.0}"),
        ([1, 2, 3], SEVERAL, "be 'balanced' or 3 dicts in a list"),
        ([{0: 1, 1: -1}] * 3, SEVERAL, "be of finite numbers from 0 on"),
    ],
)
def test_weights_of_classes(class_weight, y, rule):
    with pytest.raises(ValueError, match=f"^class_weight must {rule}"):
        MLPClassifier(**SMALL, class_weight=class_weight).fit(X, y, WEIGHTS)


def test_weights_of_classes_are_those_of_scores():
    """What is held out is weighed as validation data are; a part need not have the classes that are named."""
    weights = {"one": 4.0}
    each = np.where(LABELS == "one", 4.0, 1.0)
    estimator = fitted(MLPClassifier(**SMALL, class_weight=weights), X, LABELS, validation_data=(X, LABELS, WEIGHTS))
    assert estimator.validation_scores_[-1] == pytest.approx(estimator.score(X, LABELS, each * WEIGHTS))
    assert estimator.validation_scores_[-1] != pytest.approx(estimator.score(X, LABELS, WEIGHTS))
    rest = LABELS != "one"
    estimator.fit(X, LABELS, validation_data=(X[rest], LABELS[rest]))
    assert estimator.validation_scores_[-1] == pytest.approx(estimator.score(X[rest], LABELS[rest]))
    estimator.partial_fit(X[rest], LABELS[rest])
    with pytest.raises(ValueError, match=r"^validation_data\[2\] must"):
        estimator.fit(X, LABELS, validation_data=(X, LABELS, np.zeros(60)))


@pytest.mark.parametrize("sizes", [(3, 2.5), [[3]], ("3",), (2, None), (True,)])
def test_sizes_are_integers(sizes):
    with pytest.raises(TypeError, match=r"^hidden_layer_sizes must be an integer or a sequence of integers, got "):
        MLPRegressor(hidden_layer_sizes=sizes).fit(X, AMOUNTS)
    fitted(MLPRegressor(hidden_layer_sizes=np.array([3, 2]), max_iter=1), X, AMOUNTS)


@pytest.mark.parametrize("kind", [str, bytes])
def test_texts_are_no_amounts(kind):
    for y in (AMOUNTS, AMOUNTS[:, 0]):
        with pytest.raises((TypeError, ValueError), match=r"^y must be numbers, got dtype"):
            MLPRegressor(**SMALL).fit(X, y.astype(kind))
        with pytest.raises((TypeError, ValueError)):
            MLPRegressor(**SMALL).fit(X, y, validation_data=(X, y.astype(kind)))


@pytest.mark.parametrize("schedule", [fastmlp.Cosine(0.01, epochs=5), lambda epoch: 0.1])
def test_a_schedule_is_not_for_quasi_newton_steps(schedule):
    estimator = MLPRegressor(**SMALL, solver="lbfgs", learning_rate=schedule)
    with pytest.raises(ValueError, match=r"^learning_rate must be a name for solver 'lbfgs', .*, got "):
        estimator.fit(X, AMOUNTS)
    estimator.set_params(learning_rate="constant", warm_start=True).fit(X, AMOUNTS)
    with pytest.raises(ValueError, match=r"^learning_rate must be a name for solver 'lbfgs', .*, got "):
        estimator.set_params(learning_rate=schedule).fit(X, AMOUNTS)


def test_what_differs_from_scikit_learn():
    """Of the notes: a rate takes effect from one call to the next, and what has diverged goes back to the best."""
    estimator = MLPRegressor(**SMALL, solver="sgd", momentum=0, learning_rate_init=0.1).partial_fit(X, AMOUNTS)
    before = estimator.predict(X)
    estimator.set_params(learning_rate_init=1e-300).partial_fit(X, AMOUNTS)
    np.testing.assert_array_equal(estimator.predict(X), before)
    wild = {**SMALL, "solver": "sgd", "learning_rate_init": 1e100, "max_iter": 50, "activation": "identity"}
    with pytest.raises(ValueError, match="non-finite"):
        fitted(MLPRegressor(**wild), X, AMOUNTS)
    assert np.isfinite(fitted(MLPRegressor(**wild, early_stopping=True), X, AMOUNTS).predict(X)).all()
