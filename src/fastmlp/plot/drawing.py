"""The parts of a network's picture, drawn."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.base.arrays import Array
from .canvas import BLUE, FAINT, INK
from .geometry import LEADING, RADIUS, Column, Geometry
from .structure import LayerView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEGATIVE, ZERO, POSITIVE = "#E07B00", "#DEDEDE", BLUE  # without colors, the positive are darker
CLEAR = 10  # points between the numbers on lines
LEGIBLE = 5.5  # points of the smallest symbols


class Drawing:
    """Axes, and what is drawn into them: the shown neurons of each layer and the weights between them."""

    def __init__(self, ax: "Axes", place: Geometry, columns: list[Column], layers: list[LayerView]) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        self._ax, self._place, self._columns, self._layers = ax, place, columns, layers
        largest = max(float(np.abs(part).max()) for layer in layers for part in (layer.weights, layer.biases)) or 1.0
        colors = LinearSegmentedColormap.from_list("weights", [NEGATIVE, ZERO, POSITIVE])
        self._largest, self._scale = largest, ScalarMappable(Normalize(-largest, largest), colors)
        left, right, bottom, top = place.limits
        ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        ax.set_axis_off()

    def connections(self) -> None:
        """Lines from layer to layer, the strongest above the others."""
        from matplotlib.collections import LineCollection

        widest = float(np.clip(0.06 * self._place.scale, 1.2, 4.0))
        for index, layer in enumerate(self._layers):
            starts, ends = self._centers(index), self._centers(index + 1)
            weights = layer.weights.ravel()
            order = np.argsort(np.abs(weights), kind="stable")
            lines = np.stack([np.repeat(starts, len(ends), axis=0), np.tile(ends, (len(starts), 1))], axis=1)
            widths = 0.3 + (widest - 0.3) * np.abs(weights[order]) / self._largest
            self._ax.add_collection(
                LineCollection(
                    lines[order], array=weights[order], cmap=self._scale.cmap, norm=self._scale.norm, linewidths=widths,
                    capstyle="butt", zorder=1,
                ),
                autolim=False,
            )  # fmt: skip

    def neurons(self, inside: list[bool]) -> None:
        """Circles filled by biases, dots for those left out, and symbols inside the circles of these layers."""
        from matplotlib.patches import Circle

        size = min(0.85 * RADIUS * self._place.scale, 13.0)
        for index, column in enumerate(self._columns):
            biases = self._layers[index - 1].biases if index else [None] * len(column.neurons)
            letter = "x" if index == 0 else "h" if index < len(self._layers) else "o"
            for center, neuron, bias in zip(self._centers(index), column.neurons, biases, strict=True):
                fill = "white" if bias is None else self._scale.to_rgba(bias)
                self._ax.add_patch(Circle(center, RADIUS, facecolor=fill, edgecolor=INK, linewidth=0.8, zorder=3))
                if inside[index] and size >= LEGIBLE:
                    self._text(center, f"${letter}_{{{neuron + 1}}}$", size, color=on(fill), parse_math=True)
            if column.dots is not None:
                for step in (-0.22, 0.0, 0.22):
                    dot = (self._place.x[index], column.dots + step)
                    self._ax.add_patch(Circle(dot, 0.06, facecolor=FAINT, edgecolor="none", zorder=3))

    def names(self, left: list[str], right: list[str]) -> None:
        """Beside inputs and outputs."""
        beside = RADIUS + self._place.units(4)
        for index, side, texts, align in ((0, -1, left, "right"), (-1, 1, right, "left")):
            for (x, y), text in zip(self._centers(index), texts, strict=False):
                self._text((x + side * beside, y), text, self._place.font, ha=align)

    def heads(self, heads: list[str]) -> None:
        """Above the layers: a title, and lines of details."""
        line = self._place.units(LEADING * self._place.font)
        for x, head in zip(self._place.x, heads, strict=True):
            title, *details = head.split("\n")
            self._text((x, self._place.head), title, self._place.font, va="top", weight="bold")
            for number, detail in enumerate(details, 1):
                self._text((x, self._place.head - number * line), detail, self._place.font, va="top", alpha=0.6)

    def values(self) -> None:
        """Weights on the lines, where they cross no others, and biases below the circles."""
        size = min(self._place.font, 8.0)
        for index, layer in enumerate(self._layers):
            t = clearing(*layer.weights.shape)
            starts, ends = self._centers(index), self._centers(index + 1)
            for (i, j), weight in np.ndenumerate(layer.weights):
                self._number((1 - t) * starts[i] + t * ends[j], number(weight), size)
            for (x, y), bias in zip(ends, layer.biases, strict=True):
                self._number((x, y - RADIUS - self._place.units(0.75 * size)), f"b = {number(bias)}", size)

    def has_room_for_values(self) -> bool:
        """Whether the numbers on lines are as far apart as they should be, and nothing is left out."""
        apart = min(1 / (1 + min(layer.weights.shape)) for layer in self._layers) * self._place.scale
        return apart >= CLEAR and all(column.dots is None for column in self._columns)

    def colorbar(self) -> None:
        """The scale of colors, below."""
        box = self._ax.inset_axes(self._place.bar, transform=self._ax.transData)
        bar = self._ax.figure.colorbar(self._scale, cax=box, orientation="horizontal")
        size = max(self._place.font - 1, 5)
        bar.ax.locator_params(nbins=5)
        bar.ax.tick_params(labelsize=size, length=2, pad=1.5)
        bar.set_label("weights (lines) and biases (circles)", fontsize=size, labelpad=2)
        bar.outline.set_visible(False)

    def _centers(self, index: int) -> Array:
        y = self._columns[index].y
        return np.column_stack([np.full(len(y), self._place.x[index]), y])

    def _text(self, at: Any, text: str, size: float, **style: Any) -> None:
        usual = {"size": size, "ha": "center", "va": "center", "zorder": 5, "parse_math": False}  # names may have a $
        self._ax.text(*at, text, **(usual | style))

    def _number(self, at: Any, text: str, size: float) -> None:
        box = {"facecolor": self._ax.figure.get_facecolor(), "edgecolor": "none", "pad": 0.8}
        self._text(at, text, size, bbox=box, zorder=2)


def clearing(inputs: int, outputs: int) -> float:
    """How far along the lines their numbers are at equal distances, one above the other."""
    return 1 / (1 + outputs) if outputs <= inputs else inputs / (1 + inputs)


def number(value: float) -> str:
    """A number with two digits or more after the point, and a true minus sign."""
    text = f"{value:.2f}" if 0.005 <= abs(value) < 1000 or value == 0 else f"{value:.0e}"
    return text.replace("-", "\N{MINUS SIGN}")


def on(fill: Any) -> str:
    """The color of what can be read on this one, by the weights of ITU-R BT.601."""
    from matplotlib.colors import to_rgb

    return "white" if np.dot(to_rgb(fill), (0.299, 0.587, 0.114)) < 0.5 else INK
