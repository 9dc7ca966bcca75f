"""Networks as circles and lines, as introductions draw them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import validation
from ..kernels.base.errors import require
from .canvas import axes, find_pyplot, names
from .drawing import Drawing
from .geometry import Column, Room, column
from .structure import LayerView, layers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def network(
    net: Any, ax: "Axes | None" = None, *, max_neurons: int = 16, feature_names: Any = None, output_names: Any = None,
    values: bool | None = None, colorbar: bool = True,
) -> "Axes":  # fmt: skip
    """Draw the neurons and connections of a network.

    Lines are weights: blue where positive, orange where negative, wider the farther from zero. Circles are filled by
    the neurons' biases, on the same scale of colors, which ends at the largest number that is drawn. Headings
    say how a layer is normalized, if it is. Its weights and biases are drawn as they are stored, weights from before
    normalization and biases from after it; gains and running averages are not drawn.

    Parameters
    ----------
    net : NeuralNetwork or estimator
        A network of fastmlp, `fastmlp.guide.NeuralNetwork`, `fastmlp.introduction.OurNeuralNetwork`, or a fitted
        estimator with `coefs_` and `intercepts_`, such as scikit-learn's.
    ax : matplotlib.axes.Axes, default None
        Where to draw. None: a new figure, of a size that suits the network.
    max_neurons : int, default 16
        Of layers with more than these, dots stand for those in the middle. At least 2.
    feature_names, output_names : sequence of str, default None
        What to write beside inputs and outputs. None: the names that an estimator was fitted with, if there are any.
    values : bool, default None
        Write weights and biases as numbers. None: where there is room for them.
    colorbar : bool, default True
        Draw the scale of colors below.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or the new one.

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    ValueError, TypeError
        If an argument is none of what is allowed.

    Examples
    --------
    >>> import fastmlp
    >>> import fastmlp.plot
    >>> ax = fastmlp.plot.network(fastmlp.NeuralNetwork([2, 2, 1], seed=1), feature_names=["weight", "height"])
    >>> [text.get_text() for text in ax.texts if "hidden" in text.get_text()]
    ['hidden']
    """
    find_pyplot()
    layers = layers_of(net)
    validation.positive_integer("max_neurons", max_neurons)
    require(max_neurons >= 2, "max_neurons", "an integer from 2 on", max_neurons)
    validation.flag("colorbar", colorbar)
    if values is not None:
        validation.flag("values", values)
    sizes = [len(layers[0].weights), *(len(layer.biases) for layer in layers)]
    columns = [column(size, max_neurons) for size in sizes]
    left, right = (
        [side[i] for i in end.neurons] if side else []
        for side, end in zip(_names(net, feature_names, output_names, sizes), (columns[0], columns[-1]), strict=True)
    )
    heads = _heads(sizes, layers)
    room = Room(columns, heads, left, right, colorbar)
    width, height = room.wanted()
    if ax is None:
        ax = axes(None, width / 72, height / 72)
    else:
        box, points = axes(ax, 0, 0).get_window_extent(), 72 / ax.figure.dpi
        width, height = box.width * points, box.height * points
    drawing = Drawing(ax, room.filled(width, height), columns, _drawn(layers, columns))
    drawing.connections()
    drawing.neurons(inside=[not left, *[True] * (len(layers) - 1), not right])
    drawing.names(left, right)
    drawing.heads(heads)
    if values or (values is None and drawing.has_room_for_values()):
        drawing.values()
    if colorbar:
        drawing.colorbar()
    return ax


def _names(net: Any, feature_names: Any, output_names: Any, sizes: list[int]) -> tuple[list[str] | None, ...]:
    """What inputs and outputs are called."""
    given = names("feature_names", feature_names, sizes[0]), names("output_names", output_names, sizes[-1])
    fitted = getattr(net, "feature_names_in_", ()), getattr(net, "classes_", ())
    return tuple(
        names("names", known, size) if wished is None and len(known) == size else wished
        for wished, known, size in zip(given, fitted, (sizes[0], sizes[-1]), strict=True)
    )


def _heads(sizes: list[int], layers: list[LayerView]) -> list[str]:
    """What stands above each layer: what it is, its size, its normalization and activation."""
    hidden = len(layers) - 1
    titles = ["inputs", *(f"hidden {i + 1}" if hidden > 1 else "hidden" for i in range(hidden)), "outputs"]
    functions = ["", *(", ".join(filter(None, (layer.normalization, layer.activation))) for layer in layers)]
    return [f"{title}\n{size}\n{called}" for title, size, called in zip(titles, sizes, functions, strict=True)]


def _drawn(layers: list[LayerView], columns: list[Column]) -> list[LayerView]:
    """The part of each layer that there is room for."""
    return [
        layer._replace(weights=layer.weights[np.ix_(below.neurons, here.neurons)], biases=layer.biases[here.neurons])
        for layer, below, here in zip(layers, columns, columns[1:], strict=False)
    ]
