"""What both estimators share: a fit from data to attributes, and predictions from these.

What is fitted are plain attributes, arrays and builtins, which may be pickled, shown and changed. The network that
computes is made of them when it is needed, kept for the next time, and left out of copies.
"""

from copy import deepcopy
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..checks import validation
from ..checks.sparse import sparse_rows
from ..kernels.base.arrays import Array
from ..kernels.base.errors import shortened
from ..kernels.base.settings import FROM_0, ruled
from ..kernels.functions.function import name_of
from ..kernels.runtime.plan import Model
from ..kernels.runtime.sparse_rows import Samples
from ..network.network import NeuralNetwork
from ..training.checksums import checksum
from ..training.schedules import seen_from_record, seen_to_record
from . import parameters, private, quasi_newton, steps
from .best import begin_records, measured_on
from .callbacks import CallbackSupportMixin, FitCallbacks, fit_callbacks
from .fitted import (
    NO_PROGRESS,
    checked_layers,
    checked_output,
    checked_progress,
    flat,
    layers_of,
    optimizer_from_record,
    optimizer_to_record,
)
from .held_out import HeldOut, Others, Score
from .refusals import named, require_penalty, require_same, require_weight
from .targets import Target
from .threads import threads_of
from .twins import Twin

SEEDS = 2**31 - 1


class BaseMLP(CallbackSupportMixin, private.Names, BaseEstimator):  # type: ignore[misc]
    """Everything but what targets mean."""

    coefs_: list[Array]
    intercepts_: list[Array]
    t_: int
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _network_kept: tuple[Any, Any, Any] | None  # what it was made for, the network, and views of its parameters
    _fitted_loss: Any  # as fastmlp calls it
    _progress: dict[str, Any]  # what goes on in `partial_fit`: epochs, updates, the optimizer's vectors, the seed

    # --- what the two estimators say

    def _checked_target(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Target, Any]:
        """X, what to train on, and the labels or numbers that were given."""
        raise NotImplementedError

    def _score_of(self) -> Score:
        """How predictions are measured."""
        raise NotImplementedError

    def _meet_classes(self, y: Any, classes: Any) -> None:
        """Learn in the first call of `partial_fit` what classes there are."""

    def _checked_others(self, y: Any, argument: str) -> Any:
        """Labels or numbers of validation data, of as many outputs as those to train on."""
        raise NotImplementedError

    def _target(self, y: Any) -> Target:
        """What labels or numbers mean to kernels."""
        raise NotImplementedError

    def _class_weights(self, y: Any, incremental: bool) -> Array | None:
        """Weights of the samples' classes."""
        return None

    # --- fitting

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        others: Others | None = None,
        incremental: bool = False,
        classes: Any = None,
    ) -> Self:
        """Have a copy fitted, and become what it is then."""
        twin = Twin(self)
        callbacks = twin.copy._learn(twin, X, y, sample_weight, others, incremental, classes)
        twin.take_over()
        if callbacks is not None:
            callbacks.end()
        return self

    def _learn(
        self,
        twin: Twin,
        X: Any,
        y: Any,
        sample_weight: Any,
        others: Others | None,
        incremental: bool,
        classes: Any,
    ) -> FitCallbacks | None:
        hidden, by_steps = self._hidden_sizes(), parameters.is_by_steps(self.solver)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it is one epoch")
        if others is not None and not by_steps:
            raise ValueError(f"{others.first_name} must be None for solver 'lbfgs', which does not stop by them")
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        given = X, y, {} if sample_weight is None else {"sample_weight": sample_weight}
        if incremental:
            self._meet_classes(y, classes)
        X, target, y = self._checked_target(X, y, incremental, reset=first)
        weights = self._weights(X, y, sample_weight, incremental)
        random = check_random_state(self.random_state)
        if first:
            self._initialize(self._checked_model([X.shape[1], *hidden], target, X.dtype), random)
        else:
            self._check_that_it_goes_on(target)
            self._progress = checked_progress(vars(self).get("_progress", {}))
            self.t_ = ruled("t_", self.t_, FROM_0)
        if not by_steps:
            parameters.refuse_what_is_for_steps(self)
        self._fitted_loss = target.loss
        parameters.disturbance(self, len(self.coefs_) - 1)
        held_out = self._validation(others, target) if others is not None else None
        if by_steps and self.early_stopping and held_out is None:
            X, target, weights, held_out = self._split(X, target, weights, random)
        if weights is not None:
            argument = "class_weight" if sample_weight is None else "sample_weight"
            require_penalty(argument, self.alpha, float(weights.mean() if by_steps else weights.sum()))
        size = steps.batch_size(self, X.shape[0]) if by_steps else None
        network = self._network()
        network.threads = threads_of(self)
        rows, measured = samples(X), None
        if by_steps:
            if self.warm_start and not incremental:
                measured = measured_on(self, network, rows, target, weights, held_out)
            begin_records(self, first, held_out is not None, measured, incremental)
        epochs = self.max_iter if by_steps else 1
        callbacks = None if incremental else fit_callbacks(twin.estimator, epochs, *given, changes=twin.changes)
        twin.take("_network_kept")
        if size is not None:
            well = steps.descend(self, network, rows, target, weights, size, random, held_out, callbacks, incremental)
        else:
            well = quasi_newton.minimize(self, network, rows, target, weights, callbacks)
        if not well:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed, or learning_rate_init is too large; the estimator is as it was."
            )
        self._take_over(network)
        if measured is not None:
            self._progress["measured"] = measured | {"weights": checksum(network._parameters)}
        return callbacks

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        chosen = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if not all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in chosen):
            raise TypeError(f"hidden_layer_sizes must be an integer or a sequence of integers, got {shortened(sizes)}")
        if any(size <= 0 for size in chosen):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {chosen}")
        return chosen

    def _weights(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool = False, argument: str = "sample_weight"
    ) -> Array | None:  # fmt: skip
        of_classes = self._class_weights(y, incremental)
        if sample_weight is None and of_classes is None:
            return None
        with named(argument, "sample_weight"):
            weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        require_weight(argument, weights)
        if of_classes is not None:
            weights = weights * of_classes
            require_weight("class_weight", weights)
        return weights

    def _check_that_it_goes_on(self, target: Target) -> None:
        """The network is there, and has its outputs and their activation."""
        if self.n_outputs_ != target.outputs:
            raise ValueError(f"y must be of {self.n_outputs_} outputs as before, got {target.outputs}")
        if parameters.out_activation(target.loss) != self.out_activation_:
            rule = f"one with output activation {self.out_activation_!r} as before"
            raise ValueError(f"loss must be {rule}, got {self.loss!r}")

    def _checked_model(self, sizes: list[int], target: Target, dtype: Any) -> Model:
        """What is to be fitted, before anything is changed."""
        hidden = parameters.hidden_activations(self.activation)
        if self.dtype is not None:
            dtype = self.dtype
        elif not parameters.is_by_steps(self.solver):
            dtype = "float64"  # its tolerances are below the noise of float32
        return validation.model([*sizes, target.outputs], hidden, None, target.loss, dtype)

    def _initialize(self, model: Model, random: Any) -> None:
        """First weights and biases are drawn as scikit-learn draws them."""
        self.n_iter_, self.t_ = 0, 0
        self.n_layers_, self.n_outputs_ = len(model.sizes), model.sizes[-1]
        *hidden, _ = map(name_of, model.activations)
        self.out_activation_ = parameters.out_activation(model.loss)
        self.coefs_, self.intercepts_ = [], []
        names = [*hidden, hidden[-1] if hidden else self.activation]  # the last layer as the one before
        for (inputs, outputs), name in zip(pairwise(model.sizes), names, strict=True):
            bound = np.sqrt((2.0 if name in ("sigmoid", "logistic") else 6.0) / (inputs + outputs))
            self.coefs_.append(random.uniform(-bound, bound, (inputs, outputs)).astype(model.dtype, copy=False))
            self.intercepts_.append(random.uniform(-bound, bound, outputs).astype(model.dtype, copy=False))
        self._progress = dict(NO_PROGRESS)
        self.__dict__.pop("_rate", None)
        self._network_kept = None

    def _split(
        self, X: Any, target: Target, weights: Array | None, random: Any
    ) -> tuple[Any, Target, Array | None, HeldOut]:  # fmt: skip
        """Hold samples out, as scikit-learn does: a binary target in proportion."""
        arrays = [X, target.values] if weights is None else [X, target.values, weights]
        parts = train_test_split(
            *arrays, random_state=random, test_size=self.validation_fraction, stratify=target.strata
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small: a larger validation_fraction or more samples would make it larger"
            )
        X, held_X, y, held_y = parts[:4]
        kept, held = (None, None) if weights is None else parts[4:]
        if kept is not None and held is not None and not (kept.any() and held.any()):
            raise ValueError("sample_weight must be above 0 for some samples that are held out, and for some others")
        return X, target.of(y), kept, HeldOut(samples(held_X), held_y, held, self._score_of())

    def _validation(self, others: Others, target: Target) -> HeldOut:
        with named(others.X_name, "X"):
            X = self._checked_samples(others.X)
        with named(others.y_name, "y"):
            y = self._checked_others(others.y, others.y_name)
        require_same(others, X, y, target.values)
        weights = self._weights(X, y, others.weights, argument=others.weights_name)
        return HeldOut(samples(X), self._target(y).values, weights, self._score_of())

    # --- attributes and the network

    def _network(self) -> Any:
        """A network with the weights that there are now, whoever has assigned them."""
        fitted = self.__dict__  # the same all along, whatever a fit in another thread assigns meanwhile
        coefs, intercepts = checked_layers(fitted)
        loss = checked_output(fitted)
        self._check_classes()
        sizes = (coefs[0].shape[0], *(coef.shape[1] for coef in coefs))
        hidden = parameters.hidden_activations(self.activation)
        dtype = "float32" if coefs[0].dtype == np.float32 else "float64"
        asked = (sizes, tuple(hidden) if isinstance(hidden, list) else hidden, loss, dtype)
        kept = fitted.get("_network_kept")
        if kept is None or kept[0] != asked:
            network = NeuralNetwork.__new__(NeuralNetwork)
            model: Model = validation.model(sizes, hidden, None, loss, dtype)
            network._assemble(model, flat(coefs, intercepts, dtype), 0, None)
            self._go_on(network)
            views = [[np.asarray(part) for part in parts] for parts in zip(*network._live().layers, strict=True)]
            fitted["_network_kept"] = asked, network, views
            return network
        _, network, views = kept
        if not all(map(np.array_equal, chain(*views), chain(coefs, intercepts))):
            network._parameters[...] = flat(coefs, intercepts, dtype)
            network._parameters_changed()
        return network

    def _check_classes(self) -> None:
        """Refuse attributes of classes that do not fit the outputs."""

    def _seed_of_dropout(self, random: Any) -> int:
        """Drawn once, for all the epochs that follow, and from a copy: scikit-learn would draw no such thing."""
        if "seed" not in self._progress:
            self._progress["seed"] = int(deepcopy(random).randint(SEEDS))
        seed: int = self._progress["seed"]
        return seed

    def _go_on(self, network: Any) -> None:
        """Bring a new network to where the training was."""
        progress = checked_progress(vars(self).get("_progress", {}))
        state = network._state._replace(epochs=progress["epochs"])
        optimizer, slots = optimizer_from_record(progress["optimizer"]), progress["slots"]
        shape = (len(optimizer.slots) if optimizer is not None else 0, len(network._parameters))
        if slots is not None and slots.shape == shape:
            seen = progress["plateau"] and seen_from_record(progress["plateau"])
            slots = np.array(slots, network.dtype)
            state = state._replace(optimizer=optimizer, slots=slots, updates=progress["updates"], seen=seen)
        network._state = state

    def _take_over(self, network: Any) -> None:
        """Keep what training has left."""
        self.__dict__.update(layers_of(network, network._parameters.copy()))
        optimizer, slots, epochs, updates, seen, _ = network._state
        self._progress |= {
            "epochs": epochs, "updates": updates, "plateau": None if seen is None else seen_to_record(seen),
            "slots": slots.copy(), "optimizer": optimizer_to_record(optimizer),
        }  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_network_kept", None)
        return state

    # --- predicting

    def _checked_samples(self, X: Any) -> Any:
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _outputs(self, X: Any, check_input: bool = True) -> Array:
        """Of the last layer, (n, outputs)."""
        if check_input:
            X = self._checked_samples(X)
        network = self._network()
        if network.threads != (threads := threads_of(self)):
            network.threads = threads
        outputs: Array = network.predict(X.tocsr() if hasattr(X, "tocsr") else X)
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def samples(X: Any) -> Samples:
    """As kernels take them."""
    return sparse_rows(X.tocsr(), X.shape[1]) if hasattr(X, "tocsr") else X
