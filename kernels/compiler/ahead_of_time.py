"""The kernels compiled ahead of time, by the package's build: object files and a header for them.

    python -m kernels.compiler.ahead_of_time DIRECTORY [--triple TRIPLE] [--level LEVEL ...] [--list]

An object holds all kernels for one CPU level and number type, and no trace of Numba or Python. It exports one symbol, a
table of addresses; `kernels.h` names the rows and all tables. In a process for each object, Numba gives unoptimized IR
that knows no CPU, and LLVM optimizes it for the level: nothing of this machine's CPU or of the user's Numba settings
gets in, and where LLVM fails, it ends that process only.
"""

import argparse
import gc
import os
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import llvmlite.binding as llvm

from ..base.cpus import group_folders, usable_cpus
from ..vocabulary.levels import LEVELS, Level
from .compilation import callback, levels, unfinished
from .interface import KERNELS, fingerprint
from .object_symbols import undefined_symbols

ENVIRONMENT = {
    "NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_DISABLE_INTEL_SVML": "1",
    "PYTHONHASHSEED": "0",
}  # fmt: skip

ALLOWED = {"memset", "memcpy", "memmove", "_fltused", "bzero", "__bzero"}
"""Symbols that an object may leave undefined: C's, Microsoft's mark of floating point, Apple's names for memset to 0.
Others are asserts, exceptions, libm, Python: a mistake in a kernel."""

MEMORY = 800 << 20
"""Bytes that a process which compiles an object takes."""

ROWS = list(KERNELS)
DTYPES = ("float32", "float64")


def build(level_name: str, dtype: str, triple: str) -> bytes:
    """An object file; fails if a kernel needs what C's smallest library does not have."""
    level = LEVELS[level_name]
    exported = table(level, dtype)
    kernels = {symbol(name, dtype, level): ir(name, dtype, level) for name in ROWS}
    data = compile(kernels, exported, level, triple)
    if missing(data):
        alone = {kernel: missing(compile({kernel: text}, exported, level, triple)) for kernel, text in kernels.items()}
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
    return f"{table(level, dtype)}_{name}"


def table(level: Level, dtype: str) -> str:
    """The symbol of an object's table of addresses."""
    return f"fastmlp_{level.name.replace('-', '_')}_{dtype}"


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
    module = llvm.parse_assembly(with_attributes(str(module), level))
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


def header(built: list[Level]) -> str:
    """kernels.h: the rows of the tables, and the levels with their tables, from the lowest to the highest."""
    rows = "".join(f'    "{name}",\n' for name in ROWS)
    tables = {level.name: [table(level, dtype) for dtype in DTYPES] for level in built}
    declarations = "".join(f"extern const void *const {name}[];\n" for names in tables.values() for name in names)
    levels = "".join(f'    {{"{level}", {", ".join(names)}}},\n' for level, names in tables.items())
    members = "".join(f" const void *const *{dtype};" for dtype in DTYPES)
    return (
        f'#define FASTMLP_FINGERPRINT "{fingerprint()}"\n'
        f"#define FASTMLP_ROWS {len(ROWS)}\n#define FASTMLP_LEVELS {len(built)}\n"
        f"static const char *const fastmlp_rows[] = {{\n{rows}}};\n{declarations}"
        f"static const struct {{ const char *name;{members} }} fastmlp_levels[] = {{\n{levels}}};\n"
    )


def processes(objects: int) -> int:
    """How many may compile so many objects at the same time: as many as there are CPUs, and memory, for this one."""
    named = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "")
    most = int(named) if named.isdecimal() and int(named) else usable_cpus()
    return max(1, min(most, objects, free_memory() // MEMORY))


def free_memory(root: str = "/sys/fs/cgroup", process: str = "/proc") -> int:
    """Bytes that are free on Linux, for this process's control groups too; elsewhere, as many as anybody wants."""
    free = [sys.maxsize]
    with suppress(OSError, KeyError):
        free.append(1024 * numbers_of(f"{process}/meminfo")["MemAvailable:"])
    for folder in group_folders(root, f"{process}/self/cgroup"):
        for limit in ("memory.max", "memory.high"):
            with suppress(OSError, ValueError, KeyError):  # the topmost has no such file; "max" is no number
                held = int(Path(folder, "memory.current").read_text())
                cached = numbers_of(f"{folder}/memory.stat")["inactive_file"]  # which the kernel gives back
                free.append(int(Path(folder, limit).read_text()) - held + cached)
    return min(free)


def numbers_of(file: str) -> dict[str, int]:
    """Those of a file with a name and a number on each line."""
    return {name: int(number) for name, number, *_ in map(str.split, Path(file).read_text().splitlines())}


def initialize() -> None:
    """Prepare a process that builds."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    gc.freeze()
    gc.set_threshold(100_000)  # most of what Numba makes stays: to look for garbage took a twentieth of the time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--triple", default=llvm.get_process_triple(), help="the machine and system to build for")
    parser.add_argument("--level", action="append", help="build for this CPU level only; may be given again")
    parser.add_argument("--list", action="store_true", help="print the files that would be written")
    arguments = parser.parse_args()
    built = [level for level in levels(arguments.triple) if level.name in (arguments.level or LEVELS)]
    if not built:
        sys.exit(f"no CPU level for {arguments.triple} {arguments.level or ''}; there are {', '.join(LEVELS)}")
    objects = [(level.name, dtype) for level in built for dtype in DTYPES]
    files = [arguments.directory / f"kernels_{level}_{dtype}.o" for level, dtype in objects]
    if arguments.list:
        print(";".join(file.as_posix() for file in files))
        return
    arguments.directory.mkdir(parents=True, exist_ok=True)
    arguments.directory.joinpath("kernels.h").write_text(header(built))
    for name in [name for name in os.environ if name.startswith("NUMBA_")]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)  # of the processes that are started now
    with ProcessPoolExecutor(processes(len(objects)), get_context("spawn"), initialize, max_tasks_per_child=1) as pool:
        built_objects = pool.map(build, *zip(*objects, strict=True), [arguments.triple] * len(objects))
        for file, data in zip(files, built_objects, strict=True):
            file.write_bytes(data)


if __name__ == "__main__":
    main()
