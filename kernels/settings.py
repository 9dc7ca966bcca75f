"""Settings of activations and losses: frozen objects whose numbers keep to rules."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from .errors import require

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


@dataclass(frozen=True)
class Settings:
    """What a row of a table is used with: its name, and numbers that differ from the defaults."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for f in fields(self):
            value, rule = getattr(self, f.name), f.metadata["rule"]
            number = to_number(value)
            require(RULES[rule](number), f.name, rule, value)
            object.__setattr__(self, f.name, number)

    def numbers(self) -> list[float]:
        """What the functions take."""
        return [getattr(self, f.name) for f in fields(self)]

    def row(self, table: Any) -> Any:
        """The row of the table that they belong to."""
        return table[self.name]


def row_of(table: Any, chosen: str | Settings) -> Any:
    """The row of a name, or of what has settings of its own."""
    return table[chosen] if isinstance(chosen, str) else chosen.row(table)


def name_of(chosen: str | Settings) -> str:
    return chosen if isinstance(chosen, str) else chosen.name


def numbers_of(table: Any, chosen: str | Settings) -> list[float]:
    """What the functions of the row take: its settings, or their defaults."""
    if isinstance(chosen, str):
        settings = table[chosen].settings
        return settings().numbers() if settings else []
    return chosen.numbers()


def to_record(chosen: str | Settings) -> Any:
    """A name, or settings with theirs as a dictionary, for files."""
    return chosen if isinstance(chosen, str) else {"name": chosen.name, **asdict(chosen)}


def from_record(table: Any, record: Any) -> Any:
    """What `to_record` made this of. Whether it is a name of the table is not asked here."""
    if not isinstance(record, dict):
        return record
    settings = dict(record)
    return table[settings.pop("name")].settings(**settings)
