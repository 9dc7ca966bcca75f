"""What happened in training."""

import math
from collections.abc import Sequence
from typing import Any

from .kernels.plan import Array

UNMONITORED = ("learning_rate", "gradient_norm", "seconds")  # columns beside what may be monitored, if they are known
SHOWN = 6  # rows at the beginning and at the end of a long table


class History:
    """The course of a training, epoch by epoch.

    Attributes
    ----------
    epochs : int
        How many epochs there were.
    loss : list of float
        The mean loss of each epoch, over its samples as they were trained on: before the weights moved on.
    validation_loss : list of float
        The loss on the validation data after each epoch; empty if there were none.
    metrics : dict of str to list of float
        The metrics asked for, after each epoch.
    learning_rate : list of float
    gradient_norm : list of float
        The mean norm of each epoch's gradients, if it was asked for.
    seconds : list of float
        What each epoch took, with all that was done after the one before it. Epochs that ran at a stretch share evenly.
    stopped : str or None
        Why training ended, in a sentence; None if an error or Ctrl-C ended it, or while it goes on.
    best_epoch : int or None
        The epoch, counted from 1, with the best value of what was monitored: of the loss, if nothing else was. None if
        no value was finite.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([1, 1], dtype="float64", initializer="zeros")
    >>> network.train([[1.0]], [1.0], epochs=3, learning_rate=0.125)  # the error is 1 and halves: 1, 1/4, 1/16
    History of 3 epochs. All epochs were trained.
     epoch    loss
         1       1
         2    0.25
         3  0.0625
    """

    stopped: str | None = None
    _resumable = True  # whether the network keeps what it takes to go on
    _best_epoch: int | None = None  # 0: there is none; None: nobody has looked

    def __init__(self, loss: list[float]) -> None:
        self.loss = loss
        self.validation_loss: list[float] = []
        self.metrics: dict[str, list[float]] = {}
        self.learning_rate: list[float] = []
        self.gradient_norm: list[float] = []
        self.seconds: list[float] = []

    @property
    def epochs(self) -> int:
        return len(self.loss)

    @property
    def best_epoch(self) -> int | None:
        if self._best_epoch is None:
            values = [loss if math.isfinite(loss) else math.inf for loss in self.loss]
            best = min(values, default=math.inf)
            return values.index(best) + 1 if best < math.inf else None
        return self._best_epoch or None

    def to_dict(self) -> dict[str, list[float]]:
        """Columns by name, all of the same length: "epoch", "loss", and what else there is.

        Returns
        -------
        dict of str to list

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.NeuralNetwork([1, 1], initializer="zeros").train([[1]], [1], epochs=1).to_dict()["loss"]
        [1.0]
        """
        columns = self._curves() | {name: getattr(self, name) for name in UNMONITORED if getattr(self, name)}
        return {"epoch": list(range(1, self.epochs + 1)), **{name: list(values) for name, values in columns.items()}}

    def to_pandas(self) -> Any:
        """A table with a row for each epoch.

        Returns
        -------
        pandas.DataFrame
            With the columns of `to_dict`; the epoch is the index.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import fastmlp
        >>> history = fastmlp.NeuralNetwork([1, 1]).train([[1]], [1], epochs=5)
        >>> history.to_pandas().loss.min()  # doctest: +SKIP
        """
        try:
            import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise ImportError("pandas must be installed for to_pandas: `pip install pandas`") from None
        return pandas.DataFrame(self.to_dict()).set_index("epoch")

    def _curves(self) -> dict[str, list[float]]:
        """What may be monitored, by name: the lists themselves."""
        validation = {"validation_loss": self.validation_loss} if self.validation_loss else {}
        return {"loss": self.loss, **validation, **self.metrics}

    def _complete(self, losses: Array, before: int) -> None:
        """Add what an interruption kept from being added: of the epochs that followed these, all losses are known."""
        self.loss += losses[self.epochs - before :].tolist()
        self._fill()

    def _fill(self, *names: str) -> None:
        """What is missing in other columns is NaN: of those that there are, and of these."""
        for curve in (*self.metrics.values(), *(getattr(self, name) for name in ("validation_loss", *UNMONITORED))):
            if curve:
                curve += [math.nan] * (self.epochs - len(curve))
        for name in names:
            curve = getattr(self, name)
            curve += [math.nan] * (self.epochs - len(curve))

    def _until(self, epoch: int | None) -> "History":
        """A copy of the first epochs; None: of all."""
        history = History(self.loss[:epoch])
        history.metrics = {name: curve[:epoch] for name, curve in self.metrics.items()}
        for name in ("validation_loss", *UNMONITORED):
            setattr(history, name, getattr(self, name)[:epoch])
        return history

    def __repr__(self) -> str:
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        head = f"History of {epochs}." + (f" {self.stopped}" if self.stopped else "")
        columns: dict[str, list[float]] = {"epoch": list(range(1, self.epochs + 1)), **self._curves()}
        if len(set(self.learning_rate)) > 1:
            columns["learning_rate"] = self.learning_rate
        return "\n".join([head, *table(columns)]) if self.epochs else head


def table(columns: dict[str, list[float]]) -> list[str]:
    """Lines of right-aligned columns; many rows are abbreviated in the middle."""
    count = len(next(iter(columns.values())))
    left_out = count > 2 * SHOWN + 1
    rows = [*range(SHOWN), *range(count - SHOWN, count)] if left_out else range(count)
    cells = [[name, *(f"{values[row]:.6g}" for row in rows)] for name, values in columns.items()]
    return aligned(cells, gap=SHOWN + 1 if left_out else None)


def aligned(columns: Sequence[Sequence[str]], gap: int | None = None) -> list[str]:
    """Lines of right-aligned columns of text; before line `gap`, dots for what is left out."""
    widths = [max(map(len, column)) for column in columns]
    lines = [
        " " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    ]
    return lines if gap is None else [*lines[:gap], " " + "...".rjust(widths[0]), *lines[gap:]]
