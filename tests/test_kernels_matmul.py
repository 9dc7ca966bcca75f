"""The products of a layer, and of a single row, against NumPy: across the edges of tiles and panels of every level."""

import numpy as np
import pytest
from test_kernels_layout import packed_by_hand

from fastmlp.kernels.interpreted import _namespace
from fastmlp.kernels.simd import Pointer


@pytest.fixture(scope="session")
def namespace(level, dtype):
    """The kernels as they stand, for a level and dtype."""
    return _namespace(dtype, level)


def edges(namespace):
    """Numbers of rows and of columns around those of tiles, vectors and panels."""
    tile_rows, lanes, panel = namespace["TILE_ROWS"], namespace["LANES"], namespace["PANEL"]
    rows = [1, 2, tile_rows - 1, tile_rows, tile_rows + 1, 2 * tile_rows, 2 * tile_rows + 2]
    columns = [1, lanes - 1, lanes, lanes + 1, panel - 1, panel, panel + 1, panel + lanes, 2 * panel + lanes + 1]
    return rows, sorted({c for c in columns if c > 0})


def matrix(generator, rows, columns, dtype):
    """Small whole numbers, so that sums are exact in any order."""
    return generator.integers(-4, 5, (rows, columns)).astype(dtype)


def spread(rows, stride):
    """A pointer to the rows, `stride` numbers apart; what lies between is NaN."""
    memory = np.full((len(rows), stride), np.nan, rows.dtype)
    memory[:, : rows.shape[1]] = rows
    return Pointer(memory.reshape(-1))


def layer(namespace, dtype, inputs, outputs, seed=0):
    generator = np.random.default_rng(seed)
    weights, biases = matrix(generator, inputs, outputs, dtype), matrix(generator, 1, outputs, dtype)[0]
    lanes = namespace["LANES"]
    packed = packed_by_hand((inputs, outputs), [*weights.ravel(), *biases], lanes)
    return weights, biases, np.array(packed, dtype), -(-outputs // lanes) * lanes


def check_weighted_sums(namespace, dtype, rows, inputs, outputs):
    weights, biases, packed, width = layer(namespace, dtype, inputs, outputs)
    a = matrix(np.random.default_rng(1), rows, inputs, dtype)
    stride = width + namespace["LANES"]
    z = np.full((rows, stride), np.nan, dtype)
    namespace["weighted_sums"](
        rows, spread(a, inputs + 3), inputs + 3, Pointer(packed), inputs, width, Pointer(z.reshape(-1)), stride
    )
    np.testing.assert_array_equal(z[:, :outputs], a @ weights + biases)
    assert not z[:, outputs:width].any()
    assert np.isnan(z[:, width:]).all()


def test_weighted_sums(namespace, dtype):
    rows, columns = edges(namespace)
    for outputs in columns:
        check_weighted_sums(namespace, dtype, rows[outputs % len(rows)], 5, outputs)
    for count in rows:
        check_weighted_sums(namespace, dtype, count, 3, namespace["LANES"] + 1)
    for inputs in columns:
        check_weighted_sums(namespace, dtype, 2, inputs, 3)


def test_weight_gradient(namespace, dtype):
    rows, columns = edges(namespace)
    generator, lanes, panel = np.random.default_rng(2), namespace["LANES"], namespace["PANEL"]
    constants = Pointer(np.array([0] * panel + [1], dtype))
    for i, outputs in enumerate(columns):
        inputs, count = columns[-1 - i], rows[i % len(rows)]
        width = -(-outputs // lanes) * lanes
        a, delta = matrix(generator, count, inputs, dtype), matrix(generator, count, outputs, dtype)
        padded = np.zeros((count, width), dtype)
        padded[:, :outputs] = delta
        gradient = np.full(inputs * width + width, np.nan, dtype)
        expected = packed_by_hand((inputs, outputs), [*(a.T @ delta).ravel(), *delta.sum(axis=0)], lanes)
        for times, adding in ((1, False), (2, True), (3, True), (1, False)):
            namespace["weight_gradient"](
                count, spread(a, inputs + 1), inputs + 1, spread(padded, width + lanes), width + lanes, inputs, width,
                constants, adding, Pointer(gradient),
            )  # fmt: skip
            np.testing.assert_array_equal(gradient, times * np.array(expected))


def test_input_gradient(namespace, dtype):
    rows, columns = edges(namespace)
    lanes, panel = namespace["LANES"], namespace["PANEL"]
    for i, inputs in enumerate(columns):
        outputs, count = columns[-1 - i], rows[i % len(rows)]
        weights, _, packed, width = layer(namespace, dtype, inputs, outputs)
        delta = matrix(np.random.default_rng(3), count, outputs, dtype)
        below_width = -(-inputs // lanes) * lanes
        below = np.full((count, below_width + 1), np.nan, dtype)
        transposed = Pointer(np.full(outputs * panel, np.nan, dtype))
        namespace["input_gradient"](
            count, spread(delta, outputs + 2), outputs + 2, Pointer(packed), inputs, outputs, width, transposed,
            Pointer(np.zeros(panel, dtype)), Pointer(below.reshape(-1)), below_width + 1, below_width,
        )  # fmt: skip
        np.testing.assert_array_equal(below[:, :inputs], delta @ weights.T)
        assert not below[:, inputs:below_width].any()
        assert np.isnan(below[:, below_width:]).all()


def test_products_of_a_single_row(namespace, dtype):
    columns = edges(namespace)[1]
    lanes, generator = namespace["LANES"], np.random.default_rng(4)
    for i, outputs in enumerate(columns):
        inputs = columns[-1 - i]
        weights, biases, packed, width = layer(namespace, dtype, inputs, outputs)
        a, delta = matrix(generator, 1, inputs, dtype), np.zeros((1, width), dtype)
        delta[:, :outputs] = matrix(generator, 1, outputs, dtype)

        z = np.full(width + 1, np.nan, dtype)
        namespace["weighted_sums_of_row"](spread(a, inputs), Pointer(packed), inputs, width, Pointer(z))
        np.testing.assert_array_equal(z[:outputs], (a @ weights + biases)[0])
        assert not z[outputs:width].any()

        gradient = np.full(inputs * width + width, np.nan, dtype)
        d = spread(delta, width + 1)
        constants = Pointer(np.append(np.zeros(namespace["PANEL"], dtype), np.ones(1, dtype)))
        namespace["weight_gradient_of_row"](spread(a, inputs), d, inputs, width, constants, Pointer(gradient))
        by_hand = [*(a.T @ delta[:, :outputs]).ravel(), *delta[0, :outputs]]
        np.testing.assert_array_equal(gradient, packed_by_hand((inputs, outputs), by_hand, lanes))

        below_width = -(-inputs // lanes) * lanes
        below = np.full(below_width + 1, np.nan, dtype)
        delta[:, outputs:] = np.nan  # as an overflow below leaves it
        namespace["input_gradient_of_row"](
            spread(delta, width + 1), Pointer(packed), inputs, outputs, width, Pointer(below), below_width
        )
        np.testing.assert_array_equal(below[:inputs], (delta[:, :outputs] @ weights.T)[0])
        assert not below[inputs:below_width].any()
        assert np.isnan([z[width], below[below_width]]).all()


@pytest.mark.parametrize("mistake", ["a row too few", "a number of the sum too few"])
def test_a_tile_that_does_too_little_is_caught(namespace, dtype, mistake, monkeypatch):
    tile, missing = namespace["tile"], (1, 0) if mistake == "a row too few" else (0, 1)

    def wrong(vectors, rows, depth, *rest):
        tile(vectors, rows - missing[0], depth - missing[1], *rest)

    check_weighted_sums(namespace, dtype, 13, 5, 9)
    monkeypatch.setitem(namespace, "tile", wrong)
    with pytest.raises(AssertionError):
        check_weighted_sums(namespace, dtype, 13, 5, 9)
