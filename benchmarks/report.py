"""The tables of compare.py, in Markdown."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from agreement import Agreement
from children import Child
from peers import OURS, Peer, joined
from workloads import Row

Times = dict[Row, dict[Peer, dict[str, list[float]]]]  # seconds in each round, by job, side, and way to do it
Peaks = dict[str, list[float]]  # FLOP/s in each round, by dtype


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown(seconds: float | None) -> str:
    """With three digits, in a unit that suits."""
    if seconds is None:
        return "—"
    factor, unit = next((f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if seconds * f >= 1 or u == "µs")
    digits = f"{seconds * factor:.3g}"
    return f"{float(digits):g} {unit}"


def ours(times: Times, row: Row, label: str = OURS.title) -> float | None:
    measured = times[row][OURS].get(label)
    return median(measured) if measured else None


def best(side: Peer, ways: dict[str, list[float]]) -> tuple[float, str] | None:
    """The quickest way's median, and its label without the side's name."""
    found = [(median(seconds), label.removeprefix(side.title).removeprefix(", ")) for label, seconds in ways.items()]
    return min(found) if found else None


def comparison(times: Times) -> str:
    """Each job: our time, the best peer's, their ratio and its goal, and every peer's best."""
    peers = [side for side in next(iter(times.values())) if side is not OURS]
    head = ["job", OURS.title, "best peer", "its time", "ratio", "goal"]
    names = [side.title if side.counts else f"{side.title} (not a peer)" for side in peers]
    return table(head + names, ([*verdict(times, row, peers), *cells(times[row], peers)] for row in times))


def verdict(times: Times, row: Row, peers: list[Peer]) -> list[str]:
    mine, goal = ours(times, row), f"{row.goal:g}"
    found = {side: best(side, times[row][side]) for side in peers if side.counts and times[row][side]}
    if not found:
        return [str(row), shown(mine), "—", "—", "—", goal]
    winner = min(found, key=lambda side: found[side])
    seconds, way = found[winner]
    ratio = "—"
    if mine is not None:
        ratio = f"{seconds / mine:.3g}" if seconds >= row.goal * mine else f"**{seconds / mine:.3g}, missed**"
    return [str(row), shown(mine), with_way(winner.title, way), shown(seconds), ratio, goal]


def cells(ways: dict[Peer, dict[str, list[float]]], peers: list[Peer]) -> list[str]:
    found = [best(side, ways[side]) for side in peers]
    return ["—" if one is None else with_way(shown(one[0]), one[1]) for one in found]


def with_way(text: str, way: str) -> str:
    return f"{text} ({way})" if way else text


def limits(times: Times, peaks: Peaks) -> str:
    """Training rows: our threads, and how much of what one core can do one thread does."""
    top = {dtype: median(seen) for dtype, seen in peaks.items()}
    lines = []
    for row in times:
        if row.kind == "training":
            default, one, two = (ours(times, row, joined(OURS.title, threads)) for threads in OURS.variants)
            rate = row.workload.flops / one
            share = rate / top[row.workload.dtype]
            lines.append([str(row), shown(default), shown(one), shown(two), f"{row.workload.flops / 1e6:.3g}",
                          f"{rate / 1e9:.3g}", f"{share:.1%}"])  # fmt: skip
    head = ["job", "default threads", "1 thread", "2 threads", "MFLOP a step", "GFLOP/s, 1 thread", "of the peak"]
    peak = ", ".join(f"{value / 1e9:.0f} GFLOP/s in {dtype}" for dtype, value in top.items())
    return table(head, lines) + f"\nPeak of one core, measured: {peak}.\n" if lines else ""


def medians(times: Times) -> str:
    """All that was measured: the median over rounds, and the quickest round."""
    sides = next(iter(times.values()))
    labels = dict.fromkeys(label for side in sides for row in times for label in sorted(times[row][side]))
    flat = {row: {label: t for ways in sides.values() for label, t in ways.items()} for row, sides in times.items()}

    def cell(seconds: list[float] | None) -> str:
        return f"{shown(median(seconds))} / {shown(min(seconds))}" if seconds else "—"

    lines = ([label, *(cell(flat[row].get(label)) for row in times)] for label in labels)
    return table(["median / quickest", *map(str, times)], lines)


def warm_ups(children: list[Child]) -> str:
    lines = []
    for child in children:
        jobs = {job: seconds for job, seconds in child.warm_up.items() if job != "import"}
        if jobs:
            longest = max(jobs, key=lambda job: jobs[job])
            lines.append([child.label, shown(child.warm_up["import"]), shown(sum(jobs.values())),
                          f"{shown(jobs[longest])} ({longest})"])  # fmt: skip
    return table(["warm-up", "process and import", "first runs of all jobs", "the longest"], lines)


def agreement(agreements: list[Agreement]) -> str:
    """How far what each side computed is from NumPy's float64."""
    if not agreements:
        return "What the sides compute was not compared.\n"
    sides = list(dict.fromkeys(side for one in agreements for side in one.differences))
    lines = (
        [
            str(one.row),
            " -> ".join(f"{loss:.6f}" for loss in one.losses) or "—",
            *(f"{one.differences[side]:.0e}" if side in one.differences else "—" for side in sides),
        ]
        for one in agreements
    )
    return table(["largest relative difference", "loss", *(side.title for side in sides)], lines)


def circumstances(sides: list[Peer], load: float, script: str = "compare.py") -> str:
    command = shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    show = [sys.executable, "-c", "import fastmlp; fastmlp.show_config()"]
    config = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    packages = [package for side in sides for package in (side.module, *side.requires)]
    lines = [
        f"{cpu()}, {os.cpu_count()} cores, {platform.system()}; load before the start {load:.2f}",
        "; ".join(config),
        ", ".join(f"{name} {installed}" for name in packages if (installed := version_of(name))),
        f"{datetime.date.today()}; `{command}`",
    ]
    return "\n".join(f"- {line}" for line in lines)


def version_of(package: str) -> str | None:
    try:
        return version({"sklearn": "scikit-learn"}.get(package, package))
    except PackageNotFoundError:  # run from its sources
        return None


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
