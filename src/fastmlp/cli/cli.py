"""The console command: what can be asked of it, and how it ends when something is wrong."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..tables.cells import number, shown
from . import commands, demo

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # the last two are a shell's 128 + signal number


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} ({self.prog} --help tells more)")


class _Version(argparse.Action):
    """The option --version, which asks for the version only if it is given: to look that up takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import fastmlp

        print(f"fastmlp {fastmlp.__version__}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `fastmlp`.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the command's name; by default what the shell gave.

    Returns
    -------
    int
        The exit code: 0; 2 for bad input, which one line on stderr explains; 130 after Ctrl-C; 141 if whoever read
        stdout has left.
    """
    if sys.stdout is None:
        return _complain("error: stdout must be open, got a closed one", BAD_INPUT)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # UTF-8 as in files, whatever the terminal shows, and file names that are no text as the bytes they are.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except OSError as error:
        _abandon_stdout()
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"error: {place}{error.strerror or error}", BAD_INPUT)
    except MemoryError as error:
        return _complain(f"error: not enough memory: {error}", BAD_INPUT)
    except (ValueError, TypeError, ArithmeticError, RuntimeError, ImportError) as error:
        return _complain(f"error: {error}", BAD_INPUT)
    return 0


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print("fastmlp:", " ".join(message.split()), file=sys.stderr)
    return code


def _abandon_stdout() -> None:
    """Let Python's last flush go nowhere if stdout cannot take it."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastmlp", description="Multilayer perceptrons on CPUs.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    jobs = parser.add_subparsers(title="commands", metavar="demo | train | predict", required=True)

    show = jobs.add_parser("demo", allow_abbrev=False, help="train on the bundled data and compare with plain Python")
    show.set_defaults(run=demo.run)

    train = jobs.add_parser(
        "train",
        allow_abbrev=False,
        help="train a network on a CSV file",
        description="Train a network on the rows of a CSV file, test it on held-out rows and save it. Columns of "
        "numbers are standardized; columns of text become one input per value, all zero for a value never seen in "
        "training. The same command gives the same network.",
    )
    train.set_defaults(run=commands.train)
    train.add_argument("data", type=_path, metavar="DATA.csv", help="a header line that names the columns, then rows")
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    train.add_argument("--save", type=_path, required=True, metavar="MODEL", help="the file to write the model to")
    train.add_argument("--task", choices=["classification", "regression"], help="default: decided from the target")
    repeatable: dict[str, Any] = {"action": "append", "default": [], "metavar": "COLUMN"}
    train.add_argument("--ignore", **repeatable, help="leave a column out (repeatable)")
    train.add_argument("--text", **repeatable, help="take a column as text, as it is spelled (repeatable)")
    train.add_argument("--number", **repeatable, help="take a column of codes such as 007 as numbers (repeatable)")
    train.add_argument("--hidden", type=_widths, default=[64], metavar="N,N", help="hidden layers (default: 64)")
    train.add_argument("--activation", default="relu", metavar="NAME", help="of hidden layers (default: relu)")
    train.add_argument("--epochs", type=_whole(1), metavar="N", help="default: 50, or more on fewer than 1000 rows")
    train.add_argument(
        "--batch-size", type=_whole(1), metavar="N", help="default: 32, or all rows if the optimizer asks"
    )
    train.add_argument("--optimizer", default="adam", metavar="NAME", help="default: adam")
    train.add_argument("--learning-rate", type=_real(0.0), metavar="X", help="default: the optimizer's")
    train.add_argument("--test-fraction", type=_fraction, default=0.2, metavar="X", help="held-out rows (default: 0.2)")
    train.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="of everything random (default: 0)")

    predict = jobs.add_parser(
        "predict",
        allow_abbrev=False,
        help="predict a table's target with a saved model",
        description="Write a CSV file with one prediction per row. Columns are found by name: their order does not "
        "matter, and those the model does not know are ignored.",
    )
    predict.set_defaults(run=commands.predict)
    predict.add_argument("model", type=_path, metavar="MODEL", help="a file saved by fastmlp train")
    predict.add_argument("data", type=_path, metavar="DATA.csv", help="a table with the columns of the one trained on")
    predict.add_argument("--output", type=_path, metavar="FILE", help="default: stdout")
    for command in (train, predict):
        command.add_argument("--delimiter", type=_delimiter, metavar="C", help="default: the file's own of , ; tab |")
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        with contextlib.suppress(ValueError):  # Python reads 4300 digits
            if text.isascii() and text.isdigit() and int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number of {least} or more, got {_shown(text)}")

    return parse


def _real(above: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if math.isfinite(number(text)) and number(text) > above:
            return number(text)
        raise argparse.ArgumentTypeError(f"must be a number above {above:g}, got {_shown(text)}")

    return parse


def _fraction(text: str) -> float:
    if 0.0 <= number(text) < 1.0:
        return number(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 up to, but not, 1, got {_shown(text)}")


def _path(text: str) -> str:
    if text:
        return text
    raise argparse.ArgumentTypeError(f"must be the name of a file, got {_shown(text)}")


def _shown(text: str) -> str:
    return shown(text) if text else "an empty text"


def _widths(text: str) -> list[int]:
    try:
        return [_whole(1)(width) for width in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"must be whole numbers such as 64,32, got {_shown(text)}") from None


def _delimiter(text: str) -> str:
    character = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(character) != 1 or character in '"\r\n ':
        rule = "one character or 'tab', and neither a blank nor a quotation mark"
        raise argparse.ArgumentTypeError(f"must be {rule}, got {_shown(text)}")
    return character
