"""What fastmlp's estimators refuse, in one sentence, and what is left of a fit that was there before."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, BINARY, COUNTS, LABELS, SEVERAL, WEIGHTS, X, fitted, same_weights
from scipy.sparse import csr_array
from sklearn.utils._param_validation import InvalidParameterError

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
        (MLPClassifier, BINARY, SEVERAL, "of 1 outputs, got 3"),
        (MLPClassifier, LABELS, BINARY, "have no other classes than"),
    ],
)
def test_validation_data_are_of_the_same_kind(estimator, y, others, rule):
    rule = rule if rule.startswith("have") else f"be {rule}"
    with pytest.raises(ValueError, match=f"^validation_data must {rule}"):
        estimator(**SMALL).fit(X, y, validation_data=(X, others))


def test_validation_data_in_other_forms():
    column = fitted(MLPRegressor(**SMALL), X, AMOUNTS[:, 0], validation_data=(X, AMOUNTS[:, :1]))
    assert column.validation_scores_[-1] == pytest.approx(column.score(X, AMOUNTS[:, 0]))
    dense, sparse = (fitted(MLPClassifier(**SMALL), X, y, validation_data=(X, y)) for y in (SEVERAL, csr_array(SEVERAL)))
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
