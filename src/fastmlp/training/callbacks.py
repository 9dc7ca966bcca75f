"""What users have called at the ends of epochs, and two callbacks that are ready made."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import validation
from ..files import storage
from ..files.writing import Path
from ..kernels.base.errors import require, shortened
from .history import History
from .progress import CLEAR_LINE

Callback = Callable[[Any, "TrainingProgress"], Any]

BAR = 30  # characters
REDRAWN = 0.1  # seconds


class TrainingProgress:
    """How far a training is: what callbacks get, after the network.

    Attributes
    ----------
    epoch : int
        The epoch that has just ended, counted from 1.
    epochs : int
        How many there are to be.
    history : History
        Of the training so far.
    is_best : bool
        Whether this epoch is the best so far in what is monitored.
    ends : bool
        Whether this was the last epoch.
    reason : str or None
        What was said to `stop`.
    """

    def __init__(self, epoch: int, epochs: int, history: History, is_best: bool, ends: bool) -> None:
        self.epoch, self.epochs, self.history, self.is_best, self.ends = epoch, epochs, history, is_best, ends
        self.reason: str | None = None

    def stop(self, reason: str | None = None) -> None:
        """End the training here.

        Parameters
        ----------
        reason : str, default None
            A sentence for `history.stopped`.

        Examples
        --------
        >>> import fastmlp
        >>> def impatient(network, progress):
        ...     if progress.history.loss[-1] < 0.5:
        ...         progress.stop("That will do.")
        >>> network = fastmlp.NeuralNetwork([1, 1], initializer="zeros")
        >>> network.train([[1]], [1], epochs=100, learning_rate=0.125, callbacks=impatient).stopped
        'That will do.'
        """
        self.ends = True
        self.reason = str(reason) if reason is not None else f"A callback stopped training after epoch {self.epoch}."


def checked_callbacks(value: Any) -> list[tuple[Callback, int | None]]:
    """Check the argument of `train`: callbacks, each with the number of epochs after which it is called.

    None: when training pauses anyway, some fifty times a second.
    """
    chosen = []
    for callback in [] if value is None else list(value) if isinstance(value, list | tuple) else [value]:
        if not callable(callback):
            raise TypeError(f"callbacks must be a callable or a list of callables, got {shortened(callback)}")
        if isinstance(callback, type):
            name = callback.__name__
            raise TypeError(f"callbacks must be functions or objects, got the class {name}: {name}(...) makes one")
        step = getattr(callback, "every", 1)
        rule = "such that their `every` is None or an integer from 1 on"
        right = step is None or (isinstance(step, int | np.integer) and not isinstance(step, bool) and bool(step >= 1))
        require(right, "callbacks", rule, step)
        chosen.append((callback, None if step is None else int(step)))
    return chosen


class Checkpoint:
    """A callback that saves the network with all that its training needs to go on after a crash.

    `fastmlp.load(path).train(..., resume=True)` with the same arguments ends where the training would have, to the last
    bit. Files are written as by `NeuralNetwork.save`: one that is there already stays until the new one is complete.

    Parameters
    ----------
    path : str, bytes or path
        It ends in ".npz", or has no suffix.
    every : int, default 1
        Save after so many epochs, and after the last one.
    best_only : bool, default False
        Save only if the epoch is the best so far in what is monitored.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of what is allowed, or the file may not be written, or there is no such directory.

    Examples
    --------
    >>> import fastmlp, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "checkpoint.npz")
    >>> X, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
    >>> history = network.train(X, y, epochs=5, callbacks=fastmlp.Checkpoint(path))
    >>> again = fastmlp.load(path)
    >>> again.train(X, y, epochs=8, resume=True).epochs  # 3 more
    8
    """

    def __init__(self, path: Path, *, every: int = 1, best_only: bool = False) -> None:
        storage.check(path)
        self.path, self.every = path, validation.positive_integer("every", every)
        self.best_only = validation.flag("best_only", best_only)

    def __call__(self, network: Any, progress: TrainingProgress) -> None:
        if progress.is_best or not self.best_only:
            network.save(self.path, training=True)


class ProgressBar:
    """A callback that shows on stderr how far training is: a line of plain text in a terminal, nothing elsewhere.

    It does not interrupt the kernels more often than they pause anyway.

    Parameters
    ----------
    tqdm : bool, default False
        Show a bar of the package tqdm instead, which writes into pipes too.

    Raises
    ------
    TypeError
        If `tqdm` is neither True nor False.
    ImportError
        If tqdm is asked for and not installed.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([1, 1])
    >>> history = network.train([[1]], [1], epochs=100, callbacks=fastmlp.ProgressBar())
    """

    every = None

    def __init__(self, *, tqdm: bool = False) -> None:
        self._make_bar: Any = None
        if validation.flag("tqdm", tqdm):
            try:
                from tqdm import tqdm as make_bar  # type: ignore[import-untyped,import-not-found,unused-ignore]
            except ImportError:
                raise ImportError("tqdm must be installed for ProgressBar(tqdm=True): `pip install tqdm`") from None
            self._make_bar = make_bar
        self._bar: Any = None
        self._line, self._drawn = "", -math.inf  # the latest, and when one was drawn

    def __call__(self, network: Any, progress: TrainingProgress) -> None:
        latest = progress.history._last()
        if self._make_bar is not None:
            if self._bar is None:
                self._bar = self._make_bar(total=progress.epochs, unit="epoch")
            self._bar.update(progress.epoch - self._bar.n)
            self._bar.set_postfix(latest)
        elif sys.stderr is not None and sys.stderr.isatty():  # None if the shell has closed it
            self._draw(progress, latest)

    def _draw(self, progress: TrainingProgress, latest: dict[str, float]) -> None:
        done = "=" * (BAR * progress.epoch // progress.epochs)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in latest.items())
        self._line = f"[{done:{BAR}}] epoch {progress.epoch}/{progress.epochs}  {numbers}"
        now = time.monotonic()
        if now - self._drawn > REDRAWN:
            self._drawn = now
            print(f"{CLEAR_LINE}{self._line}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line; called when training is over, however it ended.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.ProgressBar().close()
        """
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._line:
            print(f"{CLEAR_LINE}{self._line}", file=sys.stderr, flush=True)
            self._line, self._drawn = "", -math.inf
