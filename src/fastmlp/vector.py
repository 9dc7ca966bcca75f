"""The canonical parameter vector: W0 in C order (inputs, outputs), b0, W1, b1, ...

After the biases of a normalized layer come its gains and, with batch normalization, running means and variances.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .kernels.base.arrays import Array
from .kernels.functions.normalization import Normalizations, vectors_of
from .kernels.runtime.folding import parts_of_layers
from .kernels.runtime.plan import Model


class PlainParameters(NamedTuple):
    """One layer's part of a vector, as views: weights (inputs, outputs), biases (outputs,)."""

    weights: Array
    biases: Array


class LayerNormalizedParameters(NamedTuple):
    """The same of a layer with layer normalization; all but weights are (outputs,)."""

    weights: Array
    biases: Array
    gains: Array


class BatchNormalizedParameters(NamedTuple):
    """The same of a layer with batch normalization."""

    weights: Array
    biases: Array
    gains: Array
    running_means: Array
    running_variances: Array


LayerParameters = PlainParameters | LayerNormalizedParameters | BatchNormalizedParameters
KINDS: dict[tuple[str, ...], Callable[..., LayerParameters]] = {
    kind._fields[1:]: kind for kind in (PlainParameters, LayerNormalizedParameters, BatchNormalizedParameters)
}


class ParameterVector(np.ndarray[Any, np.dtype[Any]]):
    """A flat vector of a network's parameters, or of their gradient, that knows its layers.

    Attributes
    ----------
    layers : list of LayerParameters
        Views of each layer's `weights`, `biases` and, where it is normalized, `gains`; with batch normalization,
        `running_means` and `running_variances` too.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([3, 2], seed=0)
    >>> network.parameters.layers[0].weights.shape
    (3, 2)
    """

    layer_sizes: tuple[int, ...] | None
    normalizations: Normalizations

    def __array_finalize__(self, source: Any) -> None:
        same = source is not None and self.shape == source.shape
        self.layer_sizes = getattr(source, "layer_sizes", None) if same else None
        self.normalizations = getattr(source, "normalizations", ()) if same else ()

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Sums and the like are plain numbers."""
        return array[()] if return_scalar else super().__array_wrap__(array, context, return_scalar)

    def __reduce__(self) -> Any:
        return _vector, (np.asarray(self), self.layer_sizes, self.normalizations)

    @property
    def layers(self) -> list[LayerParameters]:
        if self.layer_sizes is None:
            raise AttributeError("layers are known of a whole vector only, not of a part or a result of another shape")
        layers = parts_of_layers(self.layer_sizes, self.normalizations, np.asarray(self))
        normalizations = self.normalizations or (None,) * (len(self.layer_sizes) - 1)
        return [
            KINDS[vectors_of(normalization)](*views)
            for views, normalization in zip(layers, normalizations, strict=True)
        ]


def parameter_vector(values: Array, model: Model) -> ParameterVector:
    """A view of a canonical vector that knows its layers."""
    return _vector(values, model.sizes, model.normalizations)


def _vector(values: Array, layer_sizes: tuple[int, ...] | None, normalizations: Normalizations = ()) -> ParameterVector:
    vector = values.view(ParameterVector)
    vector.layer_sizes, vector.normalizations = layer_sizes, normalizations
    return vector
