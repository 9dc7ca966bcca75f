"""`fastmlp train` and `fastmlp predict`: from a user's table to a model file, and from a model to predictions."""

from __future__ import annotations

import math
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import storage, writing
from ..kernels.base.errors import require, shortened, told
from ..network.network import NeuralNetwork
from ..tables.cells import listed
from ..tables.columns import (
    Column,
    Kind,
    NumberColumn,
    Schema,
    Task,
    TextColumn,
    decide_task,
    fit_amounts,
    fit_classes,
    fit_feature,
    kind_of,
)
from ..tables.reading import Table, format_table, read_table
from ..training import arguments
from ..training.callbacks import TrainingProgress
from ..training.lbfgs import LBFGS
from ..training.progress import Progress, train_in_rounds
from ..training.splitting import split_rows

MIN_EPOCHS, MIN_STEPS = 50, 1500
SHOWN_COLUMNS = 12
AS_ASKED_FOR = "as asked for"
LOSS_OF_TASK = {"classification": "categorical_cross_entropy", "regression": "mean_squared_error"}


def train(options: Namespace) -> None:
    """Train a network on a table, print how well it does on held-out rows, save it."""
    _check_kept(options.save, "--save", options.data)
    storage.check(options.save, "--save")
    table = read_table(options.data, options.delimiter)
    kinds = _decide_kinds(table, options)
    task, reason = _decide_task(table, options, kinds[options.target])
    rng = np.random.default_rng(options.seed)
    target: Column
    y: NDArray[np.int64] | NDArray[np.float64]
    if task == "classification":
        target, y = fit_classes(table, options.target, kinds[options.target])
        training, held_out = split_rows(len(table), options.test_fraction, rng, y)
    else:
        training, held_out = split_rows(len(table), options.test_fraction, rng)
        target, y = fit_amounts(table, options.target, training)
    columns = [_fit_feature(table, name, training, kinds[name]) for name in kinds if name != options.target]
    schema = Schema(tuple(column for column in columns if not column.is_constant), target)
    _describe(table, schema, kinds, _left_out(table, columns, training), reason)
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
    print(f"{title} {_score(target, net.predict(X[rows]), y[rows])}")

    header, arrays = net._to_record()
    storage.write(options.save, {**header, "table": schema.to_record()}, arrays)
    print(f"saved: {options.save}")


def predict(options: Namespace) -> None:
    """Write a saved model's predictions for a table."""
    if options.output is not None:
        _check_kept(options.output, "--output", options.data, options.model)
        writing.check(options.output, "--output")
    net, schema = load_model(options.model)
    table = read_table(options.data, options.delimiter)
    X = schema.encode_features(table)
    for name, texts in schema.unseen(table).items():
        news = f"column {shortened(name)} has values not seen in training: {listed(texts, 5)}"
        print(f"fastmlp: note: {news}", file=sys.stderr)
    cells = schema.target.decode(net.predict(X))
    text = format_table([schema.target.name], [[cell] for cell in cells])
    if options.output is None:
        sys.stdout.writelines(text.splitlines(keepends=True))  # all at once, an unbuffered stdout may lose the end
    else:
        writing.replace(options.output, [text.encode("utf-8")])


def load_model(path: str) -> tuple[NeuralNetwork, Schema]:
    """Read a file written by `fastmlp train`; ValueError if it is not one."""
    header, arrays = storage.read(path)
    if "table" not in header:
        raise ValueError(f"{path} must be a model saved by `fastmlp train`, got a network without a table")
    try:
        net, schema = NeuralNetwork._from_record(header, arrays), Schema.from_record(header["table"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a model saved by `fastmlp train`, got a damaged one: {told(error)}") from None
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
    chosen = arguments.optimizer(optimizer, rate, None)
    epochs = options.epochs or default_epochs(len(X), arguments.batch_size(batch_size, len(X), chosen))
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


def _score(target: Column, outputs: NDArray[Any], y: NDArray[Any]) -> str:
    """Say how good outputs are: the share of right classes, or the share R² of the variance that is explained."""
    if isinstance(target, TextColumn):
        right = float(np.mean(outputs.argmax(axis=1) == y))
        commonest = float(np.bincount(y).max()) / len(y)
        return f"accuracy: {right:.1%} (always saying the commonest class: {commonest:.1%})"
    if NumberColumn.fit(target.name, target.amounts(y)).is_constant:
        return "R²: undefined, as these rows have one target value"
    return f"R²: {1 - np.sum((outputs - y) ** 2) / np.sum((y - y.mean()) ** 2):.4f}"


def _decide_kinds(table: Table, options: Namespace) -> dict[str, Kind]:
    """Say how the cells of the target and of each feature are read, as asked for or as they look."""
    _check_columns(table, [options.target], "--target")
    _check_columns(table, options.ignore, "--ignore")
    _check_columns(table, options.text, "--text")
    _check_columns(table, options.number, "--number")
    if options.target in options.ignore:
        raise ValueError(f"--ignore must not be the target, got {shortened(options.target)}")
    if both := sorted({*options.text} & {*options.number}):
        raise ValueError(f"--number must name other columns than --text, got {listed(both)}")
    asked: dict[str, Kind] = {**dict.fromkeys(options.text, "text"), **dict.fromkeys(options.number, "number")}
    ignored = set(options.ignore)
    return {name: asked.get(name) or kind_of(table, name) for name in table.columns if name not in ignored}


def _decide_task(table: Table, options: Namespace, kind: Kind) -> tuple[Task, str]:
    if options.target in options.text:
        if options.task == "regression":
            raise ValueError(f"--text must not be the target of a regression, got {shortened(options.target)}")
        return "classification", AS_ASKED_FOR
    return (options.task, AS_ASKED_FOR) if options.task else decide_task(table, options.target, kind)


def _fit_feature(table: Table, name: str, rows: NDArray[np.int64], kind: Kind) -> Column:
    try:
        return fit_feature(table, name, rows, kind)
    except ValueError as error:
        number = f"--number {shortened(name)} takes its codes as numbers, " if kind == "code" else ""
        raise ValueError(f"{error} ({number}--ignore {shortened(name)} leaves the column out)") from None


def _left_out(table: Table, columns: Sequence[Column], rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return the names of the columns that say nothing, by the reason why."""
    same, rounded = "left out, the same in every training row", "left out, the same but for rounding"
    names: dict[str, list[str]] = {same: [], rounded: []}
    for column in columns:
        if column.is_constant:
            differs = isinstance(column, NumberColumn) and np.ptp(table.numbers(column.name)[rows]) > 0
            names[rounded if differs else same].append(column.name)
    return names


def _describe(
    table: Table, schema: Schema, kinds: dict[str, Kind], left_out: dict[str, list[str]], reason: str
) -> None:
    """Print what was made of a table's columns."""
    print(f"{table.path}: {len(table)} rows")
    numbers = [column.name for column in schema.features if isinstance(column, NumberColumn)]
    texts = [column for column in schema.features if isinstance(column, TextColumn)]
    chosen = [schema.target] if isinstance(schema.target, TextColumn) else []
    codes = [column.name for column in (*texts, *chosen) if kinds[column.name] == "code"]
    facts = {
        "numbers": numbers,
        "with decimal commas": [name for name in numbers if table.has_decimal_commas(name)],
        "text, by value": [f"{column.name} ({column.width})" for column in texts],
        "text, for their leading zeros (--number decides otherwise)": codes,
        **left_out,
        "left out, without a name": [str(table.unnamed)] if table.unnamed else [],
    }
    for title, names in facts.items():
        if names:
            more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
            print(f"{title}: {', '.join(names[:SHOWN_COLUMNS])}{more}")
    classes = f" of {schema.target.width} classes" if schema.task == "classification" else ""
    print(f"target: {schema.target.name}, {schema.task}{classes}, {reason}", end="")
    print("" if reason == AS_ASKED_FOR else " (--task decides otherwise)")


def _check_columns(table: Table, names: Sequence[str], option: str) -> None:
    for name in names:
        if name not in table.columns:
            known = list(table.columns)
            require(False, option, f"one of the columns {listed(known)}", name, known)


def _check_kept(path: str, option: str, *inputs: str) -> None:
    """Refuse a path that would overwrite an input."""
    for source in inputs:
        if os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
            raise ValueError(f"{option} must not overwrite the file that is read, got {path}")
