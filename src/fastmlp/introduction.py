"""The introduction's own code, to import instead of typing it.

Names, signatures, attributes, random numbers and printed lines are the document's, and so are the results, to rounding.
`train` is compiled: it runs in kernels if `data` is an (n, 2) array or list of integers or of float64, `all_y_trues` is
one of n elements, weights are single numbers of type float, and nothing that training uses is overridden. With anything
else the document's algorithm runs as it stands, at Python's speed, and fails where the document's code fails.

It differs from `fastmlp.NeuralNetwork`, which is the class for new work:

- First weights come from NumPy's global generator (`np.random.seed`), and all arithmetic is in float64.
- Samples are taken one by one, in their order; the learning rate 0.1 and the 1000 epochs are fixed.
- The loss that is printed is the one after the epoch's updates.
- Nothing that is passed in is checked, and NaN neither stops training nor is refused.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from .dropins import Stretches, Usage, is_array
from .kernels.backends.choice import backend
from .kernels.base.arrays import Array
from .kernels.functions.optimizers import SGD
from .kernels.runtime.plan import Model
from .kernels.runtime.training import Schedule

__all__ = ["FixedNeuralNetwork", "Neuron", "OurNeuralNetwork", "deriv_sigmoid", "mse_loss", "sigmoid"]

LEARNING_RATE = 0.1
EPOCHS = 1000
EPOCHS_PER_LINE = 10

MODEL = Model((2, 2, 1), ("sigmoid", "sigmoid"), "mean_squared_error", "float64")
CANONICAL = ("w1", "w3", "w2", "w4", "b1", "b2", "w5", "w6", "b3")  # W0 (inputs, outputs), b0, W1, b1


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), of a number or of every element of an array.

    Examples
    --------
    >>> from fastmlp.introduction import sigmoid
    >>> print(sigmoid(0))
    0.5
    """
    return 1 / (1 + np.exp(-x))


def deriv_sigmoid(x: Any) -> Any:
    """The derivative of `sigmoid` at x.

    Examples
    --------
    >>> from fastmlp.introduction import deriv_sigmoid
    >>> print(deriv_sigmoid(0))
    0.25
    """
    fx = sigmoid(x)
    return fx * (1 - fx)


def mse_loss(y_true: Any, y_pred: Any) -> Any:
    """The mean of (y_true - y_pred)^2 over two arrays of the same length.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.introduction import mse_loss
    >>> print(mse_loss(np.array([1, 0, 0, 1]), np.array([0, 0, 0, 0])))
    0.5
    """
    return ((y_true - y_pred) ** 2).mean()


class Neuron:
    """A neuron with the sigmoid as its activation.

    Parameters
    ----------
    weights : array (inputs,)
    bias : float

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.introduction import Neuron
    >>> print(Neuron(np.array([0, 1]), 4).feedforward(np.array([2, 3])))
    0.9990889488055994
    """

    def __init__(self, weights: Any, bias: Any) -> None:
        self.weights = weights
        self.bias = bias

    def feedforward(self, inputs: Any) -> Any:
        """sigmoid(weights · inputs + bias)."""
        return sigmoid(np.dot(self.weights, inputs) + self.bias)


class FixedNeuralNetwork:
    """The document's first network, called `OurNeuralNetwork` there like the second: 2 inputs, h1 and h2, and o1.

    Attributes
    ----------
    h1, h2, o1 : Neuron
        Each with weights [0, 1] and bias 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.introduction import FixedNeuralNetwork
    >>> print(FixedNeuralNetwork().feedforward(np.array([2, 3])))
    0.7216325609518421
    """

    def __init__(self) -> None:
        weights, bias = np.array([0, 1]), 0
        self.h1 = Neuron(weights, bias)
        self.h2 = Neuron(weights, bias)
        self.o1 = Neuron(weights, bias)

    def feedforward(self, x: Any) -> Any:
        """The output of o1 for inputs x, (2,)."""
        return self.o1.feedforward(np.array([self.h1.feedforward(x), self.h2.feedforward(x)]))


class OurNeuralNetwork:
    """The document's complete network: 2 inputs, a hidden layer of 2 neurons and 1 output, all sigmoid.

    Attributes
    ----------
    w1, w2, b1 : float
        Weights and bias of the first hidden neuron.
    w3, w4, b2 : float
        Of the second.
    w5, w6, b3 : float
        Of the output. All are drawn from NumPy's global generator, and may be read and set at any time.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.introduction import OurNeuralNetwork
    >>> np.random.seed(0)
    >>> network = OurNeuralNetwork()
    >>> people, is_woman = np.array([[-2, -1], [25, 6], [17, 4], [-15, -6]]), np.array([1, 0, 0, 1])
    >>> network.train(people, is_woman)  # doctest: +ELLIPSIS
    Epoch 0 loss: 0.352
    ...
    Epoch 990 loss: 0.002
    >>> bool(network.feedforward(np.array([-7, -3])) > 0.5)
    True
    """

    def __init__(self) -> None:
        normal = np.random.normal
        self.w1: Any = normal()
        self.w2: Any = normal()
        self.w3: Any = normal()
        self.w4: Any = normal()
        self.w5: Any = normal()
        self.w6: Any = normal()
        self.b1: Any = normal()
        self.b2: Any = normal()
        self.b3: Any = normal()

    def feedforward(self, x: Any) -> Any:
        """The output for inputs x, (2,)."""
        return _output(self, x)

    def train(self, data: Any, all_y_trues: Any) -> None:
        """1000 epochs of gradient descent on the squared error, sample by sample, learning rate 0.1.

        Prints `Epoch %d loss: %.3f` for every tenth epoch, with the loss as the epoch left it. Ctrl-C leaves the
        weights of the last finished step.

        Parameters
        ----------
        data : array (n, 2)
        all_y_trues : array (n,)
        """
        samples = _samples(self, data, all_y_trues)
        if samples is None:
            _train_plainly(self, data, all_y_trues)
        else:
            _train(self, *samples)


def _output(network: Any, x: Any) -> Any:
    h1 = sigmoid(network.w1 * x[0] + network.w2 * x[1] + network.b1)
    h2 = sigmoid(network.w3 * x[0] + network.w4 * x[1] + network.b2)
    return sigmoid(network.w5 * h1 + network.w6 * h2 + network.b3)


USAGE = Usage(OurNeuralNetwork, ("feedforward",), CANONICAL)
FUNCTIONS = sigmoid, deriv_sigmoid, mse_loss


def _samples(network: OurNeuralNetwork, data: Any, all_y_trues: Any) -> tuple[Array, Array] | None:
    """The arrays to train on, if kernels compute from them what the document's loop does."""
    if (sigmoid, deriv_sigmoid, mse_loss) != FUNCTIONS or not USAGE.unaltered(network):
        return None
    if any(type(getattr(network, name)) not in (float, np.float64) for name in CANONICAL):
        return None
    X, y = _numbers(data), _numbers(all_y_trues)
    if X is None or y is None or y.ndim != 1 or len(y) == 0 or X.shape != (len(y), 2):
        return None
    return X, y


def _numbers(values: Any) -> Array | None:
    """The array, or the list as an array, if its numbers meet Python's in float64, which float32 for one does not."""
    if type(values) is list:
        elements = [element for row in values for element in (row if type(row) is list else [row])]
        if not all(type(element) in (int, float) for element in elements):
            return None
        try:
            values = np.array(values)
        except ValueError:  # ragged
            return None
    return values if is_array(values) and (values.dtype.kind in "biu" or values.dtype.str[1:] == "f8") else None


def _train(network: OurNeuralNetwork, X: Array, y: Array) -> None:
    vector = np.array([getattr(network, name) for name in CANONICAL])
    schedule = Schedule(SGD(LEARNING_RATE), batch_size=1, epochs=EPOCHS, stop_at_nonfinite=False, trail=True)
    work = backend().executor(MODEL, vector).training(X, y[:, np.newaxis], np.empty((0, len(vector))), schedule)
    stretches, printed = Stretches(work), 0
    try:
        while stretches.step < EPOCHS * len(X):
            stretches.run(EPOCHS * len(X))
            done = stretches.step // len(X)
            if stretches.long or done == EPOCHS:
                _print_losses(printed, work.trail[printed:done:EPOCHS_PER_LINE], X, y)
                printed = -(-done // EPOCHS_PER_LINE) * EPOCHS_PER_LINE
    finally:
        work.collect()
        work.close()
        for name, value in zip(CANONICAL, vector, strict=True):
            setattr(network, name, value)


def _print_losses(first: int, vectors: Array, X: Array, y: Array) -> None:
    """A line for every vector of parameters: the losses of many take hardly longer than that of one."""
    columns = vectors.T[:, :, np.newaxis]  # of each parameter, a number for every line
    outputs = _output(SimpleNamespace(**dict(zip(CANONICAL, columns, strict=True))), X.T)
    losses = np.mean((y - outputs) ** 2, axis=1)
    for line, loss in enumerate(losses.tolist()):
        print(f"Epoch {first + line * EPOCHS_PER_LINE} loss: {loss:.3f}")


def _train_plainly(network: OurNeuralNetwork, data: Any, all_y_trues: Any) -> None:
    n = network
    for epoch in range(EPOCHS):
        for x, y_true in zip(data, all_y_trues):  # noqa: B905 (the longer one's rest is ignored)
            z_h1 = n.w1 * x[0] + n.w2 * x[1] + n.b1
            z_h2 = n.w3 * x[0] + n.w4 * x[1] + n.b2
            h1, h2 = sigmoid(z_h1), sigmoid(z_h2)
            z_o1 = n.w5 * h1 + n.w6 * h2 + n.b3
            slope_h1, slope_h2, slope_o1 = deriv_sigmoid(z_h1), deriv_sigmoid(z_h2), deriv_sigmoid(z_o1)
            step = LEARNING_RATE * (-2 * (y_true - sigmoid(z_o1)))
            # all from the weights as they were
            to_h1, to_h2 = n.w5 * slope_o1, n.w6 * slope_o1
            n.w1 -= step * to_h1 * (x[0] * slope_h1)
            n.w2 -= step * to_h1 * (x[1] * slope_h1)
            n.b1 -= step * to_h1 * slope_h1
            n.w3 -= step * to_h2 * (x[0] * slope_h2)
            n.w4 -= step * to_h2 * (x[1] * slope_h2)
            n.b2 -= step * to_h2 * slope_h2
            n.w5 -= step * (h1 * slope_o1)
            n.w6 -= step * (h2 * slope_o1)
            n.b3 -= step * slope_o1
        if epoch % EPOCHS_PER_LINE == 0:
            loss = mse_loss(all_y_trues, np.apply_along_axis(network.feedforward, 1, data))
            print("Epoch %d loss: %.3f" % (epoch, loss))  # noqa: UP031 (takes numbers that an f-string does not)
