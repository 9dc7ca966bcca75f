"""What this installation computes with."""

from .kernels.backends.choice import BACKENDS, backend
from .kernels.runtime.limits import most_threads


def show_config() -> None:
    """Print the backend in use, its CPU level, how many threads may work, and versions.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.show_config()  # doctest: +ELLIPSIS
    fastmlp ...
    """
    import platform  # here: it takes longer to import than the package

    chosen = backend()
    print(f"fastmlp {_version('fastmlp')}")
    print(f"backend: {chosen.name} ({BACKENDS[chosen.name]})")
    print(f"CPU level: {chosen.level or 'none'}")
    print(f"threads: {most_threads()}")
    versions = f"Python {platform.python_version()}, NumPy {_version('numpy')}, Numba {_version('numba')}"
    print(f"{versions}, {platform.machine()}")


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
