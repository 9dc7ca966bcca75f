"""What kernels ask of the machine beside arithmetic, as LLVM instructions.

Atomic sums, pauses, subnormal numbers, prefetching.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vector_type import I8, I32, I64, VOID

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

# --- the machine


@intrinsic
def prefetch(typingctx, address):
    def codegen(context, builder, signature, arguments):
        to_read, second_level, data = I32(0), I32(2), I32(1)
        arguments = [builder.inttoptr(arguments[0], I8.as_pointer()), to_read, second_level, data]
        function = ir.FunctionType(VOID, [a.type for a in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0"), arguments)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def stay_apart(typingctx):
    def codegen(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


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
