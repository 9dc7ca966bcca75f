"""The process in which the cases of a program run: `python -m robustness.worker MODULE FIRST CASES SECONDS`.

It says on stdout, a JSON object a line, which case begins and how it ends. What the cases themselves print is lost.
"""

import contextlib
import faulthandler
import importlib
import itertools
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from .faults import one_line

ROOM = 4 << 30  # bytes of memory that cases may take beside what there is to begin with, if a program says nothing else


def limit_memory(room):
    """On systems where this can be done."""
    with contextlib.suppress(ImportError, FileNotFoundError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))


def main(module, first, cases, seconds, patience):
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    faulthandler.enable()
    end = time.monotonic() + seconds

    def say(**facts):
        stdout.write(json.dumps(facts) + "\n")
        stdout.flush()

    program = importlib.import_module(module)
    limit_memory(getattr(program, "ROOM", ROOM))
    warnings.simplefilter("error")
    for seed in itertools.islice(itertools.count(first), cases):
        if time.monotonic() >= end:
            break
        say(begin=seed)
        faulthandler.dump_traceback_later(patience)
        try:
            say(kind=program.case(np.random.default_rng(seed)))
        except (Exception, KeyboardInterrupt) as error:
            say(fault=one_line(error), trace=traceback.format_exc())
        finally:
            faulthandler.cancel_dump_traceback_later()
    say(done=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) or None, float(sys.argv[4]), float(sys.argv[5]))
