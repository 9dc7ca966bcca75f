"""Time of a training step, with shuffling, and of predicting one row: ours alone, for each network that is trained.

    python benchmarks/steps.py [--rounds 15] [--dtype float32] [--backend compiled]

Every figure is the median over rounds, and all workloads take turns, so that a noisy moment does not hit one of them
alone.
"""

import argparse
import statistics
from dataclasses import replace

from peers.fastmlp import prediction, training
from workloads import ROWS, predicted

import fastmlp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--backend", default=None)
    options = parser.parse_args()
    fastmlp.show_config()
    rows = [
        replace(row, workload=replace(row.workload, dtype=options.dtype, shuffle=True))
        for row in ROWS
        if row.kind == "training"
    ]
    jobs = {
        row: (training(row.workload, options.backend)[""], prediction(predicted(row.workload), options.backend)[""])
        for row in rows
    }
    times: dict[object, list[float]] = {job: [] for pair in jobs.values() for job in pair}
    for job in times:  # warm-up: compiles, if the backend does
        job.outcome()
    for _ in range(options.rounds):
        for job, measured in times.items():
            measured.append(job.time(seconds=0.02))
    print(f"\n| {options.dtype}, µs | training step | predict one row |\n|---|---|---|")
    for row, (step, one_row) in jobs.items():
        step_time, row_time = statistics.median(times[step]) / row.units, statistics.median(times[one_row])
        print(f"| {row} | {step_time * 1e6:.3g} | {row_time * 1e6:.3g} |")


if __name__ == "__main__":
    main()
