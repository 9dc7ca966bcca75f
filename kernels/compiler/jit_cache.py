"""Compiled kernels kept in files of the user's, from one process to the next.

They are there for speed alone: whatever is wrong with a file or a folder, the kernel is compiled as if there was none.
A file that cannot be used is replaced.
"""

import hashlib
import os
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

DIGEST = 32  # bytes before the pickle: a damaged file must not get as far as LLVM, which ends the process
SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML")  # of Numba


class KernelCache:
    """The file of one kernel, as Numba wants a cache; its name stands for all code that the kernel is made of."""

    def __init__(self, name: str) -> None:
        self._name = name

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What was compiled before; None: nothing that can be used."""
        context.refresh()  # code that refers to Numba's own is linked with it: without, LLVM would end the process
        try:
            path = self._path(context)
            data = path.read_bytes()
            if digest(path, data[DIGEST:]) == data[:DIGEST]:
                return CompileResult._rebuild(context, *pickle.loads(data[DIGEST:]))
        except Exception:
            pass
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        try:
            path, data = self._path(result.target_context), dumps(result._reduce())
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(path, digest(path, data) + data)
        except Exception:
            pass

    def _path(self, context: Any) -> Path:
        settings = [getattr(config, name, None) for name in SETTINGS]
        versions = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag
        key = repr((context.codegen().magic_tuple(), settings, versions))
        return folder() / f"{self._name}_{hashlib.sha256(key.encode()).hexdigest()[:12]}.nbc"


def digest(path: Path, data: bytes) -> bytes:
    """Of what a file holds and of its name: that of another kernel is damaged, too."""
    return hashlib.sha256(path.name.encode() + data).digest()


def folder() -> Path:
    """Where the files are: `fastmlp` in NUMBA_CACHE_DIR if that is set, or else in the user's folder for such files.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / "fastmlp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "fastmlp/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/fastmlp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastmlp"


def write(path: Path, data: bytes) -> None:
    """Write a file that other processes, which may write it too, see whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
