"""Where the parts of a network's picture are.

A unit is the distance between neighboring neurons of a layer; texts and margins are in points, and `scale` says how
many points a unit takes.
"""

from functools import cache
from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.records import Record, frozen

RADIUS = 0.38  # of a neuron, in units
MARGIN = 8  # points around the picture and between its parts
BAR = 52  # points for the color bar with its labels
HEAD_LINES = 3
LEADING = 1.35  # a line of text takes so many times its size
SMALLEST, LARGEST = 5.0, 9.0  # points of texts


@frozen
class Column(Record):
    """A layer as it is drawn: which neurons, at which heights, and where dots stand for others."""

    neurons: Array
    y: Array
    dots: float | None

    @property
    def rows(self) -> int:
        """The places that it takes."""
        return len(self.neurons) + (self.dots is not None)


def column(count: int, most: int) -> Column:
    """The first and the last neurons of a layer that is too wide, or all."""
    if count <= most:
        return Column(np.arange(count), (count - 1) / 2 - np.arange(count), None)
    first, last = (most + 1) // 2, most // 2
    neurons = np.r_[:first, count - last : count]
    places = np.r_[:first, first + 1 : most + 1]
    return Column(neurons, most / 2 - places, most / 2 - first)


@frozen
class Geometry(Record):
    scale: float  # points in a unit
    font: float  # size of texts, in points
    x: Array  # of each layer, in units
    limits: tuple[float, float, float, float]  # left, right, bottom, top, in units
    head: float  # the top of the layers' headings
    bar: tuple[float, float, float, float]  # the color bar: left, bottom, width and height

    def units(self, points: float) -> float:
        return points / self.scale


class Room:
    """How much room a picture wants, and what it makes of the room that it gets."""

    def __init__(self, columns: list[Column], heads: list[str], left: list[str], right: list[str], bar: bool) -> None:
        self._layers, self._rows = len(columns), max(column.rows for column in columns)
        self._heads, self._left, self._right, self._bar = heads, left, right, bar

    def wanted(self) -> tuple[float, float]:
        """Width and height in points."""
        scale = float(np.clip(320 / self._rows, 22, 64))
        gap = max(3 * scale, self._head_width(LARGEST) + 2 * MARGIN, min(0.5 * self._rows * scale, 160))
        left, right = self._sides(scale, LARGEST)
        above, below = self._ends(LARGEST)
        return left + (self._layers - 1) * gap + right, above + (self._rows - 1 + 2 * RADIUS) * scale + below

    def filled(self, width: float, height: float) -> Geometry:
        """The picture in so many points."""
        font = self._font(width, height)
        above, below = self._ends(font)
        scale = max((height - above - below) / (self._rows - 1 + 2 * RADIUS), 1.0)
        for _ in range(3):  # margins depend on the scale, which the gap may limit
            left, right = self._sides(scale, font)
            gap = max((width - left - right) / (self._layers - 1), 1.0)
            scale = min(scale, gap / 2, 80.0)
        body = (self._rows - 1) / 2 + RADIUS
        middle = (below - above) / 2 / scale  # of what surrounds the neurons
        x = np.arange(self._layers) * gap / scale
        limits = (-left / scale, x[-1] + right / scale, -middle - height / 2 / scale, -middle + height / 2 / scale)
        bar_width = min(160.0, 0.6 * width) / scale
        bar = ((limits[0] + limits[1] - bar_width) / 2, -body - 3 * MARGIN / scale, bar_width, 6 / scale)
        return Geometry(scale, font, x, limits, body + (above - MARGIN) / scale, bar)

    def _font(self, width: float, height: float) -> float:
        """Texts shrink less than the picture does, but headings do not meet, nor do the names of neighbors."""
        wanted = self.wanted()
        shrunk = LARGEST * min(width / wanted[0], height / wanted[1]) ** 0.5
        beside = LARGEST * width / self._layers / (self._head_width(LARGEST) + MARGIN)
        above = 0.85 * (height - sum(self._ends(LARGEST))) / self._rows
        return float(np.clip(min(shrunk, beside, above), SMALLEST, LARGEST))

    def _ends(self, font: float) -> tuple[float, float]:
        """Points above and below the neurons."""
        return 2 * MARGIN + HEAD_LINES * LEADING * font, MARGIN + BAR * self._bar

    def _sides(self, scale: float, font: float) -> tuple[float, float]:
        """Points left and right of the outer layers' centers."""
        half_head = self._head_width(font) / 2
        return tuple(  # type: ignore[return-value]
            MARGIN + max(half_head, RADIUS * scale + max((text_width(name, font) + 4 for name in names), default=0))
            for names in (self._left, self._right)
        )

    def _head_width(self, font: float) -> float:
        return max(text_width(line, font) for head in self._heads for line in head.split("\n"))


def text_width(text: str, size: float) -> float:
    """Points that a text takes, in the font of Matplotlib's that is the default now."""
    from matplotlib.font_manager import FontProperties

    return _width(text, FontProperties()) * size / 10


@cache
def _width(text: str, font: Any) -> float:
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    plain = text.replace("$", r"\$")  # no formulas: paths have no parse_math
    return float(TextPath((0, 0), plain, size=10, prop=font).get_extents().width)
