"""Times of training steps and predictions, side by side with the peers that are installed: the table in README.md.

    python benchmarks/compare.py                            the goals, 9 rounds: some 20 minutes
    python benchmarks/compare.py --shapes                   other shapes
    python benchmarks/compare.py --drawn 1                  shapes drawn at random, by this seed
    python benchmarks/compare.py --jobs "train 64" 784-128  jobs whose names contain one of these
    python benchmarks/compare.py --peers jax --rounds 3

Each side is a process of its own that is warmed up first and sleeps when it is not asked. In every round they do each
job in turn, beginning with another one each time; figures are medians over rounds.
"""

import argparse
import os
import sys
from dataclasses import replace

import report
from agreement import Agreement, Children, compare, pairs
from children import Child, ChildError
from drawn import drawn
from peers import INSTALL, OURS, PEERS, Peer
from workloads import ROWS, SHAPES, Row


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--jobs", nargs="+", default=[""], help="parts of names of jobs")
    parser.add_argument("--peers", nargs="+", choices=[peer.module for peer in PEERS], help="default: all installed")
    tables = parser.add_mutually_exclusive_group()
    tables.add_argument("--shapes", action="store_true", help="other shapes than those with goals")
    tables.add_argument("--drawn", type=int, metavar="SEED", help="shapes drawn at random")
    parser.add_argument("--shuffle", action="store_true", help="a new order of the samples in every epoch, for all")
    check = "compare what the sides compute with NumPy's float64 first"
    parser.add_argument("--check", action=argparse.BooleanOptionalAction, default=True, help=check)
    return parser.parse_args()


def chosen_rows(options: argparse.Namespace) -> list[Row]:
    table = SHAPES if options.shapes else ROWS if options.drawn is None else drawn(options.drawn)
    rows = [row for row in table if any(part.lower() in str(row).lower() for part in options.jobs)]
    if not rows:
        sys.exit("--jobs must be parts of these names:\n" + "\n".join(map(str, table)))
    return [replace(row, workload=replace(row.workload, shuffle=options.shuffle)) for row in rows]


def chosen_sides(options: argparse.Namespace) -> list[Peer]:
    if not OURS.available():
        sys.exit("compare.py needs fastmlp: pip install .")
    peers = [peer for peer in PEERS if peer.module in (options.peers or [peer.module]) and peer.available()]
    if not any(peer.counts for peer in peers):
        sys.exit(f"compare.py needs at least one peer to compare with: {INSTALL}")
    return [OURS, *peers]


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    options = parsed()
    rows, sides = chosen_rows(options), chosen_sides(options)
    from peak import peak  # needs what is installed with fastmlp

    load = os.getloadavg()[0]
    children: Children = {side: [Child(side, *process) for process in side.processes()] for side in sides}
    agreements: list[Agreement] = []
    for row in rows:
        if options.check:
            progress(f"comparing what all compute: {row}")
            agreements.append(compare(row, children))
        if options.shuffle or not options.check:
            progress(f"warming up: {row}")
            for _, child in pairs(children):
                child.outcomes(row)
    times: report.Times = {row: {side: {} for side in sides} for row in rows}
    peaks: report.Peaks = {row.workload.dtype: [] for row in rows}
    for i in range(options.rounds):
        progress(f"round {i + 1} of {options.rounds}")
        for dtype, seen in peaks.items():
            seen.append(peak(dtype))
        for row in rows:
            for side, child in in_turn(children, i):
                for label, seconds in child.times(row).items():
                    times[row][side].setdefault(label, []).append(seconds)
    everyone = [child for _, child in pairs(children)]
    for child in everyone:
        child.end()
    for part in (
        report.comparison(times), report.limits(times, peaks), report.medians(times), report.warm_ups(everyone),
        report.agreement(agreements), report.circumstances(sides, load),
    ):  # fmt: skip
        print(part)


def in_turn(children: Children, first: int) -> list[tuple[Peer, Child]]:
    """All, beginning with another one each time."""
    order = pairs(children)
    first %= len(order)
    return order[first:] + order[:first]


if __name__ == "__main__":
    try:
        main()
    except ChildError as error:
        sys.exit(str(error))
