"""What a change has to pass, in parts: `nox -s lint quick levels pure docs`. `.ci/run` does all of it, and more.

Sessions share two environments, with the extension and without, which are kept in `.nox`; compiled kernels are kept in
`build/nox`. So the first run takes minutes, and the next ones what their tests take. What follows `--` goes to pytest.
"""

import os
import re
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"  # `environment` makes them
nox.options.sessions = ["lint", "quick"]

PROJECT = nox.project.load_toml("pyproject.toml")
LEVEL_TESTS = re.search(r"LEVEL_TESTS=\((.*?)\)", Path(".ci/run").read_text(encoding="utf-8"), re.DOTALL)
NOT_PYTHON = "not interpreted and not reference"  # what is compiled: those are slow, and are left to `.ci/run`

QUICK = [
    "test_imports.py", "test_kernels_activations.py", "test_kernels_losses.py", "test_kernels_optimizers.py",
    "test_kernels_network.py", "test_layer.py", "test_network.py", "test_training.py", "test_predictor.py",
    "test_storage.py", "test_validation.py", "test_history.py", "test_schedules.py", "test_weights.py", "test_cli.py",
    "test_introduction.py", "test_guide.py", "test_sklearn_semantics.py",
]  # fmt: skip
"""The core of the suite: files that take little time and see most mistakes."""

DOCS = ["test_docs.py", "test_docstrings.py", "test_pages.py", "test_readme.py"]


def environment(session: nox.Session, name: str, *more: str, **variables: str) -> Path:
    """Install this checkout and what its tests need, and `more`; where the commands of that are."""
    folder = Path(".nox", name).absolute()
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    if not commands.exists():
        session.run(sys.executable, "-m", "venv", os.fspath(folder), external=True)
    build = [*PROJECT["build-system"]["requires"], *nox.project.dependency_groups(PROJECT, "build")]
    install = [os.fspath(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    session.run(*install, *build, *more, external=True)
    options = ["--no-build-isolation", "-C", f"build-dir=build/nox/{name}"]  # what is compiled already stays
    session.run(*install, *options, ".[test]", env=variables, external=True)
    return commands


def extension(session: nox.Session) -> Path:
    return environment(session, "extension", FASTMLP_REQUIRE_EXTENSION="1")


def without_extension(session: nox.Session) -> Path:
    lint = nox.project.dependency_groups(PROJECT, "lint")
    return environment(session, "pure", *lint, FASTMLP_PURE="1")


def pytest(session: nox.Session, commands: Path, *arguments: str, **variables: str) -> None:
    session.run(
        os.fspath(commands / "pytest"), "-n", "auto", *arguments, *session.posargs, env=variables, external=True
    )


def files(names: list[str]) -> list[str]:
    return [f"tests/{name}" for name in names]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    commands = without_extension(session)  # whose types are the same
    session.run(os.fspath(commands / "ruff"), "check", ".", external=True)
    session.run(os.fspath(commands / "mypy"), external=True)


@nox.session
def quick(session: nox.Session) -> None:
    """The core of the suite by compiled kernels: less than a minute once they are there."""
    pytest(session, extension(session), "-k", f"{NOT_PYTHON} and not jit", *files(QUICK))


@nox.session
def levels(session: nox.Session) -> None:
    """The tests of kernels at each CPU level below the highest that this machine has."""
    commands = extension(session)
    code = (
        "from fastmlp.kernels import _compiled; from fastmlp.kernels.backends import compiled;"
        "levels = _compiled.levels(); print(*levels[: levels.index(compiled.host_level().name)])"
    )
    below = session.run(os.fspath(commands / "python"), "-c", code, silent=True, external=True)
    paths = [os.fspath(path) for pattern in LEVEL_TESTS[1].split() for path in sorted(Path().glob(pattern))]
    for level in below.split():
        pytest(session, commands, "-k", "compiled and not jit", *paths, FASTMLP_CPU_LEVEL=level)
        pytest(session, commands, "-k", "jit", "tests/test_parity.py", FASTMLP_CPU_LEVEL=level)


@nox.session
def pure(session: nox.Session) -> None:
    """The suite without the extension: Numba compiles."""
    pytest(session, without_extension(session), "-k", NOT_PYTHON, FASTMLP_BACKEND="jit")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages and docstrings: their examples, and the files, commands and names that they mention."""
    pytest(session, extension(session), *files(DOCS))
