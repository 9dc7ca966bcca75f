"""Initial parameters. A new row is a function of (generator, inputs, outputs) and a line of the table at the end."""

from __future__ import annotations  # naming numpy.random would import it

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..base.arrays import Array
from ..base.records import Record, frozen

if TYPE_CHECKING:
    from numpy.random import Generator


def normal(variance: Callable[[int, int], float], generator: Generator, inputs: int, outputs: int) -> Array:
    return generator.normal(0.0, np.sqrt(variance(inputs, outputs)), (inputs, outputs))


def uniform(variance: Callable[[int, int], float], generator: Generator, inputs: int, outputs: int) -> Array:
    limit = np.sqrt(3.0 * variance(inputs, outputs))  # between -limit and limit the variance is limit^2 / 3
    return generator.uniform(-limit, limit, (inputs, outputs))


def he(inputs: int, outputs: int) -> float:
    return 2.0 / inputs


def glorot(inputs: int, outputs: int) -> float:
    return 2.0 / (inputs + outputs)


def lecun(inputs: int, outputs: int) -> float:
    return 1.0 / inputs


def orthogonal(generator: Generator, inputs: int, outputs: int) -> Array:
    # the signs make Q uniform over orthogonal matrices: F. Mezzadri, "How to generate random matrices from the
    # classical compact groups", Notices of the AMS 54, 2007
    Q, R = np.linalg.qr(generator.normal(size=(max(inputs, outputs), min(inputs, outputs))))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return Q if inputs >= outputs else Q.T


def zeros(generator: Generator, inputs: int, outputs: int) -> Array:
    return np.zeros((inputs, outputs))


@frozen
class Initializer(Record):
    """A row of the table."""

    name: str
    weights: Callable[[Generator, int, int], Array]
    variance: str  # of a weight, for people
    source: str = ""
    biases: Callable[[Generator, int], Array] | None = None  # None: zeros


_HE = 'K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015: keeps the variance through ReLU'
_GLOROT = (
    'X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010'
)
_LECUN = (
    'Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient backprop", 1998, equation 16: keeps the variance of sums'
)
_ORTHOGONAL = (
    'A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural '
    'networks", ICLR 2014'
)

INITIALIZERS = {
    initializer.name: initializer
    for initializer in (
        Initializer("he_normal", partial(normal, he), "2 / inputs", _HE),
        Initializer("he_uniform", partial(uniform, he), "2 / inputs", _HE),
        Initializer("glorot_normal", partial(normal, glorot), "2 / (inputs + outputs)", _GLOROT),
        Initializer("glorot_uniform", partial(uniform, glorot), "2 / (inputs + outputs)", _GLOROT),
        Initializer("lecun_normal", partial(normal, lecun), "1 / inputs", _LECUN),
        Initializer("lecun_uniform", partial(uniform, lecun), "1 / inputs", _LECUN),
        Initializer("orthogonal", orthogonal, "1 / max(inputs, outputs)", _ORTHOGONAL),
        Initializer("zeros", zeros, "0"),
        # those of introductions that write networks by hand
        Initializer(
            "standard_normal",
            partial(normal, lambda inputs, outputs: 1.0),
            "1",
            biases=lambda generator, outputs: generator.normal(size=outputs),
        ),
        Initializer("small_normal", partial(normal, lambda inputs, outputs: 0.01**2), "0.0001"),
    )
}
