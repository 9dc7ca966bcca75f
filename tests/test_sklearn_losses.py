"""Losses beside those of the installed scikit-learn: where they are the same, and where they are not."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9, whose estimators are the oracle, is missing")

import sklearn.neural_network as theirs
from estimators import AMOUNTS, BINARY, LABELS, WEIGHTS, X, fitted, same_weights
from scipy.special import log_softmax
from sklearn.neural_network import _base

import fastmlp.sklearn as ours
from fastmlp.sklearn.targets import squared_errors

SMALL = {"hidden_layer_sizes": (6,), "random_state": 3, "activation": "tanh", "alpha": 0.5}


def mean_of_outputs(y, outputs, sample_weight=None):
    return 0.5 * np.average((y - outputs) ** 2, weights=sample_weight, axis=0).mean()


def sum_of_outputs(y, outputs, sample_weight=None):
    return 0.5 * np.average((y - outputs) ** 2, weights=sample_weight, axis=0).sum()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weights"])
@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("reported", [mean_of_outputs, sum_of_outputs])
def test_squared_errors_are_those_of_the_installed_version(monkeypatch, reported, outputs, weights):
    """Up to 1.9 half of the mean over outputs, later half of the sum, whose gradient it has always been."""
    monkeypatch.setitem(_base.LOSS_FUNCTIONS, "squared_error", reported)
    y = np.c_[AMOUNTS, AMOUNTS**2, AMOUNTS[:, :1] * X[:, :1]][:, :outputs]
    for settings in ({"solver": "lbfgs", "max_iter": 12}, {"max_iter": 12, "batch_size": 60}):
        one, other = (fitted(m.MLPRegressor(**SMALL, **settings), X, y.squeeze(), weights) for m in (theirs, ours))
        same_weights(one, other, rtol=1e-5, atol=1e-6)
        assert one.n_iter_ == other.n_iter_
        assert other.loss_ == pytest.approx(one.loss_, rel=1e-8)
        error = reported(y, other.predict(X).reshape(y.shape), weights)
        penalty = sum((coef**2).sum() for coef in other.coefs_) * 0.25 / (60 if weights is None else weights.sum())
        if "solver" in settings:
            assert other.loss_ == pytest.approx(error + penalty, rel=1e-9)


def test_the_version_matters(monkeypatch):
    assert squared_errors(AMOUNTS).value_divisor == (
        4 if _base.squared_loss(np.zeros((1, 2)), np.ones((1, 2))) == 0.5 else 2
    )
    for reported, divisor in ((mean_of_outputs, 4), (sum_of_outputs, 2)):
        monkeypatch.setitem(_base.LOSS_FUNCTIONS, "squared_error", reported)
        assert squared_errors(AMOUNTS).value_divisor == divisor
        assert squared_errors(AMOUNTS[:, :1]).value_divisor == 2
    monkeypatch.delitem(_base.LOSS_FUNCTIONS, "squared_error")
    assert squared_errors(AMOUNTS).value_divisor == 4


def logits(estimator, X):
    hidden = np.tanh(X @ estimator.coefs_[0] + estimator.intercepts_[0])
    return hidden @ estimator.coefs_[1] + estimator.intercepts_[1]


def sure(kind, y):
    """An estimator that is sure, and wrong for some samples; its weights stay where they are."""
    estimator = kind.MLPClassifier(**{**SMALL, "alpha": 0}, solver="sgd", learning_rate_init=1e-300, max_iter=1)
    fitted(estimator, X, y).set_params(warm_start=True)
    estimator.coefs_[-1] *= 200
    return fitted(estimator, X, y)


def test_log_losses_are_not_clipped():
    """As the docstring says: scikit-learn's are at most -log(eps) for a sample; ours are what the formula says."""
    one, other = sure(theirs, LABELS), sure(ours, LABELS)
    same_weights(one, other)
    places = np.searchsorted(other.classes_, LABELS)
    logarithms = log_softmax(logits(other, X), axis=1)[np.arange(60), places]
    assert logarithms.min() < np.log(np.finfo(float).eps)
    assert other.loss_ == pytest.approx(-logarithms.mean(), rel=1e-9)
    assert one.loss_ == pytest.approx(-np.maximum(logarithms, np.log(np.finfo(float).eps)).mean(), rel=1e-9)
    one, other = sure(theirs, BINARY), sure(ours, BINARY)
    z = logits(other, X)[:, 0] * np.where(BINARY == "yes", 1, -1)
    logarithms = -np.logaddexp(0, -z)
    assert logarithms.min() < np.log(np.finfo(float).eps)
    assert other.loss_ == pytest.approx(-logarithms.mean(), rel=1e-9)
    assert one.loss_ == pytest.approx(-np.maximum(logarithms, np.log(np.finfo(float).eps)).mean(), rel=1e-9)


@pytest.mark.parametrize("y", [LABELS, BINARY], ids=["labels", "binary"])
def test_steps_are_the_same_all_the_same(y):
    settings = {**SMALL, "max_iter": 20, "n_iter_no_change": 100}
    one, other = (fitted(m.MLPClassifier(**settings), 1000 * X, y) for m in (theirs, ours))
    same_weights(one, other)
