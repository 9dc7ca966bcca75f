"""scikit-build-core's backend, with what it leaves to the project.

It looks whether what the build requires is there: without build isolation nobody else does. A wheel without the
extension is made where CMake or the C compiler fails; it must not be made in silence where a package is too old to
compile the kernels with, or missing. Metadata are prepared without a build: else installers would build the wheel, for
minutes, while they say that they look at its metadata. This is why the second try is here and not among the overrides
of scikit-build-core, which prepares no metadata if one of them is for failures.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from scikit_build_core import build
from scikit_build_core.build import *  # noqa: F403  # all else is its own

PURE, REQUIRED = "FASTMLP_PURE", "FASTMLP_REQUIRE_EXTENSION"


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    return build_any(build.build_wheel, wheel_directory, config_settings)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    return build_any(build.build_editable, wheel_directory, config_settings)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Any = None) -> str:
    return prepare(build.prepare_metadata_for_build_wheel, metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Any = None) -> str:
    return prepare(build.prepare_metadata_for_build_editable, metadata_directory, config_settings)


def build_any(make: Callable[..., str], directory: str, settings: Any) -> str:
    """A wheel; if the extension fails, and nobody requires it, one without it.

    What was prepared is not handed on: scikit-build-core would look for WHEEL there.
    """
    require_packages()
    try:
        return make(directory, settings)
    except SystemExit:
        if is_set(PURE) or is_set(REQUIRED):
            raise
    print(f"*** fastmlp is installed without its extension, which failed: see above. {REQUIRED}=1 makes this an error.")
    sys.stdout.flush()
    with without_extension():
        return make(directory, settings)


def prepare(make: Callable[..., str], directory: str, settings: Any) -> str:
    """Metadata, which are the same with the extension and without it, but for the file WHEEL.

    It has the wheel's tags, which nobody knows before the extension is built: it is left out.
    """
    with without_extension():
        name = make(directory, settings)
    Path(directory, name, "WHEEL").unlink()
    return name


@contextmanager
def without_extension() -> Iterator[None]:
    before = os.environ.get(PURE)
    os.environ[PURE] = "1"
    try:
        yield
    finally:
        del os.environ[PURE]
        if before is not None:
            os.environ[PURE] = before


def is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() not in ("", "0", "n", "no", "off", "f", "false")


def require_packages() -> None:
    if is_set(PURE):
        return
    with open(Path(__file__).parent / "pyproject.toml", "rb") as file:
        required = map(Requirement, tomllib.load(file)["build-system"]["requires"])
    for requirement in required:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or not requirement.specifier.contains(found, prereleases=True):
            raise SystemExit(
                f"{requirement} must be installed to build fastmlp's extension, got {found}; "
                "with FASTMLP_PURE=1, it is installed without the extension"
            )
