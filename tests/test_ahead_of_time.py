"""Kernels compiled ahead of time: the objects that the build makes, and the extension that holds them."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.vocabulary.levels import LEVELS

ROOT = Path(__file__).parents[1]
TRIPLE = llvm.get_process_triple()
HIGHEST = [level for level in LEVELS.values() if level.machine == TRIPLE.split("-")[0].replace("arm64", "aarch64")][-1]

# what Python runs first: an old CPU instead of the one at hand
OTHER_HOST = """
import llvmlite.binding as llvm
llvm.get_host_cpu_name = lambda: "nocona"
llvm.get_host_cpu_features = lambda: llvm.targets.FeatureMap()
"""


def load_build_module(name):
    """A module that the build alone uses, and that is not installed."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "kernels" / "emission" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(*arguments, directory=ROOT, **environment):
    command = [sys.executable, *map(str, arguments)]
    environment = {"FASTMLP_OBJECT_CACHE": "off"} | {name: str(value) for name, value in environment.items()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=directory, env=os.environ | environment, text=True, **pipes)


def finish(process):
    _, errors = process.communicate()
    return process.returncode, errors


UNITS = ("activations", "entries", "gathers", "losses", "optimizers")


def test_objects_are_the_same_bytes_whatever_cpu_settings_and_cache_build_them(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(OTHER_HOST)
    command = ["-m", "kernels.emission.ahead_of_time", "--level", HIGHEST.name]
    here = start(*command, tmp_path / "here", FASTMLP_OBJECT_CACHE=tmp_path / "cache")
    elsewhere = start(
        *command, tmp_path / "elsewhere",
        PYTHONPATH=tmp_path, PYTHONHASHSEED=7, NUMBA_CPU_NAME="core2", NUMBA_OPT=3, NUMBA_LOOP_VECTORIZE=0,
    )  # fmt: skip
    assert finish(here) == (0, "")
    assert finish(elsewhere) == (0, "")
    for file in (tmp_path / "cache").iterdir():
        if "float32_optimizers" in file.name:
            file.write_bytes(file.read_bytes()[:-1])  # damaged
        elif "float64_losses" in file.name:
            file.unlink()
    again = start(*command, tmp_path / "again", FASTMLP_OBJECT_CACHE=tmp_path / "cache")
    said, errors = again.communicate()
    assert (again.returncode, errors) == (0, "")
    compiled = re.findall(r"(float32|float64), (\w+): compiled", said)
    assert sorted(compiled) == [("float32", "optimizers"), ("float64", "losses")]
    assert len(re.findall(": kept from an earlier build", said)) == 8
    names = sorted(file.name for file in (tmp_path / "here").iterdir())
    objects = [f"kernels_{HIGHEST.name}_{dtype}_{unit}.o" for dtype in ("float32", "float64") for unit in UNITS]
    assert names == ["kernels.h", *objects]
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "elsewhere" / name).read_bytes()
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


BUILD_TWO = f"""
from kernels.compiler.interface import KERNELS
from kernels.emission import objects
objects.initialize()
kernels = [KERNELS["optimizer_sgd"], KERNELS["optimizer_adam"]]
objects.emit(kernels, "table", {HIGHEST.name!r}, "float32", {TRIPLE!r})
"""


@pytest.mark.parametrize(
    ("mistake", "symbol"), [(None, None), ("assert count > 0", "Py"), ("abs(settings[0] % 2.5)", "fmod")]
)
def test_build_fails_and_names_the_kernel_that_needs_more_than_memset(tmp_path, mistake, symbol):
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    if mistake:
        file = tmp_path / "kernels" / "functions" / "optimizer_formulas.py"
        source = file.read_text()
        line = "    rate = real(s.learning_rate)\n"
        assert source.count(line) == 1
        planted = f"    {mistake}\n" + line if mistake.startswith("assert") else f"    rate = real({mistake})\n"
        file.write_text(source.replace(line, planted))
    code, errors = finish(start("-c", BUILD_TWO, directory=tmp_path))
    if mistake is None:
        assert (code, errors) == (0, "")
    else:
        assert code == 1
        named = [line for line in errors.splitlines() if line.startswith("fastmlp_")]
        assert [line.split(" needs ")[0].endswith("_float32_optimizer_sgd") for line in named] == [True]
        assert symbol in named[0]


MACHINE = """
import sys
from kernels.emission import room
root, cpus = sys.argv[1], int(sys.argv[2])
print(room.free_memory(root, root))
room.usable_cpus = lambda: cpus
room.free_memory = lambda found=room.free_memory(root, root): found
print(room.processes(6))
"""
GB = 10**9


@pytest.mark.parametrize(
    ("cpus", "available", "group", "level", "expected"),
    [
        (4, 16 * GB, {}, "", 4),  # CPUs
        (64, 16 * GB, {}, "", 6),  # jobs
        (4, 2 * GB, {}, "", 2),  # memory, at 0.8 GiB each
        (4, GB // 4, {}, "", 1),
        (4, 16 * GB, {"max": 4 * GB, "current": 3 * GB, "cached": 0}, "", 1),  # of a control group
        (4, 16 * GB, {"max": 4 * GB, "current": 3 * GB, "cached": 2 * GB}, "", 3),
        (4, 16 * GB, {"high": 2 * GB, "current": 0, "cached": 0}, "", 2),
        (4, 16 * GB, {"max": "max", "high": "max", "current": 3 * GB, "cached": 0}, "", 4),
        (1, 16 * GB, {}, "3", 3),  # by CMake's variable
        (2, 16 * GB, {}, "many", 2),
        (2, None, {}, "", 2),  # a system that does not say
    ],
)
def test_no_more_processes_than_the_machine_has_room_for(tmp_path, cpus, available, group, level, expected):
    if available is not None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available // 1024} kB\nHugePages_Total: 0\n")
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "cgroup").write_text("0::/outer/inner\n")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    for name in ("max", "high", "current"):
        if name in group:
            (tmp_path / "outer" / f"memory.{name}").write_text(f"{group[name]}\n")
    (tmp_path / "outer" / "memory.stat").write_text(f"anon 1\ninactive_file {group.get('cached', 0)}\n")
    command = [sys.executable, "-c", MACHINE, str(tmp_path), str(cpus)]
    environment = os.environ | {"CMAKE_BUILD_PARALLEL_LEVEL": level}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    free, processes = map(int, done.stdout.split())
    limits = [group[name] for name in ("max", "high") if isinstance(group.get(name), int)]
    limits = [limit - group["current"] + group["cached"] for limit in limits]
    assert free == min([available // 1024 * 1024 if available is not None else sys.maxsize, *limits])
    assert processes == expected


MODULE = """
@used = external global i32
@own = global i32 5
@common = common global i32 0
declare void @a_function_with_a_long_name(ptr)
declare void @unused()
declare void @short()
define void @defined() { call void @a_function_with_a_long_name(ptr @used) call void @short() ret void }
"""


@pytest.mark.parametrize("system", ["unknown-linux-gnu", "pc-windows-msvc", "apple-macosx11.0"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_undefined_symbols_of_every_object_format(machine, system):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = f"{machine}-{system}"
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{MODULE}')
    data = llvm.Target.from_triple(triple).create_target_machine(reloc="pic", codemodel="small").emit_object(module)
    found = load_build_module("object_symbols").undefined_symbols(data)
    assert found == {"used", "a_function_with_a_long_name", "short"}


needs_extension = pytest.mark.skipif(
    not backends.extension_exists() and os.environ.get("FASTMLP_REQUIRE_EXTENSION") != "1",
    reason="installed without the extension",
)


@needs_extension
def test_extension_holds_every_kernel_for_every_level_of_this_machine():
    from fastmlp.kernels import _compiled

    assert _compiled.levels() == [level.name for level in LEVELS.values() if level.machine == HIGHEST.machine]
    every = set()
    for level in _compiled.levels():
        table = _compiled.addresses(level)
        assert table.keys() == {(kernel, dtype) for kernel in KERNELS for dtype in ("float32", "float64")}
        assert len(set(table.values())) == len(table)  # no two kernels are one function
        assert not every & set(table.values())  # nor those of two levels
        every |= set(table.values())
    with pytest.raises(ValueError, match="x86-64-v9"):
        _compiled.addresses("x86-64-v9")


@needs_extension
def test_extension_finds_the_features_that_llvm_finds():
    from fastmlp.kernels import _compiled

    asked_for = set().union(*(level.needs for level in LEVELS.values() if level.machine == HIGHEST.machine))
    assert _compiled.host_features() == {name for name in asked_for if llvm.get_host_cpu_features()[name]}


@needs_extension
def test_both_compilers_choose_the_same_level():
    from fastmlp.kernels.backends import compiled, jit

    assert compiled.host_level() == jit.host_level()


@needs_extension
def test_compiled_backend_works_without_numba():
    program = """if True:
        import sys
        sys.modules["numba"] = sys.modules["llvmlite"] = None  # an import would raise
        import numpy as np
        from fastmlp.kernels.backends.choice import backend
        from fastmlp.kernels.runtime.plan import Model
        model = Model((2, 1), ("identity",), "mean_squared_error", "float64")
        executor = backend("compiled").executor(model, np.array([2.0, -1.0, 0.5]))
        assert executor.predict(np.array([[3.0, 4.0]])).tolist() == [[2.5]]
    """
    assert finish(start("-c", program)) == (0, "")
