"""What tests of pictures share."""

import itertools

import numpy as np


def rendered(ax, path):
    """The pixels of the axes' figure (height, width, 3), written to a file and read again."""
    from matplotlib import pyplot

    ax.figure.savefig(path, dpi=100)
    return pyplot.imread(path)[..., :3]


def texts(ax):
    """Everything that is written in axes and those within them."""
    within = [ax, *ax.child_axes]
    found = [text for one in within for text in one.texts]
    for one in within:
        if one.axison:
            found += [one.xaxis.label, one.yaxis.label, one.title]
            for axis, place in ((one.xaxis, 0), (one.yaxis, 1)):
                low, high = sorted(axis.get_view_interval())
                found += [label for label in axis.get_ticklabels() if low <= label.get_position()[place] <= high]
    return [text for text in found if text.get_visible() and text.get_text()]


def faults(ax):
    """Texts that overlap, or that are not wholly within the figure."""
    ax.figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(ax)]
    frame = ax.figure.bbox
    beyond = [name for name, box in boxes if not (frame.contains(*box.min) and frame.contains(*box.max))]
    overlapping = [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if _share(one, two)]
    return beyond + overlapping


def _share(one, two):
    """Whether boxes have more than a pixel in common."""
    return bool(np.all(np.minimum(one.max, two.max) - np.maximum(one.min, two.min) > 1))
