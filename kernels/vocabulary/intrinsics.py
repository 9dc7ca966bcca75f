"""The vocabulary of `simd.py` as LLVM instructions.

With what it takes from `vector_type.py`, `tiles.py` and `machine.py`, and with the two compilers, all that knows Numba.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .levels import Level, tile_shape
from .machine import PAUSE, SUBNORMALS, fetch, fetch_add, prefetch, stay_apart
from .structure_type import structure
from .tiles import masked_tile, tile, transpose
from .vector_type import FLOATS, I32, VOID, Vector, spread


def vocabulary(dtype: str, level: Level) -> dict[str, Any]:
    """Every name of `simd.py` that kernels use, for a number type and a CPU level."""
    number = types.float32 if dtype == "float32" else types.float64
    shape = tile_shape(dtype, level)
    vector = Vector(number, shape["LANES"])
    flush, restore = SUBNORMALS[level.machine]
    return {
        **shape,
        "real": np.dtype(dtype).type, "double": np.float64, "polynomial": polynomial, "select": select, "sqrt": sqrt,
        "multiply_add": multiply_add, "absolute": absolute, "copy_sign": copy_sign, "maximum": maximum,
        "accumulate": accumulate, "to_bits": to_bits, "from_bits": from_bits(number), "quotient": quotient,
        "reals": pointer(number), "doubles": pointer(types.float64),
        "integers": pointer(types.int64), "at": at, "call": call(types.void),
        "call_for_vectors": call(types.UniTuple(vector, 2)), "first_lane": first_lane,
        "rotate": rotate,
        "load": load(shape["LANES"]), "load_anywhere": load(shape["LANES"], aligned=False),
        "store": store(shape["LANES"]), "load_first": load_first(shape["LANES"]),
        "store_first": store_first(shape["LANES"]), "to_reals": to_reals(number, shape["LANES"]),
        "spread": spread_lanes(shape["LANES"]), "numbers_from": numbers_from(shape["LANES"]),
        "lanes_below": compare_lanes(number, shape["LANES"], "<"),
        "lane_is": compare_lanes(number, shape["LANES"], "=="), "lane_bits": lane_bits, "count_bits": count_bits,
        "sum_lanes": sum_lanes, "largest_lane": largest_lane,
        "fetch_add": fetch_add, "fetch": fetch, "pause": PAUSE[level.machine],
        "stay_apart": stay_apart, "prefetch": prefetch,
        "tile": tile(number, shape["LANES"], shape["TILE_ROWS"]),
        "masked_tile": masked_tile(number, shape["LANES"], shape["PANEL_VECTORS"], shape["NEIGHBORS"]),
        "transpose": transpose(number, shape["LANES"]),
        "structure": structure(number), "flush_subnormals": flush, "restore_subnormals": restore,
    }  # fmt: skip


# --- numbers


CONTRACT = ("contract",)


def polynomial(coefficients, flags=CONTRACT):
    """Unrolled; the compiler fuses multiplication and addition where the CPU can."""

    @intrinsic
    def evaluate(typingctx, x):
        def codegen(context, builder, signature, arguments):
            power = arguments[0]
            zero = constant(power.type, 0.0)
            terms = [constant(power.type, float(c)) if c else zero for c in coefficients[::-1]]

            def sum_of(low, high):
                product = builder.fmul(high, power, flags=flags)
                return product if low is zero else builder.fadd(product, low, flags=flags)

            while len(terms) > 1:
                if len(terms) == 3:
                    terms[1:] = [sum_of(*terms[1:])]
                pairs = zip(terms[::2], terms[1::2], strict=False)
                rest = terms[len(terms) & ~1 :]
                terms = [sum_of(low, high) for low, high in pairs] + rest
                power = builder.fmul(power, power, flags=flags)
            return terms[0]

        return x(x), codegen

    return evaluate


def constant(number_or_vector, value):
    if isinstance(number_or_vector, ir.VectorType):
        return ir.Constant(number_or_vector, [value] * number_or_vector.count)
    return ir.Constant(number_or_vector, value)


@intrinsic
def select(typingctx, condition, a, b):
    vector = next((v for v in (a, b) if isinstance(v, Vector)), None)
    if vector is None:
        vector = typingctx.unify_types(a, b)
        if isinstance(condition, Vector):
            vector = condition.of(vector)

    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return vector(condition, vector, vector), codegen


def declare(builder, name, arguments):
    """An intrinsic of LLVM whose arguments and result are of one type, that of the first argument."""
    number = arguments[0].type
    lanes, bits = "", number
    if isinstance(number, ir.VectorType):
        lanes, bits = f"v{number.count}", number.element
    function = ir.FunctionType(number, [number] * len(arguments))
    return cgutils.get_or_insert_function(builder.module, function, f"{name}.{lanes}{bits.intrinsic_name}")


def _llvm(name):
    def codegen(context, builder, signature, arguments):
        return builder.call(declare(builder, name, arguments), arguments)

    return codegen


@intrinsic
def sqrt(typingctx, x):
    return x(x), _llvm("llvm.sqrt")


@intrinsic
def multiply_add(typingctx, a, b, c):
    # llvm.fma would call libm where the CPU has no such instruction
    number = next((v for v in (a, b, c) if isinstance(v, Vector)), a)
    return number(number, number, number), _llvm("llvm.fmuladd")


@intrinsic
def absolute(typingctx, x):
    return x(x), _llvm("llvm.fabs")


@intrinsic
def copy_sign(typingctx, x, sign):
    number = sign if isinstance(sign, Vector) else x  # x may be one for all lanes
    return number(number, number), _llvm("llvm.copysign")


@intrinsic
def maximum(typingctx, a, b):
    return a(a, a), _llvm("llvm.maximum")


@intrinsic
def accumulate(typingctx, total, x):
    def codegen(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=("reassoc", "contract"))

    return total(total, total), codegen


@intrinsic
def to_bits(typingctx, x):
    number = x.element if isinstance(x, Vector) else x
    integer = types.int32 if number == types.float32 else types.int64
    integer = x.of(integer) if isinstance(x, Vector) else integer

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(integer))

    return integer(x), codegen


def from_bits(number):
    @intrinsic
    def bits_to_number(typingctx, n):
        result = n.of(number) if isinstance(n, Vector) else number

        def codegen(context, builder, signature, arguments):
            value = arguments[0]
            if isinstance(value.type, ir.IntType) and value.type.width > number.bitwidth:
                value = builder.trunc(value, ir.IntType(number.bitwidth))
            return builder.bitcast(value, context.get_value_type(result))

        return result(n), codegen

    return bits_to_number


@intrinsic
def quotient(typingctx, a, b):
    def codegen(context, builder, signature, arguments):
        return builder.udiv(*arguments)

    return types.int64(types.int64, types.int64), codegen


# --- memory


def pointer(number):
    @intrinsic
    def address_to_pointer(typingctx, address):
        def codegen(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(number)(types.int64), codegen

    return address_to_pointer


@intrinsic
def at(typingctx, p, i):
    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return p(p, types.int64), codegen


def vector_at(context, builder, vector, p, i):
    """The address of a vector, and the alignment that it has."""
    register = context.get_value_type(vector)
    return builder.bitcast(builder.gep(p, [i]), register.as_pointer()), vector.lanes * vector.element.bitwidth // 8


def masked(context, builder, lanes, p, i, n):
    """The address of the first n lanes, their mask, and the type of the vector."""
    numbers = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
    mask = builder.icmp_signed("<", numbers, spread(builder, at_most(builder, n, lanes, I32), lanes))
    vector = ir.VectorType(p.type.pointee, lanes)
    return builder.bitcast(builder.gep(p, [i]), vector.as_pointer()), mask, vector


def at_most(builder, n, most, integer):
    """The smaller one in a type that may be too narrow for n."""
    few = builder.select(builder.icmp_signed("<", n, n.type(most)), n, n.type(most))
    return builder.trunc(few, integer) if integer.width < n.type.width else few


def load_first(lanes):
    @intrinsic
    def load_lanes(typingctx, p, i, n):
        def codegen(context, builder, signature, arguments):
            address, mask, vector = masked(context, builder, lanes, *arguments)
            arguments = [address, I32(p.dtype.bitwidth // 8), mask, ir.Constant(vector, None)]
            function = ir.FunctionType(vector, [a.type for a in arguments])
            name = f"llvm.masked.load.v{lanes}{vector.element.intrinsic_name}.p0"
            return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)

        return Vector(p.dtype, lanes)(p, types.int64, types.int64), codegen

    return load_lanes


def store_first(lanes):
    @intrinsic
    def store_lanes(typingctx, p, i, n, value):
        def codegen(context, builder, signature, arguments):
            address, mask, vector = masked(context, builder, lanes, *arguments[:3])
            arguments = [arguments[3], address, I32(p.dtype.bitwidth // 8), mask]
            function = ir.FunctionType(VOID, [a.type for a in arguments])
            name = f"llvm.masked.store.v{lanes}{vector.element.intrinsic_name}.p0"
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)
            return context.get_dummy_value()

        return types.void(p, types.int64, types.int64, value), codegen

    return store_lanes


def to_reals(number, lanes):
    @intrinsic
    def convert(typingctx, v):
        def codegen(context, builder, signature, arguments):
            target = ir.VectorType(FLOATS[number], lanes)
            if isinstance(v.element, types.Float):
                widths = v.element.bitwidth, number.bitwidth
                if widths[0] == widths[1]:
                    return arguments[0]
                change = builder.fpext if widths[0] < widths[1] else builder.fptrunc
            else:
                change = builder.sitofp if v.element.signed else builder.uitofp
            return change(arguments[0], target)

        return Vector(number, lanes)(v), codegen

    return convert


def load(lanes, aligned=True):
    @intrinsic
    def load_vector(typingctx, p, i):
        vector = Vector(p.dtype, lanes)

        def codegen(context, builder, signature, arguments):
            address, align = vector_at(context, builder, vector, *arguments)
            return builder.load(address, align=align if aligned else p.dtype.bitwidth // 8)

        return vector(p, types.int64), codegen

    return load_vector


def store(lanes):
    @intrinsic
    def store_vector(typingctx, p, i, value):
        vector = Vector(p.dtype, lanes)

        def codegen(context, builder, signature, arguments):
            address, align = vector_at(context, builder, vector, *arguments[:2])
            builder.store(arguments[2], address, align=align)
            return context.get_dummy_value()

        return types.void(p, types.int64, vector), codegen

    return store_vector


def spread_lanes(lanes):
    @intrinsic
    def spread_number(typingctx, x):
        def codegen(context, builder, signature, arguments):
            return spread(builder, arguments[0], lanes)

        return Vector(x, lanes)(x), codegen

    return spread_number


def numbers_from(lanes):
    @intrinsic
    def count_lanes(typingctx, n):
        def codegen(context, builder, signature, arguments):
            numbers = ir.Constant(ir.VectorType(arguments[0].type, lanes), list(range(lanes)))
            return builder.add(spread(builder, arguments[0], lanes), numbers)

        return Vector(types.int64, lanes)(types.int64), codegen

    return count_lanes


def compare_lanes(number, lanes, comparison):
    @intrinsic
    def compare(typingctx, n):
        def codegen(context, builder, signature, arguments):
            # in lanes as wide as the numbers that they mask, which a comparison makes a mask of without conversions
            lane = ir.IntType(number.bitwidth)
            limit = at_most(builder, arguments[0], lanes, lane)
            numbers = ir.Constant(ir.VectorType(lane, lanes), list(range(lanes)))
            return builder.icmp_signed(comparison, numbers, spread(builder, limit, lanes))

        return Vector(types.boolean, lanes)(types.int64), codegen

    return compare


@intrinsic
def lane_bits(typingctx, condition):
    def codegen(context, builder, signature, arguments):
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(condition.lanes)), ir.IntType(64))

    return types.int64(condition), codegen


@intrinsic
def count_bits(typingctx, word):
    return types.int64(types.int64), _llvm("llvm.ctpop")


@intrinsic
def first_lane(typingctx, v):
    def codegen(context, builder, signature, arguments):
        return builder.extract_element(arguments[0], I32(0))

    return v.element(v), codegen


@intrinsic
def rotate(typingctx, v):
    def codegen(context, builder, signature, arguments):
        (vector,) = arguments
        mask = ir.Constant(ir.VectorType(I32, v.lanes), [*range(1, v.lanes), 0])
        return builder.shuffle_vector(vector, vector, mask)

    return v(v), codegen


@intrinsic
def sum_lanes(typingctx, v):
    def codegen(context, builder, signature, arguments):
        return reduce(builder, "fadd", arguments[0], ir.Constant(arguments[0].type.element, -0.0))

    return v.element(v), codegen


@intrinsic
def largest_lane(typingctx, v):
    def codegen(context, builder, signature, arguments):
        vector, lanes = arguments[0], arguments[0].type.count
        distance = lanes // 2
        while distance:
            mask = ir.Constant(ir.VectorType(I32, lanes), [(j + distance) % lanes for j in range(lanes)])
            other = builder.shuffle_vector(vector, vector, mask)
            vector = builder.select(builder.fcmp_ordered(">", other, vector), other, vector)
            distance //= 2
        return builder.extract_element(vector, I32(0))

    return v.element(v), codegen


def reduce(builder, name, vector, *start):
    element = vector.type.element
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(element, [*(s.type for s in start), vector.type]),
        f"llvm.vector.reduce.{name}.v{vector.type.count}{element.intrinsic_name}",
    )
    return builder.call(function, [*start, vector], fastmath=("reassoc",) if start else ())


def call(result):
    @intrinsic
    def call_address(typingctx, address, *arguments):
        def codegen(context, builder, signature, values):
            inputs = cgutils.unpack_tuple(builder, values[1])
            returns = VOID if result == types.void else context.get_value_type(result)
            function = ir.FunctionType(returns, [v.type for v in inputs]).as_pointer()
            value = builder.call(builder.inttoptr(values[0], function), inputs)
            return context.get_dummy_value() if result == types.void else value

        return result(types.int64, types.StarArgTuple.from_types(arguments)), codegen

    return call_address
