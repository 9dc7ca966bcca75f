"""A call of `train` and calls of `predict`, for each workload, dtype and backend."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir))

from workloads import WORKLOADS


class Training:
    """Calls of train, and the time of one step of them."""

    params = (list(WORKLOADS), ["float32", "float64"])
    param_names = ("workload", "dtype")

    def setup(self, workload, dtype):
        self.workload = WORKLOADS[workload]
        self.network = self.workload.network(dtype)
        self.X, self.y = self.workload.data()
        self.workload.train(self.network, self.X, self.y)

    def time_epochs(self, workload, dtype):
        self.workload.train(self.network, self.X, self.y)

    def track_step(self, workload, dtype):
        import statistics
        import time

        times = []
        for _ in range(9):
            started = time.perf_counter()
            self.workload.train(self.network, self.X, self.y)
            times.append(time.perf_counter() - started)
        return statistics.median(times) / self.workload.steps * 1e6

    track_step.unit = "us"


class Prediction:
    """Forward passes: one row, and all rows."""

    params = tuple(WORKLOADS)
    param_names = ("workload",)

    def setup(self, workload):
        self.network = WORKLOADS[workload].network()
        self.X, _ = WORKLOADS[workload].data()
        self.row = self.X[0]
        self.network.predict(self.X)
        self.predictor, self.out = self.network.predictor(), self.network.predict(self.row)

    def time_one_row(self, workload):
        self.network.predict(self.row)

    def time_one_row_by_predictor(self, workload):
        self.predictor(self.row, out=self.out)

    def time_all_rows(self, workload):
        self.network.predict(self.X)
