"""Python code in processes of its own."""

import os
import subprocess
import sys

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()  # Python works without its lock
PATIENCE = 60  # seconds after which a test that hangs fails


def fresh(code, **variables):
    """What a new process prints, that no variable tells how many threads to use; it has to end well and in silence."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
