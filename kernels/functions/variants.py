"""Activations and losses of the tables with other settings than the defaults."""

from typing import Any

import numpy as np

from ..base.errors import require
from ..base.records import frozen
from ..base.settings import FRACTION, INNER_FRACTION, NOT_NEGATIVE, POSITIVE, RULES, setting, to_float
from .function import Variant

# --- activations


@frozen
class LeakyReLU(Variant):
    """The activation "leaky_relu": z above 0, and negative_slope * z below.

    Parameters
    ----------
    negative_slope : float, default 0.01
        Above 0. The derivative at 0, too.

    References
    ----------
    A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.NeuralNetwork([2, 8, 1], activation=fastmlp.LeakyReLU(0.2)).activations
    ('leaky_relu', 'identity')
    """

    name = "leaky_relu"
    negative_slope: float = setting(0.01, POSITIVE)


@frozen
class ELU(Variant):
    """The activation "elu": z above 0, and alpha * (e^z - 1) below.

    Parameters
    ----------
    alpha : float, default 1.0
        Above 0. The derivative at 0, too.

    References
    ----------
    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units",
    ICLR 2016.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.NeuralNetwork([2, 8, 1], activation=fastmlp.ELU(alpha=0.5)).activations
    ('elu', 'identity')
    """

    name = "elu"
    alpha: float = setting(1.0, POSITIVE)


# --- losses


@frozen
class Huber(Variant):
    """The loss "huber": d^2 / 2 where d = |a - y| is at most delta, and delta * (d - delta / 2) beyond.

    Parameters
    ----------
    delta : float, default 1.0
        Above 0.

    References
    ----------
    P. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([1, 1], loss=fastmlp.Huber(delta=2))
    >>> network.parameters = [0, 0]
    >>> network.evaluate([[1], [1]], [1, 5])  # the mean of 1 / 2 and 2 * (5 - 1)
    4.25
    """

    name = "huber"
    delta: float = setting(1.0, POSITIVE)


@frozen
class Quantile(Variant):
    """The loss "quantile", also called pinball loss: outputs become quantiles of the targets.

    With d = y - a, it is q * d for d above 0 and (q - 1) * d below, in the mean over samples and outputs. A network has
    one output for each target and quantile: those of the first target in the order of `quantiles`, then those of the
    second, and so on.

    Parameters
    ----------
    quantiles : float, sequence or array of float, default (0.1, 0.5, 0.9)
        Each between 0 and 1.

    References
    ----------
    R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([1, 2], loss=fastmlp.Quantile([0.25, 0.75]))
    >>> network.parameters = [0, 0, 1, 3]
    >>> network.evaluate([[0]], [2])  # (0.25 * (2 - 1) + (0.75 - 1) * (2 - 3)) / 2
    0.25
    """

    name = "quantile"
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)

    def __post_init__(self) -> None:
        given: Any = self.quantiles.tolist() if isinstance(self.quantiles, np.ndarray) else self.quantiles
        levels = tuple(map(to_float, given)) if isinstance(given, list | tuple) else (to_float(given),)
        inner = RULES[INNER_FRACTION]
        right = len(levels) > 0 and all(level is not None and inner(level) for level in levels)
        require(right, "quantiles", "a number between 0 and 1, or one or more of them", self.quantiles)
        object.__setattr__(self, "quantiles", levels)

    def numbers(self) -> list[float]:
        return [len(self.quantiles), *self.quantiles]


@frozen
class CategoricalCrossEntropy(Variant):
    """The loss "categorical_cross_entropy", with targets that are smoothed.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        At least 0 and below 1. This part of each target is shared out among all classes evenly.

    References
    ----------
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the inception architecture for computer
    vision", CVPR 2016.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([4, 3], loss=fastmlp.CategoricalCrossEntropy(label_smoothing=0.1))
    >>> network.loss, network.activations
    ('categorical_cross_entropy', ('softmax',))
    """

    name = "categorical_cross_entropy"
    label_smoothing: float = setting(0.0, FRACTION)


@frozen
class Focal(Variant):
    """The loss "focal": binary cross-entropy in which examples that are right already count less.

    For an output a and a target y of 0 or 1, or between, it is the mean over samples and outputs of
    -alpha y (1 - a)^gamma log(a) - (1 - alpha) (1 - y) a^gamma log(1 - a). Each output is a yes-or-no question of its
    own.

    Parameters
    ----------
    gamma : float, default 2.0
        From 0 on: how much less.
    alpha : float, default 0.25
        Between 0 and 1: the weight of targets of 1; that of targets of 0 is 1 - alpha.

    References
    ----------
    T. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.NeuralNetwork([4, 1], loss=fastmlp.Focal(gamma=1)).activations
    ('sigmoid',)
    """

    name = "focal"
    gamma: float = setting(2.0, NOT_NEGATIVE)
    alpha: float = setting(0.25, INNER_FRACTION)


@frozen
class CategoricalFocal(Variant):
    """The loss "categorical_focal": categorical cross-entropy in which samples that are right already count less.

    For the outputs a_j and a target of labels, or rows of probabilities y_j, it is the mean over samples of
    -sum_j y_j (1 - a_j)^gamma log(a_j). For weights of classes, the paper's alpha, `train` has `class_weight`.

    Parameters
    ----------
    gamma : float, default 2.0
        From 0 on: how much less. 0 is cross-entropy.

    References
    ----------
    T. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> import fastmlp
    >>> network = fastmlp.NeuralNetwork([4, 3], loss=fastmlp.CategoricalFocal(gamma=1))
    >>> network.loss, network.activations
    ('categorical_focal', ('softmax',))
    """

    name = "categorical_focal"
    gamma: float = setting(2.0, NOT_NEGATIVE)
