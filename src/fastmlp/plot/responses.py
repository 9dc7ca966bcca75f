"""What a model says at points: how likely each class is, or a number."""

from typing import Any, NamedTuple

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened

RULE = "a network or an estimator with one output, or with classes"
ONE_EACH = "of classes of which each sample has one, with probabilities that add up to 1, not multi-label"


class Response(NamedTuple):
    values: Array  # (n_points,) numbers, or (n_points, classes): one of them is the largest
    classes: Array | None  # None: for numbers


def respond(model: Any, points: Any) -> Response:
    """Ask for probabilities where there are any, else for classes, else for numbers; `points` as a table or array."""
    if hasattr(model, "activations") and hasattr(model, "loss"):
        return _network(model, np.asarray(points))
    if hasattr(model, "w1") and hasattr(model, "feedforward"):  # the introduction's
        return _binary(model.feedforward(np.asarray(points).T))
    classes = getattr(model, "classes_", None)
    if classes is None and hasattr(model, "predict"):
        return Response(_one_column(model, model.predict(points), "an estimator with one output"), None)
    if classes is None:
        raise TypeError(f"model must be {RULE}, got {shortened(model)}")
    require(not any(map(np.ndim, classes)), "model", ONE_EACH, model)  # classes for each label
    require(len(classes) >= 2, "model", "of two classes or more", np.asarray(classes).tolist())
    if hasattr(model, "predict_proba"):
        values = np.asarray(model.predict_proba(points), float)
        sums_are_one = values.shape[1:] == (len(classes),) and bool(np.allclose(values.sum(axis=1), 1, atol=1e-3))
        require(sums_are_one, "model", ONE_EACH, model)
        return Response(values, np.asarray(classes))
    answers = _one_column(model, model.predict(points), ONE_EACH)
    return Response((answers[:, np.newaxis] == np.asarray(classes)).astype(float), np.asarray(classes))


def _network(model: Any, points: Array) -> Response:
    outputs = np.asarray(model.predict(points), float)
    if model.activations[-1] == "softmax":
        require(outputs.shape[1] >= 2, "model", "of two classes or more", model)
        return Response(outputs, np.arange(outputs.shape[1]))
    numbers = _one_column(model, outputs, "a network with one output, or with softmax")
    if model.loss == "hinge":  # targets are -1 and 1
        return _binary(np.clip((numbers + 1) / 2, 0, 1))._replace(classes=np.array([-1, 1]))
    return _binary(numbers) if model.activations[-1] == "sigmoid" else Response(numbers, None)


def _binary(probability: Any) -> Response:
    return Response(np.column_stack([1 - np.asarray(probability, float), probability]), np.array([0, 1]))


def _one_column(model: Any, values: Any, rule: str) -> Array:
    values = np.asarray(values)
    require(values.ndim == 1 or values.shape[1:] == (1,), "model", rule, model)
    column: Array = values[:, 0] if values.ndim == 2 else values
    return column
