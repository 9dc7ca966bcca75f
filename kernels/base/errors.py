"""The sentence of every refusal."""

import reprlib
from collections.abc import Iterable

LONGEST_NAME = 80  # of a misspelled one: to compare longer texts would take its time

_brief = reprlib.Repr()
_brief.maxlist = _brief.maxtuple = _brief.maxdict = 10
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


def require(condition: bool, argument: str, rule: str, value: object, names: Iterable[str] = ()) -> None:
    """Raise ValueError("<argument> must be <rule>, got <value>") unless the condition holds.

    names: those that are known, of which the value may be a misspelling.
    """
    if not condition:
        raise ValueError(f"{argument} must be {rule}, got {shortened(value)}{meant(value, names)}")


def meant(value: object, names: Iterable[str]) -> str:
    """A question for the known name that a wrong one is like, if there is one."""
    text = str.__str__(value) if isinstance(value, str) else ""
    if not 0 < len(text) <= LONGEST_NAME:
        return ""
    from difflib import get_close_matches  # which few programs need

    known = {name.lower(): name for name in names}
    found = get_close_matches(text.lower(), known, n=1, cutoff=0.7)
    return f"; did you mean {known[found[0]]!r}?" if found else ""


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
