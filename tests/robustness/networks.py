"""Random networks: backends agree, threads give the same bits, files and copies go on like the original.

Tolerance: sums of n products differ by about sqrt(n) eps where they are added up in another order, 200 eps through a
few layers (see `test_parity.py`). Where results differ by more, the problem may be badly conditioned: a unit at the
kink of its activation, a variance near 0, steps that diverge. How badly is measured: the reference runs again from
parameters that are disturbed by a few units in the last place. What a right backend computes is what the reference
computes from parameters that are disturbed by so much; so its results may differ by ten times as much as those of 24
such runs do.

A gradient that is 0 but for rounding is made a whole step by optimizers that divide by its size. Where the reference is
compared with, their epsilon is large enough to prevent it; those that go by the sign alone are left to the other kinds.
"""

import copy
import dataclasses
import pickle
import tempfile
from pathlib import Path

import numpy as np
from cases import BY_SIGN
from trainings import everything

import fastmlp
from fastmlp.kernels.functions.optimizers import OPTIMIZERS

from . import drawing
from .drawing import chance, pick
from .faults import check

UNITS = 200
DISTURBANCES = (1, 4, 16, 64) * 6  # units in the last place
ALLOWED = 10  # times the effect of these
DIVERGED = {"parameters": np.array([np.nan])}


def case(draw):
    kinds = {"computed": computes, "trained": trains, "threads": any_threads, "resumed": resumes, "copied": copies}
    kind = pick(draw, kinds)
    with np.errstate(all="ignore"):  # the reference computes in plain NumPy
        try:
            return kinds[kind](draw) or kind
        except ValueError as error:
            known = ("must be", "batch_size")
            check(any(word in str(error) for word in known), f"refused without a rule: {error}")
            return "refused"


# --- agreement


def backend_of(draw):
    return pick(draw, [None] * 60 + ["jit"] + ["interpreted"] * 3)


def problem(draw, most=60, **options):
    """Arguments of a network, its parameters, plain samples, the same in some form, and targets."""
    backend = backend_of(draw)
    if backend == "interpreted":
        most, options = 7, {"widest": 9, "deepest": 3} | options
    made = drawing.architecture(draw, **options)
    network = drawing.network_of(made | {"backend": backend}, draw)
    count = int(draw.integers(1, most))
    plain, X = drawing.samples(draw, count, made["layer_sizes"][0])
    return made, network, plain, X, drawing.targets(draw, network, count)


def reference(made, parameters):
    network = fastmlp.NeuralNetwork(**made | {"backend": "reference"})
    network.parameters = parameters
    return network


def disturbed(parameters, units, draw):
    """Numbers that are 0 move, too, as a sum of which they are a part does."""
    eps, parameters = np.finfo(parameters.dtype).eps, np.asarray(parameters, np.float64)
    one, other = draw.normal(size=(2, len(parameters)))
    return parameters + units * eps * (one * parameters + 0.1 * other * np.abs(parameters).mean())


def agree(made, network, start, measure, plain_measure, draw, options=None):
    """Results of a network, and of the reference from the same parameters, are the same but for rounding."""
    with np.errstate(all="ignore"):
        actual, expected = measure(network), plain_measure(reference(made, start))
    if not all(np.isfinite(value).all() for value in expected.values()):
        return "overflowed"
    eps = np.finfo(made["dtype"]).eps
    limits = {name: UNITS * eps * np.abs(value).max(initial=0) for name, value in expected.items()}
    if not exceeded(actual, expected, limits):
        return None
    if drawing.normalizes_one(network):
        return "ill-conditioned"
    for units in DISTURBANCES:
        again = plain_measure(reference(made, disturbed(start, units, draw)))
        for name, value in expected.items():
            if again.keys() != expected.keys() or not np.isfinite(again[name]).all():
                return "ill-conditioned"
            limits[name] = max(limits[name], ALLOWED * np.abs(again[name] - value).max())
    noise = UNITS * eps * 0.1 * max(1, *(np.abs(value).max(initial=0) for value in expected.values()))
    wrong = exceeded(actual, expected, {name: max(limit, noise) for name, limit in limits.items()})
    check(not wrong, f"{network.backend} and the reference differ in {wrong}: {made}, {drawing.shown(options or {})}")
    return "ill-conditioned"


def exceeded(actual, expected, limits):
    """The names of the results that differ by more than these limits, and by how much."""
    wrong = {}
    for name, value in expected.items():
        other = actual.get(name)
        if other is None or other.shape != value.shape or not np.isfinite(other).all():
            wrong[name] = "not finite, or of another shape"
        elif (difference := np.abs(other - value).max(initial=0)) > limits[name]:
            wrong[name] = f"{difference:.3g}, allowed {limits[name]:.3g}"
    return wrong


def computes(draw):
    made, network, plain, X, y = problem(draw)
    weights = draw.uniform(0.1, 2, len(plain)) if chance(draw, 0.3) else None
    gradient = draw.normal(size=(len(plain), network.layer_sizes[-1]))

    def measure(network, X=X):
        backward = network.backward(plain if drawing.is_sparse(X) else X, gradient)
        found = {
            "predict": network.predict(X),
            "evaluate": np.array([network.evaluate(X, y, weights)]),
            "gradient": network.gradient(X, y, weights),
            "backward": backward.parameters,
            "input gradient": backward.inputs,
        }
        return {name: np.asarray(value, np.float64) for name, value in found.items()}

    return agree(made, network, network.parameters, measure, lambda one: measure(one, plain), draw)


def trains(draw):
    made, network, plain, X, y = problem(draw, widest=40, deepest=4)
    options = drawing.training(draw, network, len(plain), drawing.is_sparse(X))
    chosen = options["optimizer"]
    name = getattr(chosen, "name", chosen)
    if name in BY_SIGN:
        options["optimizer"] = "sgd"
    elif hasattr(OPTIMIZERS.get(name), "epsilon"):
        chosen = OPTIMIZERS[name]() if isinstance(chosen, str) else chosen
        options["optimizer"] = dataclasses.replace(chosen, epsilon=1e-2)
    epochs = int(draw.integers(1, 4))

    def measure(network, X=X):
        try:
            history = network.train(X, y, epochs, **options)
        except FloatingPointError:
            return DIVERGED
        columns = {name: np.array(values) for name, values in history.to_dict().items() if name != "seconds"}
        if network._state.average is not None:
            columns["average"] = np.asarray(network._state.average, np.float64)
        return columns | {"parameters": np.asarray(network.parameters, np.float64)}

    return agree(made, network, network.parameters, measure, lambda one: measure(one, plain), draw, options)


# --- bits


def same(one, other, what):
    """Two networks have the same parameters, optimizer's state and history, but for the time that it took."""
    (header, arrays), (other_header, other_arrays) = everything(one), everything(other)
    check(header == other_header, f"{what}: other facts")
    check(arrays == other_arrays, f"{what}: other bits in {[n for n in arrays if arrays[n] != other_arrays.get(n)]}")
    losses = [network.history and network.history.loss for network in (one, other)]
    check(losses[0] == losses[1], f"{what}: other losses")


def run(network, X, y, epochs, options):
    """Train; divergence is an end like others."""
    try:
        network.train(X, y, epochs, **options)
    except FloatingPointError:
        return "diverged"
    return None


def any_threads(draw):
    """Networks large enough that threads pay are among them."""
    large = chance(draw, 0.5)
    made = drawing.architecture(draw, widest=300 if large else 70, deepest=3)
    network = drawing.network_of(made, draw)
    count = int(draw.integers(1, 1500 if large else 200))
    _, X = drawing.samples(draw, count, network.layer_sizes[0])
    y = drawing.targets(draw, network, count)
    options = drawing.training(draw, network, count, drawing.is_sparse(X))
    if options["optimizer"] == "lbfgs":
        del options["optimizer"]
    if large:
        options["batch_size"] = int(draw.integers(32, 600))
    twins = [copy.deepcopy(network) for _ in range(4)]
    outputs = []
    for threads, twin in enumerate(twins, start=1):
        twin.threads = threads
        run(twin, X, y, 2, options)
        outputs.append((twin.predict(X, allow_nan=True).tobytes(), twin.predictor()(X).tobytes()))
        same(twins[0], twin, f"{threads} threads instead of 1, {made}, {drawing.shown(options)}")
    check(len(set(outputs)) == 1, f"predictions depend on the number of threads: {made}")


def resumes(draw):
    """Saved in the middle, loaded, gone on with: as if nothing had happened."""
    made, network, _, X, y = problem(draw, widest=40, deepest=4)
    options = drawing.training(draw, network, len(y), drawing.is_sparse(X)) | drawing.watched(draw, network)
    if options["optimizer"] == "lbfgs":
        options["optimizer"] = "sgd"
    epochs = int(draw.integers(2, 7))
    whole, part = copy.deepcopy(network), copy.deepcopy(network)
    if run(whole, X, y, epochs, options) or run(part, X, y, int(draw.integers(1, epochs)), options):
        return "diverged"
    if options.get("restore_best"):  # the end of a training is then another than its last epoch
        return "restored"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.npz"
        part.save(path, training=True)
        again = fastmlp.load(path, backend=part._backend_asked)
    run(again, X, y, epochs, options | {"resume": True})
    same(whole, again, f"resumed from a file: {made}, {drawing.shown(options)}")
    return None


def copies(draw):
    """Copies are equal, go on alike, and share nothing."""
    made, network, _, X, y = problem(draw, widest=40, deepest=4)
    options = drawing.training(draw, network, len(y), drawing.is_sparse(X))
    if run(network, X, y, 1, options):
        return "diverged"
    before = everything(network)
    ways = {
        "copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    }  # fmt: skip
    way = pick(draw, ways)
    twin = ways[way](network)
    same(network, twin, f"{way}: {made}")
    outputs = network.predict(X).tobytes()
    for other in (twin.predict, twin.predictor(), pickle.loads(pickle.dumps(network.predictor()))):
        check(other(X).tobytes() == outputs, f"predictions after {way} differ: {made}")
    ends = [run(twin, X, y, 2, options)]
    check(everything(network) == before, f"training a {way} changed the original: {made}")
    ends.append(run(network, X, y, 2, options))
    check(ends[0] == ends[1], f"only one of two copies diverged: {made}")
    same(network, twin, f"trained after {way}: {made}, {drawing.shown(options)}")
    return None
