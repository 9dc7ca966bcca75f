"""Imports run one way: from packages to those before them in the lists below, and never in circles."""

import ast
import graphlib
from pathlib import Path

import pytest

import fastmlp
import fastmlp.kernels

PACKAGE = Path(fastmlp.__file__).parent
FOLDERS = {"": PACKAGE, "kernels": Path(fastmlp.kernels.__file__).parent}
"""Where they are: an editable installation has kernels elsewhere."""
KERNELS = ["base", "vocabulary", "functions", "layers", "passes", "compiler", "runtime", "backends", "emission"]
ROOT = [
    "kernels", "seeding", "vector", "files", "checks", "training", "network", "config", "datasets", "dropins",
    "introduction", "guide", "tables", "plot", "cli", "sklearn",
]  # fmt: skip
OURS = {"": ROOT, "kernels": KERNELS}
"""Folders: of the package's own, and of kernels. What stands in one imports from what is named before it."""


def modules(package):
    """The path of each module, by its dotted name without the package's own."""
    found = {}
    for folder, place in (FOLDERS if package == PACKAGE else {"": package}).items():
        for path in sorted(place.rglob("*.py")):
            parts = *filter(None, [folder]), *path.relative_to(place).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def at_import(tree):
    """Statements that run when a module is imported: no functions' bodies, and nothing for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from at_import(node)


def imports(package, everywhere=True):
    """Pairs of modules of the package: one, and one that it imports; everywhere: in functions too."""
    known = modules(package)
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree) if everywhere else at_import(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                parents = name.split(".") if name else []
                up = node.level - (path.name == "__init__.py")
                base = [*parents[: len(parents) - up], *(node.module.split(".") if node.module else [])]
                for alias in node.names:
                    inner = ".".join([*base, alias.name])
                    yield name, inner if inner in known else ".".join(base)


def wrong_ways(package, orders):
    """Arrows against the order of the packages."""
    found = []
    for folder, order in orders.items():
        for name, other in imports(package):
            inside = f"{folder}." if folder else ""
            at, to = (module.removeprefix(inside).split(".")[0] for module in (name, other))
            both = name.startswith(inside) and other.startswith(inside) and {at, to} <= set(order)
            if both and order.index(at) < order.index(to):
                found.append(f"{name} -> {other}")
    return found


def circle(package):
    """Modules that import each other when they are imported, each the one before it; None if there are none."""
    graph = {}
    for name, other in imports(package, everywhere=False):
        if other:  # the package itself holds nothing but names
            graph.setdefault(name, set()).add(other)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_everything_has_its_place():
    for folder, order in OURS.items():
        found = {name.removeprefix(f"{folder}.").split(".")[0] for name in modules(PACKAGE) if name.startswith(folder)}
        not_installed = {"emission"} if folder == "kernels" else set()  # but in an editable installation
        assert found - {"", "__main__", folder} | not_installed == set(order)


def test_imports_run_one_way():
    assert wrong_ways(PACKAGE, OURS) == []


def test_there_are_no_circles():
    assert circle(PACKAGE) is None


def test_the_reader_sees_what_there_is():
    found = set(imports(PACKAGE))
    assert ("kernels.layers.matmul", "kernels.vocabulary.simd") in found
    assert ("kernels.backends.compiled", "kernels.runtime.plan") in found
    assert len(found) > 300


@pytest.fixture
def house(tmp_path):
    """Two packages and three modules, with imports in every form."""
    files = {
        "__init__.py": "from .above.top import x\n",
        "low/__init__.py": "",
        "low/base.py": "x = 1\n",
        "low/other.py": "from . import base\nfrom .base import x\n",
        "above/__init__.py": "",
        "above/top.py": "from ..low.other import x\nfrom .. import low\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_planted_arrow_is_named(house):
    orders = {"low_and_above": ["low", "above"]}
    (house / "low_and_above").mkdir()
    for name in ("low", "above"):
        (house / name).rename(house / "low_and_above" / name)
    assert wrong_ways(house, orders) == []
    for line in ("from ..above import top\n", "def f():\n    from ..above.top import x\n"):
        (house / "low_and_above/low/base.py").write_text(line)
        assert wrong_ways(house, orders) == ["low_and_above.low.base -> low_and_above.above.top"]


def test_a_planted_circle_is_found(house):
    assert circle(house) is None
    (house / "low/base.py").write_text("def late():\n    from ..above.top import x\n")
    assert circle(house) is None  # by the time of the call, both are there
    (house / "low/base.py").write_text("from ..above.top import x\n")
    assert {"low.base", "low.other", "above.top"} == set(circle(house))
