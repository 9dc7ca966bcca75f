"""What cells say, against the fractions of the standard library, and lines and records against its io and csv."""

import csv
import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.tables.cells import exact, number, refused
from fastmlp.tables.reading import _lines, _records, format_table

numerals = st.from_regex(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@given(numerals, numerals)
def test_numbers_are_compared_exactly(one, other):
    assert exact(one) == exact(other) if Fraction(one) == Fraction(other) else exact(one) != exact(other)
    assert number(one) == float(Fraction(one))


@given(numerals, st.integers(0, 3))
def test_spellings_of_one_number_are_equal(cell, zeros):
    value = exact(cell)
    plain = f"{value:f}"
    padded = plain + "." * ("." not in plain) + "0" * zeros
    for other in (plain, padded, f"{value:e}", f"{value:E}"):
        assert exact(other) == value
        assert hash(exact(other)) == hash(value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("\N{MINUS SIGN}5", -5),
        ("1e\N{MINUS SIGN}1", 0.1),
        ("+1", 1),
        ("\uff11\uff12", 12),  # full width
        ("-0", 0),
        ("5.", 5),
        (".5", 0.5),
    ],
)
def test_numbers_as_people_write_them(cell, value):
    assert number(cell) == value
    assert float(exact(cell)) == value


@pytest.mark.parametrize("cell", ["", "x", "0x10", "1_000", "1 000", "1,5", "--1", "1e", "nan", "snan", "\u00b2"])
def test_other_cells_hold_no_number(cell):
    assert np.isnan(number(cell))
    assert exact(cell) is None


def test_numbers_beyond_float64():
    assert exact("9007199254740993") != exact("9007199254740992")
    assert exact("0.10000000000000000001") != exact("0.1")
    assert exact("1e999") != exact("1e998")
    assert exact("1e-999") != exact("0")
    assert exact("1" * 5000) == 10**5000 // 9
    assert number("1e999") == np.inf
    assert exact("inf") is None
    assert exact("1e" + "9" * 30) is None


@given(st.text("ab\r\n\u2028\x0b"))
def test_lines_are_those_of_a_file(text):
    assert list(_lines(text)) == list(io.StringIO(text, newline=""))


@given(st.lists(st.lists(st.text('ab,;" \r\n\u00e9'), min_size=2, max_size=2), min_size=1), st.sampled_from(",;|\t"))
def test_records_are_those_of_the_csv_module(rows, delimiter):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    found = list(_records("", stream.getvalue(), delimiter))
    assert [cells for _, cells in found] == [[cell.strip() for cell in cells] for cells in rows]
    text = list(io.StringIO(stream.getvalue(), newline=""))
    assert all(text[line - 1].startswith('"') for line, _ in found)


@given(st.lists(st.text('ab,;" \r\n\u00e9', min_size=1).filter(lambda cell: cell == cell.strip()), min_size=1))
def test_written_cells_read_back(cells):
    text = format_table(["name"], [[cell] for cell in cells])
    assert [row for _, row in _records("", text, ",")] == [["name"], *([cell] for cell in cells)]
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["name"], *([cell] for cell in cells)]


@pytest.mark.parametrize("limit", [131072, 10])
def test_cells_have_any_length_whatever_the_csv_module_allows(limit):
    before = csv.field_size_limit(limit)
    try:
        [(_, cells)] = _records("", f'{"k" * 200_000},"{"l" * 200_000}"\n', ",")
        assert csv.field_size_limit() == limit
        with pytest.raises(csv.Error, match="field larger than field limit"):
            next(csv.reader(["k" * 200_000]))
    finally:
        csv.field_size_limit(before)
    assert cells == ["k" * 200_000, "l" * 200_000]


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("5%", "'5%', which has a percent sign"),
        ("-2.5 %", "'-2.5 %', which has a percent sign"),
        ("$7", "'$7', which has a dollar sign"),
        ("1,000", "'1,000', which has a comma"),
        ("1 000", "'1 000', which has a blank"),
        ("1_0", "'1_0', which has a low line"),
        ("100% wool", "'100% wool'"),
        ("%", "'%'"),
        ("inf%", "'inf%'"),
        ("$7%", "'$7%'"),
        ("", "an empty cell"),
    ],
)
def test_signs_beside_digits_are_named(cell, what):
    assert refused(cell) == what
