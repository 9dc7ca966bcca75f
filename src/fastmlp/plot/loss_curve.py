"""How the loss went, epoch by epoch."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import shortened
from ..training.history import History
from .canvas import BLUE, FAINT, GREEN, VERMILION, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 20  # epochs that are marked one by one
PLACES = {
    "center right": 0.5,
    "upper right": 0.85,
    "lower right": 0.15,
}  # of legends, with the heights of their middles


class LossCurveDisplay:
    """The course of a training: its loss, the loss or score on validation data, and the best epoch.

    Make it with `from_estimator` or `from_history`, which draw at once, like scikit-learn's displays; `plot` draws
    again.

    Parameters
    ----------
    loss : sequence of float
        The training loss of each epoch.
    validation_loss, validation_score : sequence of float, default None
        On validation data after each epoch; scores have an axis of their own.
    best_epoch : int, default None
        The epoch to mark, counted from 1. None: none.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the losses. This and the following are of the last time that it was drawn.
    figure_ : matplotlib.figure.Figure
    line_ : matplotlib.lines.Line2D
        The training loss.
    validation_line_ : matplotlib.lines.Line2D or None
        The validation loss or, where there is none, the score.
    score_line_ : matplotlib.lines.Line2D or None
        The validation score.
    score_ax_ : matplotlib.axes.Axes or None
        The axes of the score.
    best_epoch_line_ : matplotlib.lines.Line2D or None
        The mark of the best epoch.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of what is allowed.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp.plot import LossCurveDisplay
    >>> network = fastmlp.NeuralNetwork([1, 1], dtype="float64", initializer="zeros")
    >>> history = network.train([[1.0]], [1.0], epochs=3, learning_rate=0.125)
    >>> display = LossCurveDisplay.from_history(history, log_scale=True)
    >>> display.line_.get_ydata().tolist()
    [1.0, 0.25, 0.0625]
    """

    def __init__(
        self, loss: Any, *, validation_loss: Any = None, validation_score: Any = None, best_epoch: int | None = None
    ) -> None:
        self.loss = _curve("loss", loss)
        self.validation_loss = None if validation_loss is None else _curve("validation_loss", validation_loss)
        self.validation_score = None if validation_score is None else _curve("validation_score", validation_score)
        if best_epoch is not None:
            validation.positive_integer("best_epoch", best_epoch, most=len(self.loss))
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: "Axes | None" = None, log_scale: bool = False) -> Self:
        """Draw the training of a fitted estimator, scikit-learn's or ours.

        The best epoch is that of the best `validation_scores_` or, without them, of the least loss.

        Parameters
        ----------
        estimator : estimator
            With `loss_curve_`, and `validation_scores_` if there were validation data.
        ax : matplotlib.axes.Axes, default None
            Where to draw. None: a new figure.
        log_scale : bool, default False
            A logarithmic scale for losses.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError, TypeError
            If the estimator has no `loss_curve_`, or another argument is none of what is allowed.
        """
        loss, scores = getattr(estimator, "loss_curve_", None), getattr(estimator, "validation_scores_", None)
        if loss is None:
            raise TypeError(f"estimator must be fitted and have a loss_curve_, got {shortened(estimator)}")
        curve, best = (loss, np.nanargmin) if scores is None else (scores, np.nanargmax)
        epoch = int(best(curve)) + 1 if np.isfinite(curve).any() else None
        return cls(loss, validation_score=scores, best_epoch=epoch).plot(ax, log_scale=log_scale)

    @classmethod
    def from_history(cls, history: History, *, ax: "Axes | None" = None, log_scale: bool = False) -> Self:
        """Draw what `NeuralNetwork.train` returned.

        Parameters
        ----------
        history : History
            Of at least one epoch.
        ax : matplotlib.axes.Axes, default None
            Where to draw. None: a new figure.
        log_scale : bool, default False
            A logarithmic scale for losses.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError, TypeError
            If `history` is none, or another argument is none of what is allowed.
        """
        if not isinstance(history, History):
            raise TypeError(f"history must be a History, as train returns, got {shortened(history)}")
        display = cls(history.loss, validation_loss=history.validation_loss or None, best_epoch=history.best_epoch)
        return display.plot(ax, log_scale=log_scale)

    line_: Any
    validation_line_: Any
    score_line_: Any
    score_ax_: Any

    def plot(self, ax: "Axes | None" = None, *, log_scale: bool = False) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default None
            Where to draw. None: a new figure.
        log_scale : bool, default False
            A logarithmic scale for losses, which must be above 0.

        Returns
        -------
        LossCurveDisplay
            Itself.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        ValueError, TypeError
            If an argument is none of what is allowed.
        """
        if validation.flag("log_scale", log_scale):
            for losses in (self.loss, self.validation_loss):
                if losses is not None and np.any(losses <= 0):
                    raise ValueError(f"log_scale must be False for losses that are not above 0, got {log_scale}")
        self.ax_ = axes(ax, 6, 4)
        from matplotlib.ticker import MaxNLocator

        self.figure_, self.score_ax_, self.score_line_, self.validation_line_ = self.ax_.figure, None, None, None
        self.line_ = self._draw(self.ax_, self.loss, "training loss", BLUE, "-")
        if self.validation_loss is not None:
            self.validation_line_ = self._draw(self.ax_, self.validation_loss, "validation loss", VERMILION, "--")
        if log_scale:
            self.ax_.set_yscale("log")
        if self.validation_score is not None:
            self.score_ax_ = self.ax_.twinx()
            self.score_ax_.set_ylabel("validation score")
            self.score_line_ = self._draw(self.score_ax_, self.validation_score, "validation score", GREEN, "-.")
            self.validation_line_ = self.validation_line_ or self.score_line_
        self.best_epoch_line_ = self._mark_best()
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        self.ax_.set(xlabel="epoch", ylabel="loss")
        self.ax_.grid(color=FAINT, alpha=0.2, linewidth=0.6)
        lines = [self.line_, self.validation_line_, self.score_line_, self.best_epoch_line_]
        handles = list(dict.fromkeys(line for line in lines if line is not None))
        front = self.score_ax_ or self.ax_  # its legend is above the lines of both
        front.legend(handles=handles, loc=self._free_place(), framealpha=0.9)
        return self

    def _draw(self, ax: "Axes", values: Array, label: str, color: str, style: str) -> Any:
        epochs = np.arange(1, len(values) + 1)
        marker = "o" if len(values) <= FEW else ""
        return ax.plot(epochs, values, style, label=label, color=color, linewidth=1.6, marker=marker, markersize=4)[0]

    def _mark_best(self) -> Any:
        if self.best_epoch is None:
            return None
        label = f"best epoch: {self.best_epoch}"
        return self.ax_.axvline(self.best_epoch, color=FAINT, linestyle=":", linewidth=1.3, label=label, zorder=1)

    def _free_place(self) -> str:
        """Where a legend hides little. "best" knows the lines of one axes only."""
        if self.score_line_ is None:
            return "best"
        points = []
        for line in filter(None, (self.line_, self.validation_line_, self.score_line_)):
            ax = line.axes
            ax.get_xlim(), ax.get_ylim()  # makes them up to date
            points.append((ax.transScale + ax.transLimits).transform(line.get_xydata()))
        x, y = np.concatenate(points).T
        hidden = {name: np.sum((x > 0.55) & (abs(y - middle) < 0.2)) for name, middle in PLACES.items()}
        return min(hidden, key=lambda name: hidden[name])


def _curve(argument: str, value: Any) -> Array:
    """At least one number; some may be NaN."""
    curve = array_checks.numbers(argument, value)
    if curve.ndim != 1 or len(curve) == 0:
        raise ValueError(f"{argument} must be a number for each epoch, of at least one, got {shortened(value)}")
    return curve.astype(float)
