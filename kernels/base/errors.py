"""The sentence of every refusal."""

import reprlib
from collections.abc import Iterable

_brief = reprlib.Repr()
_brief.maxlist = _brief.maxtuple = _brief.maxdict = 10
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


def require(condition: bool, argument: str, rule: str, value: object) -> None:
    """Raise ValueError("<argument> must be <rule>, got <value>") unless the condition holds."""
    if not condition:
        raise ValueError(f"{argument} must be {rule}, got {shortened(value)}")


def shortened(value: object) -> str:
    """The value as one short line, whatever its own `repr` does."""
    try:
        text = " ".join(_brief.repr(value).split())
    except Exception:  # of a user's class; of an integer of more digits than Python writes
        text = f"<{type(value).__name__} object>"
    return text if len(text) <= 80 else text[:77] + "..."


def told(error: BaseException) -> str:
    """What an error says as one short line: a damaged file may have put anything into it."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."


def one_of(names: Iterable[str]) -> str:
    """A rule that lists the known names."""
    return "one of " + ", ".join(repr(name) for name in names)
