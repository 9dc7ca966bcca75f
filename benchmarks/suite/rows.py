"""Our time of each row of the table of workloads, in microseconds."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from children import jobs
from peers import fastmlp as ours
from workloads import ROWS

BY_NAME = {str(row): row for row in ROWS if row.kind != "start"}


class Rows:
    params = (list(BY_NAME), ["float32", "float64"])
    param_names = ("job", "dtype")
    unit = "us"

    def setup(self, name, dtype):
        self.row = BY_NAME[name]
        made = jobs(ours, replace(self.row, workload=replace(self.row.workload, dtype=dtype)))
        if not made:  # asv goes back in history; this is how a benchmark says that it does not apply
            raise NotImplementedError(f"no {self.row.kind} in this version")
        self.job = made[""]
        self.job.outcome()

    def track_time(self, name, dtype):
        return self.job.time() / self.row.units * 1e6

    track_time.unit = unit
