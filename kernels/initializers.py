"""Initial weights. A new one is a function of (generator, inputs, outputs) and a row of the table at the end."""

from __future__ import annotations  # naming numpy.random would import it

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .plan import Array

if TYPE_CHECKING:
    from numpy.random import Generator


def he_normal(generator: Generator, inputs: int, outputs: int) -> Array:
    # K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015: keeps the variance through ReLU
    return generator.normal(0.0, np.sqrt(2.0 / inputs), (inputs, outputs))


def glorot_uniform(generator: Generator, inputs: int, outputs: int) -> Array:
    # X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010
    limit = np.sqrt(6.0 / (inputs + outputs))
    return generator.uniform(-limit, limit, (inputs, outputs))


INITIALIZERS: dict[str, Callable[[Generator, int, int], Array]] = {
    "he_normal": he_normal,
    "glorot_uniform": glorot_uniform,
}
