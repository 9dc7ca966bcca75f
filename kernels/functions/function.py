"""What an activation or a loss is, beside a name: a row of a table with settings, or a function of the user's."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..base.records import frozen
from ..base.settings import Settings

if TYPE_CHECKING:
    from .kernel import Kernel


class Function:
    """An activation or a loss that is more than a name of a table."""

    name: str
    arguments: ClassVar[int] = 0  # numbers that functions of a user take

    @property
    def functions(self) -> tuple[Callable[..., float], ...]:
        """Those of a user, which may raise exceptions: see `notes.py`."""
        return ()

    def row(self, table: Any) -> Any:
        """Its row."""
        raise NotImplementedError

    def numbers(self) -> list[float]:
        """What its functions take beside their arguments."""
        return []

    def kernel(self, kind: str) -> "str | Kernel":
        """Its kernel of this kind, or the name of that in the table."""
        return f"{kind}_{self.name}"

    def kernel_of_vector(self, kind: str) -> "str | Kernel":
        """The same, of a function that is given vectors, not blocks."""
        return f"{kind}_{self.name}_of_vector"

    def is_formula(self, dtype: str) -> bool:
        """Whether there is such a function in this number type, if the row is elementwise."""
        return True


@frozen
class Variant(Settings, Function):
    """A row of a table with other numbers than the defaults."""

    def row(self, table: Any) -> Any:
        return table[self.name]

    def numbers(self) -> list[float]:
        return [getattr(self, f.name) for f in fields(self)]


def row_of(table: Any, chosen: str | Function) -> Any:
    """The row of a name, or of what is more than that."""
    return table[chosen] if isinstance(chosen, str) else chosen.row(table)


def name_of(chosen: str | Function) -> str:
    return chosen if isinstance(chosen, str) else chosen.name


def kernel_of(kind: str, chosen: str | Function) -> "str | Kernel":
    """What a library is asked for the address of."""
    return f"{kind}_{chosen}" if isinstance(chosen, str) else chosen.kernel(kind)


def kernel_of_vector(kind: str, chosen: str | Function) -> "str | Kernel":
    return f"{kind}_{chosen}_of_vector" if isinstance(chosen, str) else chosen.kernel_of_vector(kind)


def numbers_of(table: Any, chosen: str | Function) -> list[float]:
    """What the functions of the row take: its settings, or their defaults."""
    if isinstance(chosen, str):
        settings = table[chosen].settings
        return settings().numbers() if settings else []
    return chosen.numbers()


def to_record(argument: str, chosen: str | Function) -> Any:
    """A name, or settings with theirs as a dictionary, for files."""
    if isinstance(chosen, Variant):
        return {"name": chosen.name, **asdict(chosen)}
    if isinstance(chosen, Function):
        raise TypeError(f"{argument} must be a function of fastmlp's own to be saved to a file, got {chosen!r}")
    return chosen


def from_record(table: Any, record: Any) -> Any:
    """What `to_record` made this of. Whether it is a name of the table is not asked here."""
    if not isinstance(record, dict):
        return record
    settings = dict(record)
    return table[settings.pop("name")].settings(**settings)
