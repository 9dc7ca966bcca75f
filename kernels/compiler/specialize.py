"""Kernels specialised to a number type and a CPU level.

The functions of the kernel modules are cloned into one namespace, in which every name of the vocabulary has the meaning
that the caller gives, every `Constant` and `Polynomial` is of the right type, and every function has gone through
`compile`. The modules themselves stay plain Python, which is why they can be read, imported and tabled without a
compiler.
"""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from ..functions.kernel import Kernel
from ..vocabulary import simd
from ..vocabulary.simd import Constant, Polynomial
from ..vocabulary.structures import Structure
from .interface import MODULES

Vocabulary = dict[str, Any]
Compile = Callable[[Any], Any]


def specialize(dtype: str, vocabulary: Vocabulary, compile: Compile = lambda f: f) -> dict[str, Any]:
    """The namespace of all kernels for this dtype. The vocabulary's `polynomial` makes a function of coefficients."""
    number = np.dtype(dtype).type
    namespace = dict(vocabulary)
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                namespace[name] = compile(clone(value, namespace))
            elif isinstance(value, Constant):
                namespace[name] = number(getattr(value, dtype))
            elif isinstance(value, Polynomial):
                namespace[name] = vocabulary["polynomial"](tuple(number(c) for c in getattr(value, dtype)))
            elif isinstance(value, Structure) and "structure" in vocabulary:  # formulas alone need none
                namespace[name] = vocabulary["structure"](value)
            elif isinstance(value, int):
                namespace.setdefault(name, value)
    return namespace


def bind(kernel: Kernel, namespace: dict[str, Any], adapt: Compile = lambda f: f) -> FunctionType:
    """A kernel's function in a namespace, its free names bound; not yet compiled. `adapt` is for functions of users."""
    bound = {name: namespace[function.__name__] for name, function in kernel.bound.items()}
    foreign = {name: adapt(function) for name, function in kernel.foreign.items()}
    return clone(kernel.function, {**namespace, **bound, **foreign}, kernel.name)


def clone(function: Callable[..., Any], namespace: dict[str, Any], name: str | None = None) -> FunctionType:
    """The same code with other globals."""
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, namespace, name or function.__name__, function.__defaults__)
    copy.__module__ = function.__module__
    copy.__qualname__ = name or function.__qualname__
    return copy


def plain_vocabulary(dtype: str) -> Vocabulary:
    """Every name of `simd.py` as it is there, in plain Python, for this number type."""
    vocabulary: Vocabulary = {}
    for name, value in vars(simd).items():
        vocabulary[name] = clone(value, vocabulary) if isinstance(value, FunctionType) else value
    number = np.dtype(dtype).type
    vocabulary |= {"real": number, "reals": partial(vocabulary["pointer"], number)}
    return vocabulary
