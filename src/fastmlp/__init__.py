"""Multilayer perceptrons on CPUs: the classes that introductions to neural networks write by hand, compiled."""

from typing import Any

from .config import show_config
from .history import History
from .kernels.activations import ELU, LeakyReLU
from .kernels.custom import Activation, Loss
from .kernels.losses import CategoricalCrossEntropy, Focal, Huber, Quantile
from .kernels.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop
from .layer import Layer, Neuron
from .lbfgs import LBFGS
from .network import NeuralNetwork, load
from .predictor import Predictor
from .schedules import Cosine, ExponentialDecay, InverseScaling, OneCycle, ReduceOnPlateau, StepDecay, WarmUp
from .training import DivergenceError
from .vector import ParameterVector

__all__ = [
    "ELU",
    "LBFGS",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "CategoricalCrossEntropy",
    "Cosine",
    "DivergenceError",
    "ExponentialDecay",
    "Focal",
    "History",
    "Huber",
    "InverseScaling",
    "Layer",
    "LeakyReLU",
    "Lion",
    "Loss",
    "NAdam",
    "NeuralNetwork",
    "Neuron",
    "OneCycle",
    "ParameterVector",
    "Predictor",
    "Quantile",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "Rprop",
    "StepDecay",
    "WarmUp",
    "load",
    "show_config",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # on demand: reading metadata takes as long as all else here
        from importlib.metadata import version

        return version("fastmlp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
