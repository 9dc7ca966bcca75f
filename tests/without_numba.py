"""Numba as if it was not installed, and what of the suite must pass then.

PYTEST_DONT_REWRITE: it is imported before pytest is.
"""

import sys

CORE = [
    "test_cli.py", "test_guide.py", "test_introduction.py", "test_layer.py", "test_network.py", "test_predictor.py",
    "test_storage.py", "test_streams.py", "test_training.py", "test_weights.py",
]  # fmt: skip


class Hidden:
    """Finds nothing of Numba's, and lets nobody else find it."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide():
    """From here on in this process."""
    sys.meta_path.insert(0, Hidden())
