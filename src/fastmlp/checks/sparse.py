"""Checks of sparse samples: what scipy.sparse calls CSR, matrices and arrays."""

from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.functions.kernel import COLUMN_DTYPES
from ..kernels.runtime.sparse_rows import Samples, SparseRows
from . import array_checks


def samples(X: Any, features: int, dtype: str, argument: str = "X", allow_nan: bool = False) -> Samples:
    """Samples as (n_samples, features), dense or sparse."""
    if not array_checks.is_sparse(X):
        return array_checks.samples(X, features, dtype, argument, allow_nan)
    rows = sparse_rows(X, features, argument)
    if not allow_nan:
        require_finite(rows, dtype, argument)
    return rows


def sparse_rows(X: Any, features: int, argument: str = "X") -> SparseRows:
    """Samples as they lie in a CSR matrix or array."""
    if X.format != "csr":
        raise TypeError(
            f"{argument} must be an array or a sparse matrix in CSR format, got {X.format.upper()}: "
            f"{argument}.tocsr() makes one"
        )
    if X.ndim != 2 or X.shape[1] != features or X.shape[0] == 0:
        raise ValueError(f"{argument} must be of shape (n_samples, {features}), got {X.shape}")
    values, columns = (array_checks.numbers(argument, part) for part in (X.data, X.indices))
    starts = array_checks.numbers(argument, X.indptr)
    rule = "a CSR matrix of three vectors, the indices and indptr of integers"
    integers = starts.dtype.kind in "iu" and columns.dtype.kind in "iu"
    require(integers and values.ndim == columns.ndim == starts.ndim == 1, argument, rule, X)
    starts = starts.astype(np.int64)
    if columns.dtype.name not in COLUMN_DTYPES or not columns.dtype.isnative:
        columns = columns.astype(np.int64)
    # SciPy takes the three arrays as they are given, and kernels follow them
    whole = min(len(values), len(columns))
    rule = "a CSR matrix whose indptr goes from 0 up to the number of values"
    right = len(starts) == X.shape[0] + 1 and starts[0] == 0 and starts[-1] <= whole and (np.diff(starts) >= 0).all()
    require(bool(right), argument, rule, X.indptr)
    rule = f"a CSR matrix whose indices are from 0 to {features - 1}"
    count = int(starts[-1])
    columns = np.ascontiguousarray(columns[:count])
    array_checks.require_each(argument, columns, rule, lambda part: (part >= 0) & (part < features))
    return SparseRows(np.ascontiguousarray(values[:count]), columns, starts, features)


def require_finite(X: Samples, dtype: str, argument: str = "X") -> None:
    """`array_checks.require_finite`, which says where in the matrix."""
    if not isinstance(X, SparseRows):
        array_checks.require_finite(argument, X, dtype)
        return
    place = array_checks.first_nonfinite(X.values, dtype)
    if place is not None:
        (k,) = place
        row = int(np.searchsorted(X.starts, k, side="right")) - 1
        array_checks.complain_of(argument, X.values[k], (row, int(X.columns[k])), dtype)


def flat(X: Samples) -> Array:
    """The numbers that there are."""
    return X.values if isinstance(X, SparseRows) else X
