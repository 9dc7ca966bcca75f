"""CPU levels: what a kernel is compiled for. Tiles follow the registers: sums, a row of b, and a broadcast must fit."""

import numpy as np

from ..base.records import Record, frozen
from .simd import NEIGHBORS, PANEL_VECTORS, WORD_BITS


@frozen
class Level(Record):
    """One row of the table below."""

    name: str
    machine: str  # the machine family, as in an LLVM triple
    cpu: str  # LLVM's name for the CPU
    features: str  # LLVM's names of features to add
    needs: frozenset[str]  # features, by LLVM's names, that a CPU must have
    vector_bytes: int
    tile_rows: int  # times two vectors of sums: 24 of 32 registers, or 12 of 16


_V3 = frozenset({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

LEVELS = {  # from the lowest to the highest of each machine
    level.name: level
    for level in (
        Level("x86-64", "x86_64", "x86-64", "", frozenset(), 16, 6),
        Level("x86-64-v3", "x86_64", "x86-64-v3", "", _V3, 32, 6),
        Level("x86-64-v4", "x86_64", "x86-64-v4", "", _V4, 64, 12),
        Level("aarch64", "aarch64", "generic", "+neon", frozenset(), 16, 12),
    )
}


def tile_shape(dtype: str, level: Level) -> dict[str, int]:
    """The numbers of the vocabulary: some depend on the CPU level."""
    lanes = level.vector_bytes // np.dtype(dtype).itemsize
    return {
        "LANES": lanes,
        "PANEL_VECTORS": PANEL_VECTORS,
        "PANEL": PANEL_VECTORS * lanes,
        "TILE_ROWS": level.tile_rows,
        "NEIGHBORS": NEIGHBORS,
        "WORD_BITS": WORD_BITS,
    }
