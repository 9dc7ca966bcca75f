"""What an activation or a loss is, beside a name: a row of a table with settings, frozen numbers that keep to rules."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import require

if TYPE_CHECKING:
    from .interface import Kernel

RULES = {
    "a finite number above 0": lambda v: 0 < v < math.inf,
    "a finite number from 0 on": lambda v: 0 <= v < math.inf,
    "at least 0 and below 1": lambda v: 0 <= v < 1,
    "between 0 and 1": lambda v: 0 < v < 1,
}


def parameter(default: float, rule: str) -> Any:
    """A field with the rule that its value must keep."""
    return field(default=default, metadata={"rule": rule})


def to_number(value: Any) -> float:
    """A real number as a float; NaN, which keeps to no rule, for anything else."""
    try:
        return math.nan if isinstance(value, bool | np.bool_ | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


class Function:
    """An activation or a loss that is more than a name of a table."""

    name: str

    def row(self, table: Any) -> Any:
        """Its row."""
        raise NotImplementedError

    def numbers(self) -> list[float]:
        """What its functions take beside their arguments."""
        return []

    def kernel(self, kind: str) -> "str | Kernel":
        """Its kernel of this kind, or the name of that in the table."""
        return f"{kind}_{self.name}"


@dataclass(frozen=True)
class Settings(Function):
    """A row of a table with other numbers than the defaults."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value, rule = getattr(self, f.name), f.metadata["rule"]
            number = to_number(value)
            require(RULES[rule](number), f.name, rule, value)
            object.__setattr__(self, f.name, number)

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


def numbers_of(table: Any, chosen: str | Function) -> list[float]:
    """What the functions of the row take: its settings, or their defaults."""
    if isinstance(chosen, str):
        settings = table[chosen].settings
        return settings().numbers() if settings else []
    return chosen.numbers()


def to_record(argument: str, chosen: str | Function) -> Any:
    """A name, or settings with theirs as a dictionary, for files."""
    if isinstance(chosen, Settings):
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
