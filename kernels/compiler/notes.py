"""Exceptions of users' functions: kernels note them and go on, and what called the kernel raises them.

A kernel cannot be left in the middle, as rows after that would be missing. So a function of a user is called by a
guard. Where the function raises, the guard writes the arguments into a note and returns NaN. When the kernel has
returned, the function is called again with these arguments, by Python: this raises the user's own exception, with its
traceback.
"""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from ..functions.function import Function
from ..layers.layout import NOTE
from .ieee import plainly

of_user: Callable[..., float]  # what a guard is bound to


def guard_of_one(x: Any, note: Any) -> Any:
    result = np.nan
    try:
        result = np.float64(of_user(x))  # noqa: F821
    except Exception:
        if note[0] == 0.0:
            note[1] = x
            note[0] = 1.0
    return result


def guard_of_two(x: Any, y: Any, note: Any) -> Any:
    result = np.nan
    try:
        result = np.float64(of_user(x, y))  # noqa: F821
    except Exception:
        if note[0] == 0.0:
            note[1] = x
            note[2] = y
            note[0] = 1.0
    return result


GUARDS = {1: guard_of_one, 2: guard_of_two}


class Notes:
    """The notes of a plan: a row for each activation and loss of users in it."""

    def __init__(self, functions: Sequence[str | Function | None]) -> None:
        self.functions = [f for f in functions if isinstance(f, Function) and f.functions]
        self.memory = np.zeros((len(self.functions), NOTE))
        self._words = self.memory.data  # quicker than the array

    def __bool__(self) -> bool:
        """Whether any kernel might leave one."""
        return bool(self.functions)

    def of(self, function: str | Function) -> np.ndarray[Any, np.dtype[np.float64]] | None:
        """Where kernels of this function are to write; None: it is none of a user."""
        return self.memory[self.functions.index(function)] if function in self.functions else None

    def any(self) -> bool:
        """Whether a function raised since the last `clear`."""
        return any(self._words[row, 0] for row in range(len(self.functions)))

    def clear(self) -> None:
        self.memory[:] = 0

    def raise_any(self) -> None:
        """Raise what a function raised, if one did."""
        if self.any():
            row = int(np.flatnonzero(self.memory[:, 0])[0])
            numbers = self.memory[row, 1:].tolist()
            self.clear()
            call_again(self.functions[row], numbers)


def call_again(of_plan: Function, numbers: list[float]) -> None:
    """Call a user's functions with the numbers at which one of them raised an exception."""
    count = of_plan.arguments
    for function in of_plan.functions:
        at = f"{function.__name__}({', '.join(map(repr, numbers[:count]))})"
        try:
            plainly(function)(*numbers[:count])
        except Exception as error:
            error.add_note(f"fastmlp called {at} for {of_plan!r}")
            raise
    raise ArithmeticError(f"{of_plan!r} raised an exception when it was compiled, got none from Python at {at}")


def guarded(function: Callable[..., Any], count: int) -> FunctionType:
    """A function of so many numbers under a guard, which takes the note beside them; not yet compiled."""
    guard = GUARDS[count]
    return FunctionType(guard.__code__, {"of_user": function, "np": np}, f"guard_of_{function.__name__}")
