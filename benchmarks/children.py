"""One process for each side of the comparison: started once, asleep unless it is asked, so that no side's threads run
while another is timed.

Run as a script this is the child: it reads pickled requests from its standard input and answers on its output.
"""

import os
import pickle
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from peers import Job, Peer, joined
from workloads import Row

START = Path(__file__).with_name("start.py")
PAUSE = 0.15  # seconds: OpenBLAS spins for up to 90 ms after its last work, all others for less


class ChildError(RuntimeError):
    pass


class Child:
    """The parent's end. `warm_up` has the seconds of the import and of the first run of every job."""

    def __init__(self, peer: Peer, label: str, environment: dict[str, str]) -> None:
        self.label = label
        self.warm_up: dict[str, float] = {}
        self._start = {"args": [sys.executable, START, peer.module], "env": environment}
        self._can: set[Row] = set()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, __file__, peer.module], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answer("starting")
        self.warm_up["import"] = time.perf_counter() - started

    def outcomes(self, row: Row) -> dict[str, Any]:
        """What each way to do the job computes, at its first run, by the ways' labels."""
        answers = self._ask("outcomes", row)
        if answers:
            self._can.add(row)
            self.warm_up[str(row)] = sum(seconds for seconds, _ in answers.values())
        return {joined(self.label, way): outcome for way, (_, outcome) in answers.items()}

    def times(self, row: Row) -> dict[str, float]:
        """Seconds of each way to do the job."""
        if row not in self._can:
            return {}
        answers = {"": self._start_anew()} if row.kind == "start" else self._ask("times", row)
        time.sleep(PAUSE)
        return {joined(self.label, way): seconds for way, seconds in answers.items()}

    def _start_anew(self) -> float:
        started = time.perf_counter()
        subprocess.run(**self._start, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request: str, row: Row) -> Any:
        pickle.dump((request, row), self._process.stdin)
        self._process.stdin.flush()
        return self._answer(row)

    def _answer(self, what: Any) -> Any:
        try:
            return pickle.load(self._process.stdout)
        except EOFError:
            raise ChildError(f"{self.label} ended at: {what}") from None


def jobs(peer: Any, row: Row) -> dict[str, Job]:
    """A start is a training; peers who cannot prepare a prediction predict."""
    make = getattr(peer, "training" if row.kind == "start" else row.kind, peer.prediction)
    return make(row.workload)


def serve(module: str, requests: Any, answers: Any) -> None:
    peer = import_module(f"peers.{module}")
    built: dict[Row, dict[str, Job]] = {}

    def outcomes(row: Row) -> dict[str, tuple[float, Any]]:
        found = {}
        started = time.perf_counter()
        built[row] = jobs(peer, row)
        for way, job in built[row].items():
            outcome = job.outcome()
            found[way] = time.perf_counter() - started, outcome
            started = time.perf_counter()
        return found

    def times(row: Row) -> dict[str, float]:
        return {way: job.time() / row.units for way, job in built[row].items()}

    answer: Any = "ready"
    while True:
        pickle.dump(answer, answers)
        answers.flush()
        try:
            request, row = pickle.load(requests)
        except EOFError:
            return
        answer = {"outcomes": outcomes, "times": times}[request](row)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a package prints must not get among the answers
    serve(sys.argv[1], sys.stdin.buffer, answers)
