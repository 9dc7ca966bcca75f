"""How many processes may compile objects at the same time: as many as this machine has room for."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from ..base.cpus import group_folders, usable_cpus

MEMORY = 800 << 20
"""Bytes that a process which compiles objects takes."""


def processes(jobs: int) -> int:
    """For so many jobs: as many as there are CPUs, and memory, for this one."""
    named = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "")
    most = int(named) if named.isdecimal() and int(named) else usable_cpus()
    return max(1, min(most, jobs, free_memory() // MEMORY))


def free_memory(root: str = "/sys/fs/cgroup", process: str = "/proc") -> int:
    """Bytes that are free on Linux, for this process's control groups too; elsewhere, as many as anybody wants."""
    free = [sys.maxsize]
    with suppress(OSError, KeyError):
        free.append(1024 * numbers_of(f"{process}/meminfo")["MemAvailable:"])
    for folder in group_folders(root, f"{process}/self/cgroup"):
        for limit in ("memory.max", "memory.high"):
            with suppress(OSError, ValueError, KeyError):  # the topmost has no such file; "max" is no number
                held = int(Path(folder, "memory.current").read_text())
                cached = numbers_of(f"{folder}/memory.stat")["inactive_file"]  # which the kernel gives back
                free.append(int(Path(folder, limit).read_text()) - held + cached)
    return min(free)


def numbers_of(file: str) -> dict[str, int]:
    """Those of a file with a name and a number on each line."""
    return {name: int(number) for name, number, *_ in map(str.split, Path(file).read_text().splitlines())}
