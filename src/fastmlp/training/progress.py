"""One line of progress, rewritten in place in a terminal and not written at all anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from types import TracebackType

CLEAR_LINE = "\r\x1b[K"
ROUNDS = 20


class Progress:
    """Show how far a job is on stderr; leaving the `with` block removes the line.

    Examples
    --------
    >>> with Progress("training") as progress:
    ...     for epoch in range(100):
    ...         progress.show((epoch + 1) / 100, "loss 0.125")
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.visible = sys.stderr is not None and sys.stderr.isatty()  # None if the shell has closed it

    def show(self, fraction: float, note: str = "") -> None:
        """Rewrite the line with the fraction done, 0 to 1, and a note."""
        if self.visible:
            print(f"{CLEAR_LINE}{self.title}: {fraction:4.0%}  {note}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.visible:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)


def train_in_rounds(title: str, epochs: int, train: Callable[[int, int], float]) -> float:
    """Split a training into rounds of epochs, the same ones whether or not they are shown.

    `train(start, stop)` trains the epochs from `start` up to `stop` and returns the loss; the last one is returned.
    """
    edges = [epochs * part // ROUNDS for part in range(ROUNDS + 1)]
    loss = float("nan")
    with Progress(title) as progress:
        progress.show(0.0)
        for start, stop in pairwise(edges):
            if stop > start:
                loss = train(start, stop)
                progress.show(stop / epochs, f"epoch {stop}/{epochs}  loss {loss:.4g}")
    return loss
