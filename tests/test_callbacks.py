"""Callbacks: when they are called, what they see and may do; checkpoints and progress bars."""

import copy
import io
import pickle
import re
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
from test_history import halving
from trainings import everything, table, trained

import fastmlp
from fastmlp import Checkpoint, NeuralNetwork, ProgressBar
from fastmlp.files import archive
from fastmlp.kernels.backends.reference import ReferenceTraining
from fastmlp.kernels.runtime.training import Training


def every(epochs, function):
    function.every = epochs
    return function


class Recorder:
    """Keeps the epochs after which it was called."""

    def __init__(self, every=1):
        self.every, self.epochs, self.closed = every, [], 0

    def __call__(self, network, progress):
        self.epochs.append(progress.epoch)

    def close(self):
        self.closed += 1


# --- when


def test_they_are_called_when_they_want_to_be():
    plain, seldom, indifferent, functions = Recorder(), Recorder(4), Recorder(None), []
    halving(10, callbacks=[plain, seldom, indifferent, lambda network, progress: functions.append(progress.epoch)])
    assert plain.epochs == functions == list(range(1, 11))
    assert seldom.epochs == [4, 8, 10]  # the last epoch is seen in any case
    assert indifferent.epochs == list(range(1, 11))  # kernels pause for the others
    assert (plain.closed, seldom.closed) == (1, 1)


def test_kernels_are_not_disturbed_more_often_than_callbacks_want(monkeypatch):
    """In long stretches, trainings pause only where somebody looks."""
    indifferent, seldom, calls = Recorder(None), Recorder(25), []
    for training in (Training, ReferenceTraining):

        def run(self, first, last, threads=None, run=training.run):
            calls.append(last)
            return run(self, first, last, threads)

        monkeypatch.setattr(training, "run", run)
    monkeypatch.setattr("fastmlp.training.loop.STRETCH", 1e9)
    network = NeuralNetwork([3, 5, 2], "tanh", seed=4)
    network.train(*table(), 100, callbacks=indifferent)
    assert (calls, indifferent.epochs) == ([100], [100])  # a step each
    calls.clear()
    network.train(*table(), 100, callbacks=[seldom, indifferent], time_limit=1e9)
    assert calls == [25, 50, 75, 100]
    calls.clear()
    network.train(*table(), 100, patience=30)
    assert len(calls) < 10


def test_stretches_end_where_epochs_do():
    """Of 8 steps each: the first stretch, of some two thousand steps, is cut to whole ones."""
    seen = []

    def look(network, progress):
        seen.append(progress.epoch)
        assert network._state.updates == 8 * network._state.epochs == 8 * progress.epoch

    for rows in (3, 4, 5):  # so that not all first stretches are of whole epochs by chance
        network = NeuralNetwork([3, 5, 2], "tanh", seed=4)
        network.train(*table(8 * rows), 2000, batch_size=rows, callbacks=every(None, look))
    assert 3 < len(seen) < 6000


def test_all_see_the_last_epoch_even_if_one_of_them_makes_it_the_last():
    seldom = Recorder(10)
    history = halving(50, callbacks=[seldom, lambda network, progress: progress.epoch == 13])
    assert seldom.epochs == [10, 13]
    assert history.epochs == 13
    seldom = Recorder(10)
    assert halving(50, target_loss=1 / 16, callbacks=seldom).epochs == 3
    assert seldom.epochs == [3]


# --- stopping


@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_stops(answer):
    history = halving(50, callbacks=lambda network, progress: answer if progress.epoch == 3 else None)
    assert history.epochs == 3
    assert history.stopped == "A callback stopped training after epoch 3."


@pytest.mark.parametrize("answer", [False, None, 1, 0, "stop", [True]])
def test_nothing_else_does(answer):
    assert halving(5, callbacks=lambda network, progress: answer).epochs == 5


def test_they_may_say_why():
    def stop(network, progress):
        if progress.epoch == 4:
            progress.stop("Enough is enough.")

    history = halving(50, callbacks=[stop])
    assert (history.epochs, history.stopped) == (4, "Enough is enough.")


# --- what they see


def test_what_they_are_told():
    seen = []

    def look(network, progress):
        history = progress.history
        assert isinstance(progress, fastmlp.TrainingProgress)
        assert history is network.history
        seen.append((progress.epoch, progress.epochs, history.loss[-1], progress.is_best, progress.ends))

    halving(3, callbacks=look, validation_data=([[3]], [0]))
    assert seen == [(1, 3, 1, True, False), (2, 3, 1 / 4, False, False), (3, 3, 1 / 16, False, True)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_they_see_the_network_of_the_finished_epoch(optimizer, backend, dtype):
    """Parameters, predictions, optimizer state and counters, also in files, pickles and copies."""
    X, y = table()
    options = {"learning_rate": 0.05, "batch_size": 5, "optimizer": optimizer}
    seen = []

    def look(network, progress):
        seen.append((everything(network), network.predict(X[:2]).tolist(), network.evaluate(X, y)))
        for duplicate in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert everything(duplicate) == seen[-1][0]
            duplicate.train(X, y, 1, **options)  # it is not the one that is being trained
            seen[-1] += (everything(duplicate),)

    def fresh():
        return NeuralNetwork([3, 5, 2], "tanh", dtype=dtype, seed=4, backend=backend.name)

    watched, twin = fresh(), fresh()
    watched.train(X, y, 3, callbacks=look, **options)
    for facts, outputs, loss, *after_another in seen:
        twin.train(X, y, 1, **options)
        assert facts == everything(twin)
        assert outputs == twin.predict(X[:2]).tolist()
        assert loss == twin.evaluate(X, y)
        ahead = copy.deepcopy(twin)
        ahead.train(X, y, 1, **options)
        assert after_another == [everything(ahead)] * 2
    assert len(seen) == 3
    assert everything(watched) == everything(twin)


def test_what_they_assign_is_trained_on(backend, dtype):
    X, y = table()

    def clip(network, progress):
        if progress.epoch == 2:
            network.parameters = network.parameters.clip(-0.1, 0.1)
        elif progress.epoch == 3:
            network.layers[0].biases = np.ones(5)

    options = {"learning_rate": 0.05, "batch_size": 5, "optimizer": "adam"}
    network = NeuralNetwork([3, 5, 2], "tanh", dtype=dtype, seed=4, backend=backend.name)
    twin = copy.deepcopy(network)
    network.train(X, y, 5, callbacks=clip, **options)
    twin.train(X, y, 2, **options)
    twin.parameters = twin.parameters.clip(-0.1, 0.1)
    twin.train(X, y, 1, **options)
    twin.layers[0].biases = np.ones(5)
    twin.train(X, y, 2, **options)
    assert everything(network) == everything(twin)


# --- what goes wrong


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_leaves_the_finished_epoch(error, backend):
    def fail(network, progress):
        if progress.epoch == 3:
            raise error("oh")

    recorder = Recorder()
    network = NeuralNetwork([3, 5, 2], "tanh", seed=4, backend=backend.name)
    with pytest.raises(error, match=r"^oh$"):
        trained(10, network=network, optimizer="adam", callbacks=[fail, recorder])
    assert recorder.epochs == [1, 2]
    assert recorder.closed == 1
    twin = NeuralNetwork([3, 5, 2], "tanh", seed=4, backend=backend.name)
    assert everything(network) == everything(trained(3, network=twin, optimizer="adam"))
    assert everything(trained(2, network=network, optimizer="adam")) == everything(
        trained(2, network=twin, optimizer="adam")
    )


def test_training_within_training_is_refused():
    X, y = table()
    network = NeuralNetwork([3, 5, 2], seed=0)
    with pytest.raises(RuntimeError, match=r"^train must not be called by callbacks or chunks of the same network's"):
        network.train(X, y, 3, callbacks=lambda network, progress: network.train(X, y, 1))
    assert network.history.epochs == 1
    other = NeuralNetwork([3, 5, 2], seed=0)
    network.train(X, y, 3, callbacks=lambda network, progress: other.train(X, y, 1) and None)
    assert (network._state.epochs, other._state.epochs) == (4, 3)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "a", True])
def test_a_wrong_every_is_refused(wrong):
    from refusals import refusal

    assert refusal(halving, 3, callbacks=[Recorder(wrong)]) == "callbacks"


# --- checkpoints


def test_checkpoints_are_the_network_of_their_epoch(tmp_path):
    path, twin = tmp_path / "model.npz", NeuralNetwork([3, 5, 2], "tanh", seed=4)
    seen = []
    trained(7, callbacks=[Checkpoint(path, every=3), lambda network, progress: seen.append(path.exists())])
    assert seen == [False, False, True, True, True, True, True]
    assert everything(fastmlp.load(path)) == everything(trained(7, network=twin))


def test_only_the_best(tmp_path):
    path = tmp_path / "model.npz"
    X, y = table()
    held = table(11, seed=1)
    network = NeuralNetwork([3, 5, 2], "tanh", seed=4)
    history = network.train(X, y, 25, 0.3, 5, validation_data=held, callbacks=Checkpoint(path, best_only=True))
    assert 1 < history.best_epoch < 25
    assert fastmlp.load(path).evaluate(*held) == min(history.validation_loss)


def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    monkeypatch.setattr("fastmlp.files.archive.pieces", failing_after(2, archive.pieces))
    with pytest.raises(OSError, match=r"^disk full$"):
        trained(5, callbacks=Checkpoint(path))
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
    assert everything(fastmlp.load(path)) == everything(trained(2))


def failing_after(times, function):
    calls = []

    def wrapper(*arguments, **options):
        calls.append(1)
        if len(calls) > times:
            raise OSError("disk full")
        return function(*arguments, **options)

    return wrapper


def test_checkpoints_that_cannot_be(tmp_path):
    from refusals import refusal

    assert refusal(Checkpoint, 3) == "path"
    assert refusal(Checkpoint, "/no/such/directory/model.npz") == "path"
    assert refusal(Checkpoint, "/no/such/directory/") == "path"
    assert refusal(Checkpoint, tmp_path) == "path"
    (tmp_path / "read-only.npz").touch(0o444)
    assert refusal(Checkpoint, tmp_path / "read-only.npz") == "path"
    assert refusal(Checkpoint, "model.npz", every=0) == "every"
    assert refusal(Checkpoint, "model.npz", best_only=1) == "best_only"
    assert list(tmp_path.iterdir()) == [tmp_path / "read-only.npz"]


# --- progress bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    halving(4, callbacks=[ProgressBar(), lambda network, progress: None], validation_data=([[3]], [0]))
    lines = re.split("[\r\n]", terminal.getvalue().replace("\x1b[K", ""))
    assert lines[-2] == "[==============================] epoch 4/4  loss 0.01562  validation_loss 3.516"
    assert lines[1] == "[=======                       ] epoch 1/4  loss 1  validation_loss 1"
    assert terminal.getvalue().endswith("\n")


def test_a_bar_ends_its_line_when_training_is_interrupted(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = ProgressBar()

    def fail(network, progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        halving(4, callbacks=[bar, fail])
    assert terminal.getvalue().endswith("\n")
    before = terminal.getvalue()
    bar.close()
    assert terminal.getvalue() == before


def test_no_bar_elsewhere(capsys, monkeypatch):
    halving(4, callbacks=ProgressBar())
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", None)
    halving(4, callbacks=ProgressBar())


def test_a_bar_of_tqdm(monkeypatch):
    class Bar:
        made: ClassVar = []

        def __init__(self, total, unit):
            self.total, self.unit, self.n, self.postfix, self.closed = total, unit, 0, None, False
            Bar.made.append(self)

        def update(self, n):
            self.n += n

        def set_postfix(self, numbers):
            self.postfix = numbers

        def close(self):
            self.closed = True

    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    bar = ProgressBar(tqdm=True)
    for epochs in (3, 2):
        halving(epochs, callbacks=bar)
    assert [(bar.total, bar.n, bar.closed) for bar in Bar.made] == [(3, 3, True), (2, 2, True)]
    assert Bar.made[0].postfix == {"loss": 1 / 16}


def test_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"^tqdm must be installed for ProgressBar\(tqdm=True\): `pip install tqdm`$"):
        ProgressBar(tqdm=True)
    with pytest.raises(TypeError, match=r"^tqdm must be True or False, got 1$"):
        ProgressBar(tqdm=1)


def test_the_optimizer_cannot_be_reset_by_a_callback():
    network = NeuralNetwork([3, 1], seed=0)
    with pytest.raises(RuntimeError, match=r"^reset_optimizer must not be called by callbacks or chunks of the same"):
        network.train(np.eye(3), [1, 2, 3], 2, callbacks=lambda network, progress: network.reset_optimizer())
    network.reset_optimizer()
    assert network.history.epochs == 1
