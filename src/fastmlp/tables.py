"""CSV files as people have them: any common delimiter, quoting, byte-order marks, errors that name the line."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .kernels.records import Record, frozen

DELIMITERS = "\t|;,"  # those least likely inside a cell first
SNIFFED_RECORDS = 100


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
        return f"{self.path} line {self.lines[row]}, column {column!r},"

    def has_decimal_commas(self, column: str) -> bool:
        """Tell whether a column's commas are decimal points: those of a `;` file, if the column has no points."""
        cells = self.columns[column]
        return self.delimiter == ";" and not any("." in cell for cell in cells) and any("," in cell for cell in cells)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as float64, NaN where a cell is no number."""
        if column not in self._numbers:
            cells = self.columns[column]
            if self.has_decimal_commas(column):
                cells = [cell.replace(",", ".") for cell in cells]
            self._numbers[column] = np.fromiter(map(_number, cells), np.float64, len(cells))
        return self._numbers[column]


def _number(cell: str) -> float:
    try:
        return float("nan" if "_" in cell else cell)  # Python's own 1_000 is no number in a table
    except ValueError:
        return float("nan")


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
    repeated = sorted({name for name in names if name and names.count(name) > 1})
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
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what Excel calls Unicode text
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" not in data:
            line = data.count(b"\n", 0, error.start) + 1
            raise ValueError(
                f"{path} must be text in UTF-8, got the byte 0x{data[error.start]:02x} in line {line}"
            ) from None
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path} must be a text file of comma-separated values, got a binary file")
    return text


def _records(path: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each record begins, and its cells; blank lines are no records."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = reader.line_num + 1  # a quoted cell may hold line breaks: the record begins here
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path} line {line} must be properly quoted, got: {error}") from None
        if len(cells) > 1 or any(cells):
            yield line, cells


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
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return buffer.getvalue()


def replace_file(path: str, text: str) -> None:
    """Write a text file whole or not at all: what was there stays if writing fails."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or /dev/stdout is written to, never replaced
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return
    path = os.path.realpath(path)
    scratch = f"{path}.{os.getpid()}.tmp"
    try:
        with open(scratch, "x", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.replace(scratch, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None  # names the user's file, not the scratch one
    finally:
        Path(scratch).unlink(missing_ok=True)


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Quote names for an error message, the first `limit` of them."""
    more = len(names) - limit
    return ", ".join(map(repr, names[:limit])) + (f" and {more} more" if more > 0 else "")
