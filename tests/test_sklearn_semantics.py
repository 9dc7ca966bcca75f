"""Estimators train as scikit-learn's do: the same random state gives the same orders, weights and losses."""

from copy import deepcopy

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9, whose estimators are the oracle, is missing")

import sklearn.neural_network as theirs
from estimators import AMOUNTS, BINARY, COUNTS, LABELS, SEVERAL, WEIGHTS, X, fitted, same_weights, unconverged
from sklearn.exceptions import ConvergenceWarning

import fastmlp.sklearn as ours
from fastmlp.sklearn import quasi_newton

SOLVERS = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "adam's epsilon": {"solver": "adam", "epsilon": 0.1, "beta_1": 0.5, "beta_2": 0.9},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01},
    "no momentum": {"solver": "sgd", "learning_rate_init": 0.01, "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5, "learning_rate_init": 0.02},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1, "power_t": 0.3},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 0.05, "n_iter_no_change": 2,
        "max_iter": 200,
    },
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.02, "validation_fraction": 0.3, "max_iter": 80},
    "patience": {"tol": 0.01, "n_iter_no_change": 4, "learning_rate_init": 0.02, "max_iter": 300},
}  # fmt: skip
TARGETS = {
    "labels": ("MLPClassifier", LABELS, {}),
    "binary": ("MLPClassifier", BINARY, {}),
    "several": ("MLPClassifier", SEVERAL, {}),
    "amount": ("MLPRegressor", AMOUNTS[:, 0], {}),
    "amounts": ("MLPRegressor", AMOUNTS, {}),
    "counts": ("MLPRegressor", COUNTS, {"loss": "poisson"}),
}
COMMON = {"hidden_layer_sizes": (7, 4), "alpha": 0.5, "batch_size": 17, "random_state": 3}


def both(target, weights=None, dtype=np.float64, **settings):
    """scikit-learn's estimator and ours, fitted."""
    name, y, own = TARGETS[target]
    settings = {**COMMON, "max_iter": 30, **own, **settings}
    keywords = {} if weights is None else {"sample_weight": weights}
    return [fitted(getattr(module, name)(**settings), X.astype(dtype), y, **keywords) for module in (theirs, ours)]


def same_course(one, other):
    same_weights(one, other)
    assert one.n_iter_ == other.n_iter_
    assert one.t_ == other.t_
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-9)
    for name in ("best_loss_", "best_validation_score_"):
        wanted = getattr(one, name)
        assert getattr(other, name) == (wanted if wanted is None else pytest.approx(wanted, rel=1e-9))
    assert (one.validation_scores_ is None) == (other.validation_scores_ is None)
    np.testing.assert_allclose(one.validation_scores_ or [], other.validation_scores_ or [], rtol=1e-9)
    assert one._no_improvement_count == other._no_improvement_count
    assert one.out_activation_ == other.out_activation_
    assert (one.n_layers_, one.n_outputs_) == (other.n_layers_, other.n_outputs_)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target", TARGETS)
def test_steps(target, solver):
    same_course(*both(target, **SOLVERS[solver]))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "early stopping"])
def test_samples_in_their_order(target, solver):
    same_course(*both(target, **SOLVERS[solver], shuffle=False))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations(activation):
    same_course(*both("labels", activation=activation))
    same_course(*both("amounts", activation=activation, solver="sgd"))


@pytest.mark.parametrize("target", TARGETS)
def test_without_hidden_layers(target):
    for activation in ("relu", "logistic"):
        same_course(*both(target, hidden_layer_sizes=(), activation=activation))


@pytest.mark.parametrize("target", TARGETS)
def test_weights(target):
    same_course(*both(target, WEIGHTS, batch_size=60))
    one, other = both(target, WEIGHTS)  # in batches, scikit-learn's losses count by samples, ours by what they weigh
    same_weights(one, other)


def test_weights_of_held_out_samples():
    same_course(*both("amounts", WEIGHTS, early_stopping=True, batch_size="auto"))
    same_course(*both("binary", WEIGHTS, early_stopping=True, batch_size="auto"))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weights"])
@pytest.mark.parametrize("target", TARGETS)
def test_lbfgs(target, weights):
    one, other = both(target, weights, solver="lbfgs", max_iter=15, activation="tanh")
    same_weights(one, other, rtol=1e-5, atol=1e-6)
    assert one.n_iter_ == other.n_iter_
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_single_precision(target):
    one, other = both(target, dtype=np.float32)
    same_weights(one, other, rtol=1e-3, atol=1e-4)
    assert {part.dtype for part in other.coefs_ + other.intercepts_} == {np.dtype("float32")}


@pytest.mark.parametrize("solver", ["sgd", "invscaling", "adam", "early stopping"])
def test_warm_start_and_the_optimizer(solver):
    settings = {**COMMON, "max_iter": 5, "warm_start": True, **SOLVERS[solver], "n_iter_no_change": 2}
    one, other = theirs.MLPRegressor(**settings), ours.MLPRegressor(**settings)
    for _ in range(3):
        same_course(fitted(one, X, AMOUNTS), fitted(other, X, AMOUNTS))
        one.coefs_, one.intercepts_ = deepcopy((one.coefs_, one.intercepts_))  # else it changes its best weights, too
        if settings.get("solver") == "sgd":
            assert one._optimizer.learning_rate == other._optimizer.learning_rate
    with unconverged():
        one.set_params(early_stopping=False), other.set_params(early_stopping=False)
        if solver != "early stopping":
            same_course(one.partial_fit(X, AMOUNTS), other.partial_fit(X, AMOUNTS))


@pytest.mark.parametrize("of_what", [int, np.random.RandomState])
@pytest.mark.parametrize("solver", ["sgd", "invscaling", "adaptive", "adam"])
def test_partial_fits(solver, of_what):
    """The orders of each begin where the random state is: with a number, all are that of the first samples drawn."""
    settings = {**COMMON, **SOLVERS[solver]}
    estimators = [module.MLPClassifier(**{**settings, "random_state": of_what(3)}) for module in (theirs, ours)]
    for part in (slice(0, 30), slice(30, 60)) * 20:
        for estimator in estimators:
            estimator.partial_fit(X[part], LABELS[part], classes=np.unique(LABELS))
    same_course(*estimators)
    if solver != "adam":
        assert estimators[0]._optimizer.learning_rate == estimators[1]._optimizer.learning_rate


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}, {"solver": "sgd"}], ids=str)
def test_epochs_one_by_one_are_those_of_a_fit(settings):
    """Without shuffling; and other activations are dropped in each."""
    settings = {**COMMON, "shuffle": False, "n_iter_no_change": 100, "max_iter": 12, **settings}
    whole = fitted(ours.MLPRegressor(**settings), X, AMOUNTS)
    one_by_one = ours.MLPRegressor(**settings)
    for _ in range(12):
        one_by_one.partial_fit(X, AMOUNTS)
    same_weights(whole, one_by_one, rtol=0, atol=0)
    assert whole.loss_curve_ == one_by_one.loss_curve_


def test_it_ends_at_the_same_epoch_whether_somebody_looks_or_not(capsys):
    settings = {"tol": 0.02, "n_iter_no_change": 3, "learning_rate_init": 0.05, "random_state": 0, "max_iter": 500}
    quick, shown = (ours.MLPClassifier(10, **settings, verbose=verbose).fit(X, LABELS) for verbose in (False, True))
    assert quick.loss_curve_ == shown.loss_curve_
    assert quick.n_iter_ < 500
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {quick.loss_curve_[0]:.8f}"
    assert len(lines) == quick.n_iter_ + 1
    assert lines[-1] == "The training loss did not improve by more than tol=0.020000 for 3 epochs. Stopping."


def test_warnings():
    with pytest.warns(ConvergenceWarning, match=r"^Training ended after max_iter=3 epochs, and has not converged yet"):
        ours.MLPClassifier(3, max_iter=3).fit(X, LABELS)
    with pytest.warns(ConvergenceWarning, match=r"^lbfgs has not converged after 3 iterations"):
        ours.MLPClassifier(3, max_iter=3, solver="lbfgs").fit(X, LABELS)
    with (
        pytest.warns(UserWarning, match=r"^batch_size=100 is more than there are samples: 60 are taken"),
        unconverged(),
    ):
        ours.MLPClassifier(3, max_iter=1, batch_size=100).fit(X, LABELS)


def test_ctrl_c_ends_a_fit_in_good_order(monkeypatch):
    from fastmlp.sklearn.epochs import Epochs

    right, pressed = Epochs._see, []

    def see(self, loss):
        if self._seen == 5 and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        right(self, loss)

    monkeypatch.setattr(Epochs, "_see", see)
    estimator = ours.MLPClassifier(3, random_state=0)
    with pytest.warns(UserWarning, match=r"^Training was interrupted"):
        estimator.fit(X, LABELS)
    assert 5 <= estimator.n_iter_ == len(estimator.loss_curve_) < 200
    assert estimator.predict(X).shape == (60,)
    assert not estimator._network()._watched


def right_wishes(estimator, mean_weight):
    from fastmlp.kernels.functions.regularization import Regularization

    return Regularization(alpha=estimator.alpha / mean_weight)


def test_a_wrong_alpha_is_caught(monkeypatch):
    monkeypatch.setattr("fastmlp.sklearn.parameters.regularization", lambda e, mean: right_wishes(e, mean * 1.01))
    one, other = both("labels")
    with pytest.raises(AssertionError):
        same_weights(one, other)


@pytest.mark.parametrize("solver", ["sgd", "adam's epsilon", "invscaling"])
def test_an_optimizer_of_another_school_is_caught(monkeypatch, solver):
    import fastmlp

    def other_school(estimator):
        rate = estimator.learning_rate_init
        if estimator.solver == "adam":
            return fastmlp.Adam(rate, estimator.beta_1, estimator.beta_2, estimator.epsilon)
        return fastmlp.SGD(rate, estimator.momentum, nesterov=solver != "sgd")

    monkeypatch.setattr("fastmlp.sklearn.parameters.optimizer", other_school)
    one, other = both("labels", **SOLVERS[solver])
    with pytest.raises(AssertionError):
        same_weights(one, other)


def test_lbfgs_in_double_precision():
    """Whatever X is, unless asked otherwise: weights in single precision hold still before derivatives vanish."""
    settings = {"solver": "lbfgs", "max_iter": 15, "activation": "tanh"}
    one, other = both("amounts", dtype=np.float32, **settings)
    same_weights(one, other, rtol=1e-4, atol=1e-5)
    assert {part.dtype for part in other.coefs_ + other.intercepts_} == {np.dtype("float64")}
    single = fitted(ours.MLPRegressor(**COMMON, **settings, dtype="float32"), X, AMOUNTS)
    assert single.coefs_[0].dtype == np.float32


def test_lbfgs_says_why_it_ended(monkeypatch):
    scales = r"data of similar scales, see sklearn\.preprocessing\.$"
    with pytest.warns(ConvergenceWarning, match=rf"LIMIT\): what may help is a larger max_iter than 5 or {scales}"):
        ours.MLPRegressor(solver="lbfgs", max_iter=5).fit(X, AMOUNTS)
    with pytest.warns(ConvergenceWarning, match=rf"LIMIT\): what may help is {scales}"):
        ours.MLPRegressor(solver="lbfgs", max_fun=5).fit(X, AMOUNTS)
    minimize = quasi_newton.find_minimizer()

    def without_reason(*arguments, **keywords):
        result = minimize(*arguments, **keywords)
        result.message = "ABNORMAL: "
        return result

    monkeypatch.setattr(quasi_newton, "find_minimizer", lambda: without_reason)
    with pytest.warns(ConvergenceWarning, match=rf"\(ABNORMAL\): what may help is {scales}"):
        ours.MLPRegressor(solver="lbfgs", max_fun=5).fit(X, AMOUNTS)
