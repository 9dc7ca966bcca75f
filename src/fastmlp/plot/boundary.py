"""What a model decides, over the plane of its two features."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from .canvas import BLUE, GREEN, INK, ORANGE, PINK, SKY, VERMILION, YELLOW, axes, find_pyplot, names
from .responses import respond

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW  # of classes, in turn
MARKERS = "o", "s", "^", "D", "v", "P", "X", "*"  # one more than colors: 56 classes differ
PALEST, FULLEST = 0.1, 0.5  # how much of its color a class's region has where the model is in doubt, or certain
BEYOND = 0.08  # of the samples' range, on each side
LEVELS = 10  # contours of numbers, about


def decision_boundary(
    model: Any, X: Any, y: Any = None, ax: "Axes | None" = None, *, feature_names: Any = None, class_names: Any = None,
    resolution: int = 200,
) -> "Axes":  # fmt: skip
    """Draw what a model of two features predicts around samples, and the samples.

    For classes: a region of its own color for each, fuller the more probable the class is, with lines where they meet;
    samples by color and marker. For numbers: filled contours, and samples on the same scale of colors.

    Parameters
    ----------
    model : NeuralNetwork or estimator
        A network with one output or softmax, or a fitted estimator with `predict`, and `predict_proba` if it has
        classes and probabilities. One sigmoid output is the probability of class 1.
    X : array or data frame (n_samples, 2)
        Samples: they say how far the picture goes.
    y : array (n_samples,), default None
        Classes or numbers, as the model was trained on. None: samples are not drawn.
    ax : matplotlib.axes.Axes, default None
        Where to draw. None: a new figure.
    feature_names : sequence of str, default None
        Labels of the axes. None: the columns of a data frame, or the names that an estimator was fitted with, if any.
    class_names : sequence of str, default None
        What the legend calls the classes, in their order. None: the classes themselves.
    resolution : int, default 200
        The model is asked at a grid of so many points in each direction.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError, TypeError
        If an argument is none of what is allowed, or the model has several outputs or labels, or only one class.

    Examples
    --------
    >>> import fastmlp
    >>> import fastmlp.plot
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> network = fastmlp.NeuralNetwork([2, 8, 1], activation="tanh", loss="binary_cross_entropy", seed=1)
    >>> history = network.train(X, y, epochs=500, learning_rate=0.05, optimizer="adam")
    >>> ax = fastmlp.plot.decision_boundary(network, X, y, class_names=["equal", "different"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['equal', 'different']
    """
    find_pyplot()
    validation.positive_integer("resolution", resolution)
    require(resolution >= 2, "resolution", "an integer from 2 on", resolution)
    samples = array_checks.samples(X, 2, "float64")
    targets = None if y is None else _targets(y, len(samples))
    known = getattr(X, "columns", getattr(model, "feature_names_in_", None))
    labels = names("feature_names", known if feature_names is None else feature_names, 2)
    sides = [_side(column, resolution) for column in samples.T]
    points = np.column_stack([grid.ravel() for grid in np.meshgrid(*sides)])
    response = respond(model, _like(X, points))
    drawn = response.values.reshape(resolution, resolution, -1)
    ours = ax is None
    if response.classes is None:
        require(class_names is None, "class_names", "None for a model of numbers", class_names)
        numbers = None if targets is None else array_checks.numbers("y", targets).astype(float)
        ax = axes(ax, 6, 4.5)
        _draw_numbers(ax, sides, drawn[:, :, 0], samples, numbers)
    else:
        called = names("class_names", class_names, len(response.classes)) or [str(name) for name in response.classes]
        which = None if targets is None else _which(targets, response.classes)
        ax = axes(ax, 6, 4.5)
        _draw_classes(ax, sides, drawn, samples, which, called, ours)
    ax.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    if labels:
        ax.set_xlabel(labels[0], parse_math=False)
        ax.set_ylabel(labels[1], parse_math=False)
    return ax


# --- what is asked


def _side(values: Array, resolution: int) -> Array:
    """Points in one direction: somewhat beyond all samples."""
    low, high = float(values.min()), float(values.max())
    beyond = BEYOND * (high - low) or 0.5
    return np.linspace(low - beyond, high + beyond, resolution)


def _like(X: Any, points: Array) -> Any:
    """Points as a table with the names that the model knows, if X is one: of pandas, polars and the like."""
    return type(X)(dict(zip(X.columns, points.T, strict=True))) if hasattr(X, "columns") else points


def _targets(y: Any, count: int) -> Array:
    targets = np.asarray(y)
    targets = targets[:, 0] if targets.shape == (count, 1) else targets
    require(targets.shape == (count,), "y", f"of shape ({count},), one for each sample", targets.shape)
    return targets


def _which(targets: Array, classes: Array) -> Array:
    """The index of each sample's class."""
    same = targets[:, np.newaxis] == classes
    if not np.all(np.any(same, axis=1)):
        odd = targets[np.argmin(np.any(same, axis=1))]
        raise ValueError(f"y must be of the model's classes {shortened(classes.tolist())}, got {shortened(odd.item())}")
    which: Array = np.argmax(same, axis=1)
    return which


# --- how it is drawn


def _draw_classes(
    ax: "Axes", sides: list[Array], values: Array, samples: Array, which: Array | None, called: list[str], ours: bool
) -> None:
    from matplotlib.patches import Patch

    (x, y), count = sides, values.shape[2]
    steps = x[1] - x[0], y[1] - y[0]
    extent = (x[0] - steps[0] / 2, x[-1] + steps[0] / 2, y[0] - steps[1] / 2, y[-1] + steps[1] / 2)
    ax.imshow(shades(values), origin="lower", extent=extent, aspect="auto", interpolation="bilinear", zorder=0)
    for k in range(count if count > 2 else 1):
        lead = values[:, :, k] - np.delete(values, k, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            ax.contour(x, y, lead, levels=[0.0], colors=INK, linewidths=1.3, zorder=2)
    handles: list[Any] = []
    for k, name in enumerate(called):
        color, marker = COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)]
        if which is None:
            handles.append(Patch(facecolor=color, alpha=FULLEST, label=name))
        else:
            style = {"facecolors": color, "marker": marker, "edgecolors": INK, "linewidths": 0.6, "label": name}
            handles.append(ax.scatter(*samples[which == k].T, s=_size(samples), zorder=3, **style))
    place: dict[str, Any] = {"loc": "best", "framealpha": 0.9}
    if ours:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "frameon": False, "borderaxespad": 0}
    legend = ax.legend(handles, [str(k) for k in range(count)], **place)  # it would leave out a name that starts with _
    for text, name in zip(legend.get_texts(), called, strict=True):
        text.set(text=name, parse_math=False)


def shades(values: Array) -> Array:
    """The color (..., 3) of each point's most probable class, palest where all are equally probable."""
    from matplotlib.colors import to_rgb

    count = values.shape[-1]
    colors = np.array([to_rgb(COLORS[k % len(COLORS)]) for k in range(count)])
    certainty = np.clip((values.max(axis=-1) * count - 1) / max(count - 1, 1), 0, 1)
    strength = (PALEST + (FULLEST - PALEST) * certainty)[..., np.newaxis]
    return np.asarray(1 - strength * (1 - colors[values.argmax(axis=-1)]))


def _size(samples: Array) -> float:
    """The area of markers, in points squared."""
    return float(np.clip(6000 / len(samples), 16, 45))


def _draw_numbers(ax: "Axes", sides: list[Array], values: Array, samples: Array, targets: Array | None) -> None:
    from matplotlib.ticker import MaxNLocator

    together = [values.ravel()] if targets is None else [values.ravel(), targets]
    low, high = min(map(np.min, together)), max(map(np.max, together))
    if low == high:  # one level is no contour
        low, high = low - 0.5, high + 0.5
    levels = MaxNLocator(LEVELS).tick_values(float(low), float(high))
    filled = ax.contourf(*sides, values, levels=levels, cmap="viridis", zorder=0)
    ax.contour(*sides, values, levels=levels, colors="white", linestyles="solid", linewidths=0.6, alpha=0.7, zorder=1)
    bar = ax.figure.colorbar(filled, ax=ax, label="prediction")
    bar.outline.set_visible(False)
    if targets is not None:
        style = {"cmap": filled.cmap, "norm": filled.norm, "edgecolors": "white", "linewidths": 0.9}
        ax.scatter(*samples.T, c=targets, s=_size(samples), zorder=3, **style)
        bar.set_label("prediction, and samples' y")
