"""Tiles and transposed blocks as LLVM instructions: the inner loops of all matrix products, unrolled over registers."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd import WORD_BITS
from .vector_type import FLOATS, I32, I64, spread

BUSY_SUMS = 8  # sums that keep two multipliers of latency 4 busy


class Sums:
    """The sums of a tile, each in a register of its own; in several that take turns, if there are `parts`."""

    def __init__(self, builder, number, lanes, rows, vectors, parts=1):
        self.builder, self.lanes, self.rows, self.vectors, self.parts = builder, lanes, rows, vectors, parts
        self.vector = ir.VectorType(FLOATS[number], lanes)
        self.bytes_of_number = number.bitwidth // 8
        # fmuladd: fused where the CPU can, multiplied and added where it cannot (llvm.fma would call libm there)
        self.multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fmuladd.v{lanes}f{number.bitwidth}"
        )
        self.registers = {
            (part, i, j): cgutils.alloca_once_value(builder, ir.Constant(self.vector, None))
            for part in range(parts)
            for i in range(rows)
            for j in range(vectors)
        }

    def vector_at(self, base, index):
        """The address of the vector that begins there."""
        return self.builder.bitcast(self.builder.gep(base, [index]), self.vector.as_pointer())

    def load(self, base, index):
        return self.builder.load(self.vector_at(base, index), align=self.lanes * self.bytes_of_number)

    def begin(self, place):
        """Sums go on from what is there."""
        for (_, i, j), register in self.registers.items():
            self.builder.store(self.load(*place(i, j)), register)

    def add_products(self, k, part, a, a_column, b, b_row):
        """sums += a[:, k] b[k]"""
        builder = self.builder
        of_a, of_b = builder.mul(k, a_column), builder.mul(k, b_row)
        row_of_b = [
            self.load(builder.gep(base, [of_b]), index) for base, index in (b(0, j) for j in range(self.vectors))
        ]
        for i in range(self.rows):
            base, index = a(i, 0)
            number_of_a = builder.load(builder.gep(builder.gep(base, [of_a]), [index]), align=self.bytes_of_number)
            broadcast = spread(builder, number_of_a, self.lanes)
            for j in range(self.vectors):
                register = self.registers[part, i, j]
                total = builder.call(self.multiply_add, [broadcast, row_of_b[j], builder.load(register)])
                builder.store(total, register)

    def add_all(self, depth, *operands):
        """The products of all k below `depth`."""
        builder, parts = self.builder, self.parts
        if parts == 1:
            with cgutils.for_range(builder, depth) as loop:
                self.add_products(loop.index, 0, *operands)
            return
        whole = builder.udiv(depth, I64(parts))
        with cgutils.for_range(builder, whole) as loop:
            for part in range(parts):
                k = builder.add(builder.mul(loop.index, I64(parts)), I64(part))
                self.add_products(k, part, *operands)
        with builder.if_then(builder.icmp_unsigned(">", whole, I64(0))):
            for (part, i, j), register in self.registers.items():
                if part > 0:
                    total = builder.fadd(builder.load(self.registers[0, i, j]), builder.load(register))
                    builder.store(total, self.registers[0, i, j])
        with cgutils.for_range(builder, depth, start=builder.mul(whole, I64(parts))) as loop:
            self.add_products(loop.index, 0, *operands)

    def add_those_of_mask(self, words, mask, a, a_column, b, b_row):
        """The products of those k whose bit is 1."""
        builder = self.builder
        bits = builder.inttoptr(mask, I64.as_pointer())
        trailing_zeros = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(I64, [I64, ir.IntType(1)]), "llvm.cttz.i64"
        )
        with cgutils.for_range(builder, words) as loop:
            rest = cgutils.alloca_once_value(builder, builder.load(builder.gep(bits, [loop.index])))
            condition, body, done = (builder.append_basic_block(name) for name in ("bits", "bit", "bits.end"))
            builder.branch(condition)
            builder.position_at_end(condition)
            word = builder.load(rest)
            builder.cbranch(builder.icmp_unsigned("!=", word, I64(0)), body, done)
            builder.position_at_end(body)
            bit = builder.call(trailing_zeros, [word, ir.IntType(1)(1)])
            builder.store(builder.and_(word, builder.sub(word, I64(1))), rest)  # without its lowest bit
            k = builder.add(builder.mul(loop.index, I64(WORD_BITS)), bit)
            self.add_products(k, 0, a, a_column, b, b_row)
            builder.branch(condition)
            builder.position_at_end(done)

    def finish(self, target, start, scale):
        """target = start + scale * sums, both of them as functions that give a place for a row and a vector of it."""
        factor = spread(self.builder, scale, self.lanes)
        for i in range(self.rows):
            for j in range(self.vectors):
                sums = self.builder.load(self.registers[0, i, j])
                total = self.builder.call(self.multiply_add, [factor, sums, self.load(*start(i, j))])
                place = self.vector_at(*target(i, j))
                self.builder.store(total, place, align=self.lanes * self.bytes_of_number)


def places(builder, base, row, lanes, panel_vectors=None, panel=None):
    """Where vector j of row i is; the next panel, behind so many vectors, begins `panel` numbers further."""

    def place(i, j):
        index = builder.mul(I64(i), row)
        if panel_vectors is not None:
            index, j = builder.add(index, builder.mul(I64(j // panel_vectors), panel)), j % panel_vectors
        return base, builder.add(index, I64(j * lanes))

    return place


def tile(number, lanes, most_rows):
    """A loop over depth for each number of rows."""
    n, p = types.int64, types.CPointer(number)

    def emit(builder, rows, vectors, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale):
        # A short tile has too few sums to hide the latency of an addition: each then has parts that take turns.
        # Not in tiles of half the rows or more: those may be cut otherwise when threads share them, to the same bits.
        parts = max(1, min(4, BUSY_SUMS // (rows * vectors))) if 2 * rows < most_rows else 1
        sums = Sums(builder, number, lanes, rows, vectors, parts)
        sums.add_all(depth, places(builder, a, a_row, 1), a_column, places(builder, b, I64(0), lanes), b_row)
        sums.finish(places(builder, c, c_row, lanes), places(builder, start, start_row, lanes), scale)

    @intrinsic(prefer_literal=True)
    def multiply_tile(typingctx, vectors, rows, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale):
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
        return types.void(vectors, rows, n, p, n, n, p, n, p, n, p, n, number), codegen

    return multiply_tile


def masked_tile(number, lanes, panel_vectors, most_rows):
    """One loop, over the bits of a mask, for each number of rows and for one vector, a panel and two panels."""
    n, p = types.int64, types.CPointer(number)

    def emit(
        builder, vectors, rows, words, mask, begun, a, a_row, a_column, b, b_row, b_panel, c, c_row, c_panel, start,
        start_row, start_panel, scale,
    ):  # fmt: skip
        sums, panels = Sums(builder, number, lanes, rows, vectors), (lanes, panel_vectors)
        target = places(builder, c, c_row, *panels, c_panel)
        with builder.if_then(builder.icmp_unsigned("!=", begun, I64(0))):
            sums.begin(target)
        of_a, of_b = places(builder, a, a_row, 1), places(builder, b, I64(0), *panels, b_panel)
        sums.add_those_of_mask(words, mask, of_a, a_column, of_b, b_row)
        sums.finish(target, places(builder, start, start_row, *panels, start_panel), scale)

    @intrinsic
    def multiply_masked_tile(
        typingctx, vectors, rows, words, mask, begun, a, a_row, a_column, b, b_row, b_panel, c, c_row, c_panel, start,
        start_row, start_panel, scale,
    ):  # fmt: skip
        def codegen(context, builder, signature, arguments):
            vectors, rows, *others = arguments
            done = builder.append_basic_block("done")
            switch = builder.switch(builder.add(builder.mul(vectors, I64(1 + most_rows)), rows), done)
            for v in (1, panel_vectors, 2 * panel_vectors):
                for r in range(1, most_rows + 1):
                    block = builder.append_basic_block(f"vectors{v}.rows{r}")
                    switch.add_case(I64(v * (1 + most_rows) + r), block)
                    builder.position_at_end(block)
                    emit(builder, v, r, *others)
                    builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(n, n, n, n, n, p, n, n, p, n, n, p, n, n, p, n, n, number), codegen

    return multiply_masked_tile


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
