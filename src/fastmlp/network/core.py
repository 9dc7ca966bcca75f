"""What a network holds: its model, its parameters, the optimizer's state, and who computes."""

from collections.abc import Callable
from functools import wraps
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from ..checks import array_checks, validation
from ..kernels.backends.choice import backend as find_backend
from ..kernels.base.arrays import Array
from ..kernels.functions.function import name_of
from ..kernels.runtime.executor import Executor
from ..kernels.runtime.limits import most_threads
from ..kernels.runtime.plan import Model
from ..training.history import History
from ..training.state import Snapshot, TrainingState, untrained
from ..vector import ParameterVector, parameter_vector
from .layer import Layer
from .predictor import Predictor

if TYPE_CHECKING:
    from ..kernels.backends.reference import ReferenceExecutor

Method = TypeVar("Method", bound=Callable[..., Any])


def alone(method: Method) -> Method:
    """A method that nobody else may call for the same network until it has ended, as it trains or forgets."""

    @wraps(method)
    def call(self: "Core", *arguments: Any, **named: Any) -> Any:
        if self._turn.locked():
            raise RuntimeError(
                f"{method.__name__} must not be called by callbacks or chunks of the same network's training, nor by "
                "another thread meanwhile"
            )
        with self._turn:
            self._trainer, self._assignable = get_ident(), False
            if self._unsettled is not None:
                self._unsettled()
            return method(self, *arguments, **named)

    return cast(Method, call)


class Core:
    """The part of `NeuralNetwork` that its other parts work on.

    A signal's handler may raise an exception between any two lines of Python, as Ctrl-C does. So what belongs together
    changes in one step (`_become`); and what takes several has been noted before, to be done again by whoever uses the
    network next (`_unsettled`). A `with` statement on a lock of Python's own cannot be parted.
    """

    _state: TrainingState
    _threads: int | None
    _trainer = 0  # the thread that trains, while one does
    _assignable = False  # by that thread: what it assigns to parameters is trained on
    _unsettled: Callable[[], None] | None = None  # what an interrupt has left to be done; again does no harm

    def _assemble(self, model: Model, parameters: Array, entropy: Any, backend: str | None) -> None:
        self._model, self._parameters, self._entropy = model, parameters, entropy
        self._state = untrained(parameters)
        self._compute_with(backend)
        self._threads = None
        most_threads()  # lets threadpoolctl know of them; complains of a wrong FASTMLP_NUM_THREADS
        self._history: History | None = None  # of the last training
        self._at: int | None = None  # the epoch of it at which the network is, if not the last
        self._best: Snapshot | None = None  # what it was to go back to in the end, when it was interrupted

    def _compute_with(self, backend: str | None) -> None:
        self._backend_asked, self._backend = backend, find_backend(backend)
        self._computer = self._backend.executor(self._model, self._parameters)
        self._predictors: list[Predictor] = []  # of the parameters as they are, once it has been asked for
        self._turn = Lock()  # held as long as a training lasts

    def _become(self, **attributes: Any) -> None:
        """Change attributes in one step."""
        vars(self).update(attributes)

    def _publish(self, history: History, best: "Snapshot | None") -> None:
        """Show the history of a training that goes on, and whose last epoch has been collected."""
        self._become(_history=history, _at=history.epochs, _best=best)

    def _owe(self, rest: Callable[[], None]) -> None:
        """Note what has to be done from here on until the network is whole; nobody predicts by what was before."""
        self._become(_unsettled=rest, _predictors=[])

    @property
    def _watched(self) -> bool:
        """Whether it is being trained."""
        return self._turn.locked()

    def _settle(self) -> None:
        """Do what an interrupt has left to be done. While the network is being trained, the training does it."""
        if self._unsettled is not None and not self._watched:
            with self._turn:
                if self._unsettled is not None:
                    self._unsettled()

    @property
    def _executor(self) -> "Executor | ReferenceExecutor":
        self._settle()
        return self._computer

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
        self._settle()
        return self._history

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(Layer(self, index) for index in range(len(self.activations)))

    @property
    def parameters(self) -> ParameterVector:
        with self._executor.lock:
            copy = self._parameters.copy()
        vector = parameter_vector(copy, self._model)
        vector.flags.writeable = False
        return vector

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._assign("parameters", self._parameters, array_checks.parameters(value, self._model))

    def _assign(self, name: str, place: Array, values: Any) -> None:
        """Write to a part of the parameters: while the network is being trained, only where that goes on from them."""
        executor = self._executor
        if self._watched and not (self._assignable and self._trainer == get_ident()):
            raise RuntimeError(f"{name} must not be assigned while the network is being trained, but by its callbacks")
        with executor.lock:
            self._parameters_changed()  # before and after: an interrupt may come in between
            place[...] = values
            self._parameters_changed()

    def _live(self) -> ParameterVector:
        self._settle()
        return parameter_vector(self._parameters, self._model)

    def _parameters_changed(self) -> None:
        self._computer.changed()
        self._predictors = []  # another list: what a thread is just making of the old ones goes into the old list

    def _stream(self, stream: int) -> "np.random.SeedSequence":
        return np.random.SeedSequence(self._entropy, spawn_key=(stream,))
