"""Fixtures that every test may ask for.

    backend         each backend to be had here: a `fastmlp.kernels.backends.choice.Backend`, with `.name` and `.level`
    kernel_backend  those that have kernels: all but the reference
    fast_backend    those whose kernels went through a compiler: jit if Numba is there, compiled if the extension is
    level           each row of LEVELS, to be crossed by the interpreted backend: `Interpreted(level)`
    dtype           "float32", "float64"
    compiled_runs   a list that grows by one with every training that kernels, or the reference, do
    pyplot          Matplotlib's, without a screen; afterwards all figures are closed, and nothing else has changed

FASTMLP_CPU_LEVEL caps the levels of the backends. With FASTMLP_REQUIRE_EXTENSION=1, `compiled` is among them in any
case, and its absence fails. All but the last two are of session scope, so that Hypothesis may use them and a kernel is
compiled just in time only once.
"""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.backends.reference import ReferenceExecutor
from fastmlp.kernels.runtime.executor import Executor
from fastmlp.kernels.vocabulary.levels import LEVELS

HELPERS = {path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("test_")}
pytest.register_assert_rewrite(*HELPERS - {"conftest"})  # they are to say as much as tests do where they fail

settings.register_profile("fastmlp", deadline=None, derandomize=True, database=None)
settings.load_profile("fastmlp")

EXTENSION_REQUIRED = os.environ.get("FASTMLP_REQUIRE_EXTENSION") == "1"


def has_numba():
    """Whether it is there, and is not hidden by a test."""
    try:
        return find_spec("numba") is not None
    except ImportError:
        return False


FAST = ["jit"] * has_numba() + ["compiled"] * (EXTENSION_REQUIRED or backends.extension_exists())


def pytest_configure(config):
    """Workers of pytest-xdist ignore Ctrl-C, which some tests are about."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", params=["reference", "interpreted", *FAST])
def backend(request):
    return backends.backend(request.param)


@pytest.fixture(scope="session", params=FAST)
def fast_backend(request):
    return backends.backend(request.param)


@pytest.fixture(scope="session", params=["interpreted", *FAST])
def kernel_backend(request):
    return backends.backend(request.param)


@pytest.fixture(scope="session", params=LEVELS)
def level(request):
    return LEVELS[request.param]


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def compiled_runs(monkeypatch):
    runs = []
    for executor in (Executor, ReferenceExecutor):

        def spy(self, *arguments, training=executor.training):
            runs.append(training(self, *arguments))
            return runs[-1]

        monkeypatch.setattr(executor, "training", spy)
    return runs


@pytest.fixture
def pyplot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings_before = dict(matplotlib.rcParams)
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("a picture was shown"))
    yield pyplot
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == settings_before
