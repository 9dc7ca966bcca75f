"""The package as it is installed."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata, resources
from pathlib import Path, PurePosixPath

import pytest

from fastmlp.kernels.backends import choice as backends

ROOT = Path(__file__).parents[1]


def installed_files():
    return [PurePosixPath(file.as_posix()) for file in metadata.files("fastmlp")]


def test_the_installed_package_is_the_one_under_test():
    import fastmlp

    distribution = metadata.distribution("fastmlp")
    assert os.path.samefile(fastmlp.__file__, distribution.locate_file("fastmlp/__init__.py"))
    assert fastmlp.__version__ == distribution.version


def test_extension_is_there_when_it_is_required():
    if os.environ.get("FASTMLP_REQUIRE_EXTENSION") == "1":
        assert backends.extension_exists()
        assert backends.backend("compiled").name == "compiled"


def test_runtime_dependencies_are_numpy_and_numba():
    required = [line for line in metadata.requires("fastmlp") if "extra ==" not in line]
    assert sorted(line.split(">=")[0] for line in required) == ["numba", "numpy"]


def test_console_command_is_the_module():
    (command,) = metadata.entry_points(group="console_scripts", name="fastmlp")
    assert command.value == "fastmlp.cli.cli:main"


@pytest.mark.parametrize("name", ["py.typed", "data/digits.idx.gz", "data/SOURCE.md"])
def test_package_data_is_installed(name):
    assert resources.files("fastmlp").joinpath(name).is_file()


def test_sources_of_the_build_are_not_installed():
    files = [file for file in installed_files() if file.parts[0] == "fastmlp"]
    assert {".py", ".gz"} <= {file.suffix for file in files}  # or the rest would say nothing
    assert not {".pyx", ".h", ".c", ".o", ".txt"} & {file.suffix for file in files}
    assert not [file for file in files if "emission" in file.parts]


LEFTOVERS = {"__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".asv", "build", "dist"}


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_archives_hold_nothing_that_a_run_leaves(kind, tmp_path):
    """Whatever lies in the checkout: here, what the tests have left."""
    pytest.importorskip("scikit_build_core")
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*LEFTOVERS, ".git", "*.so", "*.pyd"))
    for folder in LEFTOVERS:
        for parent in (".", "kernels", "src/fastmlp"):
            (checkout / parent / folder).mkdir()
            (checkout / parent / folder / "left.py").touch()
    for name in ("kernels/activations.run-1.py311.1.nbc", "kernels/activations.run-1.py311.nbi", "kernels/left.so"):
        (checkout / name).touch()
    code = f"import build_backend; build_backend.build_{kind}({str(out)!r})"
    environment = os.environ | {"FASTMLP_PURE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment, check=True, capture_output=True)
    (archive,) = out.iterdir()
    with zipfile.ZipFile(archive) if kind == "wheel" else tarfile.open(archive) as opened:
        files = [PurePosixPath(name) for name in (opened.namelist() if kind == "wheel" else opened.getnames())]
    assert {"activations.py", "network.py"} <= {file.name for file in files}  # or the rest would say nothing
    assert not [file for file in files if LEFTOVERS & set(file.parts) or file.suffix in (".pyc", ".so", ".nbc", ".nbi")]
    if kind == "sdist":
        assert {"build_backend.py", "_compiled.pyx", "CMakeLists.txt"} <= {file.name for file in files}
    else:
        assert {file.parts[0].partition("-")[0] for file in files} == {"fastmlp"}


@pytest.mark.skipif(not backends.extension_exists(), reason="installed without the extension")
def test_the_extension_names_no_folder_of_its_build():
    """Or two builds of the same would differ."""
    from fastmlp.kernels import _compiled

    data = Path(_compiled.__file__).read_bytes().replace(b"\xff", b"")  # which Cython may have within strings
    assert b"_compiled" in data
    assert not re.findall(rb"\.\./[\w./~-]{3,}", data)
    assert str(ROOT).encode() not in data


def test_build_requirements_are_asked_for_by_the_backend(tmp_path):
    """As nobody else does without build isolation; a wheel without the extension, if that is asked for, needs none."""
    pytest.importorskip("scikit_build_core")
    shutil.copy(ROOT / "build_backend.py", tmp_path)
    needs = '[build-system]\nrequires = ["numpy>=1", "{}"]\n'
    for requirement, found in (("numpy>=99", metadata.version("numpy")), ("no-such-package", "none")):
        (tmp_path / "pyproject.toml").write_text(needs.format(requirement))
        command = [sys.executable, "-c", "import build_backend; build_backend.require_packages()"]
        for pure, said in (
            ("0", f"{requirement} must be installed to build fastmlp's extension, got {found}; "
                  "with FASTMLP_PURE=1, it is installed without the extension\n"),
            ("1", ""),
        ):  # fmt: skip
            environment = os.environ | {"FASTMLP_PURE": pure}
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (bool(said), said)


@pytest.mark.parametrize("module", ["fastmlp", "fastmlp.kernels.compiler.interface", "fastmlp.kernels.backends.choice"])
def test_import_leaves_numba_alone(module):
    program = f"import sys, {module}; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
