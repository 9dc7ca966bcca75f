"""A vector register as a Numba type: arithmetic, comparisons and conversions of all its lanes at once.

Formulas that are written for one number then work on vectors: a scalar beside a vector is spread over its lanes.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typeconv import Conversion
from numba.core.typing import signature
from numba.extending import lower_builtin, lower_cast, models, register_model, type_callable

I8, I32, I64, VOID = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.VoidType()
FLOATS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


class Vector(types.Type):
    """`lanes` numbers or truth values of one type."""

    def __init__(self, element: types.Type, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"vector({element}, {lanes})")

    def of(self, element: types.Type) -> "Vector":
        """As many lanes of another type."""
        return Vector(element, self.lanes)

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Any:
        # not as good as an exact match, or a function compiled for vectors would be taken for numbers
        return Conversion.unsafe if isinstance(other, types.Number) else None


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        bits = 1 if fe_type.element == types.boolean else fe_type.element.bitwidth
        number = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}.get(fe_type.element, ir.IntType(bits))
        super().__init__(dmm, fe_type, ir.VectorType(number, fe_type.lanes))


def spread(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A vector with this number in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


@lower_cast(types.Number, Vector)
def cast_number(context: Any, builder: ir.IRBuilder, source: Any, target: Vector, value: ir.Value) -> ir.Value:
    return spread(builder, context.cast(builder, value, source, target.element), target.lanes)


# --- operators

ARITHMETIC = {  # the operator's instruction for floats, and for integers
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
    operator.and_: (None, "and_"),
    operator.xor: (None, "xor"),
    operator.truediv: ("fdiv", None),
    operator.lshift: (None, "shl"),
    operator.rshift: (None, "ashr"),
}
COMPARISONS = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">="}


def register_operators() -> None:
    for function, instructions in ARITHMETIC.items():
        type_operator(function, lambda vector: vector)
        lower_builtin(function, Vector, Vector)(arithmetic(instructions))
    for function, symbol in COMPARISONS.items():
        type_operator(function, lambda vector: vector.of(types.boolean))
        lower_builtin(function, Vector, Vector)(comparison(symbol))
    type_callable(operator.neg)(lambda context: lambda a: signature(a, a) if isinstance(a, Vector) else None)
    lower_builtin(operator.neg, Vector)(arithmetic(("fneg", "neg")))


def type_operator(function: Any, result: Any) -> None:
    """Vector and vector, or vector and number."""

    @type_callable(function)
    def typer_of(context: Any) -> Any:
        def typer(a: types.Type, b: types.Type) -> Any:
            vector = next((v for v in (a, b) if isinstance(v, Vector)), None)
            return vector and signature(result(vector), vector, vector)

        return typer


def arithmetic(instructions: tuple[str | None, str | None]) -> Any:
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        name = instructions[0] if isinstance(signature.return_type.element, types.Float) else instructions[1]
        assert name is not None
        return getattr(builder, name)(*arguments)

    return lower


def comparison(symbol: str) -> Any:
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        if isinstance(signature.args[0].element, types.Float):
            return builder.fcmp_ordered(symbol, *arguments)
        return builder.icmp_signed(symbol, *arguments)

    return lower


register_operators()
