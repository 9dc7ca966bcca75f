"""Files that users name are written here, and only here: whole or not at all, and they stay what they are.

`replace` does to a path what `open(path, "wb")` does: links are followed, devices and pipes are written into, files
keep their mode, owner, extended attributes and hard links, new ones are subject to the umask. Yet what was there stays
until all that replaces it is on the disk: that is first written to a scratch file in the same folder, which then takes
the file's place. Its writer holds a lock on it. A scratch file without one was left by a process that was killed; the
next `replace` of the same path removes it.

Some files cannot be replaced without a loss: those with several hard links or with an owner or attributes that may not
be given to another file, and those in folders that take no new file. The complete bytes are copied into these. That is
not atomic: a crash, or a program that reads at that moment, finds a part.
"""

import contextlib
import errno
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from io import FileIO
from typing import IO, Any, ParamSpec, TypeVar

from ..kernels.base.errors import require, shortened

try:
    import fcntl
except ImportError:  # Windows, where scratch files are known to be left by their age
    fcntl = None  # type: ignore[assignment]

PIECE = 1 << 20  # bytes
MOST_LINKS = 40  # in a row, as in Linux
LEFT = 60  # seconds after which a scratch file is taken for left where there are no locks

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
P = ParamSpec("P")
R = TypeVar("R")


class _Refusal(Exception):
    """The system refuses something. No signal handler raises this, so that it may be caught."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _system(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Call a function of the system.

    A signal handler may raise an OSError too (TimeoutError is one), at any time. It is told apart by its traceback: it
    comes from a frame of Python, and functions of the system have none.
    """
    try:
        return function(*arguments, **options)
    except OSError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is None:
            raise _Refusal(error) from None
        raise


def as_text(path: Any, argument: str = "path") -> str:
    """A path as a str, in which bytes that are no text are surrogates."""
    try:
        name = str.__str__(os.fsdecode(path))  # what is checked is what is used, whatever a subclass of str says
    except TypeError:
        raise TypeError(f"{argument} must be a str, bytes or os.PathLike, got {shortened(path)}") from None
    require("\0" not in name, argument, "without null characters", name)
    return name


def check(path: Path, argument: str = "path") -> None:
    """Refuse a path that cannot be written, before there is something to be lost.

    Raises
    ------
    ValueError, TypeError
        If it is none, is a directory or in none, or may not be written.
    """
    name = as_text(path, argument)
    if os.path.isdir(name) or _is_folder(name):
        raise ValueError(f"{argument} must be a file, got the directory {name}")
    folder = os.path.dirname(_followed(name)) or os.curdir
    if not os.path.isdir(folder):
        raise ValueError(f"{argument} must be in an existing directory, got {name}")
    if os.path.exists(name):
        allowed = os.access(name, os.W_OK) and not _is_read_only(os.stat(name))
    else:
        allowed = os.access(folder, os.W_OK | os.X_OK)
    if not allowed:
        raise ValueError(f"{argument} must be a file that can be written, got {name}")


def replace(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a file that consists of these pieces.

    An exception that interrupts it, such as KeyboardInterrupt, leaves a regular file as it was or as it should be.

    Raises
    ------
    OSError
        If it cannot be written. It names `path`.
    """
    name = as_text(path)
    try:
        if _is_folder(name):
            raise _refusal(errno.EISDIR if name else errno.ENOENT)
        status = _status(name)
        if status is None:
            _put(pieces, _followed(name), None)
        elif not stat.S_ISREG(status.st_mode) or _is_descriptor(name):  # a device or a pipe; `FileIO` refuses a folder
            with _system(FileIO, name, "w") as file:
                _write(file, pieces)
        elif _is_read_only(status):
            raise _refusal(errno.EACCES)
        else:
            with _system(FileIO, name, "a") as old:  # whether it may be written, and empties nothing
                target = _followed(name)
                if _status(target) is None:  # one of /proc's links to deleted files
                    _put_in_place(pieces, old)
                else:
                    _put(pieces, target, old)
    except _Refusal as refusal:
        raise OSError(refusal.error.errno, refusal.error.strerror, name) from None


# --- paths


def _is_folder(name: str) -> bool:
    """Whether a name can be nothing but a directory's."""
    return os.path.basename(name) in ("", os.curdir, os.pardir)


def _is_read_only(status: os.stat_result) -> bool:
    """Whether nobody may write: that holds for root too, which the system does not hinder."""
    return not status.st_mode & 0o222


def _is_descriptor(name: str) -> bool:
    """Whether it is one of a process's open files, such as /dev/stdout: others write into that, too."""
    for _ in range(MOST_LINKS):
        folder = os.path.realpath(os.path.dirname(name))
        if folder.startswith("/proc/") and os.path.basename(folder) == "fd":
            return True
        try:
            name = os.path.join(os.path.dirname(name), _system(os.readlink, name))
        except _Refusal:
            break
    return False


def _status(name: str) -> os.stat_result | None:
    """What is there; None: nothing."""
    try:
        return _system(os.stat, name)
    except _Refusal as refusal:
        if isinstance(refusal.error, FileNotFoundError):
            return None
        raise


def _followed(name: str) -> str:
    """The file that a link points to, whether it is there or not."""
    for _ in range(MOST_LINKS):
        try:
            name = os.path.join(os.path.dirname(name), _system(os.readlink, name))
        except _Refusal:  # no link
            break
    return name


def _refusal(code: int) -> _Refusal:
    return _Refusal(OSError(code, os.strerror(code)))


# --- writing


def _put(pieces: Iterable[bytes | memoryview], target: str, old: FileIO | None) -> None:
    """Write a regular file; `old` is what is there, opened for appending."""
    folder, base = os.path.split(target)
    prefix = f".fastmlp-{zlib.crc32(os.fsencode(base)):08x}-"  # short: names of 255 bytes have scratch files too
    _remove_left(folder, prefix)
    # The umask and default ACLs see to a new file's mode. What replaces a private file is private from its beginning.
    opener = partial(os.open, mode=0o600 if old else 0o666)
    while True:
        scratch = os.path.join(folder, prefix + os.urandom(8).hex())
        try:  # from before it exists: no interrupt comes between
            try:
                file = _system(FileIO, scratch, "x+", opener=opener)
            except _Refusal:
                if old is None:
                    raise
                return _put_in_place(pieces, old)
            with file:
                if not _is_locked(file, scratch):
                    continue
                _fill(file, pieces)
                if not _is_moved(file, scratch, target, old):
                    assert old is not None
                    _copy_whole(file, old)
                return
        finally:
            with contextlib.suppress(_Refusal):  # it has become the file
                _system(os.unlink, scratch)


def _put_in_place(pieces: Iterable[bytes | memoryview], old: FileIO) -> None:
    """The same where the folder takes no scratch file."""
    with _nameless() as file:
        _fill(file, pieces)
        _copy_whole(file, old)


def _nameless() -> IO[bytes]:
    """A file for what is to be copied. Its error names folders that nobody has asked for: it is one of `path`."""
    import tempfile  # slow to load, and seldom needed

    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        innermost = error.__traceback__
        while innermost is not None and innermost.tb_next is not None:
            innermost = innermost.tb_next
        if innermost is not None and innermost.tb_frame.f_globals is vars(tempfile):  # else of a signal handler
            raise _Refusal(error) from None
        raise


def _fill(file: IO[bytes], pieces: Iterable[bytes | memoryview]) -> None:
    _write(file, pieces)
    _system(os.fsync, file.fileno())


def _write(file: IO[bytes], pieces: Iterable[bytes | memoryview]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[_system(os.write, file.fileno(), rest) :]


def _is_moved(file: FileIO, scratch: str, target: str, old: FileIO | None) -> bool:
    """Let a scratch file take the target's place; False if that cannot be, or would be a loss."""
    if old is not None and not _is_made_alike(file, old):
        return False
    if os.name == "nt":  # it moves no open files, nor do others open what is being moved
        for stream in (file, old):
            if stream is not None:
                stream.close()
    try:
        _system(os.replace, scratch, target)
    except _Refusal:
        if old is None or old.closed:
            raise
        return False
    return True


def _copy_whole(source: IO[bytes], target: FileIO) -> None:
    """Copy a file's contents; an interrupt is heard when all are there."""
    try:
        _copy(source, target)
    except _Refusal:
        raise
    except BaseException:
        _copy(source, target)
        raise


def _copy(source: IO[bytes], target: FileIO) -> None:
    _system(os.lseek, source.fileno(), 0, os.SEEK_SET)
    _system(os.ftruncate, target.fileno(), 0)
    while piece := _system(os.read, source.fileno(), PIECE):
        _write(target, [piece])
    _system(os.fsync, target.fileno())


# --- what a file is besides its contents


def _is_made_alike(file: FileIO, old: FileIO) -> bool:
    """Give a scratch file the old one's owner, mode and attributes; whether it then is what the old one is."""
    wanted = os.fstat(old.fileno())
    if wanted.st_nlink > 1 or wanted.st_mode & (stat.S_ISUID | stat.S_ISGID):  # writing may clear these: let it
        return False
    try:
        if _owner(os.fstat(file.fileno())) != _owner(wanted):
            _system(os.fchown, file.fileno(), *_owner(wanted))
        if hasattr(os, "fchmod"):
            _system(os.fchmod, file.fileno(), stat.S_IMODE(wanted.st_mode))
        attributes, made = _attributes(old), _attributes(file)
        for name in made.keys() - attributes.keys():  # such as an ACL by the folder's default
            _system(os.removexattr, file.fileno(), name)
        for name, value in attributes.items():
            if made.get(name) != value:
                _system(os.setxattr, file.fileno(), name, value)
        result = os.fstat(file.fileno())
        return (result.st_mode, _owner(result), _attributes(file)) == (wanted.st_mode, _owner(wanted), attributes)
    except _Refusal:
        return False


def _owner(status: os.stat_result) -> tuple[int, int]:
    return status.st_uid, status.st_gid


def _attributes(file: FileIO) -> dict[str, bytes]:
    """Extended attributes, among which ACLs are; Python knows those of Linux only."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = _system(os.listxattr, file.fileno())
    except _Refusal as refusal:
        if refusal.error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: _system(os.getxattr, file.fileno(), name) for name in names}


# --- scratch files


def _is_locked(file: FileIO, scratch: str) -> bool:
    """Lock a scratch file; False if another writer has taken it for left before."""
    if fcntl is None:
        return True
    try:
        _system(fcntl.flock, file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _Refusal as refusal:
        return not isinstance(refusal.error, BlockingIOError)  # without locks there, nobody takes it for left
    return _status(scratch) is not None


def _remove_left(folder: str, prefix: str) -> None:
    """Remove the scratch files that nobody writes any more."""
    with contextlib.suppress(_Refusal):
        for name in _system(os.listdir, folder or os.curdir):
            if name.startswith(prefix):
                with contextlib.suppress(_Refusal):
                    _remove_if_left(os.path.join(folder, name))


def _remove_if_left(scratch: str) -> None:
    status = _system(os.lstat, scratch)
    if not stat.S_ISREG(status.st_mode):
        return
    if fcntl is None:
        if time.time() - status.st_mtime > LEFT:
            _system(os.unlink, scratch)
        return
    with _system(FileIO, scratch, "r+") as file:
        _system(fcntl.flock, file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        _system(os.unlink, scratch)  # while it is locked: its writer may have yet to lock it, and looks then
