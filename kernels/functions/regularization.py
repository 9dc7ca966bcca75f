"""What a training asks for beside the optimizer's steps; `regularized.py` does it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.errors import require
from ..base.records import frozen
from ..base.settings import NOT_NEGATIVE, POSITIVE, RULES, Settings, setting, to_float

OPTIONAL = f"None or {POSITIVE}"
DECAY = "None or above 0 and below 1"
RULES[OPTIONAL], RULES[DECAY] = RULES[POSITIVE], lambda v: 0 < v < 1


@frozen
class Regularization(Settings):
    """Arguments of `NeuralNetwork.train`, where they are explained."""

    l1: float = setting(0.0, NOT_NEGATIVE)
    l2: float = setting(0.0, NOT_NEGATIVE)
    weight_decay: float = setting(0.0, NOT_NEGATIVE)
    clip_value: float | None = setting(None, OPTIONAL)
    clip_norm: float | None = setting(None, OPTIONAL)
    max_norm: float | None = setting(None, OPTIONAL)
    ema_decay: float | None = setting(None, DECAY)
    rate_factors: tuple[float, ...] | None = None  # one for each layer; 0: frozen
    gradient_norms: bool = False  # whether the mean norm of each epoch's gradients is wanted
    alpha: float = setting(0.0, NOT_NEGATIVE)  # l2 of the sum of a batch's losses, not of their mean; told in the loss

    @property
    def needs_norm(self) -> bool:
        return self.clip_norm is not None or self.gradient_norms

    def factor(self, layer: int) -> float:
        return 1.0 if self.rate_factors is None else self.rate_factors[layer]


NOTHING = Regularization()


def factors(value: Any, layers: int) -> tuple[float, ...] | None:
    """The check of `rate_factors`; None where all are 1."""
    rule = f"None or {layers} finite numbers from 0 on, one for each layer, not all of them 0"
    many = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
    numbers = [to_float(v) for v in value] if many else []
    fit = [v for v in numbers if v is not None and 0 <= v < math.inf]
    require(len(fit) == len(numbers) == layers and any(fit), "rate_factors", rule, value)
    return None if set(fit) == {1.0} else tuple(fit)
