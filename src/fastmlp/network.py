"""The neural network: it owns the parameter vector; everything that computes is a backend's."""

import copy
import dataclasses
import math
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import storage, training, validation
from .history import History
from .kernels.activations import ACTIVATIONS
from .kernels.backends import backend as find_backend
from .kernels.functions import Function, from_record, name_of, to_record
from .kernels.initializers import INITIALIZERS
from .kernels.losses import LOSSES
from .kernels.optimizers import OPTIMIZERS, Optimizer
from .kernels.plan import Array, Model
from .kernels.reference import ReferenceTraining
from .kernels.threads import most_threads
from .kernels.training import Schedule, Training
from .layer import Layer
from .predictor import Predictor, predict, predictor
from .vector import ParameterVector, parameter_vector

if TYPE_CHECKING:
    from .lbfgs import LBFGS
    from .schedules import Course, RateSchedule, Seen

WEIGHTS, SHUFFLE = range(2)  # streams of random numbers drawn from a network's seed


@lru_cache
def shuffle_key(entropy: int) -> int:
    """63 bits that fix the orders of samples."""
    sequence = np.random.SeedSequence(entropy, spawn_key=(SHUFFLE,))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class Gradients(NamedTuple):
    """What `NeuralNetwork.backward` returns."""

    parameters: ParameterVector
    inputs: Array


class NeuralNetwork:
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
        probability of the right class; with `CategoricalCrossEntropy(label_smoothing)`, of smoothed targets.
    dtype : str, default "float32"
        "float32" or "float64": the type of parameters and of all arithmetic.
    initializer : str, default None
        "he_normal" or "glorot_uniform". None: he_normal for layers of ReLU, glorot_uniform for others. Biases begin at
        zero.
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
        Each with `weights`, `biases`, `activation` and `neurons`.
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
    >>> network.train(X, y, epochs=500, learning_rate=0.05, optimizer="adam")  # doctest: +ELLIPSIS
    History(500 epochs, loss 0.7... -> 0.00...)
    >>> network.predict(X).round().ravel().astype(int).tolist()
    [0, 1, 1, 0]
    """

    _optimizer: Optimizer | None  # whose state `_state` is
    _average: Array | None = None  # of the parameters, as they went
    _seen: "Seen" = None  # by a schedule, of losses
    _threads: int | None

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Function | Sequence[str | Function] = "relu",
        output_activation: str | Function | None = None,
        loss: str | Function = "mean_squared_error",
        *,
        dtype: Any = "float32",
        initializer: str | None = None,
        seed: int | None = None,
        backend: str | None = None,
        threads: int | None = None,
    ) -> None:
        threads = validation.thread_count(threads)
        model = validation.model(layer_sizes, activation, output_activation, loss, dtype)
        initializers = validation.initializer(initializer, model.activations)
        entropy = np.random.SeedSequence(validation.seed(seed)).entropy
        parameters = np.zeros(model.parameter_count, model.dtype)
        self._assemble(model, parameters, entropy, backend)
        self._threads = threads
        generator = np.random.default_rng(self._stream(WEIGHTS))
        for layer, name in zip(self._live().layers, initializers, strict=True):
            layer.weights[...] = INITIALIZERS[name](generator, *layer.weights.shape)

    def _assemble(self, model: Model, parameters: Array, entropy: Any, backend: str | None) -> None:
        self._model, self._parameters, self._entropy = model, parameters, entropy
        self._compute_with(backend)
        self._threads = None
        most_threads()  # lets threadpoolctl know of them; complains of a wrong FASTMLP_NUM_THREADS
        self._epochs = 0  # trained so far: the order of an epoch's samples depends on its number
        self._begin_with(None)

    def _compute_with(self, backend: str | None) -> None:
        self._backend_asked, self._backend = backend, find_backend(backend)
        self._executor = self._backend.executor(self._model, self._parameters)
        self._predictors: list[Predictor] = []  # of the parameters as they are, once it has been asked for

    # --- what it is

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        return self._model.sizes

    @property
    def activations(self) -> tuple[str, ...]:
        return tuple(map(name_of, self._model.activations))

    @property
    def loss(self) -> str:
        return name_of(self._model.loss)

    @property
    def dtype(self) -> str:
        return self._model.dtype

    @property
    def backend(self) -> str:
        return self._backend.name

    @property
    def threads(self) -> int | None:
        return self._threads

    @threads.setter
    def threads(self, value: int | None) -> None:
        self._threads = validation.thread_count(value)
        self._predictors = []

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(Layer(self, index) for index in range(len(self.activations)))

    @property
    def parameters(self) -> ParameterVector:
        vector = parameter_vector(self._parameters.copy(), self.layer_sizes)
        vector.flags.writeable = False
        return vector

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._parameters[...] = validation.block("parameters", value, self._parameters.shape, self.dtype)
        self._parameters_changed()

    def _live(self) -> ParameterVector:
        return parameter_vector(self._parameters, self.layer_sizes)

    def _parameters_changed(self) -> None:
        self._executor.changed()
        self._predictors = []  # another list: what a thread is just making of the old ones goes into the old list

    def _stream(self, stream: int) -> "np.random.SeedSequence":
        return np.random.SeedSequence(self._entropy, spawn_key=(stream,))

    def __repr__(self) -> str:
        *hidden, output = self._model.activations
        activation = hidden[0] if hidden and len(set(hidden)) == 1 else hidden
        shown = f", activation={activation!r}" if hidden else ""
        shown += f", output_activation={output!r}, loss={self._model.loss!r}, dtype={self.dtype!r}"
        return f"NeuralNetwork({list(self.layer_sizes)}{shown})"

    # --- what it computes

    def predict(self, X: Any, *, allow_nan: bool = False) -> Array:
        """The activations of the last layer.

        Parameters
        ----------
        X : array (n_samples, features), or (features,) for one sample
        allow_nan : bool, default False
            Let NaN and infinity through: outputs that depend on them become NaN or infinite where the formulas say so.

        Returns
        -------
        array (n_samples, outputs), or (outputs,), of the network's dtype

        Raises
        ------
        ValueError, TypeError
            If X has another shape, is empty, holds no real numbers, or numbers that are not finite.

        Examples
        --------
        >>> import fastmlp
        >>> fastmlp.NeuralNetwork([3, 2]).predict([[1, 2, 3], [4, 5, 6]]).shape
        (2, 2)
        """
        if allow_nan is False:  # every nanosecond counts
            predictors = self._predictors
            return (predictors[0] if predictors else self._predictor(predictors))(X)
        return predict(self._executor.prediction(self._threads), X, allow_nan=validation.flag("allow_nan", allow_nan))

    forward = predict

    def _predictor(self, made: list[Predictor]) -> Predictor:
        made.append(predictor(self._executor.prediction(self._threads), self.backend, self._backend_asked))
        return made[0]

    def predictor(self) -> Predictor:
        """A callable that predicts with the weights of this moment, whatever becomes of the network.

        For one sample after the other, and for threads: it costs less than `predict`, and with `out=` nothing is
        allocated.

        Returns
        -------
        Predictor
            To be called with X and, optionally, `out`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([2, 1])
        >>> network.parameters = [1, 2, 3]
        >>> predictor = network.predictor()
        >>> network.parameters = [0, 0, 0]
        >>> predictor([10, 100]).tolist(), network.predict([10, 100]).tolist()
        ([213.0], [0.0])
        """
        return predictor(self._executor.prediction(self._threads).apart(), self.backend, self._backend_asked)

    def evaluate(self, X: Any, y: Any) -> float:
        """The loss on these samples.

        Parameters
        ----------
        X : array (n_samples, features)
        y : array (n_samples, outputs)
            Or (n_samples,) where there is one output. For categorical cross-entropy: integer labels (n_samples,), or
            rows of probabilities. For losses with several outputs for a target: (n_samples, targets).

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            If X or y is not such an array of finite numbers, or a label or probability is out of range.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]  # 2 x + 1
        >>> network.evaluate([[0], [1]], [0, 0])  # the mean of 1^2 and 3^2
        5.0
        """
        X, y = self._checked(X, y)
        return self._executor.evaluate(X, y)

    def gradient(self, X: Any, y: Any) -> ParameterVector:
        """The gradient of the loss on these samples with respect to the parameters.

        Parameters
        ----------
        X, y
            As in `evaluate`.

        Returns
        -------
        ParameterVector
            In the order of `parameters`; its `layers[i].weights` and `.biases` are views of the parts.

        Raises
        ------
        ValueError, TypeError
            As in `evaluate`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]
        >>> network.gradient([[3]], [0]).tolist()  # 2 (2 * 3 + 1) * 3, 2 (2 * 3 + 1)
        [42.0, 14.0]
        """
        X, y = self._checked(X, y)
        return parameter_vector(self._executor.gradient(X, y)[1], self.layer_sizes)

    def backward(self, X: Any, output_gradient: Any) -> Gradients:
        """Backpropagate a gradient that is given: for objectives that are no function of the table.

        Parameters
        ----------
        X : array (n_samples, features)
        output_gradient : array (n_samples, outputs)
            The derivatives of any objective with respect to the outputs, `predict(X)`.

        Returns
        -------
        Gradients
            `parameters`, the derivatives with respect to the parameters, summed over samples; and `inputs`, those with
            respect to X, (n_samples, features).

        Raises
        ------
        ValueError, TypeError
            If an argument is not such an array of finite numbers.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1])
        >>> network.parameters = [2, 1]
        >>> parameters, inputs = network.backward([[3]], [[1]])
        >>> parameters.tolist(), inputs.tolist()
        ([3.0, 1.0], [[2.0]])
        """
        X = validation.samples(X, self.layer_sizes[0], self.dtype)
        output_gradient = validation.output_gradient(output_gradient, len(X), self._model)
        parameters, inputs = self._executor.backward(X, output_gradient)
        return Gradients(parameter_vector(parameters, self.layer_sizes), inputs)

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        X = validation.samples(X, self.layer_sizes[0], self.dtype)
        return X, validation.targets(y, len(X), self._model)

    # --- training

    def train(
        self,
        X: Any,
        y: Any,
        epochs: int,
        learning_rate: "float | RateSchedule | Callable[[int], float] | None" = None,
        batch_size: int | None = None,
        *,
        optimizer: "str | Optimizer | LBFGS" = "sgd",
        l1: float = 0.0,
        l2: float = 0.0,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        ema_decay: float | None = None,
        rate_factors: Sequence[float] | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        verbose: bool = False,
    ) -> History:
        """Minimize the loss by steps on minibatches.

        The optimizer's state stays with the network: a further call with the same optimizer goes on where this one
        ended.

        Parameters
        ----------
        X, y
            As in `evaluate`. They are read batch by batch where they lie, and never copied whole if they are plain
            arrays of integers or of float32 or float64.
        epochs : int
            How many times to go through all samples.
        learning_rate : float, schedule or callable, default None
            A number; a schedule such as `fastmlp.Cosine(0.1, epochs=50)`; or a function of the epoch's number, from 0
            on, that returns the rate. They count the updates that the optimizer has made, in earlier calls too. None:
            the optimizer's own.
        batch_size : int, default None
            Samples in a step. What remains at the end of an epoch makes a smaller step. None: 32, or all where the
            optimizer wants all.
        optimizer : str, Optimizer or LBFGS, default "sgd"
            "sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "lion", "rprop", "lbfgs",
            or an object such as `fastmlp.Adam(beta1=0.8)`.
        l1, l2 : float, default 0
            Penalties: l1 * |w| + l2 / 2 * w^2, summed over weights, not biases, is minimized beside the loss in every
            step. That is scikit-learn's `alpha` for l2 = alpha / batch_size. Losses are reported without them.
        weight_decay : float, default 0
            Before each step, w -= learning_rate * weight_decay * w for weights, not biases: no part of the gradient.
        clip_value : float, default None
            Bring every derivative to the interval from -clip_value to clip_value.
        clip_norm : float, default None
            Then divide a gradient whose norm, over all parameters, is above this down to it.
        max_norm : float, default None
            After each step, divide the weights of a neuron whose norm is above this down to it.
        ema_decay : float, default None
            Keep a running average of the parameters for `averaged`: after each step it is ema_decay times itself plus
            1 - ema_decay times the parameters. It begins with the parameters before the first step, and goes on in
            later calls.
        rate_factors : sequence of float, default None
            By what the learning rate of each layer is multiplied; 0 freezes a layer.
        shuffle : bool, default True
            Draw a new order of the samples for every epoch.
        seed : int, default None
            Fixes those orders. None: the network's own seed does.
        verbose : bool, default False
            Print a line for every epoch.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If an argument is none of what is allowed; nothing is changed.
        DivergenceError
            A FloatingPointError: training diverged. The parameters are those of the last epoch that ended with a finite
            loss, and the optimizer starts afresh.
        KeyboardInterrupt
            On Ctrl-C. The network stays at the last finished step, ready for use.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, verbose=True)  # doctest: +ELLIPSIS
        Epoch 1/2, loss: ...
        Epoch 2/2, loss: ...
        """
        X, y = self._checked(X, y)
        epochs = validation.positive_integer("epochs", epochs)
        changing = validation.schedule(learning_rate)
        chosen = validation.optimizer(optimizer, learning_rate, changing)
        batch_size = validation.batch_size(batch_size, len(X), chosen)
        wishes = validation.regularization(
            len(self.activations), rate_factors, l1, l2, weight_decay, clip_value, clip_norm, max_norm, ema_decay
        )
        key = self._shuffle_key(validation.seed(seed)) if validation.flag("shuffle", shuffle) else None
        report = training.printer(epochs) if validation.flag("verbose", verbose) else training.silence
        if not isinstance(chosen, Optimizer):
            return self._train_by_lbfgs(X, y, epochs, chosen, validation.penalty_of_lbfgs(wishes), report)
        going_on = self._goes_on(chosen)
        rates = None
        if changing is not None:
            rates = self._course(changing, epochs, -(-len(X) // batch_size), going_on)
        self._adopt(chosen, going_on)
        schedule = Schedule(
            chosen, batch_size, epochs, key, self._epochs, self._updates, regularization=wishes, rates=rates
        )
        return self._train(X, y, schedule, report)

    def _train_by_lbfgs(
        self, X: Array, y: Array, epochs: int, settings: "LBFGS", l2: float, report: training.Report
    ) -> History:  # fmt: skip
        from . import lbfgs

        losses: list[float] = []
        kept = self._parameters.copy()
        penalized = parameter_vector(np.zeros(len(kept)), self.layer_sizes)
        for layer in penalized.layers:
            layer.weights[...] = l2
        loss = [0.0]  # of the last evaluation

        def objective(x: Array) -> tuple[float, Array]:
            with np.errstate(over="ignore"):
                self._parameters[...] = x
            self._executor.changed()
            loss[0], gradient = self._executor.gradient(X, y)
            penalty = np.asarray(penalized) * x
            return loss[0] + float(penalty @ x) / 2, gradient + penalty

        def accept(x: Array) -> None:
            kept[...] = x
            losses.append(loss[0])
            report(len(losses), np.array(losses))

        self._begin_with(None)
        try:
            if not math.isfinite(objective(kept.astype(np.float64))[0]):
                raise FloatingPointError(f"the loss must be finite to begin with optimizer 'lbfgs', got {loss[0]}")
            lbfgs.descend(objective, kept.astype(np.float64), settings, epochs, accept)
        finally:
            self._epochs += len(losses)
            self._parameters[...] = kept
            self._parameters_changed()
        return History(losses)

    def _course(self, changing: "RateSchedule", epochs: int, steps_per_epoch: int, going_on: bool) -> "Course":
        """The learning rates of a training."""
        from .schedules import Course

        changing.check(self._updates if going_on else 0, epochs, steps_per_epoch)
        return Course(changing, steps_per_epoch, self._seen if going_on else None)

    def _train(self, X: Array, y: Array, schedule: Schedule, report: training.Report) -> History:
        average = None
        if schedule.regularization.ema_decay is not None:
            if self._average is None:
                self._average = self._parameters.copy()
            average = self._average
        work = self._executor.training(X, y, self._state, schedule, average)
        # of a step, roughly; 2000 for what it costs however small it is
        operations = 6 * self._model.parameter_count * schedule.batch_size + 2000
        threads = training.threads_for(operations, self._threads)
        pace = None
        if threads > 1:
            pace = training.pace_for(self._model, schedule.batch_size, threads, threading.get_ident())
        try:
            training.run(work, schedule, 2**24 // operations, report, pace)
        except training.DivergenceError as diverged:
            self._parameters_changed()
            self._begin_with(None)
            self._epochs += diverged.epoch
            raise
        finally:
            if self._optimizer is not None:
                if schedule.rates is not None:
                    self._seen = schedule.rates.seen
                self._collect(work)
            work.close()
        return History(work.losses.tolist())

    def _collect(self, work: Training | ReferenceTraining) -> None:
        """Take over what the last finished step left, or the last epoch if an interrupt hid that it diverged."""
        self._epochs += work.steps_done // work.steps_per_epoch
        self._updates += work.steps_done
        if not work.collect():
            self._begin_with(None)
        self._parameters_changed()

    def _adopt(self, optimizer: Optimizer, going_on: bool) -> None:
        """Keep the state, if it is to go on, or begin afresh."""
        if not going_on:
            self._begin_with(optimizer)
        self._optimizer = optimizer

    def _goes_on(self, optimizer: Optimizer) -> bool:
        """Whether it is the same optimizer as before, whatever its learning rate."""
        before = self._optimizer
        if before is None or before is optimizer:  # then there is nothing to compare, which takes its time
            return before is not None
        return dataclasses.replace(before, learning_rate=optimizer.learning_rate) == optimizer

    def _begin_with(self, optimizer: Optimizer | None) -> None:
        self._optimizer = optimizer
        self._updates = 0
        self._seen = None
        self._state = np.zeros((len(optimizer.slots) if optimizer else 0, len(self._parameters)), self.dtype)

    def reset_optimizer(self) -> None:
        """Forget the optimizer's state, its place in a schedule, and the running average of the parameters.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], seed=0)
        >>> history = network.train([[0], [1]], [1, 3], epochs=2, optimizer="adam")
        >>> network.reset_optimizer()
        """
        self._begin_with(None)
        self._average = None

    def averaged(self) -> "NeuralNetwork":
        """A copy of the network that has the running average of the parameters in their place.

        Returns
        -------
        NeuralNetwork
            Untrained, in that it has no optimizer's state.

        Raises
        ------
        ValueError
            If there is none: `train` makes one with `ema_decay`.

        Examples
        --------
        >>> import fastmlp
        >>> network = fastmlp.NeuralNetwork([1, 1], dtype="float64")
        >>> network.parameters = [0, 0]
        >>> history = network.train([[0]], [2], epochs=1, learning_rate=0.25, ema_decay=0.75)
        >>> network.parameters.tolist(), network.averaged().parameters.tolist()
        ([0.0, 1.0], [0.0, 0.25])
        """
        if self._average is None:
            raise ValueError("ema_decay must be given to train before averaged is called, got no average")
        twin = copy.deepcopy(self)
        twin.parameters = self._average
        twin.reset_optimizer()
        return twin

    def _shuffle_key(self, seed: int | None) -> int:
        return shuffle_key(self._entropy if seed is None else seed)

    # --- files and copies

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network with its optimizer's state to a file: a .npz of plain arrays and a JSON header.

        A file that is there already is replaced only when the new one is complete.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        OSError
            If the file cannot be written.
        TypeError
            If an activation or the loss is a function of your own: pickle holds these.

        Examples
        --------
        >>> import fastmlp, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> fastmlp.NeuralNetwork([2, 1]).save(path)
        >>> fastmlp.load(path)
        NeuralNetwork([2, 1], output_activation='identity', loss='mean_squared_error', dtype='float32')
        """
        storage.write(path, *self._to_record())

    def _to_record(self) -> tuple[storage.Header, dict[str, Array]]:
        optimizer = self._optimizer and {"name": self._optimizer.name, **dataclasses.asdict(self._optimizer)}
        header = {
            "layer_sizes": self.layer_sizes,
            "activations": [to_record("activation", activation) for activation in self._model.activations],
            "loss": to_record("loss", self._model.loss), "dtype": self.dtype,
            "seed": self._entropy, "epochs": self._epochs, "updates": self._updates, "optimizer": optimizer,
        }  # fmt: skip
        arrays = {"parameters": self._parameters, "optimizer_state": self._state}
        if self._average is not None:
            arrays["average"] = self._average
        if self._seen is not None:
            header["plateau"] = dataclasses.asdict(self._seen[0]) | {"seen": list(self._seen[1])}
        return header, arrays

    @classmethod
    def _from_record(
        cls, header: storage.Header, arrays: dict[str, Array], backend: str | None = None
    ) -> "NeuralNetwork":
        """Build a network from what `_to_record` gave; every entry is checked."""
        *hidden, output = [from_record(ACTIVATIONS, entry) for entry in header["activations"]]
        loss = from_record(LOSSES, header["loss"])
        model = validation.model(header["layer_sizes"], hidden, output, loss, header["dtype"])
        shape = (model.parameter_count,)
        network = cls.__new__(cls)
        parameters = validation.block("parameters", arrays["parameters"], shape, model.dtype).astype(model.dtype)
        network._assemble(model, parameters, validation.seed(header["seed"]), backend)
        network._epochs = validation.count("epochs", header["epochs"])
        if header["optimizer"] is not None:
            settings = dict(header["optimizer"])
            optimizer = OPTIMIZERS[validation.name_of("optimizer", settings.pop("name"), OPTIMIZERS)](**settings)
            network._optimizer, network._updates = optimizer, validation.count("updates", header["updates"])
            state = validation.state("optimizer_state", arrays["optimizer_state"], (len(optimizer.slots), *shape))
            network._state = state.astype(model.dtype)
        if "average" in arrays:
            average = validation.block("average", arrays["average"], shape, model.dtype)
            network._average = average.astype(model.dtype)
        if header.get("plateau") is not None:
            from .schedules import seen_from_record

            network._seen = seen_from_record(header["plateau"])
        return network

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()  # with the attributes of subclasses
        del state["_backend"], state["_executor"], state["_predictors"]
        state["_parameters"], state["_state"] = self._parameters.copy(), self._state.copy()
        state["_average"] = None if self._average is None else self._average.copy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compute_with(self._backend_asked)


def load(path: str | os.PathLike[str], *, backend: str | None = None) -> NeuralNetwork:
    """Read a network that `NeuralNetwork.save` wrote, with its optimizer's state.

    Parameters
    ----------
    path : str or path
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
        If it is no such file, is damaged, or is of a later version. Nothing in it is executed.

    Examples
    --------
    See `NeuralNetwork.save`.
    """
    find_backend(backend)  # complains of itself, not of the file
    header, arrays = storage.read(path)
    try:
        return NeuralNetwork._from_record(header, arrays, backend)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"path must be a network saved by fastmlp, got {os.fspath(path)!r}: {error}") from None
