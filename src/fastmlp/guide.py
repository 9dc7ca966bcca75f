"""The guide's own code, to import instead of typing it.

Names, signatures, defaults, attributes, random numbers and printed lines are the document's, and so are the results,
to rounding. `train` is compiled: it runs in kernels if X (n, features) and y (n, outputs) are arrays of real numbers,
neurons hold contiguous float64 arrays of the shapes that `Neuron` gives them, `learning_rate` is finite and above 0,
and nothing that training uses is overridden. With anything else the document's algorithm runs as it stands, at
Python's speed, and fails where the document's code fails.

It differs from `fastmlp.NeuralNetwork`, which is the class for new work:

- ReLU is the activation of the output layer too, so that an output can die and stay at zero.
- What a layer passes back to the one below it goes through weights that were just updated.
- The gradient is divided by the number of samples, the loss by that of outputs too: steps are that many times longer.
- NaN and infinity neither stop training nor are refused; a loss that diverges is printed as it is.
- y of another shape broadcasts against the outputs: if it is (n,) and there is one output, every output is compared
  with all targets of its batch, and learns from the first.
- Samples are taken in their order, first weights come from NumPy's global generator (`np.random.seed`), all
  arithmetic is in float64, and nothing that is passed in is checked.
"""

import sys
from itertools import pairwise
from typing import Any

import numpy as np

from .dropins import Stretches, Usage, is_array
from .kernels.backends.choice import backend
from .kernels.base.arrays import Array
from .kernels.functions.optimizers import SGD
from .kernels.runtime.folding import parts
from .kernels.runtime.plan import Model, data_address
from .kernels.runtime.training import Schedule
from .training.loop import operations_of_step, pace_for

__all__ = ["Layer", "NeuralNetwork", "Neuron"]

MOST_EPOCHS = 10**8  # of which losses are kept


class Neuron:
    """A neuron with ReLU as its activation.

    Parameters
    ----------
    num_inputs : int

    Attributes
    ----------
    weights : array (num_inputs, 1)
        Normally distributed with standard deviation 0.01, drawn from NumPy's global generator.
    bias : array (1, 1)
        Zero at first.
    last_input, last_output : array (n_samples, num_inputs) and (n_samples, 1)
        What `forward` last took and gave; None before.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.guide import Neuron
    >>> neuron = Neuron(2)
    >>> neuron.weights, neuron.bias = np.array([[1.0], [2.0]]), np.array([[0.5]])
    >>> neuron.forward(np.array([[1.0, 1.0], [-1.0, -1.0]])).tolist()
    [[3.5], [0.0]]
    """

    def __init__(self, num_inputs: int) -> None:
        self.weights: Any = np.random.randn(num_inputs, 1) * 0.01  # noqa: NPY002 (the document's numbers)
        self.bias: Any = np.zeros((1, 1))
        self.last_input: Any = None
        self.last_output: Any = None

    def relu(self, z: Any) -> Any:
        """z where it is positive, else 0."""
        return np.maximum(0, z)

    def relu_derivative(self, z: Any) -> Any:
        """1 where z is positive, else 0."""
        return np.where(z > 0, 1, 0)

    def forward(self, activations: Any) -> Any:
        """The neuron's output (n_samples, 1) for activations (n_samples, num_inputs) of the layer below."""
        self.last_input = activations
        self.last_output = self.relu(np.dot(activations, self.weights) + self.bias)
        return self.last_output

    def backward(self, dC_da: Any, learning_rate: Any) -> Any:
        """Take a step of gradient descent, then pass the gradient back through the new weights.

        Parameters
        ----------
        dC_da : array (n_samples, 1)
            The cost's derivatives with respect to what `forward` last gave.
        learning_rate : float

        Returns
        -------
        array (n_samples, num_inputs)
            The neuron's share in the derivatives with respect to what `forward` last took.
        """
        dC_dz = dC_da * self.relu_derivative(self.last_output)
        weight_gradient = np.dot(self.last_input.T, dC_dz)
        bias_gradient = np.sum(dC_dz, axis=0, keepdims=True)
        self.weights -= learning_rate * weight_gradient
        self.bias -= learning_rate * bias_gradient
        return np.dot(dC_dz, self.weights.T)


class Layer:
    """Neurons that see the same inputs.

    Parameters
    ----------
    num_neurons, num_inputs_per_neuron : int

    Attributes
    ----------
    neurons : list of Neuron

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.guide import Layer
    >>> Layer(3, 2).forward(np.ones((5, 2))).shape
    (5, 3)
    """

    def __init__(self, num_neurons: int, num_inputs_per_neuron: int) -> None:
        self.neurons = [Neuron(num_inputs_per_neuron) for _ in range(num_neurons)]

    def forward(self, activations: Any) -> Any:
        """The outputs of all neurons, (n_samples, num_neurons)."""
        return np.hstack([neuron.forward(activations) for neuron in self.neurons])

    def backward(self, output_gradient: Any, learning_rate: Any) -> Any:
        """Let every neuron take its step; returns the gradient with respect to the inputs.

        Parameters
        ----------
        output_gradient : array (n_samples, num_neurons)
        learning_rate : float

        Returns
        -------
        array (n_samples, num_inputs_per_neuron)
        """
        shares = [neuron.backward(output_gradient[:, [i]], learning_rate) for i, neuron in enumerate(self.neurons)]
        return np.sum(shares, axis=0)


class NeuralNetwork:
    """Layers of neurons, ReLU throughout.

    Parameters
    ----------
    layer_sizes : sequence of int
        The number of features, then of neurons in each layer.

    Attributes
    ----------
    layers : list of Layer

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.guide import NeuralNetwork
    >>> np.random.seed(1)
    >>> network = NeuralNetwork([2, 8, 1])
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> network.train(X, X[:, :1] + 1, epochs=2, learning_rate=0.1)  # doctest: +ELLIPSIS
    Epoch 1/2, Loss: 2.9995994...
    Epoch 2/2, Loss: 2.1813496...
    """

    def __init__(self, layer_sizes: Any) -> None:
        self.layers = [Layer(layer_sizes[i + 1], layer_sizes[i]) for i in range(len(layer_sizes) - 1)]

    def forward(self, activations: Any) -> Any:
        """The outputs (n_samples, outputs) for samples (n_samples, features)."""
        for layer in self.layers:
            activations = layer.forward(activations)
        return activations

    def mse_loss(self, y: Any, activations: Any) -> Any:
        """The mean of (activations - y)^2 over samples and outputs."""
        return np.mean((activations - y) ** 2)

    def derivative_mse_loss(self, y: Any, activations: Any) -> Any:
        """2 (activations - y) / samples: of `mse_loss`, that is the derivative times the number of outputs."""
        return 2 * (activations - y) / y.shape[0]

    def train(self, X: Any, y: Any, epochs: Any, learning_rate: Any, batch_size: Any = 32) -> None:
        """Gradient descent on minibatches, taken in the order of the samples.

        Prints `Epoch <number>/<epochs>, Loss: <mean loss>` for every epoch; a batch's loss is the one before its step.
        Ctrl-C leaves the weights of the last finished step.

        Parameters
        ----------
        X : array (n_samples, features)
        y : array (n_samples, outputs)
        epochs : int
        learning_rate : float
        batch_size : int, default 32
        """
        sizes = _sizes(self)
        if sizes and _fit(sizes, X, y) and _plain_numbers(epochs, learning_rate, batch_size):
            _train(self, sizes, X, y, epochs, learning_rate, min(int(batch_size), len(X)))
        else:
            _train_plainly(self, X, y, epochs, learning_rate, batch_size)

    def predict(self, X: Any) -> Any:
        """As `forward`."""
        return self.forward(X)


def _train_plainly(network: NeuralNetwork, X: Any, y: Any, epochs: Any, learning_rate: Any, batch_size: Any) -> None:
    for epoch in range(epochs):
        total_loss = 0
        for start in range(0, len(X), batch_size):
            X_batch, y_batch = X[start : start + batch_size], y[start : start + batch_size]
            outputs = network.forward(X_batch)
            total_loss += network.mse_loss(y_batch, outputs) * len(X_batch)
            gradient = network.derivative_mse_loss(y_batch, outputs)
            for layer in reversed(network.layers):
                gradient = layer.backward(gradient, learning_rate)
        _report(epoch, epochs, total_loss / len(X))


def _report(epoch: int, epochs: Any, loss: Any) -> None:
    print(f"Epoch {epoch + 1}/{epochs}, Loss: {loss}")


# --- compiled training, where nobody can tell


NETWORK = Usage(NeuralNetwork, ("forward", "mse_loss", "derivative_mse_loss"), ("layers",))
LAYER = Usage(Layer, ("forward", "backward"), ("neurons",))
NEURON = Usage(
    Neuron, ("forward", "backward", "relu", "relu_derivative"), ("weights", "bias", "last_input", "last_output")
)  # fmt: skip


def _sizes(network: NeuralNetwork) -> tuple[int, ...] | None:
    """The layer sizes of a network that is as `NeuralNetwork` makes them, however it came about; else None."""
    if not (NETWORK.unaltered(network) and _all_unaltered(LAYER, network.layers)):
        return None
    if not all(_all_unaltered(NEURON, layer.neurons) for layer in network.layers):
        return None
    sizes = (np.size(network.layers[0].neurons[0].weights), *(len(layer.neurons) for layer in network.layers))
    arrays = []
    for layer, inputs in zip(network.layers, sizes, strict=False):
        for neuron in layer.neurons:
            if not (_is_plain(neuron.weights, (inputs, 1)) and _is_plain(neuron.bias, (1, 1))):
                return None
            arrays += [neuron.weights, neuron.bias]
    return sizes if sizes[0] > 0 and _apart(arrays) else None


def _all_unaltered(usage: Usage, things: Any) -> bool:
    return type(things) is list and len(things) > 0 and usage.unaltered(*things)


def _is_plain(array: Any, shape: tuple[int, int]) -> bool:
    """Whether updating the array in place is all there is to it."""
    return type(array) is np.ndarray and array.dtype == np.float64 and array.shape == shape and array.flags.carray


def _apart(arrays: list[Array]) -> bool:
    """Whether no two contiguous arrays share memory: a change of one would be a change of the other."""
    spans = sorted((data_address(array), array.nbytes) for array in arrays)
    return all(start + size <= following for (start, size), (following, _) in pairwise(spans))


def _fit(sizes: tuple[int, ...], X: Any, y: Any) -> bool:
    """Whether these are samples and targets whose numbers turn into float64 when they meet weights and outputs."""
    if not all(is_array(values) and values.dtype.kind in "biuf" and values.dtype.itemsize <= 8 for values in (X, y)):
        return False
    n_samples = len(X) if X.ndim else 0
    return n_samples > 0 and X.shape == (n_samples, sizes[0]) and y.shape == (n_samples, sizes[-1])


def _plain_numbers(epochs: Any, learning_rate: Any, batch_size: Any) -> bool:
    return (
        isinstance(epochs, int) and 1 <= epochs <= MOST_EPOCHS
        and isinstance(learning_rate, int | float) and 0 < learning_rate <= sys.float_info.max
        and isinstance(batch_size, int) and batch_size >= 1
    )  # fmt: skip


def _train(
    network: NeuralNetwork, sizes: tuple[int, ...], X: Array, y: Array, epochs: int, learning_rate: float, batch: int
) -> None:
    model = Model(sizes, ("relu",) * (len(sizes) - 1), "mean_squared_error", "float64")
    vector = np.empty(model.parameter_count)
    parameters = list(parts(model, vector))
    _gather(network, parameters)
    optimizer = SGD(float(learning_rate))
    schedule = Schedule(optimizer, batch, epochs, stop_at_nonfinite=False, update_first=True, delta_divisor=1)
    work = backend().executor(model, vector).training(X, y, np.empty((0, len(vector))), schedule)
    stretches, reported = Stretches(work, pace_for(model, batch, operations_of_step(model, batch))), 0
    last_step = epochs * work.steps_per_epoch
    try:
        while stretches.step < last_step:
            stretches.run(last_step)
            while reported < stretches.step // work.steps_per_epoch:
                _report(reported, epochs, work.losses[reported])
                reported += 1
        _remember(network, X[(work.steps_per_epoch - 1) * batch :], work.activations())
    finally:
        work.collect()
        work.close()
        _scatter(network, parameters)


def _gather(network: NeuralNetwork, parameters: list[list[Array]]) -> None:
    for layer, (weights, biases) in zip(network.layers, parameters, strict=True):
        columns = np.concatenate([neuron.weights for neuron in layer.neurons])  # one after the other: soon copied
        weights[...] = columns.reshape(weights.T.shape).T
        np.concatenate([neuron.bias[0] for neuron in layer.neurons], out=biases)


def _remember(network: NeuralNetwork, inputs: Array, activations: list[Array]) -> None:
    """Let neurons have what they took and gave in the last step."""
    for layer, outputs in zip(network.layers, activations, strict=True):
        for neuron, output in zip(layer.neurons, outputs.T.copy()[:, :, np.newaxis], strict=True):
            neuron.last_input, neuron.last_output = inputs, output
        inputs = outputs


def _scatter(network: NeuralNetwork, parameters: list[list[Array]]) -> None:
    for layer, (weights, biases) in zip(network.layers, parameters, strict=True):
        for neuron, column, bias in zip(layer.neurons, weights.T, biases, strict=True):
            neuron.weights[:, 0] = column
            neuron.bias[0, 0] = bias
