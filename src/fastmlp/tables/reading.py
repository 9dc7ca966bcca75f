"""CSV files as people have them: any common delimiter, quoting, byte-order marks, errors that name the line."""

from __future__ import annotations

import codecs
import contextlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.base.errors import shortened
from ..kernels.base.records import Record, frozen
from .cells import listed, number

DELIMITERS = "\t|;,"  # those least likely inside a cell first
SNIFFED_RECORDS = 100
LONGEST_CELL = 2**31 - 1  # of characters: the most that the csv module can be told on every system


@frozen
class Table(Record):
    """The cells of a CSV file by column, all text, none of the columns unnamed.

    Attributes
    ----------
    path : str
        The file, as the user named it.
    columns : dict of str to list of str
        Cells by column name, without surrounding blanks.
    lines : list of int
        The line at which each row begins, counted from 1 as an editor does.
    delimiter : str
    unnamed : int
        How many columns had an empty name and were left out: the index that pandas writes is one.
    """

    path: str
    columns: dict[str, list[str]]
    lines: list[int]
    delimiter: str
    unnamed: int = 0
    _numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, column: str, row: int) -> str:
        """Say where a cell is, for an error message."""
        return f"{self.path} line {self.lines[row]}, column {shortened(column)},"

    def has_decimal_commas(self, column: str) -> bool:
        """Tell whether a column's commas are decimal points: those of a `;` file, if the column has no points."""
        cells = self.columns[column]
        return self.delimiter == ";" and not any("." in cell for cell in cells) and any("," in cell for cell in cells)

    def with_points(self, column: str) -> list[str]:
        """Return a column's cells with points where they have decimal commas."""
        cells = self.columns[column]
        return [cell.replace(",", ".") for cell in cells] if self.has_decimal_commas(column) else cells

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as float64, NaN where a cell is no number."""
        if column not in self._numbers:
            self._numbers[column] = np.fromiter(map(number, self.with_points(column)), np.float64, len(self))
        return self._numbers[column]


def read_table(path: str, delimiter: str | None = None) -> Table:
    """Read a CSV file whose first line names the columns.

    Parameters
    ----------
    path : str
    delimiter : str, optional
        One character. By default the one of `,` `;` tab `|` that splits the first lines evenly.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not text, is empty, has no rows, names a column twice or has rows of another length than its header.
    """
    text = _decode(path, Path(path).read_bytes())
    delimiter = delimiter or sniff_delimiter(text)
    records = _records(path, text, delimiter)
    header_line, names = next(records, (0, []))
    if not any(names):
        raise ValueError(f"{path} must have a header line, got {'only empty names' if names else 'an empty file'}")
    repeated = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if repeated:
        raise ValueError(f"{path} line {header_line} must name each column once, got {listed(repeated)} repeatedly")

    lines, rows = [], []
    for line, cells in records:
        if len(cells) != len(names):
            raise ValueError(f"{path} line {line} must have {len(names)} cells as the header has, got {len(cells)}")
        lines.append(line)
        rows.append(cells)
    if not rows:
        raise ValueError(f"{path} must have rows below its header, got none")
    columns = {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True) if name}
    return Table(path, columns, lines, delimiter, unnamed=names.count(""))


def _decode(path: str, data: bytes) -> str:
    binary = f"{path} must be a text file of comma-separated values, got a binary file"
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what Excel calls Unicode text
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if utf16 or b"\0" in data:
            raise ValueError(binary) from None
        line, byte = sum(1 for _ in _lines(data[: error.start].decode() + ".")), data[error.start]
        raise ValueError(f"{path} must be text in UTF-8, got the byte 0x{byte:02x} in line {line}") from None
    if "\0" in text:
        line = sum(1 for _ in _lines(text[: text.index("\0") + 1]))
        raise ValueError(f"{binary} (a NUL character in line {line})")
    return text


@cache
def _private_csv() -> Any:
    """Load the csv module's C part a second time, for us alone, and let cells be as long as they are.

    The limit of the first, 131,072 characters, is the whole process's: changing it would change it for others.
    """
    spec = importlib.util.find_spec("_csv")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.field_size_limit(LONGEST_CELL)
    return module


def _lines(text: str) -> Iterator[str]:
    """Yield lines with their ends, as a file opened with newline="" does; io.StringIO would copy all of the text."""
    start = 0
    for end in re.finditer(r"\r\n?|\n", text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def _records(path: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each record begins, and its cells; blank lines are no records."""
    csv, line = _private_csv(), ""

    def lines() -> Iterator[str]:
        nonlocal line
        for each in _lines(text):
            line = each
            yield each

    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        first = reader.line_num + 1  # a quoted cell may hold line breaks: the record begins here
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path} line {first} must be properly quoted, got: {error}") from None
        if len(cells) > 1 or any(cells) or '"' in line:  # a quoted "" is a cell, the only one of its row
            yield first, cells


def sniff_delimiter(text: str) -> str:
    """Find the first delimiter that splits the first records all alike, else the one that splits the header most."""
    header_widths = {",": 1}
    for delimiter in DELIMITERS:
        widths = []
        with contextlib.suppress(ValueError):  # wrong quotes, if only because the delimiter is another
            for _, cells in islice(_records("", text, delimiter), SNIFFED_RECORDS):
                widths.append(len(cells))
            if widths and 1 < min(widths) == max(widths):
                return delimiter
        header_widths[delimiter] = widths[0] if widths else 0
    return max(header_widths, key=lambda delimiter: header_widths[delimiter])


def format_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return CSV text with a header, quoted where needed."""
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in (names, *rows))


def _quoted(cell: str) -> str:
    """Quote a cell that would not read back as it is; Python's csv writes a lone carriage return without quotes."""
    return '"' + cell.replace('"', '""') + '"' if not cell or re.search(r'[,"\r\n]', cell) else cell
