"""What is best so far counts on the data that it was measured on, and from the weights that it left."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, BINARY, LABELS, X, fitted, unconverged
from scipy.sparse import csr_array
from sklearn.model_selection import train_test_split

from fastmlp.sklearn import MLPClassifier, MLPRegressor
from fastmlp.sklearn.best import checksum

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "warm_start": True, "learning_rate_init": 0.02}
OTHER_X = X[::-1] + 0.1
OTHER_LABELS = np.where(X[:, 3] > 0, "one", np.where(X[:, 4] > 0, "two", "three"))


def scores_of_last(estimator):
    return estimator.validation_scores_[-estimator.n_iter_ :]


def test_other_data_are_learned():
    """The score to beat was perfect; other data are learned all the same, and the best of their own scores counts."""
    estimator = MLPClassifier(**SMALL, early_stopping=True, max_iter=100)
    labels = np.where(X[:, 0] > 0, "yes", "no")
    fitted(estimator, X, labels)
    assert estimator.best_validation_score_ == 1.0
    before = estimator.coefs_[0]
    fitted(estimator, X, BINARY)
    assert not np.array_equal(before, estimator.coefs_[0])
    assert estimator.n_iter_ > estimator.n_iter_no_change
    _, held, _, y = train_test_split(X, BINARY, random_state=held_state(), test_size=0.1, stratify=BINARY)
    assert estimator.best_validation_score_ == max(scores_of_last(estimator)) == estimator.score(held, y)


def held_state():
    """Of the generator when samples are held out: it is the same in each warm start, which draws no weights before."""
    return np.random.RandomState(0)


@pytest.mark.parametrize("change", ["X", "y", "weights", "validation data", "format"])
def test_whatever_changes(change):
    """Patience and the best score begin anew; a fit of the same data goes on with both."""
    held = X[:20], LABELS[:20]
    data = {"X": X, "y": LABELS, "sample_weight": None, "validation_data": held}
    estimator = MLPClassifier(**SMALL, early_stopping=True, n_iter_no_change=3, tol=10.0)  # never better by as much
    fitted(estimator, **data)
    assert estimator.n_iter_ == 5
    best = estimator.best_validation_score_
    fitted(estimator, **data)
    assert (estimator.n_iter_, estimator._no_improvement_count) == (1, 5)
    assert estimator.best_validation_score_ >= best
    data |= {
        "X": {"X": OTHER_X}, "y": {"y": OTHER_LABELS}, "weights": {"sample_weight": np.arange(60.0)},
        "validation data": {"validation_data": (X[20:], OTHER_LABELS[20:])}, "format": {"X": csr_array(X)},
    }[change]  # fmt: skip
    fitted(estimator, **data)
    assert estimator.n_iter_ == (5 if change == "validation data" else 4)  # the first score of all is better than none
    if change == "validation data":
        assert estimator.best_validation_score_ == max(scores_of_last(estimator))
    else:  # the same held out: what was better there is better still
        assert estimator.best_validation_score_ == max(best, *estimator.validation_scores_)


def test_losses_of_other_data():
    """Without early stopping: the loss to beat is that of these data."""
    estimator = fitted(MLPRegressor(**SMALL, max_iter=300), X, AMOUNTS / 100)
    small = estimator.best_loss_
    fitted(estimator, X, AMOUNTS)
    assert estimator.n_iter_ > estimator.n_iter_no_change + 1
    assert estimator.best_loss_ == min(estimator.loss_curve_[-estimator.n_iter_ :]) > small


def test_weights_that_somebody_changed():
    estimator = fitted(MLPClassifier(**SMALL, early_stopping=True, max_iter=30), X, LABELS)
    estimator.coefs_ = [np.zeros_like(coef) for coef in estimator.coefs_]
    fitted(estimator, X, LABELS)
    assert any(coef.any() for coef in estimator.coefs_)
    assert estimator.best_validation_score_ == max(scores_of_last(estimator))


def test_partial_fits_in_between():
    estimator = fitted(MLPClassifier(**SMALL), X, LABELS)
    with unconverged():
        estimator.partial_fit(OTHER_X, OTHER_LABELS)
    fitted(estimator, X, LABELS)
    assert estimator.best_loss_ == min(estimator.loss_curve_[-estimator.n_iter_ :])


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_is_switched(first):
    estimator = fitted(MLPRegressor(**SMALL, early_stopping=first), X, AMOUNTS)
    fitted(estimator.set_params(early_stopping=not first), X, AMOUNTS)
    last = slice(-estimator.n_iter_, None)
    if first:
        assert estimator.best_loss_ == min(estimator.loss_curve_[last])
        estimator.partial_fit(X, AMOUNTS)
    else:
        assert estimator.best_loss_ is None
        assert estimator.best_validation_score_ == max(estimator.validation_scores_[last])
        with unconverged():
            estimator.set_params(early_stopping=False).partial_fit(X, AMOUNTS)
        assert estimator.best_loss_ == estimator.loss_curve_[-1]


def test_copies_go_on_with_what_is_best():
    """The first fit draws weights before it holds samples out, so that later ones hold out others."""
    estimator = MLPClassifier(**SMALL, early_stopping=True, n_iter_no_change=3, tol=10.0)
    assert [fitted(estimator, X, LABELS).n_iter_ for _ in range(3)] == [5, 5, 1]
    fitted(estimator, OTHER_X, LABELS)
    twin = fitted(pickle.loads(pickle.dumps(estimator)), OTHER_X, LABELS)
    assert (twin.n_iter_, twin._no_improvement_count) == (1, 5)


def test_checksums():
    tables = [X, X[:, ::-1], X[::-1], X.astype(np.float32), X.ravel(), X[:30], X + 1e-9, None, "X", csr_array(X).data]
    sums = {checksum(table) for table in tables}
    assert len(sums) == len(tables) - 1  # the values of all of a sparse matrix are those of the dense one in a row
    assert checksum(X) == checksum(np.asfortranarray(X)) == checksum(X.copy())
    assert checksum(X, LABELS) != checksum(LABELS, X)
