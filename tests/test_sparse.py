"""Sparse samples: what the same rows give with their zeros written out, up to rounding.

Tests of kernels need no SciPy: they make rows by hand, with values in any order, columns that occur twice, zeros that
are stored, and rows of nothing. Tolerances as in test_parity.py: sums of less than 200 terms of order one, 200 eps.
"""

import copy
import pickle
import sys

import numpy as np
import oracle
import pytest
from cases import case
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_memory import poison
from test_memory import peak

import fastmlp
from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.runtime import pace, prediction, threads
from fastmlp.kernels.runtime.executor import CHUNK
from fastmlp.kernels.runtime.prediction import multiplications
from fastmlp.kernels.runtime.sparse_rows import SparseRows
from fastmlp.kernels.runtime.training import Schedule

LOSSES = [
    ("identity", "mean_squared_error"), ("sigmoid", "binary_cross_entropy"), ("softmax", "categorical_cross_entropy")
]  # fmt: skip


def written_out(X):
    dense = np.zeros(X.shape)
    for i in range(len(X)):
        for k in range(X.starts[i], X.starts[i + 1]):
            dense[i, X.columns[k]] += X.values[k]
    return dense


def rows(samples, features, source="float64", columns="int32", seed=0, most=6):
    """A row of nothing at the beginning, at the end, and now and then; values that fit into any type of numbers."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(most + 1, size=samples)
    counts[[0, -1]] = 0
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values = (
        generator.integers(0, 3, starts[-1]) if np.dtype(source).kind in "iu" else generator.normal(size=starts[-1])
    )
    values[::7] = 0
    return SparseRows(
        values.astype(source), generator.integers(features, size=starts[-1]).astype(columns), starts, features
    )


def sparse_case(sizes, hidden, output, loss, dtype, samples, seed=0, decided=False, **options):
    """A case whose X is dense, and the sparse one."""
    network = case(sizes, hidden, output, loss, dtype, samples, seed, decided)
    X = rows(samples, sizes[0], seed=seed, **options)
    network.X = written_out(X)
    return network, X


def assert_close(actual, expected, dtype, units=200):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert abs(actual - expected).max() <= units * np.finfo(dtype).eps * max(1e-2, abs(expected).max())


def check(who, network, X):
    """Predictions, loss and gradient by the oracle."""
    dtype, executor = network.model.dtype, network.executor(who)
    assert_close(executor.predict(X), oracle.predict(*network.formulas, network.parameters, network.X), dtype)
    value, gradient = oracle.loss_and_gradient(
        *network.formulas, network.model.loss, network.parameters, network.X, network.rows_of_y
    )
    assert_close(executor.evaluate(X, network.y), value, dtype)
    results = executor.gradient(X, network.y)
    assert_close(results[0], value, dtype)
    assert_close(results[1], gradient, dtype)


def trained(who, network, X, schedule, threads=None, weights=None):
    executor, state = network.executor(who), network.state(schedule.optimizer)
    training = executor.training(X, network.y, state, schedule, None, weights)
    steps = schedule.epochs * training.steps_per_epoch
    assert training.run(0, steps, threads) == steps
    assert training.collect()
    training.close()
    return executor.parameters, state, training.losses


def bits(arrays):
    return [np.asarray(a).tobytes() for a in arrays]


SIZES = [(40, 70, 3), (40, 5, 2), (40, 1), (3, 1), (3, 2, 1), (1, 33, 2)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("output", "loss"), LOSSES)
def test_results_by_the_oracle(backend, dtype, sizes, output, loss):
    if sizes[-1] > 1 or loss != "categorical_cross_entropy":
        check(backend, *sparse_case(sizes, "tanh", output, loss, dtype, 23))


@pytest.mark.parametrize("sizes", [(9, 33, 2), (20, 1)])
def test_results_at_every_level(level, dtype, sizes):
    who = Backend("interpreted", Interpreted(level))
    check(who, *sparse_case(sizes, "tanh", "identity", "mean_squared_error", dtype, 9))


def test_more_samples_than_a_chunk(fast_backend, dtype):
    check(fast_backend, *sparse_case((50, 9, 2), "tanh", "identity", "mean_squared_error", dtype, 2 * CHUNK + 3))


@settings(max_examples=60)
@given(data=st.data())
def test_networks_of_random_shapes(fast_backend, data):
    sizes = tuple(data.draw(st.lists(st.integers(1, 100), min_size=2, max_size=4)))
    dtype, samples = data.draw(st.sampled_from(["float32", "float64"])), data.draw(st.integers(2, 80))
    seed, most = data.draw(st.integers(0, 1000)), data.draw(st.sampled_from([0, 1, 5, 40]))
    network, X = sparse_case(sizes, "tanh", "identity", "mean_squared_error", dtype, samples, seed, most=most)
    check(fast_backend, network, X)
    schedule = Schedule(SGD(0.02), data.draw(st.integers(1, samples + 2)), 2, seed)
    for actual, expected in zip(
        trained(fast_backend, network, X, schedule), trained(fast_backend, network, network.X, schedule), strict=True
    ):
        if expected.size:
            assert_close(actual, expected, dtype)


@pytest.mark.parametrize("source", ["float16", "float32", "float64", "int8", "uint8", "int64", "uint32"])
@pytest.mark.parametrize("columns", ["int32", "int64"])
def test_types_of_values_and_columns(kernel_backend, dtype, source, columns):
    check(
        kernel_backend,
        *sparse_case((30, 7, 2), "tanh", "identity", "mean_squared_error", dtype, 11, source=source, columns=columns),
    )


@pytest.mark.parametrize("hidden", ["tanh", "gelu"])  # whose derivatives are of activations, and of weighted sums
@pytest.mark.parametrize("optimizer", [SGD(0.01), Adam(0.01, epsilon=1e-2)], ids=lambda o: o.name)
@pytest.mark.parametrize(("batch_size", "key"), [(1, 3), (4, None), (5, 3), (13, 3)])
def test_training_as_with_zeros_written_out(backend, dtype, hidden, optimizer, batch_size, key):
    for sizes in ((20, 40, 3), (3, 2, 2), (40, 1)):
        network, X = sparse_case(sizes, hidden, "identity", "mean_squared_error", dtype, 13, decided=True)
        schedule = Schedule(optimizer, batch_size, 2, key)
        expected = trained(backend, network, network.X, schedule)
        for actual, e in zip(trained(backend, network, X, schedule), expected, strict=True):
            if e.size:
                assert_close(actual, e, dtype)
        with pytest.raises(AssertionError):
            assert_close(network.parameters, expected[0], dtype)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_training_with_weights(backend, batch_size):
    network, X = sparse_case((20, 9, 3), "tanh", "identity", "mean_squared_error", "float64", 13)
    weights = np.arange(13) / 6.0
    schedule = Schedule(Adam(0.01, epsilon=1e-2), batch_size, 2, 3)
    expected = trained(backend, network, network.X, schedule, weights=weights)
    for actual, e in zip(trained(backend, network, X, schedule, weights=weights), expected, strict=True):
        assert_close(actual, e, "float64")


def test_dropout_of_layers_as_with_zeros_written_out(sparse, backend):
    X, y = matrix(sparse), np.random.default_rng(1).normal(size=(30, 2))
    networks = [made(backend.name) for _ in range(2)]
    for network, samples in zip(networks, (X, X.toarray()), strict=True):
        network.train(samples, y, 3, 0.05, 7, dropout=0.5)
    np.testing.assert_allclose(networks[0].parameters, networks[1].parameters, rtol=0, atol=1e-4)
    for options in ({"input_noise": 0.1}, {"input_dropout": 0.1}):
        before = networks[0].parameters.tobytes()
        with pytest.raises(ValueError, match=r"^input_(noise|dropout) must be 0 for sparse samples, got 0\.1$"):
            networks[0].train(X, y, 1, **options)
        assert networks[0].parameters.tobytes() == before


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("sizes", [(60, 40, 3), (60, 1)])
def test_bits_do_not_depend_on_threads(kernel_backend, dtype, threads, sizes, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    network, X = sparse_case(sizes, "relu", "identity", "mean_squared_error", dtype, 76)
    schedule = Schedule(Adam(0.01), 25, 2, 3)  # the last batch is one sample
    one = trained(kernel_backend, network, X, schedule)
    assert bits(trained(kernel_backend, network, X, schedule, threads)) == bits(one)


def test_a_plan_is_used_again(backend):
    """By sparse trainings, dense ones, and sparse ones with more values, in turn."""
    network, few = sparse_case((20, 5, 2), "tanh", "identity", "mean_squared_error", "float64", 13)
    many, schedule = rows(13, 20, most=19), Schedule(SGD(0.01), 5, 2, 3)
    executor = network.executor(backend)
    for X in (few, few, many, written_out(few), few, many):
        executor.parameters[:] = network.parameters
        executor.changed()
        training = executor.training(X, network.y, network.state(SGD()), schedule)
        training.run(0, 6)
        training.collect()
        training.close()
        assert executor.parameters.tobytes() == trained(backend, network, X, schedule)[0].tobytes()


@pytest.mark.parametrize("sizes", [(20, 5, 2), (20, 40, 2), (20, 1)])
def test_scratch_full_of_rubbish(kernel_backend, dtype, sizes, monkeypatch):
    network, X = sparse_case(sizes, "tanh", "identity", "mean_squared_error", dtype, 13)
    results = []
    for byte in (0x00, 0xFF, 0xFF):
        poison(monkeypatch, byte)
        executor = network.executor(kernel_backend)
        results.append(bits(trained(kernel_backend, network, X, Schedule(SGD(0.01), 5, 2, 3))))
        results[-1] += bits([executor.predict(X), *executor.gradient(X, network.y)])
    assert results[0] == results[1] == results[2]


def test_columns_that_were_changed_meanwhile_lead_nowhere_else(kernel_backend):
    network, X = sparse_case((20, 5, 2), "tanh", "identity", "mean_squared_error", "float64", 13)
    X.columns[::3] = 10**9
    X.columns[1::3] = -5
    clamped = SparseRows(X.values, X.columns.clip(0, 19), X.starts, 20)
    schedule = Schedule(SGD(0.01), 5, 2, 3)
    assert bits(trained(kernel_backend, network, X, schedule)) == bits(
        trained(kernel_backend, network, clamped, schedule)
    )


def test_work_is_that_of_the_values():
    """Threads share what is worth it: 5 values times 9 neurons, and 3 rows times 9 biases and 20 others."""
    for dtype, each in (("float32", 1), ("float64", 2)):
        model = case((1000, 9, 2), "tanh", "identity", "mean_squared_error", dtype, 1).model
        assert multiplications(model, 3, 5) == each * (5 * (9 + 50) + 3 * (9 + 20 + 50))
        assert multiplications(model, 3) == each * 3 * (1001 * 9 + 20 + 50)


# --- SciPy's matrices and arrays


@pytest.fixture
def sparse():
    return pytest.importorskip("scipy.sparse")


def made(backend=None, dtype="float64", sizes=(12, 5, 2)):
    return fastmlp.NeuralNetwork(sizes, "tanh", dtype=dtype, seed=1, backend=backend)


def matrix(sparse, kind="csr_array", samples=30, features=12, **options):
    X = rows(samples, features, **options)
    return getattr(sparse, kind)((X.values, X.columns, X.starts), shape=X.shape)


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix"])
@pytest.mark.parametrize("columns", ["int32", "int64"])
def test_matrices_and_arrays(sparse, backend, dtype, kind, columns):
    X, y = matrix(sparse, kind, columns=columns), np.random.default_rng(1).normal(size=(30, 2))
    X.indptr, X.indices = X.indptr.astype(columns), X.indices.astype(columns)  # SciPy chooses for itself
    weights = np.arange(30)
    dense, network = made(backend.name, dtype), made(backend.name, dtype)
    D = X.toarray()
    assert_close(network.predict(X), dense.predict(D), dtype)
    assert_close(network.predictor()(X), dense.predict(D), dtype)
    assert_close(network.evaluate(X, y, weights), dense.evaluate(D, y, weights), dtype)
    assert_close(network.gradient(X, y), dense.gradient(D, y), dtype)
    options = {"learning_rate": 0.01, "batch_size": 8, "sample_weight": weights}
    assert_close(network.train(X, y, 3, **options).loss, dense.train(D, y, 3, **options).loss, dtype)
    assert_close(network.parameters, dense.parameters, dtype)
    streamed, other = (made(backend.name, dtype) for _ in range(2))
    streamed.train_stream([(X[:16], y[:16]), (X[16:], y[16:])], 2, batch_size=8)
    other.train(X, y, 2, shuffle=False, batch_size=8)
    assert streamed.parameters.tobytes() == other.parameters.tobytes()


@pytest.mark.parametrize("samples", [1, 30])
def test_a_matrix_of_nothing(sparse, backend, samples):
    X, y = sparse.csr_array((samples, 12)), np.ones((samples, 2))
    network, dense = made(backend.name), made(backend.name)
    assert_close(network.predict(X), dense.predict(np.zeros((samples, 12))), "float64")
    network.train(X, y, 2, 0.1)
    dense.train(np.zeros((samples, 12)), y, 2, 0.1)
    assert_close(network.parameters, dense.parameters, "float64")


def test_outputs_into_an_array(sparse, backend):
    network, X, out = made(backend.name), matrix(sparse), np.empty((30, 2))
    assert network.predictor()(X, out=out) is out
    assert out.tobytes() == network.predict(X).tobytes()


def test_nothing_of_the_matrix_is_changed(sparse, backend):
    X = matrix(sparse)
    before = copy.deepcopy(X)
    made(backend.name).train(X, np.ones((30, 2)), 1)
    for name in ("data", "indices", "indptr"):
        assert getattr(X, name).tobytes() == getattr(before, name).tobytes()


def test_threads_predict_the_same(sparse, fast_backend, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    X = matrix(sparse, samples=20_000, features=2000)
    predictions = [made(fast_backend.name, sizes=(2000, 20, 2)) for _ in range(2)]
    predictions[0].threads = 1
    teams, run = [], threads.Team.run

    def noted(team, *rest, **options):
        teams.append(team.size)
        return run(team, *rest, **options)

    monkeypatch.setattr(threads.Team, "run", noted)
    monkeypatch.setattr(prediction, "WORTH", 1)
    monkeypatch.setattr(pace, "_lesson", (-pace.MEMORY, 2))
    monkeypatch.setattr(pace, "_pace", lambda kind, most, thread: pace.Pace(most))  # one that has learned nothing
    expected = predictions[0].predict(X)
    assert teams == []
    assert predictions[1].predict(X).tobytes() == expected.tobytes()
    assert predictions[1].predict(X[5000:]).tobytes() == expected[5000:].tobytes()
    assert teams == [2, 2]


def test_memory_is_that_of_the_values(sparse, fast_backend):
    """With their zeros, these samples would be 16 gigabytes."""
    X = matrix(sparse, samples=20_000, features=100_000, source="float32", most=10)
    y = np.zeros((20_000, 1))
    network = fastmlp.NeuralNetwork([100_000, 2, 1], backend=fast_backend.name, seed=0)
    for work in (
        lambda: network.predict(X),
        lambda: network.evaluate(X, y),
        lambda: network.train(X, y, 1, 0.1, 1000, optimizer="adam"),
    ):
        assert peak(work) < 64 * 4 * 100_000 + 20 * 8 * 20_000


# --- what is refused


@pytest.mark.parametrize("format", ["csc", "coo", "lil", "dok", "bsr", "dia"])
def test_other_formats(sparse, format):
    X = matrix(sparse).asformat(format)
    network = made()
    for call in (network.predict, network.predictor(), lambda X: network.train(X, np.ones((30, 2)), 1)):
        with pytest.raises(TypeError, match=rf"in CSR format, got {format.upper()}: X.tocsr\(\) makes one"):
            call(X)


def test_bad_matrices(sparse):
    network, y = made(), np.ones((30, 2))

    def refused(X, message):
        for call in (network.predict, lambda X: network.evaluate(X, y), lambda X: network.train(X, y, 1)):
            with pytest.raises((ValueError, TypeError), match=message):
                call(X)

    refused(matrix(sparse, features=11), r"X must be of shape \(n_samples, 12\), got \(30, 11\)")
    refused(sparse.csr_array((0, 12)), r"X must be of shape \(n_samples, 12\), got \(0, 12\)")
    refused(matrix(sparse) * 1j, "X must be an array of real numbers, got complex numbers")
    X = sparse.csr_array(([1.0, np.nan, 2.0], [3, 7, 0], [0, 0, 1, 3] + [3] * 27), shape=(30, 12))
    refused(X, r"X must be finite, got nan at X\[2, 7\]")
    network = made(dtype="float32")
    X = sparse.csr_array(([1e300], [5], [0] * 5 + [1] * 26), shape=(30, 12))
    refused(X, r"X must be finite as float32, got 1e\+300 at X\[4, 5\]")
    network = made()
    X = matrix(sparse)
    X.indices[2] = 12
    refused(X, "X must be a CSR matrix whose indices are from 0 to 11, got 12")
    X = matrix(sparse)
    X.indptr[3] = X.indptr[4] + 1
    refused(X, "X must be a CSR matrix whose indptr goes from 0 up to the number of values")
    X = matrix(sparse)
    X.indptr[-1] += 1
    refused(X, "X must be a CSR matrix whose indptr goes from 0 up to the number of values")


def test_nan_when_it_is_allowed(sparse, backend):
    X = sparse.csr_array(([np.nan], [7], [0, 0, 1, 1]), shape=(3, 12))
    assert np.isnan(made(backend.name).predict(X, allow_nan=True)).any(axis=1).tolist() == [False, True, False]


def test_where_samples_have_to_be_dense(sparse):
    X, y = matrix(sparse), np.ones((30, 2))
    with pytest.raises(TypeError, match=r"X must be a dense array, got a sparse one: X.toarray\(\) makes one"):
        made().backward(X, y)
    with pytest.raises(TypeError, match="y must be a dense array, got a sparse one"):
        made().train(X, matrix(sparse, features=2), 1)


def test_networks_know_nothing_of_scipy_unless_it_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    network = made()
    assert pickle.loads(pickle.dumps(network)).predict(np.ones((1, 12))).shape == (1, 2)
