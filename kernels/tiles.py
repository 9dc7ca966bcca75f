"""Tiles and transposed blocks as LLVM instructions: the inner loops of all matrix products, unrolled over registers."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector_type import FLOATS, I32, I64, spread

BUSY_SUMS = 8  # sums that keep two multipliers of latency 4 busy


def tile(number, lanes, most_rows, group):
    """Loops over depth for each number of rows, so that every sum has a register of its own."""
    vector = ir.VectorType(FLOATS[number], lanes)
    bytes_of_number = number.bitwidth // 8
    size = lanes * bytes_of_number
    n, p = types.int64, types.CPointer(number)

    def emit(builder, rows, vectors, depth, taken, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale):
        # fmuladd: fused where the CPU can, multiplied and added where it cannot (llvm.fma would call libm there)
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{number.bitwidth}"
        )
        places = [(i, j) for i in range(rows) for j in range(vectors)]
        # A short tile has too few sums to hide the latency of an addition: each then has parts that take turns.
        # Not in tiles of half the rows or more, nor where a list says what is taken: those may be cut otherwise when
        # threads share them, to the same bits.
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
            (part, i, j): cgutils.alloca_once_value(builder, ir.Constant(vector, None))
            for part in range(parts)
            for i, j in places
        }

        def multiply_in_parts():
            if parts == 1:
                with cgutils.for_range(builder, depth) as loop:
                    multiply(loop.index, 0)
                return
            whole = builder.udiv(depth, I64(parts))
            with cgutils.for_range(builder, whole) as loop:
                for part in range(parts):
                    multiply(builder.add(builder.mul(loop.index, I64(parts)), I64(part)), part)
            with builder.if_then(builder.icmp_unsigned(">", whole, I64(0))):
                for i, j in places:
                    for part in range(1, parts):
                        total = builder.fadd(builder.load(sums[0, i, j]), builder.load(sums[part, i, j]))
                        builder.store(total, sums[0, i, j])
            with cgutils.for_range(builder, depth, start=builder.mul(whole, I64(parts))) as loop:
                multiply(loop.index, 0)

        def multiply_those_taken():
            places = builder.inttoptr(taken, I64.as_pointer())
            with cgutils.for_range(builder, builder.load(places)) as loop:
                multiply(builder.load(builder.gep(places, [builder.add(loop.index, I64(1))])), 0)

        if rows > group:
            multiply_in_parts()
        else:
            with builder.if_else(builder.icmp_unsigned("==", taken, I64(0))) as (all_of_depth, in_list):
                with all_of_depth:
                    multiply_in_parts()
                with in_list:
                    multiply_those_taken()
        factor = spread(builder, scale, lanes)
        for i, j in places:
            begin = load(place(start, start_row, i, j), size)
            total = builder.call(multiply_add, [factor, builder.load(sums[0, i, j]), begin])
            builder.store(total, place(c, c_row, i, j)).align = size

    @intrinsic(prefer_literal=True)
    def multiply_tile(
        typingctx, vectors, rows, depth, taken, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale
    ):
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

        # Numba keeps what it is to emit by the types that it is told here: literals among them, since they decide
        rows = rows if count is not None else n
        return types.void(vectors, rows, n, n, p, n, n, p, n, p, n, p, n, number), codegen

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
