"""scikit-learn's callbacks, where it has them: an experiment of version 1.9, and touched only if a fit has some."""

import warnings
from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to add."""


__all__ = ["CallbackSupportMixin", "FitCallbacks", "fit_callbacks"]


Attributes = Callable[[], dict[str, Any]]


class FitCallbacks:
    """Those of one fit: the fit is a task, and its epochs are subtasks of it."""

    def __init__(
        self, estimator: Any, epochs: int, X: Any, y: Any, metadata: dict[str, Any], changes: Attributes
    ) -> None:  # fmt: skip
        self._estimator, self._data = estimator, {"X": X, "y": y, "metadata": metadata}
        self._changes = changes
        self._context = estimator._init_callback_context(max_subtasks=epochs)
        self._context.call_on_fit_task_begin(estimator=estimator, **self._data)
        self._begin()

    def _begin(self) -> None:
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def epoch_ends(self, attributes: Attributes, last: bool) -> bool:
        """Tell them; whether one asks to stop. `attributes` of the network make an estimator as if it ended here."""
        stop = self._epoch.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._changes() | attributes() | {"_network_kept": None},
            **self._data,
        )
        if not (stop or last):
            self._begin()
        return bool(stop)

    def end(self) -> None:
        """The estimator is fitted. What was set up is taken down by scikit-learn, however the fit ends."""
        self._context.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes={}, **self._data)


def fit_callbacks(
    estimator: Any, epochs: int, X: Any, y: Any, metadata: dict[str, Any], changes: Attributes = dict
) -> FitCallbacks | None:  # fmt: skip
    """None if nobody is to be told, or can be. changes: the attributes that the fit has changed so far."""
    if not (getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")):
        return None
    if not hasattr(estimator, "_init_callback_context"):
        warnings.warn("This scikit-learn has other callbacks than fastmlp knows: they are not called.", stacklevel=6)
        return None
    return FitCallbacks(estimator, epochs, X, y, metadata, changes)
