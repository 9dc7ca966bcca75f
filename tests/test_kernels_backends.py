"""Which backend and level computes, and what is said when they are not to be had."""

import os

import numpy as np
import pytest
from numba import njit
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen

from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.backends import jit
from fastmlp.kernels.backends.choice import BACKENDS, backend
from fastmlp.kernels.backends.reference import ReferenceExecutor
from fastmlp.kernels.compiler import compilation, interface
from fastmlp.kernels.compiler.compilation import callback, unfinished
from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.runtime.executor import Executor
from fastmlp.kernels.runtime.plan import Model
from fastmlp.kernels.vocabulary.levels import LEVELS


@pytest.fixture
def environment(monkeypatch):
    """No variable is set but those that the test sets."""
    for name in ("FASTMLP_BACKEND", "FASTMLP_CPU_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    backends._backend.cache_clear()
    yield monkeypatch
    backends._backend.cache_clear()


def test_each_backend_says_what_it_is(backend):
    assert backend.name in BACKENDS
    assert (backend.level is None) == (backend.name == "reference")
    assert repr(backend) == f"Backend({backend.name!r}, level={backend.level!r})"


def test_each_backend_computes_by_its_own_library(backend):
    executor = backend.executor(Model((2, 1), ("identity",), "mean_squared_error", "float64"), np.array([1.0, 2, 3]))
    if backend.name == "reference":
        assert isinstance(executor, ReferenceExecutor)
    else:
        assert isinstance(executor, Executor)
        assert (executor.library.name, executor.library.level) == (backend.name, backend.level)
    assert executor.predict(np.array([[10.0, 100]])).tolist() == [[213]]
    executor.parameters[:] = 0, 0, 4
    executor.changed()
    assert executor.predict(np.array([[10.0, 100]])).tolist() == [[4]]


def test_compiled_backends_use_the_highest_level_that_they_may(fast_backend):
    """Two ways to ask the CPU what it has agree."""
    assert fast_backend.level == (os.environ.get("FASTMLP_CPU_LEVEL") or jit.host_level().name)
    assert LEVELS[fast_backend.level].needs <= jit.host_features()


@pytest.mark.skipif(not backends.extension_exists(), reason="the extension was not built")
def test_compiled_levels_are_code_of_their_own(dtype):
    from fastmlp.kernels import _compiled
    from fastmlp.kernels.backends.compiled import Compiled

    libraries = [Compiled(LEVELS[name]) for name in _compiled.levels()]
    for kernel in KERNELS:
        addresses = [library.address(kernel, dtype) for library in libraries]
        assert 0 not in addresses
        assert len(set(addresses)) == len(libraries)


def test_the_fastest_backend_is_the_default(environment):
    assert backend().name == ("compiled" if backends.extension_exists() else "jit")
    environment.setattr(backends, "extension_exists", lambda: False)
    assert backend().name == "jit"


def test_the_environment_chooses(environment):
    environment.setenv("FASTMLP_BACKEND", "reference")
    assert backend().name == "reference"
    assert backend("interpreted").name == "interpreted"
    environment.setenv("FASTMLP_BACKEND", "")
    assert backend().name in ("compiled", "jit")


@pytest.mark.parametrize("name", LEVELS)
def test_the_interpreted_backend_takes_any_level(environment, name):
    environment.setenv("FASTMLP_CPU_LEVEL", name)
    assert backend("interpreted").level == name


def test_the_level_is_capped(environment):
    host = jit.host_level()
    for name, level in LEVELS.items():
        environment.setenv("FASTMLP_CPU_LEVEL", name)
        if level.machine == host.machine and level.needs <= host.needs:
            assert backend("jit").level == name
        else:
            with pytest.raises(RuntimeError, match="FASTMLP_CPU_LEVEL must be a level that this CPU has"):
                backend("jit")


def test_a_level_that_the_cpu_lacks_is_refused():
    assert backends._capped(LEVELS["x86-64-v3"], "x86-64") == LEVELS["x86-64"]
    assert backends._capped(LEVELS["x86-64-v3"], None) == LEVELS["x86-64-v3"]
    sentence = r"FASTMLP_CPU_LEVEL must be a level that this CPU has \(x86-64, x86-64-v3\), got 'x86-64-v4'"
    with pytest.raises(RuntimeError, match=sentence):
        backends._capped(LEVELS["x86-64-v3"], "x86-64-v4")
    with pytest.raises(RuntimeError, match="got 'x86-64'"):
        backends._capped(LEVELS["aarch64"], "x86-64")


@pytest.mark.parametrize("name", ["cuda", "Compiled", "", 3, ["jit"]])
def test_unknown_backends_are_refused(environment, name):
    known = "one of 'compiled', 'jit', 'interpreted', 'reference'"
    with pytest.raises(ValueError, match=f"backend must be {known}, got "):
        backend(name)
    environment.setenv("FASTMLP_BACKEND", "cuda")
    with pytest.raises(ValueError, match=f"FASTMLP_BACKEND must be {known}, got 'cuda'"):
        backend()


def test_unknown_levels_are_refused(environment):
    environment.setenv("FASTMLP_CPU_LEVEL", "x86-64-v9")
    with pytest.raises(ValueError, match=r"FASTMLP_CPU_LEVEL must be one of 'x86-64', .*, got 'x86-64-v9'; did you"):
        backend("reference")


def test_a_missing_extension_is_no_silent_fallback(environment):
    environment.setattr(backends, "extension_exists", lambda: False)
    with pytest.raises(RuntimeError, match="backend 'compiled' must be installed with its extension module"):
        backend("compiled")


# --- initial weights


def test_an_extension_of_other_kernels_is_refused(monkeypatch):
    if not backends.extension_exists():
        pytest.skip("there is no extension")
    from fastmlp.kernels.backends import compiled

    monkeypatch.setattr(compiled._compiled, "FINGERPRINT", "of an older plan")
    with pytest.raises(RuntimeError, match="must be built from the kernels beside it"):
        compiled.Compiled(compiled.host_level())


def test_the_fingerprint_depends_on_the_plan_and_on_the_kernels(monkeypatch):
    before = interface.fingerprint()
    with monkeypatch.context() as patch:
        patch.setitem(interface.PLAN.attributes, "samples", (90, "integer"))
        assert interface.fingerprint() != before
    with monkeypatch.context() as patch:
        patch.delitem(interface.KERNELS, "run")
        assert interface.fingerprint() != before
    assert interface.fingerprint() == before


def all_of(*classes):
    return [dict(vars(owner)) for owner in classes]


def test_numba_is_as_it_was_after_kernels_were_compiled(dtype):
    """Others in this process use it too."""
    classes = CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen
    before = all_of(*classes)
    kernel = callback(KERNELS["activation_relu"], dtype, jit.host_level())
    assert kernel.alone
    kernel.compile()
    assert kernel.address != 0
    assert all_of(*classes) == before
    with unfinished():
        assert all_of(*classes) != before
    with pytest.raises(ValueError, match="invalid literal"), unfinished(), unfinished():
        int("x")
    assert all_of(*classes) == before
    assert njit(lambda x: x + 1)(2) == 3


def test_a_numba_with_other_names_compiles_in_its_own_way(dtype, monkeypatch):
    monkeypatch.setattr(compilation, "PATCHES", [*compilation.PATCHES, (JITCPUCodegen, "no_such_method", None)])
    before = all_of(CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen)
    with unfinished():
        assert all_of(CPUCodeLibrary, JITCodeLibrary, JITCPUCodegen) == before
    kernel = callback(KERNELS["activation_relu"], dtype, jit.host_level(), version="_by_itself")
    kernel.compile()
    assert kernel.address != 0
