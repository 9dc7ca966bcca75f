"""Threads that use a network while another trains it: what they see is of one moment, and they do not disturb it."""

import copy
import pickle
import tempfile
import threading
from pathlib import Path

import numpy as np

import fastmlp

from . import drawing, networks
from .drawing import chance, pick
from .faults import Fault, check, one_line

READERS = 3


def ways(network, X, y, folder):
    """What threads do with a network, as bytes; the parameters are enough to know what has to come of it."""
    kept = network.predictor()
    fixed = kept(X).tobytes()

    def old(one):
        check(kept(X).tobytes() == fixed, "a predictor has changed")
        return b""

    def saved(one):
        path = Path(folder) / f"{threading.get_ident()}.npz"
        one.save(path, training=True)
        return np.asarray(fastmlp.load(path).parameters).tobytes()

    return {
        "predict": lambda one: one.predict(X, allow_nan=True).tobytes(),
        "predictor": lambda one: pickle.loads(pickle.dumps(one.predictor()))(X).tobytes(),
        "old predictor": old,
        "evaluate": lambda one: np.float64(one.evaluate(X, y)).tobytes(),
        "gradient": lambda one: np.asarray(one.gradient(X, y)).tobytes(),
        "parameters": lambda one: np.asarray(one.parameters).tobytes(),
        "weights": lambda one: one.layers[-1].weights.tobytes(),
        "copy": lambda one: np.asarray(copy.deepcopy(one).parameters).tobytes(),
        "pickle": lambda one: np.asarray(pickle.loads(pickle.dumps(one)).parameters).tobytes(),
        "save": saved,
        "outputs of layers": lambda one: one.layer_outputs(X)[0].tobytes() and b"",
    }


def case(draw):
    made = drawing.architecture(draw, widest=pick(draw, [20, 200]), deepest=3)
    network = drawing.network_of(made, draw)
    count = int(draw.integers(2, 200))
    plain, X = drawing.samples(draw, count, network.layer_sizes[0])
    y = drawing.targets(draw, network, count)
    options = drawing.training(draw, network, count, drawing.is_sparse(X))
    if options["optimizer"] == "lbfgs":
        options["optimizer"] = "adam"
    calm, versions = copy.deepcopy(network), [np.asarray(network.parameters)]
    trainings, epochs = int(draw.integers(1, 6)), int(draw.integers(1, 5))

    def note(network, progress):
        versions.append(np.asarray(network.parameters))

    def train(one):
        for _ in range(trainings):
            one.train(X, y, epochs, **options | {"callbacks": note})
            versions.append(np.asarray(one.parameters))

    try:
        train(calm)
    except (ValueError, FloatingPointError):
        return "refused"
    with tempfile.TemporaryDirectory() as folder:
        doings = ways(network, plain[:5], y[:5], folder)
        chosen = [[pick(draw, doings) for _ in range(1 + draw.integers(4))] for _ in range(READERS)]
        if chance(draw, 0.3):  # one thing that all threads do
            chosen = [chosen[0]] * READERS
        seen = together(network, doings, chosen, train)
    networks.same(calm, network, f"trained while other threads read: {made}, {drawing.shown(options)}")
    for what, results in seen.items():
        possible, twin = {b""}, copy.deepcopy(calm)
        for version in {vector.tobytes(): vector for vector in versions}.values():
            twin.parameters = version
            possible.add(ways(twin, plain[:5], y[:5], folder)[what](twin) if what != "save" else version.tobytes())
        network_and_options = f"{made}, {drawing.shown(options)}"
        check(results <= possible, f"{what} in another thread is of no moment of the training: {network_and_options}")
    return "normalized" if "normalization" in made else "plain"


def together(network, doings, chosen, train):
    """Train in this thread, while others do these things; all that they saw."""
    seen, errors, over = {what: set() for names in chosen for what in names}, [], threading.Event()
    begun = threading.Barrier(READERS + 1)

    def read(names):
        begun.wait()
        try:
            while not over.is_set():
                for what in names:
                    seen[what].add(doings[what](network))
        except Exception as error:
            errors.append(one_line(error))

    readers = [threading.Thread(target=read, args=[names]) for names in chosen]
    for reader in readers:
        reader.start()
    try:
        begun.wait()
        train(network)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    if errors:
        raise Fault(f"a thread that read failed: {errors[0]}")
    return seen
