"""Runs the cases of a program in processes of their own, so that one that crashes or hangs is a fault like others."""

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]
PATIENCE = 300.0  # seconds after which a case hangs: to compile kernels just in time may take a minute or two
MOST_FAULTS = 10  # of a program: then it ends


@dataclass
class Result:
    """What came of the cases; faults are (seed, one line, traceback or what the process has left on stderr)."""

    counts: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self):
        return self.counts.total() + len(self.faults)


def run(module, first, *, cases=None, seconds=float("inf"), patience=PATIENCE):
    """Run so many cases, or so long, with the seeds first, first + 1, ... One case runs at least."""
    result, began, seed = Result(), time.monotonic(), first
    while len(result.faults) < MOST_FAULTS and (cases is None or seed < first + cases):
        left = seconds - (time.monotonic() - began)
        if left <= 0 and seed > first:
            break
        seed = _run_worker(module, seed, cases and first + cases - seed, max(left, 0.1), patience, result)
        if seed is None:
            break
    result.seconds = time.monotonic() - began
    return result


def _run_worker(module, seed, cases, seconds, patience, result):
    """Where another worker has to go on, or None."""
    command = [sys.executable, "-m", "robustness.worker", module, *map(str, (seed, cases or 0, seconds, patience))]
    begun = seed
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            for facts in _lines(process, patience + 5):
                if "begin" in facts:
                    begun = facts["begin"]
                elif "kind" in facts:
                    result.counts[facts["kind"]] += 1
                elif "fault" in facts:
                    result.faults.append((begun, facts["fault"], facts["trace"]))
                    if len(result.faults) >= MOST_FAULTS:
                        return None
                else:
                    return None
            what = _death(process.wait())
        except queue.Empty:
            what = f"hangs: nothing came of it for {patience:g} seconds"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        stderr.seek(0)
        result.faults.append((begun, what, stderr.read()[-5000:]))
    return begun + 1


def _lines(process, patience):
    """What the worker says, as it comes; queue.Empty if it says nothing for too long."""
    said = queue.Queue()

    def read():
        for line in process.stdout:
            said.put(json.loads(line))
        said.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (facts := said.get(timeout=patience)) is not None:
        yield facts


def _death(code):
    if code >= 0:
        return f"the process ended with exit code {code}"
    known = code in [-number for number in signal.Signals]
    return f"the process died of {signal.Signals(-code).name if known else -code}"
