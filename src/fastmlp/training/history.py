"""What happened in training."""

import math
from collections.abc import Sequence
from typing import Any

UNMONITORED = ("learning_rate", "gradient_norm", "seconds")  # columns beside what may be monitored, if they are known
SHOWN = 6  # rows at the beginning and at the end of a long table


class History:
    """The course of a training, epoch by epoch.

    Lists are made anew whenever they are asked for: changing one changes nothing in the history.

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

    # How far kernels run depends on how many epochs there are: users get copies, and only the package writes.
    _stopped: str | None = None
    _resumable = True  # whether the network keeps what it takes to go on
    _best_epoch: int | None = None  # 0: there is none; None: nobody has looked
    _measured_on: int | None = None  # the data of what is monitored: see `checksums.py`; None: nobody knows

    def __init__(self, loss: Sequence[float] = ()) -> None:
        self._columns = {"loss": list(loss)}  # how long the others are does not matter: see `_column`

    @property
    def epochs(self) -> int:
        return len(self._columns["loss"])

    @property
    def loss(self) -> list[float]:
        return self._column("loss")

    @property
    def validation_loss(self) -> list[float]:
        return self._column("validation_loss")

    @property
    def metrics(self) -> dict[str, list[float]]:
        return {name: self._column(name) for name in self._monitored() if name not in ("loss", "validation_loss")}

    @property
    def learning_rate(self) -> list[float]:
        return self._column("learning_rate")

    @property
    def gradient_norm(self) -> list[float]:
        return self._column("gradient_norm")

    @property
    def seconds(self) -> list[float]:
        return self._column("seconds")

    @property
    def stopped(self) -> str | None:
        return self._stopped

    @property
    def best_epoch(self) -> int | None:
        if self._best_epoch is None:
            values = [loss if math.isfinite(loss) else math.inf for loss in self._columns["loss"]]
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
        names = [*self._monitored(), *(name for name in UNMONITORED if name in self._columns)]
        return {"epoch": list(range(1, self.epochs + 1)), **{name: self._column(name) for name in names}}

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

    def __getstate__(self) -> dict[str, Any]:
        """Of one moment, though another thread may be adding epochs: it adds to the losses last, so they come first."""
        columns = {name: values.copy() for name, values in self._columns.copy().items()}
        return {**self.__dict__, "_columns": columns}

    # --- what the package writes and reads

    def _add(self, loss: list[float], **others: list[float]) -> None:
        """Epochs have ended: values of each column. An interrupt in between leaves the history as it was."""
        columns = self._columns
        before = len(columns["loss"])
        for name, values in others.items():
            if before or name in columns:
                self._room(name, before).extend(values)
            else:  # every microsecond counts
                columns[name] = values
        columns["loss"] += loss

    def _note(self, **values: float) -> None:
        """What was measured after the last epoch."""
        for name, value in values.items():
            self._room(name, self.epochs - 1).append(value)

    def _room(self, name: str, epochs: int) -> list[float]:
        """A column of so many epochs: NaN where nothing is known."""
        column = self._columns.setdefault(name, [])
        del column[epochs:]
        column += [math.nan] * (epochs - len(column))
        return column

    def _column(self, name: str, first: int = 0) -> list[float]:
        """Its values from an epoch on, counted from 0; NaN where nothing is known, and empty if there is none."""
        column, epochs = self._columns.get(name), self.epochs
        if column is None:
            return []
        values = column[first:epochs]
        return values + [math.nan] * (epochs - first - len(values))

    def _last(self) -> dict[str, float]:
        """What may be monitored, after the last epoch."""
        return {name: self._column(name, self.epochs - 1)[0] for name in self._monitored()}

    def _monitored(self) -> list[str]:
        """Names of what may be monitored."""
        known = self._columns
        metrics = (name for name in known if name not in ("loss", "validation_loss", *UNMONITORED))
        return ["loss", *(["validation_loss"] if "validation_loss" in known else []), *metrics]

    def _until(self, epoch: int | None) -> "History":
        """A copy of the first epochs; None: of all."""
        history = History()
        history._measured_on = self._measured_on
        epochs = self.epochs if epoch is None else epoch
        history._columns = {name: self._column(name)[:epochs] for name in self._columns}
        return history

    def __repr__(self) -> str:
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        head = f"History of {epochs}." + (f" {self.stopped}" if self.stopped else "")
        columns = {"epoch": list[float](range(1, self.epochs + 1))}
        columns |= {name: self._column(name) for name in self._monitored()}
        if len(set(rates := self.learning_rate)) > 1:
            columns["learning_rate"] = rates
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
