"""Real data: idx files against bytes written by hand, every refusal, and the bundled digits against known facts."""

import gzip
import hashlib
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp import datasets
from fastmlp.datasets import load_digits, read_idx

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
MEMORY_LIMIT = 4 * 2**20
examples = settings(deadline=None, derandomize=True)


def header(code, *sizes):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)


def idx(array):
    return header(CODES[array.dtype.name], *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def plain(content):
    return content


def packed(content):
    return gzip.compress(content, mtime=0)


both = pytest.mark.parametrize("pack", [plain, packed])


@pytest.fixture
def write(tmp_path):
    def write(content, name="some.idx"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """One file to write again and again: Hypothesis allows no fixture that belongs to a single example."""
    return tmp_path_factory.mktemp("idx") / "some.idx"


def refusal(path):
    """What read_idx has against the file at `path`: one line that names the path and then the reason."""
    with pytest.raises(ValueError, match=r"^path must name an idx file, got ") as caught:
        read_idx(path)
    message = str(caught.value)
    start = f"path must name an idx file, got {os.fspath(path)!r}: "
    assert message.startswith(start)
    assert "\n" not in message
    return message.removeprefix(start)


# ---------------------------------------------------------------------------------------------- what can be read


@both
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("00 00 08 01  00 00 00 03  00 7f ff", np.array([0, 127, 255], np.uint8)),
        ("00 00 09 01  00 00 00 03  7f 80 ff", np.array([127, -128, -1], np.int8)),
        ("00 00 0b 01  00 00 00 03  01 02  80 00  ff fe", np.array([258, -32768, -2], np.int16)),
        ("00 00 0c 01  00 00 00 02  01 02 03 04  ff ff ff fe", np.array([16909060, -2], np.int32)),
        ("00 00 0d 01  00 00 00 02  3f 80 00 00  c0 20 00 00", np.array([1.0, -2.5], np.float32)),
        ("00 00 0e 01  00 00 00 01  c0 04 00 00 00 00 00 00", np.array([-2.5], np.float64)),
        ("00 00 08 02  00 00 00 02  00 00 00 03  01 02 03 04 05 06", np.array([[1, 2, 3], [4, 5, 6]], np.uint8)),
        ("00 00 0b 03  00 00 00 01  00 00 00 02  00 00 00 01  00 01 00 02", np.array([[[1], [2]]], np.int16)),
        ("00 00 0d 02  00 00 00 00  00 00 00 1c", np.empty((0, 28), np.float32)),
    ],
)
def test_reads_bytes_written_by_hand(write, pack, content, expected):
    array = read_idx(write(pack(bytes.fromhex(content))))
    np.testing.assert_array_equal(array, expected, strict=True)
    assert array.dtype.isnative


@both
@examples
@given(
    array=st.sampled_from([np.dtype(name) for name in CODES]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4))
    )
)
def test_round_trip_keeps_every_bit(scratch, pack, array):
    scratch.write_bytes(pack(idx(array)))
    result = read_idx(scratch)
    assert (result.shape, result.dtype) == (array.shape, array.dtype)
    assert result.tobytes() == array.tobytes()
    assert result.dtype.isnative
    assert result.flags.writeable
    assert result.flags.c_contiguous
    assert result.flags.aligned


@both
def test_reads_more_than_one_piece(write, pack):
    array = np.random.default_rng(0).integers(0, 2**31, size=(3, 2**18 + 1), dtype=np.int32)
    assert array.nbytes > 2 * datasets._PIECE
    np.testing.assert_array_equal(read_idx(write(pack(idx(array)))), array, strict=True)


@both
def test_reads_as_many_dimensions_as_every_numpy_holds(write, pack):
    array = np.arange(4, dtype=np.uint8).reshape((2, *[1] * 30, 2))
    np.testing.assert_array_equal(read_idx(write(pack(idx(array)))), array, strict=True)


def test_content_and_not_the_name_tells_gzip(write):
    array = np.arange(5, dtype=np.int16)
    np.testing.assert_array_equal(read_idx(write(idx(array), "plain.gz")), array)
    np.testing.assert_array_equal(read_idx(write(packed(idx(array)), "packed-idx1-short")), array)


def test_gzip_in_several_members_and_with_a_name_inside(write, tmp_path):
    array = np.arange(500, dtype=np.int16)
    content = idx(array)
    np.testing.assert_array_equal(read_idx(write(packed(content[:99]) + packed(content[99:]))), array)
    with gzip.open(tmp_path / "named.idx.gz", "wb") as file:
        file.write(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "named.idx.gz"), array)


def test_path_may_be_str_or_path(write):
    path = write(idx(np.arange(3, dtype=np.uint8)))
    assert read_idx(str(path)).tolist() == read_idx(Path(path)).tolist() == [0, 1, 2]


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
@both
def test_reads_from_a_pipe(pack):
    reader, writer = os.pipe()
    try:
        os.write(writer, pack(idx(np.arange(3, dtype=np.uint8))))
        os.close(writer)
        assert read_idx(f"/dev/fd/{reader}").tolist() == [0, 1, 2]
    finally:
        os.close(reader)


# ------------------------------------------------------------------------------------------------ what is refused


@both
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it ends within its header, after 0 bytes"),
        (b"\0", "it ends within its header, after 1 bytes"),
        (b"\0\0\x08", "it ends within its header, after 3 bytes"),
        (b"\0\0\x08\x02\0\0\0\x01\0", "it ends within its header, after 9 bytes"),
        (b"PK\x03\x04rest", "it starts with the bytes 50 4b instead of 00 00"),
        (b"\0\x01\x08\x01\0\0\0\x01\x05", "it starts with the bytes 00 01 instead of 00 00"),
        (header(0x0A, 1) + b"\0", "its type code 0x0a is none of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
        (header(0x00, 1) + b"\0", "its type code 0x00 is none of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
        (header(0x08) + b"\0", "its number of dimensions, 0, is not in 1 to 32"),
        (header(0x08, *[1] * 33) + b"\0", "its number of dimensions, 33, is not in 1 to 32"),
        (header(0x08, *[1] * 255) + b"\0", "its number of dimensions, 255, is not in 1 to 32"),
        (header(0x08, 3) + b"ab", "its header announces uint8 of shape (3,), 3 bytes, but 2 follow"),
        (header(0x0E, 2, 2) + bytes(31), "its header announces float64 of shape (2, 2), 32 bytes, but 31 follow"),
        (header(0x08, 3), "its header announces uint8 of shape (3,), 3 bytes, but 0 follow"),
        (
            header(0x0D, 2**20, 2**20) + bytes(9),
            "its header announces float32 of shape (1048576, 1048576), 4398046511104 bytes, but 9 follow",
        ),
        (
            header(0x08, 2**32 - 1, 2**32 - 1) + bytes(9),
            "its header announces uint8 of shape (4294967295, 4294967295), more than memory can address",
        ),
        # The product of these wraps around to 0 in 64 bits, and the next is 0 but too large for NumPy all the same.
        (
            header(0x08, 2**31, 2**31, 4),
            "its header announces uint8 of shape (2147483648, 2147483648, 4), more than memory can address",
        ),
        (
            header(0x0C, 0, 2**31, 2**31),
            "its header announces int32 of shape (0, 2147483648, 2147483648), more than memory can address",
        ),
    ],
)
def test_refuses_what_is_not_idx_or_not_whole(write, pack, content, reason):
    assert refusal(write(pack(content))) == reason


def test_refuses_trailing_bytes(write):
    content = header(0x08, 3) + b"abcd"
    assert refusal(write(content)) == "its header announces uint8 of shape (3,), 3 bytes, but 4 follow"
    assert refusal(write(packed(content))) == "its header announces uint8 of shape (3,), 3 bytes, but more follow"
    assert refusal(write(header(0x08, 0) + b"a")).endswith("0 bytes, but 1 follow")


WHOLE = packed(idx(np.arange(100, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param(WHOLE[:-20], "ended before the end-of-stream marker", id="data-cut-off"),
        pytest.param(WHOLE[:-8], "ended before the end-of-stream marker", id="checksum-cut-off"),
        pytest.param(WHOLE[:2], "ended before the end-of-stream marker", id="two-bytes"),
        pytest.param(WHOLE[:-8] + b"\1\2\3\4" + WHOLE[-4:], "CRC check failed", id="wrong-checksum"),
        pytest.param(WHOLE[:-4] + b"\1\2\3\4", "Incorrect length of data", id="wrong-length"),
        pytest.param(WHOLE[:2] + b"\7" + WHOLE[3:], "Unknown compression method", id="unknown-method"),
        pytest.param(WHOLE[:10] + b"\xff" * 20, "Error -3", id="impossible-block"),
        pytest.param(WHOLE + b"behind", "Not a gzipped file", id="something-behind"),
    ],
)
def test_refuses_damaged_gzip(write, content, cause):
    assert read_idx(write(WHOLE)).sum() == 4950
    reason = refusal(write(content))
    assert reason.startswith("its gzip data are damaged (")
    assert cause in reason


@both
def test_refuses_every_other_length(write, pack):
    whole = idx(np.arange(6, dtype=np.int16).reshape(2, 3))
    read_idx(write(pack(whole)))
    for n_bytes in range(len(whole)):
        refusal(write(pack(whole[:n_bytes])))
    for n_bytes in range(1, 20):
        refusal(write(pack(whole + bytes(n_bytes))))


def test_no_flipped_bit_in_gzip_changes_the_numbers(write):
    array = np.arange(60, dtype=np.int32)
    content = packed(idx(array))
    harmless = 0
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path = write(damaged)
        try:
            result = read_idx(path)
        except ValueError:
            refusal(path)
        else:  # some bits mean nothing for the data: the time of packing, padding
            harmless += 1
            np.testing.assert_array_equal(result, array, strict=True)
    assert harmless < len(content)


@both
@examples
@given(content=st.binary(max_size=40), start=st.sampled_from([b"", b"\0\0", b"\0\0\x08\x01", b"\x1f\x8b\x08\0"]))
def test_any_bytes_are_an_array_or_a_refusal(scratch, pack, content, start):
    scratch.write_bytes(pack(start + content))
    try:
        result = read_idx(scratch)
    except ValueError:
        assert refusal(scratch)
    else:
        assert idx(result) == start + content


def test_paths_that_are_no_readable_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.idx"):
        read_idx(tmp_path / "missing.idx")
    with pytest.raises((IsADirectoryError, PermissionError), match=tmp_path.name):
        read_idx(tmp_path)
    for path, name in [(0, "int"), (b"some.idx", "bytes"), (None, "NoneType")]:
        with pytest.raises(TypeError, match=f"^path must be a str or os.PathLike, got {name}$"):
            read_idx(path)
    assert refusal("a\0b") == "embedded null byte"


# ----------------------------------------------------------------------------------------- memory of hostile files


def peak_memory(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb(start, size):
    """`start` and then `size` zero bytes, gzipped about a thousandfold smaller."""
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(2**20)
    pieces = [packer.compress(start), *(packer.compress(zeros) for _ in range(size // len(zeros))), packer.flush()]
    return b"".join(pieces)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(header(0x08, 2**20, 2**20) + bytes(100), id="plain-announces-2^40"),
        pytest.param(packed(header(0x08, 2**20, 2**20) + bytes(100)), id="gzip-announces-2^40"),
        pytest.param(packed(header(0x0E, 2**31, 2**29) + bytes(100)), id="gzip-announces-2^63"),
        pytest.param(bomb(header(0x08, 10), 2**26), id="bomb-behind-the-data"),
        pytest.param(bomb(header(0x0A, 10), 2**26), id="bomb-behind-a-bad-header"),
    ],
)
def test_hostile_files_take_no_memory(write, content):
    path = write(content)
    refusal(path)  # so that what is imported or cached at the first call is not counted
    assert peak_memory(lambda: refusal(path)) < MEMORY_LIMIT


def test_plain_file_of_another_length_is_refused_before_its_data_are_read(write):
    path = write(header(0x08, 2**24) + bytes(2**24 - 1))
    assert peak_memory(lambda: refusal(path)) < MEMORY_LIMIT


def test_memory_check_catches_a_reader_that_believes_the_header(write, monkeypatch):
    path = write(packed(header(0x08, 2**24) + bytes(100)))
    assert peak_memory(lambda: refusal(path)) < MEMORY_LIMIT
    monkeypatch.setattr(datasets, "_read_at_most", lambda stream, count: bytearray(count)[: len(stream.read(100))])
    assert peak_memory(lambda: refusal(path)) > MEMORY_LIMIT


def test_memory_check_catches_a_reader_that_unpacks_everything(write, monkeypatch):
    path = write(bomb(header(0x08, 10), 2**24))
    assert peak_memory(lambda: refusal(path)) < MEMORY_LIMIT
    monkeypatch.setattr(datasets, "_read_at_most", lambda stream, count: bytearray(stream.read()[: count - 1]))
    assert peak_memory(lambda: refusal(path)) > MEMORY_LIMIT


# ------------------------------------------------------------------------------------------------- bundled digits


PIXELS_CHECKSUM = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
LABELS_CHECKSUM = "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"


def checksum(array):
    return hashlib.sha256(array.astype(np.uint8).tobytes()).hexdigest()


def test_digits_are_the_published_ones():
    X, y = load_digits()
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((1797, 64), np.float64, (1797,), np.int64)
    assert (X.min(), X.max()) == (0.0, 16.0)
    assert X.mean() == pytest.approx(4.884164579855314, rel=1e-12)
    np.testing.assert_array_equal(X, np.round(X))
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert y[:10].tolist() == list(range(10))
    assert X[0, :16].tolist() == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]


def test_digits_are_unchanged_to_the_last_pixel():
    X, y = load_digits()
    assert checksum(X) == PIXELS_CHECKSUM
    assert checksum(y) == LABELS_CHECKSUM
    X[1000, 30] += 1
    assert checksum(X) != PIXELS_CHECKSUM


def test_digits_are_new_at_every_call():
    X, y = load_digits()
    X[:], y[:] = -1, -1
    X, y = load_digits()
    assert X.min() == y.min() == 0
    assert X.flags.c_contiguous
    assert y.flags.c_contiguous


def test_digits_come_with_source_and_license():
    folder = Path(datasets.__file__).parent / "data"
    assert (folder / "digits.idx.gz").stat().st_size < 60_000
    source = (folder / "SOURCE.md").read_text(encoding="utf-8")
    for fact in ["Alpaydin", "Kaynak", "Optical Recognition of Handwritten Digits", "10.24432/C50P49", "CC BY 4.0"]:
        assert fact in source
        assert fact in load_digits.__doc__
