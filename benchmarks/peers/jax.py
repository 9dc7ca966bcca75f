"""JAX: all epochs in one jitted scan, on data that are on the device, with donated buffers.

float64 is allowed throughout, which float32 arrays are not slowed by: every array here has a type of its own.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from workloads import ADAM, BINARY, MSE

from . import Job

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_cpu_enable_async_dispatch", False)  # a small call is over before another thread has begun it

ACTIVATIONS = {
    "relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "softmax": jax.nn.softmax,
    "identity": lambda z: z,
}  # fmt: skip


def logits(layers: Any, a: Any, workload: Any) -> Any:
    """The last weighted sums."""
    for i, (weights, biases) in enumerate(layers):
        a = ACTIVATIONS[workload.activations[i - 1]](a) if i else a
        a = a @ weights + biases
    return a


def loss(layers: Any, X: Any, y: Any, workload: Any) -> Any:
    z = logits(layers, X, workload)
    if workload.loss == MSE:
        return jnp.mean((ACTIVATIONS[workload.activations[-1]](z) - y) ** 2)
    if workload.loss == BINARY:
        return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1))


def updated(layers: Any, gradient: Any, state: Any, workload: Any) -> Any:
    """New parameters and new state of the optimizer."""
    rate = workload.learning_rate
    if workload.optimizer == "sgd":
        return jax.tree.map(lambda w, g: w - rate * g, layers, gradient), state
    beta1, beta2, epsilon = ADAM.values()
    first, second, t = state
    t = t + 1
    first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, gradient)
    rate1, rate2 = rate / -jnp.expm1(t * math.log(beta1)), 1 / -jnp.expm1(t * math.log(beta2))  # 1 - beta^t
    moved = jax.tree.map(lambda w, m, v: w - rate1 * m / (jnp.sqrt(v * rate2) + epsilon), layers, first, second)
    return moved, (first, second, t)


def training(workload: Any) -> dict[str, Job]:
    X, y = workload.data()
    if y.dtype.kind == "i":
        y = y.astype(np.int32)

    def step(carry: Any, batch: Any) -> Any:
        gradient = jax.grad(loss)(carry[0], *batch, workload)
        return updated(*carry[:1], gradient, carry[1], workload), None

    def epoch(carry: Any, key: Any, X: Any, y: Any) -> Any:
        if workload.shuffle:
            order = jax.random.permutation(key, len(X))
            X, y = X[order], y[order]
        batches = jax.tree.map(lambda a: a.reshape(-1, workload.batch_size, *a.shape[1:]), (X, y))
        return jax.lax.scan(step, carry, batches)[0]

    @partial(jax.jit, donate_argnums=0)
    def train(carry: Any, keys: Any, X: Any, y: Any) -> Any:
        return jax.lax.scan(lambda carry, key: (epoch(carry, key, X, y), None), carry, keys)[0]

    def fresh() -> Any:
        layers, *moments = [jax.tree.map(jnp.array, start) for start in starts]
        state = (*moments, jnp.zeros((), workload.dtype)) if moments else ()
        return jax.block_until_ready((layers, state))

    layers = list(workload.layers())
    zeros = jax.tree.map(np.zeros_like, layers)
    starts = [layers, zeros, zeros] if workload.optimizer == "adam" else [layers]
    keys = jax.random.split(jax.random.key(0), workload.epochs)
    one_epoch = partial(jax.jit(epoch, donate_argnums=0), X=jnp.asarray(X), y=jnp.asarray(y))
    names = {
        "train": train, "epoch": one_epoch, "fresh": fresh, "keys": keys, "list_of_keys": list(keys),
        "X": jnp.asarray(X), "y": jnp.asarray(y), "ready": jax.block_until_ready, "flat": flat,
    }  # fmt: skip
    by_epoch = "for key in list_of_keys: carry = epoch(carry, key)\nready(carry)"
    return {
        "": Job("carry = ready(train(carry, keys, X, y))", names, "flat(carry)", before="carry = fresh()"),
        "a call per epoch": Job(by_epoch, names, "flat(carry)", before="carry = fresh()"),
    }


def flat(carry: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for layer in carry[0] for part in layer])


def prediction(workload: Any) -> dict[str, Job]:
    """The parameters are constants, and the samples are on the device."""
    X, _ = workload.data()
    layers = list(workload.layers())
    activation = ACTIVATIONS[workload.activations[-1]]
    names = {"predict": jax.jit(lambda X: activation(logits(layers, X, workload))), "X": jnp.asarray(X)}
    return {"": Job("y = predict(X).block_until_ready()", names, "y")}
