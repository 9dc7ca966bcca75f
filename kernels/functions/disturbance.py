"""What disturbs a training at random; `disturbed.py` does it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.errors import require
from ..base.records import frozen
from ..base.settings import FRACTION, NOT_NEGATIVE, RULES, Settings, setting, to_float


@frozen
class Disturbance(Settings):
    """Arguments of `NeuralNetwork.train`, where they are explained."""

    input_noise: float = setting(0.0, NOT_NEGATIVE)
    input_dropout: float = setting(0.0, FRACTION)
    dropout: tuple[float, ...] = ()  # one for each hidden layer; empty: none


UNDISTURBED = Disturbance()


def drops(probability: float) -> int:
    """As kernels count it: of 2^32."""
    return int(probability * 2**32)


def probabilities(value: Any, hidden: int) -> tuple[float, ...]:
    """The check of `dropout`; empty where all are 0."""
    rule = f"a number at least 0 and below 1, or {hidden} of them, one for each hidden layer"
    many = (isinstance(value, np.ndarray) and value.ndim > 0) or isinstance(value, Sequence)
    if many and not isinstance(value, str | bytes):
        numbers = [to_float(v) for v in value]
        require(len(numbers) == hidden, "dropout", rule, value)
    else:
        numbers = [to_float(value)]
        require(hidden > 0 or numbers == [0.0], "dropout", "0 for a network without hidden layers", value)
        numbers *= hidden
    fit = [v for v in numbers if v is not None and RULES[FRACTION](v)]
    require(len(fit) == len(numbers), "dropout", rule, value)
    return tuple(fit) if any(fit) else ()
