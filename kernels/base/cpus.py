"""The CPUs that this process may use: by its affinity, and by the quotas of its control groups."""

import os
import sys
from contextlib import suppress
from functools import cache


def usable_cpus() -> int:
    return min(_cpus(), _quota())


def _cpus() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _quota() -> int:
    return _group_quota("/sys/fs/cgroup", "/proc/self/cgroup")


def _group_quota(root: str, membership: str) -> int:
    """CPUs' worth of time, rounded up, that Linux grants this process's control groups (version 2: `cpu.max`)."""
    least = sys.maxsize
    for folder in group_folders(root, membership):
        with suppress(OSError, ValueError):  # the topmost has no such file; "max" is no number
            quota, period = map(int, _lines(f"{folder}/cpu.max")[0].split())
            least = min(least, max(1, -(-quota // period)))
    return least


def group_folders(root: str, membership: str) -> list[str]:
    """Those of this process's control groups, the topmost first; none on another system, or of version 1."""
    folders: list[str] = []  # without pathlib, which takes a tenth of the time that importing this package does
    with suppress(OSError, StopIteration):
        group = next(line[4:] for line in _lines(membership) if line.startswith("0::/"))
        folders.append(root)
        for name in filter(None, group.split("/")):
            folders.append(f"{folders[-1]}/{name}")
    return folders


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()
