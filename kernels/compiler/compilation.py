"""How Numba compiles a kernel. Both compilers, `jit.py` and `ahead_of_time.py`, take everything from here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from numba import njit, types
from numba.core.ccallback import CFunc
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock

from ..base.numba_required import require_numba
from ..functions.kernel import SOURCE_DTYPES, Kernel
from ..layers.plan import PLAN
from ..vocabulary.intrinsics import vocabulary
from ..vocabulary.levels import LEVELS, Level, tile_shape
from ..vocabulary.structure_type import StructureType
from ..vocabulary.vector_type import Vector
from .capture import copied
from .notes import guarded
from .specialize import bind, clone, specialize
from .tracing import in_vectors

# contract: a * b + c may be fused. Nothing else: reassociation destroys argument reductions, and NaN must survive.
POLICY: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

WITHIN: dict[str, Any] = {**POLICY, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For what kernels call: wrappers for other callers would take a tenth of the time."""

PATCHES: list[tuple[Any, str, Any]] = [  # what Numba does to a function after its front end, and what to do instead
    (CPUCodeLibrary, "_optimize_functions", lambda self, module: None),
    (CPUCodeLibrary, "_optimize_final_module", lambda self: None),
    (JITCodeLibrary, "_finalize_specific", lambda self: None),
    (JITCPUCodegen, "_add_module", lambda self, module: None),
    (JITCPUCodegen, "set_env", lambda self, name, environment: None),
]


@contextmanager
def unfinished() -> Iterator[None]:
    """What is compiled in this context is as Numba's front end gives it: neither optimized nor made code of.

    A kernel brings along all that it calls, and is optimized with it. Numba would do so with each of these functions,
    and with what they call, over and over. Nobody else compiles meanwhile.
    """
    known = all(name in vars(owner) for owner, name, _ in PATCHES)
    patches = PATCHES if known else []  # another Numba may have other names: then it takes longer
    with global_compiler_lock:
        originals = [vars(owner)[name] for owner, name, _ in patches]
        try:
            for owner, name, patch in patches:
                setattr(owner, name, patch)
            yield
        finally:
            for (owner, name, _), original in zip(patches, originals, strict=True):
                setattr(owner, name, original)


class Callback(CFunc):  # type: ignore[misc]
    """A kernel as a C function."""

    alone = True  # none but kernels call what it calls

    def _compile_uncached(self) -> Any:
        with unfinished() if self.alone else nullcontext():
            return super()._compile_uncached()


def callback(kernel: Kernel, dtype: str, level: Level, version: str = "") -> Callback:
    """A kernel as a C function, not compiled yet. Its symbol says what it is, and `version` what else it depends on."""
    require_numba("an activation or loss of your own" if kernel.foreign else "backend 'jit'")  # settings may change
    names = namespace(dtype, level)
    formulas = in_vectors(kernel, dtype) if kernel.foreign else None
    if formulas is None:
        function = bind(kernel, names, lambda function: foreign(function, len(kernel.points[0])))
    else:
        function = bind(formulas, names, lambda formula: njit(**WITHIN)(clone(formula, names)))
    function.__qualname__ = f"{kernel.name}_{suffix(dtype, level)}{version}"
    compiled = Callback(function, signature(kernel, dtype, level), locals={}, options=POLICY)
    compiled.alone = not kernel.foreign  # what functions of users call may be called by others too
    return compiled


def foreign(function: Any, count: int) -> Any:
    """A function of a user of so many numbers, with the functions that it calls, under a guard: see `notes.py`.

    Raises
    ------
    TypeError
        If Numba cannot compile it, or it does not return a number.
    """
    compiled = copied(function, wrap=njit(error_model="numpy", boundscheck=True))
    try:
        compiled.compile((types.float64,) * count)
    except Exception as error:  # whatever goes wrong in Numba
        raise TypeError(refusal(function, error)) from error
    (found,) = compiled.nopython_signatures
    if not isinstance(found.return_type, types.Integer | types.Float | types.Boolean):
        raise TypeError(f"{function.__name__} must return a number, got Numba's type {found.return_type}")
    return njit(**WITHIN)(guarded(compiled, count))


def refusal(function: FunctionType, error: Exception) -> str:
    """What Numba says about a function, as one sentence with the line that it is about."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # colors
    lines = [line.strip() for line in text.splitlines() if line.strip() and "mode pipeline (step:" not in line]
    said = lines[0] if lines else type(error).__name__
    call = next((line for line in lines if line.startswith(">>> ")), None)
    if call and said.startswith("No implementation of function"):
        said = f"Numba has no implementation of {call[4:]}"
    causes = re.findall(r"implementation raised a specific error:\s*(\w+: [^\n]*)\n?\s*([^\n]*)", text)
    if causes:
        first, second = causes[-1]
        said += f": {second if 'mode pipeline (step:' in first else first.partition(': ')[2]}"
    code = function.__code__
    place = re.findall(rf'{re.escape(Path(code.co_filename).name)}(?:", line |:| \()(\d+)', text)
    where = f"{code.co_filename}, line {place[-1] if place else code.co_firstlineno}"
    return f"activations and losses must be functions that Numba compiles, got {function.__name__} ({where}): {said}"


@cache
def namespace(dtype: str, level: Level) -> dict[str, Any]:
    """All kernels as functions that Numba compiles when they are used."""

    def compile(function: FunctionType) -> Any:
        # Kernels out of the cache bring their helpers along, and a process keeps the first of equal symbols: names must
        # tell number types and levels apart.
        function.__qualname__ += f"_{suffix(dtype, level)}"
        return for_any_value(njit(**WITHIN)(function))

    return specialize(dtype, vocabulary(dtype, level), compile)


def for_any_value(function: Any) -> Any:
    """Numba would compile it for every constant that it is called with, and for each what it calls."""
    template = function.get_call_template

    def of_types(arguments: Any, keywords: Any) -> Any:
        plain = {name: types.unliteral(value) for name, value in keywords.items()}
        return template(tuple(map(types.unliteral, arguments)), plain)

    function.get_call_template = of_types
    return function


def suffix(dtype: str, level: Level) -> str:
    """What tells a specialisation's names from those of others."""
    return f"{dtype}_{level.name.replace('-', '_')}"


def signature(kernel: Kernel, dtype: str, level: Level) -> tuple[tuple[Any, ...], Any]:
    """The Numba types of a kernel's arguments and result."""
    number = getattr(types, dtype)
    vector = Vector(number, tile_shape(dtype, level)["LANES"])
    kinds = {
        "plan": StructureType(PLAN, number), "integer": types.int64, "double": types.float64,
        "doubles": types.CPointer(types.float64), "reals": types.CPointer(number), "nothing": types.void,
        "vector": vector, "vectors": types.UniTuple(vector, 2),
        **{source: types.CPointer(getattr(types, source)) for source in SOURCE_DTYPES},
    }  # fmt: skip
    return tuple(kinds[kind] for kind in kernel.arguments), kinds[kernel.result]


def levels(triple: str) -> list[Level]:
    """The CPU levels of the machine that an LLVM triple names, from the lowest to the highest."""
    machine = triple.split("-")[0]
    machine = {"arm64": "aarch64"}.get(machine, machine)  # Apple's name
    return [level for level in LEVELS.values() if level.machine == machine]
