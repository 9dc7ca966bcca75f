"""What predicts from parameters that stay: the kernel, chunk by chunk, and the plans that it works in."""

import numpy as np
import oracle
import pytest
from cases import case

from fastmlp.kernels.layers import layout
from fastmlp.kernels.runtime import prediction
from fastmlp.kernels.runtime.prediction import CHUNK, Workspace

ROWS = 2 * CHUNK + 3


def small(dtype, samples=ROWS):
    return case((3, 4, 2), "tanh", "identity", "mean_squared_error", dtype, samples)


PIECES = 3
STARTS = [0, ROWS // 3, 2 * ROWS // 3, ROWS]


@pytest.mark.parametrize(
    ("row", "reached"), [(0, 0), (STARTS[1] - 1, 0), (STARTS[1], STARTS[1]), (ROWS - 1, STARTS[2])]
)
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_the_kernel_stops_before_the_piece_that_is_not_finite(kernel_backend, dtype, source, row, reached):
    network = small(dtype)
    executor, X = network.executor(kernel_backend), network.X.astype(source)
    expected = executor.predict(X)
    X[row, 1] = np.inf
    for stops, last in ((1, reached), (0, ROWS)):
        output = np.zeros((ROWS, 2), dtype)
        with executor.prediction().workspace.plan(executor.prediction().packed) as plan:
            plan.read_samples(X)
            plan["output"], plan["stops_at_nonfinite"] = output, stops
            assert plan.call("predict", PIECES, ROWS) == (last == ROWS)
        assert output[:last][np.arange(last) != row].tobytes() == expected[:last][np.arange(last) != row].tobytes()
        assert not output[last:].any()


@pytest.mark.parametrize("sizes", [(20, 1), (20, 3), (20, 40, 2)])
@pytest.mark.parametrize("samples", [1, 5, 30])
def test_what_is_not_finite_is_noticed_whatever_the_weights(kernel_backend, dtype, sizes, samples):
    """0 * infinity is NaN, even where 0 stands for a subnormal number; infinities of both signs do not cancel."""
    network = case(sizes, "relu", "identity", "mean_squared_error", dtype, samples)
    for weight in (0.0, np.finfo(dtype).smallest_subnormal, 1.0, -np.finfo(dtype).max):
        network.parameters[:] = weight
        predict = network.executor(kernel_backend).prediction().run
        output = np.empty((samples, sizes[-1]), dtype)
        assert predict(network.X, output, allow_nan=False)
        for value in (np.nan, np.inf, -np.inf):
            for places in ([(0, 0)], [(samples - 1, 19)], [(samples // 2, 7), (samples // 2, 8)]):
                X = network.X.copy()
                for sign, place in enumerate(places):
                    X[place] = value * (-1) ** sign
                assert not predict(X, output, allow_nan=False)


@pytest.mark.parametrize("parameter", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_not_taken_for_samples(kernel_backend, dtype, parameter):
    network = small(dtype, 5)
    network.parameters[:] = parameter
    output = np.zeros((5, 2), dtype)
    assert network.executor(kernel_backend).prediction().run(network.X, output, allow_nan=False)
    assert np.isnan(output).all()


def test_threads_take_piece_by_piece(kernel_backend, dtype):
    """Each what no other has taken; none, once a sample is not finite: what nobody will do counts as done."""
    network = small(dtype)
    current = network.executor(kernel_backend).prediction()
    counts = np.zeros(layout.COUNTERS, np.int64)
    expected, output = np.empty((ROWS, 2), dtype), np.full((ROWS, 2), np.nan, dtype)
    assert current.run(network.X, expected, allow_nan=False)
    plan, other = current._plan(network.X, output, False), current._plan(network.X, output, False)
    plan["counts"] = other["counts"] = counts
    counts[layout.TAKEN], counts[layout.DONE] = 2, 2  # somebody else did the first two
    assert plan.call("predict", PIECES, ROWS) == layout.FINITE + layout.COMPLETE
    assert counts[layout.DONE] == PIECES
    assert np.isnan(output[: STARTS[2]]).all()
    assert output[STARTS[2] :].tobytes() == expected[STARTS[2] :].tobytes()
    assert other.call("predict", PIECES, ROWS) == layout.FINITE + layout.COMPLETE  # nothing is left
    assert np.isnan(output[: STARTS[2]]).all()
    network.X[STARTS[1], 1] = np.inf
    counts[:] = 0
    counts[layout.TAKEN], counts[layout.DONE] = 1, 1
    assert plan.call("predict", PIECES, ROWS) == layout.COMPLETE
    assert counts[[layout.DONE, layout.SPOILED]].tolist() == [PIECES, 1]
    assert other.call("predict", PIECES, ROWS) == layout.COMPLETE
    assert counts[layout.DONE] == PIECES
    assert np.isnan(output[: STARTS[2]]).all()


def test_nobody_waits_for_ever_for_pieces_of_others(kernel_backend, dtype):
    """One that takes long has another way to be waited for."""
    network = small(dtype)
    current = network.executor(kernel_backend).prediction()
    output, counts = np.empty((ROWS, 2), dtype), np.zeros(layout.COUNTERS, np.int64)
    plan = current._plan(network.X, output, False)
    plan["counts"] = counts
    counts[layout.TAKEN] = 2  # by somebody who does not come back
    for rank in (0, 1):
        plan["rank"] = rank
        assert plan.call("predict", PIECES, ROWS) == layout.FINITE
    assert counts[layout.DONE] == 1


@pytest.mark.parametrize("sizes", [(5, 3), (9, 1), (4, 20, 2), (3, 33, 1)])
def test_pieces_change_no_bits(fast_backend, dtype, sizes):
    """Nor would they with tiles that are cut otherwise, as long as none is short: then sums are made in parts."""
    assert CHUNK >= 2 * prediction.LEAST
    network = case(sizes, "tanh", "identity", "mean_squared_error", dtype, 600)
    current = network.executor(fast_backend).prediction()
    for rows in [*range(1, 20), *range(47, 60), 71, 72, 73, 100, 255, 256, 257, 258, 300, 511, 513, 600]:
        outputs = []
        for threads in range(1, 7):
            pieces = prediction.pieces_for(rows, threads)
            assert pieces * CHUNK >= rows
            assert pieces == 1 or rows // pieces >= prediction.LEAST
            output = np.full((rows, sizes[-1]), np.nan, dtype)
            plan = current._plan(network.X, output, False)
            assert plan.call("predict", pieces, rows) == 1
            outputs.append(output.tobytes())
        assert len(set(outputs)) == 1


@pytest.mark.parametrize("sizes", [(5, 3), (4, 150, 2), (3, 40, 170, 1)])
def test_single_rows_read_weights_to_and_fro(kernel_backend, dtype, sizes):
    """Panels have sums of their own: it changes no bits from which end they are read."""
    network = case(sizes, "tanh", "identity", "mean_squared_error", dtype, 3)
    current = network.executor(kernel_backend).prediction()
    truth = oracle.predict(sizes, network.model.activations, network.parameters, network.X)
    for row, expected in zip(network.X, truth, strict=True):
        outputs, directions = [], []
        for _ in range(2):
            output = np.full((1, sizes[-1]), np.nan, dtype)
            plan = current._plan(row[np.newaxis], output, False)
            assert plan.call("predict", 1, 1) == 1
            directions.append(plan.words.reverse_panels)
            current._give_back(plan)
            outputs.append(output.tobytes())
            np.testing.assert_allclose(output[0], expected, rtol=1e-5, atol=1e-6)
        assert outputs[0] == outputs[1]
        assert sorted(directions) == [0, 1]


def test_plans_are_used_again_and_hold_nothing_meanwhile(kernel_backend, dtype):
    network = small(dtype, 5)
    workspace = Workspace(kernel_backend.library, network.model)
    with workspace.plan() as first, workspace.plan() as second:
        plans = {id(first), id(second)}
        held = len(first.arrays())
    assert len(plans) == 2
    with workspace.plan(first.packed()) as plan:
        plan.read_samples(network.X)
        plan["output"] = network.X
        assert id(plan) in plans
        assert len(plan.arrays()) == held + 3
    assert len(plan.arrays()) == held
    assert [getattr(plan.words, word) for word in ("x", "output", "packed")] == [0, 0, 0]


def test_predictions_keep_their_parameters(backend, dtype):
    network = small(dtype, 5)
    executor = network.executor(backend)
    current, output = executor.prediction(), np.empty((5, 2), dtype)
    apart = current.apart()
    expected = executor.predict(network.X)
    executor.parameters[...] = 0
    executor.changed()
    assert not executor.predict(network.X).any()
    for each in (current, apart):
        assert each.run(network.X, output, allow_nan=False)
        assert output.tobytes() == expected.tobytes()
        assert each.parameters().tobytes() == network.parameters.tobytes()
        assert each.model == network.model


def test_finite_is_what_is_finite_as_the_models_dtype(backend, dtype):
    network = small(dtype, 5)
    current, output = network.executor(backend).prediction(), np.empty((5, 2), dtype)
    for source in ("float16", "float32", "float64", np.longdouble, "int64", "uint64", "bool"):
        X = np.ones((5, 3), source)
        assert current.run(X, output, allow_nan=False)
        if X.dtype.kind == "f":
            X[4, 1] = np.finfo(source).max
            fits = np.finfo(source).max <= np.finfo(dtype).max
            assert current.run(X, output, allow_nan=False) == fits
            assert current.run(X, output, allow_nan=True)
            X[4, 1] = np.nan
            assert not current.run(X, output, allow_nan=False)
        elif source != "bool":
            X[4, 1] = np.iinfo(source).max
            assert current.run(X, output, allow_nan=False)


def test_only_what_kernels_cannot_read_is_cut_into_parts(kernel_backend, dtype, monkeypatch):
    monkeypatch.setattr(prediction, "CONVERTED_AT_ONCE", 9)
    network = small(dtype, 8)
    current, output, calls = network.executor(kernel_backend).prediction(), np.empty((8, 2), dtype), []
    call = prediction.Plan.call
    monkeypatch.setattr(prediction.Plan, "call", lambda *arguments: calls.append(arguments[3]) or call(*arguments))
    for X, expected in [
        (network.X.astype("f4"), [8]), (network.X[::-1], [8]), (network.X > 0, [8]),
        (network.X.astype("f2"), [8]), (network.X.astype(">f2"), [3, 3, 2]), (network.X.astype(">f8"), [3, 3, 2]),
    ]:  # fmt: skip
        calls.clear()
        assert current.run(X, output, allow_nan=False)
        assert calls == expected
