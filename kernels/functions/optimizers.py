"""Optimizers as users know them: a class for each, with its settings; their formulas are in `optimizer_formulas.py`."""

import math
from dataclasses import fields
from typing import ClassVar

from ..base.errors import require
from ..base.records import frozen
from ..base.settings import ABOVE_ONE, FLAG, FRACTION, INNER_FRACTION, NOT_NEGATIVE, POSITIVE, RULES, Settings, setting
from .optimizer_formulas import FORMULAS, Formula

UP_TO_ONE = "from 0 to 1"
RULES[UP_TO_ONE] = lambda v: 0 <= v <= 1


@frozen
class Optimizer(Settings):
    """What all optimizers share."""

    name: ClassVar[str]
    variants: ClassVar[dict[str, str]] = {}  # formulas that other settings than the defaults lead to, and when
    full_batch: ClassVar[bool] = False  # whether all samples must be in one batch
    learning_rate: float

    @property
    def formula(self) -> Formula:
        """How it updates."""
        return FORMULAS[self.name]

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of its state, a tuple of vectors like the parameters."""
        return self.formula.slots

    def settings(self) -> list[float]:
        """The numbers that the formula takes, the learning rate first, without those that are prepared."""
        return [float(getattr(self, f.name)) for f in fields(self)]


def log(beta: float) -> float:
    return math.log(beta) if beta > 0 else -math.inf


@frozen
class SGD(Optimizer):
    """Gradient descent on minibatches: w -= learning_rate * gradient, or with momentum.

    With momentum, v = momentum * v + gradient, and w -= learning_rate * v; with Nesterov's,
    w -= learning_rate * (gradient + momentum * v). This is PyTorch's definition, in which the rate multiplies v.

    Parameters
    ----------
    learning_rate : float, default 0.01
    momentum : float, default 0
        How much of the last step goes into the next one; at least 0 and below 1.
    nesterov : bool, default False
        Look ahead: needs a momentum above 0.

    Raises
    ------
    ValueError
        If a setting is none of what is allowed.

    References
    ----------
    B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. I. Sutskever, J. Martens, G.
    Dahl, G. Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    name = "sgd"
    variants: ClassVar[dict[str, str]] = {"momentum": "momentum > 0 and not nesterov", "nesterov": "nesterov"}
    learning_rate: float = setting(0.01, POSITIVE)
    momentum: float = setting(0.0, FRACTION)
    nesterov: bool = setting(False, FLAG)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.momentum > 0 or not self.nesterov, "momentum", "above 0 with nesterov=True", self.momentum)

    @property
    def formula(self) -> Formula:
        if self.momentum == 0:
            return FORMULAS["sgd"]
        return FORMULAS["nesterov" if self.nesterov else "momentum"]


@frozen
class Adam(Optimizer):
    """Adaptive moment estimation.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2 : float, default 0.9 and 0.999
        How slowly the running means of the gradient and of its square forget; at least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the root of the second moment.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adam(beta1=0.8)
    Adam(learning_rate=0.001, beta1=0.8, beta2=0.999, epsilon=1e-08)
    """

    name = "adam"
    learning_rate: float = setting(0.001, POSITIVE)
    beta1: float = setting(0.9, FRACTION)
    beta2: float = setting(0.999, FRACTION)
    epsilon: float = setting(1e-8, POSITIVE)

    def settings(self) -> list[float]:
        return [*super().settings(), log(self.beta1), log(self.beta2)]


@frozen
class AdamW(Adam):
    """Adam with decoupled weight decay: before each step, w -= learning_rate * weight_decay * w.

    As in the paper and in PyTorch, all parameters decay, biases too. To spare biases, use `Adam` and the argument
    `weight_decay` of `NeuralNetwork.train`.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2, epsilon : float, default 0.9, 0.999 and 1e-8
        As for `Adam`.
    weight_decay : float, default 0.01

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2; as in PyTorch, the decay
    is multiplied by the learning rate.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.AdamW(weight_decay=0.1)
    AdamW(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    name = "adamw"
    weight_decay: float = setting(0.01, NOT_NEGATIVE)


@frozen
class NAdam(Optimizer):
    """Adam with Nesterov's momentum, which grows in the course of training.

    Parameters
    ----------
    learning_rate : float, default 0.002
    beta1, beta2, epsilon : float, default 0.9, 0.999 and 1e-8
        As for `Adam`.
    momentum_decay : float, default 0.004
        The momentum of update t is beta1 * (1 - 0.5 * 0.96^(t * momentum_decay)).

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.NAdam()
    NAdam(learning_rate=0.002, beta1=0.9, beta2=0.999, epsilon=1e-08, momentum_decay=0.004)
    """

    name = "nadam"
    learning_rate: float = setting(0.002, POSITIVE)
    beta1: float = setting(0.9, FRACTION)
    beta2: float = setting(0.999, FRACTION)
    epsilon: float = setting(1e-8, POSITIVE)
    momentum_decay: float = setting(0.004, NOT_NEGATIVE)

    def settings(self) -> list[float]:
        return [*super().settings(), self.momentum_decay * math.log(0.96)]


@frozen
class RAdam(Optimizer):
    """Adam whose first steps are of plain momentum, until the second moment has seen enough to be divided by.

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta1, beta2, epsilon : float, default 0.9, 0.999 and 1e-8
        As for `Adam`; epsilon is added to the root of the second moment before that is corrected, as in PyTorch.

    References
    ----------
    L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, algorithm 2; as in PyTorch,
    steps are rectified from a length of the average above 5, not 4.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.RAdam()
    RAdam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """

    name = "radam"
    learning_rate: float = setting(0.001, POSITIVE)
    beta1: float = setting(0.9, FRACTION)
    beta2: float = setting(0.999, FRACTION)
    epsilon: float = setting(1e-8, POSITIVE)


@frozen
class RMSprop(Optimizer):
    """The gradient over the root of a running mean of its square.

    Parameters
    ----------
    learning_rate : float, default 0.01
    alpha : float, default 0.99
        How slowly the mean forgets; at least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the root, as in PyTorch.
    momentum : float, default 0
        v = momentum * v + gradient / root is then the step; at least 0 and below 1.

    References
    ----------
    T. Tieleman, G. Hinton, Neural networks for machine learning, lecture 6.5, 2012.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.RMSprop(momentum=0.9)
    RMSprop(learning_rate=0.01, alpha=0.99, epsilon=1e-08, momentum=0.9)
    """

    name = "rmsprop"
    variants: ClassVar[dict[str, str]] = {"rmsprop_momentum": "momentum > 0"}
    learning_rate: float = setting(0.01, POSITIVE)
    alpha: float = setting(0.99, FRACTION)
    epsilon: float = setting(1e-8, POSITIVE)
    momentum: float = setting(0.0, FRACTION)

    @property
    def formula(self) -> Formula:
        return FORMULAS["rmsprop_momentum" if self.momentum > 0 else "rmsprop"]


@frozen
class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares so far.

    Parameters
    ----------
    learning_rate : float, default 0.01
    epsilon : float, default 1e-10
        Added to the root.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 2011, with a diagonal matrix.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adagrad()
    Adagrad(learning_rate=0.01, epsilon=1e-10)
    """

    name = "adagrad"
    learning_rate: float = setting(0.01, POSITIVE)
    epsilon: float = setting(1e-10, POSITIVE)


@frozen
class Adadelta(Optimizer):
    """Steps as large as those before, relative to the gradients before.

    Parameters
    ----------
    learning_rate : float, default 1
        The paper has none, that is 1.
    rho : float, default 0.9
        How slowly the running means of squares forget; at least 0 and below 1.
    epsilon : float, default 1e-6
        Added to both means, below the root.

    References
    ----------
    M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Adadelta(rho=0.95)
    Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-06)
    """

    name = "adadelta"
    learning_rate: float = setting(1.0, POSITIVE)
    rho: float = setting(0.9, FRACTION)
    epsilon: float = setting(1e-6, POSITIVE)


@frozen
class Lion(Optimizer):
    """The sign of a mean of gradients: every parameter moves by the learning rate, or not at all where that is zero.

    Parameters
    ----------
    learning_rate : float, default 0.0001
    beta1 : float, default 0.9
        What the running mean weighs beside the gradient in the sign; at least 0 and below 1.
    beta2 : float, default 0.99
        How slowly the running mean forgets; at least 0 and below 1.
    weight_decay : float, default 0
        Of all parameters, as for `AdamW`.

    References
    ----------
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Lion()
    Lion(learning_rate=0.0001, beta1=0.9, beta2=0.99, weight_decay=0.0)
    """

    name = "lion"
    learning_rate: float = setting(0.0001, POSITIVE)
    beta1: float = setting(0.9, FRACTION)
    beta2: float = setting(0.99, FRACTION)
    weight_decay: float = setting(0.0, NOT_NEGATIVE)


@frozen
class Rprop(Optimizer):
    """Steps that grow while the gradient keeps its sign and shrink when it turns. For all samples in one batch.

    Parameters
    ----------
    learning_rate : float, default 0.01
        The length of the first step; what it is later changes nothing.
    shrink, grow : float, default 0.5 and 1.2
        What a step is multiplied by; above 0 and below 1, and above 1.
    smallest, largest : float, default 1e-6 and 50
        Between these a step stays.

    Raises
    ------
    ValueError
        If a setting is none of what is allowed.

    References
    ----------
    M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993.
    Where the gradient turns there is no step (the variant iRprop- of C. Igel and M. Hüsken, 2000), as in PyTorch.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.Rprop()
    Rprop(learning_rate=0.01, shrink=0.5, grow=1.2, smallest=1e-06, largest=50.0)
    """

    name = "rprop"
    full_batch = True
    learning_rate: float = setting(0.01, POSITIVE)
    shrink: float = setting(0.5, INNER_FRACTION)
    grow: float = setting(1.2, ABOVE_ONE)
    smallest: float = setting(1e-6, POSITIVE)
    largest: float = setting(50.0, POSITIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.largest >= self.smallest, "largest", f"at least smallest, {self.smallest:g}", self.largest)


# --- as scikit-learn has them, for its users: not to be asked for by name


@frozen
class ClassicalSGD(Optimizer):
    """Momentum that keeps its speed when the rate changes; without momentum it is `SGD`."""

    name = "classical_sgd"
    variants: ClassVar[dict[str, str]] = {"classical_momentum": "not nesterov", "classical_nesterov": "nesterov"}
    learning_rate: float = setting(0.001, POSITIVE)
    momentum: float = setting(0.9, UP_TO_ONE)
    nesterov: bool = setting(True, FLAG)

    @property
    def formula(self) -> Formula:
        if self.momentum == 0:
            return FORMULAS["sgd"]
        return FORMULAS["classical_nesterov" if self.nesterov else "classical_momentum"]


@frozen
class AdamCorrectedByRate(Adam):
    """Adam whose epsilon is added to the root of the second moment before that is corrected."""

    name = "adam_corrected_by_rate"


OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, NAdam, RAdam, RMSprop, Adagrad, Adadelta, Lion, Rprop)
}
"""Those that are asked for by name."""

KNOWN_OPTIMIZERS = OPTIMIZERS | {optimizer.name: optimizer for optimizer in (ClassicalSGD, AdamCorrectedByRate)}
"""Those that files may name."""
