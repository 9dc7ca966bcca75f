"""Objects of kernels kept in files of the user's, from one build to the next.

FASTMLP_OBJECT_CACHE names another folder for them, or is "off". They are there for speed alone: whatever is wrong with
a file or a folder, the build goes on as if there was none.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..base.records import Record, frozen
from ..compiler import jit_cache

VARIABLE = "FASTMLP_OBJECT_CACHE"
OFF = ("off", "0", "no", "n", "f", "false")
MOST = 100 << 20
"""Bytes of a folder: some dozens of builds."""


def cache_of_user() -> "ObjectCache":
    named = os.environ.get(VARIABLE, "")
    if named.lower() in OFF:
        return ObjectCache(None)
    with suppress(OSError, RuntimeError):  # the user has no home
        return ObjectCache(str(Path(named) if named else jit_cache.folder() / "objects"))
    return ObjectCache(None)


@frozen
class ObjectCache(Record):
    """A folder of objects by names, each of which stands for all that an object is made of."""

    folder: str | None  # None: nothing is kept

    def get(self, name: str) -> bytes | None:
        """What was kept; None: nothing that is whole."""
        if self.folder is None:
            return None
        path = Path(self.folder, name)
        with suppress(OSError):
            held = path.read_bytes()
            digest, data = held[: jit_cache.DIGEST], held[jit_cache.DIGEST :]
            if jit_cache.digest(path, data) == digest:
                with suppress(OSError):
                    os.utime(path)  # those that nobody asks for are removed first
                return data
        return None

    def put(self, name: str, data: bytes) -> None:
        if self.folder is None:
            return
        path = Path(self.folder, name)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            jit_cache.write(path, jit_cache.digest(path, data) + data)
            self.make_room()

    def make_room(self) -> None:
        """Remove those that nobody has asked for longest, and what was left of broken writing, beyond the bound."""
        total = 0
        for _, size, path in sorted(self._files(), reverse=True):
            total += size
            if total > MOST:
                with suppress(OSError):
                    os.unlink(path)

    def _files(self) -> Iterator[tuple[float, int, str]]:
        for entry in os.scandir(str(self.folder)):
            with suppress(OSError):  # another build may remove it at the same time
                if entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield found.st_mtime, found.st_size, entry.path
