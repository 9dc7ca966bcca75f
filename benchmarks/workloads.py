"""The networks that the benchmarks time: small and middle-sized, on random data."""

from dataclasses import dataclass

import numpy as np

import fastmlp


@dataclass(frozen=True)
class Workload:
    """A training job. `epochs` makes a call of some milliseconds."""

    layer_sizes: tuple[int, ...]
    activation: str
    output_activation: str
    loss: str
    samples: int
    batch_size: int
    epochs: int
    optimizer: str

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.samples // self.batch_size)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        X = generator.random((self.samples, self.layer_sizes[0]), np.float32)
        if self.loss == "categorical_cross_entropy":
            return X, generator.integers(0, self.layer_sizes[-1], self.samples)
        return X, generator.random((self.samples, self.layer_sizes[-1]), np.float32)

    def network(self, dtype: str = "float32", backend: str | None = None) -> fastmlp.NeuralNetwork:
        return fastmlp.NeuralNetwork(
            self.layer_sizes, self.activation, self.output_activation, self.loss, dtype=dtype, seed=0, backend=backend
        )

    def train(self, network: fastmlp.NeuralNetwork, X: np.ndarray, y: np.ndarray) -> None:
        network.train(X, y, self.epochs, batch_size=self.batch_size, optimizer=self.optimizer)


MSE, CROSS_ENTROPY = "mean_squared_error", "categorical_cross_entropy"

WORKLOADS = {
    "2-2-1, batch 1, SGD": Workload((2, 2, 1), "sigmoid", "sigmoid", MSE, 4, 1, 5000, "sgd"),
    "4-32-32-1, batch 32, Adam": Workload((4, 32, 32, 1), "relu", "identity", MSE, 4096, 32, 20, "adam"),
    "64-32-10, batch 32, SGD": Workload((64, 32, 10), "relu", "softmax", CROSS_ENTROPY, 1792, 32, 50, "sgd"),
    "784-128-10, batch 64, Adam": Workload((784, 128, 10), "relu", "softmax", CROSS_ENTROPY, 8192, 64, 4, "adam"),
}
