"""The canonical parameter vector: W0 in C order (inputs, outputs), b0, W1, b1, ..."""

from typing import Any, NamedTuple

import numpy as np

from .kernels.plan import Array


class LayerParameters(NamedTuple):
    """One layer's part of a vector: weights (inputs, outputs) and biases (outputs,), as views."""

    weights: Array
    biases: Array


class ParameterVector(np.ndarray[Any, np.dtype[Any]]):
    """A flat vector of a network's parameters, or of their gradient, that knows its layers.

    Attributes
    ----------
    layers : list of LayerParameters
        Views of each layer's `weights` and `biases`.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([3, 2], seed=0)
    >>> network.parameters.layers[0].weights.shape
    (3, 2)
    """

    layer_sizes: tuple[int, ...] | None

    def __array_finalize__(self, source: Any) -> None:
        same = source is not None and self.shape == source.shape
        self.layer_sizes = getattr(source, "layer_sizes", None) if same else None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Sums and the like are plain numbers."""
        return array[()] if return_scalar else super().__array_wrap__(array, context, return_scalar)

    def __reduce__(self) -> Any:
        return parameter_vector, (np.asarray(self), self.layer_sizes)

    @property
    def layers(self) -> list[LayerParameters]:
        if self.layer_sizes is None:
            raise AttributeError("layers are known of a whole vector only, not of a part or a result of another shape")
        plain, views, start = np.asarray(self), [], 0
        for inputs, outputs in zip(self.layer_sizes, self.layer_sizes[1:], strict=False):
            middle, end = start + inputs * outputs, start + inputs * outputs + outputs
            views.append(LayerParameters(plain[start:middle].reshape(inputs, outputs), plain[middle:end]))
            start = end
        return views


def parameter_vector(values: Array, layer_sizes: tuple[int, ...] | None) -> ParameterVector:
    """A view of a canonical vector that knows its layers."""
    vector = values.view(ParameterVector)
    vector.layer_sizes = layer_sizes
    return vector
