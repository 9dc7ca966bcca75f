"""Numba: an installation may lack it, or have one that is too old, and users may tell it not to compile."""

OLDEST = 0, 62  # the LLVM of older ones ends the process at some kernels


def require_numba(user: str) -> None:
    """Raise unless Numba is there and compiles. `user`: what needs it.

    Raises
    ------
    ImportError
        If it cannot be imported, or is too old.
    RuntimeError
        If it is told not to compile.
    """
    others = "the backends 'reference' and 'interpreted' do without"
    try:
        import numba
    except ModuleNotFoundError as error:
        raise ImportError(f"{user} needs Numba: `pip install numba`; {others}") from error
    except Exception as error:  # it names versions of NumPy and Python that it does not work with
        raise ImportError(f"{user} needs Numba, which cannot be imported: {error}; {others}") from error
    found = numba.version_info
    if found.major is not None and (found.major, found.minor) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ImportError(
            f"{user} needs Numba {oldest} or newer, got {numba.__version__}: `pip install 'numba>={oldest}'`; {others}"
        )
    if numba.config.DISABLE_JIT:
        raise RuntimeError(f"{user} must be compiled, which NUMBA_DISABLE_JIT forbids: unset it; {others}")
