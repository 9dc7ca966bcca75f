"""The vocabulary of `simd.py` as LLVM instructions. The only module, with the two compilers, that knows Numba."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .levels import Level
from .specialize import tile_shape

I8, I32, I64, VOID = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.VoidType()
FLOATS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def vocabulary(dtype: str, level: Level) -> dict[str, Any]:
    """Every name of `simd.py` that kernels use, for a number type and a CPU level."""
    number = types.float32 if dtype == "float32" else types.float64
    shape = tile_shape(dtype, level)
    flush, restore = SUBNORMALS[level.machine]
    return {
        **shape,
        "real": np.dtype(dtype).type, "double": np.float64, "polynomial": polynomial, "select": select, "sqrt": sqrt,
        "absolute": absolute, "copy_sign": copy_sign, "maximum": maximum, "accumulate": accumulate, "to_bits": to_bits,
        "from_bits": from_bits(number), "quotient": quotient,
        "reals": pointer(number), "doubles": pointer(types.float64),
        "integers": pointer(types.int64), "at": at, "call": call(types.void), "call_double": call(types.float64),
        "tile": tile(number, shape["LANES"], shape["TILE_ROWS"]), "dot": dot(number, shape["LANES"]),
        "flush_subnormals": flush, "restore_subnormals": restore,
    }  # fmt: skip


# --- numbers


def polynomial(coefficients):
    """Horner's rule, unrolled; the compiler fuses multiplication and addition where the CPU can."""

    @intrinsic
    def horner(typingctx, x):
        def codegen(context, builder, signature, arguments):
            x_type = arguments[0].type
            total = ir.Constant(x_type, float(coefficients[0]))
            for c in coefficients[1:]:
                product = builder.fmul(total, arguments[0], flags=("contract",))
                total = builder.fadd(product, ir.Constant(x_type, float(c)), flags=("contract",))
            return total

        return x(x), codegen

    return horner


@intrinsic
def select(typingctx, condition, a, b):
    result = typingctx.unify_types(a, b)

    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return result(types.boolean, result, result), codegen


def _llvm(name):
    """An intrinsic of LLVM whose arguments and result are of one type."""

    def codegen(context, builder, signature, arguments):
        number = arguments[0].type
        function = ir.FunctionType(number, [number] * len(arguments))
        return builder.call(builder.module.declare_intrinsic(name, [number], function), arguments)

    return codegen


@intrinsic
def sqrt(typingctx, x):
    return x(x), _llvm("llvm.sqrt")


@intrinsic
def absolute(typingctx, x):
    return x(x), _llvm("llvm.fabs")


@intrinsic
def copy_sign(typingctx, x, sign):
    return x(x, x), _llvm("llvm.copysign")


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
    integer = types.int32 if x == types.float32 else types.int64

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(integer))

    return integer(x), codegen


def from_bits(number):
    @intrinsic
    def bits_to_number(typingctx, n):
        def codegen(context, builder, signature, arguments):
            bits = ir.IntType(number.bitwidth)
            value = arguments[0]
            if value.type.width > bits.width:
                value = builder.trunc(value, bits)
            return builder.bitcast(value, FLOATS[number])

        return number(n), codegen

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


# --- machine

BUSY_SUMS = 8  # sums that keep two multipliers of latency 4 busy


def tile(number, lanes, most_rows):
    """One loop over depth for each number of rows, so that every sum has a register of its own."""
    vector = ir.VectorType(FLOATS[number], lanes)
    bytes_of_number = number.bitwidth // 8
    size = lanes * bytes_of_number
    n, p = types.int64, types.CPointer(number)

    def emit(builder, rows, vectors, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row):
        # fmuladd: fused where the CPU can, multiplied and added where it cannot (llvm.fma would call libm there)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{number.bitwidth}"
        )
        places = [(i, j) for i in range(rows) for j in range(vectors)]
        # A short tile has too few sums to hide the latency of an addition: each then has parts that take turns.
        parts = max(1, min(4, BUSY_SUMS // len(places)))

        def load(address, align):
            value = builder.load(address)
            value.align = align
            return value

        def at_vector(base, index):
            return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

        def place(base, stride, i, j):
            return at_vector(base, builder.add(builder.mul(I64(i), stride), I64(j * lanes)))

        def multiply(k, part):
            b_k, a_k = builder.gep(b, [builder.mul(k, b_row)]), builder.gep(a, [builder.mul(k, a_column)])
            row_of_b = [load(at_vector(b_k, I64(j * lanes)), size) for j in range(vectors)]
            for i in range(rows):
                number_of_a = load(builder.gep(a_k, [builder.mul(I64(i), a_row)]), bytes_of_number)
                broadcast = builder.shuffle_vector(
                    builder.insert_element(ir.Constant(vector, ir.Undefined), number_of_a, I32(0)),
                    ir.Constant(vector, ir.Undefined),
                    ir.Constant(ir.VectorType(I32, lanes), [0] * lanes),
                )
                for j in range(vectors):
                    total = builder.call(multiply_add, [broadcast, row_of_b[j], builder.load(sums[part, i, j])])
                    builder.store(total, sums[part, i, j])

        sums = {
            (0, i, j): cgutils.alloca_once_value(builder, load(place(start, start_row, i, j), size)) for i, j in places
        }
        for part in range(1, parts):
            sums |= {(part, i, j): cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for i, j in places}
        whole = builder.udiv(depth, I64(parts))
        with cgutils.for_range(builder, whole) as loop:
            for part in range(parts):
                multiply(builder.add(builder.mul(loop.index, I64(parts)), I64(part)), part)
        if parts > 1:
            with cgutils.for_range(builder, depth, start=builder.mul(whole, I64(parts))) as loop:
                multiply(loop.index, 0)
        for i, j in places:
            total = builder.load(sums[0, i, j])
            for part in range(1, parts):
                total = builder.fadd(total, builder.load(sums[part, i, j]))
            builder.store(total, place(c, c_row, i, j)).align = size

    @intrinsic(prefer_literal=True)
    def multiply_tile(typingctx, vectors, rows, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row):
        width, count = vectors.literal_value, getattr(rows, "literal_value", None)

        def codegen(context, builder, signature, arguments):
            if count is not None:
                emit(builder, count, width, *arguments[2:])
                return context.get_dummy_value()
            builder.function.attributes.add("noinline")  # the caller's: tiles are large, and one copy of them is enough
            done = builder.append_basic_block("done")
            switch = builder.switch(arguments[1], done)
            for r in range(1, most_rows + 1):
                block = builder.append_basic_block(f"rows{r}")
                switch.add_case(I64(r), block)
                builder.position_at_end(block)
                emit(builder, r, width, *arguments[2:])
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(vectors, n, n, p, n, n, p, n, p, n, p, n), codegen

    return multiply_tile


def dot(number, lanes):
    vector, bits = ir.VectorType(FLOATS[number], lanes), number.bitwidth
    size = lanes * bits // 8
    p = types.CPointer(number)

    @intrinsic(prefer_literal=True)
    def sum_of_products(typingctx, vectors, x, y, count):
        width = vectors.literal_value

        def codegen(context, builder, signature, arguments):
            _, x, y, count = arguments
            lane = ir.VectorType(I64, lanes)
            zero = ir.Constant(vector, None)
            last = builder.shuffle_vector(
                builder.insert_element(ir.Constant(lane, ir.Undefined), count, I32(0)),
                ir.Constant(lane, ir.Undefined),
                ir.Constant(ir.VectorType(I32, lanes), [0] * lanes),
            )
            total = zero
            for j in range(width):
                factors = []
                for base in (x, y):
                    value = builder.load(builder.bitcast(builder.gep(base, [I64(j * lanes)]), vector.as_pointer()))
                    value.align = size
                    factors.append(value)
                places = ir.Constant(lane, [j * lanes + i for i in range(lanes)])
                product = builder.select(builder.icmp_signed("<", places, last), builder.fmul(*factors), zero)
                total = builder.fadd(total, product)
            reduce = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(FLOATS[number], [FLOATS[number], vector]),
                f"llvm.vector.reduce.fadd.v{lanes}f{bits}",
            )
            return builder.call(reduce, [ir.Constant(FLOATS[number], -0.0), total], fastmath=("reassoc",))

        return number(vectors, p, p, types.int64), codegen

    return sum_of_products


def _x86_subnormals():
    """MXCSR: flush to zero (bit 15), denormals are zero (bit 6)."""

    def access(builder, name, slot):
        pointer_type = I8.as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(VOID, [pointer_type]), f"llvm.x86.sse.{name}"
        )
        builder.call(function, [builder.bitcast(slot, pointer_type)])

    @intrinsic
    def flush(typingctx):
        def codegen(context, builder, signature, arguments):
            slot = cgutils.alloca_once(builder, I32)
            access(builder, "stmxcsr", slot)
            state = builder.load(slot)
            builder.store(builder.or_(state, I32(0x8040)), slot)
            access(builder, "ldmxcsr", slot)
            return builder.zext(state, I64)

        return types.int64(), codegen

    @intrinsic
    def restore(typingctx, state):
        def codegen(context, builder, signature, arguments):
            slot = cgutils.alloca_once_value(builder, builder.trunc(arguments[0], I32))
            access(builder, "ldmxcsr", slot)
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return flush, restore


def _arm_subnormals():
    """FPCR: flush to zero (bit 24)."""

    @intrinsic
    def flush(typingctx):
        def codegen(context, builder, signature, arguments):
            get = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I64, []), "llvm.aarch64.get.fpcr")
            put = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VOID, [I64]), "llvm.aarch64.set.fpcr")
            state = builder.call(get, [])
            builder.call(put, [builder.or_(state, I64(1 << 24))])
            return state

        return types.int64(), codegen

    @intrinsic
    def restore(typingctx, state):
        def codegen(context, builder, signature, arguments):
            put = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VOID, [I64]), "llvm.aarch64.set.fpcr")
            builder.call(put, arguments)
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    return flush, restore


SUBNORMALS = {"x86_64": _x86_subnormals(), "aarch64": _arm_subnormals()}
