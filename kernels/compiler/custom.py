"""Activations and losses that users write as plain functions of numbers."""

import math
from collections.abc import Callable
from opcode import opmap
from types import FunctionType
from typing import Any, Self

import numpy as np

from ..base.errors import require, shortened
from ..base.records import Record, frozen
from ..base.settings import to_text
from ..functions.activations import (
    ACTIVATIONS,
    ActivationRow,
    apply,
    apply_scalar,
    chain,
    chain_scalar,
    with_derivative_of_sums,
)
from ..functions.function import Function
from ..functions.kernel import ACTIVATION, ACTIVATION_OF_VECTOR, LOSS, LOSS_OF_VECTOR, Kernel
from ..functions.losses import LOSSES, LossRow, elementwise_loss, scalar_loss, with_loss_derivative
from .capture import captured, plain, recursive
from .ieee import plainly

# where derivatives are checked, away from round numbers, at which there may be kinks
POINTS = [-29.3, -11.7, *np.linspace(-6.07, 6.11, 42).tolist(), 12.1, 28.9]
OUTPUTS = [-9.1, -2.3, -1.17, -0.63, -0.21, 0.043, 0.13, 0.37, 0.71, 0.94, 1.31, 2.7, 9.7]
TARGETS = [-3.5, -1.0, 0.0, 0.25, 1.0, 2.0, 7.0]
STEP = 1e-5
OUTSIDE = ArithmeticError, LookupError, ValueError  # what operations raise outside of a function's domain

# where formulas are compared, beside these
EXTREMES = [math.nan, -math.inf, -300.0, -100.0, -20.0, -1e-3, -0.0, 0.0, 1e-3, 1.0, 20.0, 100.0, 300.0, math.inf]
DISTANT = [-1e6, -1e4, 1e4, 1e6]  # what overflows on the way there
SUMS = tuple((z,) for z in (*POINTS, *EXTREMES, *DISTANT))
PAIRS = tuple((output, target) for target in TARGETS for output in (*OUTPUTS, *TARGETS, *EXTREMES, *DISTANT))
PAIRS += tuple((output, target) for target in DISTANT for output in (0.5, *DISTANT))


class Captured(Function):
    """Of functions as they are when it is made. Files of pickle refer to the originals, which may be others later."""

    _originals: tuple[Any, ...]

    def _capture(self, **functions: Any) -> None:
        for argument, function in functions.items():
            if not isinstance(plain(function), FunctionType):
                raise TypeError(f"{argument} must be a plain Python function, got {shortened(function)}")
            name = recursive(function)
            if name:  # where it does not end, compiled code overflows the stack, which no process survives
                rule = "a function without recursion"
                raise TypeError(f"{argument} must be {rule}, got {name}, which calls itself: a loop does the same")
        object.__setattr__(self, "_originals", tuple(functions.values()))
        for argument, function in functions.items():
            object.__setattr__(self, argument, captured(function))

    def __reduce__(self) -> Any:
        return type(self), (*self._originals, self.name)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


@frozen
class Activation(Captured, Record):
    """An activation function of your own.

    The functions are given one float and return one. Numba compiles them when they are first used: they may branch,
    call functions of `math` and others that are like them, but not themselves, and refer to numbers. The values of
    names are those at the creation of the object, in the functions that they call too; pickle refers to functions by
    name, and reading what it wrote is another creation. Division by zero and overflow give infinity or NaN, and so does
    what is outside of the domain of a function of `math`, where Python raises OverflowError, ZeroDivisionError or
    ValueError.

    All other exceptions, by `raise`, `assert` or an index outside of an array, reach the caller of `predict`, `train`
    and so on. No array is returned then, and a network in training is at its last finished step; or at the last epoch,
    without the optimizer's state, if it was a derivative that raised.

    Formulas are as fast as fastmlp's own. They are made of + - * /, whole and half powers, abs, min, max, comparisons
    and what depends on them, and of exp, expm1, log, log1p, sqrt, tanh, sinh, cosh, erf, erfc, fabs and copysign, of
    `math` or NumPy. They run on vectors, in the network's own number type, if that is good enough: if they then give
    what Python does at numbers from -300 to 300, and are finite where it is at 1e4 and 1e6. So log(1 + exp(z)) does in
    float64 networks alone, and max(z, 0) + log1p(exp(-abs(z))) in float32 too. They may be off by 512 units of rounding
    of the result, or of 1 if that is larger: by 6e-5 in float32, by 1e-13 in float64. So sqrt(1 + z * z) - 1 is 0 in
    float32 for z = 3e-4, and not 4.5e-8; z * z / (1 + sqrt(1 + z * z)) keeps the digits. All else is called for one
    number after the other, in float64.

    Parameters
    ----------
    forward : function of z
        Returns the activation a.
    derivative : function of z
        Returns da/dz. It is compared with central differences of `forward` at points between -30 and 30, except where
        there is a kink or no finite number.
    name : str, default None
        How it is called in `activations` and `repr`. None: the name of `forward`.

    Raises
    ------
    TypeError
        If the functions are none of plain Python, call themselves, or do not return numbers.
    ValueError
        If the derivative is not that of `forward`, or cannot be compared at any point, or the name is taken.

    Examples
    --------
    >>> import fastmlp
    >>> def cube(z):
    ...     return z * z * z
    >>> def cube_derivative(z):
    ...     return 3 * z * z
    >>> network = fastmlp.NeuralNetwork([2, 4, 1], activation=fastmlp.Activation(cube, cube_derivative))
    >>> network.activations
    ('cube', 'identity')
    """

    forward: Callable[[float], float]
    derivative: Callable[[float], float]
    name: str = None  # type: ignore[assignment]  # until it is known

    def __post_init__(self) -> None:
        self._capture(forward=self.forward, derivative=self.derivative)
        object.__setattr__(self, "name", _free_name(self.name, self.forward, ACTIVATIONS))
        _check_derivative("forward", self.forward, self.derivative, [{"z": z} for z in POINTS])

    arguments = 1

    @property
    def functions(self) -> tuple[Callable[..., float], ...]:
        return self.forward, self.derivative

    def row(self, table: Any) -> ActivationRow:
        return ActivationRow(self.name, self.forward, self.derivative, "", "", of_sums=True, foreign=True)

    def kernel(self, kind: str) -> Kernel:
        if kind == "activation":
            scalar, of_vectors, function = apply_scalar, apply, self.forward
        else:
            scalar, of_vectors, function = chain_scalar, chain, self.derivative
        return Kernel(
            f"{kind}_of_user", scalar, ACTIVATION, foreign={"element": function}, of_vectors=of_vectors, points=SUMS
        )

    def kernel_of_vector(self, kind: str) -> Kernel:
        functions, both = {"element": self.forward, "slope": self.derivative}, with_derivative_of_sums
        return Kernel(
            f"{kind}_of_vector_of_user", both, ACTIVATION_OF_VECTOR, "vectors", {}, functions, both, SUMS
        )  # fmt: skip

    def is_formula(self, dtype: str) -> bool:
        from .tracing import in_vectors

        return in_vectors(self.kernel_of_vector("activation"), dtype) is not None

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"


@frozen
class Loss(Captured, Record):
    """A loss function of your own: the mean of `value` over samples and outputs.

    The functions are given two floats and return one. See `Activation` for what they may be made of.

    Parameters
    ----------
    value : function of (output, target)
        Returns the loss of one output.
    derivative : function of (output, target)
        Returns its derivative with respect to the output. It is compared with central differences of `value` at outputs
        from -10 to 10 and targets from -4 to 7, as far as `value` is finite there, except where there is a kink.
    name : str, default None
        How it is called in `loss` and `repr`. None: the name of `value`.

    Raises
    ------
    TypeError
        If the functions are none of plain Python, call themselves, or do not return numbers.
    ValueError
        If the derivative is not that of `value`, or cannot be compared at any point, or the name is taken.

    Examples
    --------
    >>> import fastmlp
    >>> def fourth_power(output, target):
    ...     return (output - target) ** 4
    >>> def its_derivative(output, target):
    ...     return 4 * (output - target) ** 3
    >>> network = fastmlp.NeuralNetwork([2, 1], loss=fastmlp.Loss(fourth_power, its_derivative))
    >>> network.loss
    'fourth_power'
    """

    value: Callable[[float, float], float]
    derivative: Callable[[float, float], float]
    name: str = None  # type: ignore[assignment]  # until it is known

    def __post_init__(self) -> None:
        self._capture(value=self.value, derivative=self.derivative)
        object.__setattr__(self, "name", _free_name(self.name, self.value, LOSSES))
        points = [{"output": output, "target": target} for target in TARGETS for output in OUTPUTS]
        _check_derivative("value", self.value, self.derivative, points)

    arguments = 2

    @property
    def functions(self) -> tuple[Callable[..., float], ...]:
        return self.value, self.derivative

    def row(self, table: Any) -> LossRow:
        return LossRow(self.name, self.value, self.derivative, "identity", "", foreign=True)

    def kernel(self, kind: str) -> Kernel:
        functions = {"value": self.value, "derivative": self.derivative}
        return Kernel(
            f"{kind}_of_user", scalar_loss, LOSS, foreign=functions, of_vectors=elementwise_loss, points=PAIRS
        )

    def kernel_of_vector(self, kind: str) -> Kernel:
        functions, both = {"value": self.value, "derivative": self.derivative}, with_loss_derivative
        return Kernel(f"{kind}_of_vector_of_user", both, LOSS_OF_VECTOR, "vectors", {}, functions, both, PAIRS)

    def is_formula(self, dtype: str) -> bool:
        from .tracing import in_vectors

        return in_vectors(self.kernel("loss"), dtype) is not None

    def __repr__(self) -> str:
        return f"Loss({self.name!r})"


def is_raised(error: Exception) -> bool:
    """Whether an exception comes from a statement, `raise` or `assert`, and not from an operation."""
    innermost = error.__traceback__
    assert innermost is not None
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    return innermost.tb_frame.f_code.co_code[innermost.tb_lasti] == opmap["RAISE_VARARGS"]


def _free_name(name: Any, function: Any, table: Any) -> str:
    """The name asked for, or the function's."""
    if name is None:
        name = function.__name__ if function.__name__.isidentifier() else "custom"
    rule = "an identifier that is none of fastmlp's own names"
    text = to_text(name)
    require(text is not None and text.isidentifier() and text not in table, "name", rule, name)
    return str(text)


def _check_derivative(argument: str, function: Any, derivative: Any, points: list[dict[str, float]]) -> None:
    """The first of the numbers at a point is the one that the derivative is with respect to."""
    f, df = plainly(function), plainly(derivative)
    compared, raised = 0, None
    for point in points:
        x, *others = point.values()
        try:
            slope, got, tolerance = _slopes(f, df, x, others)
        except Exception as error:
            if is_raised(error) or isinstance(error, OUTSIDE):
                raised = error
                continue
            names = " and ".join(point)
            raise TypeError(
                f"{argument} and derivative must be functions of {names} that return a number, got {error!r}"
            ) from None
        compared += math.isfinite(slope)
        if math.isfinite(slope) and not abs(got - slope) <= tolerance:
            where = ", ".join(f"{name} = {value:g}" for name, value in point.items())
            raise ValueError(
                f"derivative must be that of {argument}, got {got:.8g} at {where}, where differences give {slope:.8g}"
            )
    rule = "finite and smooth at some of the points at which its derivative is checked"
    if not compared:
        raise ValueError(f"{argument} must be {rule}, got {shortened(function)}") from raised


def _slopes(f: Any, df: Any, x: float, others: list[float]) -> tuple[float, float, float]:
    """The derivative by differences, NaN at a kink; by itself; and by how much they may differ."""
    got = df(x, *others)
    for step in (STEP, STEP / 100):  # what looks like a kink may be steep
        h = step * max(1.0, abs(x))
        a, b, c, d, e = (f(x + steps * h, *others) for steps in (-2, -1, 0, 1, 2))
        slope = (8 * (d - b) - (e - a)) / (12 * h)  # of an error of order h^4
        tolerance = 1e-6 + 1e-5 * max(abs(slope), abs(got)) + 1e-15 * abs(c) / h
        if not abs(e - 2 * c + a) / (2 * h) > 100 * tolerance:
            return slope, got, tolerance
    return math.nan, got, tolerance
