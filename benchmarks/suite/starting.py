"""What a process pays before its first result."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

START = Path(__file__).parents[1] / "start.py"


class Starting:
    """Each in a fresh process."""

    def timeraw_import(self):
        return "import fastmlp"

    def timeraw_import_numpy_alone(self):
        return "import numpy"

    for _benchmark in (timeraw_import, timeraw_import_numpy_alone):
        _benchmark.number = 1
        _benchmark.repeat = 5

    def track_first_epoch(self):
        """The row of the table: from the process's start to its end."""
        times = []
        for _ in range(7):
            started = time.perf_counter()
            subprocess.run([sys.executable, START, "fastmlp"], check=True)
            times.append(time.perf_counter() - started)
        return median(times)

    track_first_epoch.unit = "s"
