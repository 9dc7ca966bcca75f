"""Archives of arrays: NumPy and the standard library read them, and hostile ones end in one sentence, and soon."""

import io
import json
import struct
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from saved_files import parts, refused, saved_in, trained

import fastmlp
from fastmlp.files import archive, storage


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file that a network was saved to; not to be changed."""
    return saved_in(tmp_path_factory.mktemp("saved"))


def written(arrays):
    return io.BytesIO(b"".join(archive.pieces(arrays)))


# --- there and back

DTYPES = st.sampled_from(["<f4", "<f8", ">f8", "<i8", "?", "<U3"])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0)))


@given(st.dictionaries(st.sampled_from(["header", "parameters", "average"]), ARRAYS), st.booleans())
def test_numpy_and_zipfile_read_it_and_so_does_this(arrays, transposed):
    if transposed:
        arrays = {name: array.T for name, array in arrays.items()}
    file = written(arrays)
    with zipfile.ZipFile(file) as contents:
        assert contents.testzip() is None
        assert contents.namelist() == [f"{name}.npy" for name in arrays]
    for read in (dict(np.load(io.BytesIO(file.getvalue()))), archive.read(file, list(arrays))):
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
            assert read[name].tobytes() == array.tobytes()


@given(st.dictionaries(st.sampled_from(["header", "parameters"]), ARRAYS, min_size=1))
def test_what_numpy_writes_is_read(arrays):
    file = io.BytesIO()
    np.savez(file, **{name: np.asfortranarray(array) for name, array in arrays.items()})
    read = archive.read(file, list(arrays))
    for name, array in np.load(io.BytesIO(file.getvalue())).items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()
        assert read[name].flags.c_contiguous  # as kernels take it


def test_the_same_arrays_are_the_same_bytes_in_small_pieces():
    arrays = {"parameters": np.arange(10**6, dtype=float)}
    pieces = list(archive.pieces(arrays))
    assert pieces == list(archive.pieces(arrays))
    assert max(map(len, pieces)) <= archive.PIECE


@pytest.mark.parametrize("limit", [0, 100, 200, 300, 10**4])
def test_fields_of_64_bits(limit, monkeypatch):
    """As in files of 4 GiB and more: here, of less; zipfile expects such a field where one of 32 bits is full."""
    arrays = {"header": np.array("x" * 30), "parameters": np.arange(7.0), "average": np.zeros(0)}
    monkeypatch.setattr(archive, "LIMIT", limit)
    monkeypatch.setattr(archive, "_numbers", lambda *values, numbers=archive._numbers: full(numbers(*values)))
    file = written(arrays)
    monkeypatch.undo()
    with zipfile.ZipFile(file) as contents:
        assert contents.testzip() is None
    for read in (dict(np.load(io.BytesIO(file.getvalue()))), archive.read(file, list(arrays))):
        assert {name: array.tolist() for name, array in read.items()} == {
            name: array.tolist() for name, array in arrays.items()
        }


def full(numbers):
    """Fields as they are at the limit that they have in files."""
    fields, extra = numbers
    return [0xFFFFFFFF if field == archive.LIMIT else field for field in fields], extra


def test_no_copy_of_the_arrays_is_made(tmp_path):
    """16 MB are written piece by piece, and read into what is returned."""
    arrays = {"parameters": np.ones(1 << 21)}
    tracemalloc.start()
    try:
        storage.write(tmp_path / "file", {}, arrays)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.reset_peak()
        storage.read(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


# --- what somebody made up


def npy(shape, dtype="<f4", body=b""):
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def text(value):
    return npy((), f"<U{len(value)}", value.encode("utf-32-le"))


def local(name, data):
    numbers = (zlib.crc32(data), len(data), len(data), len(name), 0)
    return struct.pack("<4s5HIIIHH", b"PK\3\4", 20, 0, 0, 0, 33, *numbers) + name + data


def entry(name, data, offset, flags=0):
    numbers = (zlib.crc32(data), len(data), len(data), len(name), 0, 0, 0, 0, 0, offset)
    return struct.pack("<4s6HIIIHHHHHII", b"PK\1\2", 20, 20, flags, 0, 0, 33, *numbers) + name


def end(entries, offset):
    directory = b"".join(entries)
    count = min(len(entries), 65535)
    return directory + struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, count, count, len(directory), offset, 0)


def changed(saved, path, **members):
    """A saved file with some members that are others."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name.removesuffix(".npy") not in members:
                new.writestr(name, old.read(name))
        for name, data in members.items():
            new.writestr(f"{name}.npy", data)
    return path


def refused_in_little_memory(path, multiple=4):
    """What is refused, in a small multiple of the file's size."""
    tracemalloc.start()
    try:
        sentence = refused(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < multiple * path.stat().st_size + (1 << 20)
    return sentence


CLAIMS = {
    "10^12 numbers": npy((10**12,)), "10^9 numbers": npy((10**9,)), "10^12 times nothing": npy((10**12,), "|V0"),
    "a product beyond 64 bits": npy((2**62, 2**62)), "negative": npy((-26,)), "twice negative": npy((-2, -13)),
    "an empty axis, and a long one": npy((0, 2**62)), "65 axes": npy((1,) * 65, body=bytes(4)),
    "400 axes": npy((1,) * 400, body=bytes(4)), "arrays in arrays": npy((10,), "(1000000000,)f4"),
    "arrays of nothing": npy((10**12,), "(0,)f4"), "objects": npy((26,), "|O"), "long text": npy((), "<U1000000000"),
    "True": npy((True,), body=bytes(4)), "no dtype": npy((26,), "x"), "numbers of 80 digits": npy((10**80,)),
    "records": npy((1,), [("a", "<f4")], bytes(4)), "too short": npy((26,), body=bytes(103)),
    "too long": npy((26,), body=bytes(105)), "no array": b"", "half a header": npy((26,))[:40],
    "a header beyond the file": b"\x93NUMPY\2\0\xff\xff\xff\xff{", "version 9": b"\x93NUMPY\x09\0" + bytes(200),
    "version 3": b"\x93NUMPY\3\0" + struct.pack("<I", 2) + b"{}", "deep": npy("(" * 2000 + ")" * 2000),
    "signs": npy("-" * 3000 + "1"), "code": npy("__import__('os').abort()"),
}  # fmt: skip


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("name", ["parameters", "optimizer_state", "best_average", "header"])
def test_claims(claim, name, saved, tmp_path):
    refused_in_little_memory(changed(saved, tmp_path / "file", **{name: CLAIMS[claim]}))


HEADERS = {
    "deep lists": "[" * 200_000, "deep objects": '{"a":' * 200_000, "2 million digits": '{"version":' + "9" * 2_000_000,
    "many digits": '{"format": "fastmlp", "version": ' + "9" * 4300 + "}", "a million lists": "[" + "[]," * 10**6,
    "an infinite version": '{"format": "fastmlp", "version": 1e999}',
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_headers(header, saved, tmp_path):
    path = changed(saved, tmp_path / "file", header=text(HEADERS[header]))
    refused_in_little_memory(path, 9)  # empty lists are large


def test_python_may_be_told_to_read_numbers_of_any_length(saved, tmp_path):
    """It then takes quadratic time."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        refused(changed(saved, tmp_path / "file", header=text('{"version":' + "9" * 10**7 + "}")))
    finally:
        sys.set_int_max_str_digits(before)


def test_a_header_that_is_no_single_text(saved, tmp_path):
    header = json.dumps(parts(saved)[0])
    several = npy((10**6,), "<U1", header[0].encode("utf-32-le") * 10**6)
    raw = npy((), f"|S{len(header)}", header.encode())
    beyond = npy((), "<U1", b"\xff\xff\xff\x7f")  # no character
    for wrong in (several, raw, beyond, npy((1,), f"<U{len(header)}", header.encode("utf-32-le")), npy((), "<U0")):
        refused_in_little_memory(changed(saved, tmp_path / "file", header=wrong))


def test_names_that_are_not_expected_or_come_twice(saved, tmp_path):
    path = tmp_path / "file"
    for name in ("more", "", "Parameters", "parameters.npy", "../parameters", "x" * 60_000):
        refused_in_little_memory(changed(saved, path, **{name: npy((10**9,))}))
        refused_in_little_memory(changed(saved, path, **{name: npy((1,), body=bytes(4))}))
    changed(saved, path)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("parameters.npy", npy((26,), body=bytes(104)))
    refused(path)


def test_one_array_under_many_names(tmp_path):
    """65,000 entries of one member of 8 MB: 500 GB for who reads them all."""
    body, path = npy((1 << 21,), body=bytes(8 << 20)), tmp_path / "file"
    for name in (b"x.npy", b"parameters.npy"):
        for count in (2, 65_000):
            member = local(name, body)
            path.write_bytes(member + end([entry(name, body, 0)] * count, len(member)))
            refused_in_little_memory(path)


def overlapping(names, size):
    """A file whose every member reaches over all that follow it."""
    tail, entries = bytes(size), []
    for name in reversed(names):
        data = npy((len(tail),), "|u1", tail)
        tail = local(name, data)
        entries.append((name, data, len(tail)))
    return tail + end([entry(name, data, len(tail) - back) for name, data, back in entries], len(tail))


def test_members_that_overlap(tmp_path):
    path = tmp_path / "file"
    known = [f"{name}.npy".encode() for name in ("header", *storage.ARRAYS)]
    for names in (known, known[:2], [b"%05d.npy" % n for n in range(100)]):
        path.write_bytes(overlapping(names, 1 << 20))
        with open(path, "rb") as file, pytest.raises(archive.Damaged):
            archive.read(file, [name.decode().removesuffix(".npy") for name in names])
        refused_in_little_memory(path)
    path.write_bytes(overlapping(known[:1], 1 << 10))  # one overlaps nothing
    with open(path, "rb") as file:
        assert archive.read(file, ["header"])["header"].tolist() == [0] * 1024


@pytest.mark.parametrize("offset", [1, 17, 5000, 2**31, 2**32 - 1, "end"])
def test_entries_that_point_elsewhere(offset, tmp_path):
    name, data = b"header.npy", npy((1,), body=bytes(4))
    member = local(name, data)
    good = member + end([entry(name, data, 0)], len(member))
    assert list(archive.read(io.BytesIO(good), ["header"])) == ["header"]
    offset = len(member) if offset == "end" else offset
    for file in (
        member + end([entry(name, data, offset)], len(member)),
        member + end([entry(name, data, 0)], offset - 1),
        member + end([entry(b"header.npx", data, 0)], len(member)),
        member + end([entry(name, data + b"x", 0)], len(member)),
        member + end([entry(name, data, 0, flags=1)], len(member)),  # encrypted
        good + b"\0", good[:-1], b"\0" + good,
    ):  # fmt: skip
        with pytest.raises(archive.Damaged):
            archive.read(io.BytesIO(file), ["header", "header.npx"])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_numbers_of_64_bits_that_are_made_up(size, packed, offset):
    name, data = b"header.npy", npy((1,), body=bytes(4))
    member = local(name, data)
    extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
    numbers = (zlib.crc32(data), 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF)
    record = struct.pack("<4s6HIIIHHHHHII", b"PK\1\2", 45, 45, 0, 0, 0, 33, *numbers) + name + extra
    with pytest.raises(archive.Damaged):
        archive.read(io.BytesIO(member + end([record], len(member))), ["header"])
    directory = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    place = struct.pack("<4sIQI", b"PK\6\7", 0, packed, 1)
    last = struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    for where in (place, struct.pack("<4sIQI", b"PK\6\7", 0, len(member), 1)):
        with pytest.raises(archive.Damaged):
            archive.read(io.BytesIO(member + directory + where + last), ["header"])


def test_a_sparse_file_of_a_terabyte_is_read_as_far_as_it_must_be(saved, tmp_path):
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.write(saved.read_bytes())
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("no such files here")
    assert refused(path) == f"path must be a file saved by fastmlp, got {str(path)!r}"


def test_files_with_extra_fields_and_data_descriptors_of_other_programs(saved, tmp_path):
    """zipfile writes such to what it cannot seek in."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.written += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(pipe, "w") as new:
        for name in old.namelist():
            information = zipfile.ZipInfo(name)
            information.extra = struct.pack("<HHI", 0x5455, 4, 0)
            information.comment = b"of a zip program"
            new.writestr(information, old.read(name))
    path = tmp_path / "file"
    path.write_bytes(pipe.written)
    np.testing.assert_array_equal(fastmlp.load(path).parameters, trained().parameters)
