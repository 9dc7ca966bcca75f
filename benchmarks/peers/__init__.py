"""One module for each side of the comparison, named like the package that it uses, and what they have in common.

A module has functions `training(workload)` and `prediction(workload)`, and `predictor(workload)` where a prediction
can be prepared further. They return the ways to do that job, labeled; none if the package cannot do the same
arithmetic.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from timeit import Timer
from typing import Any

import numpy as np

# What would keep a peer from its own choice of threads and instructions
LIMITS = ("FASTMLP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE",
          "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "PJRT_NPROC", "XLA_FLAGS")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Job:
    """Statements as for `timeit`, with their global names."""

    statement: str
    names: dict[str, Any]
    result: str  # an expression: what the statement is for
    before: str = ""  # run before every single time, not timed

    def outcome(self) -> np.ndarray:
        """Run it once."""
        names = dict(self.names)
        exec(f"{self.before}\n{self.statement}", names)
        return np.asarray(eval(self.result, names))

    def time(self, seconds: float = 0.2) -> float:
        """Median time of a run, of as many as take so long."""
        timer = Timer(self.statement, self.before or "pass", globals=self.names)
        runs = 1 if self.before else max(1, int(0.005 / timer.timeit(1)))
        times: list[float] = []
        while seconds > 0:
            times.append(timer.timeit(runs))
            seconds -= times[-1]
        return sorted(times)[len(times) // 2] / runs


@dataclass(frozen=True, eq=False)
class Peer:
    module: str
    title: str
    variants: dict[str, dict[str, str]] = field(default_factory=lambda: {"": {}})  # environment variables, by label
    requires: tuple[str, ...] = ()
    counts: bool = True  # among those whose best time ours is compared with
    tolerance: float = 0.01  # of losses and of the weights' movement, relative

    def available(self) -> bool:
        return all(find_spec(package) for package in (self.module, *self.requires))

    def processes(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each variant's label and environment."""
        free = {name: value for name, value in os.environ.items() if name not in LIMITS}
        for label, variables in self.variants.items():
            yield joined(self.title, label), free | variables


def joined(*labels: str) -> str:
    return ", ".join(label for label in labels if label)


OURS = Peer("fastmlp", "fastmlp", {
    "": {}, "1 thread": {"FASTMLP_NUM_THREADS": "1"}, "2 threads": {"FASTMLP_NUM_THREADS": "2"},
})  # fmt: skip
PEERS = [
    Peer("jax", "JAX", {
        "": {}, "1 thread": {"PJRT_NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
        "512-bit": {"XLA_FLAGS": "--xla_cpu_prefer_vector_width=512"},
    }),
    Peer("torch", "PyTorch", {"": {}, "1 thread": {"OMP_NUM_THREADS": "1"}}),
    Peer(
        "sklearn", "scikit-learn", {"": {}, "1 thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}},
        tolerance=0.3,  # its Adam adds epsilon to another term
    ),
    Peer("onnxruntime", "ONNX Runtime", requires=("onnx",)),
    Peer("numpy", "NumPy", counts=False),
]  # fmt: skip
INSTALL = "pip install jax torch scikit-learn onnxruntime onnx"
