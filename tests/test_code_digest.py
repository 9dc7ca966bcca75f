"""What decides whether kernels must be compiled anew: whatever changes them, and nothing else."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.vocabulary.levels import LEVELS

ROOT = Path(__file__).parents[1]
TRIPLE = llvm.get_process_triple()
MACHINE = TRIPLE.split("-")[0].replace("arm64", "aarch64")
LEVEL = next(level for level in LEVELS.values() if level.machine == MACHINE)


def load_code_digest():
    """A module that the build alone uses, and that is not installed."""
    file = ROOT / "kernels" / "emission" / "code_digest.py"
    spec = importlib.util.spec_from_file_location("fastmlp.kernels.emission.code_digest", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


code_digest = load_code_digest()

KERNEL = '''
def helper(x, factor=2):
    """Another function."""
    return x * factor


def kernel(x, n):
    """A kernel."""

    def inner(y):
        return y + STEP

    for i in range(n):  # so often
        x = inner(helper(x)) - LIMIT + 0.5
    return x
'''


def seen(source, **values):
    """What the digest is of."""
    names = {"__name__": "planted", "STEP": 3, "LIMIT": np.float32(0.25)} | values
    exec(compile(source, "planted.py", "exec"), names)
    return code_digest.digest(code_digest.Walk().value(names["kernel"], "kernel"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # so often", ""),
        ("\n\n\n", "\n\n\n# a comment\n\n\n"),
        ('"""A kernel."""', '"""Something else that is said."""'),
        ('    """Another function."""\n', ""),
        ('    """A kernel."""\n', ""),
    ],
)
def test_comments_lines_and_docstrings_are_no_code(old, new):
    assert old in KERNEL
    assert seen(KERNEL.replace(old, new)) == seen(KERNEL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * factor", "x / factor"),  # of a function that the kernel calls
        ("factor=2", "factor=3"),  # a default
        ("factor=2", "factor=2.0"),
        ("y + STEP", "y - STEP"),  # of an inner function
        ("y + STEP", "y + LIMIT"),
        ("0.5", "0.25"),
        ("0.5", "-0.5"),
        ("range(n)", "range(1, n)"),
        ("range(n)", "reversed(n)"),
        ("- LIMIT", "+ LIMIT"),
        ("inner(helper(x))", "helper(inner(x))"),
        ("(x, n)", "(n, x)"),
    ],
)
def test_every_change_of_code_is_seen(old, new):
    assert old in KERNEL
    assert seen(KERNEL.replace(old, new)) != seen(KERNEL)


@pytest.mark.parametrize(
    "values",
    [{"STEP": 4}, {"STEP": 3.0}, {"STEP": True}, {"LIMIT": np.float64(0.25)}, {"LIMIT": np.float32(0.5)}, {"range": 1}],
)
def test_every_change_of_a_value_is_seen(values):
    assert seen(KERNEL, **values) != seen(KERNEL)


def test_zeros_differ_by_their_signs_and_no_number_equals_itself_by_chance():
    values = [0, 0.0, -0.0, np.float32(0.0), np.float32(-0.0), np.float64(0.0), None, False]
    assert len({seen(KERNEL, STEP=value) for value in values}) == len(values)
    assert seen(KERNEL, STEP=float("nan")) == seen(KERNEL, STEP=float("nan"))


def test_functions_that_names_are_bound_to_are_seen():
    def other(x):
        return x + x

    template = KERNELS["activation_tanh"]
    found = code_digest.code_of([template], "float32", LEVEL)
    assert found == code_digest.code_of([KERNELS["activation_tanh"]], "float32", LEVEL)
    planted = type(template)(template.name, template.function, template.arguments, bound={"element": other})
    with pytest.raises(KeyError):  # it is none of the kernel modules'
        code_digest.code_of([planted], "float32", LEVEL)
    bound = {"element": KERNELS["activation_relu"].bound["element"]}
    planted = type(template)(template.name, template.function, template.arguments, bound=bound)
    assert code_digest.code_of([planted], "float32", LEVEL) != found


def test_cells_and_keyword_defaults_are_seen():
    def made(value, default):
        def kernel(x, *, step=default):
            return x + value + step

        return code_digest.digest(code_digest.Walk().value(kernel, "kernel"))

    assert made(1, 2) == made(1, 2)
    assert len({made(1, 2), made(2, 2), made(1, 3)}) == 3


def test_functions_may_call_themselves_and_each_other():
    source = "def helper(x):\n    return kernel(x - 1)\ndef kernel(x):\n    return helper(x) if x else kernel(x + 1)\n"
    assert seen(source) == seen(source)
    assert seen(source) != seen(source.replace("x - 1", "x - 2"))


def test_values_that_cannot_be_told_apart_are_refused():
    with pytest.raises(TypeError, match=r"functions, numbers or the vocabulary, got STEP = \[1\]"):
        seen(KERNEL, STEP=[1])


def test_number_types_and_levels_differ():
    def digests(name):
        levels = [level for level in LEVELS.values() if level.machine == "x86_64"]
        pairs = [(dtype, level) for dtype in ("float32", "float64") for level in levels]
        return {code_digest.digest(code_digest.code_of([KERNELS[name]], *pair)) for pair in pairs}

    assert len(digests("activation_gelu")) == 6  # by constants, and by what a register holds


# --- the real kernels, in a copy of their folder

KEYS = f"""
import json
from kernels.emission import units
print(json.dumps({{unit: units.key(unit, {LEVEL.name!r}, "float32", {TRIPLE!r}) for unit in units.units()}}))
"""


def keys(folder):
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", KEYS]
    return json.loads(subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def before():
    return keys(ROOT)


EVERY = {"entries", "gathers", "activations", "losses", "optimizers"}


@pytest.mark.parametrize(
    ("edits", "units"),
    [
        (
            [
                ("matmul.py", '"""', '"""More is said about it. '),
                ("steps.py", "from .descent import", "# Of another module\nfrom .descent import"),
                ("intrinsics.py", "# --- memory", "# --- reading and writing"),
                ("objects.py", '"""Prepare a process that emits."""', '"""Prepare."""'),
                ("notes.py", "from ..layers.layout import NOTE", "from ..layers.layout import NOTE\n\nUNUSED = 1"),
                ("threads.py", "import atexit", "import atexit\nimport itertools"),
            ],
            set(),
        ),
        ([("optimizer_formulas.py", "rate = real(s.learning_rate)", "rate = real(s.momentum)")], {"optimizers"}),
        ([("optimizer_formulas.py", '"rate root")', '"root rate")')], {"optimizers"}),
        ([("layers/plan.py", 'Field("steps", INTEGER', 'Field("steps", FLAG')], EVERY),
        ([("steps.py", "def take_step(", "def take_step(unused, ")], {"entries"}),
        ([("simd.py", "NEIGHBORS = 2", "NEIGHBORS = 4")], EVERY),
        ([("intrinsics.py", '"llvm.maximum"', '"llvm.minimum"')], EVERY),
        ([("levels.py", "_V3, 32, 6", "_V3, 32, 5")], EVERY),
        ([("machine.py", "I8, I32, I64, VOID", "I8, I32, I64, VOID, I8")], EVERY),
        ([("objects.py", "opt=3", "opt=2")], EVERY),
    ],
)
def test_an_edit_costs_the_units_that_it_reaches(tmp_path, before, edits, units):
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name, old, new in edits:
        (file,) = (tmp_path / "kernels").rglob(name)
        source = file.read_text()
        assert old in source, (name, old)
        file.write_text(source.replace(old, new, 1))
    after = keys(tmp_path)
    assert before.keys() == after.keys() == EVERY
    assert {unit for unit in after if after[unit] != before[unit]} == units


COMPILED = f"""
from kernels.compiler import compilation
from kernels.emission import code_digest, objects
from kernels.compiler.interface import KERNELS
from kernels.vocabulary.levels import LEVELS
level = LEVELS[{LEVEL.name!r}]
objects.initialize()
compiled_before = set()
for name in ("gather_bool", "activation_gelu", "activation_softmax", "loss_focal", "optimizer_adam", "unpack"):
    objects.ir(name, "float32", level)
    walk, names = code_digest.Walk(), code_digest.namespace("float32", level)
    walk.value(code_digest.bind(KERNELS[name], names), name)
    seen = {{function.__name__ for function in walk.functions}}
    namespace = compilation.namespace("float32", level)
    compiled = {{name for name, value in namespace.items() if getattr(value, "overloads", None)}} - compiled_before
    assert compiled <= seen, (name, compiled - seen)
    compiled_before |= compiled
assert len(compiled_before) > 10
"""


def test_all_that_numba_compiles_has_been_seen():
    subprocess.run([sys.executable, "-c", COMPILED], cwd=ROOT, check=True)


SIDE = """
import ast, sys
from kernels.compiler import interface
from kernels.emission import code_digest, objects, units
from kernels.layers import plan
kernels = {module.__name__ for module in interface.MODULES if module is not plan}
left_out = ["kernels", interface.__name__, *kernels, *(f"kernels.{name}" for name in units.WITHOUT_EFFECT)]
side = [name for name, _ in code_digest.text_of(objects, left_out)]
print(*side)
for name in side:
    tree = ast.parse(open(sys.modules[name].__file__).read())
    assert not kernels & set(code_digest.imported(tree, name)), name
"""


def test_the_compilers_side_takes_nothing_from_kernels():
    """Or it could change with a text that is not looked at."""
    done = subprocess.run([sys.executable, "-c", SIDE], cwd=ROOT, check=True, capture_output=True, text=True)
    side = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert {"objects", "compilation", "specialize", "intrinsics", "machine", "tiles", "levels"} <= side
    assert {"structure_type", "vector_type", "plan"} <= side
