"""An installation without Numba: the compiled backend, NumPy's and the interpreter work; what needs it says so."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from without_numba import CORE

from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.base import numba_required

TESTS = Path(__file__).parent


def without_numba(*arguments, **environment):
    """What a process prints in which Numba is hidden."""
    hidden = "FASTMLP_BACKEND", "NUMBA_DISABLE_JIT"
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=TESTS.parent, env=variables | {"PYTHONPATH": str(TESTS)} | environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not backends.extension_exists(), reason="installed without the extension")
def test_the_core_of_the_suite_passes():
    code = "import sys, pytest, without_numba; without_numba.hide(); sys.exit(pytest.main(sys.argv[1:]))"
    options = ["-q", "-p", "no:cacheprovider", "-k", "not interpreted and not reference"]
    assert "passed" in without_numba("-c", code, *options, *(f"tests/{name}" for name in CORE))


CUSTOM = """
import without_numba, fastmlp
without_numba.hide()
own = fastmlp.Activation(lambda z: z * z, lambda z: 2 * z)
for backend in ("reference", "interpreted"):
    network = fastmlp.NeuralNetwork([1, 1], output_activation=own, backend=backend)
    network.parameters = [1, 0]
    print(network.predict([[3]]).item())
try:
    fastmlp.NeuralNetwork([1, 1], output_activation=own, backend=BACKEND).predict([[3]])
except ImportError as error:
    print(error)
"""
OF_JIT = """
import fastmlp
try:
    fastmlp.NeuralNetwork([1, 1], backend="jit")
except (ImportError, RuntimeError) as error:
    print(error)
"""
OTHERS = "the backends 'reference' and 'interpreted' do without"


@pytest.mark.parametrize(
    ("backend", "user"), [("jit", "backend 'jit'"), ("compiled", "an activation or loss of your own")]
)
def test_what_needs_numba_says_which_command_brings_it(backend, user):
    if backend == "compiled" and not backends.extension_exists():
        pytest.skip("installed without the extension")
    lines = without_numba("-W", "error", "-c", CUSTOM.replace("BACKEND", repr(backend))).splitlines()
    assert lines == ["9.0", "9.0", f"{user} needs Numba: `pip install numba`; {OTHERS}"]


def test_a_numba_that_cannot_be_imported_says_why(tmp_path):
    sentence = "Numba needs NumPy 2.2 or less. Got NumPy 9.9."
    (tmp_path / "numba.py").write_text(f"raise ImportError({sentence!r})")
    said = without_numba("-c", OF_JIT, PYTHONPATH=str(tmp_path))
    assert said == f"backend 'jit' needs Numba, which cannot be imported: {sentence}; {OTHERS}\n"


def test_a_numba_that_is_too_old_is_not_used(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba, "version_info", numba.version_info._replace(major=0, minor=61))
    monkeypatch.setattr(numba, "__version__", "0.61.2")
    backends._backend.cache_clear()
    sentence = r"^backend 'jit' needs Numba 0\.62 or newer, got 0\.61\.2: `pip install 'numba>=0\.62'`; the backends"
    with pytest.raises(ImportError, match=sentence):
        backends.backend("jit")
    required = next(line for line in metadata.requires("fastmlp") if line.startswith("numba"))
    assert required == f"numba>={'.'.join(map(str, numba_required.OLDEST))}"


NOTHING = """
import without_numba, warnings, fastmlp
without_numba.hide()
from fastmlp.kernels.backends import choice as backends
backends.extension_exists = lambda: False
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    network = fastmlp.NeuralNetwork([2, 3, 1], seed=0)
print(network.backend, len(network.train([[1, 2]], [[1]], 2).loss), caught[0].category.__name__, caught[0].message)
"""


def test_without_extension_too_numpy_computes_with_a_warning():
    said = without_numba("-c", NOTHING)
    sentence = f"fastmlp computes by NumPy, which is slow: backend 'jit' needs Numba: `pip install numba`; {OTHERS}"
    assert said == f"reference 2 RuntimeWarning {sentence}\n"


def test_what_is_there_is_shown():
    assert "Numba " in without_numba("-c", "import without_numba, fastmlp; without_numba.hide(); fastmlp.show_config()")


# --- Numba that is told not to compile

FORBIDDEN = "must be compiled, which NUMBA_DISABLE_JIT forbids: unset it"

DISABLED = """
import math, numpy as np, fastmlp
LATE
own = fastmlp.Activation(lambda z: math.sin(z), lambda z: math.cos(z))
for backend in BACKENDS:
    network = fastmlp.NeuralNetwork([1, 1], output_activation=own, backend=backend)
    network.parameters = [1, 0]
    try:
        print(backend, network.predict([[0.0]]).item())
    except RuntimeError as error:
        print(backend, error)
"""


@pytest.mark.parametrize("late", [False, True])
def test_numba_that_is_told_not_to_compile(late):
    """By the variable, or when the backend has already begun."""
    pytest.importorskip("numba")
    names = ["reference", "interpreted"] + ["compiled"] * backends.extension_exists() + ["jit"] * late
    disable = "fastmlp.NeuralNetwork([1, 1], backend='jit'); import numba; numba.config.DISABLE_JIT = 1"
    code = DISABLED.replace("BACKENDS", str(names)).replace("LATE", disable if late else "")
    lines = without_numba("-c", code, **({} if late else {"NUMBA_DISABLE_JIT": "1"})).splitlines()
    own = f"an activation or loss of your own {FORBIDDEN}; {OTHERS}"
    assert lines == [f"{name} {'0.0' if name in ('reference', 'interpreted') else own}" for name in names]


def test_the_jit_that_is_told_not_to_compile():
    pytest.importorskip("numba")
    assert without_numba("-c", OF_JIT, NUMBA_DISABLE_JIT="1") == f"backend 'jit' {FORBIDDEN}; {OTHERS}\n"


@pytest.mark.parametrize(
    "variable",
    [
        "NUMBA_OPT=0", "NUMBA_BOUNDSCHECK=1", "NUMBA_CPU_NAME=generic", "NUMBA_ENABLE_AVX=0",
        "NUMBA_FULL_TRACEBACKS=1", "NUMBA_CAPTURED_ERRORS=old_style", "NUMBA_THREADING_LAYER=none",
    ],
)  # fmt: skip
def test_other_settings_of_numba_change_no_results(variable, tmp_path):
    pytest.importorskip("numba")
    code = """if True:
        import fastmlp, math
        own = fastmlp.Activation(lambda z: math.sin(z), lambda z: math.cos(z))
        options = {"seed": 0, "dtype": "float64"}
        networks = [fastmlp.NeuralNetwork([3, 5, 1], own, backend=b, **options) for b in (None, "reference")]
        a, b = (network.predict([[1, 2, 3], [-4, 5, -6]]) for network in networks)
        print(abs(a - b).max() < 1e-14)
    """
    name, value = variable.split("=")
    assert without_numba("-c", code, NUMBA_CACHE_DIR=str(tmp_path), **{name: value}) == "True\n"
