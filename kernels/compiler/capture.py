"""Functions of users as they are at a moment: copies, for which names keep the values that they had then."""

import builtins
import copy
import dis
import itertools
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

Change = Callable[[Any], Any]

_captured: WeakValueDictionary[Any, FunctionType] = WeakValueDictionary()


def captured(function: Any) -> FunctionType:
    """A copy of a function, and of those that it calls, with what their names mean now.

    Copies of equal code and equal values are one and the same, by which caches know what they have compiled.
    """
    twin = copied(function, lambda value: copy.copy(value) if isinstance(value, list | np.ndarray) else value)
    return _captured.setdefault(_key(twin, {}), twin)


def copied(
    value: Any, change: Change = lambda value: value, wrap: Change = lambda function: function, done: Any = None
) -> Any:
    """A copy of a function, and of those that it calls; copies go through `wrap`, and all else through `change`."""
    value = plain(value)
    if not isinstance(value, FunctionType):
        return change(value)
    done = {} if done is None else done
    if value not in done:

        def follow(other: Any) -> Any:
            return copied(other, change, wrap, done)

        known = vars(builtins) | value.__globals__
        names: dict[str, Any] = {"__builtins__": builtins, "__name__": value.__module__}
        cells = tuple(CellType() for _ in value.__closure__ or ())
        defaults = None if value.__defaults__ is None else tuple(map(follow, value.__defaults__))
        twin = FunctionType(value.__code__, names, value.__name__, defaults, cells or None)
        twin.__qualname__ = value.__qualname__
        if value.__kwdefaults__:
            twin.__kwdefaults__ = {name: follow(other) for name, other in value.__kwdefaults__.items()}
        done[value] = wrap(twin)  # before the rest, which may call it
        names |= {name: follow(known[name]) for name in _names(value.__code__) if name in known}
        for cell, other in zip(cells, value.__closure__ or (), strict=True):
            if not _is_empty(other):
                cell.cell_contents = follow(other.cell_contents)
    return done[value]


def plain(value: Any) -> Any:
    """The Python function that Numba's is of; anything else as it is."""
    function = getattr(value, "py_func", None)
    return function if isinstance(function, FunctionType) else value


def _names(code: CodeType) -> Iterable[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return itertools.chain(code.co_names, *inner)


def _is_empty(cell: CellType) -> bool:
    """Whether it is of a name that has no value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _key(value: Any, seen: dict[FunctionType, int]) -> Any:
    """What is the same for a copy's equals alone, as long as the copy lives."""
    if not isinstance(value, FunctionType):
        return _token(value)
    if value in seen:
        return "function", seen[value]
    seen[value] = len(seen)
    others = [*value.__globals__.values(), *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    cells = [() if _is_empty(cell) else _key(cell.cell_contents, seen) for cell in value.__closure__ or ()]
    return value.__code__, tuple(value.__globals__), *(_key(other, seen) for other in others), *cells


def _token(value: Any) -> Any:
    if type(value) in (bool, int, float, complex, str) or isinstance(value, np.generic):
        return type(value), repr(value)  # which tells 0.0 from -0.0, and 1 from 1.0
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if type(value) in (list, tuple):
        return type(value), *map(_token, value)
    return id(value)


def recursive(function: Any, callers: tuple[Any, ...] = (), done: set[Any] | None = None) -> str | None:
    """The name of a function that calls itself, by others or not, on the way from this one; None: there is none."""
    function, done = plain(function), set() if done is None else done
    if function in callers:
        return str(function.__name__)
    if not isinstance(function, FunctionType) or function in done:
        return None
    done.add(function)
    cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    others = [*(function.__globals__.get(name) for name in _globals(function.__code__)), *cells, *defaults]
    called = (plain(other) for other in others)
    found = (recursive(f, (*callers, function), done) for f in called if isinstance(f, FunctionType))
    return next((name for name in found if name), None)


def _globals(code: CodeType) -> set[str]:
    """Names that are looked up, without those of attributes: `tanh` may call `math.tanh`."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals(constant) for constant in code.co_consts if isinstance(constant, CodeType)))


def uses(function: Any, names: Iterable[str], done: set[CodeType] | None = None) -> bool:
    """Whether a function, or one that it calls, mentions one of these names."""
    function, done = plain(function), set() if done is None else done
    if not isinstance(function, FunctionType) or function.__code__ in done:
        return False
    done.add(function.__code__)
    mentioned = set(_names(function.__code__))
    cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
    others = [*(function.__globals__.get(name) for name in mentioned), *cells]
    return not mentioned.isdisjoint(names) or any(uses(other, names, done) for other in others)
