"""Files that users name: written whole or not at all, and what `open(path, "wb")` would leave as it is stays so."""

import ast
import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from processes import PATIENCE, fresh
from trainings import everything

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.files import archive, writing
from fastmlp.files.writing import replace

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions, links or locks")
needs_root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root may do this")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# --- what is written


@pytest.mark.parametrize("pieces", [[], [b""], [b"new"], [b"n", b"", memoryview(b"ew")], [bytes(3 << 20), b"end"]])
def test_pieces(pieces, tmp_path):
    path = tmp_path / "file"
    for _ in range(2):
        replace(path, iter(pieces))
        assert contents(tmp_path) == {"file": b"".join(pieces)}


def same_as_open(path):
    """What `open` raises for a path, and `replace` is to."""
    caught = []
    for write in (lambda: open(path, "wb").close(), lambda: replace(path, [b"new"])):
        with pytest.raises(OSError, match=r".") as error:
            write()
        caught.append((error.type, error.value.errno, error.value.strerror, error.value.filename))
    assert caught[0] == caught[1]
    return caught[0][0]


@posix
def test_paths_that_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.symlink("folder", "link")
    os.symlink("loop", "loop")
    open("file", "w").close()
    for path in ("folder", "folder/", "link", "link/", "new/", "file/", "/", ".", "..", "folder/.", "folder/.."):
        assert same_as_open(path) is IsADirectoryError
    for path in ("", "none/file", "none/../file"):
        assert same_as_open(path) is FileNotFoundError
    assert same_as_open("file/file") is NotADirectoryError
    assert same_as_open("loop") is OSError
    assert same_as_open("n" * 256) is OSError
    assert sorted(os.listdir()) == ["file", "folder", "link", "loop"]
    assert os.listdir("folder") == []


@pytest.mark.parametrize("length", [1, 100, 230, 246, 250, 254, 255])
def test_names_of_any_length(length, tmp_path):
    path = tmp_path / ("n" * length)
    for text in (b"old", b"new"):
        replace(path, [text])
        assert contents(tmp_path) == {path.name: text}


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
@pytest.mark.parametrize("name", [b"\xff\xfe.npz", "模型".encode("gb18030"), b"line\nbreak", b"-x", b" "])
def test_names_that_are_no_text(name, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), name)
    for form in (path, os.fsdecode(path), Path(os.fsdecode(path))):
        replace(form, [b"new"])
    assert os.listdir(os.fsencode(tmp_path)) == [name]


@posix
def test_links_stay(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    (tmp_path / "a").symlink_to("folder/b")
    (tmp_path / "folder" / "b").symlink_to("target")  # relative to its own folder
    for text in (b"new", b"newer"):  # there is no target at first
        replace(tmp_path / "a", [text])
        assert os.readlink(tmp_path / "a") == "folder/b"
        assert os.readlink(tmp_path / "folder" / "b") == "target"
        assert target.read_bytes() == text
    assert sorted(os.listdir(tmp_path / "folder")) == ["b", "target"]


@posix
def test_hard_links_stay(tmp_path):
    (tmp_path / "a").write_bytes(b"a long old text")
    os.link(tmp_path / "a", tmp_path / "b")
    replace(tmp_path / "a", [b"new"])
    assert contents(tmp_path) == {"a": b"new", "b": b"new"}
    assert os.stat(tmp_path / "a").st_nlink == 2


@posix
def test_a_file_that_others_read_is_not_changed_under_them(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with open(path, "rb") as reader:
        replace(path, [b"new"])
        assert reader.read() == b"old"


# --- modes, owners, attributes


@posix
@pytest.mark.parametrize("bits", [0o600, 0o640, 0o644, 0o666, 0o755, 0o222, 0o200, 0o4755, 0o2755])
def test_modes_stay(bits, tmp_path):
    """As with `open`: the system clears the bits that let others act as the owner, unless it trusts the writer."""
    path, opened = tmp_path / "file", tmp_path / "opened"
    for one in (path, opened):
        one.write_bytes(b"old")
        os.chmod(one, bits)
    opened.write_bytes(b"new")
    replace(path, [b"new"])
    assert mode(path) == mode(opened)
    assert mode(path) & 0o777 == bits & 0o777
    os.chmod(path, 0o600)
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["file", "opened"]


@posix
@pytest.mark.parametrize("bits", [0o444, 0o400, 0o555, 0o000])
def test_read_only_files_are_refused(bits, tmp_path):
    """By root's processes too."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    os.chmod(path, bits)
    for name in (path, link):
        with pytest.raises(PermissionError) as caught:
            replace(name, [b"new"])
        assert (caught.value.filename, caught.value.errno) == (str(name), errno.EACCES)
        with pytest.raises(ValueError, match=r"^--output must be a file that can be written, got /"):
            writing.check(name, "--output")
    assert mode(path) == bits
    os.chmod(path, 0o600)
    assert path.read_bytes() == b"old"


@posix
def test_what_replaces_a_private_file_is_private_from_its_beginning(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chmod(path, 0o600)

    def pieces():
        (scratch,) = set(os.listdir(tmp_path)) - {"file"}
        assert mode(tmp_path / scratch) == 0o600
        yield b"new"

    before = os.umask(0)
    try:
        replace(path, pieces())
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"


def test_the_umask_is_not_touched(tmp_path, monkeypatch):
    """It is the whole process's: files of other threads would be born with another."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    for _ in range(2):
        NeuralNetwork([2, 1]).save(tmp_path / "model.npz")


@needs_root
def test_owners_stay(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 1234, 5678)
    os.chmod(path, 0o640)
    inode = os.stat(path).st_ino
    replace(path, [b"new"])
    status = os.stat(path)
    assert (status.st_uid, status.st_gid, mode(path)) == (1234, 5678, 0o640)
    assert status.st_ino != inode  # at one moment
    assert path.read_bytes() == b"new"


@pytest.fixture
def attributed(tmp_path):
    """A file with extended attributes."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    try:
        os.setxattr(path, "user.color", b"red")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    return path


def test_extended_attributes_stay(attributed):
    inode = os.stat(attributed).st_ino
    replace(attributed, [b"new"])
    assert os.getxattr(attributed, "user.color") == b"red"
    assert (attributed.read_bytes(), os.stat(attributed).st_ino != inode) == (b"new", True)


def test_where_attributes_cannot_be_given_the_file_is_written_in_place(attributed, monkeypatch):
    """As a security module may decide."""

    def system(function, *arguments, system=writing._system, **options):
        if function is os.setxattr:
            return system(os.rmdir, "/none/such")  # what is no exception of a signal handler
        return system(function, *arguments, **options)

    inode = os.stat(attributed).st_ino
    monkeypatch.setattr(writing, "_system", system)
    replace(attributed, [b"new"])
    assert (attributed.read_bytes(), os.stat(attributed).st_ino) == (b"new", inode)
    assert os.getxattr(attributed, "user.color") == b"red"
    assert os.listdir(attributed.parent) == ["file"]


ACL = bytes.fromhex("0200000001000600ffffffff02000600d204000004000400ffffffff10000600ffffffff20000400ffffffff")


def test_access_lists_stay_and_folders_give_theirs_to_new_files_only(tmp_path):
    """user::rw-, user:1234:rw-, group::r--, mask::rw-, other::r--"""
    kept, plain = tmp_path / "kept", tmp_path / "plain"
    for path in (kept, plain):
        path.write_bytes(b"old")
    os.chmod(plain, 0o640)
    try:
        os.setxattr(kept, "system.posix_acl_access", ACL)
        os.setxattr(tmp_path, "system.posix_acl_default", ACL)
    except (OSError, AttributeError):
        pytest.skip("no access control lists here")
    before = [(os.listxattr(path), mode(path)) for path in (kept, plain)]
    for path in (kept, plain, tmp_path / "new"):
        replace(path, [b"new"])
    assert [(os.listxattr(path), mode(path)) for path in (kept, plain)] == before
    assert os.getxattr(kept, "system.posix_acl_access") == ACL
    (tmp_path / "opened").write_bytes(b"new")
    assert mode(tmp_path / "new") == mode(tmp_path / "opened")
    name = "system.posix_acl_access"
    assert os.getxattr(tmp_path / "new", name) == os.getxattr(tmp_path / "opened", name)


NOBODY = """
import os, sys
import fastmlp, tempfile
from fastmlp.files.writing import check, replace
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)

def outcome(name, function=lambda name: replace(name, [b"new"])):
    before = os.stat(name).st_ino if os.path.exists(name) else None
    try:
        function(name)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "in place" if os.stat(name).st_ino == before else "replaced"
"""


def without_rights(code, folder):
    """What code prints in a process whose working directory is the folder, and which is not root's."""
    command = [sys.executable, "-W", "error", "-c", NOBODY + code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@posix
def test_folders_that_take_no_new_files(tmp_path):
    """What is in them is written in place, as `open` would; others are refused in its words."""
    for name, bits in (("file", 0o666), ("read-only", 0o644), ("mine", 0o444)):
        (tmp_path / name).write_bytes(b"a long old text")
        os.chmod(tmp_path / name, bits)
    os.chmod(tmp_path / "read-only", 0o444)
    os.chmod(tmp_path, 0o555)
    try:
        said = without_rights(
            """
for name in ("file", "read-only", "new"):
    print(outcome(name))
    print(outcome(name, check))
""",
            tmp_path,
        )
    finally:
        os.chmod(tmp_path, 0o700)
    wrong = "ValueError: path must be a file that can be written, got "
    assert said == [
        *("in place", "in place"),
        *("PermissionError: [Errno 13] Permission denied: 'read-only'", f"{wrong}read-only"),
        *("PermissionError: [Errno 13] Permission denied: 'new'", f"{wrong}new"),
    ]
    assert contents(tmp_path)["file"] == b"new"
    assert sorted(os.listdir(tmp_path)) == ["file", "mine", "read-only"]


@needs_root
def test_owners_that_may_not_be_kept(tmp_path):
    """A group's file, and one of somebody else's in a folder for all, such as /tmp, whose names only owners replace."""
    for folder, bits in (("shared", 0o777), ("sticky", 0o1777)):
        (tmp_path / folder).mkdir()
        os.chmod(tmp_path / folder, bits)
        path = tmp_path / folder / "file"
        path.write_bytes(b"a long old text")
        os.chmod(path, 0o666)
        os.chown(path, 1234, 1234)
    os.chmod(tmp_path, 0o755)
    first, second = without_rights("print(outcome('shared/file'))\nprint(outcome('sticky/file'))", tmp_path)
    assert first == "in place"
    # Linux's fs.protected_regular may forbid `open`, too
    assert second == "in place" or second.startswith("PermissionError")
    for folder in ("shared", "sticky"):
        assert os.listdir(tmp_path / folder) == ["file"]
        assert os.stat(tmp_path / folder / "file").st_uid == 1234
    assert contents(tmp_path / "shared") == {"file": b"new"}


# --- what is no regular file


@posix
def test_pipes_and_devices_are_written_into(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    replace(pipe, [bytes(1 << 20), b"end"])  # more than a pipe holds
    reader.join()
    assert got == [bytes(1 << 20) + b"end"]
    assert pipe.is_fifo()
    (tmp_path / "null").symlink_to(os.devnull)
    replace(tmp_path / "null", [b"new"])
    writing.check(tmp_path / "null")
    assert not os.path.isfile(os.devnull)
    assert sorted(os.listdir(tmp_path)) == ["null", "pipe"]


@posix
def test_readers_that_leave_and_sockets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("pipe")
    reader = threading.Thread(target=lambda: open("pipe", "rb").close())
    reader.start()
    with pytest.raises(BrokenPipeError, match=r"'pipe'$"):
        replace("pipe", (bytes(1 << 20) for _ in range(9)))
    reader.join()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert same_as_open("socket") is OSError


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no files of open files here")
def test_a_file_without_a_name_is_written_in_place(tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        os.unlink(tmp_path / "file")
        replace(f"/proc/self/fd/{file.fileno()}", [b"new"])
        assert file.read() == b"new"
    assert os.listdir(tmp_path) == []


# --- failures


def test_errors_name_the_users_path(tmp_path):
    """A limit on the size of files is met in the middle of the scratch file."""
    pytest.importorskip("resource", reason="no such limits here")
    (tmp_path / "file").write_bytes(b"old")
    code = f"""
import os, resource
from fastmlp.files.writing import replace
os.chdir({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for name in ("file", "new"):
    try:
        replace(name, [bytes(2 << 20)])
    except OSError as error:
        print(error.filename, error.errno == {errno.EFBIG})
"""
    assert fresh(code).splitlines() == ["file True", "new True"]
    assert contents(tmp_path) == {"file": b"old"}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A file whose folder takes no scratch file, and no folder for temporary files either."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def system(function, *arguments, system=writing._system, **options):
        if arguments[1:] == ("x+",):
            return system(os.rmdir, "/none/such")  # what is no exception of a signal handler
        return system(function, *arguments, **options)

    monkeypatch.setattr(writing, "_system", system)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/none/such"])
    return path


def test_errors_of_temporary_files_name_the_users_path(nowhere, monkeypatch):
    for folder in (None, "/none/such"):  # none is found, or it has gone since
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with pytest.raises(FileNotFoundError) as caught:
            replace(nowhere, [b"new"])
        assert caught.value.filename == str(nowhere)
        assert nowhere.read_bytes() == b"old"


def test_signals_are_heard_where_temporary_files_are_made(nowhere, monkeypatch):
    def handler():
        raise TimeoutError("of mine")

    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", handler)
    with pytest.raises(TimeoutError, match="of mine") as caught:
        replace(nowhere, [b"new"])
    assert caught.value.filename is None


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, FileNotFoundError, TimeoutError])
def test_pieces_that_fail_change_nothing(error, links, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    if links == 2:
        os.link(path, tmp_path / "file2")
    before = contents(tmp_path)

    def pieces():
        yield b"half"
        raise error("of mine")

    for name in (path, tmp_path / "new"):
        with pytest.raises(error, match="of mine") as caught:
            replace(name, pieces())
        assert type(caught.value) is error
        assert contents(tmp_path) == before


# --- signals

STORM = """
import collections, os, random, signal, sys, time, warnings
import fastmlp
from fastmlp.files import writing as files
warnings.simplefilter("ignore", ResourceWarning)  # of streams that an interrupt keeps from being closed by their owner
class Mine(Exception):
    pass
folder, exception, hard = sys.argv[1], eval(sys.argv[2]), len(sys.argv) > 3
path = os.path.join(folder, "model.npz")
def interrupt(*_):
    raise exception("interrupt")
networks = [fastmlp.NeuralNetwork([20, 20, 1], seed=seed) for seed in (0, 1)]
networks[0].save(path)
if hard:
    os.link(path, os.path.join(folder, "other.npz"))
kept = set(os.listdir(folder))
known = [network.parameters.tobytes() for network in networks]
began = time.perf_counter()
for _ in range(20):
    networks[0].save(path)
whole = (time.perf_counter() - began) / 20
signal.signal(signal.SIGALRM, interrupt)
open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
outcomes, most_left, drawn = collections.Counter(), 0, random.Random(0)
for n in range(400):
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1e-5, drawn.random() * whole * 1.2))
        try:
            networks[n % 2].save(path)
            outcome = "saved"
        except BaseException as error:
            outcome = type(error).__name__ + str(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:
        outcome = type(error).__name__ + str(error)
    signal.setitimer(signal.ITIMER_REAL, 0)
    outcomes[outcome] += 1
    most_left = max(most_left, len(set(os.listdir(folder)) - kept))
    assert fastmlp.load(path).parameters.tobytes() in known
networks[0].save(path)
assert set(os.listdir(folder)) == kept, os.listdir(folder)
if open_files:
    assert len(os.listdir("/proc/self/fd")) == open_files
assert most_left <= 1, most_left
print(sorted(outcomes))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such signals here")
@pytest.mark.parametrize("exception", ["KeyboardInterrupt", "TimeoutError", "FileNotFoundError", "Mine"])
@pytest.mark.parametrize("hard", [False, True], ids=["replaced", "in place"])
def test_interrupts_at_any_moment(exception, hard, tmp_path):
    """The interrupt is what is raised, the file is whole, and nothing is left."""
    command = [sys.executable, "-c", STORM, str(tmp_path), exception, *(["hard"] if hard else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(ast.literal_eval(done.stdout)) <= {"saved", f"{exception}interrupt"}


# --- several at once


def scratch_files(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith(".fastmlp-"))


@posix
@pytest.mark.parametrize("name", ["file", "f" * 255])
def test_files_left_by_the_killed_are_removed_and_those_of_the_living_are_not(name, tmp_path):
    code = f"""
import os, sys, time
from fastmlp.files.writing import replace
def pieces():
    yield b"half"
    print("ready", flush=True)
    sys.stdin.readline()
replace({str(tmp_path / name)!r}, pieces())
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"ready\n"
        both = scratch_files(tmp_path)
        assert len(both) == 2
        replace(tmp_path / "other", [b"other"])  # not this file's
        replace(tmp_path / name, [b"first"])
        assert scratch_files(tmp_path) == both
        writers[0].kill()
        writers[0].wait()
        assert scratch_files(tmp_path) == both
        replace(tmp_path / "other", [b"other"])
        assert scratch_files(tmp_path) == both
        replace(tmp_path / name, [b"second"])
        assert len(scratch_files(tmp_path)) == 1
        writers[1].communicate(b"\n", timeout=PATIENCE)
        assert contents(tmp_path) == {"other": b"other", name: b"half"}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_a_writer_within_a_writer(tmp_path):
    """The living may be of the same process."""

    def pieces():
        (scratch,) = scratch_files(tmp_path)
        replace(tmp_path / "file", [b"inner"])
        assert scratch_files(tmp_path) == [scratch]
        yield b"outer"

    replace(tmp_path / "file", pieces())
    assert contents(tmp_path) == {"file": b"outer"}


@posix
def test_scratch_files_that_are_none(tmp_path):
    """Somebody who may write into the folder gives such names to other things."""
    replace(tmp_path / "file", [b"old"])

    def pieces():
        prefix = scratch_files(tmp_path)[0].rpartition("-")[0]
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / f"{prefix}-link").symlink_to("precious")
        os.mkfifo(tmp_path / f"{prefix}-pipe")
        (tmp_path / f"{prefix}-folder").mkdir()
        yield b"new"

    replace(tmp_path / "file", pieces())
    before = scratch_files(tmp_path)
    replace(tmp_path / "file", [b"newer"])
    assert scratch_files(tmp_path) == before
    assert len(before) == 3
    assert (tmp_path / "precious").read_bytes() == b"precious"


@posix
def test_a_writer_whose_scratch_file_was_taken_for_left_takes_another(tmp_path, monkeypatch):
    """Between its creation and its lock."""
    is_locked, taken = writing._is_locked, []

    def late(file, scratch):
        if len(taken) < 3:
            taken.append(scratch)
            writing._remove_if_left(scratch)
            assert not os.path.exists(scratch)
        return is_locked(file, scratch)

    monkeypatch.setattr(writing, "_is_locked", late)
    replace(tmp_path / "file", [b"new"])
    assert len(set(taken)) == 3
    assert contents(tmp_path) == {"file": b"new"}


def test_without_locks_old_scratch_files_are_removed(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(writing, "fcntl", None)

    def pieces():
        os.link(tmp_path / scratch_files(tmp_path)[0], tmp_path / (scratch_files(tmp_path)[0] + "0"))
        yield b"new"

    replace(tmp_path / "file", pieces())
    (left,) = scratch_files(tmp_path)
    replace(tmp_path / "file", [b"newer"])
    assert scratch_files(tmp_path) == [left]  # it may be written yet
    os.utime(tmp_path / left, (0, time.time() - 1000))
    replace(tmp_path / "file", [b"newest"])
    assert contents(tmp_path) == {"file": b"newest"}


def test_savers_at_once_and_a_reader(tmp_path):
    """Of threads and of processes: what is read is whole, always."""
    path, stop = tmp_path / "model.npz", threading.Event()
    networks = [NeuralNetwork([30, 30, 1], seed=seed) for seed in range(4)]
    known = [everything(network) for network in networks]
    networks[0].save(path)
    code = f"""
import fastmlp
for _ in range(60):
    fastmlp.NeuralNetwork([30, 30, 1], seed={{}}).save({str(path)!r})
"""
    failures = []

    def save(network):
        try:
            while not stop.is_set():
                network.save(path)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=save, args=(network,)) for network in networks[:2]]
    others = [subprocess.Popen([sys.executable, "-c", code.format(seed)]) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    try:
        while any(process.poll() is None for process in others):
            assert everything(fastmlp.load(path)) in known
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        codes = [process.wait(PATIENCE) for process in others]
    assert (failures, codes) == ([], [0, 0])
    assert os.listdir(tmp_path) == ["model.npz"]


def test_arrays_that_change_while_they_are_saved_are_refused(tmp_path):
    path, array = tmp_path / "file", np.zeros(1 << 20)
    replace(path, [b"old"])

    def pieces():
        for n, piece in enumerate(archive.pieces({"parameters": array})):
            if n == 3:
                array[-1] = 1
            yield piece

    with pytest.raises(RuntimeError, match=r"^parameters must not change while they are saved"):
        replace(path, pieces())
    assert contents(tmp_path) == {"file": b"old"}


@posix
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_open_files_are_written_into(name, tmp_path):
    """As `open` does: others write there, too, before and after."""
    code = f"""
import os
from fastmlp.files.writing import replace
replace({name!r}, [b"middle "])
os.lseek(1, 0, os.SEEK_END)
os.write(1, b"end")
"""
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"some text before")
        file.flush()
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, timeout=PATIENCE)
        assert os.fstat(file.fileno()).st_nlink == 1  # it is still that file
        assert contents(tmp_path) == {"file": b"middle end"}
