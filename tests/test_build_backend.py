"""What installers ask of the build: metadata at once, and a wheel that has the same."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("scikit_build_core")

ROOT = Path(__file__).parents[1]
HOOKS = """
import sys, build_backend
kind, out = sys.argv[1:]
name = getattr(build_backend, f"prepare_metadata_for_build_{kind}")(f"{out}/prepared")
getattr(build_backend, f"build_{kind}")(out, None, f"{out}/prepared/{name}")
"""

EXTENSION = """
cmake_minimum_required(VERSION 3.21)
project(fastmlp LANGUAGES NONE)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/_compiled.so" "an extension")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/_compiled.so" DESTINATION fastmlp/kernels)
"""
FAILURE = 'cmake_minimum_required(VERSION 3.21)\nproject(fastmlp LANGUAGES NONE)\nmessage(FATAL_ERROR "no compiler")\n'

needs_cmake = pytest.mark.skipif(
    not (shutil.which("cmake") or importlib.util.find_spec("cmake")), reason="CMake is not installed"
)


@pytest.fixture
def checkout(tmp_path):
    """The project with an extension that takes no time."""
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", ".git", "*.so", "*.pyd", "build", "tests", "benchmarks")
    shutil.copytree(ROOT, folder, ignore=ignored)
    (folder / "CMakeLists.txt").write_text(EXTENSION)
    pyproject = folder / "pyproject.toml"
    nothing = 'requires = ["numpy"]\nbuild-backend'  # more than it need not be installed
    pyproject.write_text(re.sub(r"requires = \[[^]]*\]\nbuild-backend", nothing, pyproject.read_text(), count=1))
    return folder


def run(checkout, kind, **environment):
    out = checkout.parent / kind
    (out / "prepared").mkdir(parents=True)
    names = ("FASTMLP_PURE", "FASTMLP_REQUIRE_EXTENSION")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", HOOKS, kind, str(out)]
    return out, subprocess.run(
        command, cwd=checkout, env=inherited | environment, capture_output=True, text=True, check=False
    )


def metadata_of(folder):
    """Files by their names, of metadata that were prepared, and of a wheel."""
    (prepared,) = (folder / "prepared").glob("*.dist-info")
    files = [file for file in prepared.rglob("*") if file.is_file()]
    before = {file.relative_to(prepared).as_posix(): file.read_bytes() for file in files}
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = [name for name in opened.namelist() if name.startswith(f"{prepared.name}/")]
        after = {name.partition("/")[2]: opened.read(name) for name in names}
    return wheel, before, after


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.parametrize("how", ["extension", "pure", "failed"])
@needs_cmake
def test_metadata_are_prepared_as_the_wheel_has_them(checkout, kind, how):
    if how == "failed":
        (checkout / "CMakeLists.txt").write_text(FAILURE)
    out, done = run(checkout, kind, **({"FASTMLP_PURE": "1"} if how == "pure" else {}))
    assert done.returncode == 0, done.stderr
    assert ("is installed without its extension" in done.stdout) == (how == "failed")
    wheel, before, after = metadata_of(out)
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} == before.keys()
    assert after.keys() == before.keys() | {"WHEEL", "RECORD"}
    assert all(after[name] == data for name, data in before.items())
    assert (b"Tag: py3-none-any" in after["WHEEL"]) == (how != "extension")
    with zipfile.ZipFile(wheel) as opened:
        assert ("fastmlp/kernels/_compiled.so" in opened.namelist()) == (how == "extension")


@needs_cmake
def test_an_extension_that_is_required_must_not_fail(checkout):
    (checkout / "CMakeLists.txt").write_text(FAILURE)
    out, done = run(checkout, "wheel", FASTMLP_REQUIRE_EXTENSION="1")
    assert done.returncode == 1
    assert "no compiler" in done.stdout + done.stderr
    assert not list(out.glob("*.whl"))


def test_metadata_need_no_build(checkout):
    """No more than reading a file: neither CMake nor a compiler is looked for."""
    (checkout / "CMakeLists.txt").unlink()
    code = "import sys, build_backend; print(build_backend.prepare_metadata_for_build_wheel(sys.argv[1]))"
    environment = os.environ | {"PATH": "", "CC": "none", "FASTMLP_REQUIRE_EXTENSION": "1"}
    command = [sys.executable, "-c", code, str(checkout.parent / "out")]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert (checkout.parent / "out" / done.stdout.splitlines()[-1] / "METADATA").is_file()
