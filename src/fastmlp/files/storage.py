"""Files of networks: a JSON header and arrays in one .npz, written whole or not at all, read without trust."""

import os
from typing import Any

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import shortened
from . import archive, writing

VERSION = 1
SUFFIX = ".npz"
ARRAYS = (
    "parameters", "optimizer_state", "average", "history", "best_parameters", "best_state", "best_average",
)  # fmt: skip
LONGEST_NUMBER = 4300  # digits, as Python's own limit

Header = dict[str, Any]


def check(path: writing.Path, argument: str = "path") -> None:
    """Refuse a path that `write` would not take, before there is something to be lost.

    Raises
    ------
    ValueError, TypeError
        If it is none, has another suffix, is a directory or in none, or may not be written.
    """
    name = writing.as_text(path, argument)  # once: what is checked is what is used
    _check_suffix(name, argument)
    writing.check(name, argument)


def write(path: writing.Path, header: Header, arrays: dict[str, Array]) -> None:
    """Write a file; what was there before stays until the new one is complete.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError, TypeError
        If the path is none, or has another suffix than .npz.
    """
    import json  # here and below: loading a package should not load its file formats

    name = writing.as_text(path)
    _check_suffix(name)
    unknown = arrays.keys() - set(ARRAYS)
    assert not unknown, f"nobody would read {unknown}"
    text = json.dumps({"format": "fastmlp", "version": VERSION, **header})
    writing.replace(name, archive.pieces({"header": np.array(text), **arrays}))


def read(path: writing.Path) -> tuple[Header, dict[str, Array]]:
    """Header and arrays of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError, TypeError
        If it is no such file, is damaged, or is of a later version.
    """
    name = writing.as_text(path)
    with open(name, "rb") as file:
        if not file.seekable():
            raise ValueError(f"path must be a file that can be read in any order, got {shortened(name)}: copy it first")
        try:
            arrays = archive.read(file, ("header", *ARRAYS))
            header, version = _header(arrays.pop("header"))
        except (archive.Damaged, KeyError, TypeError, ValueError, RecursionError):
            raise ValueError(f"path must be a file saved by fastmlp, got {name!r}") from None
    if version > VERSION:
        raise ValueError(
            f"path must be a file of version {VERSION} or earlier, got version {shortened(version)} in {name!r}"
        )
    return header, arrays


def _header(text: Array) -> tuple[Header, int]:
    import json

    if text.shape != () or text.dtype.kind != "U":
        raise ValueError("header")
    code = text.astype(text.dtype.newbyteorder("<"), copy=False).tobytes()
    header = json.loads(code.decode("utf-32-le"), parse_int=_integer)  # NumPy fails at what is no character
    version = header["version"]
    if header["format"] != "fastmlp" or type(version) is not int or version < 1:
        raise ValueError("format")
    return header, version


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:  # Python's limit can be lifted, and then it takes hours
        raise ValueError("digits")
    return int(digits)


def _check_suffix(name: str, argument: str = "path") -> None:
    suffix = os.path.splitext(name)[1]
    allowed = suffix.lower() in ("", SUFFIX) or (os.path.exists(name) and not os.path.isfile(name))  # as a device
    if not allowed:
        raise ValueError(f"{argument} must end in {SUFFIX} or have no suffix, got {shortened(name)}")
