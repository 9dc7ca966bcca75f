"""Columns of a table as a network's numbers, and its outputs as a column's cells again.

A column of numbers becomes (x - mean) / scale; a column of text becomes one input per value seen in training (one-hot),
all zeros for a value never seen. Codes, digits with leading zeros such as 007, are text: 7 is another one. A target is
such a column too: a number to be estimated, or a text to be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import compress
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..checks.constancy import varies
from ..kernels.base.errors import shortened
from ..kernels.base.records import Record, frozen
from .cells import are_codes, exact, listed, refused, shown
from .reading import Table

Task = Literal["classification", "regression"]
Kind = Literal["number", "code", "text"]  # how a column's cells are read
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
        """Take mean and scale from values; the scale is 0 for a column that is constant, but for rounding."""
        if values.min() == values.max():
            return cls(name, float(values[0]), 0.0)
        largest = float(np.abs(values).max())  # squares of 1e200 overflow: work on values within -1 … 1
        unit = values / largest
        mean, scale = float(unit.mean()), float(unit.std())
        return cls(name, mean * largest, scale * largest if varies(scale, mean) else 0.0)

    @staticmethod
    def read(table: Table, name: str) -> NDArray[np.float64]:
        """Return the column's numbers; the first cell that is none is an error."""
        values = table.numbers(name)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            cell = table.columns[name][wrong[0]]
            more = f" ({wrong.size} such cells)" if wrong.size > 1 else ""
            raise ValueError(f"{table.place(name, wrong[0])} must be a number, got {refused(cell)}{more}")
        return values

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standardized values, (n_rows, 1)."""
        with np.errstate(over="ignore"):  # a value out of all proportion becomes infinite, which the caller reports
            standardized: NDArray[np.float64] = (values - self.mean) / self.scale
        return standardized[:, np.newaxis]

    def amounts(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return a network's outputs, (n_rows, 1), in the column's own units, (n_rows,)."""
        with np.errstate(over="ignore"):  # an estimate beyond all float64 is infinite
            values: NDArray[np.float64] = outputs[:, 0].astype(np.float64) * self.scale + self.mean
        return values

    def decode(self, outputs: NDArray[np.floating[Any]]) -> list[str]:
        """Return a network's outputs, (n_rows, 1), as cells: the fewest digits that read back as the same float64."""
        return [repr(value).removesuffix(".0") for value in self.amounts(outputs).tolist()]


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
        rows = np.zeros((len(values), self.width + 1))  # the last column is the unseen's
        rows[np.arange(len(values)), self.codes(values)] = 1.0
        return rows[:, :-1]

    def codes(self, values: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each value among those seen in training, `width` for others."""
        place = {value: code for code, value in enumerate(self.values)}
        return np.fromiter((place.get(value, self.width) for value in values), np.int64, len(values))

    def decode(self, outputs: NDArray[np.floating[Any]]) -> list[str]:
        """Return the text with the largest output in each row of (n_rows, n_values)."""
        return [self.values[code] for code in outputs.argmax(axis=1)]


Column = NumberColumn | TextColumn


def _text_order(text: str) -> tuple[bool, Decimal, str]:
    """Sort numbers written as text by value, before all other texts."""
    value = exact(text)
    return (value is None, value or Decimal(0), text)


def kind_of(table: Table, name: str) -> Kind:
    """Decide how a column is read: as text, unless more than half of its cells that are not missing are numbers."""
    cells, are_numbers = table.columns[name], ~np.isnan(table.numbers(name))
    missing = sum(cell.lower() in MISSING for cell in cells)
    if 2 * int(np.count_nonzero(are_numbers)) <= len(table) - missing:
        return "text"
    return "code" if are_codes(compress(cells, are_numbers)) else "number"


def fit_feature(table: Table, name: str, rows: NDArray[np.int64], kind: Kind) -> Column:
    """Check every cell of a feature's column and fit its numbers or texts to the training rows."""
    if kind == "number":
        return NumberColumn.fit(name, NumberColumn.read(table, name)[rows])
    texts = TextColumn.read(table, name)
    if (different := len(set(texts))) > MAX_TEXTS:
        raise ValueError(
            f"{table.path} column {shortened(name)} must hold numbers or at most {MAX_TEXTS} different texts, "
            f"got {different} such as {refused(texts[0])}"
        )
    return TextColumn.fit(name, (texts[row] for row in rows))


def decide_task(table: Table, target: str, kind: Kind) -> tuple[Task, str]:
    """Decide from a target's cells between classification and regression, and say why."""
    if kind != "number":
        return "classification", "it holds text" if kind == "text" else "it holds codes with leading zeros"
    NumberColumn.read(table, target)
    distinct: set[Decimal] = set()
    for cell in dict.fromkeys(table.with_points(target)):
        value = exact(cell)
        if value is None or value != value.to_integral_value():
            break
        distinct.add(value)
        if len(distinct) > min(MAX_WHOLE_NUMBER_CLASSES, len(table) // 2):
            break
    else:
        return "classification", f"it holds only {len(distinct)} different whole numbers"
    return "regression", "it holds many different numbers"


def _read_classes(table: Table, name: str, kind: Kind) -> list[str]:
    """Return the class of every row; numbers written in several ways (1, 1.0) are one class, as first written."""
    texts = TextColumn.read(table, name)
    if kind != "number":
        return texts
    cells = table.with_points(name)
    values = {cell: exact(cell) for cell in set(cells)}
    if None in values.values():
        return texts
    spelling: dict[Decimal | None, str] = {}
    return [spelling.setdefault(values[cell], text) for cell, text in zip(cells, texts, strict=True)]


def fit_classes(table: Table, name: str, kind: Kind) -> tuple[TextColumn, NDArray[np.int64]]:
    """Return a target of classes and the code of each row's class, (n_rows,)."""
    classes = _read_classes(table, name, kind)
    column = TextColumn.fit(name, classes)
    if column.is_constant:
        raise ValueError(
            f"{table.path} column {shortened(name)} must hold two classes or more, got only {shown(classes[0])}"
        )
    if column.width > max(2, len(table) // 2):
        raise ValueError(
            f"{table.path} column {shortened(name)} must hold two rows a class or more on average, "
            f"got {column.width} classes in {len(table)} rows, such as {refused(classes[0])}"
        )
    return column, column.codes(classes)


def fit_amounts(table: Table, name: str, rows: NDArray[np.int64]) -> tuple[NumberColumn, NDArray[np.float64]]:
    """Return a target of numbers, standardized by the training rows, and all its encoded rows, (n_rows, 1)."""
    values = NumberColumn.read(table, name)
    column = NumberColumn.fit(name, values[rows])
    if column.is_constant:
        raise ValueError(
            f"{table.path} column {shortened(name)} must hold different numbers in the rows to train on, "
            f"got only {shown(table.columns[name][rows[0]])}{' but for rounding' if np.ptp(values[rows]) > 0 else ''}"
        )
    y = column.encode(values)
    _check_range(table, name, y)
    return column, y


def _check_range(table: Table, name: str, encoded: NDArray[np.floating[Any]]) -> None:
    """Refuse a cell so far from the training rows' that its standardized value is beyond a network's float32."""
    with np.errstate(over="ignore"):
        wrong = np.flatnonzero(~np.isfinite(encoded[:, 0].astype(np.float32)))
    if wrong.size:
        cell = table.columns[name][wrong[0]]
        raise ValueError(f"{table.place(name, wrong[0])} must be comparable to the training rows, got {shown(cell)}")


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
            _check_range(table, column.name, block)
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
        except (KeyError, TypeError, ValueError, OverflowError) as error:
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
    values = record["values"]
    if record["kind"] != "text" or not isinstance(values, list | tuple):
        raise ValueError("column")
    if not all(isinstance(value, str) for value in values) or not len(set(values)) == len(values) > 1:
        raise ValueError("values")
    return TextColumn(name, tuple(values))
