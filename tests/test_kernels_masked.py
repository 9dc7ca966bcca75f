"""Products that leave out what masks say is zero, against NumPy: what they leave out is NaN here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_matmul import layer, matrix, spread

from fastmlp.kernels.backends.interpreted import _namespace
from fastmlp.kernels.vocabulary import simd
from fastmlp.kernels.vocabulary.levels import LEVELS
from fastmlp.kernels.vocabulary.simd import Pointer


def masked(generator, rows, columns, dtype, share):
    """Numbers, those of them that count, and masks: which columns do is the same for rows 0 and 1, 2 and 3, ..."""
    numbers = matrix(generator, rows, columns, dtype)
    bits = np.zeros((-(-rows // 2), -(-columns // 64) * 64), np.uint8)
    bits[:, :columns] = generator.random((len(bits), columns)) < share
    counts = bits.repeat(2, axis=0)[:rows, :columns] == 1
    words = np.packbits(bits, axis=1, bitorder="little").view(np.int64)
    return np.where(counts, numbers, np.nan), np.where(counts, numbers, 0), words


def check_sums(namespace, dtype, rows, inputs, outputs, first=0, share=0.3):
    lanes, panel = namespace["LANES"], namespace["PANEL"]
    weights, biases, packed, width = layer(namespace, dtype, inputs, outputs)
    memory = Pointer(packed)
    given, counted, masks = masked(np.random.default_rng(1), rows, inputs, dtype, share)
    stride, zeros = width + lanes, Pointer(np.zeros(panel, dtype))
    z = np.full((rows - first, stride), np.nan, dtype)
    column = 0
    with simd.visible([masks]):
        while column < width:
            panels, w = namespace["whole_panels"](column, width), min(panel, width - column)
            namespace["masked_sums"](
                first, rows, masks.ctypes.data, spread(given[first:], inputs + 3), inputs + 3,
                simd.at(memory, column * (1 + inputs)), inputs, panels, w, Pointer(z.reshape(-1), column), stride,
                zeros,
            )  # fmt: skip
            column += panels * panel
    np.testing.assert_array_equal(z[:, :outputs], counted[first:] @ weights + biases)
    assert not z[:, outputs:width].any()
    assert np.isnan(z[:, width:]).all()


@settings(max_examples=60)
@given(data=st.data())
def test_weighted_sums(level, dtype, data):
    """Features of one word of a mask and of several, which are summed up in parts; panels alone and in pairs."""
    rows, outputs = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 150))
    inputs = data.draw(st.sampled_from([1, 63, 64, 65, 128, 129, 200, 300]))
    first, share = data.draw(st.integers(0, rows - 1)), data.draw(st.sampled_from([0, 0.02, 0.5, 1]))
    check_sums(_namespace(dtype, level), dtype, rows, inputs, outputs, first, share)


def check_gradient(namespace, dtype, samples, inputs, panels, width, first, last, share, in_place):
    generator, panel = np.random.default_rng(2), namespace["PANEL"]
    given, counted, masks = masked(generator, inputs, samples, dtype, share)  # rows are features
    delta = matrix(generator, samples, panels * width, dtype)
    expected = np.vstack([delta.sum(axis=0), counted @ delta])[first:last]
    constants = Pointer(np.array([0] * panel + [1], dtype))
    distance = (last - first + 2) * width  # numbers from one panel to the next
    before = matrix(generator, panels, distance, dtype)
    memory = before.copy()
    target, start, start_row = Pointer(memory.reshape(-1)), constants, 0
    if in_place:
        start, start_row = target, width
    with simd.visible([masks]):
        namespace["masked_gradient"](
            samples, masks.ctypes.data, spread(np.ascontiguousarray(given.T), inputs + 1), inputs + 1,
            spread(delta, panels * width + 1), panels * width + 1, panels, width, first, last, constants, start,
            start_row, np.dtype(dtype).type(-3), target, distance,
        )  # fmt: skip
    for p in range(panels):
        ours = memory[p, : (last - first) * width].reshape(-1, width)
        start_of_panel = before[p, : (last - first) * width].reshape(-1, width) if in_place else 0
        np.testing.assert_array_equal(ours, start_of_panel - 3 * expected[:, p * width : (p + 1) * width])
    np.testing.assert_array_equal(memory[:, (last - first) * width :], before[:, (last - first) * width :])


@settings(max_examples=60)
@given(data=st.data())
def test_gradient(level, dtype, data):
    namespace = _namespace(dtype, level)
    inputs, panels = data.draw(st.integers(1, 20)), data.draw(st.sampled_from([1, 2]))
    widths = [namespace["PANEL"], namespace["LANES"]][: 3 - panels]
    first = data.draw(st.integers(0, inputs))
    last = data.draw(st.integers(first + 1, inputs + 1))
    check_gradient(
        namespace, dtype, data.draw(st.sampled_from([1, 2, 63, 64, 65, 128, 129, 300])), inputs, panels,
        data.draw(st.sampled_from(widths)), first, last, data.draw(st.sampled_from([0, 0.02, 0.5, 1])),
        data.draw(st.booleans()),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("end_of_neighbors", lambda right: lambda row: row + 1 + row % 2),
        ("is_blank", lambda right: lambda mask, words: right(mask, words - 1)),
        ("masked_tile", lambda right: lambda v, rows, words, mask, begun, *rest: right(v, rows, words, mask, 0, *rest)),
        ("masked_tile", lambda right: lambda v, rows, *rest: right(v, 1, *rest)),
        ("masked_tile", lambda right: lambda *arguments: right(*arguments[:10], 0, *arguments[11:])),
        ("masked_tile", lambda right: lambda *arguments: right(*arguments[:13], 0, *arguments[14:])),
    ],
)
def test_what_is_wrong_is_caught(monkeypatch, name, wrong):
    namespace = _namespace("float64", LEVELS["x86-64-v3"])

    def check():
        check_sums(namespace, "float64", 4, 300, 40)
        check_gradient(namespace, "float64", 60, 4, 2, namespace["PANEL"], 0, 5, 0.02, True)
        check_gradient(namespace, "float64", 300, 4, 2, namespace["PANEL"], 0, 5, 0.5, False)

    check()
    monkeypatch.setitem(namespace, name, wrong(namespace[name]))
    with pytest.raises((AssertionError, IndexError)):
        check()
