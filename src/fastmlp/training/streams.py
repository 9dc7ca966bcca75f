"""Data that come in chunks: passes over them, and errors that say which chunk was to blame."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..kernels.base.errors import shortened


def passes(chunks: Any, epochs: int) -> Callable[[], Iterable[Any]]:
    """A function that begins a pass over the chunks; it is called once for each epoch."""
    if isinstance(chunks, Iterator) and epochs > 1:
        raise ValueError(
            "chunks must be an iterable that begins anew, or a callable that returns one, for more than one epoch, "
            f"got {shortened(chunks)}"
        )
    if isinstance(chunks, Iterable):
        return lambda: chunks
    if callable(chunks):
        begin: Callable[[], Iterable[Any]] = chunks
        return begin
    raise TypeError(f"chunks must be an iterable or a callable that returns one, got {shortened(chunks)}")


def numbered(begin: Callable[[], Iterable[Any]], epoch: int) -> Iterator[tuple[int, Any]]:
    """The chunks of a pass, counted from 1."""
    number, chunks = 0, begin()
    if not isinstance(chunks, Iterable):
        raise TypeError(f"chunks must return an iterable, got {shortened(chunks)}")
    iterator = iter(chunks)
    while True:
        with noted(number + 1, epoch):
            try:
                chunk = next(iterator)
            except StopIteration:
                break
        number += 1
        yield number, chunk
        del chunk  # before the next one is made
    if number == 0:
        raise ValueError(f"chunks must be one or more in an epoch, got none in epoch {epoch}")


def parts(chunk: Any) -> tuple[Any, Any, Any]:
    """X, y and sample_weight."""
    given = list(chunk) if isinstance(chunk, tuple | list) else []
    if not 2 <= len(given) <= 3:
        raise TypeError(f"chunks must be of (X, y) or (X, y, sample_weight), got {shortened(chunk)}")
    X, y, *weight = given
    return X, y, weight[0] if weight else None


@contextmanager
def refused(chunk: int, epoch: int) -> Iterator[None]:
    """Errors of checks say where."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{error}, in chunk {chunk} of epoch {epoch}") from None


@contextmanager
def noted(chunk: int, epoch: int) -> Iterator[None]:
    """Other errors have a note of it."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was chunk {chunk} of epoch {epoch}: parameters are as the chunk before has left them.")
        raise
