"""Validation data by arguments that scikit-learn's other estimators have, which find their way through pipelines."""

import inspect

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

import sklearn
from estimators import AMOUNTS, LABELS, WEIGHTS, X, fitted, same_weights
from scipy.sparse import csr_array
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"hidden_layer_sizes": 8, "random_state": 0, "learning_rate_init": 0.02, "early_stopping": True}
KEPT, HELD = slice(0, 40), slice(40, 60)
CASES = [(MLPClassifier, LABELS), (MLPRegressor, AMOUNTS)]


@pytest.mark.parametrize(("kind", "y"), CASES)
def test_both_ways_are_the_same(kind, y):
    arguments = X[HELD], y[HELD], WEIGHTS[HELD]
    for count in (2, 3):
        names = dict(zip(("X_val", "y_val", "sample_weight_val"), arguments[:count], strict=False))
        one = fitted(kind(**SMALL), X[KEPT], y[KEPT], **names)
        other = fitted(kind(**SMALL), X[KEPT], y[KEPT], validation_data=arguments[:count])
        same_weights(one, other, rtol=0, atol=0)
        assert one.validation_scores_ == other.validation_scores_
        assert one.best_validation_score_ == pytest.approx(one.score(*arguments[:count]))


@pytest.mark.parametrize(("kind", "y"), CASES)
def test_through_a_pipeline(kind, y):
    """X_val is transformed as X is."""
    scaler = StandardScaler().fit(50 + 3 * X[KEPT])
    wanted = fitted(
        kind(**SMALL),
        scaler.transform(50 + 3 * X[KEPT]),
        y[KEPT],
        X_val=scaler.transform(50 + 3 * X[HELD]),
        y_val=y[HELD],
    )
    with sklearn.config_context(enable_metadata_routing=True):
        asks = kind(**SMALL).set_fit_request(X_val=True, y_val=True, sample_weight_val=False)
        pipeline = Pipeline([("scale", StandardScaler()), ("mlp", asks)], transform_input=["X_val"])
        fitted(pipeline, 50 + 3 * X[KEPT], y[KEPT], X_val=50 + 3 * X[HELD], y_val=y[HELD])
    same_weights(pipeline[-1], wanted, rtol=1e-12)
    assert pipeline[-1].validation_scores_ == pytest.approx(wanted.validation_scores_)


def test_the_arguments_are_those_of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingClassifier

    own, theirs = (
        [*inspect.signature(kind.fit).parameters.values()] for kind in (MLPClassifier, HistGradientBoostingClassifier)
    )
    if "X_val" not in {parameter.name for parameter in theirs}:
        pytest.skip("this scikit-learn has no such arguments")
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in own]
    assert plain[: len(theirs)] == theirs


@pytest.mark.parametrize(("kind", "y"), CASES)
@pytest.mark.parametrize(
    ("keywords", "rule"),
    [
        ({"X_val": X}, "y_val must be given with the other arguments of validation, got None"),
        ({"y_val": LABELS}, "X_val must be given with the other arguments of validation, got None"),
        ({"sample_weight_val": WEIGHTS}, "X_val must be given with the other"),
        ({"X_val": X, "sample_weight_val": WEIGHTS}, "y_val must be given with the other"),
        (
            {"X_val": X, "y_val": "y", "validation_data": (X, "y")},
            "validation_data must be None beside X_val, y_val and",
        ),
        ({"sample_weight_val": WEIGHTS, "validation_data": (X, "y")}, "validation_data must be None beside X_val"),
        ({"X_val": X[:10], "y_val": "y"}, "y_val must be of as many samples as targets, got 10 and 60"),
        ({"X_val": X, "y_val": "y", "sample_weight_val": np.zeros(60)}, "sample_weight_val must"),
        ({"X_val": X[:, :2], "y_val": "y"}, "X_val must be what X may be, got: X has 2 features"),
    ],
)
def test_what_is_refused(kind, y, keywords, rule):
    keywords = {name: y if isinstance(value, str) else value for name, value in keywords.items()}
    if "validation_data" in keywords:
        keywords["validation_data"] = X, y
    with pytest.raises(ValueError, match=f"^{rule}"):
        kind(**SMALL).fit(X, y, **keywords)


def test_names_in_sentences():
    with pytest.raises(ValueError, match=r"^y_val must have no other classes than"):
        MLPClassifier(**SMALL).fit(X[KEPT], LABELS[KEPT], X_val=X[:1], y_val=["four"])
    with pytest.raises(ValueError, match=r"^y_val must be of 2 outputs, got 1$"):
        MLPRegressor(**SMALL).fit(X, AMOUNTS, X_val=X, y_val=AMOUNTS[:, 0])
    with pytest.raises(ValueError, match=r"^X_val must be None for solver 'lbfgs'"):
        MLPRegressor(solver="lbfgs").fit(X, AMOUNTS, X_val=X, y_val=AMOUNTS)


WRONG = {  # in each place, what scikit-learn's checks refuse
    "X_val": [X[:, :2], X[:, 0], X[:0], np.where(X > 1, np.nan, X), [["a"] * X.shape[1]] * 60, {}],
    "y_val": [np.full(60, np.nan), "text", 1.0, {}, LABELS[:0], np.ones((60, 2, 2))],
    "sample_weight_val": [
        np.ones(5), np.ones((60, 2)), -np.ones(60), np.full(60, np.nan), np.zeros(60), np.full(60, 1e308),
        ["a"] * 60, {},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "y"), CASES)
@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name in WRONG for wrong in WRONG[name]])
def test_the_argument_that_is_wrong_is_named(kind, y, name, wrong):
    given = {"X_val": X, "y_val": y, "sample_weight_val": WEIGHTS} | {name: wrong}
    place = list(given).index(name)
    for arguments, called in ((given, name), ({"validation_data": (*given.values(),)}, f"validation_data[{place}]")):
        with pytest.raises((ValueError, TypeError)) as caught:
            kind(**SMALL).fit(X, y, **arguments)
        assert str(caught.value).startswith(f"{called} must be ")
        assert type(caught.value) in (ValueError, TypeError)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("warm", [False, True])
def test_sparse_targets_of_a_regressor(columns, warm):
    """One sentence for any number of columns, of validation data too."""
    sentence = "must be a dense array, got a sparse one: {0}.toarray() makes one"
    sparse, dense = csr_array(AMOUNTS[:, :columns]), AMOUNTS[:, :columns].squeeze()
    estimator = fitted(MLPRegressor(**SMALL, warm_start=True), X, dense) if warm else MLPRegressor(**SMALL)
    calls = {
        "y": lambda: estimator.fit(X, sparse), "y_val": lambda: estimator.fit(X, dense, X_val=X, y_val=sparse),
        "validation_data[1]": lambda: estimator.fit(X, dense, validation_data=(X, sparse)),
    }  # fmt: skip
    for name, call in calls.items():
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"{name} {sentence.format(name)}"
    with pytest.raises(TypeError, match=r"^y must be a dense array"):
        MLPRegressor().partial_fit(X, sparse)
