"""From the start of a process to the end of the first epoch: the whole of what is timed.

`python benchmarks/start.py fastmlp`; the argument is a module's name in peers/.
"""

import sys
from importlib import import_module

from workloads import START

if __name__ == "__main__":
    job, *_ = import_module(f"peers.{sys.argv[1]}").training(START).values()
    job.outcome()
