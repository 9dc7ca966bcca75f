"""scikit-learn's checks of estimators, and its own tests of its own perceptrons, with ours in their place."""

import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="scikit-learn 1.6 or newer is missing")

import sklearn.neural_network as theirs
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)

import fastmlp.sklearn as ours

AT_LEAST = 59
PLUGIN = """
import sklearn.neural_network, fastmlp.sklearn
sklearn.neural_network.MLPClassifier = fastmlp.sklearn.MLPClassifier
sklearn.neural_network.MLPRegressor = fastmlp.sklearn.MLPRegressor
"""
WITNESS = """
from sklearn.neural_network import MLPClassifier, MLPRegressor
def test_which_estimators_are_tested():
    assert MLPClassifier.__module__ == "fastmlp.sklearn.classifier"
    assert MLPRegressor.__module__ == "fastmlp.sklearn.regressor"
"""

is_recent = pytest.mark.skipif(
    tuple(map(int, version("scikit-learn").split(".")[:2])) < (1, 9), reason="of scikit-learn 1.9 or newer"
)
both = pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])


@both
@pytest.mark.filterwarnings("ignore")
def test_checks_of_estimators(name):
    own = check_estimator(getattr(ours, name)(max_iter=100), on_skip=None)  # raises at the first that fails
    statuses = {(result["check_name"], result["status"]) for result in own}
    skipped = {check for check, status in statuses if status != "passed"}
    others = check_estimator(getattr(theirs, name)(max_iter=100), on_skip=None, on_fail=None)
    assert skipped <= {result["check_name"] for result in others if result["status"] == "skipped"}
    assert {result["check_name"] for result in others} <= {check for check, _ in statuses}
    assert len(own) >= 50


@both
@pytest.mark.filterwarnings("ignore")
def test_checks_with_default_parameters(name):
    check_estimator(getattr(ours, name)(), on_skip=None)


@both
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_checks_that_are_run_apart(name):
    check_dataframe_column_names_consistency(name, getattr(ours, name)(max_iter=5))
    check_param_validation(name, getattr(ours, name)(max_iter=5))


@pytest.mark.filterwarnings("ignore")
def test_a_fault_is_caught(monkeypatch):
    right = ours.MLPRegressor._outputs
    monkeypatch.setattr(
        ours.MLPRegressor, "_outputs", lambda self, X, check=True: right(self, X, check) + 1e-5 / len(X)
    )
    with pytest.raises(AssertionError):
        check_estimator(ours.MLPRegressor(max_iter=5), on_skip=None)


@is_recent
def test_their_tests_of_their_own(tmp_path):
    """From the installed package, as they are, in a process in which the names mean ours."""
    (tmp_path / "ours_for_theirs.py").write_text(PLUGIN)
    (tmp_path / "test_witness.py").write_text(WITNESS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-p", "ours_for_theirs", "-p", "no:cacheprovider", "-q", "-rf"]
    command += ["--tb=line", "--pyargs", "sklearn.neural_network.tests.test_mlp", "test_witness.py"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    failed = set(re.findall(r"^FAILED \S*?::(\w+)", run.stdout, re.MULTILINE))
    assert not failed, run.stdout[-5000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, run.stdout + run.stderr
    assert int(passed[1]) - 1 >= AT_LEAST, run.stdout[-5000:]
