"""Networks that several threads use, and signal handlers and destructors that use them in between."""

import copy
import gc
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from processes import fresh

import fastmlp
from fastmlp import NeuralNetwork

X = np.random.default_rng(0).normal(size=(64, 8))
Y = np.random.default_rng(1).normal(size=(64, 3))


def made(normalization=None, **options):
    options = {"dtype": "float64", "seed": 3} | options
    return NeuralNetwork([8, 300, 3], "tanh", normalization=normalization, **options)


def versions_while(network, look, trainings=40, **options):
    """Train in another thread, and call `look` in this one meanwhile; all parameters that the network ever had."""
    versions = [np.asarray(network.parameters)]

    def note(network, progress):
        versions.append(np.asarray(network.parameters))

    def train():
        for _ in range(trainings):
            network.train(X, Y, 3, 0.01, 16, callbacks=note, **options)
            versions.append(np.asarray(network.parameters))

    trainer = threading.Thread(target=train)
    trainer.start()
    seen = []
    while trainer.is_alive():
        seen.append(look())
    trainer.join()
    return versions, seen


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_what_other_threads_read_is_of_one_moment(normalization):
    network = made(normalization)
    versions, seen = versions_while(network, lambda: np.asarray(network.parameters))
    assert {vector.tobytes() for vector in seen} <= {vector.tobytes() for vector in versions}


@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("what", ["predict", "evaluate", "gradient", "predictor", "layers", "deepcopy", "pickle"])
def test_what_other_threads_compute_is_of_one_moment(normalization, what):
    network = made(normalization)
    ways = {
        "predict": lambda net: net.predict(X[:5]).tobytes(),
        "evaluate": lambda net: net.evaluate(X[:5], Y[:5]),
        "gradient": lambda net: np.asarray(net.gradient(X[:5], Y[:5])).tobytes(),
        "predictor": lambda net: net.predictor()(X[:5]).tobytes(),
        "layers": lambda net: net.layers[0].weights.tobytes(),
        "deepcopy": lambda net: np.asarray(copy.deepcopy(net).parameters).tobytes(),
        "pickle": lambda net: np.asarray(pickle.loads(pickle.dumps(net)).parameters).tobytes(),
    }
    versions, seen = versions_while(network, lambda: ways[what](network), trainings=15)
    twin, possible = made(normalization), set()
    for version in {vector.tobytes(): vector for vector in versions}.values():
        twin.parameters = version
        possible.add(ways[what](twin))
    assert set(seen) <= possible


def test_files_that_other_threads_save_can_be_gone_on_with(tmp_path):
    """Parameters, the optimizer's state and the history are of the same epoch."""
    network, count = made(), [0]

    def save():
        network.save(tmp_path / f"{count[0]}.npz", training=True)
        count[0] += 1

    done, options = [], {"optimizer": "adam", "batch_size": 64, "learning_rate": 1e-3}

    def train():
        network.train(X, Y, 150, callbacks=lambda network, progress: None, **options)
        done.append(None)

    trainer = threading.Thread(target=train)
    trainer.start()
    while not done:
        save()
    trainer.join()
    chosen = np.unique(np.linspace(0, count[0] - 1, 12).astype(int))
    for number in chosen:
        again = fastmlp.load(tmp_path / f"{number}.npz")
        if again.history is None:
            continue
        assert again.history.epochs == again._state.epochs == again._state.updates
        again.train(X, Y, 150, resume=True, **options)
        assert np.asarray(again.parameters).tobytes() == np.asarray(network.parameters).tobytes()


def between_lines(function, line, act):
    """Call the function, and act before the line-th line of Python that it executes; what it returns, and whether."""
    seen = [0]

    def trace(frame, event, argument):
        if event == "line":
            seen[0] += 1
            if seen[0] == line:
                sys.settrace(None)
                act()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return function(), seen[0] >= line
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "save"])
def test_copies_are_of_one_moment_whatever_a_training_does_between_two_lines(way, tmp_path):
    """It may adopt another optimizer, and add a column to the history."""
    path, line, acted = tmp_path / "network.npz", 0, True

    def save(network):
        network.save(path, training=True)
        return fastmlp.load(path)

    ways = {"deepcopy": copy.deepcopy, "pickle": lambda one: pickle.loads(pickle.dumps(one)), "save": save}
    while acted:
        line += 1
        network = NeuralNetwork([8, 3, 3], seed=0)
        network.train(X, Y, 2)

        def train(network=network):
            network._state = network._state.begun(fastmlp.Adam())
            network.history._add([0.5], validation_loss=[0.25])
            for record in (network._model, network._state.optimizer):
                vars(record)["kept"] = None  # as a property that is computed once

        twin, acted = between_lines(lambda network=network: ways[way](network), line, train)
        assert len(twin._state.slots) == (2 if twin._state.optimizer.name == "adam" else 0)
        assert twin.history.epochs in (2, 3)
        assert set(map(len, twin.history.to_dict().values())) == {twin.history.epochs}
    assert line > 20


def while_training(act):
    """What happens to a thread that does something with a network while another trains it."""
    network, begun, over = made(), threading.Event(), threading.Event()

    def wait(network, progress):
        begun.set()
        over.wait()

    trainer = threading.Thread(target=lambda: network.train(X, Y, 2, callbacks=wait))
    trainer.start()
    begun.wait()
    before = np.asarray(network.parameters).tobytes()
    try:
        return act(network)
    except RuntimeError as error:
        return str(error)
    finally:
        assert np.asarray(network.parameters).tobytes() == before
        over.set()
        trainer.join()
        network.train(X, Y, 1)


@pytest.mark.parametrize("name", ["train", "train_stream", "reset_optimizer"])
def test_one_training_at_a_time(name):
    acts = {
        "train": lambda net: net.train(X, Y, 1), "train_stream": lambda net: net.train_stream([(X, Y)]),
        "reset_optimizer": lambda net: net.reset_optimizer(),
    }  # fmt: skip
    message = f"{name} must not be called by callbacks or chunks of the same network's training, nor by another thread"
    assert while_training(acts[name]).startswith(message)


@pytest.mark.parametrize("name", ["parameters", "weights", "bias"])
def test_other_threads_do_not_assign(name):
    def assign(network):
        if name == "parameters":
            network.parameters = network.parameters * 0
        elif name == "weights":
            network.layers[0].weights = network.layers[0].weights * 0
        else:
            network.layers[1].neurons[0].bias = 1

    message = f"{name} must not be assigned while the network is being trained, but by its callbacks"
    assert while_training(assign) == message


def test_nobody_but_callbacks_assigns_in_a_training():
    """What metrics, learning rates and signal handlers assigned would be lost without a word."""
    message = "parameters must not be assigned while the network is being trained, but by its callbacks"
    for where in ("metric", "rate"):
        network = made()

        def assign(*ignored, network=network):
            network.parameters = network.parameters * 0
            return 0.0

        options = {"metrics": assign} if where == "metric" else {"learning_rate": assign}
        with pytest.raises(RuntimeError, match=f"^{message}$"):
            network.train(X, Y, 3, **options)
        network.parameters = network.parameters * 0


def test_what_is_assigned_between_chunks_is_trained_on():
    network, twin = made(), made()

    def chunks():
        yield X[:32], Y[:32]
        network.parameters = network.parameters * 0.5
        yield X[32:], Y[32:]

    network.train_stream(chunks, 1)
    twin.train_stream([(X[:32], Y[:32])])
    twin.parameters = twin.parameters * 0.5
    twin.train_stream([(X[32:], Y[32:])])
    np.testing.assert_array_equal(network.parameters, twin.parameters)


def test_a_learning_rate_cannot_train_its_own_network():
    network = made()

    def rate(epoch):
        network.train(X, Y, 1)
        return 0.1

    with pytest.raises(RuntimeError, match=r"^train must not be called by callbacks or chunks"):
        network.train(X, Y, 3, learning_rate=rate)
    assert network.history is None
    assert network.train(X, Y, 3).epochs == 3


def test_a_vector_that_is_shared_with_kernels_is_caught(monkeypatch):
    """What other threads read would be of two moments if kernels wrote to the network's own vector."""
    from fastmlp.kernels.runtime.training import TrainingPlan

    right = TrainingPlan.begin

    def begin(self, X, y, parameters, *rest):
        right(self, X, y, parameters, *rest)
        self._parameters = parameters
        self["canonical"] = parameters


    network = made(backend="compiled" if fastmlp.kernels.backends.choice.extension_exists() else "jit")
    monkeypatch.setattr(TrainingPlan, "begin", begin)
    before = np.asarray(network.parameters).tobytes()
    work = network._executor.training(X, Y, network._state.slots, schedule_of_an_epoch())
    work.run(0, 4)
    assert np.asarray(network.parameters).tobytes() != before
    monkeypatch.undo()
    before = np.asarray(network.parameters).tobytes()
    work = network._executor.training(X, Y, network._state.slots, schedule_of_an_epoch())
    work.run(0, 4)
    assert np.asarray(network.parameters).tobytes() == before


def schedule_of_an_epoch():
    from fastmlp.kernels.functions.optimizers import SGD
    from fastmlp.kernels.runtime.training import Schedule

    return Schedule(SGD(0.1), 16, 1)


# --- in the middle of something else


LARGE = """
import gc, signal, sys, threading, time
import numpy as np
import fastmlp
from fastmlp.kernels.runtime import threads
X = np.zeros((3000, 64), "f4")
network = fastmlp.NeuralNetwork([64, 256, 256, 4], seed=0)
predictor = network.predictor()
expected = predictor(X).tobytes()
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_signal_handlers_may_predict():
    """Wherever they hit: also while their own thread holds the lock of the helpers, which is taken by hand here."""
    code = LARGE + """
calls = []
def handler(number, frame):
    signal.setitimer(signal.ITIMER_REAL, 0)
    calls.append(predictor(X).tobytes() == expected and network.predict(X).tobytes() == expected)
    signal.setitimer(signal.ITIMER_REAL, 0.0017)
signal.signal(signal.SIGALRM, handler)
with threads._lock:
    signal.raise_signal(signal.SIGALRM)
with network._executor.lock:
    signal.raise_signal(signal.SIGALRM)
for _ in range(60):
    assert predictor(X).tobytes() == expected
signal.setitimer(signal.ITIMER_REAL, 0)
print(all(calls), len(calls) > 2)
"""
    assert fresh(code, FASTMLP_NUM_THREADS="2") == "True True\n"


def test_destructors_may_predict():
    code = LARGE + """
calls = []
class Cycle:
    def __init__(self): self.me = self
    def __del__(self): calls.append(predictor(X).tobytes() == expected)
with threads._lock:
    Cycle()
    gc.collect()
for _ in range(30):
    Cycle()
    assert predictor(X).tobytes() == expected
gc.collect()
print(all(calls), len(calls))
"""
    assert fresh(code, FASTMLP_NUM_THREADS="2") == "True 31\n"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
def test_a_storm_of_real_signals_leaves_networks_whole():
    """The same as `test_interrupts.py`, where the operating system chooses the moment, and often a second one."""
    code = """
import random, signal
import numpy as np
import fastmlp
random.seed(0)
X, y = np.random.default_rng(0).normal(size=(64, 400)).astype("f4"), np.ones((64, 1), "f4")
made = lambda: fastmlp.NeuralNetwork([400, 400, 1], seed=0)
whole = lambda n: (np.asarray(n.parameters).tobytes(), n._state.slots.tobytes(), n._state.updates)
options = dict(optimizer="adam", batch_size=64, learning_rate=1e-4)
known = []
for epochs in range(5):
    network = made()
    if epochs: network.train(X, y, epochs, **options)
    known.append(whole(network))
left = [0]
def handler(number, frame):
    if left[0] > 0:
        left[0] -= 1
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, handler)
interrupted = 0
for _ in range(150):
    network = made()
    left[0] = 2
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-4, 8e-3), random.uniform(1e-4, 3e-3))
        network.train(X, y, 4, **options)
        left[0] = 0
    except KeyboardInterrupt:
        interrupted += 1
        left[0] = 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    now = whole(network)
    assert now in known or now[2] == 0, now[2]
    assert not network._watched
    network.train(X, y, 1, **options)
print("whole")
"""
    assert fresh(code) == "whole\n"


def test_epochs_take_memory_as_they_come():
    """More of them than memory has room for, until the time is over; a function is not asked for all of their rates."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
import fastmlp
network = fastmlp.NeuralNetwork([2, 2, 1], seed=0)
asked = []
def rate(epoch):
    asked.append(epoch)
    return 1e-9
history = network.train([[0.5, 0.5]], [[0.5]], 2**31 - 1, batch_size=1, learning_rate=rate, time_limit=0.2)
assert history.stopped.startswith("The time_limit of 0.2 seconds was reached"), history.stopped
assert max(asked) < history.epochs + 10_000_000
options = dict(learning_rate=1e-9, time_limit=0.2, gradient_norms=True)
history = network.train([[0.5, 0.5]], [[0.5]], 2**31 - 1, batch_size=1, **options)
assert len(history.loss) == len(history.gradient_norm) == history.epochs > 1
print("fine")
"""
    pytest.importorskip("resource")
    assert fresh(code, OPENBLAS_NUM_THREADS="1") == "fine\n"


def test_losses_of_many_epochs_are_those_of_few_at_a_time(backend):
    """Beyond the room that there is to begin with."""
    epochs = 2500
    options = {"learning_rate": 1e-3, "batch_size": 2, "shuffle": False, "gradient_norms": True}
    one, other = (NeuralNetwork([1, 1], seed=0, dtype="float64", backend=backend.name) for _ in range(2))
    data = np.arange(2.0)[:, np.newaxis], np.ones((2, 1))
    if backend.name == "interpreted":
        epochs = 1010
    whole = one.train(*data, epochs, **options)
    parts = [other.train(*data, count, **options) for count in (7, 993, epochs - 1000)]
    assert whole.loss == [loss for part in parts for loss in part.loss]
    assert whole.gradient_norm == [norm for part in parts for norm in part.gradient_norm]
    assert np.asarray(one.parameters).tobytes() == np.asarray(other.parameters).tobytes()


def test_garbage_is_collected_where_networks_end():
    """No network keeps itself alive by what it has noted to be done."""
    import weakref

    network = made()
    with suppress(ZeroDivisionError):
        network.train(X, Y, 2, callbacks=lambda network, progress: 1 / 0)
    gc.collect()
    gone = weakref.ref(network)
    del network
    deadline = time.monotonic() + 60
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
    assert gone() is None
