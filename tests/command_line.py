"""The program's commands, given as users give them, and tables for them."""

import csv
import io

import numpy as np

from fastmlp.cli.cli import main


def write_table(path, columns, delimiter=","):
    """Write columns of numbers or texts as a CSV file and return its path."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def read_column(text):
    """Return the header and the cells of a CSV text with one column."""
    header, *rows = csv.reader(io.StringIO(text))
    assert len(header) == 1
    return header[0], [cell for (cell,) in rows]


def blobs(n_rows=120):
    """Return two well separated clouds of points far from the origin, and their names."""
    rng = np.random.default_rng(3)
    name = np.where(np.arange(n_rows) % 3 == 0, "left, far", "right")
    x = 1e6 + 1e4 * rng.normal(size=n_rows) + np.where(name == "right", 8e4, 0)
    return {"x": list(x), "y": list(1e-6 * rng.normal(size=n_rows)), "cloud": list(name)}


def plane(n_rows=200):
    """Return points of height = 30 x - 20 y + 1000."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, n_rows))
    return {"x": list(x), "y": list(y), "height": list(30 * x - 20 * y + 1000)}


def succeed(*arguments):
    assert main(list(arguments)) == 0


def fail(capsys, *arguments):
    """Run a command that must fail in one line; return what is said in it."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastmlp: error: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    return error.removeprefix("fastmlp: error: ").rstrip("\n")


def train_in(folder):
    """Train on the blobs; return the model's and the table's path."""
    data = write_table(folder / "blobs.csv", blobs())
    model = str(folder / "model")
    succeed("train", data, "--target", "cloud", "--save", model, "--epochs", "30")
    return model, data
