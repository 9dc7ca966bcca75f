"""Optimizers take the steps that PyTorch's do, where it is installed."""

import numpy as np
import pytest

from fastmlp import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Cosine,
    ExponentialDecay,
    NAdam,
    NeuralNetwork,
    OneCycle,
    RAdam,
    ReduceOnPlateau,
    RMSprop,
    Rprop,
    StepDecay,
)
from fastmlp.training.schedules import PlateauState

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


@pytest.mark.parametrize("clip_norm", [0.05, 100.0])
def test_gradients_are_clipped_like_torch(clip_norm):
    network, X, y = problem()
    expected = trained_by_torch(network, X, y, 20, "SGD", {"lr": 0.1}, clip_norm)
    network.train(X, y, 20, 0.1, batch_size=9, shuffle=False, clip_norm=clip_norm)
    np.testing.assert_allclose(network.parameters, expected, rtol=1e-5)  # which adds 1e-6 to the norm


@pytest.mark.parametrize("name", ["layer", "batch"])
def test_normalized_layers_are_torchs(name):
    """Of linear layers without biases, as ours come after what is normalized; variances but for n / (n - 1)."""
    generator = np.random.default_rng(3)
    X, y = generator.normal(size=(12, 4)), generator.normal(size=(12, 2))
    network = NeuralNetwork([4, 6, 5, 2], "tanh", dtype="float64", seed=1, normalization=name)
    layers = []
    for layer in network.layers:
        inputs, outputs = layer.weights.shape
        linear = torch.nn.Linear(inputs, outputs, bias=layer.normalization is None, dtype=torch.float64)
        linear.weight.data = torch.tensor(layer.weights.T.copy())
        layers.append(linear)
        if layer.normalization is None:
            linear.bias.data.zero_()
        else:
            kind = torch.nn.LayerNorm if name == "layer" else torch.nn.BatchNorm1d
            layers += [kind(outputs, dtype=torch.float64), torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(10):
        for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
            optimizer.zero_grad()
            ((model(torch.tensor(X[rows])) - torch.tensor(y[rows])) ** 2).mean().backward()
            optimizer.step()
    network.train(X, y, 10, batch_size=5, shuffle=False, optimizer=Adam(0.02))
    close = {"rtol": 1e-7, "atol": 1e-9}
    for layer, linear, normalized in zip(network.layers, layers[::3], [*layers[1::3], None], strict=True):
        np.testing.assert_allclose(layer.weights, linear.weight.detach().numpy().T, **close)
        if normalized is not None:
            np.testing.assert_allclose(layer.gains, normalized.weight.detach().numpy(), **close)
            np.testing.assert_allclose(layer.biases, normalized.bias.detach().numpy(), **close)
            if name == "batch":
                np.testing.assert_allclose(layer.running_means, normalized.running_mean.numpy(), **close)
                np.testing.assert_allclose(layer.running_variances, normalized.running_var.numpy(), **close)


def test_weight_decay_is_adamws_for_weights_alone():
    network, X, y = problem()
    parameters = network.parameters
    tensors = [torch.tensor(np.array(part), requires_grad=True) for layer in parameters.layers for part in layer]
    groups = [{"params": tensors[::2], "weight_decay": 0.3}, {"params": tensors[1::2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.05)
    for _ in range(20):
        a = torch.tensor(X)
        for weights, biases in zip(tensors[::2], tensors[1::2], strict=True):
            z = a @ weights + biases
            a = torch.tanh(z)
        optimizer.zero_grad()
        ((z - torch.tensor(y)) ** 2).mean().backward()
        optimizer.step()
    network.train(X, y, 20, batch_size=9, shuffle=False, optimizer=Adam(0.05), weight_decay=0.3)
    steps = np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])
    np.testing.assert_allclose(network.parameters, steps, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore")  # the order of calls does not matter here
@pytest.mark.parametrize(
    ("schedule", "name", "settings", "every"),
    [
        (StepDecay(0.4, every=3, factor=0.5), "StepLR", {"step_size": 3, "gamma": 0.5}, 1),
        (ExponentialDecay(0.4, factor=0.8), "ExponentialLR", {"gamma": 0.8}, 1),
        (Cosine(0.4, epochs=20, lowest=0.1), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.1}, 1),
        (Cosine(0.4, epochs=5, lowest=0.1, restarts=True), "CosineAnnealingWarmRestarts",
         {"T_0": 5, "eta_min": 0.1}, 1),
        (Cosine(0.4, epochs=2, restarts=True, growth=3), "CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 3}, 1),
        (OneCycle(0.4, epochs=4), "OneCycleLR", {"max_lr": 0.4, "total_steps": 20}, 5),
        (OneCycle(0.4, epochs=20, rising=0.25, first=10, last=100), "OneCycleLR",
         {"max_lr": 0.4, "total_steps": 20, "pct_start": 0.25, "div_factor": 10, "final_div_factor": 100}, 1),
    ],
)  # fmt: skip
def test_schedules_are_torchs(schedule, name, settings, every):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        if len(expected) < 20:
            scheduler.step()
    np.testing.assert_allclose(schedule.rates(np.arange(20), every), expected, rtol=1e-9, atol=1e-12)


def test_plateaus_are_torchs():
    losses = np.random.default_rng(0).normal(size=200) * 0.1 + np.geomspace(5, 0.5, 200)
    settings = {"factor": 0.5, "patience": 3, "threshold": 0.01}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=1e-3, eps=0, **settings)
    schedule, state = ReduceOnPlateau(0.4, lowest=1e-3, **settings), PlateauState()
    for loss in losses:
        scheduler.step(loss)
        state = schedule.after(state, loss)
        assert schedule.rate(state) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert state.reductions > 3
