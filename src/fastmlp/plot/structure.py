"""The layers of whatever holds a network: ours, the documents' classes, fitted estimators."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened


class LayerView(NamedTuple):
    weights: Array  # (inputs, outputs)
    biases: Array  # (outputs,)
    activation: str  # empty if unknown
    normalization: str = ""  # as "batch norm"; empty if there is none


def layers_of(net: Any) -> list[LayerView]:
    """The layers, checked: that each fits to the one before, and that all numbers are finite."""
    rule = "a network of fastmlp, one of the documents' or a fitted estimator with coefs_ and intercepts_"
    try:
        layers = _read(net)
    except (AttributeError, TypeError, ValueError, IndexError):
        layers = None
    if not layers:
        raise TypeError(f"net must be {rule}, got {shortened(net)}")
    for index, (weights, biases, *_) in enumerate(layers):
        whole = weights.ndim == 2 and weights.size > 0 and biases.shape == weights.shape[1:]
        fits = index == 0 or layers[index - 1].biases.shape == weights.shape[:1]
        require(whole and fits, "net", "such that each layer fits to the one before", [w.shape for w, *_ in layers])
        for numbers in (weights, biases):
            odd = numbers[~np.isfinite(numbers)]
            if odd.size:
                raise ValueError(f"net must be of finite weights and biases, got {odd[0]} in layers[{index}]")
    return layers


def _read(net: Any) -> list[LayerView] | None:
    if hasattr(net, "coefs_"):
        return _estimators(net)
    if hasattr(net, "layers"):
        return [_layer(layer) for layer in net.layers]
    if hasattr(net, "w1"):
        return _introductions(net)
    return None


def _layer(layer: Any) -> LayerView:
    if hasattr(layer, "weights"):
        kind = getattr(layer, "normalization", None)
        view = _view(layer.weights, layer.biases, layer.activation)
        return view._replace(normalization=f"{kind} norm") if kind else view
    # the guide's: neurons with a column of weights each
    weights = np.hstack([np.reshape(neuron.weights, (-1, 1)) for neuron in layer.neurons])
    biases = [np.reshape(neuron.bias, ()) for neuron in layer.neurons]
    return _view(weights, biases, "relu" if hasattr(layer.neurons[0], "relu") else "")


def _introductions(net: Any) -> list[LayerView]:
    from ..introduction import CANONICAL, MODEL
    from ..kernels.runtime.folding import parts

    vector = np.array([float(getattr(net, name)) for name in CANONICAL])
    return [_view(weights, biases, "sigmoid") for weights, biases in parts(MODEL, vector)]


def _estimators(net: Any) -> list[LayerView]:
    hidden, count = getattr(net, "activation", ""), len(net.coefs_) - 1
    each = [hidden] * count if isinstance(hidden, str) or not isinstance(hidden, Sequence) else list(hidden)
    activations = [*each, getattr(net, "out_activation_", "")]
    return [_view(*layer) for layer in zip(net.coefs_, net.intercepts_, activations, strict=True)]


def _view(weights: Any, biases: Any, activation: Any) -> LayerView:
    name = activation if isinstance(activation, str) else getattr(activation, "name", "")
    return LayerView(np.asarray(weights, float), np.asarray(biases, float), name)
