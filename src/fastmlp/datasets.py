"""Real data: MNIST-style idx files, and the UCI handwritten digits that come with the package."""

from __future__ import annotations

import io
import math
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits", "read_idx"]

# The third byte of an idx file names the type of its items; they are stored big-endian.
_DTYPES = {
    code: np.dtype(name)
    for code, name in {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}.items()
}
_MAX_DIMENSIONS = 32  # what every version of NumPy can hold
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 2**20


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an idx file, the format of MNIST and of data sets made in its image.

    Parameters
    ----------
    path : str or os.PathLike
        The file, plain or compressed with gzip. Its content tells which, not its name.

    Returns
    -------
    numpy.ndarray
        A new, writable array of the file's shape (1 to 32 dimensions, sizes of zero allowed) and type (uint8, int8,
        int16, int32, float32 or float64) in native byte order.

    Raises
    ------
    ValueError
        If the file is not idx, is shorter or longer than its header announces, or its gzip data are damaged.
    TypeError
        If `path` is neither str nor os.PathLike.
    OSError
        If the file cannot be read: FileNotFoundError, IsADirectoryError and so on.

    Notes
    -----
    A header is not believed. A plain file of another length than announced is refused before its data are read.
    Compressed data take no more memory than the bytes that really come, and are never unpacked further than a
    buffer's length beyond the announced end.

    The format: two zero bytes, one byte for the type, one for the number of dimensions, the sizes as big-endian
    uint32, then the items, last dimension fastest (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of
    handwritten digits", 1998).

    Examples
    --------
    >>> import os, tempfile
    >>> from fastmlp.datasets import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels-idx1-ubyte")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 0x08, 1]) + bytes([0, 0, 0, 3]) + bytes([5, 0, 4]))
    ...     read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or os.PathLike, got {type(path).__name__}")
    try:
        with open(path, "rb") as file:
            if file.peek(2)[:2] == _GZIP_MAGIC:
                return _read_gzip(file)
            return _read(file, length=os.fstat(file.fileno()).st_size if file.seekable() else None)
    except ValueError as reason:
        raise ValueError(f"path must name an idx file, got {os.fspath(path)!r}: {reason}") from None


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Load 1797 handwritten digits, each 8 x 8 pixels.

    They come with the package; nothing is downloaded. Divide `X` by 16 to train on values from 0 to 1.

    Returns
    -------
    X : numpy.ndarray of float64, shape (1797, 64)
        One image per row, its pixels row by row: the whole numbers from 0 (blank) to 16 (all ink).
    y : numpy.ndarray of int64, shape (1797,)
        The digits shown, 0 to 9.

    Notes
    -----
    The test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0
    (https://creativecommons.org/licenses/by/4.0/). Both arrays are new and writable at every call.

    Examples
    --------
    >>> from fastmlp.datasets import load_digits
    >>> X, y = load_digits()
    >>> X.shape, y[:10].tolist()
    ((1797, 64), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    >>> X[0].reshape(8, 8)[1].tolist()
    [0.0, 0.0, 13.0, 15.0, 10.0, 15.0, 5.0, 0.0]
    """
    table = read_idx(os.path.join(os.path.dirname(__file__), "data", "digits.idx.gz"))
    return table[:, :-1].astype(np.float64, order="C"), table[:, -1].astype(np.int64)


def _read_gzip(file: io.BufferedReader) -> NDArray[Any]:
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return _read(unpacked, length=None)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"its gzip data are damaged ({error})") from None


def _read(stream: io.BufferedIOBase, length: int | None) -> NDArray[Any]:
    """The array in `stream`, whose length in bytes is None where only its end will tell (gzip, pipes)."""
    dtype, shape = _read_header(stream)
    header_size, data_size = 4 + 4 * len(shape), math.prod(shape) * dtype.itemsize
    announced = f"its header announces {dtype.name} of shape {shape}"
    # NumPy cannot hold such a shape even when another size is zero, so zeros are left out of the product.
    if math.prod(size or 1 for size in shape) * dtype.itemsize > sys.maxsize:
        raise ValueError(f"{announced}, more than memory can address")
    announced += f", {data_size} bytes"
    if length is not None and length != header_size + data_size:
        raise ValueError(f"{announced}, but {length - header_size} follow")
    data = _read_at_most(stream, data_size)
    if len(data) < data_size:
        raise ValueError(f"{announced}, but {len(data)} follow")
    if stream.read(1):  # reaching the end also makes gzip compare its checksum
        raise ValueError(f"{announced}, but more follow")
    array: NDArray[Any] = np.ndarray(shape, dtype, data)
    return array if dtype.isnative else array.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _read_header(stream: io.BufferedIOBase) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(4)
    if any(start[:2]):
        raise ValueError(f"it starts with the bytes {start[:2].hex(' ')} instead of 00 00")
    if len(start) < 4:
        raise ValueError(f"it ends within its header, after {len(start)} bytes")
    code, n_dimensions = start[2:]
    if code not in _DTYPES:
        raise ValueError(f"its type code {code:#04x} is none of {', '.join(f'{known:#04x}' for known in _DTYPES)}")
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise ValueError(f"its number of dimensions, {n_dimensions}, is not in 1 to {_MAX_DIMENSIONS}")
    sizes = stream.read(4 * n_dimensions)
    if len(sizes) < 4 * n_dimensions:
        raise ValueError(f"it ends within its header, after {4 + len(sizes)} bytes")
    return _DTYPES[code], tuple(np.frombuffer(sizes, ">u4").tolist())


def _read_at_most(stream: io.BufferedIOBase, count: int) -> bytearray:
    """Up to `count` bytes, piece by piece, so that memory follows what is there and not what was announced."""
    data = bytearray()
    while len(data) < count and (piece := stream.read(min(_PIECE, count - len(data)))):
        data += piece
    return data
