"""PyTorch: batches are slices of tensors, optimizers are fused, subnormal numbers are flushed.

torch.compile was tried, for the model and for a whole step, and left out: slower than this on small networks, and no
faster than the better of one thread and all on large ones.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import nn
from workloads import ADAM, BINARY, MSE

from . import Job

torch.set_flush_denormal(True)

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
LOSSES = {MSE: nn.functional.mse_loss, BINARY: nn.functional.binary_cross_entropy_with_logits}


def model(workload: Any, *, logits: bool) -> nn.Sequential:
    """`logits`: without the last layer's activation, if the loss has it."""
    parts: list[nn.Module] = []
    for (weights, biases), name in zip(workload.layers(), workload.activations, strict=True):
        linear = nn.Linear(*weights.shape, dtype=getattr(torch, workload.dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T.copy()))
            linear.bias.copy_(torch.from_numpy(biases.copy()))
        parts.append(linear)
        if name in ACTIVATIONS:
            parts.append(ACTIVATIONS[name]())
    if workload.loss != MSE and logits and workload.activations[-1] == "sigmoid":
        parts.pop()
    if workload.activations[-1] == "softmax" and not logits:
        parts.append(nn.Softmax(dim=-1))
    return nn.Sequential(*parts)


def training(workload: Any) -> dict[str, Job]:
    X, y = map(torch.from_numpy, workload.data())
    loss = LOSSES.get(workload.loss, nn.functional.cross_entropy)

    def fresh() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        new = model(workload, logits=True)
        rate = workload.learning_rate
        if workload.optimizer == "sgd":
            return new, torch.optim.SGD(new.parameters(), lr=rate, fused=True)
        beta1, beta2, epsilon = ADAM.values()
        return new, torch.optim.Adam(new.parameters(), lr=rate, betas=(beta1, beta2), eps=epsilon, fused=True)

    def train(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(workload.epochs):
            if workload.shuffle:
                order = torch.randperm(len(X))
                batches = [(X[rows], y[rows]) for rows in order.split(workload.batch_size)]
            else:
                batches = list(zip(X.split(workload.batch_size), y.split(workload.batch_size), strict=True))
            for X_batch, y_batch in batches:
                optimizer.zero_grad(set_to_none=True)
                loss(model(X_batch), y_batch).backward()
                optimizer.step()

    names = {"fresh": fresh, "train": train, "flat": flat}
    return {"": Job("train(model, optimizer)", names, "flat(model)", before="model, optimizer = fresh()")}


def flat(model: nn.Sequential) -> np.ndarray:
    parts = [p.detach().numpy() for p in model.parameters()]
    return np.concatenate([p.T.ravel() for p in parts])


def prediction(workload: Any) -> dict[str, Job]:
    """As users write it, and as a frozen script optimized for inference."""
    X = torch.from_numpy(workload.data()[0])
    eager = model(workload, logits=False).eval().requires_grad_(False)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, which is still the fastest here
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.script(eager)))
    ways = {"inference_mode": torch.inference_mode()(eager.forward), "frozen": frozen}
    return {label: Job("y = predict(X)", {"predict": way, "X": X}, "y.numpy()") for label, way in ways.items()}
