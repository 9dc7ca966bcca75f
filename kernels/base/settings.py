"""Settings as users give them: fields of records, each with the rule that its value must keep."""

import math
from collections.abc import Callable
from dataclasses import field, fields
from typing import Any

import numpy as np

from .errors import require
from .records import Record, frozen

POSITIVE, NOT_NEGATIVE = "a finite number above 0", "a finite number from 0 on"
FRACTION, INNER_FRACTION, ABOVE_ONE = "at least 0 and below 1", "above 0 and below 1", "a finite number above 1"
SHARE = "above 0 and at most 1"
FLAG, FROM_1, FROM_0 = "True or False", "an integer from 1 on", "an integer from 0 on"
RULES: dict[str, Callable[[float], bool]] = {
    POSITIVE: lambda v: 0 < v < math.inf,
    NOT_NEGATIVE: lambda v: 0 <= v < math.inf,
    FRACTION: lambda v: 0 <= v < 1,
    INNER_FRACTION: lambda v: 0 < v < 1,
    ABOVE_ONE: lambda v: 1 < v < math.inf,
    SHARE: lambda v: 0 < v <= 1,
}


def to_float(value: Any) -> float | None:
    """A real number as a float; None for anything else."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def to_text(value: Any) -> str | None:
    """A text as it is spelled, whatever an enumeration or another subclass of str says of itself; None for others."""
    return str.__str__(value) if isinstance(value, str) else None


def ruled(argument: str, value: Any, rule: str) -> Any:
    """The value, as a float, a flag or an integer, if it keeps the rule."""
    if rule == FLAG:
        require(isinstance(value, bool | np.bool_), argument, rule, value)
        return bool(value)
    if rule in (FROM_1, FROM_0):
        least = int(rule == FROM_1)
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        require(whole and least <= value < 2**53, argument, rule, value)
        return int(value)
    number = to_float(value)
    require(number is not None and RULES[rule](number), argument, rule, value)
    return number


def setting(default: Any, rule: str) -> Any:
    """A field with the rule that its value must keep."""
    return field(default=default, metadata={"rule": rule})


@frozen
class Settings(Record):
    """Checks its fields when it is made; None passes where it is the default."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.metadata and not (value is None and f.default is None):
                object.__setattr__(self, f.name, ruled(f.name, value, f.metadata["rule"]))
