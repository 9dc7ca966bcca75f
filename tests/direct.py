"""Kernels called one by one, by the address that a backend gives, as the table of the interface says."""

import ctypes

import numpy as np

from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.vocabulary import simd

C_TYPES = {"integer": ctypes.c_int64, "double": ctypes.c_double, "nothing": None}  # all else: pointers


def call(backend, name, dtype, *arguments):
    """Call a kernel of a backend that has kernels; arrays stand for pointers. The result is the kernel's."""
    kernel = KERNELS[name]
    address = backend.library.address(name, dtype)
    if backend.name == "interpreted":  # takes pointers to numbers of the kernel's type, and addresses of all else
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        kinds = zip(kernel.arguments, arguments, strict=True)
        values = [simd.Pointer(a) if kind in ("reals", "doubles") else a for kind, a in kinds]
        with simd.visible(arrays), np.errstate(all="ignore"):
            return simd._functions[address](*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in values))
    values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
    kinds = [C_TYPES.get(kind, ctypes.c_void_p) for kind in kernel.arguments]
    return ctypes.CFUNCTYPE(C_TYPES[kernel.result], *kinds)(address)(*values)


def aligned(count, dtype):
    """Zeros that start at a multiple of 64 bytes, where kernels may load vectors."""
    itemsize = np.dtype(dtype).itemsize
    memory = np.zeros(count * itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count * itemsize].view(dtype)


def block(rows, stride):
    """The rows in aligned memory, `stride` numbers apart; the gaps hold NaN, which no result may see."""
    memory = aligned(len(rows) * stride, rows.dtype)
    memory[...] = np.nan
    memory.reshape(len(rows), stride)[:, : rows.shape[1]] = rows
    return memory
