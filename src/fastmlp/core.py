"""What a network holds: its model, its parameters, the optimizer's state, and who computes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from . import array_checks, validation
from .history import History
from .kernels.backends import backend as find_backend
from .kernels.functions import name_of
from .kernels.optimizers import Optimizer
from .kernels.plan import Array, Model
from .kernels.threads import most_threads
from .layer import Layer
from .predictor import Predictor
from .vector import ParameterVector, parameter_vector

if TYPE_CHECKING:
    from .resuming import Snapshot
    from .schedules import Seen

# streams of random numbers drawn from a network's seed
WEIGHTS, SHUFFLE, SPLIT, PERMUTATION, CHECK, DISTURBANCE = range(6)


class Core:
    """The part of `NeuralNetwork` that its other parts work on."""

    _optimizer: Optimizer | None  # whose state `_state` is
    _average: Array | None = None  # of the parameters, as they went
    _seen: "Seen" = None  # by a schedule, of losses
    _threads: int | None
    _watched = False  # callbacks are looking at a training

    def _assemble(self, model: Model, parameters: Array, entropy: Any, backend: str | None) -> None:
        self._model, self._parameters, self._entropy = model, parameters, entropy
        self._compute_with(backend)
        self._threads = None
        most_threads()  # lets threadpoolctl know of them; complains of a wrong FASTMLP_NUM_THREADS
        self._epochs = 0  # trained so far: the order of an epoch's samples depends on its number
        self._history: History | None = None  # of the last training
        self._at: int | None = None  # the epoch of it at which the network is, if not the last
        self._best: Snapshot | None = None  # what it was to go back to in the end, when it was interrupted
        self._begin_with(None)

    def _compute_with(self, backend: str | None) -> None:
        self._backend_asked, self._backend = backend, find_backend(backend)
        self._executor = self._backend.executor(self._model, self._parameters)
        self._predictors: list[Predictor] = []  # of the parameters as they are, once it has been asked for

    def _begin_with(self, optimizer: Optimizer | None) -> None:
        self._optimizer = optimizer
        self._updates = 0
        self._seen = None
        self._state = np.zeros((len(optimizer.slots) if optimizer else 0, len(self._parameters)), self.dtype)

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
    def history(self) -> History | None:
        return self._history

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(Layer(self, index) for index in range(len(self.activations)))

    @property
    def parameters(self) -> ParameterVector:
        vector = parameter_vector(self._parameters.copy(), self._model)
        vector.flags.writeable = False
        return vector

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._parameters[...] = array_checks.parameters(value, self._model)
        self._parameters_changed()

    def _live(self) -> ParameterVector:
        return parameter_vector(self._parameters, self._model)

    def _parameters_changed(self) -> None:
        self._executor.changed()
        self._predictors = []  # another list: what a thread is just making of the old ones goes into the old list

    def _stream(self, stream: int) -> "np.random.SeedSequence":
        return np.random.SeedSequence(self._entropy, spawn_key=(stream,))
