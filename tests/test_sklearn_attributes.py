"""Fitted attributes may be changed, and pickles made by hand: what does not fit is refused before any kernel runs."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, BINARY, LABELS, SEVERAL, X, fitted
from scipy.sparse import csr_array

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": (6, 4), "random_state": 0, "max_iter": 3, "warm_start": True}
NAN, INF = np.nan, np.inf
WRONG = {
    "coefs_": [
        None, 3, [], "ab", {}, np.zeros((2, 2)),
        *(lambda c, other=other: [c[0], other(c[1]), c[2]] for other in (
            lambda c: c[:-1], lambda c: c[:, :-1], lambda c: np.zeros((6, 200_000)), lambda c: c.T, lambda c: c[0],
            lambda c: c[np.newaxis], lambda c: c[:, :0], lambda c: c * NAN, lambda c: c + INF, csr_array,
            lambda c: c.astype(object), lambda c: c.astype(str), lambda c: c * 1j, lambda c: np.ma.masked_array(c),
            lambda c: None, lambda c: [[1.0], [2.0, 3.0]],
        )),
        lambda c: c[:-1], lambda c: [*c, c[-1]], lambda c: [np.zeros((4, 6)), *c[1:]], lambda c: c[::-1],
        lambda c: [*c[:2], c[2][:, :1]],
    ],
    "intercepts_": [
        None, [], lambda b: b[:-1], lambda b: [b[0][:-1], *b[1:]], lambda b: [*b[:-1], np.zeros(0)],
        lambda b: [b[0][:, np.newaxis], *b[1:]], lambda b: [b[0] * NAN, *b[1:]], lambda b: [0.0, *b[1:]],
    ],
    "n_outputs_": [0, -1, 2, 2.0, "3", None, 10**9, True], "n_layers_": [0, 1, 3, 5, None, "4"],
    "n_features_in_": [4, 0, 10**9], "out_activation_": ["identity", None, "logistic", 3],
    "_fitted_loss": [None, "no loss", 3, "mean_squared_error"],
    "classes_": [np.array(["one"]), np.array(list("abcd")), np.array([])],
    "_label_binarizer": [None, "labels"],
    "_progress": [
        3, {"epochs": -1}, {"updates": "x"}, {"epochs": 2.5}, {"slots": "x", "optimizer": None}, {"slots": np.zeros(3)},
        {"slots": np.zeros((2, 3), object)}, {"seed": -1},
        {"slots": np.zeros((2, 2)), "optimizer": {"name": "no such"}},
    ],
}  # fmt: skip
CASES = [(name, i) for name, values in WRONG.items() for i in range(len(values))]


def spoil(estimator, name, i):
    value = WRONG[name][i]
    setattr(estimator, name, value(getattr(estimator, name)) if callable(value) else value)
    return estimator


@pytest.mark.parametrize("path", ["kept", "pickled"])
@pytest.mark.parametrize(("name", "i"), CASES)
def test_what_does_not_fit_is_named(name, i, path):
    estimator = spoil(fitted(MLPClassifier(**SMALL), X, LABELS), name, i)
    if path == "pickled":
        estimator = pickle.loads(pickle.dumps(estimator))
    elif name == "_progress":
        del estimator._network_kept  # as long as there is a network, nothing is asked
    with pytest.raises((ValueError, TypeError)) as caught:
        estimator.predict_proba(X)
    related = {"n_features_in_": "X has 5 features|n_features_in_", "n_layers_": "coefs_|n_layers_",
               "n_outputs_": "n_outputs_|coefs_", "_fitted_loss": "loss|out_activation_"}.get(name, name)  # fmt: skip
    assert any(word in str(caught.value) for word in related.split("|")), str(caught.value)
    assert "must be" in str(caught.value) or name == "n_features_in_"
    if name != "_fitted_loss":  # which a fit replaces
        with pytest.raises((ValueError, TypeError)):
            fitted(estimator, X, LABELS)


def test_shapes_in_the_sentence():
    estimator = fitted(MLPRegressor(**SMALL), X, AMOUNTS)
    coefs, intercepts = list(estimator.coefs_), list(estimator.intercepts_)
    estimator.coefs_[1] = coefs[1][:-1]
    with pytest.raises(ValueError, match=r"^coefs_\[1\] must be of shape \(6, n_neurons\), .*, got \(5, 4\)$"):
        estimator.predict(X)
    estimator.coefs_ = [*coefs[:2], coefs[2][:, :1]]
    with pytest.raises(ValueError, match=r"^coefs_\[2\] must be of shape \(4, 2\), .*, got \(4, 1\)$"):
        estimator.predict(X)
    estimator.coefs_, estimator.intercepts_ = coefs, [intercepts[0][1:], *intercepts[1:]]
    with pytest.raises(ValueError, match=r"^intercepts_\[0\] must be of shape \(6,\), as coefs_\[0\], got \(5,\)$"):
        estimator.predict(X)
    estimator.coefs_, estimator.intercepts_ = [coefs[0] * [[1, 1, INF, 1, 1, 1]], *coefs[1:]], intercepts
    with pytest.raises(ValueError, match=r"^coefs_\[0\] must be finite, got -?inf at coefs_\[0\]\[0, 2\]$"):
        estimator.predict(X)


def test_what_fits_is_taken():
    """A neuron pruned in all three places, integers, lists, other layouts and single precision."""
    estimator = fitted(MLPRegressor(**SMALL), X, AMOUNTS)
    first, second, last = estimator.coefs_
    estimator.coefs_ = [first[:, 1:], second[1:], last]
    estimator.intercepts_[0] = estimator.intercepts_[0][1:]
    hidden = np.maximum(X @ first[:, 1:] + estimator.intercepts_[0], 0)
    wanted = np.maximum(hidden @ second[1:] + estimator.intercepts_[1], 0) @ last + estimator.intercepts_[2]
    np.testing.assert_allclose(estimator.predict(X), wanted, rtol=1e-12)
    estimator.coefs_ = tuple(np.asfortranarray(coef) for coef in estimator.coefs_)
    estimator.intercepts_ = [part.tolist() for part in estimator.intercepts_]
    np.testing.assert_allclose(estimator.predict(X), wanted, rtol=1e-12)
    fitted(estimator, X, AMOUNTS)
    estimator.coefs_ = [np.ones(coef.shape, int) for coef in estimator.coefs_]
    estimator.intercepts_ = [np.zeros(coef.shape[1], bool) for coef in estimator.coefs_]
    lines = np.maximum(X.sum(axis=1), 0) * 5 * 4
    np.testing.assert_allclose(estimator.predict(X), np.c_[lines, lines], rtol=1e-12)
    estimator.coefs_ = [coef.astype(np.float32) for coef in estimator.coefs_]
    assert estimator.predict(X).dtype == np.float32


@pytest.mark.parametrize(("y", "classes"), [(BINARY, 3), (SEVERAL, 2), (BINARY, 1)])
def test_classes_of_all_kinds(y, classes):
    estimator = fitted(MLPClassifier(**SMALL), X, y)
    estimator.classes_ = np.arange(classes)
    with pytest.raises(ValueError, match=r"^classes_ must be the \d classes of _label_binarizer, got "):
        estimator.predict_proba(X)


@pytest.mark.parametrize("order", [[2, 1, 0], [1, 2, 0]])
def test_classes_out_of_order_are_no_places_of_outputs(order):
    """What kernels go by would be beyond the outputs."""
    estimator = fitted(MLPClassifier(**SMALL), X, LABELS)
    estimator.classes_ = estimator.classes_[order]
    with pytest.raises(ValueError, match=r"^classes_ must be in order, and those of y, got "):
        fitted(estimator, X, LABELS)


@pytest.mark.parametrize("t", [-1, 1.5, "many", None])
def test_samples_seen(t):
    estimator = fitted(MLPClassifier(**SMALL, solver="sgd", learning_rate="invscaling"), X, LABELS)
    estimator.t_ = t
    with pytest.raises(ValueError, match=r"^t_ must be an integer from 0 on, got "):
        fitted(estimator, X, LABELS)
