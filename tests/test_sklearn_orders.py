"""Orders of samples are drawn from the random state of an estimator, and it is left as scikit-learn would leave it."""

import copy

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9, whose estimators are the oracle, is missing")

import sklearn.neural_network as theirs
from estimators import AMOUNTS, LABELS, X, fitted, same_weights
from sklearn.utils import check_random_state

import fastmlp.sklearn as ours
from fastmlp.kernels.runtime.training import TrainingPlan
from fastmlp.sklearn.epochs import Epochs
from fastmlp.sklearn.orders import twister_of

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 12, "batch_size": 25}
CASES = {
    "adam": {},
    "early stopping": {"early_stopping": True},
    "in their order": {"shuffle": False},
    "lbfgs": {"solver": "lbfgs"},
    "one batch": {"batch_size": 60},
    "until it is enough": {"max_iter": 500, "tol": 0.1, "n_iter_no_change": 2},
}


def state(random):
    """As what can be compared."""
    now = random.get_state(legacy=False)
    return now["state"]["key"].tolist(), now["state"]["pos"], now["has_gauss"], now["gauss"]


@pytest.fixture
def global_state():
    """NumPy's global generator, which is brought back in the end."""
    random = check_random_state(None)
    before = random.get_state()
    yield random
    random.set_state(before)


@pytest.mark.parametrize("name", CASES)
def test_a_generator_is_left_as_scikit_learn_leaves_it(name):
    one, other = np.random.RandomState(7), np.random.RandomState(7)
    assert one.normal() == other.normal()  # after which another normal number is waiting
    for _ in range(2):
        for module, random in ((theirs, one), (ours, other)):
            fitted(module.MLPRegressor(**{**SMALL, **CASES[name]}, random_state=random), X, AMOUNTS)
        assert state(one) == state(other)
    assert one.normal() == other.normal()
    assert one.normal() == other.normal()


def test_so_is_the_global_one(global_state):
    def fits(module):
        global_state.seed(5)
        return [fitted(module.MLPClassifier(**SMALL), X, LABELS) for _ in range(2)], state(global_state)

    (estimators, one), (own, other) = fits(theirs), fits(ours)
    for estimator, same in zip(estimators, own, strict=True):
        same_weights(estimator, same)
    assert one == other


def test_partial_fits_draw_from_it_too():
    one, other = np.random.RandomState(7), np.random.RandomState(7)
    for module, random in ((theirs, one), (ours, other)):
        estimator = module.MLPClassifier(**SMALL, random_state=random)
        for _ in range(3):
            estimator.partial_fit(X, LABELS, classes=np.unique(LABELS))
    assert state(one) == state(other)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_dropout_does_not(solver):
    states, networks = [], []
    for dropout in (0.0, 0.5, 0.5):
        random = np.random.RandomState(7)
        networks.append(
            fitted(ours.MLPRegressor(**SMALL, solver=solver, dropout=dropout, random_state=random), X, AMOUNTS)
        )
        states.append(state(random))
    assert states[0] == states[1]
    same_weights(networks[1], networks[2], rtol=0, atol=0)
    assert not np.allclose(networks[0].coefs_[0], networks[1].coefs_[0])


def test_predictions_do_not(global_state):
    estimator = copy.deepcopy(fitted(ours.MLPRegressor(**SMALL), X, AMOUNTS))
    before = state(global_state)
    estimator.predict(X)
    assert state(global_state) == before


def interrupted(monkeypatch, error):
    """The state that a fit leaves where the sixth epoch that is looked at ends in an error, and the epochs done."""
    right, random = Epochs._see, np.random.RandomState(7)

    def see(self, loss):
        if self._seen == 5 and error:
            raise error.pop()
        right(self, loss)

    monkeypatch.setattr(Epochs, "_see", see)
    estimator = ours.MLPRegressor(**{**SMALL, "max_iter": 200}, random_state=random)
    with pytest.warns(UserWarning, match=r"^Training was interrupted"):
        estimator.fit(X, AMOUNTS)
    return state(random), estimator.n_iter_


def test_it_has_drawn_for_the_epochs_before_an_interrupt(monkeypatch):
    left, epochs = interrupted(monkeypatch, [KeyboardInterrupt()])
    random = np.random.RandomState(7)
    fitted(theirs.MLPRegressor(**{**SMALL, "max_iter": epochs}, random_state=random), X, AMOUNTS)
    assert left == state(random)


def test_it_has_drawn_for_the_epoch_that_diverged():
    one, other = np.random.RandomState(7), np.random.RandomState(7)
    settings = {**SMALL, "solver": "sgd", "learning_rate_init": 1e200}
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        ours.MLPRegressor(**settings, random_state=one).fit(X, AMOUNTS)
    fitted(
        theirs.MLPRegressor(**{**settings, "learning_rate_init": 1e-3, "max_iter": 1}, random_state=other), X, AMOUNTS
    )
    assert state(one) == state(other)


def test_a_generator_of_another_kind():
    """One number of its own seeds a twister."""
    one, other, plain = (np.random.RandomState(np.random.PCG64(3)) for _ in range(3))
    first, second = (fitted(ours.MLPRegressor(**SMALL, random_state=random), X, AMOUNTS) for random in (one, other))
    same_weights(first, second, rtol=0, atol=0)
    fitted(ours.MLPRegressor(**SMALL, shuffle=False, random_state=plain), X, AMOUNTS)
    with twister_of(plain, shared=True) as twister:
        assert len(twister) == 625
    assert one.randint(2**31) == other.randint(2**31) == plain.randint(2**31)


def test_what_others_draw_meanwhile_is_not_drawn_again():
    random, twin = np.random.RandomState(7), np.random.RandomState(7)
    with twister_of(random, shared=True) as twister:
        random.randint(10, size=3), twin.randint(10, size=3)
        twister[-1] = 100
    assert state(random) == state(twin)


def test_a_state_that_is_not_given_back_is_caught(monkeypatch):
    right = TrainingPlan.begin

    def begin(self, X, y, parameters, state, schedule, *rest):
        right(self, X, y, parameters, state, schedule._replace(twister=schedule.twister.copy()), *rest)

    monkeypatch.setattr(TrainingPlan, "begin", begin)
    with pytest.raises(AssertionError):
        test_a_generator_is_left_as_scikit_learn_leaves_it("adam")


@pytest.mark.parametrize(("key", "place"), [(np.zeros(5, np.uint32), 0), (None, 10**9), (None, -7)])
def test_states_that_lead_elsewhere_are_refused(key, place):
    """Kernels look up the place in the key."""

    class Odd(np.random.RandomState):
        def get_state(self, legacy=True):
            lent = super().get_state(legacy=False)
            lent["state"] |= {"pos": place} | ({} if key is None else {"key": key})
            return lent

    with pytest.raises(ValueError, match=r"^random_state must be a generator whose state has 624 words"):
        ours.MLPRegressor("squared_error", 4, max_iter=2, random_state=Odd(0)).fit(np.eye(9), np.arange(9.0))
