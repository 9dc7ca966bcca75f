"""The vocabulary of `simd.py` as LLVM instructions. The only module, with the two compilers, that knows Numba."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .levels import Level
from .specialize import tile_shape
from .vector_type import Vector, spread

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
        "integers": pointer(types.int64), "at": at, "call": call(types.void),
        "load": load(shape["LANES"]), "store": store(shape["LANES"]), "load_first": load_first(shape["LANES"]),
        "store_first": store_first(shape["LANES"]), "to_reals": to_reals(number, shape["LANES"]),
        "spread": spread_lanes(shape["LANES"]), "lanes_below": compare_lanes(number, shape["LANES"], "<"),
        "lane_is": compare_lanes(number, shape["LANES"], "=="),
        "sum_lanes": sum_lanes, "largest_lane": largest_lane,
        "fetch_add": fetch_add, "fetch": fetch, "pause": PAUSE[level.machine],
        "stay_apart": stay_apart,
        "tile": tile(number, shape["LANES"], shape["TILE_ROWS"]), "transpose": transpose(number, shape["LANES"]),
        "flush_subnormals": flush, "restore_subnormals": restore,
    }  # fmt: skip


# --- numbers


CONTRACT = ("contract",)


def polynomial(coefficients, flags=CONTRACT):
    """Unrolled; the compiler fuses multiplication and addition where the CPU can."""

    @intrinsic
    def evaluate(typingctx, x):
        def codegen(context, builder, signature, arguments):
            power = arguments[0]
            terms = [constant(power.type, float(c)) for c in coefficients[::-1]]
            while len(terms) > 1:
                pairs = zip(terms[::2], terms[1::2], strict=False)
                rest = terms[len(terms) & ~1 :]
                products = [(low, builder.fmul(high, power, flags=flags)) for low, high in pairs]
                terms = [builder.fadd(product, low, flags=flags) for low, product in products] + rest
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
    mask = builder.icmp_signed("<", numbers, spread(builder, builder.trunc(n, I32), lanes))
    vector = ir.VectorType(p.type.pointee, lanes)
    return builder.bitcast(builder.gep(p, [i]), vector.as_pointer()), mask, vector


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


def load(lanes):
    @intrinsic
    def load_vector(typingctx, p, i):
        vector = Vector(p.dtype, lanes)

        def codegen(context, builder, signature, arguments):
            address, align = vector_at(context, builder, vector, *arguments)
            return builder.load(address, align=align)

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


def compare_lanes(number, lanes, comparison):
    @intrinsic
    def compare(typingctx, n):
        def codegen(context, builder, signature, arguments):
            # in lanes as wide as the numbers that they mask, which a comparison makes a mask of without conversions
            lane = ir.IntType(number.bitwidth)
            limit = builder.trunc(arguments[0], lane) if number.bitwidth < 64 else arguments[0]
            numbers = ir.Constant(ir.VectorType(lane, lanes), list(range(lanes)))
            return builder.icmp_signed(comparison, numbers, spread(builder, limit, lanes))

        return Vector(types.boolean, lanes)(types.int64), codegen

    return compare


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


# --- threads


@intrinsic
def fetch_add(typingctx, p, i, value):
    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", builder.gep(arguments[0], [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(p, types.int64, types.int64), codegen


@intrinsic
def fetch(typingctx, p, i):
    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(builder.gep(arguments[0], [arguments[1]]), "acquire", 8)

    return types.int64(p, types.int64), codegen


def pause(name, *arguments):
    @intrinsic
    def wait_a_moment(typingctx):
        def codegen(context, builder, signature, _):
            function = ir.FunctionType(VOID, [a.type for a in arguments])
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)
            return context.get_dummy_value()

        return types.void(), codegen

    return wait_a_moment


PAUSE = {"x86_64": pause("llvm.x86.sse2.pause"), "aarch64": pause("llvm.aarch64.hint", I32(1))}

# --- machine


@intrinsic
def stay_apart(typingctx):
    def codegen(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


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
        # Not in tiles of half the rows or more: those may be cut otherwise when threads share them, to the same bits.
        parts = max(1, min(4, BUSY_SUMS // len(places))) if 2 * rows < most_rows else 1

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
                broadcast = spread(builder, number_of_a, lanes)
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
            with builder.if_then(builder.icmp_unsigned(">", whole, I64(0))):
                for i, j in places:
                    for part in range(1, parts):
                        total = builder.fadd(builder.load(sums[0, i, j]), builder.load(sums[part, i, j]))
                        builder.store(total, sums[0, i, j])
            with cgutils.for_range(builder, depth, start=builder.mul(whole, I64(parts))) as loop:
                multiply(loop.index, 0)
        for i, j in places:
            builder.store(builder.load(sums[0, i, j]), place(c, c_row, i, j)).align = size

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


def transpose(number, lanes):
    vector = ir.VectorType(FLOATS[number], lanes)
    size = lanes * number.bitwidth // 8
    n, p = types.int64, types.CPointer(number)

    @intrinsic
    def transpose_block(typingctx, source, source_row, rows, zeros, target, target_row):
        def codegen(context, builder, signature, arguments):
            source, source_row, rows, zeros, target, target_row = arguments
            block = []
            for i in range(lanes):
                row = builder.gep(source, [builder.mul(I64(i), source_row)])
                row = builder.select(builder.icmp_signed("<", I64(i), rows), row, zeros)
                block.append(builder.load(builder.bitcast(row, vector.as_pointer()), align=size))
            # quarters of a square of `distance` change places, for squares of 2 distance, distance = 1, 2, 4, ...
            distance = 1
            while distance < lanes:
                for i in range(lanes):
                    if not i & distance:
                        upper, lower = block[i], block[i + distance]
                        from_upper = [j if not j & distance else lanes + j - distance for j in range(lanes)]
                        from_lower = [j + distance if not j & distance else lanes + j for j in range(lanes)]
                        for row, places in ((i, from_upper), (i + distance, from_lower)):
                            mask = ir.Constant(ir.VectorType(I32, lanes), places)
                            block[row] = builder.shuffle_vector(upper, lower, mask)
                distance *= 2
            for j in range(lanes):
                row = builder.gep(target, [builder.mul(I64(j), target_row)])
                builder.store(block[j], builder.bitcast(row, vector.as_pointer()), align=size)
            return context.get_dummy_value()

        return types.void(p, n, n, p, p, n), codegen

    return transpose_block


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
