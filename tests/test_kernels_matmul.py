"""The products of a layer, and of a single row, against NumPy: across the edges of tiles and panels of every level."""

import numpy as np
import pytest
from test_kernels_layout import packed_by_hand

from fastmlp.kernels.backends.interpreted import _namespace
from fastmlp.kernels.vocabulary.simd import Pointer


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


def layer(namespace, dtype, inputs, outputs, single=False, seed=0):
    generator = np.random.default_rng(seed)
    weights, biases = matrix(generator, inputs, outputs, dtype), matrix(generator, 1, outputs, dtype)[0]
    lanes = namespace["LANES"]
    packed = packed_by_hand((inputs, outputs), [*weights.ravel(), *biases], lanes, single)
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


def test_panel_gradient(namespace, dtype):
    """Whole panels, and parts of them: from the row of biases on, or from some input on."""
    rows, columns = edges(namespace)
    generator, lanes, panel = np.random.default_rng(2), namespace["LANES"], namespace["PANEL"]
    constants = Pointer(np.array([0] * panel + [1], dtype))
    for i, inputs in enumerate(columns):
        count, width = rows[i % len(rows)], (lanes, panel)[i % 2]
        a, delta = matrix(generator, count, inputs, dtype), matrix(generator, count, width, dtype)
        expected = np.vstack([delta.sum(axis=0), a.T @ delta])
        for first, last in ((0, 1 + inputs), (0, 1), (1, 1 + inputs), (inputs // 2, 1 + inputs)):
            gradient = np.full((last - first, width), np.nan, dtype)
            target = Pointer(gradient.reshape(-1))
            arguments = spread(delta, width + lanes), width + lanes, width, first, last
            for total, start, start_row, scale in (
                (1, constants, 0, 1), (2, target, width, 1), (-1, target, width, -3), (1, constants, 0, 1)
            ):  # fmt: skip
                namespace["panel_gradient"](
                    count, spread(a, inputs + 1), inputs + 1, *arguments, constants, start, start_row,
                    np.dtype(dtype).type(scale), target,
                )  # fmt: skip
                np.testing.assert_array_equal(gradient, total * expected[first:last])
            if count == 1:
                gradient[...] = np.nan
                namespace["panel_gradient_of_row"](spread(a, inputs), arguments[0], width, first, last, target)
                np.testing.assert_array_equal(gradient, expected[first:last])
                rate = np.dtype(dtype).type(2)
                namespace["descend_by_row"](spread(a, inputs), arguments[0], width, first, last, rate, target)
                np.testing.assert_array_equal(gradient, -expected[first:last])


def test_input_gradient(namespace, dtype):
    rows, columns = edges(namespace)
    lanes, panel = namespace["LANES"], namespace["PANEL"]
    for i, inputs in enumerate(columns):
        outputs, count = columns[-1 - i], rows[i % len(rows)]
        weights, _, packed, width = layer(namespace, dtype, inputs, outputs)
        delta = matrix(np.random.default_rng(3), count, outputs, dtype)
        below_width = -(-inputs // lanes) * lanes
        below = np.full((count, below_width + 1), np.nan, dtype)
        transposed = Pointer(np.full(-(-outputs // lanes) * lanes * panel, np.nan, dtype))
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

        for backwards in (False, True):
            z = np.full(width + 1, np.nan, dtype)
            namespace["weighted_sums_of_row"](spread(a, inputs), Pointer(packed), inputs, width, backwards, Pointer(z))
            np.testing.assert_array_equal(z[:outputs], (a @ weights + biases)[0])
            assert not z[outputs:width].any()

        below_width = -(-inputs // lanes) * lanes
        below = np.full(below_width + 1, np.nan, dtype)
        delta[:, outputs:] = np.nan  # as an overflow below leaves it
        namespace["input_gradient_of_row"](
            spread(delta, width + 1), Pointer(packed), inputs, outputs, width, Pointer(below), below_width
        )
        np.testing.assert_array_equal(below[:inputs], (delta[:, :outputs] @ weights.T)[0])
        assert not below[inputs:below_width].any()
        assert np.isnan([z[width], below[below_width]]).all()


def check_single(namespace, dtype, rows, inputs):
    """The products of a layer with one output. Activations lie in whole vectors, with rubbish beyond the last input."""
    lanes, panel, generator = namespace["LANES"], namespace["PANEL"], np.random.default_rng(6)
    weights, biases, packed, _ = layer(namespace, dtype, inputs, 1, single=True)
    a, delta = np.full((rows, -(-inputs // lanes) * lanes), 7, dtype), np.zeros((rows, lanes), dtype)
    a[:, :inputs], delta[:, :1] = matrix(generator, rows, inputs, dtype), matrix(generator, rows, 1, dtype)

    z = np.full((rows, lanes + 1), np.nan, dtype)
    apart = a[:, :inputs]  # as users' samples lie: nothing is between them
    namespace["weighted_sums_of_single"](
        rows, spread(apart, inputs), inputs, Pointer(packed), inputs, Pointer(z.reshape(-1)), lanes + 1
    )
    np.testing.assert_array_equal(z[:, 0], (apart @ weights + biases)[:, 0])
    assert not z[:, 1:lanes].any()
    assert np.isnan(z[:, lanes]).all()

    below = np.full((rows, a.shape[1] + 1), np.nan, dtype)
    namespace["input_gradient_of_single"](
        rows, spread(delta, lanes), lanes, Pointer(packed), inputs, Pointer(below.reshape(-1)), a.shape[1] + 1
    )
    np.testing.assert_array_equal(below[:, :inputs], delta[:, :1] @ weights.T)
    assert not below[:, inputs:-1].any()
    assert np.isnan(below[:, -1]).all()

    constants = Pointer(np.array([0] * panel + [1], dtype))
    expected = np.zeros((1 + a.shape[1] // lanes, lanes), dtype)
    expected[0] = delta.sum(axis=0)
    expected[1:].reshape(-1)[:inputs] = (a.T @ delta[:, 0])[:inputs]
    height = len(expected)
    for first, last in ((0, height), (0, 1), (1, height), (height // 2, height), (0, height - 1)):
        gradient = np.full((last - first, lanes), np.nan, dtype)
        for times, adding in ((1, False), (2, True), (1, False)):
            namespace["single_gradient"](
                rows, spread(a, a.shape[1]), a.shape[1], inputs, spread(delta, lanes), lanes, first, last, constants,
                adding, Pointer(gradient.reshape(-1)),
            )  # fmt: skip
            np.testing.assert_array_equal(gradient, times * expected[first:last])


def test_products_of_a_single_output(namespace, dtype):
    lanes = namespace["LANES"]
    for rows in (1, 2, 7):
        for inputs in (lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 3 * lanes, 4 * lanes + 1, 5 * lanes - 1):
            check_single(namespace, dtype, rows, inputs)


@pytest.mark.parametrize("name", ["load_first", "lanes_below"])
def test_a_single_output_that_reads_too_far_is_caught(namespace, dtype, name, monkeypatch):
    lanes = namespace["LANES"]
    wrong = {"load_first": lambda p, i, n: namespace["load"](p, i), "lanes_below": lambda n: np.full(lanes, True)}
    monkeypatch.setitem(namespace, name, wrong[name])
    with pytest.raises((AssertionError, IndexError)):
        check_single(namespace, dtype, 3, 2 * lanes + 1)


@pytest.mark.parametrize("mistake", ["a row too few", "a number of the sum too few"])
def test_a_tile_that_does_too_little_is_caught(namespace, dtype, mistake, monkeypatch):
    tile, missing = namespace["tile"], (1, 0) if mistake == "a row too few" else (0, 1)

    def wrong(vectors, rows, depth, *rest):
        tile(vectors, rows - missing[0], depth - missing[1], *rest)

    check_weighted_sums(namespace, dtype, 13, 5, 9)
    monkeypatch.setitem(namespace, "tile", wrong)
    with pytest.raises(AssertionError):
        check_weighted_sums(namespace, dtype, 13, 5, 9)
