"""Files of compiled kernels: where they are, that they are used, and that nothing wrong with them ends a run."""

import errno
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from numba.core import config

import fastmlp
from fastmlp.kernels.backends import jit
from fastmlp.kernels.compiler import jit_cache
from fastmlp.kernels.compiler.compilation import callback
from fastmlp.kernels.compiler.interface import KERNELS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fastmlp"


def compiled(test, name="activation_relu"):
    """A kernel, compiled or taken from a file; its symbol is the test's own."""
    kernel = callback(KERNELS[name], "float32", jit.host_level(), version=f"_{test}")
    kernel._cache = jit_cache.KernelCache(kernel.__qualname__)
    kernel.compile()
    assert kernel.address != 0
    return kernel


def test_the_next_process_finds_what_this_one_compiled(folder):
    assert compiled("found").cache_hits == 0
    assert [path.suffix for path in folder.iterdir()] == [".nbc"]
    assert compiled("found").cache_hits == 1
    assert compiled("another").cache_hits == 0


def damages():
    def truncated(data):
        return data[:100]

    def empty(data):
        return b""

    def one_bit(data):
        return data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:]

    def text(data):
        return b"not a kernel" * 100

    def another_pickle(data):
        inside = pickle.dumps({"something": "else"})
        return hashlib.sha256(inside).digest() + inside

    return [truncated, empty, one_bit, text, another_pickle]


@pytest.mark.parametrize("damage", damages())
def test_damaged_files_are_replaced(folder, damage):
    compiled(damage.__name__)
    (file,) = folder.iterdir()
    intact = file.read_bytes()
    file.write_bytes(damage(intact))
    assert compiled(damage.__name__).cache_hits == 0
    assert len(file.read_bytes()) == len(intact)
    assert compiled(damage.__name__).cache_hits == 1


def test_folders_that_cannot_be_made(folder):
    folder.parent.write_text("a file")
    assert compiled("no_folder").cache_hits == 0
    assert folder.parent.read_text() == "a file"


def test_a_folder_in_the_place_of_a_file(folder):
    compiled("a_folder")
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    assert compiled("a_folder").cache_hits == 0
    assert list(folder.iterdir()) == [file]  # no scratch file either


@pytest.mark.parametrize("failing", ["mkstemp", "write", "replace"])
def test_full_and_read_only_disks(folder, failing, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        write = fail

    where = {"mkstemp": (jit_cache.tempfile, "mkstemp", fail), "replace": (jit_cache.os, "replace", fail)}
    owner, name, function = where.get(failing, (jit_cache.os, "fdopen", lambda handle, _: os.close(handle) or Full()))
    monkeypatch.setattr(owner, name, function)
    assert compiled(f"full_{failing}").cache_hits == 0
    monkeypatch.undo()
    assert not list(folder.iterdir())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk(folder):
    disk = folder.parent
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert compiled("full_disk").cache_hits == 0
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_no_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(jit_cache, "folder", homeless)
    assert compiled("homeless").cache_hits == 0


@pytest.mark.parametrize("changed", ["versions", "settings", "CPU"])
def test_files_of_other_versions_settings_and_cpus_are_left_alone(folder, changed, monkeypatch):
    compiled(f"other_{changed}")
    if changed == "versions":
        monkeypatch.setattr(jit_cache.llvmlite, "__version__", "9.9")
    elif changed == "settings":
        monkeypatch.setattr(config, "OPT", 1)
    else:
        monkeypatch.setattr(numba.core.codegen.JITCPUCodegen, "magic_tuple", lambda self: ("triple", "an old CPU", ""))
    assert compiled(f"other_{changed}").cache_hits == 0
    assert len(list(folder.iterdir())) == 2


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    expected = {"linux": ".cache/fastmlp", "darwin": "Library/Caches/fastmlp", "win32": "AppData/Local/fastmlp/Cache"}
    for platform, path in expected.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert jit_cache.folder() == Path.home() / path
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert jit_cache.folder() == tmp_path / "elsewhere" / "fastmlp"


def test_nothing_is_written_beside_the_package(tmp_path):
    """By a process that compiles, in a copy of the package that it may write to."""
    package = Path(fastmlp.__file__).parent
    shutil.copytree(package, tmp_path / "fastmlp", ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import fastmlp; from fastmlp.kernels.backends import jit; print(fastmlp.__file__);"
        "jit._compiled('activation_relu', 'float32', jit.host_level())"
    )
    cache = tmp_path.with_suffix(".cache")
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path)}
    environment |= dict.fromkeys(("HOME", "LOCALAPPDATA", "XDG_CACHE_HOME"), str(cache))
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'fastmlp' / '__init__.py'}\n"
    assert sorted(tmp_path.rglob("*")) == before
    assert len(list(cache.rglob("*.nbc"))) == 1
