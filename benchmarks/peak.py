"""The core's limit: fused multiply-adds of vectors as wide as the CPU has, independent of each other and of memory.

`python benchmarks/peak.py` prints the GFLOP/s of one core.
"""

import ctypes
import time
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm

CHAINS = 10  # more than latency times units, 4 x 2 on current cores, and few enough for 16 registers
ROUNDS = 2**20


def lanes(dtype: str) -> int:
    features = llvm.get_host_cpu_features()
    size = 64 if features.get("avx512f") else 32 if features.get("avx") else 16
    return size // {"float32": 4, "float64": 8}[dtype]


def code(dtype: str) -> str:
    """A function of two numbers that runs CHAINS x ROUNDS times c = a c + b, and returns a sum."""
    scalar = {"float32": "float", "float64": "double"}[dtype]
    vector = f"<{lanes(dtype)} x {scalar}>"
    chains = range(CHAINS)
    spread = "\n".join(
        f"%{x}0 = insertelement {vector} poison, {scalar} %{x}, i32 0\n"
        f"%{x}v = shufflevector {vector} %{x}0, {vector} poison, <{lanes(dtype)} x i32> zeroinitializer"
        for x in "ab"
    )
    phis = "\n".join(f"%c{k} = phi {vector} [ %bv, %entry ], [ %d{k}, %loop ]" for k in chains)
    name = f"llvm.fmuladd.v{lanes(dtype)}f{32 if scalar == 'float' else 64}"
    steps = "\n".join(f"%d{k} = call {vector} @{name}({vector} %av, {vector} %c{k}, {vector} %bv)" for k in chains)
    totals = "\n".join(f"%s{k + 1} = fadd {vector} %{f's{k}' if k else 'bv'}, %d{k}" for k in chains)
    return f"""
        declare {vector} @{name}({vector}, {vector}, {vector})
        define {scalar} @run({scalar} %a, {scalar} %b) {{
        entry:
            {spread}
            br label %loop
        loop:
            %i = phi i64 [ 0, %entry ], [ %next, %loop ]
            {phis}
            {steps}
            %next = add i64 %i, 1
            %more = icmp ult i64 %next, {ROUNDS}
            br i1 %more, label %loop, label %done
        done:
            {totals}
            %result = extractelement {vector} %s{CHAINS}, i32 0
            ret {scalar} %result
        }}
        """


def compiled(dtype: str) -> tuple[Any, Callable[[float, float], float]]:
    """An engine, to be kept alive, and its function."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten() + ",-prefer-256-bit"
    machine = llvm.Target.from_default_triple().create_target_machine(llvm.get_host_cpu_name(), features, opt=3)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(code(dtype)), machine)
    number = {"float32": ctypes.c_float, "float64": ctypes.c_double}[dtype]
    return engine, ctypes.CFUNCTYPE(number, number, number)(engine.get_function_address("run"))


def peak(dtype: str = "float32", repeats: int = 9) -> float:
    """The most FLOP/s of one core that was seen."""
    engine, run = compiled(dtype)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(0.5, 1.0)
        times.append(time.perf_counter() - started)
    engine.close()
    return 2 * CHAINS * ROUNDS * lanes(dtype) / min(times)


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        print(f"{dtype}: {peak(dtype) / 1e9:.0f} GFLOP/s")
