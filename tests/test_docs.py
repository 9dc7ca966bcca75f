"""The pages of docs/ are what the tables render, all of it, and the optimizers' formulas are what the optimizers do."""

import importlib.util
from dataclasses import fields
from math import prod
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.kernels.activations import ACTIVATIONS
from fastmlp.kernels.initializers import INITIALIZERS
from fastmlp.kernels.losses import LOSSES
from fastmlp.kernels.normalization import NORMALIZATIONS
from fastmlp.kernels.optimizer_formulas import FORMULAS
from fastmlp.kernels.optimizers import OPTIMIZERS
from fastmlp.metrics import METRICS

DOCS = Path(__file__).parents[1] / "docs"
OF_NO_PAPER = {
    "identity", "sigmoid", "tanh", "exponential", "softmax", "mean_squared_error", "mean_absolute_error", "log_cosh",
    "binary_cross_entropy", "zeros", "standard_normal", "small_normal", "accuracy", "r2", "root_mean_squared_error",
}  # fmt: skip


def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", tables().PAGES)
def test_the_pages_are_what_the_tables_render(name):
    assert (DOCS / name).read_text(encoding="utf-8") == tables().PAGES[name](), "run `python docs/tables.py`"


def test_every_page_is_of_a_table():
    assert {path.name for path in DOCS.glob("*.md")} == set(tables().PAGES)


def rows():
    public = {name: row for name, row in LOSSES.items() if row.public}
    pages = {"activations": ACTIVATIONS, "losses": public, "initializers": INITIALIZERS, "metrics": METRICS}
    pages["normalizations"] = NORMALIZATIONS
    return [(page, name, row) for page, table in pages.items() for name, row in table.items()]


@pytest.mark.parametrize(("page", "name", "row"), rows(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_row_is_there_with_formula_and_source(page, name, row):
    text = tables().PAGES[f"{page}.md"]()
    assert f"\n| `{name}` | " in text
    formula = row.variance if page == "initializers" else row.formula
    assert formula
    assert formula.replace("|", r"\|") in text
    assert bool(row.source) != (name in OF_NO_PAPER)
    assert row.source in text


@pytest.mark.parametrize("name", [*OPTIMIZERS, "lbfgs"])
def test_every_optimizer_is_there_with_its_source(name):
    text = tables().PAGES["optimizers.md"]()
    assert name == "lbfgs" or f"\n| `{name}` | `" in text
    assert f"\n- `{name}`: " in text.partition("## Sources")[2]


def test_every_formula_is_of_one_optimizer():
    named = [name for cls in OPTIMIZERS.values() for name in (cls.name, *cls.variants)]
    assert sorted(named) == sorted(FORMULAS)


def test_every_schedule_is_there():
    text = tables().PAGES["schedules.md"]()
    for name in ("StepDecay", "ExponentialDecay", "InverseScaling", "Cosine", "OneCycle", "WarmUp", "ReduceOnPlateau"):
        assert f"\n| `fastmlp.{name}` | " in text
        assert getattr(fastmlp, name).formula in text


def test_settings_have_defaults_rules_and_meanings():
    text = tables().PAGES["losses.md"]()
    assert "| `fastmlp.Huber` | `delta` | `1` | a finite number above 0 | Above 0. |" in text
    assert "| `fastmlp.Quantile` | `quantiles` | `(0.1, 0.5, 0.9)` | sequence of float | Each between" in text


# --- the formulas of optimizers are executed as they are written

CHOSEN = {
    "momentum": fastmlp.SGD(0.1, momentum=0.8),
    "nesterov": fastmlp.SGD(0.1, momentum=0.8, nesterov=True),
    "rmsprop_momentum": fastmlp.RMSprop(0.1, momentum=0.8),
    "adamw": fastmlp.AdamW(0.1, weight_decay=0.3),
    "lion": fastmlp.Lion(0.1, weight_decay=0.3),
}


def by_the_text(text, optimizer, gradients):
    """Parameters after these gradients, from 0 on."""
    settings = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}
    steps = [step.replace("^", "**") for step in text.split("; ") if "(t) =" not in step]

    def mu(t):
        return settings["beta1"] * (1 - 0.96 ** (t * settings["momentum_decay"]) / 2)

    functions = {"mu": mu, "p": lambda t: prod(mu(k) for k in range(1, t + 1)), "sqrt": np.sqrt, "sign": np.sign}
    names = settings | functions | dict.fromkeys("wmvu", 0.0)
    for t, g in enumerate(gradients, start=1):
        names |= {"t": t, "g": g}
        for step in steps:
            exec(step, names)
    return names["w"]


def by_training(optimizer, gradients):
    """The same by a network of one weight, which takes the gradients from its targets."""
    network = fastmlp.NeuralNetwork([1, 1], initializer="zeros", dtype="float64", backend="reference")
    for g in gradients:
        weight = network.layers[0].weights[0, 0]
        network.layers[0].biases = [0.0]
        network.train([[1.0]], [weight - g / 2], 1, optimizer=optimizer)  # d/dw (w - y)^2 = 2 (w - y) = g
    return network.layers[0].weights[0, 0]


@pytest.mark.parametrize("name", [name for name in FORMULAS if name != "rprop"])
def test_the_formulas_of_optimizers_are_what_they_do(name):
    optimizer = CHOSEN.get(name) or OPTIMIZERS[name](0.1)
    assert optimizer.formula is FORMULAS[name]
    gradients = np.random.default_rng(1).normal(size=10)
    text = FORMULAS[name].text
    wanted = by_training(optimizer, gradients)
    assert by_the_text(text, optimizer, gradients) == pytest.approx(wanted, rel=1e-9)
    mistaken = text.replace("w -= learning_rate *", "w -= 1.001 * learning_rate *")
    assert by_the_text(mistaken, optimizer, gradients) != pytest.approx(wanted, rel=1e-5)
