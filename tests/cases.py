"""Networks with data, drawn from a seed: what tests of whole networks work on."""

from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise

import numpy as np
import oracle

from fastmlp import NeuralNetwork
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.function import numbers_of, row_of
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.optimizers import OPTIMIZERS, SGD, AdamCorrectedByRate, ClassicalSGD, RMSprop
from fastmlp.kernels.functions.variants import (
    ELU,
    CategoricalCrossEntropy,
    CategoricalFocal,
    Focal,
    Huber,
    LeakyReLU,
    Quantile,
)
from fastmlp.kernels.runtime.plan import Model

HIDDEN = [name for name, row in ACTIVATIONS.items() if not row.rowwise]


def outputs_for(row):
    """The output activations that a loss allows."""
    if row.on_logits:
        return [row.output_activation]
    return list(ACTIVATIONS) if row.allowed is None else [row.output_activation, *row.allowed]


ALL_OUTPUTS = [  # (output activation, loss): all that are allowed
    (activation, name) for name, row in LOSSES.items() if row.public for activation in outputs_for(row)
]
OUTPUTS = [  # without most of those that differ in nothing but what has been tested apart
    (activation, name)
    for activation, name in ALL_OUTPUTS
    if LOSSES[name].allowed is not None
    or LOSSES[name].on_logits
    or name == "mean_squared_error"
    or activation in ("identity", "sigmoid", "gelu")
]
HIDDEN_WITH_SETTINGS = [LeakyReLU(0.2), ELU(0.5)]
LOSSES_WITH_SETTINGS = [
    Huber(0.4),
    Quantile([0.3, 0.8]),
    CategoricalCrossEntropy(0.1),
    Focal(1.5, 0.4),
    CategoricalFocal(0.5),
]
PAIRINGS = [  # (hidden activation, output activation, loss): every hidden one, every output with every loss it may feed
    *((hidden, "identity", "mean_squared_error") for hidden in [*HIDDEN, *HIDDEN_WITH_SETTINGS]),
    *(("tanh", output, loss) for output, loss in OUTPUTS if (output, loss) != ("identity", "mean_squared_error")),
    *(("sigmoid", LOSSES[loss.name].output_activation, loss) for loss in LOSSES_WITH_SETTINGS),
]


@dataclass
class Case:
    model: Model
    parameters: np.ndarray
    X: np.ndarray
    y: np.ndarray  # integer labels where the loss takes classes

    @property
    def rows_of_y(self):
        return oracle.one_hot(self.y, self.model.sizes[-1]) if self.y.ndim == 1 else self.y

    def executor(self, backend):
        return backend.executor(self.model, self.parameters.copy())

    def state(self, optimizer):
        return np.zeros((len(optimizer.slots), len(self.parameters)), self.model.dtype)

    @property
    def formulas(self):
        """The arguments that functions of the oracle begin with."""
        return self.model.sizes, self.model.activations

    def far_from_kinks(self, margin):
        """The case without the samples of which a weighted sum is nearer than this to a kink of its activation."""
        zs, _ = oracle.weighted_sums(*self.formulas, self.parameters, self.X)
        far = np.ones(len(self.X), bool)
        for z, name in zip(zs, self.model.activations, strict=True):
            for kink in oracle.activation(name).kinks:
                far &= (abs(z - kink) > margin).all(axis=1)
        outputs = oracle.predict(*self.formulas, self.parameters, self.X)
        far &= (oracle.loss_of(self.model.loss).distance(outputs, self.rows_of_y) > margin).all(axis=1)
        return Case(self.model, self.parameters, self.X[far], self.y[far])


def case(sizes, hidden, output, loss, dtype, samples, seed=0, decided=False):
    """Weights are such that weighted sums are of order 1 in every layer; a loss may want another output or two.

    decided: weights so small, and biases so large, that a unit is on one side of its activation's kink for all
    samples, and stays there during a short training.
    """
    sizes = [*sizes[:-1], -(-sizes[-1] // outputs_per_target(loss)) * outputs_per_target(loss)]
    activations = (*(hidden if isinstance(hidden, tuple) else (hidden,) * (len(sizes) - 2)), output)
    generator = np.random.default_rng(seed)
    layers = []
    for inputs, outputs, name in zip(sizes, sizes[1:], activations, strict=False):
        weights = generator.normal(size=(inputs, outputs)) / np.sqrt(inputs)
        biases = generator.normal(size=outputs) / 4
        if name == "exponential":  # else they would grow from layer to layer
            weights = weights / 4
        kinks = oracle.activation(name).kinks
        if decided and kinks:
            between = [kinks[0] - 1, *((a + b) / 2 for a, b in pairwise(kinks)), kinks[-1] + 1]
            weights, biases = weights / 8, generator.choice(between, size=outputs)
        layers.append((weights, biases))
    X = generator.normal(size=(samples, sizes[0])).clip(-3, 3)
    y = targets_of(loss, generator, samples, sizes[-1])
    return Case(Model(tuple(sizes), activations, loss, dtype), oracle.join(layers).astype(dtype), X.astype(dtype), y)


def outputs_per_target(loss):
    return row_of(LOSSES, loss).outputs_per_target(numbers_of(LOSSES, loss))


def targets_of(loss, generator, samples, outputs):
    """Such as the loss takes: labels where these are classes."""
    kind, shape = row_of(LOSSES, loss).targets, (samples, outputs // outputs_per_target(loss))
    if kind == "classes":
        return generator.integers(outputs, size=samples)
    if kind == "probabilities":
        return generator.integers(2, size=shape).astype(float)
    if kind == "signs":
        return generator.choice([-1.0, 1.0], size=shape)
    if kind == "non-negative":
        return generator.integers(4, size=shape).astype(float)
    y = generator.normal(size=shape)
    return np.exp(y) if kind == "positive" else y


def network_of(sizes, hidden="tanh", output=None, loss="mean_squared_error", **options):
    """A network whose biases are not zero either."""
    network = NeuralNetwork(sizes, hidden, output, loss, **{"seed": 1, **options})
    network.parameters = network.parameters + np.random.default_rng(2).normal(0, 0.1, len(network.parameters))
    return network


def rows_in_batches(samples, batch_size, epochs):
    batches = [list(range(i, min(i + batch_size, samples))) for i in range(0, samples, batch_size)]
    return batches * epochs


def stepper(optimizer):
    """The oracle's function for an optimizer, with its settings."""
    settings = {field.name: getattr(optimizer, field.name) for field in fields(optimizer)}
    return partial(oracle.OPTIMIZERS[optimizer.name], **settings)


VARIANTS = [  # those of which settings choose the formula
    partial(SGD, momentum=0.75),
    partial(SGD, momentum=0.75, nesterov=True),
    partial(RMSprop, momentum=0.75),
    partial(ClassicalSGD, momentum=0.75, nesterov=False),
    partial(ClassicalSGD, momentum=0.75),
    partial(AdamCorrectedByRate),
]
BY_SIGN = ("lion", "rprop")  # a gradient's sign, where it is zero but for rounding, makes a whole step


def optimizers(**settings):
    """Each optimizer of the table and their variants, with those of these settings that it has."""
    known = [*((row, {field.name for field in fields(row)}) for row in OPTIMIZERS.values())]
    known += [(row, {field.name for field in fields(row.func)} - set(row.keywords)) for row in VARIANTS]
    return [row(**{name: value for name, value in settings.items() if name in names}) for row, names in known]


def smooth_optimizers(**settings):
    """Those that turn small differences between gradients into small differences between steps."""
    return [optimizer for optimizer in optimizers(**settings) if optimizer.name not in BY_SIGN]
