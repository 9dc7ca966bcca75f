"""The programs of `python -m robustness` run, and each finds a fault that is planted, as do their processes."""

import os
import re
import sys
import types

import numpy as np
import pytest
from robustness import PROGRAMS, __main__, files, interrupts, networks, refusals, runner, tables, threads
from robustness.faults import Fault

from fastmlp import NeuralNetwork
from fastmlp.cli import commands
from fastmlp.files import archive, writing
from fastmlp.kernels.backends.reference import ReferenceExecutor
from fastmlp.kernels.runtime.executor import Executor
from fastmlp.kernels.runtime.training import TrainingPlan


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_few_cases_of_each(name):
    result = runner.run(f"robustness.{name}", 0, cases=8)
    assert result.faults == []
    assert result.cases == 8


def found(case, message, cases=200):
    """A case finds the fault."""
    with pytest.raises((Fault, ValueError), match=message):
        run(case, cases)


def run(case, cases):
    for seed in range(cases):
        case(np.random.default_rng(seed))


def test_networks_find_a_wrong_gradient(monkeypatch):
    right = Executor.gradient

    def gradient(self, *arguments):
        loss, vector = right(self, *arguments)
        return loss, vector * 1.001

    assert not issubclass(ReferenceExecutor, Executor)
    monkeypatch.setattr(Executor, "gradient", gradient)
    found(networks.computes, "'gradient': ")


def test_networks_find_results_that_depend_on_threads(monkeypatch):
    def assign(self, value):
        self._threads = value
        if value == 3:
            self.parameters = np.nextafter(self.parameters, 9, dtype=self.dtype)

    monkeypatch.setattr(NeuralNetwork, "threads", property(lambda self: self._threads, assign))
    found(networks.any_threads, "3 threads instead of 1, ")


def test_refusals_find_an_error_from_within(monkeypatch):
    right = NeuralNetwork.evaluate

    def evaluate(self, X, y, sample_weight=None):
        try:
            return right(self, X, y, sample_weight)
        except TypeError:
            return [][0]

    monkeypatch.setattr(NeuralNetwork, "evaluate", evaluate)
    found(refusals.case, "^network.evaluate with .* raised IndexError: ", cases=2000)


def test_refusals_find_what_is_changed_all_the_same(monkeypatch):
    right = NeuralNetwork.train

    def train(self, *arguments, **named):
        self.parameters = self.parameters * 2
        return right(self, *arguments, **named)

    monkeypatch.setattr(NeuralNetwork, "train", train)
    network = NeuralNetwork([3, 4, 2], seed=0)
    before, outputs = refusals.everything(network), network.predict(refusals.X).tobytes()
    with pytest.raises(ValueError, match="l2"):
        network.train(refusals.X, refusals.Y, 1, l2=-1)
    with pytest.raises(Fault, match="refused, and the network is another"):
        refusals.finished(network, "network.train", "refused", before, outputs, "train with l2=-1")


def test_interrupts_find_files_that_are_written_in_place(monkeypatch):
    def replace(path, pieces):
        """By a descriptor: a file object that an interrupt leaves open would complain, at a moment of its own."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            for piece in pieces:
                os.write(handle, piece)
        finally:
            os.close(handle)

    monkeypatch.setattr(writing, "replace", replace)
    found(interrupts.saves, r"neither the old nor the new|saved by fastmlp", cases=3000)


def test_files_find_checksums_that_nobody_looks_at(monkeypatch, tmp_path):
    monkeypatch.setattr(archive, "zlib", types.SimpleNamespace(crc32=lambda *_: 0))

    def case(draw):
        files.damaged(draw, tmp_path / "network.npz")

    found(case, "a damaged file gives another network")


def test_threads_find_a_vector_that_kernels_write_to(monkeypatch):
    right = TrainingPlan.begin

    def begin(self, X, y, parameters, *rest):
        right(self, X, y, parameters, *rest)
        self._parameters = parameters
        self["canonical"] = parameters

    monkeypatch.setattr(TrainingPlan, "begin", begin)
    found(threads.case, "is of no moment of the training|trained while other threads read|a thread that read failed")


def test_tables_find_a_row_without_a_prediction(monkeypatch):
    right = commands.format_table
    monkeypatch.setattr(commands, "format_table", lambda names, rows: right(names, rows[:-1]))
    found(tables.case, r"^\d+ predictions for \d+ rows")


def test_tables_find_an_error_of_two_lines(monkeypatch):
    monkeypatch.setattr(tables, "main", lambda arguments: sys.stderr.write("fastmlp: error: a\nb\n") and 2)
    found(tables.case, "not one line on stderr")


# --- the processes

FAKE = """
import os, signal, time
def case(draw):
    kind = draw.integers(2**32) and int(os.environ["KIND"])
    if kind == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == 2:
        time.sleep(1000)
    if kind == 3:
        os._exit(7)
    if kind == 4:
        raise KeyError("many\\nlines")
    return "done"
"""


@pytest.mark.parametrize(
    ("kind", "text"),
    [(1, "the process died of SIGSEGV|exit code"), (2, "hangs: nothing came of it for 1 seconds"),
     (3, "the process ended with exit code 7"), (4, r"KeyError: 'many\\nlines' \(fake.py:12\)")],
)  # fmt: skip
def test_crashes_and_hangs_are_faults_with_their_seeds(kind, text, tmp_path, monkeypatch):
    (tmp_path / "fake.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KIND", str(kind))
    result = runner.run("fake", 40, cases=2, patience=1.0)
    assert [seed for seed, _, _ in result.faults] == [40, 41]
    assert all(re.match(text, told) for _, told, _ in result.faults)
    assert result.cases == 2


def test_time_is_kept(tmp_path, monkeypatch):
    (tmp_path / "fake.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KIND", "0")
    result = runner.run("fake", 0, seconds=0.2)
    assert result.faults == []
    assert result.counts["done"] == result.cases > 0


@pytest.mark.parametrize("faults", [[], [(7, "something is wrong", "a traceback")]])
def test_the_command_says_how_to_reproduce_a_fault(faults, monkeypatch, capsys):
    asked = []

    def run(module, first, *, cases, seconds):
        asked.append((module, first, cases, seconds))
        return runner.Result(runner.Counter({"trained": 3}), faults, 1.0)

    monkeypatch.setattr(runner, "run", run)
    code = __main__.main(["--minutes", "1", "--seed", "7", "--only", "files", "--only", "tables", "--cases", "1"])
    assert code == bool(faults)
    assert asked == [("robustness.files", 7, 1, 30.0), ("robustness.tables", 7, 1, 30.0)]
    lines = capsys.readouterr().out.splitlines()
    told = f"files      {3 + len(faults)} cases in 1 s: 3 trained; {len(faults)} faults"
    assert lines[:2] == ["seed 7, 1 minutes", told]
    if faults:
        again = "        python -m robustness --only files --seed 7 --cases 1"
        assert lines[2:5] == ["    something is wrong", again, "a traceback"]
