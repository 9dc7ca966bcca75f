"""CSV files to numbers and back: every expectation here is worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.tables.columns import (
    NumberColumn,
    Schema,
    TextColumn,
    decide_task,
    fit_amounts,
    fit_classes,
    fit_feature,
    kind_of,
)
from fastmlp.tables.reading import format_table, read_table, sniff_delimiter


@pytest.fixture
def csv(tmp_path):
    """Write text or bytes to a file and return its path."""

    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def all_rows(table):
    return np.arange(len(table))


def column_of(csv, cells, name="a"):
    """A table with a column of these cells, and another one."""
    return read_table(csv(f"{name},x\n" + "".join(f"{cell},0\n" for cell in cells)))


# Reading


def test_rows_columns_and_lines(csv):
    table = read_table(csv("a,b\n1,x\n\n 2 ,y\n"))
    assert table.columns == {"a": ["1", "2"], "b": ["x", "y"]}
    assert table.lines == [2, 4]
    assert len(table) == 2


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks(csv):
    table = read_table(csv('name,"x, y"\n"a ""b"", c",1\n"two\nlines",2\nlast,3\n'))
    assert table.columns == {"name": ['a "b", c', "two\nlines", "last"], "x, y": ["1", "2", "3"]}
    assert table.lines == [2, 3, 5]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(csv, delimiter):
    table = read_table(csv(f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n"))
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.delimiter == delimiter


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("height, cm;weight, kg\n1,5;2,5\n", ";"),  # as many commas as semicolons would split the second line
        ("a;b;c\n1,5;2,5;3,5\n4,5;5,5;6,5\n", ";"),
        ('"a;b",c\n"1;2",3\n', ","),
        ('"a";"b"\n"x";"y"\n', ";"),
        ("a,b\n1;2,3\n4,5\n", ","),
        ("a\n1\n2\n", ","),
        ("a,b,c\n1,2,3\n1,2\n", ","),  # ragged: the error names the line, of the right delimiter's cells
        ("", ","),
    ],
)
def test_sniffing(text, delimiter):
    assert sniff_delimiter(text) == delimiter


def test_named_delimiter_is_used(csv):
    assert read_table(csv("a,b;c\n1,2;3\n"), delimiter=";").columns == {"a,b": ["1,2"], "c": ["3"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_and_without_byte_order_mark(csv, encoding):
    assert read_table(csv("größe,b\n1,ü\n".encode(encoding))).columns == {"größe": ["1"], "b": ["ü"]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(csv, end):
    table = read_table(csv(end.join(["a,b", "1,2", "3,4"])))
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.lines == [2, 3]


def test_column_without_a_name_is_left_out_and_counted(csv):
    table = read_table(csv(",a,b\n0,1,2\n1,3,4\n"))
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.unnamed == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must have a header line, got an empty file"),
        ("\n\n", "must have a header line, got an empty file"),
        (",,\n1,2,3\n", "must have a header line, got only empty names"),
        (f"{'n' * 10**6},{'n' * 10**6}\n1,2\n", f"each column once, got '{'n' * 37}...{'n' * 38}' repeatedly"),
        (b"a,b\r1,x\rgr\xf6\xdfe,2\r", "must be text in UTF-8, got the byte 0xf6 in line 3"),
        (b"\xff\xfea\0,\0b", "must be a text file of comma-separated values, got a binary file"),  # half of UTF-16
        ("a,b\n", "must have rows below its header, got none"),
        ("a,b\n1,2\n3\n", "line 3 must have 2 cells as the header has, got 1"),
        ('a,b\n"x\ny",2\n3,4,5\n', "line 4 must have 2 cells as the header has, got 3"),
        ("a,b,a, b\n1,2,3,4\n", "line 1 must name each column once, got 'a', 'b' repeatedly"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3 must be properly quoted, got: unexpected end of data"),
        (b"a,b\n1,\x00\n", "text file of comma-separated values, got a binary file (a NUL character in line 2)"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "must be a text file of comma-separated values, got a binary file"),
        (b"a,b\nx,1\ngr\xf6\xdfe,2\n", "must be text in UTF-8, got the byte 0xf6 in line 3"),
    ],
)
def test_files_that_are_no_tables(csv, content, message):
    with pytest.raises(ValueError, match=r"data\.csv") as error:
        read_table(csv(content))
    assert str(error.value).endswith(message)


def test_a_hundred_thousand_columns(csv):
    names = [f"c{i}" for i in range(10**5)]
    assert list(read_table(csv(",".join(names) + "\n" + "1," * (10**5 - 1) + "1")).columns) == names
    with pytest.raises(ValueError, match=r"got 'c1', 'c10', .* and 99979 more repeatedly"):
        read_table(csv(",".join(["c0", *names[1:], *names[1:]]) + "\n"))


def test_an_empty_cell_in_quotes_is_no_blank_line(csv):
    """As data frames write the missing values of their only column."""
    assert read_table(csv('a\n1\n\n""\n  \n3\n')).columns == {"a": ["1", "", "3"]}


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(str(tmp_path / "none.csv"))
    with pytest.raises(OSError, match=str(tmp_path)):
        read_table(str(tmp_path))


# Numbers


def test_numbers_of_cells(csv):
    numbers = read_table(csv("a,b\n1,x\n-2.5e3,x\n1_000,x\n,x\nNA,x\ninf,x\n")).numbers("a")
    np.testing.assert_array_equal(numbers, [1, -2500, np.nan, np.nan, np.nan, np.inf])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a;b\n1,5;x\n2;x\n", [1.5, 2.0]),
        ("a;b\n1,234;x\n2.5;x\n", [np.nan, 2.5]),  # the point decides: this comma is something else
        ("a\tb\n1,5\tx\n2\tx\n", [np.nan, 2.0]),
        ("a;b\n1.234,5;x\n2;x\n", [np.nan, 2.0]),
        ("a;b\n1,2,3;x\n2;x\n", [np.nan, 2.0]),
    ],
)
def test_decimal_commas_belong_to_semicolons(csv, text, numbers):
    np.testing.assert_array_equal(read_table(csv(text)).numbers("a"), numbers)


def test_standardization():
    column = NumberColumn.fit("a", np.array([1.0, 2.0, 3.0, 6.0]))
    assert (column.mean, column.scale) == pytest.approx((3.0, np.sqrt(3.5)))
    np.testing.assert_allclose(column.encode(np.array([3.0, 10.0]))[:, 0], [0.0, 7 / np.sqrt(3.5)])


@given(st.floats(-1e3, 1e3, width=32), st.floats(-1e12, 1e12), st.floats(1e-6, 1e6))
def test_amounts_are_written_with_the_fewest_digits_that_read_back(output, mean, scale):
    expected = float(np.float32(output)) * scale + mean
    [cell] = NumberColumn("a", mean, scale).decode(np.array([[output]], np.float32))
    assert float(cell) == expected
    digits = len(cell.split("e")[0].lstrip("-0.").replace(".", "").rstrip("0"))
    assert digits < 2 or float(f"{expected:.{digits - 2}e}") != expected


@pytest.mark.parametrize(
    ("amount", "cell"),
    [(1.0, "1"), (1e6, "1000000"), (0.125, "0.125"), (0.1 + 0.2, "0.30000000000000004"), (1e22, "1e+22"), (-1.0, "-1")],
)
def test_amounts_as_cells(amount, cell):
    assert NumberColumn("a", 0.0, 1.0).decode(np.array([[amount]])) == [cell]


def test_times_in_seconds_keep_their_fractions():
    """float64 has 2^-22 s there, float32 128 s."""
    times = 1_700_000_000 + np.random.default_rng(0).uniform(0, 1, 1000)
    column = NumberColumn.fit("a", times)
    written = np.array(column.decode(column.encode(times).astype(np.float32)), float)
    np.testing.assert_allclose(written, times, rtol=0, atol=2**-22)


def test_standardization_of_values_whose_squares_overflow():
    column = NumberColumn.fit("a", np.array([1e300, -1e300]))
    assert (column.mean, column.scale) == (0.0, 1e300)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e300])  # the mean of many 0.1 is not 0.1
def test_constant_numbers_are_known_as_such(value):  # and those that vary by rounding: test_constancy.py
    assert NumberColumn.fit("a", np.full(1000, value)).is_constant
    assert not NumberColumn.fit("a", np.array([value, value + 1 + value * 1e-9])).is_constant


# Features


def test_text_is_one_hot_and_unseen_text_is_all_zeros():
    column = TextColumn.fit("color", ["red", "blue", "red"])
    assert column.values == ("blue", "red")
    np.testing.assert_array_equal(column.encode(["red", "mauve", "blue"]), [[0, 1], [0, 0], [1, 0]])
    assert column.decode(np.array([[0.2, 0.1], [0.0, 0.9]])) == ["blue", "red"]


def test_numbers_as_text_sort_by_value():
    assert TextColumn.fit("a", ["10", "9", "x", "nan", "-1"]).values == ("-1", "9", "10", "nan", "x")
    large = ["9007199254740993", "9007199254740992", "1e999", "1_0", "007", "7"]
    assert TextColumn.fit("a", large).values == ("007", "7", *sorted(large[:2]), "1e999", "1_0")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "3.5"], "number"),
        (["red", "blue", "red"], "text"),
        (["1", "x", "y"], "text"),
        (["NA", "yes", "no"], "text"),  # in a column of text, NA is a text
        (["NA", "5", ""], "number"),
        (["007", "7", "12"], "code"),
        (["00", "0", "1"], "code"),
        (["08001", "80331", "K1A"], "code"),  # one of another country
        (["\u0660\u0660\u0667", "\u0667"], "code"),  # 007 and 7 in Arabic digits
        (["0", "0.5", "10"], "number"),
        (["01.50", "12.25"], "number"),  # padded, as "%05.2f" writes
        (["05", "-05"], "number"),
        (["07", "1e0"], "number"),
        (["007", "x", "y"], "text"),
    ],
)
def test_kind_of_column(csv, cells, kind):
    table = column_of(csv, cells)
    assert kind_of(table, "a") == kind
    if "K1A" not in cells and "" not in cells:
        assert fit_feature(table, "a", all_rows(table), kind).kind == {"code": "text"}.get(kind, kind)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "2", "", "4"], "line 4, column 'a', must be a number, got an empty cell"),
        (["1", "NA", "2", "NA"], "line 3, column 'a', must be a number, got 'NA' (2 such cells)"),
        (["1", "2", "3", "4+"], "line 5, column 'a', must be a number, got '4+'"),
        (["1", "inf", "3"], "line 3, column 'a', must be a number, got 'inf'"),
        (["1", "1e999"], "line 3, column 'a', must be a number, got '1e999'"),
        (["x", "", "y"], "line 3, column 'a', must not be empty, got an empty cell"),
        (["", ""], "line 2, column 'a', must not be empty, got an empty cell"),
        (
            [f"name {i}" for i in range(101)],
            "column 'a' must hold numbers or at most 100 different texts, got 101 such as 'name 0'",
        ),
    ],
)
def test_cells_that_cannot_be_used(csv, cells, message):
    table = read_table(csv("a,b\n" + "".join(f"{cell},0\n" for cell in cells)))
    with pytest.raises(ValueError, match=r"data\.csv") as error:
        fit_feature(table, "a", all_rows(table), kind_of(table, "a"))
    assert str(error.value).endswith(message)


def test_statistics_come_from_the_given_rows_only(csv):
    table = read_table(csv("a,b\n1,x\n3,y\n99,z\n"))
    assert fit_feature(table, "a", np.array([0, 1]), "number") == NumberColumn("a", 2.0, 1.0)
    assert fit_feature(table, "b", np.array([0, 1]), "text") == TextColumn("b", ("x", "y"))


# Targets


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["yes", "no"] * 4, "classification"),
        (["0", "1"] * 4, "classification"),
        (["1.0", "2.0"] * 4, "classification"),
        ([str(i % 20) for i in range(40)], "classification"),
        ([str(i % 21) for i in range(42)], "regression"),
        ([str(i) for i in range(8)], "regression"),
        (["0.5", "1"] * 4, "regression"),
        (["007", "7", "12"] * 9, "classification"),
        ([str(2**53 + i % 20) for i in range(40)], "classification"),
        ([str(2**53 + i % 21) for i in range(42)], "regression"),  # of which float64 has 11
        (["1e300", "1"] * 4, "classification"),
        (["1", "1.00000000000000000001"] * 4, "regression"),
    ],
)
def test_task_is_decided_from_the_target(csv, cells, task):
    table = read_table(csv("y,x\n" + "".join(f"{cell},0\n" for cell in cells)))
    assert decide_task(table, "y", kind_of(table, "y"))[0] == task


@pytest.mark.parametrize(
    ("cells", "classes", "codes"),
    [
        (["1", "1.0", "2", "1e0"], ["1", "2"], [0, 0, 1, 0]),
        (["01", "1.0", "2", "2"], ["01", "2"], [0, 0, 1, 1]),  # the point shows that numbers are meant
        (["-0", "0", "+2", "2"], ["-0", "+2"], [0, 0, 1, 1]),
        (["9007199254740992", "9007199254740993"] * 2, ["9007199254740992", "9007199254740993"], [0, 1, 0, 1]),
        (["9007199254740993", "9007199254740993.0", "9007199254740992", "9007199254740992"], None, [1, 1, 0, 0]),
        (["0.1", "0.10000000000000000001"] * 2, ["0.1", "0.10000000000000000001"], [0, 1, 0, 1]),
        (["007", "07", "7", "12"] * 2, ["007", "07", "7", "12"], [0, 1, 2, 3] * 2),
        (["1", "1.0", "x", "1"] * 2, ["1", "1.0", "x"], [0, 1, 2, 0] * 2),  # not all are numbers: texts
    ],
)
def test_classes_are_told_apart_exactly(csv, cells, classes, codes):
    table = column_of(csv, cells, "y")
    column, found = fit_classes(table, "y", kind_of(table, "y"))
    np.testing.assert_array_equal(found, codes)
    assert classes is None or column == TextColumn("y", tuple(classes))


def test_classes_with_decimal_commas(csv):
    table = read_table(csv("y;x\n0,5;1\n0,50;1\n1,5;1\n1,5;1\n"))
    column, found = fit_classes(table, "y", kind_of(table, "y"))
    assert column == TextColumn("y", ("0,5", "1,5"))
    np.testing.assert_array_equal(found, [0, 0, 1, 1])


def test_kind_of_classes_that_is_asked_for(csv):
    assert fit_classes(column_of(csv, ["1", "1.0"], "y"), "y", "text")[0].values == ("1", "1.0")
    assert fit_classes(column_of(csv, ["007", "7", "8"], "y"), "y", "number")[0].values == ("007", "8")


def test_amounts_are_standardized_by_the_training_rows(csv):
    column, y = fit_amounts(read_table(csv("y,x\n1,0\n3,0\n6,0\n")), "y", np.array([0, 1]))
    assert column == NumberColumn("y", 2.0, 1.0)
    np.testing.assert_array_equal(y, [[-1], [1], [4]])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["a", "a"], "must hold two classes or more, got only 'a'"),
        (["1", "1.0"], "must hold two classes or more, got only '1'"),
        (["a", "", "b"], "line 3, column 'y', must not be empty, got an empty cell"),
        (["a", "b", "c"], "must hold two rows a class or more on average, got 3 classes in 3 rows, such as 'a'"),
    ],
)
def test_classes_that_cannot_be_learned(csv, cells, message):
    table = read_table(csv("y,x\n" + "".join(f"{cell},0\n" for cell in cells)))
    with pytest.raises(ValueError, match=r"data\.csv") as error:
        fit_classes(table, "y", kind_of(table, "y"))
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["3", "3", "4"], "must hold different numbers in the rows to train on, got only '3'"),
        (["1", "?", "3"], "line 3, column 'y', must be a number, got '?'"),
        (["a", "b", "3"], "line 2, column 'y', must be a number, got 'a' (2 such cells)"),
        (["0.3", "0.30000000000000004", "4"], "in the rows to train on, got only '0.3' but for rounding"),
        (["1", "2", "1e39"], "line 4, column 'y', must be comparable to the training rows, got '1e39'"),
    ],
)
def test_amounts_that_cannot_be_learned(csv, cells, message):
    table = read_table(csv("y,x\n" + "".join(f"{cell},0\n" for cell in cells)))
    with pytest.raises(ValueError, match=r"data\.csv") as error:
        fit_amounts(table, "y", np.array([0, 1]))
    assert str(error.value).endswith(message)


# The whole


SCHEMA = Schema((NumberColumn("a", 2.0, 4.0), TextColumn("b", ("x", "y"))), TextColumn("t", ("no", "yes")))


def test_features_are_found_by_name_in_any_order(csv):
    expected = [[0.0, 0, 1], [1.0, 1, 0], [-0.5, 0, 0]]
    for text in ("a,b\n2,y\n6,x\n0,z\n", "more,b,t,a\n?,y,,2\n?,x,,6\n?,z,,0\n"):
        X = SCHEMA.encode_features(read_table(csv(text)))
        np.testing.assert_array_equal(X, expected)
        assert X.dtype == np.float32


def test_unseen_texts_are_reported(csv):
    assert SCHEMA.unseen(read_table(csv("a,b\n2,y\n6,z\n"))) == {"b": ["z"]}
    assert SCHEMA.unseen(read_table(csv("a,b\n2,y\n6,x\n"))) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c,a\n1,2\n", "must have all columns that the model was trained on, got none named 'b'"),
        ("c,d\n1,2\n", "must have all columns that the model was trained on, got none named 'a', 'b'"),
        ("a,b\n1,x\nfive,x\n", "line 3, column 'a', must be a number, got 'five'"),
        ("a,b\n1,x\n1e300,x\n", "line 3, column 'a', must be comparable to the training rows, got '1e300'"),
    ],
)
def test_features_that_cannot_be_encoded(csv, text, message):
    with pytest.raises(ValueError, match=r"data\.csv") as error:
        SCHEMA.encode_features(read_table(csv(text)))
    assert str(error.value).endswith(message)


def test_record_and_back():
    assert Schema.from_record(SCHEMA.to_record()) == SCHEMA
    assert (SCHEMA.task, SCHEMA.n_inputs) == ("classification", 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("features"),
        lambda record: record.pop("target"),
        lambda record: record.update(features=[]),
        lambda record: record.update(features=record["features"][:1] * 2),
        lambda record: record.update(target=None),
        lambda record: record["features"][0].update(scale=0.0),
        lambda record: record["features"][0].update(scale="wide"),
        lambda record: record["features"][0].update(mean=float("nan")),
        lambda record: record["features"][0].update(mean=10**400),
        lambda record: record["features"][0].pop("kind"),
        lambda record: record["features"][1].update(values=["x", 1]),
        lambda record: record["features"][1].update(values=["x", "x"]),
        lambda record: record["features"][1].update(values=["x", "y", "x"]),
        lambda record: record["features"][1].update(values="xy"),
        lambda record: record["features"][1].update(values=3),
        lambda record: record["features"][1].update(name=3),
        lambda record: record["target"].update(kind="picture"),
    ],
)
def test_damaged_records_are_refused(damage):
    record = SCHEMA.to_record()
    damage(record)
    with pytest.raises(ValueError, match="the model's table must be as fastmlp train writes it"):
        Schema.from_record(record)
    with pytest.raises(ValueError, match="the model's table must be"):
        Schema.from_record([record])


# Writing


def test_written_cells_are_quoted_where_needed(csv):
    text = format_table(["a,b", "c"], [["1", 'x "y"'], ["two\nlines", "z"]])
    assert text == '"a,b",c\n1,"x ""y"""\n"two\nlines",z\n'
    assert read_table(csv(text)).columns == {"a,b": ["1", "two\nlines"], "c": ['x "y"', "z"]}
