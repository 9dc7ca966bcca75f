"""Canonical and packed vectors, on every backend and level."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions.optimizers import Adam
from fastmlp.kernels.layers import layout
from fastmlp.kernels.runtime import plan
from fastmlp.kernels.runtime.plan import Model, Plan
from fastmlp.kernels.vocabulary.levels import LEVELS
from fastmlp.kernels.vocabulary.simd import Pointer

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=4)


def plan_for(library, sizes, dtype):
    activations = ("identity",) * (len(sizes) - 1)
    return Plan(library, Model(tuple(sizes), activations, "mean_squared_error", dtype), 1)


def packed_by_hand(sizes, canonical, lanes, single=True):
    """Panels of two vectors of outputs, in each the biases, then input after input; zeros up to whole vectors.

    A single output of more inputs than there are lanes: a vector with the bias, then the weights.
    """
    packed, numbers = [], iter(canonical)
    for inputs, outputs in pairwise(sizes):
        width = -(-outputs // lanes) * lanes
        weights, biases = np.zeros((inputs, width)), np.zeros(width)
        for i in range(inputs):
            weights[i, :outputs] = [next(numbers) for _ in range(outputs)]
        biases[:outputs] = [next(numbers) for _ in range(outputs)]
        if single and outputs == 1 and inputs > lanes:
            packed += biases.tolist() + weights[:, 0].tolist() + [0] * (-inputs % lanes)
            continue
        for column in range(0, width, 2 * lanes):
            packed += biases[column : column + 2 * lanes].tolist()
            packed += weights[:, column : column + 2 * lanes].ravel().tolist()
    assert next(numbers, None) is None
    return packed


def check(library, sizes, dtype):
    lanes = LEVELS[library.level].vector_bytes // np.dtype(dtype).itemsize
    made = plan_for(library, sizes, dtype)
    canonical = np.arange(1, made.model.parameter_count + 1, dtype=dtype)
    packed = made.packed()
    packed[...] = np.nan
    made.pack(canonical, packed)
    assert packed.tolist() == packed_by_hand(sizes, canonical.tolist(), lanes)
    back = np.full_like(canonical, np.nan)
    made.unpack(back, packed)
    assert back.tobytes() == canonical.tobytes()


@settings(max_examples=15)
@given(sizes=SIZES)
def test_packing_on_every_level(level, dtype, sizes):
    check(Interpreted(level), sizes, dtype)


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(1, 150), min_size=2, max_size=5))
def test_packing_by_compiled_kernels(fast_backend, dtype, sizes):
    check(fast_backend.library, sizes, dtype)


def test_packing_by_hand():
    """Two inputs, three outputs, vectors of two numbers: one full panel of four, whose last column is padding."""
    made = plan_for(Interpreted(LEVELS["x86-64"]), (2, 3), "float64")
    packed = made.packed()
    made.pack(np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9]), packed)
    assert packed.tolist() == [7, 8, 9, 0, 1, 2, 3, 0, 4, 5, 6, 0]


def test_a_single_output_by_hand():
    """Three inputs, vectors of two numbers: the bias, three weights, each filled up; two inputs lie as ever."""
    made = plan_for(Interpreted(LEVELS["x86-64"]), (3, 1), "float64")
    packed = made.packed()
    made.pack(np.array([1.0, 2, 3, 4]), packed)
    assert packed.tolist() == [4, 0, 1, 2, 3, 0]
    made = plan_for(Interpreted(LEVELS["x86-64"]), (2, 1), "float64")
    packed = made.packed()
    made.pack(np.array([1.0, 2, 3]), packed)
    assert packed.tolist() == [3, 0, 1, 0, 2, 0]


@given(sizes=SIZES)
def test_the_canonical_vector_has_exactly_the_parameters(sizes):
    assert layout.parameter_count(tuple(sizes)) == sum((i + 1) * o for i, o in pairwise(sizes))


@given(columns=st.integers(1, 5000), lanes=st.sampled_from([2, 4, 8, 16]), itemsize=st.sampled_from([4, 8]))
def test_rows_are_whole_vectors_and_no_multiple_of_a_page(columns, lanes, itemsize):
    stride = layout.stride(columns, lanes, itemsize)
    assert columns <= stride < columns + 2 * lanes
    assert stride % lanes == 0
    assert stride * itemsize % 4096 != 0


@pytest.mark.parametrize("count", [1, 7, 4096])
def test_scratch_is_aligned(dtype, count):
    memory = plan.scratch(count, dtype)
    assert (memory.ctypes.data % 64, len(memory), memory.dtype) == (0, count, dtype)


@pytest.mark.parametrize("sizes", [(5, 7, 3), (1, 1, 1), (1024, 512, 1)])
def test_everything_that_vectors_are_loaded_from_is_aligned(level, dtype, sizes):
    loss = "mean_squared_error"
    made = Plan(Interpreted(level), Model(sizes, ("gelu",) * (len(sizes) - 1), loss, dtype), 5, loss)
    made.optimize(Adam())
    made.want_input_gradient(np.empty((5, sizes[0]), dtype))
    words = "inputs", "targets", "input_delta", "transposed", "constants", "part"
    addresses = [getattr(made.words, word) for word in words]
    blocks = "weighted_sums", "activations", "delta"
    addresses += [getattr(record, word) for record in made._records for word in blocks]
    addresses += [getattr(rank.words, word) for rank in made.ranks(3)[1:] for word in ("transposed", "part")]
    assert 0 not in addresses
    assert all(address % level.vector_bytes == 0 for address in addresses)
    for record in made._records:
        assert record.stride * np.dtype(dtype).itemsize % level.vector_bytes == 0
        assert record.packed_offset * np.dtype(dtype).itemsize % level.vector_bytes == 0


def test_weighted_sums_are_kept_where_backward_needs_them_alone(level, dtype):
    model = Model((3, 5, 4, 2), ("gelu", "tanh", "silu"), "mean_squared_error", dtype)
    library = Interpreted(level)

    def kept(loss, model=model):
        made = Plan(library, model, 5, loss)
        return [bool(record.weighted_sums != record.activations) for record in made._records]

    assert kept("mean_squared_error") == [True, False, True]
    assert kept(None) == [False, False, False]
    on_logits = replace(model, activations=("gelu", "tanh", "sigmoid"), loss="binary_cross_entropy")
    assert kept("binary_cross_entropy", on_logits) == [True, False, False]


def test_all_finite(level, dtype):
    def finite(*numbers):
        return _namespace(dtype, level)["all_finite"](Pointer(np.array(numbers, dtype)), 1, len(numbers), 0)

    largest = np.finfo(dtype).max
    assert finite()
    assert finite(0, -0.0, largest, -largest, np.finfo(dtype).tiny)
    for bad in (np.inf, -np.inf, np.nan):
        with np.errstate(invalid="ignore"):
            assert not finite(bad)
            assert not finite(1, bad, 2)
            assert not finite(bad, -bad)
