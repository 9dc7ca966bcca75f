"""Data for tests of fastmlp.sklearn."""

import warnings
from contextlib import contextmanager

import numpy as np
from sklearn.exceptions import ConvergenceWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = np.array(["one", "three", "two"])[(X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0.5)]
BINARY = np.where(X[:, 0] + X[:, 1] * X[:, 2] > 0, "yes", "no")
SEVERAL = (X[:, :3] + X[:, 2:] > 0).astype(int)
AMOUNTS = np.c_[np.sin(X[:, 0]) + X[:, 1], X[:, 2] ** 2]
COUNTS = RNG.poisson(np.exp(X[:, :2] / 2)).astype(float)
WEIGHTS = RNG.uniform(0.5, 2, size=60)


@contextmanager
def unconverged():
    """Trainings that are too short, and are meant to be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fitted(estimator, *arguments, **keywords):
    with unconverged():
        return estimator.fit(*arguments, **keywords)


def same_weights(one, other, **tolerance):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(a, b, **{"rtol": 1e-7, "atol": 1e-9, **tolerance})
