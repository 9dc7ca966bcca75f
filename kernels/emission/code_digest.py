"""What the code of kernels says, as a digest: what was compiled from equal code need not be compiled again.

Of kernels it is all that the compiler can see of them: instructions, constants and names of each function that they
reach, and the values that these names have for a number type and CPU level. Comments, docstrings, lines and files are
no part of it. Of the compiler's side, which is modules that import each other, it is the text, without those.
"""

import ast
import builtins
import dis
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ..base.records import Record, frozen
from ..compiler.specialize import bind, specialize
from ..functions.kernel import Kernel
from ..vocabulary import simd
from ..vocabulary.levels import Level, tile_shape
from ..vocabulary.structures import Structure

HAS_DOCSTRING = 0x4000000  # a flag of code, from Python 3.13 on


@frozen
class Word(Record):
    """A name of the vocabulary: the compiler's side says what it means."""

    name: str
    settings: tuple[Any, ...] = ()


def digest(*parts: Any) -> str:
    """Of anything that is the same for equals when it is printed."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


# --- kernels


def code_of(kernels: Iterable[Kernel], dtype: str, level: Level) -> list[Any]:
    """All that the compiler can see of kernels."""
    walk = Walk()
    names = namespace(dtype, level)
    return [(k.name, k.arguments, k.result, walk.value(bind(k, names), k.name)) for k in kernels]


@cache
def namespace(dtype: str, level: Level) -> dict[str, Any]:
    """All kernels as plain functions, in which words of the vocabulary stand for themselves."""
    vocabulary: dict[str, Any] = {name: Word(name) for name in vars(simd)}
    vocabulary["polynomial"] = lambda coefficients: Word("polynomial", coefficients)
    vocabulary["structure"] = lambda structure: Word("structure", described(structure))
    return specialize(dtype, vocabulary | tile_shape(dtype, level))


def described(structure: Structure) -> tuple[Any, ...]:
    """All that compilers see of a structure."""
    attributes = structure.attributes.items()
    kinds = ((name, at, described(kind) if isinstance(kind, Structure) else kind) for name, (at, kind) in attributes)
    return structure.name, tuple(kinds)


class Walk:
    """Through functions and the values of their names; each function is written down once."""

    def __init__(self) -> None:
        self.functions: dict[FunctionType, int] = {}

    def value(self, value: Any, name: str) -> Any:
        """What can be printed, and tells a value that this name has from all others."""
        if isinstance(value, FunctionType):
            return self.function(value)
        if isinstance(value, Word):
            return "word", value.name, self.value(value.settings, name)
        if isinstance(value, np.generic):
            return value.dtype.str, value.tobytes().hex()
        if isinstance(value, tuple):
            return tuple(self.value(item, name) for item in value)
        if value is None or type(value) in (bool, int, float, str):
            return type(value).__name__, repr(value)  # which tells 1 from 1.0, and 0.0 from -0.0
        raise TypeError(f"names of kernels must be of functions, numbers or the vocabulary, got {name} = {value!r}")

    def function(self, function: FunctionType) -> Any:
        if function in self.functions:
            return "function", self.functions[function]
        self.functions[function] = len(self.functions)
        code = function.__code__
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        return (
            function.__module__, function.__qualname__, code_text(code),
            self.value(function.__defaults__, function.__name__),
            [(name, self.value(value, name)) for name, value in sorted((function.__kwdefaults__ or {}).items())],
            [(name, self.value(cell.cell_contents, name)) for name, cell in cells],
            [(name, self.named(name, function)) for name in sorted(names_of(code))],
        )  # fmt: skip

    def named(self, name: str, function: FunctionType) -> Any:
        """The value of a global name, as far as it is one: names of attributes are among them."""
        if name in function.__globals__:
            return self.value(function.__globals__[name], name)
        return "builtin" if hasattr(builtins, name) else "unknown"


def names_of(code: CodeType) -> set[str]:
    """Names of globals and attributes, of the code of inner functions too."""
    inner = [names_of(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


@cache
def code_text(code: CodeType) -> Any:
    """What code does. A docstring is a constant that no instruction loads."""
    steps = [
        (step.opname, constant(step.argval) if step.opcode in dis.hasconst else step.arg)
        for step in dis.get_instructions(code)
    ]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~HAS_DOCSTRING
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_name, counts, names, code.co_exceptiontable, steps


def constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return code_text(value)
    if isinstance(value, tuple):
        return tuple(map(constant, value))
    if isinstance(value, frozenset):
        return "set", sorted(map(repr, map(constant, value)))
    return type(value).__name__, repr(value)


# --- the compiler's side


def text_of(module: ModuleType, but: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The text of a module, and of those of its package that it imports, and so on, but for some and what they import.

    Nobody has to keep a list of them: a new module is part of it as soon as it is imported.
    """
    found, left = dict.fromkeys(but, ""), [module.__name__]
    while left:
        name = left.pop()
        if name not in found:
            tree = ast.parse(Path(str(sys.modules[name].__file__)).read_text(encoding="utf-8"))
            found[name] = ast.dump(Undocumented().visit(tree))
            left += imported(tree, name)
    return sorted((name, text) for name, text in found.items() if text)


def imported(tree: ast.AST, module: str) -> Iterator[str]:
    """The modules of its own package that a module imports."""
    package = sys.modules[module].__package__ or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            origin = resolve_name("." * node.level + (node.module or ""), package).rstrip(".")
            named = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
            yield from (name for name in named if name in sys.modules)


class Undocumented(ast.NodeTransformer):
    """Leaves out docstrings, of values too."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node
