"""How a network is trained on data that come in chunks."""

import dataclasses
import time
from typing import Any

from . import streams, validation
from .core import SHUFFLE
from .history import History
from .kernels.errors import require
from .kernels.optimizers import Optimizer
from .kernels.plan import Array
from .kernels.sparse_rows import Samples
from .kernels.training import Schedule
from .learning import Learning, key_of
from .training import ALL_TRAINED, DivergenceError
from .weights import normalized


class Streaming(Learning):
    """The part of `NeuralNetwork` that is trained on a stream."""

    def train_stream(
        self,
        chunks: Any,
        epochs: int = 1,
        learning_rate: float | None = None,
        batch_size: int = 32,
        *,
        optimizer: str | Optimizer = "sgd",
        shuffle: bool = False,
        seed: int | None = None,
        verbose: bool = False,
        class_weight: Any = None,
    ) -> History:
        """Train on data that come in chunks: from files, a database, or a generator.

        One pass over the chunks is an epoch. Each is checked as a whole, trained on in minibatches, and let go of; what
        remains at its end makes a smaller step. Chunks whose sizes are multiples of the batch size thus make the same
        steps as `train(..., shuffle=False)` on all of them together.

        Parameters
        ----------
        chunks : iterable, or callable that returns one
            Of (X, y) or (X, y, sample_weight), each as in `train`. For more than one epoch, an iterable that begins
            anew each time, such as a list, or a callable, called without arguments for each epoch.
        epochs : int, default 1
            How many times to go through all chunks.
        learning_rate : float, default None
            None: the optimizer's own.
        batch_size : int, default 32
        optimizer, seed, verbose
            As in `train`; the optimizer must be one that takes minibatches.
        shuffle : bool, default False
            Draw a new order of the samples within each chunk.
        class_weight : dict, default None
            As in `train`, but for "balanced", which would have to know all samples.

        Returns
        -------
        History
            With the mean loss of each epoch over all of its samples.

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed, and nothing is changed; or if a chunk is not: then, as with any
            error that the iterable itself raises, the network stays as it is after the chunk before.
        DivergenceError
            The parameters are those after the chunk before, and the optimizer starts afresh.
        KeyboardInterrupt
            On Ctrl-C. The network stays at the last finished step, ready for use.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0, dtype="float64")
        >>> def chunks():
        ...     for start in (0, 2, 4):
        ...         X = [[start], [start + 1]]
        ...         yield X, [[2 * x + 1] for [x] in X]
        >>> history = network.train_stream(chunks, epochs=500, learning_rate=0.03, batch_size=2)
        >>> len(history.loss), network.predict([[10]]).round(2).tolist()
        (500, [[21.0]])
        """
        if self._watched:
            raise RuntimeError("train_stream must not be called by callbacks of the same network's training")
        epochs = validation.positive_integer("epochs", epochs)
        batch_size = validation.positive_integer("batch_size", batch_size)
        validation.flag("shuffle", shuffle)
        given = validation.seed(seed)
        verbose = validation.flag("verbose", verbose)
        if isinstance(class_weight, str):
            raise ValueError(f"class_weight must be None or a dict of classes' weights, got {class_weight!r}")
        begin = streams.passes(chunks, epochs)
        chosen = validation.optimizer(optimizer, learning_rate)
        if not isinstance(chosen, Optimizer) or chosen.full_batch:
            require(False, "optimizer", "one that takes minibatches, for chunks", optimizer)
            raise AssertionError
        entropy, history = self._entropy if given is None else given, History([])
        for epoch in range(epochs):
            loss, seen, began = 0.0, 0.0, time.perf_counter()
            for number, chunk in streams.numbered(begin, epoch + 1):
                with streams.refused(number, epoch + 1):
                    X, y, weights = self._checked_chunk(*streams.parts(chunk), class_weight)
                key = key_of(entropy, SHUFFLE, number) if shuffle else None
                with streams.noted(number, epoch + 1):
                    part = self._train_chunk(X, y, normalized(weights), chosen, batch_size, key, history, epochs)
                counted = float(len(X) if weights is None else weights.sum())
                seen += counted
                loss += (part - loss) * (counted / seen if seen else 0.0)
                del chunk, X, y, weights  # before the next one is made
            self._epochs += 1
            if seen == 0:
                raise ValueError(f"sample_weight must be above 0 for some sample, got 0 for all of epoch {epoch + 1}")
            history.loss.append(loss)
            history.learning_rate.append(chosen.learning_rate)
            history.seconds.append(time.perf_counter() - began)
            if verbose:
                print(f"Epoch {epoch + 1}/{epochs}, loss: {loss:.6f}", flush=True)
        history.stopped = ALL_TRAINED
        return history

    def _train_chunk(
        self,
        X: Samples,
        y: Array,
        weights: Array | None,
        optimizer: Optimizer,
        batch_size: int,
        key: int | None,
        history: History,
        total: int,
    ) -> float:
        """Go on with the epoch of the chunks before; the mean loss."""
        self._adopt(optimizer, self._goes_on(optimizer))
        epochs = self._epochs
        schedule = Schedule(optimizer, min(batch_size, len(X)), 1, key, epochs, self._updates)
        try:
            return self._train(X, y, schedule, weights=weights).loss[0]
        except DivergenceError as error:
            whole = dataclasses.replace(schedule, epochs=total)
            raise DivergenceError(history.epochs, error.loss, whole, "those that the chunk before has left") from None
        finally:
            self._epochs, self._history = epochs, history
