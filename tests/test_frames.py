"""Data frames and series wherever arrays of numbers are taken: booleans, columns with gaps, and what is refused."""

import datetime
import decimal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmlp
from fastmlp.checks.array_checks import numbers

TABLE = {"size": [1.5, 2.0, -3.0, 0.0], "red": [True, False, True, True], "count": [1, 2, 3, 2**40]}
WANTED = np.array([[1.5, 1, 1], [2, 0, 2], [-3, 1, 3], [0, 1, 2**40]])
Y = [1, 2, 3, 4]
GAPS = [
    ("Int64", [1, None, 3]),
    ("boolean", [True, None, False]),
    ("Float32", [1.5, None, 0.5]),
    ("UInt8", [1, None, 255]),
]


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="pandas is missing")


@pytest.fixture
def polars():
    return pytest.importorskip("polars", reason="Polars is missing")


def forms_of_pandas(pandas):
    frame = pandas.DataFrame(TABLE)
    yield frame
    yield frame.convert_dtypes()
    yield frame.astype({"size": "Float64", "count": "Int64"})
    yield frame.astype(object)
    yield frame.astype({"size": "float32", "count": "uint64"})
    yield frame.set_axis(["same"] * 3, axis=1)
    yield frame.set_axis([("a", 1), 2, None], axis=1).set_axis([9, 9, 7, 5], axis=0)
    yield frame.astype({"red": pandas.SparseDtype(bool)})
    yield pandas.concat([frame, frame])[:4]


def check(form, wanted=WANTED):
    array = numbers("X", form)
    assert array.dtype.kind in "fiub"
    np.testing.assert_array_equal(array, wanted)
    network, twin = (fastmlp.NeuralNetwork([wanted.shape[1], 2, 1], seed=0, dtype="float64") for _ in range(2))
    assert network.train(form, Y, 2).loss == twin.train(wanted, Y, 2).loss
    np.testing.assert_array_equal(network.predict(form), twin.predict(wanted))


def test_frames_of_pandas(pandas):
    for form in forms_of_pandas(pandas):
        check(form)
    dummies = pandas.get_dummies(
        pandas.DataFrame({"age": [20.0, 30, 40, 50], "colour": ["red", "green", "red", "blue"]})
    )
    check(dummies, np.array([[20.0, 0, 0, 1], [30, 0, 1, 0], [40, 0, 0, 1], [50, 1, 0, 0]]))
    assert numbers("X", pandas.DataFrame({"a": [True, False]})).dtype == bool
    assert numbers("X", pandas.DataFrame({"a": [2**62 + 1]}, dtype="Int64"))[0, 0] == 2**62 + 1  # no float on the way


def test_columns_of_arrow(pandas):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is missing")
    check(pandas.DataFrame(TABLE).convert_dtypes(dtype_backend="pyarrow"))
    check(pyarrow.table(TABLE))
    with pytest.raises(ValueError, match=r"^X must be finite, got nan at X\[1, 0\]$"):
        train(pyarrow.table({"a": [True, None], "b": [1, 2]}))


def test_frames_of_polars(polars):
    check(polars.DataFrame(TABLE))
    check(polars.DataFrame(TABLE, schema_overrides={"size": polars.Float32}))


def train(X, y=None):
    columns = np.shape(X)[1]
    return fastmlp.NeuralNetwork([columns, 1], seed=0).train(X, np.zeros(len(X)) if y is None else y, 1)


@pytest.mark.parametrize(("dtype", "values"), GAPS)
def test_gaps_are_not_finite(pandas, dtype, values):
    column = pandas.array(values, dtype=dtype)
    with pytest.raises(ValueError, match=r"^X must be finite, got nan at X\[1, 1\]$"):
        train(pandas.DataFrame({"a": [1, 2, 3], "b": column}))
    with pytest.raises(ValueError, match=r"^y must be finite, got nan at y\[1, 0\]$"):
        train(np.ones((3, 2)), pandas.Series(column))
    network = fastmlp.NeuralNetwork([1, 1], seed=0)
    assert np.isnan(network.predict(pandas.DataFrame({"b": column}), allow_nan=True)[:, 0]).tolist() == [
        False,
        True,
        False,
    ]
    classes = fastmlp.NeuralNetwork([2, 3], loss="categorical_cross_entropy")
    with pytest.raises(ValueError, match=r"^y must be finite, got nan at y\[1\]$"):
        classes.train(np.ones((3, 2)), pandas.Series(column), 1)


def test_gaps_of_polars(polars):
    for values in ([1, None], [True, None], [0.5, None]):
        with pytest.raises(ValueError, match=r"^X must be finite, got nan at X\[1, 0\]$"):
            train(polars.DataFrame({"a": values, "b": [1, 2]}))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (["red", "blue"], "text"),
        (["1", "2"], "text"),
        ([1, "2"], "text"),
        ([b"1", b"2"], "bytes"),
        ([datetime.datetime(2020, 1, 1)] * 2, "dates"),
        ([datetime.date(2020, 1, 1)] * 2, "dates"),
        ([decimal.Decimal(1)] * 2, "Decimal"),
        ([1j, 2j], "complex numbers"),
        ([[1], [2]], "list"),
        ([10**30] * 2, "dtype object"),
    ],
)
def test_what_are_no_numbers_names_the_column(pandas, values, what):
    frame = pandas.DataFrame({"size": [1.0, 2.0], "colour": values})
    for call in (train, lambda X: fastmlp.NeuralNetwork([2, 1], seed=0).predict(X)):
        with pytest.raises(TypeError, match=rf"^X must be a table of numbers, got {what} in column 'colour'$"):
            call(frame)
    with pytest.raises(TypeError, match=rf"^y must be an array of real numbers, got {what}$"):
        train(np.ones((2, 1)), frame["colour"])


def test_text_of_other_types(pandas, polars):
    for dtype in ("category", "string"):
        with pytest.raises(TypeError, match=r"^X must be a table of numbers, got text in column 'colour'$"):
            train(pandas.DataFrame({"size": [1, 2], "colour": pandas.array(["a", "b"], dtype=dtype)}))
    for values, what in ((["a", "b"], "text"), ([datetime.date(2020, 1, 1)] * 2, "dates")):
        with pytest.raises(TypeError, match=rf"^X must be a table of numbers, got {what} in column 'colour'$"):
            train(polars.DataFrame({"size": [1, 2], "colour": values}))
    with pytest.raises(TypeError, match=r"^X must be a table of numbers, got text in column \('a', 1\)$"):
        train(pandas.DataFrame({("a", 1): ["x"]}))


def test_arrays_of_objects_are_refused_as_before():
    for value, what in (
        (np.array([[1, True]], object), "dtype object"), ([[None, 1.0]], r"None at X\[0, 0\]"),
        (np.array([["1"]], object), r"'1' at X\[0, 0\]"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=rf"^X must be an array of real numbers, got {what}$"):
            train(value)


def test_series(pandas, polars):
    plain = fastmlp.NeuralNetwork([3, 1], seed=0).train(WANTED[:, :3], Y, 1, sample_weight=[1, 0, 1, 1]).loss
    for y in (
        pandas.Series(Y, dtype="Int64"),
        pandas.Series(Y, dtype=object),
        polars.Series(Y),
        pandas.array(Y, "Int8"),
    ):
        for weights in (pandas.Series([True, False, True, True], dtype="boolean"), polars.Series([1, 0, 1, 1])):
            network = fastmlp.NeuralNetwork([3, 1], seed=0)
            assert network.train(WANTED, y, 1, sample_weight=weights).loss == plain
    row = pandas.DataFrame(TABLE).iloc[0]
    assert row.dtype == object
    np.testing.assert_array_equal(network.predict(row), network.predict(WANTED[0]))
    labels = fastmlp.NeuralNetwork([3, 3], loss="categorical_cross_entropy", seed=0)
    assert labels.train(WANTED, pandas.Series([0, 2, 1, 0], dtype="Int64"), 1).loss


def test_frames_everywhere(pandas):
    frame, y = pandas.DataFrame(TABLE).assign(count=[1, 2, 3, 4]), pandas.Series(Y, dtype="Int64")
    X = np.array(frame.astype(float))

    def answers(X, y):
        network = fastmlp.NeuralNetwork([3, 2, 1], seed=0)
        network.train(X, y, 2, validation_data=(X, y))
        network.train_stream([(X, y)] * 2, epochs=2)
        yield network.predict(X)
        yield network.predictor()(X)
        yield network.evaluate(X, y)
        yield network.gradient(X, y)
        yield network.input_gradient(X, y)
        yield network.layer_outputs(X)[0]
        yield network.jacobian(X)

    for one, other in zip(answers(frame, y), answers(X, np.array(Y)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_library_of_frames_is_imported():
    program = "import sys, fastmlp; fastmlp.NeuralNetwork([1, 1]).train([[1]], [1], 1)\n"
    program += "print({'pandas', 'polars', 'pyarrow'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "set()"


FLOATS, INTEGERS, FLAGS = st.floats(-100, 100, width=32), st.integers(-100, 100), st.booleans()
VALUES = {
    "float64": FLOATS, "float32": FLOATS, "Float64": FLOATS, "int8": INTEGERS, "Int64": INTEGERS, "bool": FLAGS,
    "boolean": FLAGS, "object": FLAGS | INTEGERS | FLOATS,
}  # fmt: skip


@given(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4), st.data())
def test_any_columns(dtypes, data):
    """Each column is what Python makes of its values, whatever stands beside it."""
    pandas = pytest.importorskip("pandas", reason="pandas is missing")
    columns = [data.draw(st.lists(VALUES[dtype], min_size=3, max_size=3)) for dtype in dtypes]
    series = [pandas.Series(values, dtype=dtype) for values, dtype in zip(columns, dtypes, strict=True)]
    array = numbers("X", pandas.concat(series, axis=1))
    np.testing.assert_array_equal(array.astype(float), np.array([[float(v) for v in values] for values in columns]).T)
