"""What predicts from parameters that stay: the kernel, chunk by chunk, and the plans that it works in."""

import numpy as np
import pytest
from cases import case

from fastmlp.kernels import layout, prediction
from fastmlp.kernels.prediction import CHUNK, Workspace

ROWS = 2 * CHUNK + 3


def small(dtype, samples=ROWS):
    return case((3, 4, 2), "tanh", "identity", "mean_squared_error", dtype, samples)


@pytest.mark.parametrize(("row", "reached"), [(0, 0), (CHUNK - 1, 0), (CHUNK, CHUNK), (ROWS - 1, 2 * CHUNK)])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_the_kernel_stops_before_the_chunk_that_is_not_finite(kernel_backend, dtype, source, row, reached):
    network = small(dtype)
    executor, X = network.executor(kernel_backend), network.X.astype(source)
    expected = executor.predict(X)
    X[row, 1] = np.inf
    for stops, last in ((1, reached), (0, ROWS)):
        output = np.zeros((ROWS, 2), dtype)
        with executor.prediction().workspace.plan(executor.prediction().packed) as plan:
            plan.read_samples(X)
            plan[layout.OUTPUT], plan[layout.STOP_AT_NONFINITE] = output, stops
            assert plan.call("predict", 0, ROWS) == last
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


def test_chunks_are_independent(kernel_backend, dtype):
    """Whoever does them, in any order."""
    network = small(dtype)
    current = network.executor(kernel_backend).prediction()
    expected, output = np.empty((ROWS, 2), dtype), np.full((ROWS, 2), np.nan, dtype)
    assert current.run(network.X, expected, allow_nan=False)
    for first in (CHUNK, 2 * CHUNK, 0):
        with current.workspace.plan(current.packed) as plan, current.workspace.plan(current.packed) as other:
            assert other is not plan
            plan.read_samples(network.X)
            plan[layout.OUTPUT] = output
            assert plan.call("predict", first, min(first + CHUNK, ROWS)) == min(first + CHUNK, ROWS)
    assert output.tobytes() == expected.tobytes()


def test_threads_take_chunk_by_chunk(kernel_backend, dtype):
    """Each what no other has taken; none, once a sample is not finite."""
    network = small(dtype)
    current = network.executor(kernel_backend).prediction()
    expected, output, taken = np.empty((ROWS, 2), dtype), np.full((ROWS, 2), np.nan, dtype), np.array([CHUNK], np.int64)
    assert current.run(network.X, expected, allow_nan=False)
    with current._plan(network.X, output, False) as plan, current._plan(network.X, output, False) as other:
        plan[layout.TAKEN] = other[layout.TAKEN] = taken
        taken += CHUNK  # somebody else does the second
        assert plan.call("predict_together", 0, ROWS) == 1
        assert taken[0] >= ROWS
        assert np.isnan(output[: 2 * CHUNK]).all()
        assert output[2 * CHUNK :].tobytes() == expected[2 * CHUNK :].tobytes()
        assert other.call("predict_together", 0, ROWS) == 1  # nothing is left
        assert np.isnan(output[: 2 * CHUNK]).all()
        network.X[CHUNK, 1] = np.inf
        taken[0] = CHUNK
        assert plan.call("predict_together", 0, ROWS) == 0
        assert taken[0] >= ROWS
        assert np.isnan(output[: 2 * CHUNK]).all()


def test_plans_are_used_again_and_hold_nothing_meanwhile(kernel_backend, dtype):
    network = small(dtype, 5)
    workspace = Workspace(kernel_backend.library, network.model)
    with workspace.plan() as first, workspace.plan() as second:
        plans = {id(first), id(second)}
        held = len(first.arrays())
    assert len(plans) == 2
    with workspace.plan(first.packed()) as plan:
        plan.read_samples(network.X)
        plan[layout.OUTPUT] = network.X
        assert id(plan) in plans
        assert len(plan.arrays()) == held + 3
    assert len(plan.arrays()) == held
    assert [plan.words[word] for word in (layout.X, layout.OUTPUT, layout.PACKED)] == [0, 0, 0]


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
