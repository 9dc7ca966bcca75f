"""Predictors: what a network computes at one moment, in memory that is there already.

`NeuralNetwork.predict` is made of them, so that much of what is said here holds for it.
"""

import inspect
import pickle

import numpy as np
import pytest
from cases import network_of
from forms import forms
from predictions import ROWS, SIZES, from_oracle, read_only, samples
from refusals import BAD_X, refusal
from test_network import TOLERANCE

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.runtime import prediction


@pytest.fixture
def network(backend, dtype):
    return network_of(SIZES, dtype=dtype, backend=backend.name)


# --- what it computes


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_outputs_are_those_of_the_formulas(network, source):
    predictor = network.predictor()
    for X in (samples(1, source), samples(2, source), samples(ROWS, source)):
        outputs = predictor(X)
        assert (outputs.shape, outputs.dtype) == (X.shape, network.dtype)
        tolerance = TOLERANCE[network.dtype]
        np.testing.assert_allclose(outputs, from_oracle(network, X), rtol=tolerance, atol=tolerance)
        assert network.predict(X).tobytes() == outputs.tobytes()
        one = predictor(X[0])
        assert (one.shape, one.dtype) == ((3,), network.dtype)
        assert one.tobytes() == predictor(X[:1]).tobytes() == network.predict(X[0]).tobytes()


def test_all_forms_of_data_are_read_right(network, tmp_path):
    predictor, X = network.predictor(), samples(7, network.dtype)
    expected = predictor(X).tobytes()
    for name, same in forms(X, tmp_path):
        assert predictor(same).tobytes() == expected, name
        assert network.predict(same).tobytes() == expected, name
    numbers = (X * 10).astype(int)
    expected = predictor(numbers.astype(network.dtype)).tobytes()
    for dtype in "bhilqef":
        assert predictor(numbers.astype(dtype)).tobytes() == expected, dtype
    assert predictor(X != 0).tobytes() == predictor(np.ones_like(X)).tobytes()
    assert predictor(X[0].tolist()).tobytes() == predictor(X[0]).tobytes()
    for same in (X[0, ::-1].copy()[::-1], np.repeat(X[0], 2)[::2], np.broadcast_to(X[0], (2, 3))[1]):
        assert predictor(same).tobytes() == predictor(X[0]).tobytes()


def test_what_kernels_cannot_read_is_converted_part_by_part(network, monkeypatch):
    monkeypatch.setattr(prediction, "CONVERTED_AT_ONCE", 30)
    X = samples(25, np.float16)
    np.testing.assert_array_equal(network.predict(X), network.predict(X.astype(float)))
    X[24, 2] = np.nan
    with pytest.raises(ValueError, match=r"got nan at X\[24, 2\]$"):
        network.predict(X)


def test_outputs_are_the_users(network):
    predictor, X = network.predictor(), samples(4)
    for each in (predictor, network.predict):
        first, second = each(X), each(X)
        kept = second.copy()
        first[...] = 0
        assert not np.shares_memory(first, second)
        assert second.tobytes() == kept.tobytes() == each(X).tobytes()


# --- frozen


def changes(network):
    """Everything that changes a network, one after the other."""
    X, y = samples(8), np.zeros((8, 3))
    layer = network.layers[0]
    yield setattr(network, "parameters", network.parameters * 0.5)
    yield setattr(layer, "weights", layer.weights + 1)
    yield setattr(layer, "biases", layer.biases + 1)
    yield setattr(layer.neurons[1], "weights", [0.5, 0.25, 0.125])
    yield setattr(layer.neurons[1], "bias", 0.75)
    yield network.train(X, y, 2)
    yield network.train(X, y, 1, optimizer="adam")
    with pytest.raises(fastmlp.DivergenceError):
        network.train(X * 1e30, y + 1e30, 9, learning_rate=1e30)
    yield


def test_the_network_changes_and_the_predictor_does_not(network):
    X = samples(5)
    predictor = network.predictor()
    expected = predictor(X).tobytes()
    for _ in changes(network):
        assert predictor(X).tobytes() == expected
        fresh = NeuralNetwork(SIZES, network.activations[0], dtype=network.dtype, backend=network.backend)
        fresh.parameters = network.parameters
        assert network.predict(X).tobytes() == network.predictor()(X).tobytes() == fresh.predict(X).tobytes()


def test_a_network_that_forgets_to_forget_is_caught(network, monkeypatch):
    monkeypatch.setattr(NeuralNetwork, "_parameters_changed", lambda self: None)
    with pytest.raises(AssertionError):
        test_the_network_changes_and_the_predictor_does_not(network)


def test_an_interrupted_training_is_followed(network, monkeypatch):
    from fastmlp.training import loop

    def interrupted(work, *rest):
        work.run(0, 1)
        raise KeyboardInterrupt

    X = samples(4)
    before = network.predict(X)
    monkeypatch.setattr(loop, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network.train(X, X, 1, learning_rate=0.1)
    assert (network.predict(X) != before).all()
    np.testing.assert_allclose(network.predict(X), from_oracle(network, X), rtol=1e-4, atol=1e-5)


# --- out


def test_outputs_go_where_they_are_wanted(network):
    predictor = network.predictor()
    for X in (samples(1)[0], samples(1), samples(5), samples(ROWS)):
        expected = predictor(X)
        for form in (X, X.astype("f4"), X.tolist()):
            out = np.full(expected.shape, np.nan, network.dtype)
            assert predictor(form, out=out) is out
            np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
        assert predictor(X, out) is out
        assert predictor(X=X, out=out) is out
        assert predictor(out=out, X=X) is out
        assert out.tobytes() == expected.tobytes()
        assert predictor(X, None).tobytes() == predictor(X, out=None).tobytes() == expected.tobytes()


def test_outputs_may_go_to_a_part_or_a_map_of_something(network, tmp_path):
    predictor, X = network.predictor(), samples(4)
    table = np.zeros((9, 3), network.dtype)
    assert predictor(X, out=table[3:7]).base is table
    np.testing.assert_array_equal(table, np.concatenate([np.zeros((3, 3)), predictor(X), np.zeros((2, 3))]))
    mapped = np.memmap(tmp_path / "out", network.dtype, "w+", shape=(4, 3))
    assert predictor(X, out=mapped) is mapped
    np.testing.assert_array_equal(mapped, predictor(X))


def overlapping(dtype):
    """(X, out) in the same memory."""
    for rows in (1, 5, ROWS):
        for shift in (0, 1, 3, 5, 300):
            for there, back in ((0, shift), (shift, 0)):
                memory = np.zeros(3 * rows + shift, dtype)
                X, out = (memory[first : first + 3 * rows].reshape(rows, 3) for first in (there, back))
                X[...] = samples(rows)
                yield X, out
        memory = samples(rows, dtype)
        yield memory[::-1], memory
        yield memory[:, ::-1], memory
        yield np.broadcast_to(memory[-1], (rows, 3)), memory
        yield memory[0], memory[0]
        if dtype == "float32":
            wide = samples(rows, "float64")
            yield wide, wide.view("float32").reshape(2 * rows, 3)[:rows]


def check_overlapping(predictor):
    for X, out in overlapping(predictor.dtype):
        expected = predictor(X.copy())
        assert predictor(X, out=out).tobytes() == expected.tobytes()


def test_outputs_may_take_the_place_of_samples(network):
    check_overlapping(network.predictor())


def test_outputs_that_spoil_samples_are_caught(dtype, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(np, "may_share_memory", lambda a, b: False)
    with pytest.raises(AssertionError):
        check_overlapping(network_of(SIZES, dtype=dtype, backend="jit").predictor())


def unaligned(rows, columns):
    return np.zeros(4 * rows * columns + 1, np.uint8)[1:].view("f4").reshape(rows, columns)


NO_ARRAY, NO_DTYPE, NO_SHAPE = "an array or None", "an array of dtype float32", "of shape (2, 3)"
WRONG_OUT = {
    "a list": ([[0.0] * 3] * 2, TypeError, NO_ARRAY, "list"),
    "a number": (3, TypeError, NO_ARRAY, "int"),
    "masked": (np.ma.zeros((2, 3), "f4"), TypeError, NO_ARRAY, "MaskedArray"),
    "integers": (np.zeros((2, 3), np.int64), TypeError, NO_DTYPE, "int64"),
    "too wide": (np.zeros((2, 3)), TypeError, NO_DTYPE, "float64"),
    "another byte order": (np.zeros((2, 3), ">f4"), TypeError, NO_DTYPE, ">f4"),
    "too many rows": (np.zeros((3, 3), "f4"), ValueError, NO_SHAPE, "(3, 3)"),
    "too few columns": (np.zeros((2, 2), "f4"), ValueError, NO_SHAPE, "(2, 2)"),
    "flat": (np.zeros(6, "f4"), ValueError, NO_SHAPE, "(6,)"),
    "too deep": (np.zeros((1, 2, 3), "f4"), ValueError, NO_SHAPE, "(1, 2, 3)"),
    "Fortran": (np.zeros((3, 2), "f4").T, ValueError, "C-contiguous", "an array that is not"),
    "strided": (np.zeros((4, 3), "f4")[::2], ValueError, "C-contiguous", "an array that is not"),
    "read-only": (read_only(np.zeros((2, 3), "f4")), ValueError, "writeable", "an array that is not"),
    "unaligned": (unaligned(2, 3), ValueError, "aligned", "an array that is not"),
}


@pytest.mark.parametrize("name", WRONG_OUT)
def test_outputs_that_cannot_go_there(backend, name):
    out, error, rule, given = WRONG_OUT[name]
    predictor = network_of(SIZES, backend=backend.name).predictor()
    before = pickle.dumps(out)
    for X in (samples(2), samples(2, "f4"), samples(2).tolist()):
        with pytest.raises(error) as caught:
            predictor(X, out=out)
        assert str(caught.value) == f"out must be {rule}, got {given}"
    assert pickle.dumps(out) == before


def test_a_vector_for_a_vector(network):
    predictor, row = network.predictor(), samples(1)
    for X, shape in ((row, (3,)), (row[0], (1, 3))):
        with pytest.raises(ValueError, match=r"^out must be of shape \("):
            predictor(X, out=np.zeros(shape, network.dtype))


# --- what it refuses


def test_bad_samples(backend):
    network = network_of(SIZES, backend=backend.name)
    predictor = network.predictor()
    for value in BAD_X:
        assert refusal(predictor, value) == refusal(network.predict, value) == "X"


def test_wrong_calls(network):
    predictor, X = network.predictor(), samples(2)
    for call in (
        lambda: predictor(),
        lambda: predictor(X, None, 3),
        lambda: predictor(X, to=X),
        lambda: predictor(out=X),
        lambda: predictor(X, None, out=None),
    ):
        with pytest.raises(TypeError, match="argument"):
            call()


def spoiled(dtype):
    """(X, sentence): one number of many is not finite."""
    for row, rows in [(0, 1), (0, 2), (255, 256), (256, ROWS), (ROWS - 1, ROWS)]:
        for column in (0, 2):
            for value in (np.nan, np.inf, -np.inf):
                X = samples(rows, dtype)
                X[row, column] = value
                yield X, f"X must be finite, got {value} at X[{row}, {column}]"


def check_not_finite(call, X, sentence):
    with pytest.raises(ValueError, match="X must be finite") as caught:
        call(X)
    assert str(caught.value) == sentence


def test_signatures(network):
    """Also of what goes straight to a kernel."""
    for predictor in (network.predictor(), pickle.loads(pickle.dumps(network.predictor()))):
        signature = inspect.signature(predictor)
        assert [*signature.parameters] == ["X", "out"]
        assert signature.parameters["out"].default is None
        assert signature.bind(1).arguments == {"X": 1}
    assert [*inspect.signature(fastmlp.Predictor).parameters] == ["prediction", "backend", "backend_asked"]


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_numbers_that_are_not_finite(network, source):
    predictor = network.predictor()
    for X, sentence in spoiled(source):
        check_not_finite(predictor, X, sentence)
        check_not_finite(network.predict, X, sentence)
        check_not_finite(lambda X: predictor(X, out=np.empty_like(X, network.dtype)), X, sentence)
    check_not_finite(predictor, np.array([0, np.nan, 0], source), "X must be finite, got nan at X[0, 1]")


def test_numbers_that_are_too_large(backend):
    X = samples(ROWS)
    X[300, 1] = -1e39
    network = network_of(SIZES, backend=backend.name)
    for call in (network.predict, network.predictor()):
        check_not_finite(call, X, "X must be finite as float32, got -1e+39 at X[300, 1]")
    X = np.full((2, 3), np.finfo("float32").max, "float64")  # whose sum would be infinite
    assert np.isfinite(network.predict(X)).all()


def test_samples_that_change_while_they_are_looked_at(network, monkeypatch):
    """They were not finite when the kernel read them, and are when Python looks for the place."""
    monkeypatch.setattr(fastmlp.checks.array_checks, "require_finite", lambda *arguments: None)
    sentence = f"X must be finite as {network.dtype}, got other numbers while it was read"
    check_not_finite(network.predict, samples(2) * np.nan, sentence)


def test_a_kernel_that_lets_nan_through_is_caught(network, monkeypatch):
    cls = type(network._executor.prediction())
    run = cls.run
    monkeypatch.setattr(cls, "run", lambda self, X, output, allow_nan: run(self, X, output, allow_nan=True))
    with pytest.raises(pytest.fail.Exception):
        check_not_finite(network.predict, [[0, np.nan, 0]], "X must be finite, got nan at X[0, 1]")


def test_subclasses_of_arrays_go_the_long_way(network):
    """They may mean something else by their numbers, as masked arrays do."""

    class Doubled(np.ndarray):
        def __array_wrap__(self, *arguments, **options):
            raise AssertionError

    predictor, X = network.predictor(), samples(2)
    for call in (predictor, network.predict):
        with pytest.raises(TypeError, match="X must be an array without a mask, got a masked array"):
            call(np.ma.masked_array(X, X > 0))
        assert type(call(X.view(Doubled))) is np.ndarray
        assert call(X.view(Doubled)).tobytes() == call(X).tobytes()
