"""Interrupts between two lines of the package's Python, as a signal's handler may raise them, and second ones."""

import inspect
import linecache
import sys
from pathlib import Path

import fastmlp

PACKAGE = str(Path(fastmlp.__file__).parent)


class Interrupt(KeyboardInterrupt):
    """Raised by what follows alone."""


def interrupted(function, line, more=None):
    """Call the function and interrupt it before the line-th line that the package executes; whether it came to that.

    more: interrupt it once more when so many functions have been called, or have returned, after the first time.

    Signals are not looked at between the end of a `with` statement's body and the end of its exit, if that is a lock's
    of Python's own: there the interrupt comes a line later.
    """
    seen = [0, 0]

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            seen[0] += 1
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
            if seen[0] >= line and not text.startswith("with "):
                if more is not None:
                    sys.setprofile(profile)
                raise Interrupt
        return trace

    def profile(frame, event, argument):
        generates = frame.f_code.co_flags & inspect.CO_GENERATOR  # what is raised where one is closed goes nowhere
        if event in ("call", "return") and not generates and frame.f_code.co_filename.startswith(PACKAGE):
            seen[1] += 1
            if seen[1] == more:
                raise Interrupt

    before = sys.gettrace()  # a debugger's, or that of coverage
    sys.settrace(trace)
    try:
        function()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
        sys.setprofile(None)
    return False
