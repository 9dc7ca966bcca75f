"""What is imported, which backend computes and for which CPU, and what `show_config` says of it."""

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.backends.choice import BACKENDS
from fastmlp.kernels.runtime.limits import most_threads
from fastmlp.kernels.vocabulary.levels import LEVELS

HEAVY = {
    "numba",
    "llvmlite",
    "scipy",
    "pandas",
    "cython",
    "Cython",
    "json",
    "tempfile",
    "zipfile",
    "csv",
    "argparse",
    "platform",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Neither variable is set, and no backend remembered, whatever the suite runs with."""
    monkeypatch.delenv("FASTMLP_BACKEND", raising=False)
    monkeypatch.delenv("FASTMLP_CPU_LEVEL", raising=False)
    backends._backend.cache_clear()
    yield
    backends._backend.cache_clear()


def fresh(code, **variables):
    """What a new process prints."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("FASTMLP_BACKEND", "FASTMLP_CPU_LEVEL")
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- imports


def test_public_names():
    names = ["DivergenceError", "History", "Layer", "NeuralNetwork", "Neuron", "ParameterVector", "Predictor"]
    names += ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Lion", "Rprop", "LBFGS"]
    names += ["StepDecay", "ExponentialDecay", "InverseScaling", "Cosine", "OneCycle", "WarmUp", "ReduceOnPlateau"]
    names += ["Activation", "ELU", "LeakyReLU", "Loss", "CategoricalCrossEntropy", "CategoricalFocal", "Focal", "Huber"]
    names += ["Quantile", "BatchNormalization", "LayerNormalization"]
    names += ["Checkpoint", "ProgressBar", "TrainingProgress"]
    names += ["load", "show_config"]
    assert set(fastmlp.__all__) == set(names)
    assert all(hasattr(fastmlp, name) and name in dir(fastmlp) for name in names)
    with pytest.raises(AttributeError, match=r"^module 'fastmlp' has no attribute 'nonsense'$"):
        fastmlp.nonsense  # noqa: B018


def test_packages_for_others_are_loaded_when_they_are_used():
    """And name what is missing, as they do when they are imported."""
    code = """
        import sys, fastmlp
        print("fastmlp.plot" in sys.modules, fastmlp.plot.network.__module__)
        sys.modules["sklearn"] = None
        try:
            fastmlp.sklearn
        except ImportError as error:
            print(error)
    """
    lines = fresh(textwrap.dedent(code)).splitlines()
    assert lines[0] == "False fastmlp.plot.diagram"
    assert lines[1].endswith("must be installed for fastmlp.sklearn: `pip install fastmlp[sklearn]`")


def test_version(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", {"fastmlp": "1.2.3"}.get)
    assert fastmlp.__version__ == "1.2.3"


def test_importing_is_light():
    code = "import sys, numpy; before = set(sys.modules); import fastmlp; print(*sorted(set(sys.modules) - before))"
    added = fresh(code).split()
    assert "fastmlp.network.network" in added
    assert not HEAVY & {name.split(".")[0] for name in added}
    assert not [name for name in added if name.startswith("numpy.")]


def test_tables_and_interface_need_no_compiler():
    code = (
        "import sys\n"
        "from fastmlp.kernels.backends import choice, reference\n"
        "from fastmlp.kernels.compiler import interface\n"
        "from fastmlp.kernels.functions import activations, losses, optimizers\n"
        "from fastmlp.kernels.runtime import plan\n"
        "print(len(interface.KERNELS), *sys.modules)"
    )
    count, *modules = fresh(code).split()
    assert int(count) > 10
    assert not {"numba", "llvmlite"} & set(modules)


def kinds_without_numba():
    return [name for name in BACKENDS if name != "jit" and (name != "compiled" or backends.extension_exists())]


@pytest.mark.parametrize("name", kinds_without_numba())
def test_only_the_jit_needs_numba(name):
    code = (
        "import sys, fastmlp\n"
        "network = fastmlp.NeuralNetwork([2, 3, 1], loss='binary_cross_entropy')\n"
        "network.train([[1, 2]], [1], 2, optimizer='adam'), network.predict([1, 2])\n"
        "print(network.backend, 'numba' in sys.modules, 'llvmlite' in sys.modules)"
    )
    assert fresh(code, FASTMLP_BACKEND=name).split() == [name, "False", "False"]


# --- backends


def test_the_fastest_backend_is_the_default(monkeypatch):
    assert NeuralNetwork([2, 1]).backend == ("compiled" if backends.extension_exists() else "jit")
    monkeypatch.setattr(backends, "extension_exists", lambda: False)
    assert NeuralNetwork([2, 1]).backend == "jit"
    monkeypatch.setenv("FASTMLP_BACKEND", "")  # as good as none
    assert NeuralNetwork([2, 1]).backend == "jit"


def test_the_variable_chooses_and_the_argument_goes_before_it(monkeypatch):
    for name in ("reference", "interpreted", "jit"):
        monkeypatch.setenv("FASTMLP_BACKEND", name)
        assert NeuralNetwork([2, 1]).backend == name
        assert NeuralNetwork([2, 1], backend="reference").backend == "reference"


def test_seeds_give_the_same_weights_on_all_backends(backend):
    np.testing.assert_array_equal(
        NeuralNetwork([5, 4, 3], seed=1, backend=backend.name).parameters,
        NeuralNetwork([5, 4, 3], seed=1, backend="reference").parameters,
    )


def test_unknown_backends(monkeypatch):
    known = "one of 'compiled', 'jit', 'interpreted', 'reference'"
    with pytest.raises(ValueError, match=rf"^backend must be {known}, got 'gpu'$"):
        NeuralNetwork([2, 1], backend="gpu")
    monkeypatch.setenv("FASTMLP_BACKEND", "gpu")
    with pytest.raises(ValueError, match=rf"^FASTMLP_BACKEND must be {known}, got 'gpu'$"):
        NeuralNetwork([2, 1])
    with pytest.raises(ValueError, match=r"^FASTMLP_BACKEND must be "):
        fastmlp.show_config()
    assert NeuralNetwork([2, 1], backend="reference").backend == "reference"


def test_asking_for_an_extension_that_was_not_built(monkeypatch):
    monkeypatch.setattr(backends, "extension_exists", lambda: False)
    with pytest.raises(
        RuntimeError, match=r"^backend 'compiled' must be installed .*; use 'jit', or install with a C compiler"
    ) as caught:
        NeuralNetwork([2, 1], backend="compiled")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("FASTMLP_BACKEND", "compiled")
    with pytest.raises(RuntimeError):
        NeuralNetwork([2, 1])
    with pytest.raises(RuntimeError):
        fastmlp.show_config()


def test_cached_kernels_keep_to_their_own_helpers(tmp_path):
    """Kernels from Numba's cache meet those that the process has compiled itself, for another number type."""

    def predictions(*dtypes):
        code = (
            "import fastmlp\n"
            f"for dtype in {dtypes}:\n"
            "    network = fastmlp.NeuralNetwork([2, 3, 1], 'identity', seed=0, dtype=dtype, backend='jit')\n"
            "    print(network.predict([[1, 2]]).item())"
        )
        return [float(line) for line in fresh(code, NUMBA_CACHE_DIR=str(tmp_path)).split()]

    expected = (
        NeuralNetwork([2, 3, 1], "identity", seed=0, dtype="float64", backend="reference").predict([[1, 2]]).item()
    )
    assert predictions("float64") == pytest.approx([expected], rel=1e-12)
    assert predictions("float32", "float64") == pytest.approx([expected, expected], rel=1e-5)


# --- CPU levels


def host_levels():
    """Those that the CPU at hand has, from the lowest."""
    from fastmlp.kernels.backends.jit import host_level

    host = host_level()
    same = [name for name, level in LEVELS.items() if level.machine == host.machine]
    return same[: same.index(host.name) + 1]


def test_without_a_cap_the_highest_level_is_used():
    assert NeuralNetwork([2, 1], backend="jit")._backend.level == host_levels()[-1]


def test_levels_can_be_capped(monkeypatch):
    for level in host_levels():
        monkeypatch.setenv("FASTMLP_CPU_LEVEL", level)
        network = NeuralNetwork([2, 3, 1], seed=0, backend="jit")
        assert network._backend.level == level
        expected = NeuralNetwork([2, 3, 1], seed=0, backend="reference").predict([[1, 2]])
        np.testing.assert_allclose(network.predict([[1, 2]]), expected, rtol=1e-5)


def test_unknown_levels(monkeypatch):
    monkeypatch.setenv("FASTMLP_CPU_LEVEL", "avx2")
    known = re.escape(", ".join(repr(name) for name in LEVELS))
    for name in BACKENDS:
        with pytest.raises(ValueError, match=rf"^FASTMLP_CPU_LEVEL must be one of {known}, got 'avx2'$"):
            NeuralNetwork([2, 1], backend=name)


def test_levels_of_another_machine(monkeypatch):
    other = next(
        name
        for name, level in LEVELS.items()
        if name not in host_levels() and level.machine != LEVELS[host_levels()[0]].machine
    )
    monkeypatch.setenv("FASTMLP_CPU_LEVEL", other)
    had = re.escape(", ".join(host_levels()))
    with pytest.raises(
        RuntimeError, match=rf"^FASTMLP_CPU_LEVEL must be a level that this CPU has \({had}\), got '{other}'$"
    ):
        NeuralNetwork([2, 1], backend="jit")


def test_levels_above_the_cpus():
    with pytest.raises(RuntimeError, match=r"this CPU has \(x86-64, x86-64-v3\), got 'x86-64-v4'$"):
        backends._capped(LEVELS["x86-64-v3"], "x86-64-v4")
    assert backends._capped(LEVELS["x86-64-v3"], "x86-64") is LEVELS["x86-64"]
    assert backends._capped(LEVELS["x86-64-v3"], None) is LEVELS["x86-64-v3"]


# --- show_config


def shown(capsys):
    assert fastmlp.show_config() is None
    text = re.fullmatch(
        r"fastmlp (?P<version>\S+|\(not installed\))\n"
        r"backend: (?P<backend>\w+) \((?P<description>.+)\)\n"
        r"CPU level: (?P<level>\S+)\n"
        r"threads: (?P<threads>\d+)\n"
        r"Python (?P<python>\S+), NumPy (?P<numpy>\S+), Numba (?P<numba>\S+|\(not installed\)), (?P<machine>\S+)\n",
        capsys.readouterr().out,
    )
    assert text
    return text.groupdict()


def test_show_config(capsys):
    facts = shown(capsys)
    assert facts["backend"] == NeuralNetwork([2, 1]).backend
    assert facts["description"] == BACKENDS[facts["backend"]]
    assert facts["level"] == NeuralNetwork([2, 1])._backend.level
    assert int(facts["threads"]) == most_threads()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["numpy"] == np.__version__


def test_show_config_follows_the_variables(capsys, monkeypatch):
    monkeypatch.setenv("FASTMLP_BACKEND", "reference")
    assert (shown(capsys)["backend"], shown(capsys)["level"]) == ("reference", "none")
    monkeypatch.setenv("FASTMLP_BACKEND", "jit")
    monkeypatch.setenv("FASTMLP_CPU_LEVEL", host_levels()[0])
    assert (shown(capsys)["backend"], shown(capsys)["level"]) == ("jit", host_levels()[0])
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    assert shown(capsys)["threads"] == "3"
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "none")
    with pytest.raises(ValueError, match=r"^FASTMLP_NUM_THREADS must be an integer from 1 on, got 'none'$"):
        fastmlp.show_config()
