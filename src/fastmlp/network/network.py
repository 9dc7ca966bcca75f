"""The neural network: it owns the parameter vector; everything that computes is a backend's."""

import copy
import dataclasses
from collections.abc import Sequence
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from ..checks import array_checks, validation
from ..files import storage
from ..files.writing import Path, as_text
from ..kernels.backends.choice import backend as find_backend
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, told
from ..kernels.functions.activations import ACTIVATIONS
from ..kernels.functions.function import Function, from_record, to_record
from ..kernels.functions.losses import LOSSES
from ..kernels.functions.normalization import NORMALIZATIONS, first_values
from ..kernels.functions.optimizers import KNOWN_OPTIMIZERS
from ..kernels.runtime.executor import require_numbers
from ..seeding import WEIGHTS
from ..training.state import TrainingState
from .streaming import Streaming


class NeuralNetwork(Streaming):
    """A multilayer perceptron.

    Each layer computes f(a @ weights + biases) from the activations `a` of the layer before it.

    Parameters
    ----------
    layer_sizes : sequence of int
        The number of features, then of neurons in each layer; the last are the outputs.
    activation : str, object with settings, or list of them, default "relu"
        Activation of the hidden layers, for all or one for each: "identity", "sigmoid", "relu", "tanh", "leaky_relu",
        "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign", "hard_sigmoid", "hard_tanh", "relu6"
        or "exponential". `LeakyReLU(negative_slope)` and `ELU(alpha)` are "leaky_relu" and "elu" with other settings,
        `Activation(forward, derivative)` is a function of your own.
    output_activation : str or object with settings, default None
        Activation of the last layer, "softmax" among them. None follows the loss.
    loss : str or object with settings, default "mean_squared_error"
        A mean over samples and outputs, if nothing else is said. With any output activation, "identity" by default:
        "mean_squared_error", (a - y)^2; "mean_absolute_error", |a - y|; "huber", by `Huber(delta)`, a square near 0 and
        a slope beyond; "log_cosh", log(cosh(a - y)); `Loss(value, derivative)`, a function of your own.

        "quantile", by `Quantile(quantiles)`: an output for each target and quantile, by "identity", "relu", "softplus"
        or "exponential". "gaussian_negative_log_likelihood": outputs are the means of all targets, then the logarithms
        of their variances; (s + (a - y)^2 e^-s) / 2 in the mean over samples and targets; "identity". "hinge": targets
        are -1 or 1, a question for each output; max(0, 1 - y a); "identity", "tanh", "softsign" or "hard_tanh".

        With one output activation only, by numbers that neither overflow nor cancel: "poisson", a - y log(a), and
        "gamma", log(a) + y / a, by "exponential"; "binary_cross_entropy", -y log(a) - (1 - y) log(1 - a), and "focal",
        by `Focal(gamma, alpha)`, the same with less weight on what is right already, by "sigmoid", where each output is
        a question of its own; "categorical_cross_entropy", by "softmax": the mean over samples of -log of the
        probability of the right class; with `CategoricalCrossEntropy(label_smoothing)`, of smoothed targets;
        "categorical_focal", the same, less for samples that are right already.
    normalization : str, object with settings, or list of them or None, default None
        Of the hidden layers' weighted sums, for all or one for each: "layer", `LayerNormalization(epsilon)`: each
        sample's get mean 0 and variance 1; "batch", `BatchNormalization(epsilon, momentum)`: each neuron's over the
        batch in training, and elsewhere by running averages, which costs nothing. Then a gain for each neuron, and the
        bias. None: as they are.
    dtype : str, default "float32"
        "float32" or "float64": the type of parameters and of all arithmetic.
    initializer : str or list of str, default None
        First weights, for all layers or one for each: "he_normal", "he_uniform", "glorot_normal", "glorot_uniform",
        "lecun_normal", "lecun_uniform", "orthogonal", "zeros", "standard_normal" or "small_normal" (standard deviation
        0.01). Biases begin at zero, but "standard_normal" draws them too. None: he_normal for layers of ReLU,
        glorot_uniform for others.
    seed : int, default None
        Fixes initial weights and the order of samples. None draws one from the operating system.
    backend : str, default None
        "compiled", "jit", "interpreted" or "reference". None: FASTMLP_BACKEND, or else the fastest that is installed.
    threads : int, default None
        The most threads to work with. None: as many as FASTMLP_NUM_THREADS says, or as there are CPUs to be used. Small
        networks take one, and all do when more turn out not to pay. Results are the same, to the last bit, with any
        number.

    Attributes
    ----------
    parameters : ParameterVector
        All weights and biases, layer after layer. Read-only and unmoved by training; assign a vector to change them.
    layers : tuple of Layer
        Each with `weights`, `biases`, `activation`, `neurons` and, where it is normalized, `normalization`, `gains`,
        and running averages.
    history : History
        Of the last training, even if it was interrupted; None before the first.
    layer_sizes, activations, loss, dtype, threads
        As given; `activations` has one name for each layer. `threads` may be assigned.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of what is allowed.
    RuntimeError
        If the backend asked for is not to be had.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([2, 8, 1], activation="tanh", loss="binary_cross_entropy", seed=1)
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> history = network.train(X, y, epochs=500, learning_rate=0.05, optimizer="adam")
    >>> history.loss[-1] < 0.01
    True
    >>> network.predict(X).round().ravel().astype(int).tolist()
    [0, 1, 1, 0]
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Function | Sequence[str | Function] = "relu",
        output_activation: str | Function | None = None,
        loss: str | Function = "mean_squared_error",
        *,
        normalization: str | Function | Sequence[str | Function | None] | None = None,
        dtype: Any = "float32",
        initializer: str | Sequence[str] | None = None,
        seed: int | None = None,
        backend: str | None = None,
        threads: int | None = None,
    ) -> None:
        threads = validation.thread_count(threads)
        model = validation.model(layer_sizes, activation, output_activation, loss, dtype, normalization)
        initializers = validation.initializers(initializer, model.activations)
        entropy = np.random.SeedSequence(validation.seed(seed)).entropy
        parameters = np.zeros(model.parameter_count, model.dtype)
        self._assemble(model, parameters, entropy, backend)
        self._threads = threads
        generator = np.random.default_rng(self._stream(WEIGHTS))
        for layer, chosen in zip(self._live().layers, initializers, strict=True):
            layer.weights[...] = chosen.weights(generator, *layer.weights.shape)
            if chosen.biases is not None:
                layer.biases[...] = chosen.biases(generator, len(layer.biases))
        for layer, normalization in zip(self._live().layers, model.normalizations, strict=False):
            for name, value in first_values(normalization).items():
                getattr(layer, name)[...] = value

    def __repr__(self) -> str:
        *hidden, output = self._model.activations
        activation = hidden[0] if hidden and len(set(hidden)) == 1 else hidden
        shown = f", activation={activation!r}" if hidden else ""
        shown += f", output_activation={output!r}, loss={self._model.loss!r}, dtype={self.dtype!r}"
        normalizations = self._model.normalizations[:-1]
        if normalizations:
            shown += f", normalization={normalizations[0] if len(set(normalizations)) == 1 else list(normalizations)!r}"
        return f"NeuralNetwork({list(self.layer_sizes)}{shown})"

    # --- files and copies

    def save(self, path: Path, *, training: bool = False) -> None:
        """Write the network with its optimizer's state to a file: a .npz of plain arrays and a JSON header.

        A file that is there already is replaced when the new one is complete on the disk, at one moment: an exception,
        Ctrl-C or a crash leaves the old one or the new one, and so find those who load it meanwhile. It keeps its mode,
        owner, extended attributes and links, as with ``open(path, "wb")``. A device or a pipe is written into.

        Parameters
        ----------
        path : str, bytes or path
            It ends in ".npz", or has no suffix and gets none.
        training : bool, default False
            Write the last training too, its history and what else `train(..., resume=True)` needs to go on with it.

        Raises
        ------
        OSError
            If the file cannot be written, or is read-only.
        ValueError
            If `path` has another suffix.
        TypeError
            If `path` is none, `training` is neither True nor False, or an activation or the loss is a function of your
            own: pickle holds these.
        RuntimeError
            If another thread changes the network meanwhile.

        Notes
        -----
        The new file is written beside the old one, to a hidden file whose name begins with ".fastmlp-". If a process is
        killed at that, it stays, and the next `save` to the same path removes it. A file is written in place, which a
        crash may leave half done, where replacing it would be a loss: if it has several hard links, an owner or
        attributes that may not be given to another file, or lies in a folder that takes no new file.

        Examples
        --------
        >>> import fastmlp, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> fastmlp.NeuralNetwork([2, 1]).save(path)
        >>> fastmlp.load(path)
        NeuralNetwork([2, 1], output_activation='identity', loss='mean_squared_error', dtype='float32')
        """
        storage.write(path, *self._to_record(validation.flag("training", training)))

    def _to_record(self, training: bool = False) -> tuple[storage.Header, dict[str, Array]]:
        with self._executor.lock:  # another thread may be training it
            return self._record(training)

    def _record(self, training: bool) -> tuple[storage.Header, dict[str, Array]]:
        now = SimpleNamespace(**vars(self))  # of one moment: a training may begin, with another optimizer's state
        state: TrainingState = now._state
        optimizer = state.optimizer and {"name": state.optimizer.name, **dataclasses.asdict(state.optimizer)}
        header = {
            "layer_sizes": self.layer_sizes,
            "activations": [to_record("activation", activation) for activation in self._model.activations],
            "loss": to_record("loss", self._model.loss), "dtype": self.dtype,
            "seed": now._entropy, "epochs": state.epochs, "updates": state.updates, "optimizer": optimizer,
        }  # fmt: skip
        if self._model.normalizations:
            header["normalizations"] = [one and to_record("normalization", one) for one in self._model.normalizations]
        arrays = {"parameters": now._parameters.copy(), "optimizer_state": state.slots.copy()}
        if state.average is not None:
            arrays["average"] = state.average.copy()
        if state.seen is not None:
            from ..training.schedules import seen_to_record

            header["plateau"] = seen_to_record(state.seen)
        if training and now._history is not None:
            from ..training import resuming

            header["training"], more = resuming.to_record(copy.copy(now._history), now._at, now._best)
            arrays |= more
        return header, arrays

    @classmethod
    def _from_record(
        cls, header: storage.Header, arrays: dict[str, Array], backend: str | None = None
    ) -> "NeuralNetwork":
        """Build a network from what `_to_record` gave; every entry is checked."""
        *hidden, output = [from_record(ACTIVATIONS, entry) for entry in header["activations"]]
        loss = from_record(LOSSES, header["loss"])
        *normalization, last = [from_record(NORMALIZATIONS, entry) for entry in header.get("normalizations", [None])]
        require(last is None, "normalizations", "of hidden layers", last)
        model = validation.model(header["layer_sizes"], hidden, output, loss, header["dtype"], normalization or None)
        shape = (model.parameter_count,)
        network = cls.__new__(cls)
        parameters = array_checks.parameters(arrays["parameters"], model).astype(model.dtype)
        network._assemble(model, parameters, validation.seed(header["seed"]), backend)
        state = network._state._replace(epochs=validation.count("epochs", header["epochs"]))
        if header["optimizer"] is not None:
            settings = dict(header["optimizer"])
            optimizer = KNOWN_OPTIMIZERS[validation.name_of("optimizer", settings.pop("name"), KNOWN_OPTIMIZERS)](
                **settings
            )
            slots = array_checks.state("optimizer_state", arrays["optimizer_state"], (len(optimizer.slots), *shape))
            updates = validation.count("updates", header["updates"])
            state = state._replace(optimizer=optimizer, slots=slots.astype(model.dtype), updates=updates)
        if "average" in arrays:
            average = array_checks.parameters(arrays["average"], model, "average")
            state = state._replace(average=average.astype(model.dtype))
        if header.get("plateau") is not None:
            from ..training.schedules import seen_from_record

            state = state._replace(seen=seen_from_record(header["plateau"]))
        network._state = state
        if "training" in header:
            from ..training import resuming

            last = resuming.from_record(header["training"], arrays, state)
            network._history, network._at, network._best = last
        return network

    def __getstate__(self) -> dict[str, Any]:
        with self._executor.lock:  # another thread may be training it
            state = self.__dict__.copy()  # of one moment, with the attributes of subclasses
            for name in ("_backend", "_computer", "_predictors", "_turn"):
                del state[name]
            for name in ("_trainer", "_assignable", "_unsettled"):  # it is not the copy that is being trained
                state.pop(name, None)
            for name in ("_parameters", "_history"):
                state[name] = copy.copy(state[name])
            state["_state"] = self._state.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model = validation.model_again(self._model)
        optimizer, slots, *_, average = self._state
        count = self._model.parameter_count
        require_numbers("state", slots, (len(optimizer.slots) if optimizer else 0, count), self.dtype)
        if average is not None:
            require_numbers("average", average, (count,), self.dtype)
        self._compute_with(self._backend_asked)


def _rename_methods() -> None:
    """Have methods of the parts be called those of the class that users know, as Python's own messages name them."""
    for part in NeuralNetwork.__mro__[1:-1]:
        for method in vars(part).values():
            while isinstance(method, FunctionType):
                method.__qualname__ = f"{NeuralNetwork.__qualname__}.{method.__name__}"
                method.__module__ = __name__  # where pickle looks for that
                method = getattr(method, "__wrapped__", None)


_rename_methods()


def load(path: Path, *, backend: str | None = None) -> NeuralNetwork:
    """Read a network that `NeuralNetwork.save` wrote, with its optimizer's state.

    Parameters
    ----------
    path : str, bytes or path
        Of any name. A pipe has to be copied to a file first.
    backend : str, default None
        As for `NeuralNetwork`.

    Returns
    -------
    NeuralNetwork

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, is damaged, or is of a later version. Nothing in it is executed, and it takes no more
        memory than a small multiple of the file's size. Or if `fastmlp train` wrote it: `fastmlp predict` applies such
        a model with what it does to its table's columns.
    TypeError
        If `path` is none.

    Examples
    --------
    See `NeuralNetwork.save`.
    """
    find_backend(backend)  # complains of itself, not of the file
    name = as_text(path)
    header, arrays = storage.read(name)
    if "table" in header:
        raise ValueError(
            f"path must be a network saved by `NeuralNetwork.save`, got a model of `fastmlp train` in {name!r}: "
            f"`fastmlp predict MODEL DATA.csv` applies it, with what it does to its table's columns"
        )
    try:
        return NeuralNetwork._from_record(header, arrays, backend)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"path must be a network saved by fastmlp, got {name!r}: {told(error)}") from None
