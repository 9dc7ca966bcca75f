"""Samples of one class: it is what is predicted, and scores and probabilities say the same."""

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9, whose estimators are the oracle, is missing")

import sklearn.neural_network as theirs
from estimators import LABELS, WEIGHTS, X, fitted
from sklearn.model_selection import cross_val_predict

from fastmlp.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": 4, "random_state": 2, "max_iter": 30}


@pytest.mark.parametrize("y", [np.array(["only"] * 60), np.zeros(60), np.ones(60, int), np.ones(60, bool)])
def test_everything_says_the_same(y):
    estimator = fitted(MLPClassifier(**SMALL, early_stopping=True), X, y)
    other = fitted(theirs.MLPClassifier(**SMALL, early_stopping=True), X, y)
    assert estimator.classes_.tolist() == [y[0]]
    assert (estimator.predict(X) == y).all()
    assert set(estimator.validation_scores_) == {estimator.score(X, y)} == {1.0}
    assert estimator.best_validation_score_ == 1.0
    assert (estimator.n_iter_, estimator.validation_scores_) == (other.n_iter_, other.validation_scores_)
    np.testing.assert_allclose(estimator.coefs_[0], other.coefs_[0], rtol=1e-7)
    np.testing.assert_array_equal(estimator.predict_proba(X), np.ones((60, 1)))
    np.testing.assert_array_equal(estimator.predict_log_proba(X), np.zeros((60, 1)))


def test_with_weights_and_validation_data():
    y = np.array(["only"] * 60)
    estimator = fitted(MLPClassifier(**SMALL, class_weight="balanced"), X, y, WEIGHTS, X_val=X[:9], y_val=y[:9])
    assert set(estimator.validation_scores_) == {1.0}


def test_parts_of_one_class():
    """In `partial_fit` the classes are known, and a part need not have all of them."""
    estimator = MLPClassifier(**SMALL).partial_fit(X, ["one"] * 60, classes=np.unique(LABELS))
    assert estimator.predict_proba(X).shape == (60, 3)
    alone = MLPClassifier(**SMALL).partial_fit(X, [7] * 60, classes=[7])
    assert set(alone.predict(X)) == {7}
    assert alone.predict_proba(X).shape == (60, 1)


def test_cross_validated_probabilities():
    """Where all samples but some are of one class, a fold may have no other: its column is that of the class."""
    y = np.array([0] * 30 + [1] * 30)
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        probabilities = cross_val_predict(
            MLPClassifier(**SMALL), X, y, cv=[(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))],
            method="predict_proba",
        )  # fmt: skip
    np.testing.assert_array_equal(probabilities, [[0, 1]] * 30 + [[1, 0]] * 30)
