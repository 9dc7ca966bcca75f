"""Time of a training step, and of predicting one row: the table in the README.

    python benchmarks/steps.py [--rounds 15] [--dtype float32] [--backend compiled]

Every figure is the median over rounds, and all workloads take turns, so that a noisy moment does not hit one of them
alone.
"""

import argparse
import statistics
import time

from workloads import WORKLOADS

import fastmlp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--backend", default=None)
    options = parser.parse_args()
    fastmlp.show_config()
    jobs = {name: (w, w.network(options.dtype, options.backend), *w.data()) for name, w in WORKLOADS.items()}
    steps: dict[str, list[float]] = {name: [] for name in jobs}
    rows: dict[str, list[float]] = {name: [] for name in jobs}
    for workload, network, X, y in jobs.values():  # warm-up: compiles, if the backend does
        workload.train(network, X, y)
        network.predict(X[0])
    for _ in range(options.rounds):
        for name, (workload, network, X, y) in jobs.items():
            started = time.perf_counter()
            workload.train(network, X, y)
            steps[name].append((time.perf_counter() - started) / workload.steps)
            row, calls = X[0], 500
            started = time.perf_counter()
            for _ in range(calls):
                network.predict(row)
            rows[name].append((time.perf_counter() - started) / calls)
    print(f"\n| {options.dtype}, µs | training step | predict one row |\n|---|---|---|")
    for name in jobs:
        print(f"| {name} | {statistics.median(steps[name]) * 1e6:.3g} | {statistics.median(rows[name]) * 1e6:.3g} |")


if __name__ == "__main__":
    main()
