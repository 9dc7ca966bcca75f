"""The pages of docs/ are what the tables render, all of it; formulas are what activations, losses and optimizers do."""

import importlib.util
import math
import re
from dataclasses import fields
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.initializers import INITIALIZERS
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.normalization import NORMALIZATIONS
from fastmlp.kernels.functions.optimizer_formulas import FORMULAS
from fastmlp.kernels.functions.optimizers import OPTIMIZERS, AdamCorrectedByRate, ClassicalSGD
from fastmlp.training.metrics import METRICS

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


def test_every_page_that_says_so_is_of_a_table():
    written = {path.name for path in DOCS.glob("*.md") if tables().NOTE in path.read_text(encoding="utf-8")}
    assert written == set(tables().PAGES)


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
    assert name == "lbfgs" or f"\n| `{name}` | " in text
    assert f"\n- `{name}`: " in text.partition("## Sources")[2]


def test_every_formula_is_of_one_optimizer():
    named = [name for cls in OPTIMIZERS.values() for name in (cls.name, *cls.variants)]
    named += [*ClassicalSGD.variants, AdamCorrectedByRate.name]  # which have no name
    assert sorted(named) == sorted(FORMULAS)


@pytest.mark.parametrize("cls", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_formulas_are_used_when_the_page_says(cls):
    text, choices = tables().PAGES["optimizers.md"](), {"momentum": [0.0, 0.9], "nesterov": [False, True]}
    known = {f.name: choices[f.name] for f in fields(cls) if f.name in choices}
    for values in product(*known.values()):
        settings = dict(zip(known, values, strict=True))
        if settings.get("nesterov") and not settings["momentum"]:
            continue  # refused
        holding = [name for name, when in cls.variants.items() if eval(when, {"__builtins__": {}}, settings)]
        assert [cls(**settings).formula] == [FORMULAS[name] for name in holding or [cls.name]]
        when = [f"`{cls.variants[name]}`" for name in holding] or ["otherwise" if cls.variants else "always"]
        assert f"\n| `{cls.name}` | {when[0]} | {tables().formula_of(cls(**settings).formula.text)}" in text


def test_every_schedule_is_there():
    text = tables().PAGES["schedules.md"]()
    for name in ("StepDecay", "ExponentialDecay", "InverseScaling", "Cosine", "OneCycle", "WarmUp", "ReduceOnPlateau"):
        assert f"\n| `fastmlp.{name}` | " in text
        assert getattr(fastmlp, name).formula in text


def test_settings_have_defaults_rules_and_meanings():
    text = tables().PAGES["losses.md"]()
    assert "| `fastmlp.Huber` | `delta` | `1` | a finite number above 0 | Above 0. |" in text
    assert "| `fastmlp.Quantile` | `quantiles` | `(0.1, 0.5, 0.9)` | float, sequence or array of float | Each" in text


# --- formulas of activations and losses are evaluated as they are written

ARITHMETIC = {
    "__builtins__": {}, "e": np.e, "pi": np.pi, "max": max, "min": min, "abs": abs, "sum": sum, "erf": math.erf,
    **{name: getattr(np, name) for name in ("log", "cosh", "tanh", "sqrt")},
}  # fmt: skip


def as_python(formula):
    """The formula, and those of the names that it explains."""
    formula = formula.rpartition(": ")[2]  # after words
    formula, _, explained = re.split("; | of the ", formula)[0].partition(", with ")
    return code_of(formula), {name: code_of(text) for name, text in re.findall("(.) = (.*)", explained)}


def code_of(formula):
    text = re.sub(r"\|(.*?)\|", r"abs(\1)", formula.replace("^", "**").replace("...", ""))
    text = re.sub(r"sqrt (\w+)", r"sqrt(\1)", text)
    text = re.sub(r"sum_. (.*)", r"sum(\1)", text)
    return re.sub(r"(?<=[\w)]) (?!if|else)(?=[\w(])(?<!if )(?<!else )", " * ", text)  # what stands side by side


def value_of(formula, names):
    text, explained = as_python(formula)
    names = ARITHMETIC | names
    return eval(text, names | {name: eval(code, names) for name, code in explained.items()})


def settings_of(row):
    return {f.name: f.default for f in fields(row.settings)} if row.settings else {}


def straight(size, **options):
    """A network whose weighted sums are its inputs."""
    network = fastmlp.NeuralNetwork([size, size], dtype="float64", backend="reference", **options)
    network.layers[0].weights, network.layers[0].biases = np.eye(size), np.zeros(size)
    return network


Z = [-4.1, -1.9, -0.7, -0.2, 0.3, 0.8, 1.7, 4.3, 6.5]


@pytest.mark.parametrize("row", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_the_formulas_of_activations_are_what_they_do(row):
    tolerance = 1e-4 if "..." in row.formula else 1e-12
    if row.rowwise:
        expected = value_of(row.formula, {"z_j": np.array(Z), "z_k": np.array(Z)})
        np.testing.assert_allclose(
            straight(len(Z), output_activation=row.name).predict([Z])[0], expected, rtol=tolerance
        )
        return
    expected = [value_of(row.formula, {"z": z, **settings_of(row)}) for z in Z]
    got = straight(1, output_activation=row.name).predict([[z] for z in Z])[:, 0]
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=1e-15)


@pytest.mark.parametrize("row", [row for row in LOSSES.values() if row.public], ids=lambda row: row.name)
def test_the_formulas_of_losses_are_what_they_do(row):
    if row.targets == "classes":
        z, y = np.array([0.3, -1.2, 2.0]), np.array([0.2, 0.7, 0.1])
        network = straight(3, loss=row.name)
        expected = value_of(row.formula, {"a_j": network.predict([z])[0], "y_j": y, **settings_of(row)})
        assert network.evaluate([z], [y]) == pytest.approx(expected, rel=1e-12)
        return
    targets = {"signs": [-1.0, 1.0], "probabilities": [0.0, 0.3, 1.0]}.get(row.targets, [0.4, 2.0])
    for z, y in product(Z, targets):
        if row.name == "gaussian_negative_log_likelihood":
            got, names = straight(2, loss=row.name).evaluate([[z, 0.7]], [[y]]), {"a": z, "s": 0.7}
        else:
            loss = fastmlp.Quantile(0.3) if row.name == "quantile" else row.name
            network = straight(1, loss=loss)
            got, names = network.evaluate([[z]], [[y]]), {"q": 0.3, "z": z, "a": network.predict([[z]])[0, 0]}
        assert got == pytest.approx(value_of(row.formula, {"y": y, **settings_of(row), **names}), rel=1e-9)


def test_a_wrong_formula_is_found():
    assert value_of("1 / (1 + e^-z)", {"z": 2.0}) != pytest.approx(value_of("1 / (1 + e^z)", {"z": 2.0}))
    assert as_python("-alpha y (1 - a)^2 log(a), with a = e^z") == ("-alpha * y * (1 - a)**2 * log(a)", {"a": "e**z"})
    assert as_python("q * |d| if y > a else sqrt 2 (q - 1)")[0] == "q * abs(d) if y > a else sqrt(2) * (q - 1)"


# --- the formulas of optimizers are executed as they are written

CHOSEN = {
    "momentum": fastmlp.SGD(0.1, momentum=0.8),
    "nesterov": fastmlp.SGD(0.1, momentum=0.8, nesterov=True),
    "rmsprop_momentum": fastmlp.RMSprop(0.1, momentum=0.8),
    "classical_momentum": ClassicalSGD(0.1, momentum=0.8, nesterov=False),
    "classical_nesterov": ClassicalSGD(0.1, momentum=0.8),
    "adam_corrected_by_rate": AdamCorrectedByRate(0.1),
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
    mistaken = text.replace("w -= ", "w -= 0.001 * g + ")
    assert by_the_text(mistaken, optimizer, gradients) != pytest.approx(wanted, rel=1e-5)
