"""scikit-build-core's backend, which looks whether what the build requires is there.

Without build isolation nobody else does. A wheel without the extension is made where there is no C compiler; it must
not be made in silence where a package is too old to compile the kernels with, or missing.
"""

import os
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from scikit_build_core import build
from scikit_build_core.build import *  # noqa: F403  # all else is its own


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    require_packages()
    return build.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    require_packages()
    return build.build_editable(wheel_directory, config_settings, metadata_directory)


def require_packages() -> None:
    if os.environ.get("FASTMLP_PURE", "").lower() not in ("", "0", "n", "no", "off", "f", "false"):
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
