"""Multilayer perceptrons on CPUs: the classes that introductions to neural networks write by hand, compiled."""

from typing import TYPE_CHECKING, Any

from .config import show_config
from .kernels.compiler.custom import Activation, Loss
from .kernels.functions.normalization import BatchNormalization, LayerNormalization
from .kernels.functions.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop
from .kernels.functions.variants import (
    ELU,
    CategoricalCrossEntropy,
    CategoricalFocal,
    Focal,
    Huber,
    LeakyReLU,
    Quantile,
)
from .network.layer import Layer, Neuron
from .network.network import NeuralNetwork, load
from .network.predictor import Predictor
from .training.history import History
from .training.loop import DivergenceError
from .vector import ParameterVector

if TYPE_CHECKING:
    from . import plot as plot
    from . import sklearn as sklearn
    from .training.callbacks import Checkpoint, ProgressBar, TrainingProgress
    from .training.lbfgs import LBFGS
    from .training.schedules import (
        Cosine,
        ExponentialDecay,
        InverseScaling,
        OneCycle,
        ReduceOnPlateau,
        StepDecay,
        WarmUp,
    )

__all__ = [
    "ELU",
    "LBFGS",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "BatchNormalization",
    "CategoricalCrossEntropy",
    "CategoricalFocal",
    "Checkpoint",
    "Cosine",
    "DivergenceError",
    "ExponentialDecay",
    "Focal",
    "History",
    "Huber",
    "InverseScaling",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Lion",
    "Loss",
    "NAdam",
    "NeuralNetwork",
    "Neuron",
    "OneCycle",
    "ParameterVector",
    "Predictor",
    "ProgressBar",
    "Quantile",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "Rprop",
    "StepDecay",
    "TrainingProgress",
    "WarmUp",
    "load",
    "show_config",
]


_LATER = {"LBFGS": "training.lbfgs"}  # modules that take their time, and that many do without
_SCHEDULES = "Cosine", "ExponentialDecay", "InverseScaling", "OneCycle", "ReduceOnPlateau", "StepDecay", "WarmUp"
_LATER |= dict.fromkeys(_SCHEDULES, "training.schedules")
_LATER |= dict.fromkeys(("Checkpoint", "ProgressBar", "TrainingProgress"), "training.callbacks")
_PACKAGES = "plot", "sklearn"  # which need Matplotlib and scikit-learn


def __getattr__(name: str) -> Any:
    if name in _LATER or name in _PACKAGES:
        from importlib import import_module

        module = import_module(f".{_LATER.get(name, name)}", __name__)
        return getattr(module, name) if name in _LATER else module
    if name == "__version__":  # on demand: reading metadata takes as long as all else here
        from importlib.metadata import version

        return version("fastmlp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_LATER]
