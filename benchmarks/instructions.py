"""Instructions executed in a training step, counted by valgrind: of one fastmlp, or of two side by side.

    python benchmarks/instructions.py [PATH [PATH]] [--limit 3] [--jobs "train 64"]

Unlike times, they do not depend on what else the machine does. PATH is a folder with the package, such as that of
`pip install --target PATH .`; without one, fastmlp is the installed one. Each training row of the comparison is run by
one thread for one epoch and for more, each in a process: the difference is that of the steps, with all that `train`
does for them. Of two paths, the exit status is 1 if the second has more than --limit percent more in a row.

Needs Linux with valgrind, which shows programs a CPU with AVX2 and without AVX-512: on x86-64, kernels are those of
level x86-64-v3.
"""

import argparse
import os
import re
import subprocess
import sys
from math import ceil
from pathlib import Path

from report import table
from workloads import ROWS, Row, Workload

ENOUGH = 5e7  # instructions between the two runs; starting Python varies by some thousands
PROGRAM = """
from dataclasses import replace
import sys, fastmlp
from peers.fastmlp import training
from workloads import ROWS
row, samples, epochs = map(int, sys.argv[1:])
training(replace(ROWS[row].workload, samples=samples, epochs=epochs))[""].outcome()
fastmlp.show_config()
"""


def per_step(path: Path | None, row: Row) -> float:
    batch_size, work = row.workload.batch_size, expected(row.workload)
    samples = min(row.workload.samples, batch_size * ceil(ENOUGH / work))  # of large networks a few batches will do
    steps = -(-samples // batch_size)
    more = ceil(ENOUGH / (steps * work))
    counts = [instructions(path, row, samples, epochs) for epochs in (1, 1 + more)]
    return (counts[1] - counts[0]) / (more * steps)


def expected(workload: Workload) -> float:
    """About so many in a step: a vector instruction does 16 operations, and there are 500 others."""
    return workload.flops / 16 + 500


def instructions(path: Path | None, row: Row, samples: int, epochs: int) -> int:
    """Of a whole process that trains for so many epochs on so many samples."""
    environment = os.environ | {"FASTMLP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    if path is not None:
        environment["PYTHONPATH"] = str(path.resolve())
    result = subprocess.run(
        ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, "-c",
         PROGRAM, str(ROWS.index(row)), str(samples), str(epochs)],
        env=environment, cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    counted = re.search(r"I +refs: +([\d,]+)", result.stderr)
    if result.returncode != 0 or counted is None or "backend: compiled" not in result.stdout:
        sys.exit(f"{path or 'fastmlp'} could not be counted:\n{result.stdout}{result.stderr}")
    return int(counted[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="*", metavar="PATH")
    parser.add_argument("--limit", type=float, default=3.0)
    parser.add_argument("--jobs", nargs="*", default=[""], help="parts of the jobs' names")
    options = parser.parse_args()
    if len(options.paths) > 2:
        parser.error("there must be at most two paths")
    paths = options.paths or [None]
    chosen = [row for row in ROWS if row.kind == "training" and any(part in str(row) for part in options.jobs)]
    if not chosen:
        parser.error(f"--jobs must be parts of names of jobs that train, got {options.jobs}")
    rows, grown = [], False
    for row in chosen:
        counts = [per_step(path, row) for path in paths]
        change = [100 * (counts[1] / counts[0] - 1)] if len(counts) == 2 else []
        grown |= any(percent > options.limit for percent in change)
        rows.append([str(row), *(f"{count:,.0f}" for count in counts), *(f"{percent:+.1f}%" for percent in change)])
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print(table(["instructions a step", *(str(path or "fastmlp") for path in paths), "change"][: len(rows[0])], rows))
    sys.exit(grown)


if __name__ == "__main__":
    main()
