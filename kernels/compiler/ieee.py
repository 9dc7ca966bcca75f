"""Functions of users, run by Python, with the results of IEEE 754 where Python's arithmetic raises an exception.

Python raises OverflowError, ZeroDivisionError or ValueError where compiled code goes on with infinity or NaN. It may
well come to a finite result: 1 / (1 + exp(1000)) is 0. So these functions are given floats, and functions of `math` and
NumPy, that go on too. What else is raised reaches the caller.
"""

import math
from collections.abc import Callable, Hashable
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from .capture import copied


class Number(float):
    """A float whose operations do not raise."""

    __slots__ = ()


def as_number(value: Any) -> Any:
    return Number(value) if isinstance(value, float) else value


def _operation(name: str) -> Callable[..., Any]:
    of_float, of_numpy = getattr(float, name), getattr(np.float64, name)

    def operation(self: float, *others: Any) -> Any:
        try:
            result = of_float(self, *others)
        except (ArithmeticError, ValueError):
            result = self if name == "__round__" else of_numpy(np.float64(self), *others)
        return as_number(math.nan if isinstance(result, complex) else result)  # a root of a negative number

    return operation


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__{_name}__", _operation(f"__{_name}__"))
    setattr(Number, f"__r{_name}__", _operation(f"__r{_name}__"))
for _name in ("neg", "pos", "abs", "round"):
    setattr(Number, f"__{_name}__", _operation(f"__{_name}__"))


class _Integers(type):
    """What `int` is to these functions."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, int)

    def __call__(cls, *arguments: Any) -> Any:
        number = arguments[0] if arguments else 0
        return number if isinstance(number, float) and not math.isfinite(number) else int(*arguments)


class Integer(metaclass=_Integers):
    """`int`, but infinity and NaN are left as they are."""


def _of_math(function: Callable[..., Any], otherwise: Callable[..., Any] | None) -> Callable[..., Any]:
    """The function; where it raises, what `otherwise` gives."""

    def call(*arguments: Any) -> Any:
        try:
            return as_number(function(*arguments))
        except (OverflowError, ValueError):
            if otherwise is None:
                raise
            return as_number(otherwise(*arguments))

    return call


def _of_numpy(ufunc: np.ufunc) -> Callable[..., Any]:
    return lambda *arguments, **options: as_number(ufunc(*arguments, **options))


def _gamma(x: float) -> float:
    """Where it overflows, or is at a pole."""
    return math.nan if x < 0 and x == np.floor(x) else math.copysign(math.inf, x)


def _beyond(name: str) -> Any:
    found = getattr(np, NAMES.get(name, name), None)
    return found if isinstance(found, np.ufunc) else OTHERS.get(name)


NAMES = {"acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "atanh": "arctanh", "pow": "power"}
OTHERS = {"gamma": _gamma, "lgamma": lambda x: math.inf, "remainder": lambda x, y: math.nan}
TWINS: dict[Any, Any] = {
    float: Number,
    int: Integer,
    **{f: _of_math(f, _beyond(name)) for name, f in vars(math).items() if callable(f)},
}
MATH = SimpleNamespace(**{name: TWINS[f] if callable(f) else as_number(f) for name, f in vars(math).items()})


class _NumPy:
    def __getattr__(self, name: str) -> Any:
        return _with_twins(getattr(np, name))


NUMPY = _NumPy()


def _with_twins(value: Any) -> Any:
    if value is math:
        return MATH
    if value is np:
        return NUMPY
    if isinstance(value, np.ufunc):
        return _of_numpy(value)
    if type(value) in (list, tuple):
        return type(value)(map(_with_twins, value))
    return TWINS.get(value, as_number(value)) if isinstance(value, Hashable) else value


def _with_numbers(function: FunctionType) -> FunctionType:
    """The same function, whose constants are numbers."""
    code = function.__code__
    function.__code__ = code.replace(co_consts=tuple(map(_with_twins, code.co_consts)))
    return function


def plainly(function: Any) -> Callable[..., float]:
    """A function of a user as Python runs it, with infinity or NaN where arithmetic would raise an exception."""
    twin = copied(function, _with_twins, _with_numbers)

    def call(*numbers: Any) -> float:
        with np.errstate(all="ignore"):
            return math.ldexp(twin(*map(Number, numbers)), 0)  # a float, or TypeError: `float` would read texts

    call.__name__ = getattr(function, "__name__", "function")
    return call
