"""Random tables through `fastmlp train` and `fastmlp predict`: exit code 0, or 2 and one line on stderr."""

import contextlib
import csv
import io
import tempfile
from pathlib import Path

from fastmlp.cli.cli import main
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.optimizers import OPTIMIZERS

from .drawing import chance, pick
from .faults import Fault, check

TEXTS = [
    "a, b", 'say "x"', "two\nlines", "two\r\nlines", "ünï", "漢字", "=1+1", " blank ", "\u2028", "x;y|z\tw",
]  # fmt: skip
FULL_WIDTH = "\uff11\uff12"  # digits
ODD_NUMBERS = [
    "nan", "inf", "-inf", "1e999", "1_000", "0x10", FULL_WIDTH, "+5", "1e5", ".5", "5.", "--1", "1 2", "1/2",
]  # fmt: skip
COLUMNS = {  # kinds of columns: a cell of one
    "number": lambda draw: f"{draw.normal():.4g}",
    "whole number": lambda draw: str(draw.integers(-5, 50)),
    "large number": lambda draw: f"{draw.normal():.17g}e{draw.integers(-320, 309)}",
    "decimal comma": lambda draw: f"{draw.normal():.3f}".replace(".", ","),
    "thousands": lambda draw: f"{draw.integers(10**7):,}",
    "code": lambda draw: f"{draw.integers(50):03d}",
    "category": lambda draw: pick(draw, ["red", "green", "blue"]),
    "flag": lambda draw: pick(draw, ["yes", "no"]),
    "zero or one": lambda draw: str(draw.integers(2)),
    "truth": lambda draw: pick(draw, ["True", "False", "true"]),
    "date": lambda draw: f"2024-{draw.integers(1, 13):02d}-{draw.integers(1, 29):02d}",
    "constant": lambda draw: "5",
    "nearly constant": lambda draw: pick(draw, ["0.1", "0.1000000000000001"]),
    "text": lambda draw: pick(draw, TEXTS),
    "identity": lambda draw: draw.bytes(6).hex(),
    "odd number": lambda draw: pick(draw, ODD_NUMBERS),
    "mixed": lambda draw: pick(draw, ["1", "2.5", "x", "nan", "007"]),
    "empty": lambda draw: "",
    "long": lambda draw: "9" * int(draw.integers(1, 5000)),
}  # fmt: skip
NAMES = ["a", "b", "x y", "ä", "Target", "0", "1e5", " a", "a,b", 'q"q', "n\nn", "-x", "--target", "nan", "", "a", "名"]
ENCODINGS = ["utf-8"] * 8 + ["utf-8-sig", "utf-16", "latin-1", "utf-16-le", "utf-32"]


def table(draw, tame):
    """Names of columns and rows of cells; tame: such that a network can be trained on them."""
    width = int(draw.integers(1 + tame, 7))
    length = int(pick(draw, [10, 40, draw.integers(4, 120), *([] if tame else [0, 1, 2, 3])]))
    usual = ["number", "number", "whole number", "category", "flag", "zero or one"]
    kinds = [pick(draw, usual if chance(draw, 0.9 if tame else 0.6) else COLUMNS) for _ in range(width)]
    names = [f"c{i}" if tame or chance(draw, 0.8) else pick(draw, NAMES) for i in range(width)]
    missing = 0 if tame else pick(draw, [0, 0, 0, 0.05, 0.3])
    odd = 0 if tame else pick(draw, [0, 0, 0, 0.02])

    def cell(kind):
        if chance(draw, missing):
            return pick(draw, ["", "NA", "?", "null"])
        return COLUMNS[pick(draw, COLUMNS) if chance(draw, odd) else kind](draw)

    return names, [[cell(kind) for kind in kinds] for _ in range(length)]


def written(draw, path, names, rows, plain=False):
    """Write a table in one of the ways that there are; some are wrong."""
    stream = io.StringIO()
    delimiter = pick(draw, [",", ",", ",", ";", "\t", "|", ":"])
    quoting = pick(draw, [csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    lines = pick(draw, ["\n", "\n", "\r\n", "\r"])
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=lines)
    writer.writerows([names, *rows])
    text = stream.getvalue()
    if not plain and chance(draw, 0.2):
        place = int(draw.integers(len(text) + 1))
        hurt = pick(draw, ['"', "\0", delimiter, "\n", "\r", "\ufeff", "'", "\x1a", "\\", "\ud800", lines * 3, " "])
        text = text[:place] + hurt + text[place + int(draw.integers(2)) :]
    data = text.encode("utf-8" if plain else pick(draw, ENCODINGS), errors="replace")
    if not plain and chance(draw, 0.05):
        data = data[: draw.integers(len(data) + 1)] + draw.bytes(3)
    path.write_bytes(data)
    return delimiter


def run(*arguments):
    """What the program says, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as error:
            raise Fault(f"the program left by SystemExit({error.code}) for {arguments}") from None
    said = err.getvalue()
    check(code in (0, 2), f"exit code {code} for {arguments}")
    if code == 2:
        one = said.startswith("fastmlp: error: ") and said.endswith("\n") and len(said.splitlines()) == 1
        check(one and len(said) < 2000, f"not one line on stderr: {said[:500]!r}")
    else:
        notes = all(line.startswith("fastmlp: note: ") for line in said.splitlines())
        check(notes, f"something on stderr, though all is well: {said[:500]!r}")
    return code, out.getvalue()


def options_of(draw, names, delimiter, tame):
    """Of `fastmlp train`; tame: those that are right."""
    target = pick(draw, names) if tame or chance(draw, 0.9) else pick(draw, NAMES)
    options = ["--target", target] if not target.startswith("-") else [f"--target={target}"]
    options += ["--epochs", pick(draw, ["1", "2"] if tame else ["1", "2", "3", "0", "x"])]
    choices = {  # right values, and wrong ones
        "--optimizer": ([*OPTIMIZERS, "lbfgs"], ["x"]),
        "--activation": ([name for name, row in ACTIVATIONS.items() if not row.rowwise], ["softmax", "x"]),
        "--hidden": (["1", "8,8", "64", "3,3,3,3"], ["0", "", "x", "5,"]),
        "--task": (["classification", "regression"], ["x"]),
        "--ignore": (names, NAMES),
        "--text": (names, NAMES),
        "--number": (names, NAMES),
        "--batch-size": (["1", "7", "1000"], ["0", "-1", FULL_WIDTH]),
        "--learning-rate": (["0.01", "1e-9"], ["1e30", "0", "nan", "1e999"]),
        "--test-fraction": (["0", "0.5", "0.9"], ["0.999", "1", "-0.1", "nan"]),
        "--seed": (["0", "5"], ["9" * 50, "-1"]),
        "--delimiter": ([delimiter], ["tab", ",", "", '"', "ab", "é"]),
    }
    for option, (right, wrong) in choices.items():
        if chance(draw, 0.15):
            options.append(f"{option}={pick(draw, right if tame or chance(draw, 0.5) else wrong)}")
    return options


def case(draw):
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        data, model, output = here / "data.csv", here / "model.npz", here / "output.csv"
        tame = chance(draw, 0.6)
        names, rows = table(draw, tame)
        delimiter = written(draw, data, names, rows, plain=tame or chance(draw, 0.5))
        code, _ = run("train", data, "--save", model, *options_of(draw, names, delimiter, tame))
        check(code == 2 or model.exists(), "trained, and nothing saved")
        check(code == 0 or not model.exists(), "refused, and something saved")
        if code == 2:
            return "refused"
        if predictions(model, data) == 2:
            return "trained"
        again = here / "again.csv"  # the same rows, and fewer, in another way
        chosen = [row for row in rows if chance(draw, 0.7)] or rows
        written(draw, again, names, chosen, plain=chance(draw, 0.7))
        code, _ = run("predict", model, again, "--output", output)
        check(code == 0 or not output.exists(), "refused, and something written")
        return "predicted"


def predictions(model, data):
    """The exit code; one prediction for each row of the table, as fastmlp itself reads it, and the same twice."""
    from fastmlp.tables.reading import read_table

    code, text = run("predict", model, data)
    if code == 0:
        lines = list(csv.reader(io.StringIO(text, newline="")))
        rows = len(read_table(str(data)))
        check(len(lines) == 1 + rows, f"{len(lines) - 1} predictions for {rows} rows")
        check(run("predict", model, data) == (code, text), "predictions of the same table differ")
    return code
