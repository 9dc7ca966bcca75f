"""What a table's cells say: a number, as float64 or exactly; digits that are a code; or just their text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from ..kernels.base.errors import shortened

SIGNS = {
    "%": "percent sign", "$": "dollar sign", "\N{EURO SIGN}": "euro sign", "\N{POUND SIGN}": "pound sign",
    ",": "comma", " ": "blank", "\N{NO-BREAK SPACE}": "blank", "'": "single quote", "_": "low line",
}  # fmt: skip
"""What tables write beside the digits of a number; what it is worth is not for us to guess."""


def number(cell: str) -> float:
    """Return the float64 nearest to the number that a cell holds, NaN if it holds none."""
    try:
        return float(_ascii(cell))
    except ValueError:
        return math.nan


def exact(cell: str) -> Decimal | None:
    """Return the number that a cell holds, all its digits, None if it holds none.

    Two spellings of one number are equal and have the same hash: 1, 1.0 and 1e0. Float64 cannot tell 9007199254740993
    from 9007199254740992.
    """
    try:
        value = Decimal(_ascii(cell))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _ascii(cell: str) -> str:
    """Write a number as Python reads it; Python's own 1_000 is no number in a table."""
    return "" if "_" in cell else cell.replace("\N{MINUS SIGN}", "-")  # which spreadsheets and word processors write


def are_codes(numbers: Iterable[str]) -> bool:
    """Tell whether the cells of a column that look like numbers are codes, such as 007: digits only, some after a zero.

    A sign, a point or an exponent in any of them shows that numbers are meant, padded with zeros: 01.50, -05.
    """
    padded = False
    for cell in numbers:
        if not cell.isdecimal():
            return False
        padded = padded or (len(cell) > 1 and int(cell[0]) == 0)
    return padded


def shown(cell: str) -> str:
    """Quote a cell for an error message."""
    return repr(cell if len(cell) <= 40 else cell[:37] + "...") if cell else "an empty cell"


def refused(cell: str) -> str:
    """Quote a cell that is no number, and name the sign that keeps it from being one."""
    for sign, name in SIGNS.items():
        if sign in cell and math.isfinite(number(cell.replace(sign, ""))):
            return f"{shown(cell)}, which has a {name}"
    return shown(cell)


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Quote names for an error message, the first `limit` of them."""
    more = len(names) - limit
    return ", ".join(map(shortened, names[:limit])) + (f" and {more} more" if more > 0 else "")
