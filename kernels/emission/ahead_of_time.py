"""The kernels compiled ahead of time, by the package's build: object files and a header for them.

    python -m kernels.emission.ahead_of_time DIRECTORY [--triple TRIPLE] [--level LEVEL ...] [--list]

An object holds the kernels of a unit, see `units.py`, for one CPU level and number type; `kernels.h` says where
they are. What an earlier build has made of the same code is taken from there, see `object_cache.py`. All else is
emitted, see `objects.py`, in a process for each level and number type: units share much of what Numba does, and where
LLVM fails, it ends that process only.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import llvmlite.binding as llvm

from ..compiler.compilation import levels
from ..compiler.interface import KERNELS, fingerprint
from ..vocabulary.levels import LEVELS, Level
from .object_cache import ObjectCache, cache_of_user
from .objects import ENVIRONMENT, emit, initialize
from .room import processes
from .units import key, object_name, table, units

DTYPES = ("float32", "float64")

HEADER = """\
#define FASTMLP_FINGERPRINT "{fingerprint}"
#define FASTMLP_ROWS {row_count}
#define FASTMLP_LEVELS {level_count}
{declarations}
static const struct {{ const char *name; int unit, place; }} fastmlp_rows[] = {{
{rows}}};
static const struct {{
    const char *name;
    const void *const *tables[{dtype_count}][{unit_count}];
}} fastmlp_levels[] = {{
{levels}}};
static const void *fastmlp_address(int level, int dtype, int row) {{
    return fastmlp_levels[level].tables[dtype][fastmlp_rows[row].unit][fastmlp_rows[row].place];
}}
"""

Job = list[tuple[str, str]]
"""Units to emit for a level and number type, and the names of their objects in the cache."""


def build(job: Job, level_name: str, dtype: str, triple: str, directory: Path, cache: ObjectCache) -> None:
    """Write objects, and keep each as soon as it is there: a build that is stopped goes on where it was."""
    for unit, name in job:
        start = time.monotonic()
        data = emit(units()[unit], table(unit, level_name, dtype), level_name, dtype, triple)
        finish(unit, level_name, dtype, directory, data, f"compiled in {time.monotonic() - start:.1f} s")
        cache.put(name, data)


def finish(unit: str, level_name: str, dtype: str, directory: Path, data: bytes, how: str) -> None:
    """Write an object and say so: a build that is silent for minutes looks broken."""
    (directory / object_name(unit, level_name, dtype)).write_bytes(data)
    sys.stdout.write(f"kernels for {level_name}, {dtype}, {unit}: {how}\n")  # at once, or lines of processes would mix
    sys.stdout.flush()


def header(built: list[Level]) -> str:
    """kernels.h: the rows, with their places in tables of units, and the levels, from the lowest to the highest."""
    places = {kernel.name: (i, j) for i, unit in enumerate(units().values()) for j, kernel in enumerate(unit)}
    rows = "".join(f'    {{"{name}", {places[name][0]}, {places[name][1]}}},\n' for name in KERNELS)
    declarations = levels = ""
    for level in built:
        tables = [[table(unit, level.name, dtype) for unit in units()] for dtype in DTYPES]
        declarations += "".join(f"extern const void *const {name}[];\n" for names in tables for name in names)
        of_dtypes = ", ".join(f"{{{', '.join(names)}}}" for names in tables)
        levels += f'    {{"{level.name}", {{{of_dtypes}}}}},\n'
    return HEADER.format(
        fingerprint=fingerprint(), row_count=len(KERNELS), level_count=len(built), unit_count=len(units()),
        dtype_count=len(DTYPES), rows=rows, declarations=declarations, levels=levels,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--triple", default=llvm.get_process_triple(), help="the machine and system to build for")
    parser.add_argument("--level", action="append", help="build for this CPU level only; may be given again")
    parser.add_argument("--list", action="store_true", help="print the files that would be written")
    arguments = parser.parse_args()
    built = [level for level in levels(arguments.triple) if level.name in (arguments.level or LEVELS)]
    if not built:
        sys.exit(f"no CPU level for {arguments.triple} {arguments.level or ''}; there are {', '.join(LEVELS)}")
    pairs = [(level.name, dtype) for level in built for dtype in DTYPES]
    directory, triple = arguments.directory, arguments.triple
    if arguments.list:
        print(";".join((directory / object_name(unit, *pair)).as_posix() for pair in pairs for unit in units()))
        return
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kernels.h").write_text(header(built))
    cache = cache_of_user()
    jobs = {pair: missing(*pair, triple, directory, cache) for pair in pairs}
    jobs = {pair: job for pair, job in jobs.items() if job}
    if not jobs:
        return
    for name in [name for name in os.environ if name.startswith("NUMBA_")]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)  # of the processes that are started now
    with ProcessPoolExecutor(processes(len(jobs)), get_context("spawn"), initialize, max_tasks_per_child=1) as pool:
        done = [pool.submit(build, job, *pair, triple, directory, cache) for pair, job in jobs.items()]
        for future in done:
            future.result()


def missing(level_name: str, dtype: str, triple: str, directory: Path, cache: ObjectCache) -> Job:
    """What the cache does not have; all else is written."""
    job = []
    for unit in units():
        name = key(unit, level_name, dtype, triple)
        data = cache.get(name)
        if data is None:
            job.append((unit, name))
        else:
            finish(unit, level_name, dtype, directory, data, "kept from an earlier build")
    return job


if __name__ == "__main__":
    main()
