"""Data frames and series, of whichever library, as arrays of numbers: none of them is imported.

`np.asarray` makes objects of booleans beside numbers, and of columns that may have gaps. Gaps become NaN.
"""

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import shortened

KINDS = {"U": "text", "T": "text", "S": "bytes", "M": "dates", "m": "durations", "c": "complex numbers"}


def from_frame(argument: str, value: Any) -> Array | None:
    """The numbers of a frame or a series, as (n_samples, columns) or (n_samples,). None: it is neither."""
    columns = _columns(value)
    if columns is None:
        if not (hasattr(value, "to_numpy") and hasattr(value, "dtype")):
            return None
        series = _numbers(value)
        if isinstance(series, str):
            raise TypeError(f"{argument} must be an array of real numbers, got {series}")
        return series
    arrays = []
    for name, column in columns:
        array = _numbers(column)
        if isinstance(array, str):
            raise TypeError(f"{argument} must be a table of numbers, got {array} in column {shortened(name)}")
        arrays.append(array)
    table: Array = np.empty((len(value), len(arrays)), np.result_type(*arrays) if arrays else np.float64)
    for target, array in zip(table.T, arrays, strict=True):
        target[...] = array
    return table


def _columns(frame: Any) -> Iterable[tuple[Any, Any]] | None:
    """Names and columns; None if it is no frame."""
    if not hasattr(frame, "columns"):
        return None
    if hasattr(frame, "column_names"):  # a table of pyarrow
        return zip(frame.column_names, frame.columns, strict=True)
    if hasattr(frame, "get_columns"):  # polars
        return zip(frame.columns, frame.get_columns(), strict=True)
    items: Iterable[tuple[Any, Any]] | None = frame.items() if hasattr(frame, "items") else None
    return items


def _numbers(column: Any) -> Array | str:
    """A column's numbers, or what it has in their place."""
    own = getattr(column, "dtype", None)
    dtype = getattr(own, "numpy_dtype", None)  # of pandas's columns with gaps, without the objects that these stand for
    if dtype is not None and dtype.kind in "fiub":
        if not column.isna().any():
            return np.asarray(column.to_numpy(dtype=dtype))
        return np.asarray(column.to_numpy(dtype=dtype if dtype.kind == "f" else np.float64, na_value=np.nan))
    array = np.asarray(column)
    if array.dtype.kind == "O" and array.ndim == 1:
        values = [np.nan if _is_missing(value) else value for value in array.tolist()]
        for value in values:
            if not is_number(value):
                return _what(value)
        array = np.array(values)
    return array if array.dtype.kind in "fiub" else kind_of(array)


def kind_of(array: Array) -> str:
    """What an array is made of, that is not of numbers."""
    return KINDS.get(array.dtype.kind, f"dtype {array.dtype}")


def is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType"  # pandas.NA


def _what(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "dates" if isinstance(value, datetime.date) else type(value).__name__
