"""Weights of samples: those that are given, and those of their classes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks.array_checks import numbers
from ..checks.validation import real_number
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.base.settings import to_text
from ..kernels.functions.function import name_of, row_of
from ..kernels.functions.losses import LOSSES
from ..kernels.runtime.plan import Model


def weights_of_samples(
    sample_weight: Any, class_weight: Any, y: Array, model: Model, argument: str = "sample_weight", some: bool = True
) -> Array | None:
    """What each sample counts, float64; None: all count 1. y is checked already. some: one must count at all."""
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(y)) if sample_weight is None else _sample_weight(sample_weight, len(y), argument)
    if class_weight is not None:
        argument = "class_weight" if sample_weight is None else "sample_weight times class_weight"
        with np.errstate(over="ignore"):
            weights = weights * _class_weight(class_weight, y, model)
    with np.errstate(over="ignore"):
        total = weights.sum()
    require(total < math.inf, argument, "such that their sum is a number", float(total))
    if some and total == 0:
        raise ValueError(f"{argument} must be above 0 for some sample, got 0 for all")
    return weights


def normalized(weights: Array | None) -> Array | None:
    """Weights of mean 1, unless all are 0; None if all count alike."""
    if weights is None or not weights.any():
        return weights
    if (weights == weights[0]).all():
        return None
    weights = weights / weights.max()  # a factor that makes large numbers of subnormal ones would overflow
    weights *= len(weights) / weights.sum()
    return weights


def _sample_weight(value: Any, n_samples: int, argument: str) -> Array:
    weights = numbers(argument, value).astype(np.float64)
    if weights.shape != (n_samples,):
        raise ValueError(f"{argument} must be of shape ({n_samples},), got {weights.shape}")
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"{argument} must be finite numbers from 0 on, got {weights[place]} at {argument}[{place}]")
    return weights


def _class_weight(value: Any, y: Array, model: Model) -> Array:
    """The weight of each sample's class."""
    count, rule = max(2, model.sizes[-1]), "None, 'balanced' or a dict of classes' weights"
    if not isinstance(value, str | Mapping):
        raise TypeError(f"class_weight must be {rule}, got {shortened(value)}")
    classes = _classes(y, model)
    if isinstance(value, str):
        require(to_text(value) == "balanced", "class_weight", rule, value, ["balanced"])
        counts = np.bincount(classes, minlength=count)
        return (len(y) / np.maximum(counts, 1))[classes]
    weights = np.ones(count)
    for label, weight in value.items():
        known = isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= label < count
        require(bool(known), "class_weight", f"a dict whose keys are classes from 0 to {count - 1}", label)
        weights[label] = _weight_of_class(label, weight)
    return weights[classes]


def _weight_of_class(label: Any, value: Any) -> float:
    weight = real_number(f"class_weight[{label}]", value)
    require(0 <= weight < math.inf, f"class_weight[{label}]", "a finite number from 0 on", value)
    return weight


def _classes(y: Array, model: Model) -> Array:
    """The class of each sample."""
    if y.ndim == 1:
        return y
    classes: Array | None = None
    kind = row_of(LOSSES, model.loss).targets
    if kind == "classes":
        classes = y.argmax(axis=1)
        certain = np.take_along_axis(y, classes[:, np.newaxis], axis=1)[:, 0] == 1
    elif kind == "probabilities" and y.shape[1] == 1:
        classes = (y[:, 0] == 1).astype(np.int64)
        certain = (y[:, 0] == 0) | (classes == 1)
    if classes is None:
        raise ValueError(
            f"class_weight must be None where samples have no class, got loss '{name_of(model.loss)}' "
            f"with {y.shape[1]} outputs"
        )
    if not certain.all():
        place = int(np.argmin(certain))
        raise ValueError(
            f"class_weight must be None where targets are not certain, got y[{place}] = {shortened(y[place].tolist())}"
        )
    return classes
