"""What all pictures share: Matplotlib, found when it is needed, where to draw, and colors.

Colors are M. Okabe's and K. Ito's, "Color universal design", 2008, which color-blind people tell apart.
"""

from typing import TYPE_CHECKING, Any

from ..kernels.base.errors import require, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442",
)  # fmt: skip
INK, FAINT = "#222222", "#777777"  # of text


def find_pyplot() -> Any:
    """Matplotlib's, with all that it imports."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("Matplotlib must be installed for fastmlp.plot: `pip install fastmlp[plot]`") from None
    return pyplot


def axes(ax: Any, width: float, height: float) -> "Axes":
    """The axes to draw into: new ones of this size in inches for None, in a figure that makes room for their labels."""
    pyplot = find_pyplot()
    if ax is None:
        return pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Matplotlib's Axes or None, got {shortened(ax)}")
    return ax


def names(argument: str, value: Any, count: int) -> list[str] | None:
    """A name for each of so many; None: there are none."""
    if value is None:
        return None
    rule = f"a sequence of {count} names"
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        raise TypeError(f"{argument} must be {rule}, got {shortened(value)}")
    require(len(value) == count, argument, rule, list(value))
    return [str(name) for name in value]
