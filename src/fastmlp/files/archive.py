"""Arrays in a .npz file: a zip archive of NumPy's .npy files as they are, without compression.

Written piece by piece from front to back, so that a pipe takes it too and an interrupt finds nothing to be closed.
Read without trust: a member is looked at only if its name is expected, and all of them lie apart within the file, so
that reading takes no more memory than the file's size.
"""

import io
import math
import os
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO, NamedTuple

import numpy as np

from ..kernels.base.arrays import Array

PIECE = 1 << 20  # bytes
LIMIT = 0xFFFFFFFF  # what 32 bits cannot say: a larger number is in a field of 64 bits

# Zip's records, little-endian. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3 and 4.5.3
LOCAL = struct.Struct("<4s5H3I2H")
ENTRY = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
LARGE_END = struct.Struct("<4sQ2H2I4Q")
LARGE_PLACE = struct.Struct("<4sIQI")
LOCAL_MARK, ENTRY_MARK, END_MARK = b"PK\3\4", b"PK\1\2", b"PK\5\6"
LARGE_END_MARK, LARGE_PLACE_MARK = b"PK\6\6", b"PK\6\7"
LARGE_FIELD = 1  # the kind of an extra field that holds numbers of 64 bits
VERSION, LARGE_VERSION = 20, 45
UNIX, OWNERS = 3 << 8, 0o600 << 16  # the system that modes are of, and the mode of what is unpacked
FIRST_DAY = 0x21  # of 1980: the same arrays are the same bytes

LONGEST_DIRECTORY = 1 << 16  # bytes
LONGEST_NPY_HEADER = 1 << 10
KINDS = "biufU"  # of dtypes: numbers and text


class Damaged(Exception):
    """A file is no such archive."""


# --- writing


def pieces(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    """The bytes of a file with these arrays.

    Raises
    ------
    RuntimeError
        If an array changes meanwhile.
    """
    directory, position = b"", 0
    for name, array in arrays.items():
        member = f"{name}.npy".encode("ascii")
        array = np.asarray(array, order="C")
        head, data = _npy_header(array), array.reshape(-1).view(np.uint8)
        size, checksum = len(head) + len(data), zlib.crc32(data.data, zlib.crc32(head))
        now, extra = _numbers(size, size)
        version = LARGE_VERSION if extra else VERSION
        local = LOCAL.pack(LOCAL_MARK, version, 0, 0, 0, FIRST_DAY, checksum, *now, len(member), len(extra))
        yield local + member + extra + head
        written = zlib.crc32(head)
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE].tobytes()
            written = zlib.crc32(piece, written)
            yield piece
        if written != checksum:
            raise RuntimeError(f"{name} must not change while they are saved, got other numbers than a moment before")
        (*now, offset), large = _numbers(size, size, position)
        directory += ENTRY.pack(
            ENTRY_MARK, UNIX | version, version, 0, 0, 0, FIRST_DAY, checksum, *now, len(member), len(large), 0, 0, 0,
            OWNERS, offset,
        ) + member + large  # fmt: skip
        position += len(local) + len(member) + len(extra) + size
    yield directory
    (length, offset), large = _numbers(len(directory), position)
    count, end = len(arrays), position + len(directory)
    if large:
        numbers = (count, count, len(directory), position)
        yield LARGE_END.pack(LARGE_END_MARK, LARGE_END.size - 12, LARGE_VERSION, LARGE_VERSION, 0, 0, *numbers)
        yield LARGE_PLACE.pack(LARGE_PLACE_MARK, 0, end, 1)
    yield END.pack(END_MARK, 0, 0, count, count, length, offset, 0)


def _npy_header(array: Array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
    return stream.getvalue()


def _numbers(*values: int) -> tuple[list[int], bytes]:
    """Numbers as fields of 32 bits, and an extra field with those that are too large for them."""
    large = [value for value in values if value >= LIMIT]
    extra = struct.pack(f"<2H{len(large)}Q", LARGE_FIELD, 8 * len(large), *large) if large else b""
    return [min(value, LIMIT) for value in values], extra


# --- reading


class Member(NamedTuple):
    """Where a .npy file lies in an archive."""

    start: int
    size: int
    checksum: int


def read(file: BinaryIO, names: Collection[str]) -> dict[str, Array]:
    """The arrays of a file that may be read in any order, which all have one of these names.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If it is no such archive.
    """
    try:
        return {name: _array(file, member) for name, member in _members(file, names).items()}
    except (struct.error, UnicodeDecodeError):
        raise Damaged from None


def _members(file: BinaryIO, names: Collection[str]) -> dict[str, Member]:
    start, directory = _directory(file)
    found: dict[str, Member] = {}
    places = []
    while directory:
        (
            mark, _, _, flags, method, _, _, checksum, packed, size, name_length, extra_length, comment_length, _, _, _,
            offset,
        ) = ENTRY.unpack_from(directory)  # fmt: skip
        member, rest = _cut(directory[ENTRY.size :], name_length)
        extra, rest = _cut(rest, extra_length)
        _, directory = _cut(rest, comment_length)
        size, packed, offset = _large(extra, size, packed, offset)
        name = member.decode().removesuffix(".npy")
        _require(mark == ENTRY_MARK and not flags & 1 and not method and packed == size)  # else it may inflate
        _require(name in names and name not in found)
        _require(offset + LOCAL.size <= start)
        local = LOCAL.unpack(_read(file, offset, LOCAL.size))
        data = offset + LOCAL.size + local[-2] + local[-1]
        _require(local[0] == LOCAL_MARK and _read(file, offset + LOCAL.size, local[-2]) == member)
        found[name] = Member(data, size, checksum)
        places.append((offset, data + size))
    end = 0
    for offset, after in sorted(places):
        _require(end <= offset)
        end = after
    _require(end <= start)
    return found


def _directory(file: BinaryIO) -> tuple[int, bytes]:
    """Where the table of contents begins, and its bytes."""
    end = file.seek(0, os.SEEK_END) - END.size
    mark, *_, length, start, comment_length = END.unpack(_read(file, end, END.size))
    _require(mark == END_MARK and not comment_length)
    if LIMIT in (length, start):
        end -= LARGE_PLACE.size
        mark, _, place, _ = LARGE_PLACE.unpack(_read(file, end, LARGE_PLACE.size))
        end -= LARGE_END.size
        _require(mark == LARGE_PLACE_MARK and place == end)
        mark, *_, length, start = LARGE_END.unpack(_read(file, end, LARGE_END.size))
        _require(mark == LARGE_END_MARK)
    _require(start + length == end and length <= LONGEST_DIRECTORY)
    return start, _read(file, start, length)


def _large(extra: bytes, *values: int) -> Iterator[int]:
    """The numbers, of which an extra field holds those that are too large for fields of 32 bits."""
    numbers: Iterator[int] = iter(())
    while extra:
        kind, length = struct.unpack_from("<2H", extra)
        field, extra = _cut(extra[4:], length)
        if kind == LARGE_FIELD:
            numbers = iter(struct.unpack(f"<{length // 8}Q", field[: length // 8 * 8]))
    for value in values:
        value = next(numbers, -1) if value == LIMIT else value
        _require(value >= 0)
        yield value


def _array(file: BinaryIO, member: Member) -> Array:
    start = _read(file, member.start, min(member.size, LONGEST_NPY_HEADER))
    shape, reversed_axes, dtype, length = _description(start)
    _require(dtype.kind in KINDS and dtype.itemsize > 0 and all(size >= 0 for size in shape))
    _require(math.prod(shape) * dtype.itemsize == member.size - length)
    try:
        array: Array = np.empty(shape[::-1] if reversed_axes else shape, dtype)
    except ValueError:  # too many axes, or too long ones beside an empty one
        raise Damaged from None
    data = array.reshape(-1).view(np.uint8)
    file.seek(member.start + length)
    _require(file.readinto(data) == len(data))  # type: ignore[attr-defined]
    _require(zlib.crc32(data.data, zlib.crc32(start[:length])) == member.checksum)
    return np.ascontiguousarray(array.T) if reversed_axes else array


def _description(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """What a .npy file says of its array, and how many bytes it says that in."""
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
        }[version]  # fmt: skip
        shape, reversed_axes, dtype = read_header(stream, max_header_size=LONGEST_NPY_HEADER)
    except Exception:  # of the many kinds that parsers of hostile text raise
        raise Damaged from None
    return shape, reversed_axes, dtype, stream.tell()


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    _require(start >= 0)
    file.seek(start)
    data = file.read(length)
    _require(len(data) == length)
    return data


def _cut(data: bytes, length: int) -> tuple[bytes, bytes]:
    _require(length <= len(data))
    return data[:length], data[length:]


def _require(condition: bool) -> None:
    if not condition:
        raise Damaged
