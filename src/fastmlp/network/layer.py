"""Layers and neurons: windows onto the network's parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..checks import array_checks, validation
from ..kernels.backends.choice import Backend
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require
from ..kernels.functions.activations import ACTIVATIONS
from ..kernels.functions.function import name_of, row_of
from ..kernels.functions.normalization import BY_SAMPLE, kind_of
from ..kernels.runtime.plan import Model
from ..vector import LayerParameters, ParameterVector

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceExecutor
    from ..kernels.runtime.executor import Executor


class Network(Protocol):
    """What a layer needs of the network that it belongs to."""

    _backend: Backend
    _model: Model

    @property
    def layer_sizes(self) -> tuple[int, ...]: ...

    @property
    def activations(self) -> tuple[str, ...]: ...

    @property
    def dtype(self) -> str: ...

    @property
    def _executor(self) -> "Executor | ReferenceExecutor": ...

    def _live(self) -> ParameterVector: ...

    def _assign(self, name: str, place: Array, values: Any) -> None: ...


class Layer:
    """A layer of a network.

    Attributes
    ----------
    weights : array (inputs, outputs)
        Read-only; assign an array of this shape to change all weights.
    biases : array (outputs,)
        Read-only; assign to change them.
    activation : str
    normalization : str or None
    gains : array (outputs,)
        Of a normalized layer, by which normalized sums are multiplied before the biases are added; None for others.
        Read-only; assign to change them.
    running_means, running_variances : array (outputs,)
        Of batch normalization, by which it normalizes where it is not being trained; None for others. Read-only; assign
        to change them.
    neurons : sequence of Neuron

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([2, 3, 1], normalization="batch")
    >>> layer = network.layers[0]
    >>> layer.gains = [1, 2, 3]
    >>> layer.normalization, layer.gains.tolist(), layer.running_variances.tolist()
    ('batch', [1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    """

    __slots__ = ("_index", "_network")  # so that assigning to a misspelled attribute is an error

    def __init__(self, network: Network, index: int) -> None:
        self._network, self._index = network, index

    @property
    def activation(self) -> str:
        return self._network.activations[self._index]

    @property
    def weights(self) -> Array:
        return self._frozen(self._live().weights)

    @weights.setter
    def weights(self, value: Any) -> None:
        self._write("weights", self._live().weights, value)

    @property
    def biases(self) -> Array:
        return self._frozen(self._live().biases)

    @biases.setter
    def biases(self, value: Any) -> None:
        self._write("biases", self._live().biases, value)

    @property
    def normalization(self) -> str | None:
        chosen = self._network._model.normalization_of(self._index)
        return None if chosen is None else name_of(chosen)

    @property
    def gains(self) -> Array | None:
        return self._vector("gains")

    @gains.setter
    def gains(self, value: Any) -> None:
        self._write_vector("gains", value)

    @property
    def running_means(self) -> Array | None:
        return self._vector("running_means")

    @running_means.setter
    def running_means(self, value: Any) -> None:
        self._write_vector("running_means", value)

    @property
    def running_variances(self) -> Array | None:
        return self._vector("running_variances")

    @running_variances.setter
    def running_variances(self, value: Any) -> None:
        self._write_vector("running_variances", value)

    def _vector(self, name: str) -> Array | None:
        vector = getattr(self._live(), name, None)
        return None if vector is None else self._frozen(vector)

    def _write_vector(self, name: str, value: Any) -> None:
        vector = getattr(self._live(), name, None)
        if vector is None:
            raise AttributeError(f"{name} are of layers with normalization, not of one with {self.normalization!r}")
        if name == "running_variances":
            value = array_checks.running_variances(
                name, array_checks.block(name, value, vector.shape, vector.dtype.name)
            )
        self._write(name, vector, value)

    @property
    def neurons(self) -> "Sequence[Neuron]":
        return [Neuron(self, column) for column in range(self._network.layer_sizes[self._index + 1])]

    def _live(self) -> LayerParameters:
        return self._network._live().layers[self._index]

    def _write(self, name: str, part: Array, value: Any) -> None:
        self._network._assign(name, part, array_checks.block(name, value, part.shape, self._network.dtype))

    def _frozen(self, view: Array) -> Array:
        """A read-only copy: the network changes by assignment alone, and training does not change what you hold."""
        with self._network._executor.lock:
            copy = view.copy()
        copy.flags.writeable = False
        return copy

    def __repr__(self) -> str:
        inputs, outputs = self._network.layer_sizes[self._index : self._index + 2]
        normalized = "" if self.normalization is None else f", normalization={self.normalization!r}"
        return f"Layer({inputs} -> {outputs}, {self.activation!r}{normalized})"


class Neuron:
    """A neuron of a layer: one column of its weights, and one bias.

    Attributes
    ----------
    weights : array (inputs,)
        Read-only; assign to change them.
    bias : float
        Assign to change it.
    """

    __slots__ = ("_column", "_layer")

    def __init__(self, layer: Layer, column: int) -> None:
        self._layer, self._column = layer, column

    @property
    def weights(self) -> Array:
        return self._layer._frozen(self._layer._live().weights[:, self._column])

    @weights.setter
    def weights(self, value: Any) -> None:
        self._layer._write("weights", self._layer._live().weights[:, self._column], value)

    @property
    def bias(self) -> float:
        return float(self._layer._live().biases[self._column])

    @bias.setter
    def bias(self, value: Any) -> None:
        self._layer._write(
            "bias", self._layer._live().biases[self._column :][:1], [validation.real_number("bias", value)]
        )

    def forward(self, inputs: Any) -> Array:
        """The neuron's activation: f(inputs · weights + bias), with batch normalization by running averages.

        Parameters
        ----------
        inputs : array (inputs,) or (n_samples, inputs)
            What the layer below puts out.

        Returns
        -------
        scalar or array (n_samples,)

        Raises
        ------
        ValueError
            If the shape is another, a number is not finite, or the layer's activation or normalization is one of the
            whole layer (softmax, "layer").

        Examples
        --------
        >>> import fastmlp
        >>> neuron = fastmlp.NeuralNetwork([2, 1], output_activation="sigmoid", dtype="float64").layers[0].neurons[0]
        >>> neuron.weights, neuron.bias = [0, 1], 4
        >>> round(float(neuron.forward([2, 3])), 4)
        0.9991
        """
        network, index = self._layer._network, self._layer._index
        activation, normalization = network._model.activations[index], network._model.normalization_of(index)
        require(not row_of(ACTIVATIONS, activation).rowwise, "activation", "a function of one neuron", activation)
        whole = kind_of(normalization) == BY_SAMPLE
        require(not whole, "normalization", "one of each neuron by itself", normalization)
        live = self._layer._live()
        with network._executor.lock:
            vector = np.concatenate([part[..., self._column].ravel() for part in live])
        features, normalizations = len(self.weights), () if normalization is None else (normalization,)
        neuron = Model((features, 1), (activation,), "mean_squared_error", network.dtype, normalizations)
        one, X = array_checks.one_or_many(inputs, features, network.dtype, "inputs")
        output = network._backend.executor(neuron, vector).predict(X)[:, 0]
        return output[0] if one else output

    def __repr__(self) -> str:
        return f"Neuron({len(self.weights)} inputs, {self._layer.activation!r})"
