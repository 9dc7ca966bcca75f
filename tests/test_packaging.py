"""The package as it is installed."""

import os
import subprocess
import sys
from importlib import metadata, resources
from pathlib import PurePosixPath

import pytest

from fastmlp.kernels import backends


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
    assert command.value == "fastmlp.cli:main"


@pytest.mark.parametrize("name", ["py.typed", "data/digits.idx.gz", "data/SOURCE.md"])
def test_package_data_is_installed(name):
    assert resources.files("fastmlp").joinpath(name).is_file()


def test_sources_of_the_build_are_not_installed():
    files = [file for file in installed_files() if file.parts[0] == "fastmlp"]
    assert {".py", ".gz"} <= {file.suffix for file in files}  # or the rest would say nothing
    assert not {".pyx", ".h", ".c", ".o", ".txt"} & {file.suffix for file in files}
    assert not {"ahead_of_time", "object_symbols"} & {file.stem for file in files}


@pytest.mark.parametrize("module", ["fastmlp", "fastmlp.kernels.interface", "fastmlp.kernels.backends"])
def test_import_leaves_numba_alone(module):
    program = f"import sys, {module}; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
