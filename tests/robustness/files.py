"""Files: round trips, damaged ones, and those of writers that are killed."""

import contextlib
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from trainings import everything

import fastmlp

from . import drawing, networks
from .drawing import chance, pick
from .faults import check

ROOM = 1 << 30  # bytes of memory that loading may take: what asks for far more than a file has bytes fails


def case(draw):
    kind = pick(draw, [returns] * 6 + [damaged] * 20 + [forged] * 20 + [killed])
    with tempfile.TemporaryDirectory() as folder:
        return kind(draw, Path(folder) / "network.npz")


def network_of(draw, widest=20):
    """A network, trained or not."""
    made = drawing.architecture(draw, widest=widest, deepest=3)
    network = drawing.network_of(made, draw)
    count = int(draw.integers(1, 30))
    plain, _ = drawing.samples(draw, count, network.layer_sizes[0])
    y = drawing.targets(draw, network, count)
    options = drawing.training(draw, network, count) | drawing.watched(draw, network)
    if chance(draw, 0.8):
        with contextlib.suppress(ValueError, FloatingPointError):
            network.train(plain, y, int(draw.integers(1, 4)), **options)
    return network


def returns(draw, path):
    network = network_of(draw, widest=pick(draw, [20, 300]))
    network.save(path, training=chance(draw, 0.5))
    again = fastmlp.load(path)
    check(everything(again) == everything(network), "what is loaded is not what was saved")
    X = draw.normal(size=(5, network.layer_sizes[0]))
    outputs = [one.predict(X, allow_nan=True).tobytes() for one in (network, again)]
    check(outputs[0] == outputs[1], "what is loaded predicts something else")
    other = path.with_name("other.npz")
    again.save(other, training=True)
    check(everything(fastmlp.load(other)) == everything(network), "the second file is not like the first")
    return "returned"


def load(path, saved=None):
    """What comes of loading a file that is not as it was saved."""
    try:
        again = fastmlp.load(path)
    except (ValueError, OSError) as error:
        check(type(error) is ValueError or isinstance(error, OSError), f"load raised {type(error).__name__}: {error}")
        check("\n" not in str(error) and len(str(error)) < 500 + len(str(path)), f"not one sentence: {error}")
        return "refused"
    check(saved is None or everything(again) == saved, "a damaged file gives another network")
    with contextlib.suppress(FloatingPointError), np.errstate(all="ignore"):
        again.predict(np.zeros((2, again.layer_sizes[0])), allow_nan=True)
        again.save(path)
        check(everything(fastmlp.load(path)) == everything(again), "a damaged file is not saved as it was loaded")
    return "loaded"


def damaged(draw, path):
    """Bytes are changed, removed, repeated or moved: the same network, or none."""
    network = network_of(draw)
    network.save(path, training=chance(draw, 0.5))
    saved, data = everything(fastmlp.load(path)), bytearray(path.read_bytes())
    for _ in range(int(pick(draw, [1, 1, 1, 2, 5, 20]))):
        start = int(pick(draw, [draw.integers(len(data)), len(data) - 1 - draw.integers(min(len(data), 600))]))
        length = int(pick(draw, [1, 4, draw.integers(1, 200)]))
        way = draw.integers(6)
        if way == 0:
            data[start] ^= 1 << int(draw.integers(8))
        elif way == 1:
            data[start] = int(pick(draw, [0, 255, 127, 128]))
        elif way == 2:
            data[start : start + length] = draw.bytes(length)
        elif way == 3:
            del data[start : start + length]
        elif way == 4:
            data[start:start] = data[start : start + length]
        else:
            del data[start:]
        if not data:
            break
    path.write_bytes(data)
    return f"damaged {load(path, saved)}"


ODD = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf"), "", "x", "relu",
    "adam", "float64", "lbfgs", [], {}, [[]], ["relu"], [1, 2], {"name": "huber", "delta": -1}, {"name": "elu"},
    "\ud800", {"name": "sgd"}, [None] * 3, "ü" * 10**5, [10**9, 10**9],
]  # fmt: skip


def places(node, path=()):
    """Where in a header something may be replaced."""
    found = [path] if path else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def spoil(draw, header):
    where = pick(draw, places(header))
    node = header
    for key in where[:-1]:
        node = node[key]
    way = draw.integers(4)
    if way == 0:
        del node[where[-1]]
    elif way == 1 and isinstance(node, dict):
        node[pick(draw, ["x", "name", "version", "table", "average"])] = pick(draw, ODD)
    elif way == 2 and isinstance(node[where[-1]], int | float):
        node[where[-1]] = pick(draw, [-node[where[-1]], node[where[-1]] + 1, float(node[where[-1]])])
    else:
        node[where[-1]] = pick(draw, ODD)


def odd(draw, array):
    """An array of another shape or type, or with other numbers."""
    others = [array[None], array.ravel()[:-1], np.zeros((0, 3)), np.zeros((3, 0)), np.array("x")]
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            others += [array.astype(kind) for kind in ("f2", "f4", "f8", ">f8", "i4", "U5", "?")]
        others += [np.full_like(array, np.nan), np.full_like(array, np.inf), -array]
    return pick(draw, others)


def forged(draw, path):
    """Headers with odd facts, arrays of other shapes and types, members of other files: valid archives of nonsense."""
    network_of(draw).save(path, training=chance(draw, 0.7))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"]))
    for _ in range(int(draw.integers(0, 3))):
        if places(header):
            spoil(draw, header)
    arrays["header"] = np.array(json.dumps(header))
    if chance(draw, 0.4):
        name = pick(draw, arrays)
        arrays[name] = odd(draw, arrays[name])
    if chance(draw, 0.2):
        arrays.pop(pick(draw, arrays))
    if chance(draw, 0.2):
        other = path.with_name("other.npz")
        network_of(draw).save(other, training=True)
        with np.load(other) as file:
            name = pick(draw, file.files)
            arrays[name] = file[name]
    way = pick(draw, [np.savez, np.savez, np.savez_compressed, rezipped])
    way(path, **arrays)
    return f"forged {load(path)}"


def rezipped(path, **arrays):
    """Members twice, in another order, with names that are paths."""
    with zipfile.ZipFile(path, "w") as file:
        for name, array in reversed(arrays.items()):
            stream = io.BytesIO()
            np.save(stream, array)
            file.writestr(f"{name}.npy", stream.getvalue())
        file.writestr("../x.npy", b"x")


WRITER = """
import sys, numpy as np, fastmlp
network = fastmlp.NeuralNetwork([300, 300, 3], seed=0)
print("begun", flush=True)
number = 0
while True:
    number += 1
    network.parameters = np.full(len(network.parameters), number, "f4")
    network.save(sys.argv[1])
"""


def killed(draw, path):
    """A writer that dies at any moment leaves a whole file; the next one removes what else it has left."""
    moment = random.Random(int(draw.integers(2**32)))
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(moment.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        writer.wait()
        writer.stdout.close()
        if path.exists():
            numbers = np.asarray(fastmlp.load(path).parameters)
            check(len(set(numbers.tolist())) == 1, "a file of two moments")
    network = fastmlp.NeuralNetwork([2, 1], seed=0)
    network.save(path)
    networks.same(network, fastmlp.load(path), "saved after a writer was killed")
    left = sorted(one.name for one in path.parent.iterdir())
    check(left == [path.name], f"something was left behind: {left}")
    return "writers killed"
