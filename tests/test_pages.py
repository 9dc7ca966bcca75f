"""The pages that people read: their examples run, and the files, commands and names that they mention exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

RUNNING = [name for name, text in pages.PAGES.items() if pages.blocks(text, "python")]


def run(text, request):
    """Run the Python blocks of a page, one after the other in one namespace; the namespace."""
    names = {"__name__": "__main__"}
    if "plot." in text:
        request.getfixturevalue("pyplot")
    for block in pages.blocks(text, "python"):
        exec(block, names)
    return names


@pytest.mark.parametrize("name", RUNNING)
def test_examples_run(name, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(pages.PAGES[name], request)


def test_a_wrong_example_fails(request):
    with pytest.raises(ZeroDivisionError):
        run("A page.\n\n```python\nx = 0\n```\n\n```python\n1 / x\n```\n", request)


def test_there_are_examples():
    assert {"README.md", "docs/networks.md", "docs/training.md", "docs/estimators.md"} <= set(RUNNING)
    for name, text in pages.PAGES.items():
        assert len(pages.blocks(text, "python")) == text.count("```python"), name


def test_code_that_is_to_be_typed_elsewhere_is_python():
    found = [block for text in pages.PAGES.values() for block in pages.blocks(text, "py")]
    assert found
    for block in found:
        compile(block, "page", "exec")


def commands(text):
    """Shell commands that neither install nor take long, for the environment of the tests."""
    found = []
    for block in pages.blocks(text, "sh"):
        lines = [line for line in block.splitlines() if not re.search(r"/pip |-m venv|demo$", line)]
        found += lines if any(line.startswith(".venv/bin/") for line in lines) else []
    return "\n".join(found)


@pytest.mark.skipif(not Path(sys.prefix, "bin/fastmlp").exists(), reason="there is no such environment")
def test_shell_commands_of_the_readme_run(tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = commands(pages.PAGES["README.md"])
    assert script.count(".venv/bin/fastmlp") == 2
    result = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"held-out accuracy: 9\d\.\d%", result.stdout)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + 1797


@pytest.mark.parametrize("name", pages.PAGES)
def test_what_is_mentioned_exists(name):
    assert pages.complaints(name, pages.PAGES[name]) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](docs/nothing.md)", "link: docs/nothing.md"),
        ("[a](docs/memory.md#nothing)", "anchor: docs/memory.md#nothing"),
        ("the file `kernels/layers/nothing.py`", "file: kernels/layers/nothing.py"),
        ("pip install '.[sklearn,nothing]'", "extra: nothing"),
        ("pip install --group nothing", "group: nothing"),
        ("nox -s lint nothing", "session: nothing"),
        ("`fastmlp nothing`", "command: fastmlp nothing"),
        ("```sh\n.venv/bin/fastmlp train a.csv --nothing\n```", "option: fastmlp train --nothing"),
        ("python docs/nothing.py", "script: docs/nothing.py"),
        ("python -m kernels.nothing", "script: kernels.nothing"),
        ("`python benchmarks/compare.py --nothing`", "option: benchmarks/compare.py --nothing"),
        ("FASTMLP_NOTHING=1", "variable: FASTMLP_NOTHING"),
        ("`fastmlp.plot.nothing`", "name: fastmlp.plot.nothing"),
        ("```diff\n--- LICENSE\n+new\n nothing of it\n```\n", "diff: --- LICENSE nothing of it"),
        ("1. A step:\n\n   ```diff\n   --- nothing\n   +new\n    old\n   ```\n", "diff: --- nothing old"),
    ],
)
def test_what_does_not_exist_is_found(text, complaint):
    assert complaint in pages.complaints("README.md", text)


def test_lines_of_the_readme_are_short_and_few():
    lines = pages.PAGES["README.md"].splitlines()
    assert len(lines) < 200
    assert [line for line in lines if len(line) > 120] == []
