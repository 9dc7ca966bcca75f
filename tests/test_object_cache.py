"""Objects that builds keep: where they are, that no damage gets out, and that there is an end to them."""

import importlib.util
import os
import stat
from pathlib import Path

import pytest
from numba.core import config

from fastmlp.kernels.compiler import jit_cache

ROOT = Path(__file__).parents[1]


def load_object_cache():
    """A module that the build alone uses, and that is not installed."""
    file = ROOT / "kernels" / "emission" / "object_cache.py"
    spec = importlib.util.spec_from_file_location("fastmlp.kernels.emission.object_cache", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


object_cache = load_object_cache()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMLP_OBJECT_CACHE", str(tmp_path / "objects"))
    return object_cache.cache_of_user()


def test_what_was_put_is_got(cache):
    assert cache.get("one.o") is None
    cache.put("one.o", b"code")
    cache.put("two.o", b"")
    assert (cache.get("one.o"), cache.get("two.o"), cache.get("three.o")) == (b"code", b"", None)
    cache.put("one.o", b"other code")
    assert cache.get("one.o") == b"other code"
    assert len(os.listdir(cache.folder)) == 2


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_write_there(cache):
    cache.put("one.o", b"code")
    assert stat.S_IMODE(os.stat(cache.folder).st_mode) == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda held: b"",
        lambda held: held[:10],
        lambda held: held[:-1],
        lambda held: held + b"\0",
        lambda held: held[:-1] + bytes([held[-1] ^ 1]),
        lambda held: bytes([held[0] ^ 1]) + held[1:],
    ],
)
def test_a_damaged_file_is_as_none(cache, damage):
    cache.put("one.o", b"code")
    path = Path(cache.folder, "one.o")
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("one.o") is None
    cache.put("one.o", b"code")
    assert cache.get("one.o") == b"code"


def test_a_file_under_another_name_is_as_none(cache):
    cache.put("one.o", b"code")
    os.rename(Path(cache.folder, "one.o"), Path(cache.folder, "two.o"))
    assert cache.get("two.o") is None


def test_a_folder_that_cannot_be_used_is_no_error(cache, tmp_path):
    (tmp_path / "objects").write_text("a file")
    cache.put("one.o", b"code")
    assert cache.get("one.o") is None
    assert (tmp_path / "objects").read_text() == "a file"


def test_a_folder_in_the_place_of_a_file_is_no_error(cache, tmp_path):
    (tmp_path / "objects" / "one.o").mkdir(parents=True)
    cache.put("one.o", b"code")
    assert cache.get("one.o") is None
    assert os.listdir(cache.folder) == ["one.o"]  # no scratch file either


@pytest.mark.parametrize("value", ["off", "0", "NO", "False"])
def test_it_can_be_switched_off(value, monkeypatch):
    monkeypatch.setenv("FASTMLP_OBJECT_CACHE", value)
    cache = object_cache.cache_of_user()
    cache.put("one.o", b"code")
    assert (cache.folder, cache.get("one.o")) == (None, None)


def test_its_place_is_beside_the_other_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTMLP_OBJECT_CACHE", raising=False)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert object_cache.cache_of_user().folder == str(tmp_path / "fastmlp" / "objects")

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(jit_cache, "folder", homeless)
    assert object_cache.cache_of_user().folder is None


def test_those_that_nobody_asks_for_are_removed_first(cache, monkeypatch):
    monkeypatch.setattr(object_cache, "MOST", 4 * (jit_cache.DIGEST + 100))
    for i, name in enumerate(("a", "b", "c", "left of broken writing", "d")):
        cache.put(name, bytes(100))
        if name in os.listdir(cache.folder):
            os.utime(Path(cache.folder, name), (1000 + i, 1000 + i))
    assert sorted(os.listdir(cache.folder)) == ["b", "c", "d", "left of broken writing"]
    assert cache.get("b") == bytes(100)  # which makes it the last that anybody asked for
    cache.put("e", bytes(100))
    assert sorted(os.listdir(cache.folder)) == ["b", "d", "e", "left of broken writing"]
    cache.put("large", bytes(1000))
    assert os.listdir(cache.folder) == []
