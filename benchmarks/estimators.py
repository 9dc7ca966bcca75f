"""Scores and fit times of fastmlp.sklearn and scikit-learn's own MLP on real data: a table in Markdown.

    python benchmarks/estimators.py                        ten data sets, ten seeds: some five minutes
    python benchmarks/estimators.py --seeds 3 --only digits letter
    python benchmarks/estimators.py --data FOLDER          where downloads are kept, ~/.cache/fastmlp if nothing is said

Both sides get the same parameters, the same float32 numbers, standardized by the training part, and the same split,
another one for each seed: a quarter is the test part. They fit in turn, in one process, beginning with another one for
each seed, after short fits that are not counted. scikit-learn fits with one thread and with all, and what it is quicker
with counts. Scores are accuracy or R^2 on the test part, mean and standard error over seeds; times are medians.
"""

import argparse
import os
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import report
import sklearn
from children import PAUSE
from peers import OURS, PEERS
from real_data import DATA_SETS, DataSet, Loaded, MissingError
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastmlp import sklearn as ours

SIDES = {  # modules, and how many threads they may have; None: as many as they like
    "fastmlp": (ours, None),
    "": (neural_network, None),
    "1 thread": (neural_network, 1),
}
GOAL, FEW_FEATURES = 8, 100  # times as fast, on data of fewer features than this
WARM_UP = 3  # epochs


@dataclass
class Runs:
    """What was measured of one side, by seed."""

    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    @property
    def error(self) -> float:
        return standard_error(self.scores)


def standard_error(values: Any) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    parser.add_argument("--only", nargs="+", choices=[data.name for data in DATA_SETS], metavar="NAME")
    parser.add_argument("--data", type=Path, default=Path.home() / ".cache" / "fastmlp")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: there is no standard error of one")
    options.data.mkdir(parents=True, exist_ok=True)
    sklearn.set_config(assume_finite=True)
    warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is what it is for both
    load, rows = os.getloadavg()[0], []
    chosen = [data for data in DATA_SETS if not options.only or data.name in options.only]
    for data in chosen:
        try:
            rows.append(row(data, data.read(options.data), options.seeds))
        except MissingError as missing:
            rows.append([data.name, f"missing: {missing}", *[""] * (len(HEAD) - 2)])
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(report.table(HEAD, rows))
    for data in chosen:
        parameters = data.parameters | {"max_iter": data.max_iter}
        print(f"- {data.name} ({data.source}):", ", ".join(f"{name}={value!r}" for name, value in parameters.items()))
    peers = [OURS, *(peer for peer in PEERS if peer.module in ("sklearn", "numpy"))]
    print(report.circumstances(peers, load, "estimators.py"))


# --- measuring


def row(data: DataSet, loaded: Loaded, seeds: int) -> list[str]:
    """A line of the table."""
    runs = {side: Runs() for side in SIDES}
    for seed in range(seeds):
        split, first = parts(data, loaded, seed), seed % len(SIDES)
        if seed == 0:
            for side in SIDES:
                measure(data, side, split, seed, Runs(), WARM_UP)
        for side in [*SIDES][first:] + [*SIDES][:first]:
            measure(data, side, split, seed, runs[side], data.max_iter)
    way = min(list(SIDES)[1:], key=lambda side: median(runs[side].seconds))
    few = loaded[0].shape[1] < FEW_FEATURES
    return [data.name, *map(str, loaded[0].shape), *compared(runs["fastmlp"], runs[way], way, few)]


def measure(data: DataSet, side: str, split: list[np.ndarray], seed: int, runs: Runs, max_iter: int) -> None:
    X, X_test, y, y_test = split
    module, threads = SIDES[side]
    kind = module.MLPRegressor if data.regression else module.MLPClassifier
    model = kind(**data.parameters, max_iter=max_iter, random_state=seed)
    time.sleep(PAUSE)  # in which threads that another side has left spinning fall asleep
    with threadpool_limits(threads):
        started = time.perf_counter()
        model.fit(X, y)
        runs.seconds.append(time.perf_counter() - started)
        runs.scores.append(model.score(X_test, y_test))
    runs.epochs.append(model.n_iter_)


def parts(data: DataSet, loaded: Loaded, seed: int) -> list[np.ndarray]:
    """Training and test samples, then targets; standardized, the targets of a regression too."""
    X, y = loaded
    stratify = None if data.regression else y
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=stratify)
    scaler = StandardScaler().fit(X)
    if data.regression:
        mean, deviation = y.mean(), y.std()
        y, y_test = ((part - mean) / deviation for part in (y, y_test))
    return [*(scaler.transform(part).astype(np.float32) for part in (X, X_test)), y, y_test]


# --- reporting


HEAD = [
    "data set", "samples", "features", "fastmlp", "scikit-learn", "difference for each seed",
    "not below by more than a standard error", "fit, fastmlp", "fit, scikit-learn", "ratio", "goal", "epochs",
]  # fmt: skip


def compared(mine: Runs, theirs: Runs, way: str, few: bool) -> list[str]:
    """The columns from the scores on. Below: our mean is less than theirs minus the standard error of theirs."""
    differences = np.subtract(mine.scores, theirs.scores)
    below = mine.mean < theirs.mean - theirs.error
    ratio = median(theirs.seconds) / median(mine.seconds)
    missed = few and ratio < GOAL
    return [
        f"{mine.mean:.4f} ± {mine.error:.4f}",
        f"{theirs.mean:.4f} ± {theirs.error:.4f}",
        f"{differences.mean():+.4f} ± {standard_error(differences):.4f}",
        "**no, missed**" if below else "yes",
        report.shown(median(mine.seconds)),
        report.with_way(report.shown(median(theirs.seconds)), way),
        f"**{ratio:.3g}, missed**" if missed else f"{ratio:.3g}",
        str(GOAL) if few else "—",
        f"{median(mine.epochs):g}, {median(theirs.epochs):g}",
    ]


if __name__ == "__main__":
    main()
