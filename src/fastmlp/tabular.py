"""Columns of a table as a network's numbers, and its outputs as a column's cells again.

A column of numbers becomes (x - mean) / scale; a column of text becomes one input per value seen in training (one-hot),
all zeros for a value never seen. A target is such a column too: a number to be estimated, or a text to be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .kernels.records import Record, frozen
from .tables import Table, listed

Task = Literal["classification", "regression"]
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
MAX_TEXTS = 100  # values of a text feature; beyond that a column is a name or a key
MAX_WHOLE_NUMBER_CLASSES = 20


@frozen
class NumberColumn(Record):
    """A column of numbers, standardized with the mean and standard deviation of the training rows."""

    name: str
    mean: float
    scale: float
    kind: ClassVar[str] = "number"

    @property
    def width(self) -> int:
        return 1

    @property
    def is_constant(self) -> bool:
        return self.scale == 0.0

    @classmethod
    def fit(cls, name: str, values: NDArray[np.float64]) -> NumberColumn:
        """Take mean and scale from values; the scale is 0 for a constant column."""
        if values.min() == values.max():
            return cls(name, float(values[0]), 0.0)
        largest = float(np.abs(values).max())  # squares of 1e200 overflow: work on values within -1 … 1
        unit = values / largest
        return cls(name, float(unit.mean()) * largest, float(unit.std()) * largest)

    @staticmethod
    def read(table: Table, name: str) -> NDArray[np.float64]:
        """Return the column's numbers; the first cell that is none is an error."""
        values = table.numbers(name)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            cell = table.columns[name][wrong[0]]
            more = f" ({wrong.size} such cells)" if wrong.size > 1 else ""
            raise ValueError(f"{table.place(name, wrong[0])} must be a number, got {_shown(cell)}{more}")
        return values

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standardized values, (n_rows, 1)."""
        with np.errstate(over="ignore"):  # a value out of all proportion becomes infinite, which the caller reports
            standardized: NDArray[np.float64] = (values - self.mean) / self.scale
        return standardized[:, np.newaxis]

    def decode(self, outputs: NDArray[np.floating[Any]]) -> list[str]:
        """Return a network's outputs, (n_rows, 1), as cells."""
        return [f"{value:.10g}" for value in outputs[:, 0].astype(np.float64) * self.scale + self.mean]


@frozen
class TextColumn(Record):
    """A column of texts, each of which is one of the values seen in training, or unknown."""

    name: str
    values: tuple[str, ...]
    kind: ClassVar[str] = "text"

    @property
    def width(self) -> int:
        return len(self.values)

    @property
    def is_constant(self) -> bool:
        return len(self.values) == 1

    @classmethod
    def fit(cls, name: str, values: Iterable[str]) -> TextColumn:
        return cls(name, tuple(sorted(set(values), key=_text_order)))

    @staticmethod
    def read(table: Table, name: str) -> list[str]:
        """Return the column's texts; an empty cell is an error."""
        cells = table.columns[name]
        if "" in cells:
            raise ValueError(f"{table.place(name, cells.index(''))} must not be empty, got an empty cell")
        return cells

    def encode(self, values: Sequence[str]) -> NDArray[np.float64]:
        """Return a row for each value with a 1 at its place among the known ones, (n_rows, n_values)."""
        rows: NDArray[np.float64] = np.eye(self.width + 1, self.width)[self.codes(values)]  # the last is the unseen's
        return rows

    def codes(self, values: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each value among those seen in training, `width` for others."""
        place = {value: code for code, value in enumerate(self.values)}
        return np.fromiter((place.get(value, self.width) for value in values), np.int64, len(values))

    def decode(self, outputs: NDArray[np.floating[Any]]) -> list[str]:
        """Return the text with the largest output in each row of (n_rows, n_values)."""
        return [self.values[code] for code in outputs.argmax(axis=1)]


Column = NumberColumn | TextColumn


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...") if cell else "an empty cell"


def _text_order(text: str) -> tuple[float, str]:
    """Sort numbers written as text by value, before all other texts."""
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    return (math.inf if math.isnan(value) else value, text)


def holds_numbers(table: Table, name: str) -> bool:
    """Tell whether a column is one of numbers: more than half of its cells that are not missing are."""
    missing = sum(cell.lower() in MISSING for cell in table.columns[name])
    return 2 * int(np.count_nonzero(~np.isnan(table.numbers(name)))) > len(table) - missing


def fit_feature(table: Table, name: str, rows: NDArray[np.int64], as_text: bool = False) -> Column:
    """Check every cell of a feature's column and fit its numbers or texts to the training rows."""
    if not as_text and holds_numbers(table, name):
        return NumberColumn.fit(name, NumberColumn.read(table, name)[rows])
    texts = TextColumn.read(table, name)
    if len(set(texts)) > MAX_TEXTS:
        raise ValueError(
            f"{table.path} column {name!r} must hold numbers or at most {MAX_TEXTS} different texts, "
            f"got {len(set(texts))} such as {_shown(texts[0])}"
        )
    return TextColumn.fit(name, (texts[row] for row in rows))


def decide_task(table: Table, target: str) -> tuple[Task, str]:
    """Decide from a target's cells between classification and regression, and say why."""
    if not holds_numbers(table, target):
        return "classification", "it holds text"
    values = NumberColumn.read(table, target)
    distinct = np.unique(values)
    if len(distinct) <= min(MAX_WHOLE_NUMBER_CLASSES, len(values) // 2) and np.all(distinct == np.rint(distinct)):
        return "classification", f"it holds only {len(distinct)} different whole numbers"
    return "regression", "it holds many different numbers"


def _read_classes(table: Table, name: str) -> list[str]:
    """Return the class of every row; numbers written in several ways (1, 1.0) are one class, as first written."""
    texts = TextColumn.read(table, name)
    numbers = table.numbers(name)
    if not np.isfinite(numbers).all():
        return texts
    spelling: dict[float, str] = {}
    return [spelling.setdefault(float(number), text) for number, text in zip(numbers, texts, strict=True)]


def fit_classes(table: Table, name: str) -> tuple[TextColumn, NDArray[np.int64]]:
    """Return a target of classes and the code of each row's class, (n_rows,)."""
    classes = _read_classes(table, name)
    column = TextColumn.fit(name, classes)
    if column.is_constant:
        raise ValueError(f"{table.path} column {name!r} must hold two classes or more, got only {_shown(classes[0])}")
    if column.width > max(2, len(table) // 2):
        raise ValueError(
            f"{table.path} column {name!r} must hold two rows a class or more on average, "
            f"got {column.width} classes in {len(table)} rows"
        )
    return column, column.codes(classes)


def fit_amounts(table: Table, name: str, rows: NDArray[np.int64]) -> tuple[NumberColumn, NDArray[np.float64]]:
    """Return a target of numbers, standardized by the training rows, and all its encoded rows, (n_rows, 1)."""
    values = NumberColumn.read(table, name)
    column = NumberColumn.fit(name, values[rows])
    if column.is_constant:
        raise ValueError(
            f"{table.path} column {name!r} must hold different numbers in the rows to train on, "
            f"got only {_shown(table.columns[name][rows[0]])}"
        )
    return column, column.encode(values)


@frozen
class Schema(Record):
    """What a model knows of its table: the features in the order of the network's inputs, and the target."""

    features: tuple[Column, ...]
    target: Column

    @property
    def task(self) -> Task:
        return "classification" if isinstance(self.target, TextColumn) else "regression"

    @property
    def n_inputs(self) -> int:
        return sum(column.width for column in self.features)

    def encode_features(self, table: Table) -> NDArray[np.float32]:
        """Return the network's input, (n_rows, n_inputs), for a table with the features' columns in any order."""
        missing = [column.name for column in self.features if column.name not in table.columns]
        if missing:
            raise ValueError(
                f"{table.path} must have all columns that the model was trained on, got none named {listed(missing)}"
            )
        X = np.empty((len(table), self.n_inputs), np.float32)
        start = 0
        for column in self.features:
            block = X[:, start : start + column.width]
            with np.errstate(over="ignore"):
                block[...] = column.encode(column.read(table, column.name))  # type: ignore[arg-type]
            wrong = np.flatnonzero(~np.isfinite(block[:, 0]))
            if wrong.size:
                cell = table.columns[column.name][wrong[0]]
                raise ValueError(
                    f"{table.place(column.name, wrong[0])} must be comparable to the training rows, got {_shown(cell)}"
                )
            start += column.width
        return X

    def unseen(self, table: Table) -> dict[str, list[str]]:
        """Return the texts of each feature that are not among those seen in training."""
        texts = [column for column in self.features if isinstance(column, TextColumn)]
        found = {column.name: sorted(set(table.columns[column.name]) - set(column.values)) for column in texts}
        return {name: values for name, values in found.items() if values}

    def to_record(self) -> dict[str, Any]:
        """Return the schema as JSON values."""
        return {
            "task": self.task,
            "features": [{"kind": column.kind, **asdict(column)} for column in self.features],
            "target": {"kind": self.target.kind, **asdict(self.target)},
        }

    @classmethod
    def from_record(cls, record: Any) -> Schema:
        """Build a schema from `to_record`'s values, all of them checked, as a file may hold anything."""
        try:
            features = tuple(_column_from_record(each) for each in record["features"])
            target = _column_from_record(record["target"])
            if len({column.name for column in features}) != len(features) or not features:
                raise ValueError("features")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the model's table must be as fastmlp train writes it, got a wrong {error}") from None
        return cls(features, target)


def _column_from_record(record: dict[str, Any]) -> Column:
    name = record["name"]
    if not isinstance(name, str):
        raise TypeError("name")
    if record["kind"] == "number":
        mean, scale = float(record["mean"]), float(record["scale"])
        if not (math.isfinite(mean) and math.isfinite(scale) and scale > 0):
            raise ValueError("scale")
        return NumberColumn(name, mean, scale)
    values = tuple(record["values"])
    if record["kind"] != "text" or not all(isinstance(value, str) for value in values) or len(set(values)) < 2:
        raise ValueError("column")
    return TextColumn(name, values)
