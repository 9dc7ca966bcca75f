"""The README and the pages that it links to mention everything; its examples print what they say."""

import importlib.util
import inspect
import re

import pages
import pytest

import fastmlp
import fastmlp.datasets
import fastmlp.guide
import fastmlp.introduction
import fastmlp.plot
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.initializers import INITIALIZERS
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.normalization import NORMALIZATIONS
from fastmlp.kernels.functions.optimizers import OPTIMIZERS
from fastmlp.training.metrics import METRICS

README = pages.PAGES["README.md"]
LINKED = sorted({"README.md", *pages.linked(README, "README.md")} & set(pages.PAGES))
WORDS = set(re.findall(r"\w+", " ".join(pages.PAGES[name] for name in LINKED)))
TABLES = {
    "activations": ACTIVATIONS, "initializers": INITIALIZERS, "normalizations": NORMALIZATIONS, "metrics": METRICS,
    "optimizers": [*OPTIMIZERS, "lbfgs"], "losses": [name for name, row in LOSSES.items() if row.public],
}  # fmt: skip


def test_examples_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in pages.blocks(README, "python"):
        exec(block, names)
    accuracy, stopped, of_pipeline, *_ = capsys.readouterr().out.splitlines()
    assert float(accuracy) > 0.88
    assert re.match(r".*\. \d+ 0\.9\d+$", stopped)
    assert names["history"].epochs < 500  # it stops early
    assert float(of_pipeline) > 0.88


def test_every_page_of_docs_is_linked():
    there = {path.relative_to(pages.ROOT).as_posix() for path in (pages.ROOT / "docs").glob("*.md")}
    assert there <= set(LINKED)
    assert {"CONTRIBUTING.md", "benchmarks/README.md"} <= set(LINKED)


@pytest.mark.parametrize("table", TABLES)
def test_every_name_of_the_tables_is_there(table):
    assert set(TABLES[table]) - WORDS == set()


@pytest.mark.parametrize(
    "module", [fastmlp, fastmlp.datasets, fastmlp.plot, fastmlp.introduction, fastmlp.guide], ids=lambda m: m.__name__
)
def test_every_public_name_is_there(module):
    names = {name for name in module.__all__ if not hasattr(module, "deriv_sigmoid") or name[0].isupper()}
    assert names - WORDS == set()


def test_every_method_and_argument_is_there():
    methods = {name for name in dir(fastmlp.NeuralNetwork) if not name.startswith("_")}
    arguments = {
        argument
        for function in (fastmlp.NeuralNetwork, fastmlp.NeuralNetwork.train)
        for argument in inspect.signature(function).parameters
    }
    assert (methods | arguments) - {"self"} - WORDS == set()


def test_estimators_are_there():
    sklearn = pytest.importorskip("fastmlp.sklearn", reason="scikit-learn is not installed", exc_type=ImportError)
    assert set(sklearn.__all__) - WORDS == set()


def test_rows_of_speed_are_those_of_the_benchmarks():
    head = "| job | fastmlp | best peer | its time | ratio |"
    rows = README.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    assert len(rows) == 5
    for row in rows:
        assert f"\n{row}" in pages.PAGES["benchmarks/README.md"].replace(" |\n", " |\n")


def test_numbers_in_words_are_those_of_the_benchmarks():
    text = pages.PAGES["benchmarks/README.md"]
    step = next(line for line in text.splitlines() if line.startswith("| train 64-32-10 relu"))
    row = next(line for line in text.splitlines() if line.startswith("| one row through a predictor, 4-32-32-1"))
    for number in ("2.28 µs", "57.8 µs", "106 µs"):
        assert number in README
        assert f"| {number}" in step
    for number in ("0.0968 µs", "7.8 µs"):
        assert number in README
        assert f"| {number}" in row


def test_its_script_draws_the_picture(pyplot, tmp_path, monkeypatch):
    path = pages.ROOT / "docs/images/spirals.py"
    spec = importlib.util.spec_from_file_location("spirals", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "__file__", str(tmp_path / "spirals.py"))
    script.main()
    drawn, kept = (pyplot.imread(folder / "spirals.png") for folder in (tmp_path, path.parent))
    assert drawn.shape == kept.shape
    assert abs(drawn - kept).mean() < 0.05  # fonts and versions of Matplotlib may differ
    assert path.with_suffix(".png").stat().st_size < 60_000
    assert "docs/images/spirals.png" in README
