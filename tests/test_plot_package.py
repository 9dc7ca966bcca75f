"""Pictures need Matplotlib, but nothing else does; what is public is documented."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp.plot
from fastmlp import NeuralNetwork
from fastmlp.plot import LossCurveDisplay

MODULES = [module.name for module in pkgutil.iter_modules(fastmlp.plot.__path__, "fastmlp.plot.")]
PUBLIC = [
    fastmlp.plot.network, fastmlp.plot.decision_boundary, LossCurveDisplay, LossCurveDisplay.plot,
    LossCurveDisplay.from_estimator, LossCurveDisplay.from_history,
]  # fmt: skip


@pytest.mark.parametrize(
    "draw",
    [
        lambda: fastmlp.plot.network(NeuralNetwork([2, 1])),
        lambda: fastmlp.plot.decision_boundary(NeuralNetwork([2, 1]), np.ones((3, 2))),
        lambda: LossCurveDisplay([1.0]).plot(),
        lambda: LossCurveDisplay.from_estimator(SimpleNamespace(loss_curve_=[1.0])),
    ],
)
def test_a_missing_matplotlib_is_named(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"^Matplotlib must be installed for fastmlp\.plot: `pip install fastmlp\[plot\]`$"
    with pytest.raises(ImportError, match=message):
        draw()


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, fastmlp; before = set(sys.modules); import fastmlp.plot; print(*before, '|', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = done.stdout.split("|")
    assert "fastmlp" in before.split()
    assert not {"matplotlib", "fastmlp.plot"} & set(before.split())
    assert "fastmlp.plot" in after.split()
    assert "matplotlib" not in after.split()


@pytest.mark.parametrize("name", MODULES)
def test_examples(pyplot, name):
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        output = []
        assert doctest.DocTestRunner(verbose=False).run(test, out=output.append).failed == 0, "".join(output)


def test_there_are_examples():
    modules = map(importlib.import_module, MODULES)
    tests = [test for module in modules for test in doctest.DocTestFinder().find(module)]
    assert {test.name.rpartition(".")[2] for test in tests if test.examples} == {
        "network", "decision_boundary", "LossCurveDisplay",
    }  # fmt: skip


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__qualname__)
def test_what_is_public_is_documented(thing):
    text = inspect.getdoc(thing)
    assert re.match(r"\S.*\.(\n\n|$)", text), "a first line that is a sentence"
    assert "Raises\n------" in text
    for parameter in inspect.signature(thing).parameters:
        assert parameter == "self" or re.search(rf"^(\w+, )*{parameter}(, \w+)* :", text, re.MULTILINE), parameter


def test_what_a_display_has_is_documented(pyplot):
    display = LossCurveDisplay([1.0]).plot()
    for name in vars(display):
        if name.endswith("_"):
            assert re.search(rf"^{name} : ", inspect.getdoc(LossCurveDisplay), re.MULTILINE), name
