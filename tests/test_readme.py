"""The README's examples run, one after the other, and its table of the house has every module."""

import re
from pathlib import Path

import fastmlp

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks():
    return re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks():
        exec(block, names)
    accuracy, stopped, *_ = capsys.readouterr().out.splitlines()
    assert float(accuracy) > 0.88
    assert re.match(r".*\. \d+ 0\.9\d+$", stopped)


def test_there_are_examples():
    assert len(blocks()) == README.count("```python") > 4


def test_every_page_of_docs_is_linked():
    assert set(re.findall(r"\(docs/([\w-]+\.md)\)", README)) == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_every_name_of_the_tables_is_there():
    from fastmlp.kernels.functions.activations import ACTIVATIONS
    from fastmlp.kernels.functions.losses import LOSSES
    from fastmlp.kernels.functions.optimizers import OPTIMIZERS

    words = set(re.findall(r"\w+", README))
    assert words >= {*ACTIVATIONS, *OPTIMIZERS, *(name for name, row in LOSSES.items() if row.public)}


def test_every_module_of_training_has_its_place():
    table = README.partition("| where | what |")[2].partition("\n\n")[0]
    named = set(re.findall(r"(\w+)\.pyx?`", table))
    folder = Path(fastmlp.__file__).parent
    neighbors = {  # of the command line and of the drop-ins, and what is too small to mention
        "__init__", "__main__", "cells", "checksums", "commands", "config", "constancy", "datasets", "demo", "dropins",
        "plain", "progress", "splitting", "tables", "tabular",
    }  # fmt: skip
    assert {path.stem for path in folder.glob("*.py")} - neighbors <= named
