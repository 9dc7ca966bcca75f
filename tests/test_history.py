"""Histories: what they hold, as a dictionary, as a table of pandas, as text."""

import pickle
import sys
import time
import types

import numpy as np
import pytest

from fastmlp import History, NeuralNetwork
from fastmlp.kernels.backends.reference import ReferenceExecutor

X, Y = np.arange(12.0).reshape(6, 2) / 12, np.arange(6.0) / 6


def halving(epochs=3, **options):
    """A network whose error is 1 and halves with every epoch, so that its loss is 1, 1/4, 1/16, ..., trained."""
    network = NeuralNetwork([1, 1], dtype="float64", initializer="zeros")
    return network.train([[1]], [1], epochs, learning_rate=0.125, **options)


def test_what_a_history_holds():
    history = halving(3, validation_data=([[3]], [0]), metrics=["mean_absolute_error"])
    assert history.epochs == 3
    assert history.loss == [1, 1 / 4, 1 / 16]
    # weight and bias are 1/4, then 3/8, then 7/16: what should be 0 at x = 3 is four times as much
    assert history.validation_loss == [1, 9 / 4, 49 / 16]
    assert history.metrics == {"mean_absolute_error": [1, 3 / 2, 7 / 4]}
    assert history.learning_rate == [0.125] * 3
    assert len(history.seconds) == 3
    assert all(0 < seconds < 60 for seconds in history.seconds)
    assert history.stopped == "All epochs were trained."
    assert history.best_epoch == 1
    assert halving(3).best_epoch == 3
    assert [History(loss).best_epoch for loss in ([], [np.nan], [-np.inf, 2, np.nan, 1, 1, np.inf])] == [None, None, 4]


def test_seconds_add_up():
    network = NeuralNetwork([2, 3, 1])
    began = time.perf_counter()
    history = network.train(X, Y, 50_000)  # so long that the process, left waiting, makes little of it
    elapsed = time.perf_counter() - began
    assert history.epochs == len(history.seconds) == 50_000
    assert min(history.seconds) > 0
    assert elapsed / 4 < sum(history.seconds) <= elapsed


def test_as_a_dictionary():
    history = halving(2)
    columns = history.to_dict()
    assert columns == {
        "epoch": [1, 2], "loss": [1, 1 / 4], "learning_rate": [0.125] * 2, "seconds": history.seconds,
    }  # fmt: skip
    columns["loss"].append(0.0)
    assert len(history.loss) == 2
    monitored = halving(2, validation_data=([[3]], [0]), metrics=["mean_absolute_error"]).to_dict()
    assert list(monitored) == ["epoch", "loss", "validation_loss", "mean_absolute_error", "learning_rate", "seconds"]
    assert {len(column) for column in monitored.values()} == {2}


def test_for_pandas(monkeypatch):
    class DataFrame:
        def __init__(self, columns):
            self.columns = columns

        def set_index(self, name):
            return self.columns, name

    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=DataFrame))
    history = halving(2)
    assert history.to_pandas() == (history.to_dict(), "epoch")


def test_with_pandas():
    pandas = pytest.importorskip("pandas")
    frame = halving(2).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loss.loc[2] == 1 / 4


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^pandas must be installed for to_pandas: `pip install pandas`$"):
        halving(2).to_pandas()


def test_as_text():
    assert repr(halving(2)) == (
        "History of 2 epochs. All epochs were trained.\n"
        " epoch  loss\n"
        "     1     1\n"
        "     2  0.25"
    )  # fmt: skip
    assert repr(halving(1, validation_data=([[3]], [0.5]), metrics="mean_absolute_error")) == (
        "History of 1 epoch. All epochs were trained.\n"
        " epoch  loss  validation_loss  mean_absolute_error\n"
        "     1     1             0.25                  0.5"
    )
    assert repr(History([])) == "History of 0 epochs."
    assert repr(History([1234567.0, 1e-9])).splitlines()[1:] == [
        " epoch         loss",
        "     1  1.23457e+06",
        "     2        1e-09",
    ]
    scheduled = History()
    scheduled._add([1.0, 1.0], learning_rate=[0.1, 0.05])
    assert repr(scheduled).splitlines()[1:] == [
        " epoch  loss  learning_rate",
        "     1     1            0.1",
        "     2     1           0.05",
    ]


@pytest.mark.parametrize("epochs", [12, 13, 14, 15, 1000])
def test_long_tables_are_abbreviated_in_the_middle(epochs):
    lines = repr(History([1 / epoch for epoch in range(1, epochs + 1)])).splitlines()
    assert lines[0] == f"History of {epochs} epochs."
    shown = [int(line.split()[0]) for line in lines[2:] if "..." not in line]
    if epochs <= 13:
        assert shown == list(range(1, epochs + 1))
        assert "..." not in "".join(lines)
    else:
        assert shown == [*range(1, 7), *range(epochs - 5, epochs + 1)]
        assert lines[8].strip() == "..."
    assert len({len(line) for line in lines[1:] if "..." not in line}) == 1


def test_histories_are_pickled():
    history = halving(2, metrics=["mean_absolute_error"])
    assert vars(pickle.loads(pickle.dumps(history))) == vars(history)


def test_an_interrupted_training_has_one():
    def interrupt(network, progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    network = NeuralNetwork([2, 3, 1])
    assert network.history is None
    with pytest.raises(KeyboardInterrupt):
        network.train(X, Y, 5, validation_data=(X, Y), callbacks=interrupt)
    assert network.history.epochs == len(network.history.validation_loss) == 3
    assert network.history.stopped is None


def test_columns_of_an_interrupted_training_are_as_long(monkeypatch):
    """Ctrl-C may come before the numbers of an epoch that has ended are there: they are missing, its loss is known."""
    network = NeuralNetwork([2, 3, 1], seed=0, backend="reference")
    calls = []

    def interrupted(self, X, y, weights=None, evaluate=ReferenceExecutor.evaluate):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(self, X, y, weights)

    monkeypatch.setattr(ReferenceExecutor, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network.train(X, Y, 5, validation_data=(X, Y))
    assert {len(column) for column in network.history.to_dict().values()} == {3}
    assert np.isnan(network.history.validation_loss).tolist() == [False, False, True]
