"""Structures: fields as kernels read and write them, compiled or not, and as Python sees them."""

import numpy as np
import pytest

from fastmlp.kernels.layers.plan import DROPOUT, LAYER, NORMALIZATION, PLAN, REGULARIZATION
from fastmlp.kernels.runtime.plan import Model, Plan
from fastmlp.kernels.vocabulary import simd
from fastmlp.kernels.vocabulary.levels import LEVELS
from fastmlp.kernels.vocabulary.structures import (
    ADDRESS,
    DOUBLE,
    DOUBLES,
    FLAG,
    INTEGER,
    INTEGERS,
    REALS,
    Field,
    Structure,
)

INNER = Structure("Inner", Field("rate", DOUBLE), Field("count", INTEGER))
OUTER = Structure(
    "Outer",
    Field("count", INTEGER),
    Field("going", FLAG),
    Field("function", ADDRESS),
    Field("values", REALS),
    Field("weights", DOUBLES),
    Field("order", INTEGERS),
    Field("inner", INNER),
)


def read_all(p, i):
    """Everything that OUTER's fields say, as numbers."""
    outer = OUTER(p, i)
    flags = [outer.going, outer.has_function, outer.has_values, outer.has_weights, outer.has_order, outer.has_inner]
    bits = 0.0
    for flag in flags:
        bits = 2.0 * bits + (1.0 if flag else 0.0)
    numbers = outer.values[1] + outer.weights[1] + outer.order[1] + outer.inner.rate + outer.inner.count
    return bits, numbers + outer.count, float(outer.values_address - outer.order_address)


def write_some(p, i):
    outer = OUTER(p, i)
    outer.count = outer.count + 5
    outer.going = not outer.going
    outer.inner.rate = 0.5 * outer.inner.rate


def memory(dtype, going=1, function=7):
    """OUTER after two other words, and all arrays that it leads to."""
    values, weights, order = np.array([1, 2], dtype), np.array([3.0, 4.0]), np.array([5, 6])
    inner, words = np.zeros(2, np.int64), np.zeros(2 + len(OUTER), np.int64)
    inner[:] = np.float64(0.25).view(np.int64), 8
    addresses = [array.ctypes.data for array in (values, weights, order, inner)]
    words[2:] = 100, going, function, *addresses
    return words, [words, values, weights, order, inner]


def plain(function, dtype):
    """The function as Python runs it."""
    namespace = {**vars(simd), "reals": lambda address: simd.pointer(dtype, address)}
    for name, value in vars(simd).items():
        if name in ("structure", "at"):
            namespace[name] = type(value)(value.__code__, namespace, name, value.__defaults__)
    namespace |= {"OUTER": namespace["structure"](OUTER)}
    return type(function)(function.__code__, namespace)


def compiled(function, dtype):
    """The function as Numba compiles it."""
    numba = pytest.importorskip("numba")
    from fastmlp.kernels.vocabulary import intrinsics

    vocabulary = intrinsics.vocabulary(dtype, next(iter(LEVELS.values())))
    namespace = {"OUTER": vocabulary["structure"](OUTER), "float": float}
    inner, integers = numba.njit(type(function)(function.__code__, namespace)), vocabulary["integers"]

    @numba.njit
    def run(address, i):
        return inner(integers(address), i)

    return lambda p, i: run(p.elements.ctypes.data, i)


@pytest.mark.parametrize("way", [plain, compiled])
def test_fields_are_read_in_their_kinds(way, dtype):
    words, arrays = memory(dtype)
    function = way(read_all, dtype)
    with simd.visible(arrays):
        bits, numbers, apart = function(simd.Pointer(words), 2)
    assert bits == 0b111111
    assert numbers == 2 + 4 + 6 + 0.25 + 8 + 100
    assert apart == arrays[1].ctypes.data - arrays[3].ctypes.data
    words, arrays = memory(dtype, going=0, function=0)
    with simd.visible(arrays):
        assert function(simd.Pointer(words), 2)[0] == 0b001111


@pytest.mark.parametrize("way", [plain, compiled])
def test_fields_are_written(way, dtype):
    words, arrays = memory(dtype)
    with simd.visible(arrays):
        way(write_some, dtype)(simd.Pointer(words), 2)
    assert words[2:4].tolist() == [105, 0]
    assert arrays[-1].view(np.float64)[0] == 0.125


def test_python_sees_words_and_nothing_else():
    words, _ = memory("float32")
    (outer,) = OUTER.views(words, 1, 2)
    outer.count = np.int64(9)
    outer.going = False
    assert words[2:4].tolist() == [9, 0]
    with pytest.raises(AttributeError):
        outer.cuont = 1
    assert "count                    9" in repr(outer)
    several = INNER.views(np.arange(6), 3)
    assert [one.count for one in several] == [1, 3, 5]


def test_unknown_fields_are_refused():
    words, arrays = memory("float32")
    with simd.visible(arrays):
        outer = simd.structure(OUTER)(simd.Pointer(words), 2)
        for name in ("cuont", "has_count", "count_address"):
            with pytest.raises(KeyError):
                getattr(outer, name)
        with pytest.raises(KeyError):
            outer.cuont = 1


@pytest.mark.parametrize("structure", [PLAN, LAYER, DROPOUT, NORMALIZATION, REGULARIZATION])
def test_names_are_unique_and_fields_are_explained(structure):
    names = [name for name in structure.attributes if not name.endswith("_address") and not name.startswith("has_")]
    assert names == [field.name for field in structure.fields]
    assert len(structure.attributes) >= len(structure.fields)
    clear = {INTEGER, ADDRESS, DOUBLE}  # kinds of fields whose name may say all
    assert all(field.note or field.kind in clear for field in structure.fields)


def test_a_plan_can_be_read(backend):
    if backend.library is None:
        pytest.skip("it has no plans")
    plan = Plan(backend.library, Model((3, 5, 2), ("tanh", "identity"), "mean_squared_error", "float32"), 7)
    text = repr(plan)
    assert "batch_size               7" in text
    assert "layer 1\nfan_in                   5\nfan_out                  2\n" in text
