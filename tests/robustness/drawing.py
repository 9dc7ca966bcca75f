"""Networks, data and trainings, drawn from the tables: a new row is drawn by itself.

`draw` is a NumPy Generator everywhere.
"""

from dataclasses import fields

import numpy as np
from cases import outputs_for, outputs_per_target, targets_of

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.base import settings as rules
from fastmlp.kernels.functions.activations import ACTIVATIONS
from fastmlp.kernels.functions.initializers import INITIALIZERS
from fastmlp.kernels.functions.losses import LOSSES
from fastmlp.kernels.functions.normalization import BY_BATCH, BY_SAMPLE, NORMALIZATIONS, kind_of
from fastmlp.kernels.functions.optimizers import OPTIMIZERS
from fastmlp.training.metrics import suited_metrics
from fastmlp.training.schedules import GROWTH, RateSchedule

HIDDEN = [row for row in ACTIVATIONS.values() if not row.rowwise]
PUBLIC_LOSSES = [row for row in LOSSES.values() if row.public]
SCHEDULES = [
    value
    for value in (getattr(fastmlp, name) for name in fastmlp.__all__)
    if isinstance(value, type) and issubclass(value, RateSchedule)
]
VALUES = {  # of settings, by the rule that they keep
    rules.POSITIVE: lambda draw: float(np.exp(draw.normal() - 1)),
    rules.NOT_NEGATIVE: lambda draw: float(draw.choice([0.0, np.exp(draw.normal())])),
    rules.FRACTION: lambda draw: float(draw.uniform(0, 0.95)),
    rules.INNER_FRACTION: lambda draw: float(draw.uniform(0.05, 0.95)),
    rules.ABOVE_ONE: lambda draw: 1 + float(np.exp(draw.normal())),
    rules.SHARE: lambda draw: float(draw.uniform(0.05, 1)),
    rules.FLAG: lambda draw: bool(draw.integers(2)),
    rules.FROM_1: lambda draw: int(draw.integers(1, 20)),
    rules.FROM_0: lambda draw: int(draw.integers(20)),
    GROWTH: lambda draw: float(draw.uniform(1, 3)),
}


def shown(options):
    """Arguments for a message: arrays by their shape."""
    return {name: f"array {value.shape}" if isinstance(value, np.ndarray) else value for name, value in options.items()}


def chance(draw, probability):
    return draw.random() < probability


def pick(draw, values):
    """One of them, as it is: `choice` would make an array of them."""
    values = list(values)
    return values[draw.integers(len(values))]


def with_settings(draw, cls, **chosen):
    """An object of the class, some of whose settings are drawn; the defaults if these do not go together."""
    for f in fields(cls):
        rule = f.metadata.get("rule")
        if rule in VALUES and f.name not in chosen and chance(draw, 0.5):
            chosen[f.name] = VALUES[rule](draw)
    try:
        return cls(**chosen)
    except ValueError:
        return cls()


def function(draw, row):
    """The row by its name, or with settings if it has some."""
    return with_settings(draw, row.settings) if row.settings and chance(draw, 0.5) else row.name


def width(draw, widest):
    return int(pick(draw, [draw.integers(1, 9), draw.integers(1, 1 + widest)]))


def architecture(draw, widest=70, deepest=6, **options):
    """The arguments of a network of 1 to 6 layers."""
    row = options.pop("row", None) or pick(draw, PUBLIC_LOSSES)
    loss = function(draw, row)
    sizes = [width(draw, widest) for _ in range(1 + draw.integers(1, 1 + deepest))]
    if chance(draw, 0.03) and widest > 60:
        sizes[draw.integers(len(sizes))] = 300
    each = outputs_per_target(loss)
    sizes[-1] = each * max(-(-sizes[-1] // each), 2 if row.targets == "classes" else 1)
    hidden = len(sizes) - 2
    made = {
        "layer_sizes": sizes,
        "activation": [function(draw, pick(draw, HIDDEN)) for _ in range(hidden)],
        "output_activation": function(draw, ACTIVATIONS[pick(draw, outputs_for(row))]),
        "loss": loss,
        "dtype": pick(draw, ["float32", "float64"]),
        "seed": int(draw.integers(2**32)),
    }
    if chance(draw, 0.4):
        kinds = [None, *NORMALIZATIONS.values()]
        made["normalization"] = [(kind := pick(draw, kinds)) and function(draw, kind) for _ in range(hidden)]
    if chance(draw, 0.4):
        made["initializer"] = [pick(draw, INITIALIZERS) for _ in range(hidden + 1)]
    return made | options


def by_batches(network):
    return any(kind_of(one) == BY_BATCH for one in network._model.normalizations)


def normalizes_one(network):
    """Whether a layer of one neuron is normalized by itself: what is 0 is rounding, divided by the root of epsilon."""
    kinds = zip(network._model.normalizations, network.layer_sizes[1:], strict=False)
    return any(kind_of(one) == BY_SAMPLE and neurons == 1 for one, neurons in kinds)


def network_of(architecture, draw, **options):
    """A network whose biases and running averages are not those of the beginning either."""
    network = NeuralNetwork(**architecture | options)
    network.parameters = np.asarray(network.parameters) + draw.normal(0, 0.05, len(network.parameters)).astype("f4")
    for layer in network.layers:
        if layer.running_variances is not None:
            layer.running_variances = draw.uniform(0.5, 2, len(layer.biases)).astype("f4")
    return network


def samples(draw, count, features):
    """Features as numbers, and the same in a form that must make no difference."""
    kind = pick(draw, ["f2", "f4", "f8", "i1", "u1", "i4", "i8", "?", ">f4"])
    if np.dtype(kind).kind == "f":
        plain = draw.normal(size=(count, features)).astype(kind)
    else:
        plain = draw.integers(0, 2 if kind == "?" else 4, size=(count, features)).astype(kind)
    plain[draw.random(plain.shape) < pick(draw, [0, 0, 0.3, 0.9])] = 0
    form = pick(draw, ["plain", "plain", "rows", "columns", "Fortran", "backwards", "lists", "csr"])
    if form == "csr" and plain.dtype.isnative and kind != "f2":
        from scipy import sparse

        return plain.astype("f8"), pick(draw, [sparse.csr_array, sparse.csr_matrix])(plain)
    forms = {
        "rows": lambda: np.repeat(plain, 3, axis=0)[::3],
        "columns": lambda: np.repeat(plain, 2, axis=1)[:, ::2],
        "Fortran": lambda: np.asfortranarray(plain),
        "backwards": lambda: plain[::-1, ::-1].copy()[::-1, ::-1],
        "lists": plain.tolist,
    }
    return plain.astype("f8"), forms.get(form, lambda: plain)()


def is_sparse(X):
    return hasattr(X, "tocsr")


def targets(draw, network, count):
    y = targets_of(network._model.loss, draw, count, network.layer_sizes[-1])
    return y.astype(network.dtype) if y.dtype.kind == "f" else y


def rate(draw):
    """A learning rate: a number, a schedule or a function of the epoch."""
    value = float(10 ** draw.uniform(-4, -1.3))
    if chance(draw, 0.6):
        return value
    cls = pick(draw, [None, *SCHEDULES])
    if cls is None:
        return lambda epoch: value / (1 + epoch)
    first = fields(cls)[0].name  # the rate, or what follows
    return with_settings(draw, cls, **{first: value})


def optimizer(draw, allowed=(*OPTIMIZERS, "lbfgs")):
    name = pick(draw, allowed)
    return with_settings(draw, OPTIMIZERS[name]) if name != "lbfgs" and chance(draw, 0.5) else name


def training(draw, network, count, sparse=False):
    """Arguments of `train` beside the samples and the number of epochs; some do not go together."""
    chosen = optimizer(draw)
    name = getattr(chosen, "name", chosen)
    options = {"optimizer": chosen, "shuffle": bool(draw.integers(2))}
    if name == "lbfgs":
        return options | ({"l2": 0.01} if chance(draw, 0.5) else {})
    if not OPTIMIZERS[name].full_batch:
        options["batch_size"] = int(pick(draw, [draw.integers(1, count + 4), draw.integers(1, 9)]))
        if by_batches(network):
            while count % min(options["batch_size"], count) == 1 % min(options["batch_size"], count):
                options["batch_size"] += 1
                if options["batch_size"] > count:
                    break
    if chance(draw, 0.8):
        options["learning_rate"] = rate(draw)
    layers = len(network.layers)
    wishes = {
        "l1": lambda: 0.01 * draw.random(),
        "l2": lambda: 0.01 * draw.random(),
        "weight_decay": lambda: 0.1 * draw.random(),
        "clip_value": lambda: float(np.exp(draw.normal() - 2)),
        "clip_norm": lambda: float(np.exp(draw.normal())),
        "max_norm": lambda: float(np.exp(draw.normal())),
        "ema_decay": draw.random,
        "rate_factors": lambda: [float(pick(draw, [0, 0.5, 1, 2])) for _ in range(layers)],
        "dropout": lambda: [0.6 * draw.random() for _ in range(layers - 1)],
        "gradient_norms": lambda: True,
    }
    if not sparse:
        wishes |= {"input_dropout": lambda: 0.6 * draw.random(), "input_noise": draw.random}
    options |= {name: value() for name, value in wishes.items() if chance(draw, 0.15)}
    if chance(draw, 0.3):
        options["sample_weight"] = draw.choice([0.0, 0.5, 1.0, 3.0], size=count)
        options["sample_weight"][draw.integers(count)] = 1.0
    if chance(draw, 0.2):
        options["metrics"] = [lambda y, outputs: float(outputs.sum()), *suited_metrics(network._model.loss)]
    return options


def watched(draw, network):
    """Arguments of `train` that say what is measured and when it ends."""
    options = {}
    if chance(draw, 0.4):
        options["validation_fraction"] = 0.3
    if chance(draw, 0.4):
        options |= {"patience": int(draw.integers(0, 3)) or None, "restore_best": bool(draw.integers(2))}
    return options
