"""The backends: who computes. Chosen by argument, by FASTMLP_BACKEND, or else the fastest that is there."""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..base.arrays import Array
from ..base.errors import one_of, require
from ..base.numba_required import require_numba
from ..base.settings import to_text
from ..runtime.executor import Executor
from ..runtime.plan import Library, Model
from ..vocabulary.levels import LEVELS, Level

if TYPE_CHECKING:
    from .reference import ReferenceExecutor

BACKENDS = {
    "compiled": "kernels compiled ahead of time, linked into an extension module",
    "jit": "the same kernels compiled just in time by Numba",
    "interpreted": "the same kernels run by Python: slow, for debuggers and checks of memory",
    "reference": "plain NumPy: slow, for comparison",
}


class Backend:
    """A way to compute: `name`, the CPU `level` it computes for (None where there is none), and executors."""

    def __init__(self, name: str, library: Library | None) -> None:
        self.name, self.library = name, library
        self.level = library.level if library else None

    def executor(self, model: Model, parameters: Array) -> "Executor | ReferenceExecutor":
        """Who works for a model with these parameters, a canonical vector."""
        if self.library:
            return Executor(self.library, model, parameters)
        from .reference import ReferenceExecutor  # on demand: most programs do without

        return ReferenceExecutor(model, parameters)

    def __repr__(self) -> str:
        return f"Backend({self.name!r}, level={self.level!r})"


def backend(name: str | None = None) -> Backend:
    """The backend of this name; None: the one that FASTMLP_BACKEND names, or the fastest.

    Raises
    ------
    ValueError
        If the name or the level asked for is unknown.
    RuntimeError
        If the backend or the level asked for is not to be had on this machine.
    ImportError
        If it needs Numba, and that cannot be imported.
    """
    source = "backend" if name is not None else "FASTMLP_BACKEND"
    if name is None:
        name = os.environ.get("FASTMLP_BACKEND") or fastest()
    chosen = to_text(name)
    require(chosen in BACKENDS, source, one_of(BACKENDS), name, BACKENDS)
    return _backend(str(chosen), level_cap())


def fastest() -> str:
    """The fastest backend that is there. Without extension and compiler that is NumPy, with a warning."""
    if extension_exists():
        return "compiled"
    try:
        require_numba("backend 'jit'")
    except (ImportError, RuntimeError) as error:
        warnings.warn(f"fastmlp computes by NumPy, which is slow: {error}", RuntimeWarning, stacklevel=2)
        return "reference"
    return "jit"


def level_cap() -> str | None:
    """The highest CPU level that may be used, by FASTMLP_CPU_LEVEL."""
    cap = os.environ.get("FASTMLP_CPU_LEVEL") or None
    require(cap is None or cap in LEVELS, "FASTMLP_CPU_LEVEL", one_of(LEVELS), cap, LEVELS)
    return cap


def extension_exists() -> bool:
    """Whether the extension module was built and installed."""
    return find_spec("fastmlp.kernels._compiled") is not None


@cache
def _backend(name: str, cap: str | None) -> Backend:
    if name == "reference":
        return Backend(name, None)
    if name == "compiled":
        if not extension_exists():
            raise RuntimeError(
                "backend 'compiled' must be installed with its extension module fastmlp.kernels._compiled, "
                "which was not built; "
                "use 'jit', or install with a C compiler and FASTMLP_REQUIRE_EXTENSION=1 to see why"
            )
        from .compiled import Compiled, host_level

        return Backend(name, Compiled(_capped(host_level(), cap)))
    if name == "jit":
        require_numba("backend 'jit'")
        from .jit import Jit, host_level

        return Backend(name, Jit(_capped(host_level(), cap)))
    from .interpreted import Interpreted

    return Backend(name, Interpreted(LEVELS[cap] if cap else LEVELS["x86-64-v4"]))


def _capped(host: Level, cap: str | None) -> Level:
    if cap is None:
        return host
    below = [name for name, level in LEVELS.items() if level.machine == host.machine]
    below = below[: below.index(host.name) + 1]
    if cap not in below:
        raise RuntimeError(f"FASTMLP_CPU_LEVEL must be a level that this CPU has ({', '.join(below)}), got {cap!r}")
    return LEVELS[cap]
