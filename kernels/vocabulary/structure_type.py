"""A pointer to a structure as a Numba type: fields are read and written as attributes."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing import signature
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
)

from .structures import ADDRESS, DOUBLE, DOUBLES, FLAG, INTEGER, INTEGERS, Structure
from .vector_type import I64


class StructureType(types.Type):
    """A pointer to a structure, in kernels for one type of numbers."""

    def __init__(self, structure: Structure, number: types.Type) -> None:
        self.structure, self.number = structure, number
        super().__init__(name=f"{structure.name}({number})")

    def of(self, kind: str | Structure) -> types.Type:
        """The type that a field of this kind is seen in."""
        if isinstance(kind, Structure):
            return StructureType(kind, self.number)
        plain = {INTEGER: types.int64, ADDRESS: types.int64, FLAG: types.boolean, DOUBLE: types.float64}
        if kind in plain:
            return plain[kind]
        return types.CPointer({DOUBLES: types.float64, INTEGERS: types.int64}.get(kind, self.number))


@register_model(StructureType)
class StructureModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: StructureType) -> None:
        super().__init__(dmm, fe_type, I64.as_pointer())


@infer_getattr
class StructureAttributes(AttributeTemplate):
    key = StructureType

    def generic_resolve(self, structure: StructureType, name: str) -> types.Type | None:
        found = structure.structure.attributes.get(name)
        return found and structure.of(found[1])


@lower_getattr_generic(StructureType)
def read(context: Any, builder: ir.IRBuilder, structure: StructureType, value: ir.Value, name: str) -> ir.Value:
    word, kind = structure.structure.attributes[name]
    number = builder.load(builder.gep(value, [I64(word)]))
    target = structure.of(kind)
    if kind == FLAG:
        return builder.icmp_signed("!=", number, I64(0))
    if kind == DOUBLE:
        return builder.bitcast(number, context.get_value_type(target))
    return number if target == types.int64 else builder.inttoptr(number, context.get_value_type(target))


@lower_setattr_generic(StructureType)
def write(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, name: str) -> None:
    structure, _ = signature.args
    word, kind = structure.structure.attributes[name]
    target, number = arguments
    if kind == FLAG:
        number = builder.zext(number, I64)
    elif kind == DOUBLE:
        number = builder.bitcast(number, I64)
    builder.store(number, builder.gep(target, [I64(word)]))


def structure(number: types.Type) -> Any:
    """The vocabulary's `structure` for this type of numbers."""

    def described(structure: Structure) -> Any:
        result = StructureType(structure, number)

        @intrinsic
        def view(typingctx: Any, p: types.Type, i: types.Type) -> Any:
            def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
                return builder.bitcast(builder.gep(arguments[0], [arguments[1]]), I64.as_pointer())

            return signature(result, p, types.int64), codegen

        return view

    return described
