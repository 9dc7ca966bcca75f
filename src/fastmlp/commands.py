"""`fastmlp train` and `fastmlp predict`: from a user's table to a model file, and from a model to predictions."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import storage, validation
from .callbacks import TrainingProgress
from .lbfgs import LBFGS
from .network import NeuralNetwork
from .progress import Progress, train_in_rounds
from .splitting import split_rows
from .tables import Table, format_table, listed, read_table, replace_file
from .tabular import (
    Column,
    NumberColumn,
    Schema,
    TextColumn,
    decide_task,
    fit_amounts,
    fit_classes,
    fit_feature,
)

MIN_EPOCHS, MIN_STEPS = 50, 1500
SHOWN_COLUMNS = 12
LOSS_OF_TASK = {"classification": "categorical_cross_entropy", "regression": "mean_squared_error"}


def train(options: Namespace) -> None:
    """Train a network on a table, print how well it does on held-out rows, save it."""
    _check_writable(options.save, "--save", options.data)
    table = read_table(options.data, options.delimiter)
    _check_columns(table, [options.target], "--target")
    _check_columns(table, options.ignore, "--ignore")
    _check_columns(table, options.text, "--text")
    if options.target in options.ignore:
        raise ValueError(f"--ignore must not be the target, got {options.target!r}")

    task, reason = (options.task, "as asked for") if options.task else decide_task(table, options.target)
    rng = np.random.default_rng(options.seed)
    target: Column
    y: NDArray[np.int64] | NDArray[np.float64]
    if task == "classification":
        target, y = fit_classes(table, options.target)
        training, held_out = split_rows(len(table), options.test_fraction, rng, y)
    else:
        training, held_out = split_rows(len(table), options.test_fraction, rng)
        target, y = fit_amounts(table, options.target, training)
    names = [name for name in table.columns if name != options.target and name not in options.ignore]
    columns = [_fit_feature(table, name, training, name in options.text) for name in names]
    schema = Schema(tuple(column for column in columns if not column.is_constant), target)
    constant = [column.name for column in columns if column.is_constant]
    _describe(table, schema, constant, reason)
    if not schema.features:
        raise ValueError(f"{table.path} must have a column besides the target that varies, got none")
    X = schema.encode_features(table)

    sizes = [schema.n_inputs, *options.hidden, target.width]
    net = NeuralNetwork(sizes, options.activation, loss=LOSS_OF_TASK[task], seed=options.seed)
    print(f"network: {'-'.join(map(str, sizes))}, {len(training)} rows to train on, {len(held_out)} held out")
    began = time.perf_counter()
    epochs, loss = _fit(net, X[training], y[training], options)
    print(f"trained: {epochs} epochs in {time.perf_counter() - began:.2f} s, loss {loss:.4g}")
    rows, title = (held_out, "held-out") if len(held_out) else (training, "training")
    print(f"{title} {_score(schema, net.predict(X[rows]), y[rows])}")

    header, arrays = net._to_record()
    storage.write(options.save, {**header, "table": schema.to_record()}, arrays)
    print(f"saved: {options.save}")


def predict(options: Namespace) -> None:
    """Write a saved model's predictions for a table."""
    if options.output is not None:
        _check_writable(options.output, "--output", options.data, options.model)
    net, schema = load_model(options.model)
    table = read_table(options.data, options.delimiter)
    X = schema.encode_features(table)
    for name, texts in schema.unseen(table).items():
        print(f"fastmlp: note: column {name!r} has values not seen in training: {listed(texts, 5)}", file=sys.stderr)
    cells = schema.target.decode(net.predict(X))
    text = format_table([schema.target.name], [[cell] for cell in cells])
    if options.output is None:
        sys.stdout.writelines(text.splitlines(keepends=True))  # all at once, an unbuffered stdout may lose the end
    else:
        replace_file(options.output, text)


def load_model(path: str) -> tuple[NeuralNetwork, Schema]:
    """Read a file written by `fastmlp train`; ValueError if it is not one."""
    header, arrays = storage.read(path)
    if "table" not in header:
        raise ValueError(f"{path} must be a model saved by `fastmlp train`, got a network without a table")
    try:
        net, schema = NeuralNetwork._from_record(header, arrays), Schema.from_record(header["table"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a model saved by `fastmlp train`, got a damaged one: {error}") from None
    expected = (schema.n_inputs, schema.target.width)
    if (net.layer_sizes[0], net.layer_sizes[-1]) != expected:
        raise ValueError(
            f"{path} must hold a network with {expected[0]} inputs and {expected[1]} outputs, as its table has, "
            f"got layers of {list(net.layer_sizes)}"
        )
    return net, schema


def default_epochs(n_rows: int, batch_size: int) -> int:
    """Return as many epochs as small tables need to make enough steps, and large ones to be seen often enough."""
    return max(MIN_EPOCHS, math.ceil(MIN_STEPS / math.ceil(n_rows / batch_size)))


def _fit(net: NeuralNetwork, X: NDArray[np.float32], y: NDArray[Any], options: Namespace) -> tuple[int, float]:
    """Train as the options say; return how many epochs there were, and the last one's loss."""
    rate, batch_size, optimizer = options.learning_rate, options.batch_size, options.optimizer
    chosen = validation.optimizer(optimizer, rate, None)
    epochs = options.epochs or default_epochs(len(X), validation.batch_size(batch_size, len(X), chosen))
    if isinstance(chosen, LBFGS):
        return _fit_at_once(net, X, y, epochs, options)

    def train_epochs(start: int, stop: int) -> float:
        try:
            return net.train(X, y, stop - start, rate, batch_size, optimizer=optimizer).loss[-1]
        except FloatingPointError:  # whose message counts epochs from `start`
            raise FloatingPointError(
                f"training diverged between epochs {start + 1} and {stop}: a smaller --learning-rate may help"
            ) from None

    return epochs, train_in_rounds("training", epochs, train_epochs)


def _fit_at_once(
    net: NeuralNetwork, X: NDArray[np.float32], y: NDArray[Any], epochs: int, options: Namespace
) -> tuple[int, float]:
    """The same by an optimizer that keeps nothing for a further call: rounds would lose what it has learned."""
    with Progress("training") as progress:

        def show(_: NeuralNetwork, done: TrainingProgress) -> None:
            progress.show(done.epoch / epochs, f"epoch {done.epoch}/{epochs}  loss {done.history.loss[-1]:.4g}")

        history = net.train(X, y, epochs, None, options.batch_size, optimizer=options.optimizer, callbacks=show)
    return history.epochs, net.evaluate(X, y)  # where it begins at the minimum, there are no epochs


def _score(schema: Schema, outputs: NDArray[Any], y: NDArray[Any]) -> str:
    """Say how good outputs are: the share of right classes, or the share R² of the variance that is explained."""
    if schema.task == "classification":
        right = float(np.mean(outputs.argmax(axis=1) == y))
        commonest = float(np.bincount(y).max()) / len(y)
        return f"accuracy: {right:.1%} (always saying the commonest class: {commonest:.1%})"
    residual, total = float(np.sum((outputs - y) ** 2)), float(np.sum((y - y.mean()) ** 2))
    return f"R²: {1 - residual / total:.4f}" if total > 0 else "R²: undefined, as these rows have one target value"


def _fit_feature(table: Table, name: str, rows: NDArray[np.int64], as_text: bool) -> Column:
    try:
        return fit_feature(table, name, rows, as_text)
    except ValueError as error:
        raise ValueError(f"{error} (--ignore {name!r} leaves the column out)") from None


def _describe(table: Table, schema: Schema, constant: Sequence[str], reason: str) -> None:
    """Print what was made of a table's columns."""
    print(f"{table.path}: {len(table)} rows")
    numbers = [column.name for column in schema.features if isinstance(column, NumberColumn)]
    texts = [f"{column.name} ({column.width})" for column in schema.features if isinstance(column, TextColumn)]
    commas = [name for name in numbers if table.has_decimal_commas(name)]
    facts = {
        "numbers": numbers,
        "with decimal commas": commas,
        "text, by value": texts,
        "left out, the same in every training row": constant,
        "left out, without a name": [str(table.unnamed)] if table.unnamed else [],
    }
    for title, names in facts.items():
        if names:
            more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
            print(f"{title}: {', '.join(names[:SHOWN_COLUMNS])}{more}")
    classes = f" of {schema.target.width} classes" if schema.task == "classification" else ""
    print(f"target: {schema.target.name}, {schema.task}{classes}, {reason}", end="")
    print("" if reason == "as asked for" else " (--task decides otherwise)")


def _check_columns(table: Table, names: Sequence[str], option: str) -> None:
    for name in names:
        if name not in table.columns:
            raise ValueError(f"{option} must be one of the columns {listed(list(table.columns))}, got {name!r}")


def _check_writable(path: str, option: str, *inputs: str) -> None:
    """Refuse a path that cannot be written or would overwrite an input, before any work is done."""
    if os.path.isdir(path):
        raise ValueError(f"{option} must be a file, got the directory {path}")
    for source in inputs:
        if os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
            raise ValueError(f"{option} must not overwrite the file that is read, got {path}")
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise ValueError(f"{option} must be in an existing directory, got {path}")
    if os.path.exists(path) and not os.path.isfile(path):
        return  # a device or a pipe
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"{option} must be a file that can be written, got {path}") from error
