"""Draw the picture of the README: two spirals, a network that tells them apart, and what it decides.

    python docs/images/spirals.py

It writes spirals.png beside this file. Needs Matplotlib: `pip install '.[plot]'`.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

import fastmlp

COLORS = 200  # a palette of so many makes the file small


def spirals(count: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of two spirals, one turned by half a circle, and the spiral of each point: 0 or 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.04, 1, count))
    turned = angle + np.pi * y
    X = np.column_stack([angle * np.cos(turned), angle * np.sin(turned)]) / (3 * np.pi)
    return X + rng.normal(0, noise, X.shape), y


def main() -> None:
    X, y = spirals(300, noise=0.025, seed=0)
    network = fastmlp.NeuralNetwork([2, 12, 12, 1], activation="gelu", loss="binary_cross_entropy", seed=0)
    network.train(X, y, epochs=300, batch_size=16, optimizer="adam", learning_rate=0.01, l2=1e-4)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[11, 8], layout="constrained")
    fastmlp.plot.network(network, ax=left, feature_names=["x", "y"])
    fastmlp.plot.decision_boundary(network, X, y, ax=right, feature_names=["x", "y"])
    with BytesIO() as memory:
        figure.savefig(memory, dpi=110)
        picture = Image.open(memory).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    picture.save(Path(__file__).with_name("spirals.png"), optimize=True)


if __name__ == "__main__":
    main()
