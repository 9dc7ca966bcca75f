"""Batch normalization outside of training: running statistics are constants, and it is part of weights and biases.

With s = gain / sqrt(variance + epsilon), gain (a W - mean) / sqrt(variance + epsilon) + bias is
a (W s) + (bias - mean s).
"""

from collections.abc import Iterator

import numpy as np

from ..base.arrays import Array
from ..functions.normalization import BY_BATCH, Normalizations, kind_of, settings_of, vectors_of
from .plan import Model


def parts(model: Model, vector: Array) -> Iterator[list[Array]]:
    """Views of weights and vectors of each layer, of a canonical vector."""
    return parts_of_layers(model.sizes, model.normalizations, vector)


def parts_of_layers(sizes: tuple[int, ...], normalizations: Normalizations, vector: Array) -> Iterator[list[Array]]:
    start = 0
    for inputs, outputs, normalization in zip(
        sizes, sizes[1:], normalizations or (None,) * (len(sizes) - 1), strict=False
    ):
        weights = vector[start : start + inputs * outputs].reshape(inputs, outputs)
        start += inputs * outputs
        views = [weights]
        for _ in vectors_of(normalization):
            views.append(vector[start : start + outputs])
            start += outputs
        yield views


def trained_parts(model: Model) -> list[slice]:
    """Of each layer, where weights, biases and gains are in a canonical vector: before running statistics."""
    start, slices = 0, []
    for views in parts(model, np.empty(model.parameter_count)):
        slices.append(slice(start, start + sum(view.size for view in views[:3])))
        start += sum(view.size for view in views)
    return slices


def fold(model: Model, vector: Array) -> Array:
    """The canonical vector of `model.folded` that computes the same."""
    if model.folded is model:
        return vector
    folded = np.empty(model.folded.parameter_count, vector.dtype)
    for l, (source, target) in enumerate(zip(parts(model, vector), parts(model.folded, folded), strict=True)):
        if kind_of(model.normalizations[l]) == BY_BATCH:
            weights, biases, gains, means, variances = source
            scales = gains / deviations(model, l, variances)
            target[0][...], target[1][...] = weights * scales, biases - means * scales
        else:
            for values, place in zip(source, target, strict=True):
                place[...] = values
    return folded


def unfold_gradient(model: Model, vector: Array, gradient: Array) -> Array:
    """The derivatives with respect to `vector`, from those with respect to what it is folded to.

    Those of running statistics, which are not for gradients to change, are left at 0.
    """
    if model.folded is model:
        return gradient
    unfolded = np.zeros(model.parameter_count, vector.dtype)
    layers = zip(parts(model, vector), parts(model.folded, gradient), parts(model, unfolded), strict=True)
    for l, (values, source, target) in enumerate(layers):
        if kind_of(model.normalizations[l]) == BY_BATCH:
            weights, _, gains, means, variances = values
            of_weights, of_biases = source
            spread = deviations(model, l, variances)
            of_scales = (of_weights * weights).sum(axis=0) - of_biases * means
            target[0][...], target[1][...] = of_weights * (gains / spread), of_biases
            target[2][...] = of_scales / spread
        else:
            for numbers, place in zip(source, target, strict=True):
                place[...] = numbers
    return unfolded


def deviations(model: Model, l: int, variances: Array) -> Array:
    epsilon = settings_of(model.normalizations[l])[0]
    return np.asarray(np.sqrt(variances + variances.dtype.type(epsilon)))
