"""Storms of real signals, one to three within milliseconds: whatever is interrupted is whole, and goes on.

SIGALRM comes from a timer, SIGINT from another thread. A case first does its work undisturbed, which says how long it
takes and what has to come of it; then once more with signals at random moments of that time.
"""

import contextlib
import copy
import os
import pickle
import signal
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from trainings import everything

import fastmlp

from . import drawing, networks
from .drawing import chance, pick
from .faults import check


class Storm:
    """Raises KeyboardInterrupt at random moments, a limited number of times, while its `with` statement lasts."""

    def __init__(self, draw, seconds):
        self.left = int(draw.integers(1, 4))
        self.first = float(draw.uniform(0, max(seconds, 1e-4)))
        self.gap = float(draw.uniform(1e-5, 3e-3))
        self.by_thread = chance(draw, 0.4)
        self.over = threading.Event()

    def strike(self, number, frame):
        if self.left > 0:
            self.left -= 1
            raise KeyboardInterrupt

    def kill(self):
        time.sleep(self.first)
        for _ in range(3):
            if self.over.is_set():
                return
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(self.gap)

    def during(self, work):
        """Do the work; whether it was interrupted."""
        before = {number: signal.signal(number, self.strike) for number in (signal.SIGALRM, signal.SIGINT)}
        thread = threading.Thread(target=self.kill)
        left, self.left = self.left, 0
        try:
            try:
                if self.by_thread:
                    thread.start()
                self.left = left
                if not self.by_thread:
                    signal.setitimer(signal.ITIMER_REAL, max(self.first, 1e-6), self.gap)
                work()
                self.left = 0
            except KeyboardInterrupt:
                return True
            return False
        finally:
            self.left = 0
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.over.set()
            if self.by_thread:
                thread.join()
            for number, handler in before.items():
                signal.signal(number, handler)


def timed(work):
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def case(draw):
    works = {
        "train": trains, "stream": streams, "lbfgs": quasi_newton, "save": saves, "predict": predicts, "fit": fits,
    }  # fmt: skip
    kind = pick(draw, [*works, "train", "train"])
    try:
        with warnings.catch_warnings():
            if kind == "fit":
                warnings.simplefilter("ignore")
            struck = works[kind](draw)
    except FloatingPointError:
        return "diverged"
    return kind + (" interrupted" if struck else " in time")


def problem(draw):
    """Every third network is one that several threads train."""
    large = chance(draw, 0.33)
    made = drawing.architecture(draw, widest=400 if large else 60, deepest=2 if large else 3)
    if large:
        made["layer_sizes"][:2] = 400, made["layer_sizes"][1] if len(made["layer_sizes"]) == 2 else 400
    network = drawing.network_of(made, draw)
    count = int(draw.integers(2, 300))
    _, X = drawing.samples(draw, count, made["layer_sizes"][0])
    return network, X, drawing.targets(draw, network, count)


def usable(network, X):
    """It predicts as a network that is made of its parameters does, and so does its copy."""
    check(not network._watched, "the network believes that it is being trained")
    outputs = network.predict(X, allow_nan=True).tobytes()
    twin = fastmlp.NeuralNetwork.__new__(fastmlp.NeuralNetwork)
    twin.__setstate__(network.__getstate__())
    twin.parameters = np.asarray(network.parameters)
    check(twin.predict(X, allow_nan=True).tobytes() == outputs, "predictions are not those of the parameters")
    networks.same(network, pickle.loads(pickle.dumps(network)), "a pickle after an interrupt")


def trains(draw):
    """Resumed, an interrupted training ends as one that was not, if steps are whole epochs."""
    network, X, y = problem(draw)
    options = drawing.training(draw, network, len(y), drawing.is_sparse(X)) | drawing.watched(draw, network)
    if options["optimizer"] == "lbfgs":
        options["optimizer"] = "adam"
    whole_epochs = chance(draw, 0.7)
    if whole_epochs:
        options["batch_size"] = len(y)
    if chance(draw, 0.5):
        options["callbacks"] = [lambda network, progress: None]
    epochs, calm = int(draw.integers(2, 30)), copy.deepcopy(network)
    try:
        _, seconds = timed(lambda: calm.train(X, y, epochs, **options))
    except ValueError:  # these arguments do not go together
        return False
    compared = whole_epochs and not options.get("restore_best")
    times = 1 + int(min(0.3 / seconds, 20))
    struck = False
    for _ in range(times):
        again = copy.deepcopy(network)
        struck |= trains_on(draw, again, X, y, epochs, options, seconds, calm if compared else None)
    return struck


def trains_on(draw, network, X, y, epochs, options, seconds, calm):
    """Trained in a storm, and resumed; calm: the network as it is without a storm, if that can be compared."""
    struck = Storm(draw, seconds).during(lambda: network.train(X, y, epochs, **options))
    usable(network, X)
    if struck and network.history is not None:
        check(network.history.epochs <= epochs, f"{network.history.epochs} of {epochs} epochs in the history")
    twin = copy.deepcopy(network)
    begun = network.history is not None  # an interrupt may come before there is a training to go on with
    for one in (network, twin):
        one.train(X, y, epochs, **options | {"resume": begun})
    networks.same(network, twin, "resumed by a network and by its copy")
    if calm:
        networks.same(calm, network, f"an interrupted training, resumed: {drawing.shown(options)}")
    return struck


def streams(draw):
    network, X, y = problem(draw)
    X = X.toarray() if drawing.is_sparse(X) else np.asarray(X)
    cut = len(y) // 2
    chunks = [part for part in ((X[:cut], y[:cut]), (X[cut:], y[cut:])) if len(part[1])]
    options = {"optimizer": pick(draw, ["sgd", "adam", "rmsprop"]), "batch_size": int(draw.integers(2, 40))}
    calm, epochs = copy.deepcopy(network), int(draw.integers(1, 10))
    try:
        _, seconds = timed(lambda: calm.train_stream(chunks, epochs, **options))
    except ValueError:
        return False
    before = everything(network)
    struck = Storm(draw, seconds).during(lambda: network.train_stream(chunks, epochs, **options))
    usable(network, X)
    if not struck:
        networks.same(calm, network, "a stream that was not interrupted")
    elif network._state.updates == 0:
        check(everything(network)[1]["parameters"] == before[1]["parameters"], "parameters of no step")
    twin = copy.deepcopy(network)
    for one in (network, twin):
        one.train_stream(chunks, 1, **options)
    networks.same(network, twin, "a stream after an interrupt, by a network and by its copy")
    return struck


def quasi_newton(draw):
    network, X, y = problem(draw)
    if drawing.by_batches(network):
        return False
    calm, epochs = copy.deepcopy(network), int(draw.integers(1, 10))
    known = [np.asarray(calm.parameters).tobytes()]

    def note(network, progress):
        known.append(np.asarray(network.parameters).tobytes())

    with contextlib.suppress(FloatingPointError):
        _, seconds = timed(lambda: calm.train(X, y, epochs, optimizer="lbfgs", callbacks=note))
        known.append(np.asarray(calm.parameters).tobytes())
        struck = Storm(draw, seconds).during(lambda: network.train(X, y, epochs, optimizer="lbfgs"))
        usable(network, X)
        check(np.asarray(network.parameters).tobytes() in known, "parameters of no iteration of L-BFGS")
        network.train(X, y, 1, optimizer="lbfgs")
        return struck
    return False


def saves(draw):
    network, X, _ = problem(draw)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        old = copy.deepcopy(network)
        network.parameters = np.asarray(network.parameters) * 2
        _, seconds = timed(lambda: old.save(path))
        struck = Storm(draw, seconds).during(lambda: network.save(path))
        after = everything(fastmlp.load(path))
        check(after in (everything(old), everything(network)), "the file holds neither the old nor the new network")
        if not struck:
            check(after == everything(network), "saved in time, but the file holds the old network")
        usable(network, X)
        network.save(path)
        networks.same(network, fastmlp.load(path), "saved after an interrupt")
        check([one.name for one in Path(folder).iterdir()] == [path.name], "something else was left in the folder")
    return struck


def predicts(draw):
    """With threads at work, too."""
    network, _, _ = problem(draw)
    X = draw.normal(size=(int(draw.integers(1, 3000)), network.layer_sizes[0]))
    way = pick(draw, [network.predict, network.predictor(), lambda X: network.layer_outputs(X)[-1]])
    expected, seconds = timed(lambda: way(X))
    network.parameters = np.asarray(network.parameters)  # what is packed is packed again
    struck = Storm(draw, seconds).during(lambda: way(X))
    check(way(X).tobytes() == expected.tobytes(), "predictions after an interrupt are others")
    usable(network, X)
    return struck


def fits(draw):
    from fastmlp.sklearn import MLPClassifier, MLPRegressor

    cls = pick(draw, [MLPClassifier, MLPRegressor])
    X = draw.normal(size=(int(draw.integers(20, 200)), 4))
    y = (X[:, 0] > 0).astype(int) if cls is MLPClassifier else X[:, :2]
    options = {
        "hidden_layer_sizes": (int(draw.integers(1, 30)),), "max_iter": int(draw.integers(1, 30)), "random_state": 1,
        "solver": pick(draw, ["adam", "sgd", "lbfgs"]), "early_stopping": chance(draw, 0.3),
    }  # fmt: skip
    if options["solver"] == "lbfgs":
        options["early_stopping"] = False
    calm, estimator = cls(**options), cls(**options)
    _, seconds = timed(lambda: calm.fit(X, y))
    if chance(draw, 0.5):
        estimator.fit(X[::-1], y[::-1])
    struck = Storm(draw, seconds).during(lambda: estimator.fit(X, y))
    if hasattr(estimator, "coefs_"):
        first = estimator.predict(X).tobytes()
        check(pickle.loads(pickle.dumps(estimator)).predict(X).tobytes() == first, "a pickle predicts something else")
    estimator.fit(X, y)
    check(estimator.predict(X).tobytes() == calm.predict(X).tobytes(), "a fit after an interrupt gives another network")
    return struck
