"""Train [784, 128, 10] on MNIST for ten epochs and print the test accuracy.

    python benchmarks/mnist.py PATH [--epochs 10] [--seed 0] [--backend compiled]

PATH is a folder with the four idx files (train-images-idx3-ubyte and so on, plain or .gz), or an .npz file with
x_train, y_train, x_test and y_test. Fashion-MNIST has the same files.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp.datasets import read_idx


def read(path: Path) -> list[np.ndarray]:
    """Training images and labels, test images and labels."""
    if path.is_dir():
        names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        return [read_idx(next(path.glob(f"{name}-ubyte*"))) for name in names]
    with np.load(path) as file:
        return [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default=None)
    options = parser.parse_args()
    train_images, train_labels, test_images, test_labels = read(options.path)
    X = np.float32(train_images.reshape(len(train_images), -1)) / np.float32(255)
    X_test = np.float32(test_images.reshape(len(test_images), -1)) / np.float32(255)
    network = fastmlp.NeuralNetwork(
        [784, 128, 10], loss="categorical_cross_entropy", seed=options.seed, backend=options.backend
    )
    fastmlp.show_config()
    started = time.perf_counter()
    history = network.train(X, train_labels, options.epochs, batch_size=64, optimizer="adam")
    seconds = time.perf_counter() - started
    accuracy = np.mean(network.predict(X_test).argmax(axis=1) == test_labels)
    print(f"{network}\n{history} in {seconds:.2f} s\ntest accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
