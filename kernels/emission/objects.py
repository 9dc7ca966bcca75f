"""Object files of kernels: no trace of Numba or Python is in them.

Numba gives unoptimized IR that knows no CPU, and LLVM optimizes it for a level: nothing of this machine's CPU or of the
user's Numba settings gets in. An object exports one symbol, a table of addresses: were kernels exported, LLVM would
inline less.
"""

import gc
import re
from collections.abc import Iterable

import llvmlite.binding as llvm

from ..compiler.compilation import callback, unfinished
from ..compiler.interface import KERNELS
from ..functions.kernel import Kernel
from ..vocabulary.levels import LEVELS, Level
from .object_symbols import undefined_symbols

ENVIRONMENT = {
    "NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_DISABLE_INTEL_SVML": "1",
    "PYTHONHASHSEED": "0",
}  # fmt: skip
"""Of a process that emits objects, without any other variable of Numba's."""

ALLOWED = {"memset", "memcpy", "memmove", "_fltused", "bzero", "__bzero"}
"""Symbols that an object may leave undefined: C's, Microsoft's mark of floating point, Apple's names for memset to 0.
Others are asserts, exceptions, libm, Python: a mistake in a kernel."""


def initialize() -> None:
    """Prepare a process that emits."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    gc.freeze()
    gc.set_threshold(100_000)  # most of what Numba makes stays: to look for garbage took a twentieth of the time


def emit(kernels: Iterable[Kernel], exported: str, level_name: str, dtype: str, triple: str) -> bytes:
    """An object file with a table of this name; fails if a kernel needs what C's smallest library does not have."""
    level = LEVELS[level_name]
    texts = {symbol(kernel.name, dtype, level): ir(kernel.name, dtype, level) for kernel in kernels}
    data = compile(texts, exported, level, triple)
    if missing(data):
        alone = {kernel: missing(compile({kernel: text}, exported, level, triple)) for kernel, text in texts.items()}
        lines = [f"{kernel} needs {', '.join(sorted(names))}" for kernel, names in alone.items() if names]
        raise RuntimeError("\n".join([f"kernels must need nothing but {', '.join(sorted(ALLOWED))}", *lines]))
    return data


def missing(data: bytes) -> set[str]:
    """What an object file needs, and should not."""
    return undefined_symbols(data) - ALLOWED


def ir(name: str, dtype: str, level: Level) -> str:
    """A kernel and all that it calls as LLVM's text, under a symbol of its own."""
    with unfinished():  # what LLVM makes for this machine would fail at another's instructions
        result = callback(KERNELS[name], dtype, level)._compile_uncached()
        result.library.finalize()
    text: str = result.library.get_llvm_str()
    return text.replace(result.fndesc.llvm_cfunc_wrapper_name, symbol(name, dtype, level))


def symbol(name: str, dtype: str, level: Level) -> str:
    """A kernel's own."""
    return f"fastmlp_{level.name.replace('-', '_')}_{dtype}_{name}"


def compile(kernels: dict[str, str], exported: str, level: Level, triple: str) -> bytes:
    """An object file of these kernels that exports a table of them."""
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(level.cpu, level.features, opt=3, reloc="pic", codemodel="small")
    module = llvm.parse_assembly(addresses(exported, kernels))
    for text in kernels.values():
        module.link_in(llvm.parse_assembly(text))
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != exported:
            value.linkage = "internal"
    module = llvm.parse_assembly(renumbered(with_attributes(str(module), level)))
    module.triple, module.data_layout = triple, str(machine.target_data)
    optimize(module, machine)
    data: bytes = machine.emit_object(module)
    return data


def addresses(name: str, symbols: Iterable[str]) -> str:
    """A module that is a table of addresses."""
    symbols = list(symbols)
    items = ", ".join(f"ptr @{symbol}" for symbol in symbols)
    declarations = "\n".join(f"declare void @{symbol}()" for symbol in symbols)
    return f"@{name} = hidden constant [{len(symbols)} x ptr] [{items}]\n{declarations}\n"


def renumbered(text: str) -> str:
    """The same with Numba's numbers of functions in the order of their places.

    They count what the process has compiled so far, of other units too, and are part of symbols: objects would differ.
    """
    numbers: dict[str, str] = {}

    def new(match: re.Match[str]) -> str:
        number = numbers.setdefault(match[1], f"v{len(numbers)}")
        return f"B{len(number)}{number}B"

    return re.sub(r"B\d+(v\d+)B", new, text)


def with_attributes(text: str, level: Level) -> str:
    """The level alone says what the CPU is; profilers and debuggers can walk the stack; loops use whole registers.

    LLVM on its own uses half of a register of 512 bits, for the sake of old CPUs that clock lower: Adam, exp and tanh
    then take 1.7 times as long.
    """
    text = re.sub(r'"target-(cpu|features)"="[^"]*"', "", text)
    # Numba forbids inlining into its wrappers
    text = re.sub(r"(call i32 @.*\)) #\d+$", r"\1", text, flags=re.MULTILINE)
    attributes = f'uwtable "frame-pointer"="all" "prefer-vector-width"="{level.vector_bytes * 8}"'
    return re.sub(r"^(define .*) \{$", rf"\1 {attributes} {{", text, flags=re.MULTILINE)


def optimize(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    tuning.loop_unrolling = False  # kernels say by tiles and vectors how much is done at a time
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
