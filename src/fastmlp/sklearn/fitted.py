"""Fitted attributes, which anybody may have changed, as arrays that fit each other: networks are made of no others."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ..checks import array_checks, validation
from ..kernels.base.arrays import Array
from ..kernels.base.errors import require, shortened
from ..kernels.base.settings import FROM_0, FROM_1, ruled
from ..kernels.functions.function import Function
from ..kernels.functions.losses import LOSSES
from ..kernels.functions.optimizers import KNOWN_OPTIMIZERS, Optimizer
from ..kernels.runtime.folding import parts_of_layers
from . import parameters

NO_PROGRESS: dict[str, Any] = {"epochs": 0, "updates": 0, "slots": None, "optimizer": None, "plateau": None}


def checked_layers(fitted: dict[str, Any]) -> tuple[list[Array], list[Array]]:
    """Weights and biases of all layers, of an estimator's attributes.

    Raises
    ------
    ValueError, TypeError
        Naming the attribute that does not fit the others.
    """
    layers, inputs, outputs = (
        ruled(name, fitted.get(name), FROM_1) for name in ("n_layers_", "n_features_in_", "n_outputs_")
    )
    require(layers > 1, "n_layers_", "2 or more", layers)
    coefs = _arrays("coefs_", fitted.get("coefs_"), layers - 1)
    intercepts = _arrays("intercepts_", fitted.get("intercepts_"), layers - 1)
    for l, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        neurons = coef.shape[-1] if coef.ndim == 2 and l < layers - 2 else outputs
        if coef.shape != (inputs, neurons) or neurons == 0:
            shape = f"({inputs}, {outputs if l == layers - 2 else 'n_neurons'})"
            raise ValueError(f"coefs_[{l}] must be of shape {shape}, as other attributes say, got {coef.shape}")
        if intercept.shape != (neurons,):
            raise ValueError(f"intercepts_[{l}] must be of shape ({neurons},), as coefs_[{l}], got {intercept.shape}")
        inputs = neurons
    return coefs, intercepts


def _arrays(name: str, value: Any, count: int) -> list[Array]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{name} must be a list of arrays, got {shortened(value)}")
    arrays = list(value)
    require(len(arrays) == count, name, f"a list of {count} arrays, one for each layer", f"{len(arrays)} arrays")
    if all(type(one) is np.ndarray and one.dtype.kind == "f" for one in arrays):
        return arrays
    return [array_checks.numbers(f"{name}[{l}]", one) for l, one in enumerate(arrays)]


def checked_output(fitted: dict[str, Any]) -> Any:
    """The loss of the fit, whose output activation is that of the network."""
    loss: Any = fitted.get("_fitted_loss")
    known = isinstance(loss, Function) or (isinstance(loss, str) and loss in LOSSES)
    require(known, "_fitted_loss", "a known loss", loss)
    wanted = parameters.out_activation(loss)
    require(fitted.get("out_activation_") == wanted, "out_activation_", f"{wanted!r}", fitted.get("out_activation_"))
    return loss


def flat(coefs: list[Array], intercepts: list[Array], dtype: str) -> Array:
    """All of them as a canonical vector."""
    for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
        for l, array in enumerate(arrays):
            array_checks.require_finite(f"{name}[{l}]", array, dtype)
    parts = [part.ravel() for pair in zip(coefs, intercepts, strict=True) for part in pair]
    return np.concatenate(parts).astype(dtype, copy=False)


def layers_of(network: Any, vector: Array) -> dict[str, Any]:
    """The attributes of a canonical vector: views of it."""
    coefs, intercepts = zip(*parts_of_layers(network.layer_sizes, (), vector), strict=True)
    return {"coefs_": list(coefs), "intercepts_": list(intercepts)}


def checked_progress(progress: Any) -> dict[str, Any]:
    """Where the training was, which pickles bring along."""
    if not isinstance(progress, dict):
        raise TypeError(f"_progress must be a dict, got {shortened(progress)}")
    checked: dict[str, Any] = NO_PROGRESS | progress
    for name in ("epochs", "updates", *(["seed"] if "seed" in checked else [])):
        checked[name] = ruled(f"_progress[{name!r}]", checked[name], FROM_0)
    if checked["slots"] is not None:
        slots = array_checks.numbers("_progress['slots']", checked["slots"])
        require(slots.ndim == 2, "_progress['slots']", "the optimizer's vectors, of two dimensions", slots.shape)
    return checked


def optimizer_to_record(optimizer: Optimizer | None) -> dict[str, Any] | None:
    """As builtins, for pickles."""
    return None if optimizer is None else {"name": optimizer.name, **asdict(optimizer)}


def optimizer_from_record(record: Any) -> Optimizer | None:
    """What `optimizer_to_record` was given."""
    if record is None:
        return None
    settings = dict(record)
    name = settings.pop("name", None)
    return KNOWN_OPTIMIZERS[validation.name_of("_progress['optimizer']", name, KNOWN_OPTIMIZERS)](**settings)
