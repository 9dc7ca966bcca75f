"""Predictors: what a network computes at one moment, kept."""

from inspect import Signature, signature
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import array_checks, sparse, validation
from ..kernels.backends.choice import backend as find_backend
from ..kernels.base.arrays import Array
from ..kernels.functions.function import name_of
from ..kernels.runtime.plan import Model
from ..kernels.runtime.prediction import Prediction

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferencePrediction


class _SignatureOfCall:
    """What `inspect.signature` asks a predictor for: one on a shorter way has none that Python could read."""

    def __get__(self, predictor: "Predictor | None", kind: type) -> Signature:
        if predictor is None:
            raise AttributeError("__signature__")  # the class has one of its own
        return signature(predictor.__call__)


class Predictor:
    """A network's predictions with the weights that it had when `NeuralNetwork.predictor` was called.

    It is a callable that no later training or assignment changes, with memory of its own for what lies between inputs
    and outputs. Threads may share it. Pickles of it hold a copy of the weights.

    Attributes
    ----------
    layer_sizes, activations, dtype, backend
        Those of the network.

    Examples
    --------
    >>> import fastmlp
    >>> import numpy as np
    >>> network = fastmlp.NeuralNetwork([2, 1])
    >>> network.parameters = [1, 2, 3]
    >>> predictor = network.predictor()
    >>> network.parameters = [0, 0, 0]
    >>> predictor([10, 100])
    array([213.], dtype=float32)
    >>> out = np.empty((2, 1), np.float32)
    >>> predictor(np.array([[10, 100], [0, 1]]), out=out) is out
    True
    >>> out.tolist()
    [[213.0], [5.0]]
    """

    __slots__ = ("_backend", "_backend_asked", "_prediction")
    __signature__ = _SignatureOfCall()

    def __init__(self, prediction: "Prediction | ReferencePrediction", backend: str, backend_asked: str | None) -> None:
        self._prediction, self._backend, self._backend_asked = prediction, backend, backend_asked

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        return self._prediction.model.sizes

    @property
    def activations(self) -> tuple[str, ...]:
        return tuple(map(name_of, self._prediction.model.activations))

    @property
    def dtype(self) -> str:
        return self._prediction.model.dtype

    @property
    def backend(self) -> str:
        return self._backend

    def __call__(self, X: Any, out: Array | None = None) -> Array:
        """The activations of the last layer.

        Parameters
        ----------
        X : array (n_samples, features), or (features,) for one sample
            Fastest where it is a plain array of float32 or float64. Or a sparse matrix or array of SciPy's in CSR
            format.
        out : array (n_samples, outputs), or (outputs,) for one sample, default None
            Where to put them: a C-contiguous array of the network's dtype, which may share memory with X. If X is not
            finite, some rows may have been written. None: a new array.

        Returns
        -------
        array
            `out`, or the new one.

        Raises
        ------
        ValueError, TypeError
            If X has another shape, is empty, holds no real numbers, or numbers that are not finite; if `out` is no such
            array.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.NeuralNetwork([3, 2]).predictor()([[1, 2, 3], [4, 5, 6]]).shape
        (2, 2)
        """
        return predict(self._prediction, X, out)

    def __repr__(self) -> str:
        return f"Predictor({list(self.layer_sizes)}, activations={self.activations}, dtype={self.dtype!r})"

    def __reduce__(self) -> Any:
        return _restored, (self._prediction.model, self._prediction.parameters(), self._backend_asked)


def predictor(prediction: "Prediction | ReferencePrediction", backend: str, backend_asked: str | None) -> Predictor:
    """A predictor, on the shortest way that its backend has."""
    return prediction.shortcut(Predictor(prediction, backend, backend_asked))


def predict(
    prediction: "Prediction | ReferencePrediction", X: Any, out: Any = None, allow_nan: bool = False
) -> Array:  # fmt: skip
    """What a predictor returns, whatever it is given."""
    model = prediction.model
    # whether numbers are finite shows when they are read
    if array_checks.is_sparse(X):
        one, X = False, sparse.sparse_rows(X, model.sizes[0])
    else:
        one, X = array_checks.one_or_many(X, model.sizes[0], model.dtype, allow_nan=True)
    rows = (len(X), model.sizes[-1])
    shape = rows[1:] if one else rows
    if out is None:
        target = out = np.empty(shape, model.dtype)
    else:
        target = array_checks.output("out", out, shape, model.dtype)
    target = target.reshape(rows)
    written = (
        np.empty_like(target) if np.may_share_memory(sparse.flat(X), target) else target
    )  # as if all of X were read first
    if not prediction.run(X, written, allow_nan):
        sparse.require_finite(X, model.dtype)
        raise ValueError(f"X must be finite as {model.dtype}, got other numbers while it was read")
    if written is not target:
        target[...] = written
    return out  # type: ignore[no-any-return]


def _restored(model: Model, parameters: Array, backend_asked: str | None) -> Predictor:
    backend, model = find_backend(backend_asked), validation.model_again(model)
    return predictor(backend.executor(model, parameters).prediction(), backend.name, backend_asked)
