"""Every check of arrays that users pass. A check returns them in the form that the rest of the package needs."""

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.functions.function import row_of
from ..kernels.functions.losses import LOSSES, TARGET_KINDS
from ..kernels.runtime.plan import Model
from ..vector import BatchNormalizedParameters, parameter_vector
from .frames import from_frame, is_number, kind_of

FEW = 1 << 12  # numbers: NumPy then takes longer to begin a sum than to make it, and a product is quicker to begin
CHECKED_AT_ONCE = 1 << 18  # numbers: checks need this much memory, not a copy of the data


def numbers(argument: str, value: Any) -> Array:
    """An array of real numbers of any shape, as it lies in memory.

    It is a view of the package's own: what users set shape or dtype of later is another object.
    """
    array: Array = value.view() if type(value) is np.ndarray else _as_array(argument, value)
    if array.dtype.kind not in "fiub":
        what = shortened(value) if array.ndim == 0 else _what_is_no_number(argument, array)
        raise TypeError(f"{argument} must be an array of real numbers, got {what}")
    return array


def _what_is_no_number(argument: str, array: Array) -> str:
    """In an array that is none of numbers."""
    for place, value in np.ndenumerate(array) if array.dtype.kind == "O" else ():
        if not is_number(value):
            return f"{shortened(value)} at {argument}[{', '.join(map(str, place))}]"
    return kind_of(array)


def _as_array(argument: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{argument} must be an array without a mask, got a masked array")
    refuse_sparse(argument, value)
    try:
        table = from_frame(argument, value) if not isinstance(value, np.ndarray | list) else None
        return np.asarray(value).view() if table is None else table
    except ValueError:
        raise ValueError(f"{argument} must be a rectangular array of numbers, got {shortened(value)}") from None


def refuse_sparse(argument: str, value: Any) -> None:
    if is_sparse(value):
        raise TypeError(f"{argument} must be a dense array, got a sparse one: {argument}.toarray() makes one")


def is_sparse(value: Any) -> bool:
    """Whether it is one of SciPy's sparse matrices or arrays: then somebody has imported it."""
    sparse = sys.modules.get("scipy.sparse") if type(value) is not np.ndarray else None
    return sparse is not None and bool(sparse.issparse(value))


def samples(X: Any, features: int, dtype: str, argument: str = "X", allow_nan: bool = False) -> Array:
    """Samples as (n_samples, features)."""
    array = numbers(argument, X)
    if array.ndim != 2 or array.shape[1] != features or len(array) == 0:
        _refuse_shape(argument, array, f"(n_samples, {features})")
    if not allow_nan:
        require_finite(argument, array, dtype)
    return array


def one_or_many(
    X: Any, features: int, dtype: str, argument: str = "X", allow_nan: bool = False
) -> tuple[bool, Array]:  # fmt: skip
    """Samples as (n_samples, features), and whether it was a single one of shape (features,)."""
    X = numbers(argument, X)
    one = X.shape == (features,)
    return one, samples(X[np.newaxis] if one else X, features, dtype, argument, allow_nan)


def targets(y: Any, n_samples: int, model: Model, argument: str = "y") -> Array:
    """y as (n_samples, targets), or labels as (n_samples,)."""
    row, columns = row_of(LOSSES, model.loss), model.target_columns
    array = numbers(argument, y)
    kind = row.targets
    if kind == "classes" and array.ndim == 1:
        return _labels(array, n_samples, columns, argument)
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    if array.shape != (n_samples, columns):
        shape = f"({n_samples}, {columns})"
        _refuse_shape(argument, array, f"({n_samples},) or {shape}" if columns == 1 or kind == "classes" else shape)
    require_finite(argument, array, model.dtype)
    restriction = TARGET_KINDS[kind]
    if restriction:
        rule, broken = restriction
        require_each(argument, array, f"{rule} for loss '{row.name}'", lambda part: ~broken(part))
    if kind == "classes":
        rule = "integer labels, or rows of probabilities that sum to 1"
        require_each(argument, array, rule, lambda part: np.abs(part.sum(axis=1, dtype=np.float64) - 1) <= 1e-3)
    return array


def _labels(y: Array, n_samples: int, classes: int, argument: str) -> Array:
    if y.dtype.kind not in "iu":
        require_finite(argument, y, "float64")  # else of integers with gaps
        raise TypeError(
            f"{argument} must be integer labels 0 ... {classes - 1}, or rows of {classes} probabilities, "
            f"got dtype {y.dtype}"
        )
    _require_shape(argument, y, y.shape == (n_samples,), f"({n_samples},) or ({n_samples}, {classes})")
    y = y.copy()  # before it is checked: another thread may write to what users hold
    require_each(argument, y, f"labels from 0 to {classes - 1}", lambda part: (part >= 0) & (part < classes))
    labels = y.astype(np.int64, copy=False)
    labels.flags.writeable = False  # nor can a metric have its view made writeable
    return labels


def output_gradient(value: Any, n_samples: int, model: Model) -> Array:
    """dLoss/da of the last layer, (n_samples, outputs)."""
    gradient = numbers("output_gradient", value)
    shape = (n_samples, model.sizes[-1])
    _require_shape("output_gradient", gradient, gradient.shape == shape, str(shape))
    require_finite("output_gradient", gradient, model.dtype)
    return gradient


def block(argument: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array:
    """Weights, biases or all parameters, to be copied from."""
    array = state(argument, value, shape)
    require_finite(argument, array, dtype)
    return array


def parameters(value: Any, model: Model, argument: str = "parameters") -> Array:
    """A canonical vector, to be copied from."""
    array = block(argument, value, (model.parameter_count,), model.dtype)
    if model.normalizations:
        for l, layer in enumerate(parameter_vector(array, model).layers):
            if isinstance(layer, BatchNormalizedParameters):
                running_variances(f"{argument}.layers[{l}].running_variances", layer.running_variances)
    return array


def running_variances(argument: str, values: Array) -> Array:
    require(bool((values >= 0).all()), argument, "from 0 on", values)
    return values


def state(argument: str, value: Any, shape: tuple[int, ...]) -> Array:
    """An optimizer's vectors, which may hold infinity: squares of gradients overflow sooner than parameters do."""
    array = numbers(argument, value)
    _require_shape(argument, array, array.shape == shape, str(shape))
    return array


def output(argument: str, value: Any, shape: tuple[int, ...], dtype: str) -> Array:
    """A plain view of an array that kernels can write outputs to: a subclass may say anything of itself."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{argument} must be an array or None, got {type(value).__name__}")
    array: Array = np.ndarray.view(value, np.ndarray)
    if array.dtype != dtype:
        raise TypeError(f"{argument} must be an array of dtype {dtype}, got {array.dtype}")
    _require_shape(argument, array, array.shape == shape, str(shape))
    for name, rule in (("c_contiguous", "C-contiguous"), ("writeable", "writeable"), ("aligned", "aligned")):
        if not getattr(array.flags, name):
            raise ValueError(f"{argument} must be {rule}, got an array that is not")
    return array


def require_finite(argument: str, array: Array, dtype: str) -> None:
    """Refuse NaN and numbers that are infinite as `dtype`, saying where."""
    place = first_nonfinite(array, dtype)
    if place is not None:
        complain_of(argument, array[place], place, dtype)


def first_nonfinite(array: Array, dtype: str) -> tuple[int, ...] | None:
    """Where the first is; None: there is none."""
    if array.dtype.kind in "iub" or _few_and_finite(array, dtype):
        return None
    for start, rows in row_blocks(array):
        with np.errstate(over="ignore", invalid="ignore"):
            part = rows.astype(dtype, copy=False)
            if np.isfinite(part.sum()):  # which NaN and infinity survive, and which is quicker than looking at each
                continue
        finite = np.isfinite(part)
        if not finite.all():
            place = np.unravel_index(np.argmin(finite), finite.shape)
            return (start + int(place[0]), *(int(i) for i in place[1:]))
    return None


def complain_of(argument: str, value: Any, place: tuple[int, ...], dtype: str) -> NoReturn:
    """Refuse a number that is not finite, at least as this type."""
    rule = "finite" if not np.isfinite(value) else f"finite as {dtype}"
    raise ValueError(f"{argument} must be {rule}, got {value} at {argument}[{', '.join(map(str, place))}]")


def row_blocks(array: Array) -> Iterator[tuple[int, Array]]:
    """Rows of an array, which may be larger than memory, and the number of the first."""
    rows = max(1, CHECKED_AT_ONCE // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def require_each(argument: str, array: Array, rule: str, holds: Callable[[Array], Array]) -> None:
    """Refuse the first number, or row, for which something does not hold."""
    for _, part in row_blocks(array):
        right = holds(part)
        if not right.all():
            require(False, argument, rule, part[np.unravel_index(np.argmin(right), right.shape)].tolist())


def _few_and_finite(array: Array, dtype: str) -> bool:
    """Whether this can be said at once: the sum of squares is finite."""
    few = array.size <= FEW and array.dtype == dtype
    return few and math.isfinite(np.vdot(array, array))


def _require_shape(argument: str, array: Array, right: bool, shape: str) -> None:
    if not right:
        _refuse_shape(argument, array, shape)


def _refuse_shape(argument: str, array: Array, shape: str) -> NoReturn:
    raise ValueError(f"{argument} must be of shape {shape}, got {array.shape}")
