"""Write a page for each table of fastmlp's into this folder, from the tables' own rows.

    python docs/tables.py

A test compares the pages with what the tables render: after a change of a row, run this and commit both.
"""

import inspect
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fastmlp.kernels.base.settings import Settings
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.function import numbers_of
from fastmlp.kernels.functions.initializers import INITIALIZERS
from fastmlp.kernels.functions.losses import LOSSES, TARGET_KINDS, LossRow
from fastmlp.kernels.functions.normalization import NORMALIZATIONS
from fastmlp.kernels.functions.optimizer_formulas import FORMULAS
from fastmlp.kernels.functions.optimizers import OPTIMIZERS
from fastmlp.training import schedules
from fastmlp.training.lbfgs import LBFGS
from fastmlp.training.metrics import METRICS, Metric, suited_metrics

NOTE = "<!-- Written by docs/tables.py: change the tables, not this file. -->"

# --- Markdown


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def page(title: str, *parts: str) -> str:
    return "\n\n".join([NOTE, f"# {title}", *(part for part in parts if part)]) + "\n"


def listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


# --- what docstrings and fields say


def sections(cls: type) -> dict[str, str]:
    """The parts of a docstring by their titles; what comes before the first title is under ""."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], (" ".join(part.split()) for part in parts[::2]), strict=True))


def described(cls: type) -> str:
    return sections(cls)[""]


def source_of(cls: type) -> str:
    return sections(cls).get("References", "")


def parameters(cls: type) -> dict[str, tuple[str, str]]:
    """The type and the meaning of each parameter, by the docstring."""
    text = (inspect.getdoc(cls) or "").partition("Parameters\n")[2]
    text = re.split(r"^\w+\n-+\n", text, flags=re.MULTILINE)[0]
    found = {}
    for names, kind, meaning in re.findall(r"^(\S.*?) : (.*)\n((?: +.*\n?)*)", text, flags=re.MULTILINE):
        for name in names.split(", "):
            found[name] = kind.partition(", default")[0], " ".join(meaning.split())
    return found


def number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else repr(value)


def settings_table(classes: Iterable[type[Settings]]) -> str:
    """Every setting with its default, the rule that it must keep, or its type, and its meaning."""
    rows = []
    for cls in classes:
        documented = parameters(cls)
        for f in fields(cls):
            kind, meaning = documented[f.name]
            rule = f.metadata.get("rule", kind)
            rows.append([code(f"fastmlp.{cls.__name__}"), code(f.name), code(number(f.default)), rule, meaning])
    return "## Settings\n\n" + table(["object", "setting", "default", "must be", "meaning"], rows)


def sources_list(sources: dict[str, str]) -> str:
    """Each source once, with all that it stands behind."""
    names: dict[str, list[str]] = {}
    for name, source in sources.items():
        if source:
            names.setdefault(source, []).append(name)
    return "## Sources\n\n" + "\n".join(f"- {listed(those)}: {source.rstrip('.')}." for source, those in names.items())


# --- the pages


def activations() -> str:
    rows = [
        [
            code(row.name), code(row.formula), row.range, row.kink or "none",
            "output layers" if row.rowwise else "all layers", code(row.initializer),
        ]
        for row in ACTIVATIONS.values()
    ]  # fmt: skip
    return page(
        "Activations",
        "`NeuralNetwork([...], activation=name)` for hidden layers, `output_activation=name` for the last one. Here z "
        "is the weighted sum of a neuron. At a kink, where the derivative jumps, it is taken as the table says.",
        table(["name", "a", "range", "derivative at kinks", "for", "initial weights"], rows),
        settings_table(row.settings for row in ACTIVATIONS.values() if row.settings),
        sources_list({row.name: row.source for row in ACTIVATIONS.values()}),
    )


def losses() -> str:
    public = [row for row in LOSSES.values() if row.public]
    rows = [
        [
            code(row.name), code(row.formula), mean_over(row), row.kink or "none", code(row.output_activation),
            also_allowed(row), targets(row), outputs(row),
        ]
        for row in public
    ]  # fmt: skip
    header = [
        "name", "of one output or sample", "mean over", "derivative at kinks", "output activation", "also allowed",
        "targets", "outputs for each target",
    ]  # fmt: skip
    return page(
        "Losses",
        "`NeuralNetwork([...], loss=name)`. Here a is the output of the network, z its weighted sum and y the target. "
        "A loss with no other output activation than its own is computed from the weighted sums, without overflow.",
        table(header, rows),
        settings_table(row.settings for row in public if row.settings),
        sources_list({row.name: row.source for row in public}),
    )


def mean_over(row: LossRow) -> str:
    return f"samples and {row.mean_over}" if row.mean_over else "samples"


def also_allowed(row: LossRow) -> str:
    if row.allowed is None and not row.on_logits:
        return "any"
    return listed(row.allowed or ()) or "none"


def targets(row: LossRow) -> str:
    if row.targets == "classes":
        return "labels from 0 on, or rows of probabilities"
    kind = TARGET_KINDS[row.targets]
    return row.targets if kind is None else f"numbers {kind[0]}"


def outputs(row: LossRow) -> str:
    if row.targets == "classes":
        return "1 for each class"
    count = row.outputs_per_target(numbers_of(LOSSES, row.name))
    return f"{count} by default" if row.settings and count > 1 else str(count)


def optimizers() -> str:
    rows, sources = [], {}
    for name, cls in OPTIMIZERS.items():
        sources[name] = source_of(cls)
        for formula in (name, *cls.variants):
            row, used = FORMULAS[formula], code(cls.variants.get(formula, ""))
            used = used or ("otherwise" if cls.variants else "always")
            rows.append([code(name), used, formula_of(row.text), listed(row.slots) or "none"])
    sources[LBFGS.name] = source_of(LBFGS)
    about = [f"- {code(name)}: {described(cls)}" for name, cls in [*OPTIMIZERS.items(), (LBFGS.name, LBFGS)]]
    return page(
        "Optimizers",
        "`network.train(X, y, epochs, optimizer=name)`, or an object with other settings. Here w are the parameters, g "
        "is the gradient, and t = 1, 2, ... counts the updates; vectors of the state are zero in the beginning.",
        table(["name", "when", "an update", "state"], rows),
        "\n".join(about),
        settings_table([*OPTIMIZERS.values(), LBFGS]),
        sources_list(sources),
    )


def formula_of(text: str) -> str:
    """A line for each step of a formula."""
    return "<br>".join(code(step) for step in text.split("; "))


def schedule_classes() -> list[type[schedules.RateSchedule]]:
    """All that users make."""
    return [cls for cls in schedules.RateSchedule.__subclasses__() if cls is not schedules.Called]


def learning_rates() -> str:
    rows = [[code(f"fastmlp.{cls.__name__}"), described(cls), code(cls.formula)] for cls in schedule_classes()]
    return page(
        "Schedules",
        "`network.train(X, y, epochs, learning_rate=schedule)`, or any function of the epoch's number. Epochs count "
        "from 0 and updates from 1, those of earlier calls of `train` included.",
        table(["schedule", "what it does", "rate"], rows),
        settings_table(schedule_classes()),
        sources_list({cls.__name__: source_of(cls) for cls in schedule_classes()}),
    )


def initializers() -> str:
    rows = [
        [
            code(row.name), row.variance, "zeros" if row.biases is None else "as weights",
            listed(a.name for a in ACTIVATIONS.values() if a.initializer == row.name),
        ]
        for row in INITIALIZERS.values()
    ]  # fmt: skip
    return page(
        "Initializers",
        "`NeuralNetwork([...], initializer=name)`, or a list with one for each layer. Weights have mean zero and the "
        "variance below, from a normal or a uniform distribution as the name says.",
        table(["name", "variance of a weight", "biases", "the default for"], rows),
        sources_list({row.name: row.source for row in INITIALIZERS.values()}),
    )


def normalizations() -> str:
    rows = [
        [
            code(row.name),
            code(f"{row.settings.__name__}({settings_shown(row.settings)})"),
            row.formula,
            "; ".join(f"{name.replace('_', ' ')}, at first {value:g}" for name, value in row.vectors.items()),
        ]
        for row in NORMALIZATIONS.values()
    ]
    return page(
        "Normalizations",
        "`NeuralNetwork(..., normalization=name)`, or one for each hidden layer, or None. z are a layer's weighted "
        "sums without biases; what is normalized goes to the activation. Means and variances by batch are those of "
        "training: the running ones, which are in their place elsewhere, go the share `momentum` of the way towards "
        "each batch's.",
        table(["name", "with settings", "what the activation takes", "what a layer has beside biases"], rows),
        sources_list({row.name: row.source for row in NORMALIZATIONS.values()}),
    )


def settings_shown(cls: type[Settings]) -> str:
    return ", ".join(f"{field.name}={field.default!r}" for field in fields(cls))


def metrics() -> str:
    rows = [
        [code(row.name), row.formula, "greater" if row.greater_is_better else "less", listed(losses_of(row))]
        for row in METRICS.values()
    ]
    return page(
        "Metrics",
        "`network.train(X, y, epochs, metrics=name)`, or a function of (y, outputs). Here a are the outputs of the "
        "network and y the targets; the answer is the class of the largest output, or for yes and no whether an output "
        "is above 0.5.",
        table(["name", "value", "better is", "for losses"], rows),
        sources_list({row.name: row.source for row in METRICS.values()}),
    )


def losses_of(metric: Metric) -> list[str]:
    return [row.name for row in LOSSES.values() if row.public and metric.name in suited_metrics(row.name)]


PAGES = {
    "activations.md": activations,
    "losses.md": losses,
    "optimizers.md": optimizers,
    "schedules.md": learning_rates,
    "initializers.md": initializers,
    "metrics.md": metrics,
    "normalizations.md": normalizations,
}


if __name__ == "__main__":
    for name, render in PAGES.items():
        Path(__file__).with_name(name).write_text(render(), encoding="utf-8")
