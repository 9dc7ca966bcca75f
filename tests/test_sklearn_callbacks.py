"""scikit-learn's callbacks, where it has them."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn.callback", reason="this scikit-learn has no callbacks, or is missing")

import sklearn.callback as skl
from estimators import AMOUNTS, LABELS, X, fitted, same_weights
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Recorder:
    """Notes the calls; asks to stop after some epochs."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(("end", context.task_name, len(X), fitted_estimator.predict(X)))
        return len([call for call in self.calls if call[:2] == ("end", "epoch")]) == self.stop_after


def test_every_epoch_is_a_task():
    recorder = Recorder()
    estimator = MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0).set_callbacks(recorder)
    fitted(estimator, X, AMOUNTS)
    names = [call if isinstance(call, str) else call[:2] for call in recorder.calls]
    epoch = [("begin", "epoch"), ("end", "epoch")]
    assert names == ["setup", ("begin", "fit"), *epoch * 3, ("end", "fit"), "teardown"]
    predictions = [call[3] for call in recorder.calls if call[0] == "end"]
    short = fitted(MLPRegressor(hidden_layer_sizes=4, max_iter=1, random_state=0), X, AMOUNTS)
    np.testing.assert_array_equal(predictions[0], short.predict(X))
    np.testing.assert_array_equal(predictions[-1], estimator.predict(X))
    same_weights(estimator, fitted(MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0), X, AMOUNTS), rtol=0)


def test_a_callback_may_stop_training():
    estimator = MLPClassifier(4, max_iter=50).set_callbacks(Recorder(stop_after=7)).fit(X, LABELS)
    assert estimator.n_iter_ == 7


def test_an_error_takes_down_what_was_set_up():
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("enough")

    failing = Failing()
    estimator = MLPClassifier(4, max_iter=50).set_callbacks(failing)
    with pytest.raises(RuntimeError, match="enough"):
        estimator.fit(X, LABELS)
    assert failing.calls[-1] == "teardown"
    assert fitted(estimator.set_callbacks(), X, LABELS).n_iter_ > 1


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_scoring_monitor(settings):
    monitor = skl.ScoringMonitor(scoring="accuracy")
    estimator = MLPClassifier(8, max_iter=20, random_state=0, learning_rate_init=0.05, **settings)
    fitted(estimator.set_callbacks(monitor), X, LABELS)
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) == 1 + (estimator.n_iter_ if settings != {"solver": "lbfgs"} else 1)
    assert estimator.score(X, LABELS) in scores


def test_in_a_pipeline():
    recorder = Recorder()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(4, max_iter=3).set_callbacks(recorder))
    fitted(pipeline, X, LABELS)
    assert recorder.calls[-1] == "teardown"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_progress_bar():
    pytest.importorskip("rich", reason="rich, which draws the bar, is missing")
    fitted(MLPClassifier(4, max_iter=5).set_callbacks(skl.ProgressBar()), X, LABELS)


def test_nothing_breaks_without_them():
    program = (
        "import sklearn.model_selection, sklearn.preprocessing, sklearn.callback\n"
        "del sklearn.callback.CallbackSupportMixin\n"
        "from fastmlp.sklearn.callbacks import CallbackSupportMixin, fit_callbacks\n"
        "from fastmlp.sklearn import MLPClassifier\n"
        "print(CallbackSupportMixin.__module__, fit_callbacks(MLPClassifier(), 1, None, None, {}))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.split() == ["fastmlp.sklearn.callbacks", "None"]


def test_other_callbacks_are_left_alone(monkeypatch):
    monkeypatch.delattr(skl.CallbackSupportMixin, "_init_callback_context")
    estimator = MLPClassifier(4, max_iter=5).set_callbacks(Recorder())
    with pytest.warns(UserWarning, match=r"^This scikit-learn has other callbacks"):
        assert fitted(estimator, X, LABELS).n_iter_ == 5
