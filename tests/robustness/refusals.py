"""Wrong arguments for everything that is public: it works, or says in one sentence what is wrong, and nothing changes.

What is public is found by itself: the names of `fastmlp.__all__`, the methods of what they make, and their signatures.
"""

import copy
import inspect
import os
import tempfile
import warnings

import numpy as np
import refusals as lists
from trainings import everything

import fastmlp
from fastmlp import NeuralNetwork

from .drawing import chance, pick
from .faults import Fault, check

REFUSALS = (ValueError, TypeError, OSError)
OF_SOME = {  # what these also may raise, as their documentation says
    RuntimeError: ("backend", "FASTMLP_BACKEND"),
    ImportError: ("tqdm",),
    MemoryError: ("",),
    AttributeError: ("are of layers with normalization",),
}
LONGEST = 500  # characters of a sentence, beside a path


class Mischief(Exception):
    """Raised by hostile objects."""


def raises(*arguments, **named):
    raise Mischief("mischief")


def bad_repr(self):
    raise Mischief("repr")


HOOKS = {  # what Python and NumPy ask of objects, and what hostile ones answer
    "__array__": [raises, lambda *a, **k: 5, lambda *a, **k: np.array([None]), lambda *a, **k: np.zeros((2, 3))],
    "__len__": [raises, lambda self: 2**62, lambda self: 3, lambda self: 0],
    "__iter__": [raises, lambda self: iter([1, 2]), lambda self: iter([None]), lambda self: iter(["x"] * 3)],
    "__getitem__": [raises, lambda self, i: (1, 1, 1)[i], lambda self, i: [self][i]],  # NumPy follows endless ones
    "__eq__": [raises, lambda self, other: True, lambda self, other: np.array([True, False])],
    "__bool__": [raises, lambda self: False],
    "__float__": [raises, lambda self: float("nan"), lambda self: 1e300],
    "__index__": [raises, lambda self: 2, lambda self: -1, lambda self: 2**70],
    "__call__": [raises, lambda self, *a, **k: None, lambda self, *a, **k: self, lambda self, *a, **k: 1.0],
    "__fspath__": [raises, lambda self: b"\0", lambda self: "x\0"],
    "__hash__": [raises, lambda self: 1],
    "__getattr__": [raises, lambda self, name: self, lambda self, name: 3],
    "__str__": [raises, lambda self: "many\nlines"],
    "shape": [(2, 3), "x", (-1,)],
    "name": ["adam", "lbfgs", "relu", 3],
    "every": [0, None, "x", 1.5],
    "format": ["csr", 3],
    "tocsr": [raises, lambda self: 3],
}  # fmt: skip


def hostile(draw):
    """An object that answers some of what it is asked, and not as it should; its repr fails in any case."""
    chosen = draw.choice(list(HOOKS), size=draw.integers(1, 4), replace=False)
    members = {str(name): pick(draw, HOOKS[name]) for name in chosen}
    base = pick(draw, [object, object, object, list, dict, str, float, int, np.ndarray, tuple])
    cls = type("Hostile", (base,), members | {"__repr__": bad_repr})
    try:
        return cls() if base is not np.ndarray else np.zeros((4, 3)).view(cls)
    except Exception:
        return hostile(draw)


PLAIN = [
    None, True, False, 0, -1, 1, 2, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.5, float("nan"), float("inf"), 1e308, 1j,
    5e-324, "", "x", "adam", "relu", "softmax", "balanced", "a\nb", "\0", "ü" * 1000, b"x", b"\xff", Ellipsis,
    slice(None), [], [1], [[]], [None], ["relu"], [[1, 2], [3]], (), (1, 2), {}, {"a": 1}, {0: 2.0}, {0: -1}, {5: 1},
    set(), range(3), iter([1, 2]), object(), type, NeuralNetwork, NotImplemented, lambda: 1, lambda *_: 1,
    lambda *_: None, lambda *_: raises(), np.float32(2), np.int8(-3), np.bool_(True), np.array(3), np.zeros(0),
    np.zeros((0, 3)), np.zeros((4, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan), np.zeros((4, 3), complex),
    np.zeros((4, 3), object),
    np.zeros((4, 3), "U3"), np.zeros((4, 3), "M8[s]"), np.zeros((1,) * 32), np.array([1e308] * 3),
    np.ma.masked_array(np.zeros((4, 3)), True), memoryview(b"abc"), bytearray(b"abc"),
]  # fmt: skip
WRONG = [*PLAIN, *lists.BAD_X]


def wrong(draw):
    value = hostile(draw) if chance(draw, 0.4) else pick(draw, WRONG)
    for wrap in (lambda v: [v], lambda v: (v, v), lambda v: {0: v}, lambda v: [v] * 4):
        if chance(draw, 0.05):
            value = wrap(value)
    return value


# --- what there is to call, and good arguments

X, Y = np.arange(12.0).reshape(4, 3) / 10, np.eye(2)[[0, 1, 1, 0]]
GOOD = {
    "layer_sizes": [3, 4, 2],
    "X": X,
    "y": Y,
    "inputs": X,
    "output_gradient": Y,
    "epochs": 2,
    "chunks": [(X, Y)],
    "then": 0.1,
    "forward": np.tanh,
    "value": lambda output, target: (output - target) ** 2,
    "derivative": lambda *z: 1.0,
    "loss": [1.0],
}
MADE_INSIDE = {"Layer", "Neuron", "ParameterVector", "Predictor", "TrainingProgress", "DivergenceError", "History"}


def targets_of_calls(network, folder):
    """Everything public that can be called, by its name: (callable, good arguments)."""
    path = os.path.join(folder, "a.npz")
    network.save(path)
    good = GOOD | {"path": path}
    things = {name: getattr(fastmlp, name) for name in fastmlp.__all__ if name not in MADE_INSIDE}
    owners = {
        "network": network, "predictor": network.predictor(), "layer": network.layers[0],
        "neuron": network.layers[0].neurons[1], "history": network.history, "parameters": network.parameters,
    }  # fmt: skip
    for title, owner in owners.items():
        names = [n for n in dir(type(owner)) if not n.startswith("_")] if title != "parameters" else ["layers"]
        for name in names:
            value = inspect.getattr_static(type(owner), name)
            if isinstance(value, property) and value.fset is not None:
                things[f"{title}.{name} ="] = setter(owner, name)
            elif inspect.isfunction(value):
                things[f"{title}.{name}"] = getattr(owner, name)
    things["predictor()"] = owners["predictor"]
    return {name: (thing, good) for name, thing in things.items()}


def setter(owner, name):
    def assign(value):
        setattr(owner, name, value)

    return assign


def arguments_of(thing, good):
    """The parameters of a callable by name, and the arguments that it cannot do without."""
    callable_ = type(thing).__mro__[-2].__call__ if isinstance(thing, fastmlp.Predictor) else thing
    parameters = dict(inspect.signature(callable_).parameters)
    parameters.pop("self", None)
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    names = [name for name, one in parameters.items() if one.kind not in kinds and not name.startswith("_")]
    needed = {name: good.get(name) for name in names if parameters[name].default is inspect.Parameter.empty}
    return names, needed


def case(draw):
    network = NeuralNetwork([3, 4, 2], pick(draw, ["tanh", "relu"]), seed=1, normalization=pick(draw, [None, "batch"]))
    network.train(X, Y, 2, optimizer=pick(draw, ["sgd", "adam"]), ema_decay=0.5)
    with tempfile.TemporaryDirectory() as folder:
        here = os.getcwd()
        os.chdir(folder)  # where files of odd names may be written
        try:
            return attack(draw, network, folder)
        finally:
            os.chdir(here)


def attack(draw, network, folder):
    things = targets_of_calls(network, folder)
    name = pick(draw, things)
    if chance(draw, 0.3):
        name = pick(draw, ["NeuralNetwork", "network.train", "network.train_stream", "network.predict", "predictor()"])
    thing, good = things[name]
    names, arguments = arguments_of(thing, good)
    if name == "network.train":
        arguments["time_limit"] = 0.2
    if not names:
        return "nothing to be wrong"
    spoiled = [str(one) for one in draw.choice(names, size=min(len(names), draw.integers(1, 3)), replace=False)]
    spoiled = [one for one in spoiled if one != "time_limit" or "epochs" not in spoiled]
    arguments |= {one: wrong(draw) for one in spoiled}
    given = f"{name} with {', '.join(f'{one}={described(arguments[one])}' for one in spoiled)}"
    before, outputs = everything(network), network.predict(X).tobytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            thing(**arguments)
    except Mischief as error:
        check(str(error) != "repr", f"{given}: the repr of an argument is not guarded")
        kind = "own errors"
    except REFUSALS as error:
        check_sentence(str(error), given, folder)
        kind = "refused"
    except FloatingPointError:  # after some steps
        kind = "diverged"
    except Exception as error:
        check(allowed(error), f"{given} raised {type(error).__name__}: {error}")
        kind = "refused otherwise"
    else:
        kind = "worked"
    finished(network, name, kind, before, outputs, given)
    return kind


def described(value):
    """For a message; hostile objects are told apart by what they answer."""
    try:
        return repr(value)[:100]
    except Exception:
        return f"<{type(value).__base__.__name__} with {sorted(set(vars(type(value))) & set(HOOKS))}>"


def allowed(error):
    return any(isinstance(error, kind) and any(word in str(error) for word in words) for kind, words in OF_SOME.items())


def check_sentence(text, given, folder):
    text = text.replace(folder, "")
    check("\n" not in text and 0 < len(text) < LONGEST, f"{given}: not one sentence: {text[:300]!r}")


def finished(network, name, kind, before, outputs, given):
    """What was refused has changed nothing, and the network goes on in any case."""
    if kind.startswith("refused") and not name.endswith("reset_optimizer"):
        check(everything(network) == before, f"{given}: refused, and the network is another")
        check(network.predict(X).tobytes() == outputs, f"{given}: refused, and predictions are others")
    check(not network._watched, f"{given}: the network believes that it is being trained")
    try:
        twin = copy.deepcopy(network)
        twin.predict(X)
        twin.train(X, Y, 1)
    except FloatingPointError:
        pass  # weights may be as large as they like
    except Exception as error:
        raise Fault(f"{given}: the network is of no use any more: {type(error).__name__}: {error}") from error
