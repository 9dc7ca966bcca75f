"""Docstrings: their examples run and tell the truth, and nothing public goes without."""

import doctest
import importlib.util
import inspect
import pkgutil
import re

import numpy as np
import pytest

import fastmlp
import fastmlp.kernels
from fastmlp.kernels.backends.choice import extension_exists
from fastmlp.kernels.functions.function import Function
from fastmlp.kernels.functions.optimizers import Optimizer
from fastmlp.training.schedules import RateSchedule

NOT_INSTALLED = {"emission"}  # but in an editable installation
if not importlib.util.find_spec("sklearn"):
    NOT_INSTALLED |= {"sklearn"}
if not extension_exists():
    NOT_INSTALLED |= {"compiled", "_compiled"}
NOT_MADE_BY_USERS = (
    fastmlp.Layer, fastmlp.Neuron, fastmlp.History, fastmlp.ParameterVector, fastmlp.DivergenceError, fastmlp.Predictor,
    fastmlp.TrainingProgress,
)  # fmt: skip


def modules():
    """The names of all modules whose needs are installed, except those of `plot`, which has its own test."""
    absent = {"fastmlp.plot"} | (set() if importlib.util.find_spec("sklearn") else {"fastmlp.sklearn"})
    names = {"fastmlp"}
    folders = [("fastmlp", fastmlp.__path__)]
    for package, path in folders:  # which grows
        for module in pkgutil.iter_modules(path, package + "."):
            if module.name in absent or module.name.split(".")[-1] in {"__main__", *NOT_INSTALLED}:
                continue
            names.add(module.name)
            if module.ispkg:
                folders.append((module.name, importlib.import_module(module.name).__path__))
    return sorted(names)


def examples(module):
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(module) if test.examples]


@pytest.mark.parametrize("name", modules())
def test_examples(name, tmp_path, monkeypatch):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    with np.printoptions():  # as they were, whatever an example does
        for test in examples(module):
            output = []
            results = doctest.DocTestRunner(verbose=False).run(test, out=output.append)
            assert results.failed == 0, "".join(output)


def test_there_are_examples():
    count = sum(len(test.examples) for name in modules() for test in examples(importlib.import_module(name)))
    assert count > 40


def test_a_wrong_example_is_caught():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1


def public():
    """(name, object) of everything that users call or make."""
    things = {name: getattr(fastmlp, name) for name in fastmlp.__all__}
    if importlib.util.find_spec("sklearn"):
        from fastmlp import sklearn

        things |= {name: getattr(sklearn, name) for name in sklearn.__all__}
    for name, thing in things.items():
        yield name, thing
        if inspect.isclass(thing) and not issubclass(thing, Optimizer | Function | RateSchedule):  # methods for kernels
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_") and function.__module__.startswith("fastmlp"):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize(("name", "thing"), [pytest.param(name, thing, id=name) for name, thing in public()])
def test_what_is_public_is_documented(name, thing):
    text = inspect.getdoc(thing)
    assert re.match(r"\S.*\.(\n\n|$)", text), "a first line that is a sentence"
    if thing not in NOT_MADE_BY_USERS:
        assert "Examples\n--------" in text
        for parameter in inspect.signature(thing).parameters:
            named = re.search(rf"^(\w+, )*{parameter}(, \w+)*( :|$)", text, re.MULTILINE)
            assert parameter == "self" or named, parameter
    raises = "raise " in inspect.getsource(thing) or "validation" in inspect.getsource(thing)
    if raises and inspect.isfunction(thing):
        assert "Raises\n------" in text


@pytest.mark.parametrize(
    "cls",
    [fastmlp.NeuralNetwork, fastmlp.Layer, fastmlp.Neuron, fastmlp.ParameterVector, fastmlp.Predictor, fastmlp.History],
    ids=lambda cls: cls.__name__,
)
def test_what_can_be_read_is_documented(cls):
    text = inspect.getdoc(cls)
    members = [(name, value) for name, value in inspect.getmembers(cls) if not name.startswith("_")]
    properties = [name for name, value in members if isinstance(value, property)]
    assert properties
    for name in properties:
        assert re.search(rf"^(\w+, )*{name}(, \w+)*( :|$)", text, re.MULTILINE), name
