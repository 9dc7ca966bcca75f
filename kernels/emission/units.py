"""Units: kernels that share an object file, so that a change of one does not compile all others again.

Kernels of different units have few functions in common: what both need is in both objects. The entries call each other
and nearly all else, and stay together: with `run` on its own, there would be a quarter more code.
"""

import sys
from functools import cache

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

from ..compiler import interface
from ..compiler.interface import KERNELS, MODULES
from ..functions.kernel import Kernel
from ..layers import plan
from ..vocabulary.levels import LEVELS
from . import objects
from .code_digest import code_of, digest, text_of

BEGINNINGS = {
    "activation_softmax": "losses",  # whose code it shares: alone, it would not be the same
    "gather_": "gathers", "activation_": "activations", "derivative_": "activations", "loss_": "losses",
    "optimizer_": "optimizers", "prepare_": "optimizers",
}  # fmt: skip
"""Of names of kernels, and their units: the first that fits. All others are entries."""

WITHOUT_EFFECT = ("compiler.capture", "compiler.notes", "compiler.tracing", "base.numba_required")
"""Modules of the compiler's side that are for functions of users alone, of which a build has none."""


@cache
def units() -> dict[str, list[Kernel]]:
    found: dict[str, list[Kernel]] = {}
    for name, kernel in KERNELS.items():
        unit = next((unit for start, unit in BEGINNINGS.items() if name.startswith(start)), "entries")
        found.setdefault(unit, []).append(kernel)
    return found


def object_name(unit: str, level_name: str, dtype: str) -> str:
    return f"kernels_{level_name}_{dtype}_{unit}.o"


def table(unit: str, level_name: str, dtype: str) -> str:
    """The symbol of the table of addresses that an object exports."""
    return f"fastmlp_{level_name.replace('-', '_')}_{dtype}_{unit}"


def key(unit: str, level_name: str, dtype: str, triple: str) -> str:
    """The name, in a cache, of a unit's object: it stands for all that the object depends on."""
    code = code_of(units()[unit], dtype, LEVELS[level_name])
    return f"{object_name(unit, level_name, dtype)}.{digest(triple, dtype, compiler(), code)}"


@cache
def compiler() -> str:
    """A digest of the compiler's side: all that makes objects of kernels, and its versions."""
    package = __name__.partition(".emission")[0]
    # what matters of them is in the code of kernels; of the plan, its type
    kernels = [module.__name__ for module in [interface, *MODULES] if module is not plan]
    others = [f"{package}.{name}" for name in WITHOUT_EFFECT]
    versions = numba.__version__, llvmlite.__version__, llvm.llvm_version_info, np.__version__, sys.version_info[:3]
    return digest(versions, sys.implementation.name, text_of(objects, [package, *kernels, *others]))
