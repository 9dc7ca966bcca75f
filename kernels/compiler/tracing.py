"""Functions of users as formulas that run on vectors, in the network's own number type.

A function is called with symbols, which note what is done with them. Where it asks whether a comparison holds, it is
called again for either answer, and the formula selects between what it returns. `math.exp` and the like become those of
`elementary.py`. What comes of it is a function in the vocabulary of kernels, if it is short enough, and if it gives
what the user's gives: float32 may lack the range or the digits that a formula needs. Else there is none, and the user's
function is called for one number after the other, in float64.
"""

import dataclasses
import math
import operator
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from ..functions.kernel import Kernel
from .capture import copied
from .specialize import clone, plain_vocabulary, specialize

MOST_CALLS, MOST_STEPS, MOST_FACTORS = 32, 500, 16
FAR = 1e4
ROUNDING = 512  # units of the number type that a result may be off by, in what is larger: it or 1


class Untraceable(Exception):
    """A function does what no formula does."""


class Question(BaseException):
    """A function asks whether a comparison holds. No `except Exception` of the user's is to answer that."""


class Tape:
    """What is noted: steps of a formula by their text, each once, and the answers to questions."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.answers: dict[str, bool] = {}
        self.calls = 0

    def note(self, step: str, truth: bool = False) -> "Symbol":
        name = self.names.setdefault(step, f"t{len(self.names)}")
        if len(self.names) > MOST_STEPS:
            raise Untraceable
        return Symbol(self, name, truth)

    def text(self, value: Any) -> str:
        """A number in a formula."""
        if isinstance(value, Symbol):
            return self.note(f"select({value.name}, real(1), real(0))").name if value.truth else value.name
        if not isinstance(value, int | float | np.number | np.bool_):
            raise Untraceable
        number = float(value)
        if math.isfinite(number):
            return f"real({number!r})"
        return "NAN" if math.isnan(number) else "INFINITY" if number > 0 else "-INFINITY"

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """The one or the other, without asking."""
        if not isinstance(condition, Symbol):
            return a if condition else b
        return self.note(f"select({condition.name}, {self.text(a)}, {self.text(b)})")

    def follow(self, function: Callable[..., Any], symbols: list["Symbol"], answers: dict[str, bool]) -> str:
        """What the function returns if these are the answers to its first questions."""
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise Untraceable
        self.answers = answers
        try:
            return self.text(function(*symbols))
        except Question as question:
            condition = str(question)
        yes, no = (self.follow(function, symbols, answers | {condition: answer}) for answer in (True, False))
        return yes if yes == no else self.note(f"select({condition}, {yes}, {no})").name


def _operation(symbol: str, reflected: bool = False, truth: bool = False) -> Any:
    def method(self: "Symbol", other: Any) -> "Symbol":
        a, b = self.tape.text(self), self.tape.text(other)
        return self.tape.note(f"{b} {symbol} {a}" if reflected else f"{a} {symbol} {b}", truth)

    return method


class Symbol:
    """A number, or whether something holds (`truth`), that is not known yet."""

    def __init__(self, tape: Tape, name: str, truth: bool = False) -> None:
        self.tape, self.name, self.truth = tape, name, truth

    __add__, __radd__ = _operation("+"), _operation("+", reflected=True)
    __sub__, __rsub__ = _operation("-"), _operation("-", reflected=True)
    __mul__, __rmul__ = _operation("*"), _operation("*", reflected=True)
    __truediv__, __rtruediv__ = _operation("/"), _operation("/", reflected=True)
    __lt__, __le__ = _operation("<", truth=True), _operation("<=", truth=True)
    __gt__, __ge__ = _operation(">", truth=True), _operation(">=", truth=True)
    __hash__ = None  # type: ignore[assignment]  # whoever keeps numbers in a dictionary does not mean a formula

    def __bool__(self) -> bool:
        if not self.truth:
            return self != 0
        if self.name not in self.tape.answers:
            raise Question(self.name)
        return self.tape.answers[self.name]

    def __eq__(self, other: object) -> bool:
        return bool(self <= other) and bool(self >= other)

    def __neg__(self) -> "Symbol":
        return self.tape.note(f"-{self.tape.text(self)}")

    def __pos__(self) -> "Symbol":
        return self

    def __abs__(self) -> "Symbol":
        return self.tape.note(f"absolute({self.tape.text(self)})")

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, Symbol) or 2 * power != int(2 * power) or abs(power) > MOST_FACTORS:
            raise Untraceable
        if power < 0:
            return 1 / self**-power
        if power % 1:
            root = self.tape.note(f"sqrt({self.tape.text(self)})")
            return root * self ** int(power) if power > 1 else root
        if power < 2:
            return self if power else 1.0
        half = self ** (power // 2)
        return half * half * self if power % 2 else half * half

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> Any:
        """NumPy's functions, and its numbers beside symbols."""
        if method != "__call__" or ufunc not in UFUNCS:
            raise Untraceable
        return UFUNCS[ufunc](*(float(x) if isinstance(x, np.number) else x for x in inputs))


# --- what stands for functions of math, Python and NumPy


def _tape_of(values: Iterable[Any]) -> Tape | None:
    return next((value.tape for value in values if isinstance(value, Symbol)), None)


def _stand_in(function: Any, name: str) -> Any:
    """A function of the vocabulary for one of symbols; with plain numbers, it is itself."""
    count = 2 if name == "copy_sign" else 1

    def call(*values: Any) -> Any:
        tape = _tape_of(values)
        if tape is None:
            return function(*values)
        if len(values) != count:
            raise Untraceable
        return tape.note(f"{name}({', '.join(map(tape.text, values))})")

    return call


def _logarithm(x: Any, *base: Any) -> Any:
    """Python's, which may be of any base."""
    return LOG(x) / LOG(*base) if base else LOG(x)


def _extreme(function: Any, better: Any) -> Any:
    """Python's `min` or `max`, which keeps the first value where a comparison does not hold."""

    def call(*values: Any, **options: Any) -> Any:
        tape = _tape_of(values)
        if tape is None or options:
            return function(*values, **options)
        best, *others = values
        for value in others:
            best = tape.select(better(value, best), value, best)
        return best

    return call


def _extreme_or_nan(function: Any, better: Any) -> Any:
    """NumPy's, in which NaN wins."""

    def call(a: Any, b: Any) -> Any:
        tape = _tape_of((a, b))
        assert tape is not None
        return tape.select(better(b, a), b, tape.select(b <= b, a, b))

    return call


def _no_formula(*values: Any, **options: Any) -> Any:
    """For what has effects beside its result."""
    raise Untraceable


NAMES = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p_anywhere", "tanh": "tanh", "sinh": "sinh",
    "cosh": "cosh", "sqrt": "sqrt", "fabs": "absolute", "copysign": "copy_sign",
}  # fmt: skip
LOG = _stand_in(math.log, "log")
STAND_INS = {
    **{getattr(math, name): _stand_in(getattr(math, name), ours) for name, ours in NAMES.items()},
    math.erf: _stand_in(math.erf, "erf"), math.erfc: _stand_in(math.erfc, "erfc"), math.pow: operator.pow,
    math.log: _logarithm,
    max: _extreme(max, operator.gt), min: _extreme(min, operator.lt), print: _no_formula,
}  # fmt: skip
MATH = SimpleNamespace(**{name: STAND_INS.get(f, f) if callable(f) else f for name, f in vars(math).items()})
UFUNCS: dict[Any, Any] = {
    **{getattr(np, name): _stand_in(None, ours) for name, ours in NAMES.items()},
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv,
    np.negative: operator.neg, np.absolute: abs, np.power: operator.pow, np.square: lambda x: x * x,
    np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
    np.equal: operator.eq, np.not_equal: operator.ne,
    np.maximum: _extreme_or_nan(max, operator.gt), np.minimum: _extreme_or_nan(min, operator.lt),
}  # fmt: skip


def _with_stand_ins(value: Any) -> Any:
    if value is math:
        return MATH
    return STAND_INS.get(value, value) if isinstance(value, Hashable) else value


# --- formulas


def formula(function: Any, count: int) -> FunctionType | None:
    """The function of so many numbers in the vocabulary of kernels, if it is one."""
    tape = Tape()
    symbols = [Symbol(tape, f"x{i}") for i in range(count)]
    try:
        result = tape.follow(copied(function, _with_stand_ins), symbols, {})
    except Exception:  # whatever functions do that are given no numbers
        return None
    if result not in tape.names.values():  # a constant, or an argument: in all lanes
        result = f"select(x0 <= x0, {result}, {result})"
    steps = [f"    {name} = {step}" for step, name in tape.names.items()]
    lines = [f"def formula({', '.join(symbol.name for symbol in symbols)}):", *steps, f"    return {result}"]
    found: dict[str, Any] = {}
    exec("\n".join(lines), found)
    made: FunctionType = found["formula"]
    return made


@cache
def in_vectors(kernel: Kernel, dtype: str) -> Kernel | None:
    """The same kernel with formulas for the functions of users, if they are such and hold in this number type."""
    formulas: dict[str, Callable[..., Any]] = {}
    for name, function in kernel.foreign.items():
        found = formula(function, len(kernel.points[0]))
        if found is None or not _agrees(found, function, kernel.points, dtype):
            return None
        formulas[name] = found
    assert kernel.of_vectors is not None
    return dataclasses.replace(kernel, function=kernel.of_vectors, foreign=formulas)


@cache
def _numbers(dtype: str) -> dict[str, Any]:
    return specialize(dtype, plain_vocabulary(dtype))


def _agrees(formula: FunctionType, function: Any, points: tuple[tuple[float, ...], ...], dtype: str) -> bool:
    """Whether both give the same, as far as Python does not raise, and are finite in the padding of rows.

    Far away, where the digits may be lost of what hardly counts, it is enough that both are finite.
    """
    ours = clone(formula, _numbers(dtype))
    columns = np.array(points, dtype).T
    with np.errstate(all="ignore"):
        try:
            values = ours(*columns)
        except Exception:  # what was noted makes no sense
            return False
        for point, value in zip(columns.T.tolist(), values, strict=True):
            try:
                expected = np.dtype(dtype).type(function(*point))
            except Exception:  # Python raises where there is infinity or NaN, or where the function is not meant for
                continue
            size = ROUNDING * np.finfo(dtype).eps * max(1, abs(expected))
            same = abs(value - expected) <= size or value == expected or np.isnan(value) & np.isnan(expected)
            far = any(FAR <= abs(x) < math.inf for x in point) and (np.isfinite(value) or not np.isfinite(expected))
            if not (same or far):
                return False
        return len(columns) > 1 or bool(np.isfinite(ours(np.zeros(1, dtype))).all())
