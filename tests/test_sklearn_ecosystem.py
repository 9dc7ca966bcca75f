"""Estimators among other people's things: pipelines, searches, ensembles, frames, processes, files."""

import copy
import io
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

import joblib
import scipy.sparse
import sklearn
from estimators import AMOUNTS, BINARY, LABELS, SEVERAL, WEIGHTS, X, fitted, same_weights, unconverged
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingRegressor
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp.sklearn import MLPClassifier, MLPRegressor
from fastmlp.sklearn.threads import one_thread_in_blas, threads_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"hidden_layer_sizes": 8, "max_iter": 40, "learning_rate_init": 0.05, "random_state": 0}


def classifier(**settings):
    return MLPClassifier(**QUICK | settings)


def regressor(**settings):
    return MLPRegressor(**QUICK | settings)


def test_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"mlpclassifier__alpha": [1e-4, 1000.0], "mlpclassifier__hidden_layer_sizes": [(8,), (5, 5)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, LABELS)
    assert search.best_params_["mlpclassifier__alpha"] == 1e-4
    assert search.best_score_ > 0.6
    assert search.predict(X).shape == (60,)
    assert cross_val_predict(regressor(), X, AMOUNTS, cv=3).shape == AMOUNTS.shape
    assert cross_val_predict(pipeline, X, LABELS, cv=3, method="predict_proba").shape == (60, 3)


@pytest.mark.parametrize(
    "ensemble",
    [
        lambda: CalibratedClassifierCV(classifier(), cv=3),
        lambda: BaggingClassifier(classifier(), n_estimators=3, random_state=0),
        lambda: StackingClassifier([("mlp", classifier()), ("bayes", GaussianNB())], cv=3),
    ],
)
def test_ensembles_of_classifiers(ensemble):
    made = ensemble().fit(X, LABELS)
    assert made.score(X, LABELS) > 0.6
    assert made.predict_proba(X).shape == (60, 3)


def test_ensembles_of_regressors():
    for ensemble in (VotingRegressor([("a", regressor()), ("b", regressor(alpha=1))]), regressor()):
        assert TransformedTargetRegressor(ensemble, transformer=StandardScaler()).fit(X, AMOUNTS[:, 0]).score(
            X, AMOUNTS[:, 0]
        ) > 0.8  # fmt: skip
    assert MultiOutputRegressor(regressor()).fit(X, AMOUNTS).predict(X).shape == AMOUNTS.shape


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas", reason="pandas is missing")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    estimator = classifier().fit(frame, pandas.Series(LABELS))
    assert estimator.feature_names_in_.tolist() == list("abcde")
    same_weights(estimator, classifier().fit(X, LABELS), rtol=0)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[list("edcba")])
    scaled = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas").fit(frame, LABELS)
    assert scaled[-1].feature_names_in_.tolist() == list("abcde")
    assert regressor().fit(frame, pandas.DataFrame(AMOUNTS)).predict(frame).shape == AMOUNTS.shape


def test_frames_of_polars():
    polars = pytest.importorskip("polars", reason="Polars is missing")
    frame = polars.DataFrame(X, schema=list("abcde"))
    estimator = classifier().fit(frame, polars.Series(LABELS))
    assert (estimator.predict(frame) == classifier().fit(X, LABELS).predict(X)).all()


def test_targets_of_all_kinds():
    assert classifier().fit(X, BINARY).classes_.tolist() == ["no", "yes"]
    same_weights(classifier().fit(X, LABELS.astype(object)), classifier().fit(X, LABELS), rtol=0)
    several = classifier(max_iter=200).fit(X, SEVERAL)
    assert several.predict(X).shape == SEVERAL.shape
    assert several.predict_proba(X).shape == SEVERAL.shape
    assert several.score(X, SEVERAL) > 0.8
    sparse = classifier(max_iter=200).fit(X, scipy.sparse.csr_matrix(SEVERAL))
    same_weights(several, sparse)
    assert scipy.sparse.issparse(sparse.predict(X))
    assert regressor().fit(X, AMOUNTS).predict(X).shape == (60, 2)
    assert regressor().fit(X, AMOUNTS[:, 0]).predict(X).shape == (60,)
    with pytest.warns(sklearn.exceptions.DataConversionWarning):
        classifier().fit(X, LABELS[:, np.newaxis])


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "csr_array", "csc_array"])
def test_sparse_samples(kind):
    dense = np.where(X > 0.3, X, 0.0)
    rows = getattr(scipy.sparse, kind)(dense)
    for make, y in ((classifier, LABELS), (regressor, AMOUNTS)):
        for settings in ({"max_iter": 5}, {"max_iter": 5, "solver": "lbfgs"}, {"max_iter": 5, "early_stopping": True}):
            one, other = make(**settings).fit(dense, y), make(**settings).fit(rows, y)
            same_weights(one, other, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(getattr(one, "predict_proba", one.predict)(dense),
                                       getattr(other, "predict_proba", other.predict)(rows), rtol=1e-5)  # fmt: skip


def test_memory_maps_that_are_only_read(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    same_weights(classifier().fit(mapped, LABELS), classifier().fit(X, LABELS), rtol=0)


def test_clones_and_repr():
    estimator = classifier(activation=["tanh"], solver=fastmlp.NAdam(0.01))
    twin = clone(estimator.fit(X, LABELS))
    assert not hasattr(twin, "coefs_")
    assert repr(estimator.get_params()) == repr(twin.get_params())
    assert repr(MLPClassifier()) == "MLPClassifier()"
    assert repr(MLPRegressor("poisson", 5)) == "MLPRegressor(hidden_layer_sizes=5, loss='poisson')"


# --- copies


def by_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def by_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def by_skops(estimator):
    skops = pytest.importorskip("skops.io", reason="skops is missing")
    data = skops.dumps(estimator)
    own = f"{type(estimator).__module__}.{type(estimator).__name__}"
    assert skops.get_untrusted_types(data=data) == [own]
    return skops.loads(data, trusted=[own])


COPIES = {"pickle": by_pickle, "joblib": by_joblib, "skops": by_skops, "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "adagrad"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_copies_go_on_where_the_training_was(copied, solver, make):
    settings = {"solver": solver, "dropout": 0.2, "batch_size": 16}
    if solver == "sgd":
        settings["learning_rate"] = "invscaling"
    y = LABELS if make is classifier else AMOUNTS
    keywords = {"classes": np.unique(LABELS)} if make is classifier else {}
    estimator = make(**settings)
    for _ in range(3):
        estimator.partial_fit(X, y, **keywords)
    twin = copied(estimator)
    assert (twin.predict(X) == estimator.predict(X)).all()
    for _ in range(3):
        estimator.partial_fit(X, y, WEIGHTS)
    for _ in range(3):
        twin.partial_fit(X, y, WEIGHTS)
    same_weights(estimator, twin, rtol=0, atol=0)
    assert estimator.loss_curve_ == twin.loss_curve_
    assert estimator.t_ == twin.t_ == 360


def test_a_schedule_goes_on_in_copies():
    plateau = fastmlp.ReduceOnPlateau(0.1, patience=0, threshold=0.5)
    estimator = regressor(learning_rate=plateau)
    for _ in range(4):
        estimator.partial_fit(X, AMOUNTS)
    twin = by_pickle(estimator)
    same_weights(estimator.partial_fit(X, AMOUNTS), twin.partial_fit(X, AMOUNTS), rtol=0, atol=0)


def test_what_is_fitted_is_arrays_and_builtins():
    def plain(value):
        if isinstance(value, list | tuple | dict):
            return all(map(plain, value.values() if isinstance(value, dict) else value))
        return type(value) in (np.ndarray, int, float, str, bool, type(None))

    state = fitted(classifier(early_stopping=True), X, LABELS).__getstate__()
    assert {name for name, value in state.items() if not plain(value)} <= {"_label_binarizer"}
    assert all(map(plain, fitted(regressor(), X, AMOUNTS).__getstate__().values()))


def test_weights_may_be_changed():
    estimator = regressor().fit(X, AMOUNTS)
    estimator.coefs_[-1][:] = 0
    np.testing.assert_array_equal(estimator.predict(X), np.tile(estimator.intercepts_[-1], (60, 1)))
    estimator.intercepts_ = [np.zeros_like(part) for part in estimator.intercepts_]
    assert not estimator.predict(X).any()
    estimator.partial_fit(X, AMOUNTS)
    assert estimator.predict(X).any()


# --- threads and processes


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_of_joblib_take_one_thread_each(backend):
    jobs = [joblib.delayed(threads_of)(MLPClassifier(threads=n)) for n in (None, 3)]
    assert joblib.Parallel(2, backend=backend)(jobs) == [1, 3]
    assert threads_of(MLPClassifier()) is None


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_same_weights_in_threads_and_processes(backend):
    data = {"X": X, "y": LABELS, "cv": 3, "return_estimator": True}
    alone = cross_validate(classifier(), **data)
    with joblib.parallel_config(backend):
        together = cross_validate(classifier(), **data, n_jobs=2)
    for one, other in zip(alone["estimator"], together["estimator"], strict=True):
        same_weights(one, other, rtol=0, atol=0)


def blas_threads():
    from threadpoolctl import threadpool_info

    return {entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"}


def test_scipy_is_limited_for_the_time_being():
    before = blas_threads()
    with one_thread_in_blas():
        with one_thread_in_blas():
            assert blas_threads() <= {1}
        assert blas_threads() <= {1}
    assert blas_threads() == before
    classifier(solver="lbfgs").fit(X, LABELS)
    assert blas_threads() == before


def test_one_estimator_predicts_in_many_threads():
    estimator = by_pickle(classifier().fit(X, LABELS))
    answers = joblib.Parallel(4, backend="threading")(joblib.delayed(estimator.predict_proba)(X) for _ in range(20))
    assert all((answer == answers[0]).all() for answer in answers)


def test_metadata_finds_its_way():
    with sklearn.config_context(enable_metadata_routing=True):
        asks = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(asks, {"alpha": [1e-4, 1.0]}, cv=3).fit(X, LABELS, sample_weight=WEIGHTS)
        assert classifier().set_partial_fit_request(sample_weight=True, classes=True) is not None
    assert search.best_score_ > 0.5


def test_it_is_what_it_says():
    tags = sklearn.utils.get_tags(classifier())
    assert tags.input_tags.sparse
    assert tags.classifier_tags.multi_label
    assert sklearn.base.is_classifier(classifier())
    assert sklearn.base.is_regressor(regressor())
    with unconverged():
        assert not hasattr(classifier(solver="lbfgs"), "partial_fit")
