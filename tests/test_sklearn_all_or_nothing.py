"""A fit that does not end well leaves the estimator as it was, wherever it breaks off; one that does, changes all."""

import copy
import gc
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

from estimators import AMOUNTS, LABELS, X, fitted, unconverged

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor, threads
from fastmlp.sklearn.epochs import Epochs

HERE = str(Path(fastmlp.sklearn.__file__).parent)
SMALL = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 4}
CASES = {
    "first": {},
    "early stopping": {"early_stopping": True},
    "warm": {"warm_start": True},
    "warm, early": {"warm_start": True, "early_stopping": True},
    "lbfgs": {"solver": "lbfgs", "warm_start": True},
    "partial": {},
}
pytestmark = pytest.mark.filterwarnings("ignore")


class Breaks:
    """Presses Ctrl-C at the n-th line that runs in this package; None: counts them."""

    def __init__(self, at=None):
        self.lines, self.at = 0, at

    def __enter__(self):
        sys.settrace(lambda frame, event, _: self._line if frame.f_code.co_filename.startswith(HERE) else None)

    def __exit__(self, *_):
        sys.settrace(None)

    def _line(self, frame, event, _):
        self.lines += event == "line"
        if self.lines == self.at:
            self.at = None
            raise KeyboardInterrupt
        return self._line


def state(estimator):
    """All that was fitted, as what can be compared: copies."""
    return {name: copy.deepcopy(value) for name, value in vars(estimator).items() if name != "_network_kept"}


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return one == other or type(one).__name__ == "LabelBinarizer"


def check_consistent(estimator, before):
    """A whole fit, of some epochs: each is counted, has a loss, and a score."""
    epochs, samples = estimator.n_iter_, 54 if estimator.early_stopping else 60
    curve, old = estimator.loss_curve_, before.get("loss_curve_", []) if estimator.warm_start else []
    assert curve[: len(old)] == old
    assert len(curve) == len(old) + epochs
    assert estimator.t_ == epochs * samples + (before["t_"] if old else 0)
    if estimator.early_stopping:
        assert len(estimator.validation_scores_) == len(curve)
        if epochs:
            assert estimator.best_validation_score_ >= max(estimator.validation_scores_[-epochs:])
    else:
        assert not epochs or estimator.best_loss_ <= min(curve[-epochs:])


@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_at_any_line(case):
    start = MLPClassifier(**SMALL, **CASES[case])
    if case != "first":
        start.fit(X, LABELS)
    before, keywords = state(start), {"classes": np.unique(LABELS)} if case == "partial" else {}

    def run(estimator, breaks):
        with breaks:
            (estimator.partial_fit if case == "partial" else estimator.fit)(X, LABELS, **keywords)

    whole, counted = copy.deepcopy(start), Breaks()
    run(whole, counted)
    answer = whole.predict_proba(X)
    ends = {"as before": 0, "whole": 0}
    for at in range(1, counted.lines, max(1, counted.lines // 150)):
        estimator = copy.deepcopy(start)
        if case != "first":
            estimator.predict(X)
        try:
            run(estimator, Breaks(at))
        except KeyboardInterrupt:
            ends["as before"] += 1
            assert same(state(estimator), before) or same(state(estimator), state(whole)), at
        else:
            ends["whole"] += 1
            if case not in ("lbfgs", "partial"):
                check_consistent(estimator, before)
        assert not estimator._network()._watched if hasattr(estimator, "coefs_") else case == "first"
        again = estimator if same(state(estimator), before) else copy.deepcopy(start)
        run(again, Breaks())
        np.testing.assert_array_equal(again.predict_proba(X), answer)
    assert ends["as before"] > 20
    gc.collect()
    assert not threads._wanted


def test_ctrl_c_twice(monkeypatch):
    """The second comes while the first one's epochs are counted."""
    estimator = fitted(MLPClassifier(**SMALL, warm_start=True), X, LABELS)
    before = state(estimator)

    def see(self, loss):
        raise KeyboardInterrupt

    monkeypatch.setattr(Epochs, "_see", see)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, LABELS)
    assert same(state(estimator), before)


@pytest.mark.parametrize("error", ["a callable", "a score", "classes", "X", "a warning"])
def test_errors_on_the_way(error, monkeypatch):
    estimator = fitted(MLPClassifier(**SMALL, early_stopping=True, warm_start=True), X, LABELS)
    before, answer = state(estimator), estimator.predict_proba(X)
    calls = []

    def fails(*_):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more")
        return 0.01

    if error == "a callable":
        estimator.set_params(learning_rate=fails)
    if error == "a score":
        monkeypatch.setattr("fastmlp.sklearn.classifier.accuracy", fails)
    data = (X[:, :3] if error == "X" else X), (np.r_[LABELS[1:], ["new"]] if error == "classes" else LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if error == "a warning" else "ignore")
        with pytest.raises((RuntimeError, ValueError, UserWarning)):
            estimator.fit(*data)
    estimator.set_params(learning_rate="constant")
    monkeypatch.undo()
    assert same(state(estimator), before)
    np.testing.assert_array_equal(estimator.predict_proba(X), answer)


def test_a_first_call_that_is_refused_leaves_nothing():
    """Classes and names of features are learned with the rest."""
    estimator = MLPClassifier(**SMALL)
    for call in (lambda: estimator.partial_fit(X, ["four"] * 60, classes=LABELS), lambda: estimator.fit(X, LABELS[1:])):
        with pytest.raises(ValueError, match=r"classes|inconsistent"):
            call()
        assert not [name for name in vars(estimator) if name.endswith("_")]


def test_names_of_features_go_with_the_frame():
    pandas = pytest.importorskip("pandas", reason="pandas is missing")
    estimator = fitted(MLPRegressor(**SMALL), pandas.DataFrame(X, columns=list("abcde")), AMOUNTS)
    assert not hasattr(fitted(estimator, X, AMOUNTS), "feature_names_in_")


def test_others_predict_meanwhile_by_the_fit_before(monkeypatch):
    estimator = fitted(MLPRegressor(**SMALL, warm_start=True), X, AMOUNTS)
    wanted, right, answers = estimator.predict(X), Epochs._see, []

    def see(self, loss):
        thread = threading.Thread(target=lambda: answers.append(estimator.predict(X)))
        thread.start()
        thread.join()
        right(self, loss)

    monkeypatch.setattr(Epochs, "_see", see)
    fitted(estimator, X, AMOUNTS)
    assert answers
    assert all(np.array_equal(answer, wanted) for answer in answers)
    assert not np.array_equal(estimator.predict(X), wanted)


@pytest.mark.parametrize("other", ["nadam", "sgd", fastmlp.Adam(0.01, beta1=0.5)], ids=str)
def test_copies_go_on_with_another_solver_as_the_original_does(other):
    estimator = MLPRegressor(**SMALL)
    with unconverged():
        estimator.partial_fit(X, AMOUNTS)
        twin = copy.deepcopy(estimator)
        fresh = copy.deepcopy(estimator)
        fresh._progress = {}
        for one in (estimator, twin, fresh):
            one.set_params(solver=other).partial_fit(X, AMOUNTS)
    for one in (twin, fresh):
        np.testing.assert_array_equal(one.predict(X), estimator.predict(X))


def test_a_fit_within_a_fit(monkeypatch):
    """A signal's handler, or a destructor, may begin one in the same thread, whatever that is at."""
    inner = []

    class Reentered:
        def limit(self, **_):
            if not inner:
                inner.append(None)
                fitted(MLPRegressor(**SMALL, solver="lbfgs"), X, AMOUNTS)
            return self

        def restore_original_limits(self):
            inner.append("restored")

    monkeypatch.setattr(threads, "_controller", Reentered)
    fitted(MLPRegressor(**SMALL, solver="lbfgs"), X, AMOUNTS)
    assert "restored" in inner
    assert threads._limit is None
    assert not threads._wanted
