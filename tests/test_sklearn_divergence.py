"""Trainings that diverge say so, with early stopping too, and what is kept is better than what they began with."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, LABELS, X, fitted
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "solver": "sgd", "max_iter": 50}
WILD = {**SMALL, "learning_rate_init": 1e100, "activation": "identity"}
NOT_FINITE = r"^Solver produced non-finite parameter weights.*; the estimator is as it was\.$"


def rates(epoch):
    """Those of a training that learns for six epochs, and then diverges."""
    return 0.05 if epoch < 6 else 1e150


@pytest.mark.parametrize(("kind", "y"), [(MLPRegressor, AMOUNTS), (MLPClassifier, LABELS)])
def test_without_early_stopping_it_is_an_error(kind, y):
    estimator = kind(**WILD)
    with pytest.raises(ValueError, match=NOT_FINITE):
        fitted(estimator, X, y)
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_a_warm_start_that_diverges_changes_nothing():
    estimator = fitted(MLPRegressor(**SMALL, warm_start=True), X, AMOUNTS)
    before, answer = dict(vars(estimator)), estimator.predict(X)
    curve = list(estimator.loss_curve_)
    with pytest.raises(ValueError, match=NOT_FINITE):
        fitted(estimator.set_params(learning_rate_init=1e100), X, AMOUNTS)
    for name in before.keys() - {"learning_rate_init", "_network_kept"}:
        assert vars(estimator)[name] is before[name]
    assert estimator.loss_curve_ == curve
    np.testing.assert_array_equal(estimator.predict(X), answer)


def test_with_early_stopping_the_beginning_may_be_best():
    """scikit-learn's gives the weights after the first epoch, whose R2 is -1e202; ours those of all zero epochs."""
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = MLPRegressor(**WILD, early_stopping=True).fit(X, AMOUNTS, X_val=X[:20], y_val=AMOUNTS[:20])
    still = fitted(MLPRegressor(**{**WILD, "learning_rate_init": 1e-300, "max_iter": 1}), X, AMOUNTS)
    np.testing.assert_array_equal(estimator.predict(X), still.predict(X))
    score = estimator.score(X[:20], AMOUNTS[:20])
    assert estimator.best_validation_score_ == pytest.approx(score)
    (text,) = {str(warning.message) for warning in caught}
    assert text.startswith(f"Training diverged in epoch {estimator.n_iter_} (loss ")
    assert (
        f"the weights are those of before training, as no epoch is better, with a validation score of {score:.6g}"
        in text
    )


def test_where_nothing_can_be_scored_it_is_an_error():
    """The weights of the beginning overflow, too."""
    estimator = MLPRegressor(**SMALL, early_stopping=True, activation="identity")
    with pytest.raises(ValueError, match=NOT_FINITE):
        fitted(estimator, 1e307 * np.sign(X), 1e200 * AMOUNTS)
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_a_warm_start_with_early_stopping_keeps_what_was_better():
    estimator = fitted(MLPRegressor(**SMALL, warm_start=True, early_stopping=True), X, AMOUNTS)
    answer, epochs = estimator.predict(X), len(estimator.loss_curve_)
    with pytest.warns(ConvergenceWarning, match="^Training diverged in epoch"):
        estimator.set_params(learning_rate_init=1e100).fit(X, AMOUNTS)
    np.testing.assert_array_equal(estimator.predict(X), answer)
    assert len(estimator.loss_curve_) == len(estimator.validation_scores_) == epochs + estimator.n_iter_
    fitted(estimator.set_params(learning_rate_init=0.01), X, AMOUNTS)
    assert not np.array_equal(estimator.predict(X), answer)


def test_the_best_epoch_before_is_kept():
    settings = {**SMALL, "momentum": 0, "early_stopping": True, "learning_rate": rates}
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = MLPRegressor(**settings).fit(X, AMOUNTS)
    assert caught[0].filename == __file__
    (text,) = {str(warning.message) for warning in caught}
    epoch, score = 1 + int(np.nanargmax(estimator.validation_scores_)), np.nanmax(estimator.validation_scores_)
    assert epoch == 6
    assert text.startswith(f"Training diverged in epoch {estimator.n_iter_} (loss ")
    assert (
        f"the weights are those of epoch 6, the best, with a validation score of {score:.6g}. learning_rate_init"
        in text
    )
    assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.validation_scores_) > 6
    assert estimator.best_validation_score_ == score
    short = fitted(MLPRegressor(**{**settings, "max_iter": 6}), X, AMOUNTS)
    np.testing.assert_array_equal(estimator.predict(X), short.predict(X))


def test_a_training_that_only_gets_worse_says_so():
    """Its numbers are finite to the end, and its patience is at an end soon: no epoch is as good as the beginning."""
    settings = {**SMALL, "momentum": 0, "learning_rate_init": 1.5, "activation": "identity", "early_stopping": True}
    with pytest.warns(ConvergenceWarning, match=r"^No epoch has a better validation score than there was before"):
        estimator = MLPRegressor(**{**settings, "n_iter_no_change": 3}).fit(X, AMOUNTS)
    assert np.isfinite(estimator.loss_curve_).all()
    assert estimator.n_iter_ < 50


def test_a_training_that_learns_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = {"learning_rate_init": 0.05, "early_stopping": True, "random_state": 0}
        MLPClassifier(8, **settings).fit(X, LABELS)
        MLPRegressor(hidden_layer_sizes=8, **settings, max_iter=1000).fit(X, AMOUNTS)


def test_partial_fits_that_diverge():
    estimator = MLPRegressor(**SMALL).partial_fit(X, AMOUNTS)
    answer, progress = estimator.predict(X), estimator._progress
    with pytest.raises(ValueError, match=NOT_FINITE):
        estimator.set_params(solver=fastmlp.SGD(1e200), batch_size=10).partial_fit(X, AMOUNTS)
    assert estimator._progress is progress
    np.testing.assert_array_equal(estimator.predict(X), answer)
