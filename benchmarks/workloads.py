"""What the benchmarks time: the one table that compare.py, steps.py and the asv suites read. Data are random."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

MSE, BINARY, CATEGORICAL = "mean_squared_error", "binary_cross_entropy", "categorical_cross_entropy"
OUTPUT_ACTIVATIONS = {MSE: "identity", BINARY: "sigmoid", CATEGORICAL: "softmax"}
SPOKEN = {
    MSE: "squared error", BINARY: "binary cross-entropy", CATEGORICAL: "cross-entropy", "sgd": "SGD", "adam": "Adam",
}  # fmt: skip
LEARNING_RATES = {"sgd": 0.01, "adam": 0.001}
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


@dataclass(frozen=True)
class Workload:
    """A network with its data and how it is trained. `epochs` are those of one call."""

    layer_sizes: tuple[int, ...]
    activation: str = "relu"
    loss: str = MSE
    samples: int = 1
    batch_size: int = 1
    epochs: int = 1
    optimizer: str = "sgd"
    output: str | None = None  # the activation of the last layer, unless it is the loss's own
    dtype: str = "float32"
    shuffle: bool = False

    @property
    def shape(self) -> str:
        """As "784-128-10"; equal sizes in succession as "16 x 10"."""
        runs = [(size, len(list(run))) for size, run in groupby(self.layer_sizes)]
        return "-".join(f"{size} x {n}" if n > 3 else "-".join([str(size)] * n) for size, n in runs)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of the weights."""
        return list(zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True))

    @property
    def activations(self) -> list[str]:
        return [self.activation] * (len(self.layer_sizes) - 2) + [self.output or OUTPUT_ACTIVATIONS[self.loss]]

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATES[self.optimizer]

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.samples // self.batch_size)

    @property
    def flops(self) -> int:
        """Of the matrix products of a training step: forward, the weights' gradient, and the inputs' of all layers
        but the first; a multiplication and an addition are two."""
        products = [inputs * outputs for inputs, outputs in self.shapes]
        return 2 * self.batch_size * (2 * sum(products) + sum(products[1:]))

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        X = generator.random((self.samples, self.layer_sizes[0]), self.dtype)
        if self.loss == CATEGORICAL:
            return X, generator.integers(0, self.layer_sizes[-1], self.samples)
        y = generator.random((self.samples, self.layer_sizes[-1]), self.dtype)
        return X, np.round(y) if self.loss == BINARY else y

    def parameters(self) -> np.ndarray:
        """Initial weights and biases: W0 (inputs, outputs) in C order, b0, W1, b1 ..."""
        generator = np.random.default_rng(1)
        parts = [
            part
            for inputs, outputs in self.shapes
            for part in (generator.normal(0, inputs**-0.5, inputs * outputs), generator.normal(0, 0.1, outputs))
        ]
        return np.concatenate(parts).astype(self.dtype)

    def layers(self, parameters: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Weights and biases of each layer, as views of the initial parameters or of those given."""
        rest = self.parameters() if parameters is None else parameters
        for inputs, outputs in self.shapes:
            weights, biases, rest = np.split(rest, [inputs * outputs, (inputs + 1) * outputs])
            yield weights.reshape(inputs, outputs), biases


@dataclass(frozen=True)
class Row:
    """A job of the comparison: `kind` is the name of a function of each module of peers/."""

    kind: str
    workload: Workload
    goal: float = 1.0  # the best peer's time divided by ours

    def __str__(self) -> str:
        w = self.workload
        double = ", float64" if w.dtype == "float64" else ""
        if self.kind == "training":
            how = f"{w.activation}, {SPOKEN[w.loss]}, batch {w.batch_size}, {SPOKEN[w.optimizer]}"
            return f"train {w.shape} {how}{double}"
        if self.kind == "start":
            return f"process start to first trained epoch, {w.shape}"
        rows = "one row" if w.samples == 1 else f"{w.samples:,} rows"
        return f"{rows} through {'predict' if self.kind == 'prediction' else 'a predictor'}, {w.shape}{double}"

    @property
    def units(self) -> int:
        """What the time of one run is divided by."""
        return self.workload.steps if self.kind == "training" else 1


# --- the goals

TINY = Workload((2, 2, 1), "sigmoid", MSE, 4, 1, 1000, "sgd", output="sigmoid")
TABLE = Workload((4, 32, 32, 1), "tanh", MSE, 4096, 32, 10, "adam")
DIGITS = Workload((64, 32, 10), "relu", CATEGORICAL, 1792, 32, 20, "sgd")
MIDDLE = Workload((16, 128, 128, 1), "relu", MSE, 8192, 128, 4, "adam")
IMAGES = Workload((784, 128, 10), "relu", CATEGORICAL, 8192, 64, 2, "adam")
WIDE = Workload((784, 1024, 1024, 10), "relu", CATEGORICAL, 2048, 256, 2, "sgd")
START = replace(DIGITS, epochs=1)
CONTROL = Workload((40, 100, 100, 10), "relu", CATEGORICAL)


def predicted(workload: Workload, samples: int = 1) -> Workload:
    return replace(workload, samples=samples, batch_size=1, epochs=1)


ROWS = [
    Row("training", TINY, 120),
    Row("training", TABLE, 6),
    Row("training", DIGITS, 8),
    Row("training", MIDDLE, 3),
    Row("training", IMAGES, 3),
    Row("training", WIDE, 1.4),
    Row("prediction", predicted(TABLE), 12),
    Row("prediction", predicted(CONTROL), 8),
    Row("prediction", predicted(IMAGES), 2),
    Row("predictor", predicted(TABLE), 20),
    Row("predictor", predicted(CONTROL), 10),
    Row("predictor", predicted(IMAGES), 2.4),
    Row("prediction", predicted(IMAGES, 100_000), 1.3),
    Row("start", START, 6),
]

# --- other shapes, none of which may fall behind the best peer

SHAPES = [
    Row("training", Workload((13, 37, 5), "relu", CATEGORICAL, 1020, 17, 10, "adam")),
    Row("training", Workload((7, 50, 30, 3), "tanh", MSE, 2050, 41, 10, "adam")),
    Row("training", Workload((8, *[16] * 10, 1), "relu", MSE, 1024, 16, 5, "adam")),
    Row("training", Workload((1, 64, 64, 1), "tanh", MSE, 2048, 32, 10, "adam")),
    Row("training", Workload((20, 64, 64, 1), "sigmoid", BINARY, 4096, 64, 5, "adam")),
    Row("training", Workload((200, 1), "relu", BINARY, 4096, 32, 10, "sgd")),
    Row("training", Workload((100, 300, 10), "tanh", CATEGORICAL, 5000, 100, 3, "sgd")),
    Row("training", Workload((256, 256, 10), "relu", CATEGORICAL, 500, 1, 2, "sgd")),
    Row("training", Workload((30, 100, 10), "relu", CATEGORICAL, 20_000, 1000, 2, "adam")),
    Row("training", Workload((512, 512, 512, 10), "relu", CATEGORICAL, 4096, 128, 1, "adam")),
    Row("training", replace(DIGITS, dtype="float64")),
    Row("training", replace(IMAGES, dtype="float64", epochs=1)),
    Row("prediction", Workload((13, 37, 5), "tanh", MSE)),
    Row("prediction", Workload((512, 512, 512, 10), "relu", CATEGORICAL)),
    Row("prediction", Workload((64, 32, 10), "relu", CATEGORICAL, dtype="float64")),
    Row("prediction", Workload((20, 64, 64, 1), "sigmoid", BINARY, 1000)),
]
