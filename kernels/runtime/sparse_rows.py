"""Sparse samples as kernels read them."""

from typing import Any

import numpy as np

from ..base.arrays import Array
from ..base.records import Record, frozen


@frozen
class SparseRows(Record):
    """Rows with values in some columns: those of row i lie from starts[i] to starts[i + 1] - 1. All else is zero.

    `starts` are int64 of their own; `columns`, int32 or int64, and `values` may lie in what the user holds.
    """

    values: Array
    columns: Array
    starts: Array
    features: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.features

    def __getitem__(self, rows: slice | Array) -> "SparseRows":
        """Rows that follow each other, where they lie; or a copy of these."""
        if not isinstance(rows, slice):
            counts = self.counts()[rows]
            starts = np.concatenate([[0], np.cumsum(counts)])
            places = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
            return SparseRows(self.values[places], self.columns[places], starts, self.features)
        first, last, _ = rows.indices(len(self))
        return SparseRows(self.values, self.columns, self.starts[first : max(first, last) + 1], self.features)

    def counts(self) -> Array:
        """How many values each row has."""
        counts: Array = np.diff(self.starts)
        return counts

    def dense(self, dtype: str, chosen: Any = slice(None)) -> Array:
        """All rows, or some in a given order, with their zeros."""
        rows = np.arange(len(self))[chosen]
        dense = np.zeros((len(rows), self.features), dtype)
        for target, row in zip(dense, rows, strict=True):
            part = slice(self.starts[row], self.starts[row + 1])
            np.add.at(target, self.columns[part], self.values[part].astype(dtype))
        return dense


Samples = Array | SparseRows
