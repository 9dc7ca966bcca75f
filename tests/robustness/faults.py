"""What a program says when the package is at fault."""

import traceback
from pathlib import Path


class Fault(AssertionError):
    """The package does not do what it promises."""


def check(holds, message):
    if not holds:
        raise Fault(message)


def one_line(error):
    """The error as one line, with the innermost place in a file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    name = "" if isinstance(error, Fault) else f"{type(error).__name__}: "
    return name + " ".join(str(error).split())[:1500] + place
