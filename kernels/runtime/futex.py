"""The system call by which a kernel that waits leaves its CPU to other threads."""

import os
import sys
from functools import cache

FUTEX = {"x86_64": 202, "aarch64": 98}
"""The number of Linux's system call by this name on each machine."""


@cache
def system_call() -> tuple[int, int]:
    """The address of a function by which a kernel leaves its CPU to other threads, and its first argument.

    On Linux, `syscall` and the number of `futex`, which waits for a change in memory; elsewhere a function without
    arguments, which offers the CPU once, and 0.
    """
    import ctypes

    number = FUTEX.get(os.uname().machine, 0) if sys.platform == "linux" else 0
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        library = ctypes.CDLL(None)
        function = library.syscall if number else library.sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0, number
