"""Files: a JSON header and arrays in one .npz, written whole or not at all, read without trust."""

import os
from typing import Any

import numpy as np

from .kernels.plan import Array

VERSION = 1

Header = dict[str, Any]


def write(path: str | os.PathLike[str], header: Header, arrays: dict[str, Array]) -> None:
    """Write a file; what was there before stays until the new one is complete.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import json  # here and below: loading a package should not load its file formats
    import tempfile

    path = os.path.realpath(path)  # a link stays a link
    directory, name = os.path.split(path)
    text = json.dumps({"format": "fastmlp", "version": VERSION, **header})
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, header=np.array(text), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> tuple[Header, dict[str, Array]]:
    """Header and arrays of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no such file, is damaged, or is of a later version.
    """
    import json

    name = os.fspath(path)
    try:
        with open(name, "rb") as handle, np.load(handle, allow_pickle=False) as file:  # NumPy leaves damaged files open
            # nothing is compressed by `write`; what is might inflate without end
            if any(entry.compress_type for entry in file.zip.infolist()):
                raise ValueError("compressed")
            arrays = {key: file[key] for key in file.files}
        header = json.loads(str(arrays.pop("header")))
        version = header["version"]
        if header["format"] != "fastmlp" or type(version) is not int or version < 1:
            raise ValueError("format")
    except OSError:
        raise
    except Exception:  # of the many kinds that NumPy, zipfile, zlib and json raise at damaged files
        raise ValueError(f"path must be a file saved by fastmlp, got {name!r}") from None
    if version > VERSION:
        raise ValueError(f"path must be a file of version {VERSION} or earlier, got version {version} in {name!r}")
    return header, arrays


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
