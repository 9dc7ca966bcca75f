"""Optimizers take the steps that PyTorch's do, where it is installed."""

import numpy as np
import pytest

from fastmlp import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    NAdam,
    NeuralNetwork,
    RAdam,
    RMSprop,
    Rprop,
)

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

PAIRS = [  # with other settings than the defaults, and with those
    (SGD(0.1), "SGD", {"lr": 0.1}),
    (SGD(0.1, momentum=0.8), "SGD", {"lr": 0.1, "momentum": 0.8}),
    (SGD(0.1, momentum=0.8, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    (Adam(0.05, 0.8, 0.95, 1e-6), "Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}),
    (Adam(), "Adam", {}),
    (AdamW(0.05, 0.8, 0.95, 1e-6, weight_decay=0.3), "AdamW",
     {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.3}),
    (AdamW(), "AdamW", {}),
    (NAdam(0.05, 0.8, 0.95, 1e-6, momentum_decay=0.1), "NAdam",
     {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "momentum_decay": 0.1}),
    (NAdam(), "NAdam", {}),
    (RAdam(0.05, 0.8, 0.95, 1e-6), "RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6}),
    (RAdam(), "RAdam", {}),
    (RMSprop(0.05, alpha=0.8, epsilon=1e-6), "RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-6}),
    (RMSprop(0.02, momentum=0.7), "RMSprop", {"lr": 0.02, "momentum": 0.7}),
    (RMSprop(), "RMSprop", {}),
    (Adagrad(0.05, epsilon=1e-6), "Adagrad", {"lr": 0.05, "eps": 1e-6}),
    (Adagrad(), "Adagrad", {}),
    (Adadelta(0.5, rho=0.8, epsilon=1e-5), "Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-5}),
    (Adadelta(), "Adadelta", {}),
    (Rprop(0.02, shrink=0.4, grow=1.3, smallest=1e-3, largest=0.1), "Rprop",
     {"lr": 0.02, "etas": (0.4, 1.3), "step_sizes": (1e-3, 0.1)}),
    (Rprop(), "Rprop", {}),
]  # fmt: skip


def trained_by_torch(network, X, y, steps, name, settings, clip_norm=None):
    """Parameters, in fastmlp's order, after so many full-batch steps by torch.optim."""
    torch.set_default_dtype(torch.float64)  # of NAdam's products, too
    parts = [part for layer in network.parameters.layers for part in layer]
    tensors = [torch.tensor(np.array(part), requires_grad=True) for part in parts]
    optimizer = getattr(torch.optim, name)(tensors, **settings)
    for _ in range(steps):
        a = torch.tensor(X)
        for weights, biases in zip(tensors[::2], tensors[1::2], strict=True):
            z = a @ weights + biases
            a = torch.tanh(z)
        optimizer.zero_grad()
        ((z - torch.tensor(y)) ** 2).mean().backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(tensors, clip_norm)
        optimizer.step()
    torch.set_default_dtype(torch.float32)
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def problem():
    generator = np.random.default_rng(3)
    network = NeuralNetwork([4, 6, 5, 2], "tanh", dtype="float64", seed=1)
    return network, generator.normal(size=(9, 4)), generator.normal(size=(9, 2))


@pytest.mark.parametrize(("optimizer", "name", "settings"), PAIRS, ids=[repr(pair[0]) for pair in PAIRS])
def test_optimizers_step_like_torch(optimizer, name, settings):
    network, X, y = problem()
    expected = trained_by_torch(network, X, y, 40, name, settings)
    before = network.parameters
    network.train(X, y, 40, batch_size=9, optimizer=optimizer, shuffle=False)
    assert abs(expected - before).max() > 1e-3
    np.testing.assert_allclose(network.parameters, expected, rtol=1e-9, atol=1e-11)
