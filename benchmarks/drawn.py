"""Jobs drawn at random: what is tuned to those of the tables shows here."""

from itertools import cycle, islice

import numpy as np
from workloads import BINARY, CATEGORICAL, MSE, Row, Workload

OUTPUTS = {MSE: (1, 1, 2, 5), BINARY: (1,), CATEGORICAL: (2, 3, 10, 40)}
ACTIVATIONS = ("relu", "tanh", "sigmoid")
DTYPES = ("float32", "float32", "float64")
BATCHES = (1, 5, 16, 32, 64, 100, 256, 1000)
PREDICTED = (1, 1, 10, 100, 2000, 20_000)
WORK = 3e8  # multiplications of a training, forward: some hundredths of a second in all
MOST_NUMBERS = 1 << 25  # of samples


def drawn(seed: int, count: int = 24) -> list[Row]:
    """Two trainings, a prediction, and so on."""
    generator = np.random.default_rng(seed)
    return [draw(generator, kind) for kind in islice(cycle(("training", "training", "prediction")), count)]


def draw(generator: np.random.Generator, kind: str) -> Row:
    """One to four hidden layers, 3 to 400 wide, and up to 800 features: small ones are as likely as large ones."""
    loss = str(generator.choice(list(OUTPUTS)))
    hidden = np.exp(generator.uniform(np.log(3), np.log(400), generator.integers(1, 5)))
    features = np.exp(generator.uniform(0, np.log(800)))
    sizes = (round(features), *(round(width) for width in hidden), int(generator.choice(OUTPUTS[loss])))
    activation, dtype = str(generator.choice(ACTIVATIONS)), str(generator.choice(DTYPES))
    if kind == "prediction":
        return Row(kind, Workload(sizes, activation, loss, int(generator.choice(PREDICTED)), dtype=dtype))
    batch, optimizer = int(generator.choice(BATCHES)), str(generator.choice(["sgd", "adam"]))
    parameters = sum(inputs * outputs for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True))
    steps = min(20_000, max(10, round(WORK / (parameters * batch))))
    in_epoch = max(1, min(steps, MOST_NUMBERS // (batch * sizes[0])))
    samples, epochs = in_epoch * batch, -(-steps // in_epoch)
    return Row(kind, Workload(sizes, activation, loss, samples, batch, epochs, optimizer, dtype=dtype))
