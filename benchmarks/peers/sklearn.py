"""scikit-learn: `fit` from given weights, without its checks for finite numbers and without stopping early.

Its squared loss is half the sum over outputs, so that the optimizers' settings are adapted. Its Adam adds epsilon to
another term than the paper's algorithm does, by which weights with the smallest gradients move otherwise. Its output
activation follows from the kind of model: a sigmoid with squared errors it cannot do.
"""

import copy
import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from workloads import ADAM, MSE, OUTPUT_ACTIVATIONS

from . import Job

sklearn.set_config(assume_finite=True)
warnings.simplefilter("ignore", ConvergenceWarning)

ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}


def fitted(workload: Any) -> MLPClassifier | MLPRegressor:
    """A model that has the initial weights."""
    scale = workload.layer_sizes[-1] / 2 if workload.loss == MSE else 1  # of its gradients, compared with ours
    rate = workload.learning_rate / (scale if workload.optimizer == "sgd" else 1)
    beta1, beta2, epsilon = ADAM.values()
    model = (MLPRegressor if workload.loss == MSE else MLPClassifier)(
        hidden_layer_sizes=workload.layer_sizes[1:-1], activation=ACTIVATIONS[workload.activation],
        solver=workload.optimizer, alpha=0, batch_size=workload.batch_size, learning_rate_init=rate,
        max_iter=workload.epochs, n_iter_no_change=workload.epochs + 1, shuffle=workload.shuffle, random_state=0,
        warm_start=True, momentum=0, nesterovs_momentum=False, beta_1=beta1, beta_2=beta2, epsilon=scale * epsilon,
    )  # fmt: skip
    outputs = workload.layer_sizes[-1]
    samples = max(workload.batch_size, outputs, 2)
    X = np.zeros((samples, workload.layer_sizes[0]), workload.dtype)
    if workload.loss == MSE:
        model.partial_fit(X, np.zeros(samples if outputs == 1 else (samples, outputs)))
    else:
        model.partial_fit(X, np.arange(samples) % max(outputs, 2), classes=np.arange(max(outputs, 2)))
    layers = list(workload.layers())
    model.coefs_, model.intercepts_ = [w.copy() for w, _ in layers], [b.copy() for _, b in layers]
    return model


def can(workload: Any) -> bool:
    return workload.activations[-1] == OUTPUT_ACTIVATIONS[workload.loss]


def training(workload: Any) -> dict[str, Job]:
    if not can(workload):
        return {}
    X, y = workload.data()
    y = y if workload.loss == MSE and workload.layer_sizes[-1] > 1 else y.ravel()
    model = fitted(workload)
    names = {"new": lambda: copy.deepcopy(model), "X": X, "y": y, "flat": flat}
    return {"": Job("model.fit(X, y)", names, "flat(model)", before="model = new()")}


def flat(model: MLPClassifier | MLPRegressor) -> np.ndarray:
    return np.concatenate([p.ravel() for layer in zip(model.coefs_, model.intercepts_, strict=True) for p in layer])


def prediction(workload: Any) -> dict[str, Job]:
    if not can(workload):
        return {}
    model = fitted(workload)
    names = {"predict": getattr(model, "predict_proba", model.predict), "X": workload.data()[0]}
    binary = workload.loss != MSE and workload.layer_sizes[-1] == 1
    return {"": Job("y = predict(X)", names, "y[:, 1:]" if binary else "y")}
