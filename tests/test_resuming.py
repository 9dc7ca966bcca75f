"""A training that was interrupted goes on as if it had not been: to the last bit, in this process or another."""

import copy
import json
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from cases import optimizers
from hypothesis import given
from hypothesis import strategies as st
from processes import PATIENCE
from processes import fresh as process
from trainings import everything, table

import fastmlp
from fastmlp import Checkpoint, NeuralNetwork, ReduceOnPlateau
from fastmlp.files import storage
from fastmlp.kernels.functions.optimizers import OPTIMIZERS

HELD = table(11, seed=1)


def fresh(**options):
    return NeuralNetwork([3, 5, 2], "tanh", **{"seed": 4, **options})


def train(network, epochs, **options):
    network.train(*table(), epochs, **{"learning_rate": 0.05, "batch_size": 5, **options})
    return network


def whole(network):
    """Everything there is to know of it and its training, but the time that it took."""
    history = network.history.to_dict()
    del history["seconds"]
    return everything(network), history, network.history.stopped, network.history.best_epoch


def saved(network, path):
    network.save(path, training=True)
    return fastmlp.load(path, backend=network._backend_asked)


WAYS = {
    "at once": lambda network, path: network,
    "copied": lambda network, path: copy.deepcopy(network),
    "pickled": lambda network, path: pickle.loads(pickle.dumps(network)),
    "saved": saved,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda optimizer: optimizer.name)
def test_five_epochs_and_five_are_ten(optimizer, way, backend, dtype, tmp_path):
    options = {"optimizer": optimizer, "validation_data": HELD, "metrics": "r2"}
    options |= {"batch_size": None} if optimizer.full_batch else {}
    expected = whole(train(fresh(dtype=dtype, backend=backend.name), 10, **options))
    network = train(fresh(dtype=dtype, backend=backend.name), 5, **options)
    network = WAYS[way](network, tmp_path / "model.npz")
    assert whole(train(network, 10, resume=True, **options)) == expected
    assert whole(train(network, 10, resume=True, **options)) == expected  # there is no more to do


def whole_with_average(network):
    return whole(network), network.averaged().parameters.tobytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("restores", [False, True])
def test_schedules_averages_and_norms_go_on(way, restores, tmp_path):
    options = {
        "learning_rate": ReduceOnPlateau(0.2, factor=0.5, patience=1), "ema_decay": 0.9, "gradient_norms": True,
        "optimizer": "adam", "weight_decay": 0.1, "clip_norm": 0.5, "validation_data": HELD, "restore_best": restores,
    }  # fmt: skip
    expected = whole_with_average(train(fresh(), 12, **options))
    network = train(fresh(), 6, **options)
    network = WAYS[way](network, tmp_path / "model.npz")
    network = train(network, 12, resume=True, **options)
    history = network.history.to_dict()
    assert len(set(history["learning_rate"])) > 1
    assert len(history["gradient_norm"]) == 12
    assert min(history["gradient_norm"]) > 0
    assert whole_with_average(network) == expected


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"seed": 7}, {"validation_fraction": 0.3}], ids=str)
def test_orders_and_splits_go_on(options):
    expected = whole(train(fresh(), 10, **options))
    assert whole(train(train(fresh(), 5, **options), 10, resume=True, **options)) == expected
    assert whole(train(train(fresh(), 4, **options), 10, resume=True, **options)) == expected
    assert whole(train(train(fresh(seed=5), 5, **options), 10, resume=True, **options)) != expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.5}, {"dropout": [0.25], "input_dropout": 0.1, "input_noise": 0.2, "shuffle": False}],
    ids=str,
)
def test_dropout_and_noise_go_on(options, way, backend, dtype, tmp_path):
    expected = whole(train(fresh(dtype=dtype, backend=backend.name), 10, **options))
    network = WAYS[way](train(fresh(dtype=dtype, backend=backend.name), 5, **options), tmp_path / "model.npz")
    assert whole(train(network, 10, resume=True, **options)) == expected
    assert whole(train(fresh(dtype=dtype, backend=backend.name, seed=5), 10, **options)) != expected
    again = train(train(fresh(dtype=dtype, backend=backend.name), 5, **options), 5, **options)  # on its own account
    assert everything(again) == expected[0]


@given(
    st.integers(1, 24), st.sampled_from([None, 2, 5]), st.booleans(), st.sampled_from(["sgd", "adam"]),
    st.sampled_from(list(WAYS)),
)  # fmt: skip
def test_wherever_it_is_interrupted(tmp_path_factory, epoch, patience, restores, optimizer, way):
    options = {
        "optimizer": optimizer, "learning_rate": 0.3 if optimizer == "sgd" else 0.05, "validation_data": HELD,
        "patience": patience, "restore_best": restores,
    }  # fmt: skip

    def interrupt(network, progress):
        if progress.epoch == epoch:
            raise KeyboardInterrupt

    expected, network = whole(train(fresh(), 25, **options)), fresh()
    try:
        train(network, 25, callbacks=interrupt, **options)
    except KeyboardInterrupt:
        assert network.history.epochs == epoch
    network = WAYS[way](network, tmp_path_factory.mktemp("resuming") / "model.npz")
    assert whole(train(network, 25, resume=True, **options)) == expected


def test_the_interruptions_matter():
    """What the test above compares: there is a best epoch in the middle, and patience ends trainings early."""
    options = {"learning_rate": 0.3, "validation_data": HELD}
    best = train(fresh(), 25, **options).history.best_epoch
    assert 2 < best < 23
    assert train(fresh(), 25, patience=2, **options).history.epochs < 25


def test_a_restored_best_epoch_is_gone_on_from():
    """The epochs after it are trained again, in the same way."""
    options = {"learning_rate": 0.3, "validation_data": HELD, "restore_best": True}
    expected = whole(train(fresh(), 40, **options))
    network = train(fresh(), 25, **options)
    assert network.history.best_epoch < network.history.epochs == 25
    assert whole(train(network, 40, resume=True, **options)) == expected


def test_more_patience_goes_on():
    options = {"learning_rate": 0.3, "validation_data": HELD}
    network = train(fresh(), 100, patience=2, **options)
    stopped = network.history.epochs
    assert whole(train(network, 100, patience=2, resume=True, **options)) == whole(network)
    train(network, stopped + 5, resume=True, **options)
    assert whole(network) == whole(train(fresh(), stopped + 5, **options))


def test_a_best_epoch_that_nobody_kept_cannot_be_restored():
    options = {"learning_rate": 0.3, "validation_data": HELD}
    network = train(fresh(), 25, **options)
    before = whole(network)
    with pytest.raises(ValueError, match=r"^restore_best must be False for a training that was begun without, "):
        train(network, 40, restore_best=True, resume=True, **options)
    assert whole(network) == before


def test_what_was_not_measured_at_first_is_missing():
    network = train(fresh(), 4, metrics="r2")
    train(network, 8, validation_data=HELD, resume=True)
    history = network.history
    assert np.isnan(history.metrics["r2"]).tolist() == [False] * 4 + [True] * 4
    assert np.isnan(history.validation_loss).tolist() == [True] * 4 + [False] * 4
    assert {len(column) for column in history.to_dict().values()} == {8}
    assert history.best_epoch == 5 + int(np.argmin(history.validation_loss[4:]))
    assert history.loss == train(fresh(), 8).history.loss


def test_without_resume_a_training_is_a_new_one():
    options = {"validation_data": HELD}
    network = train(train(fresh(), 5, **options), 5, **options)
    assert network.history.epochs == 5
    twin = train(fresh(), 10, **options)
    assert everything(network) == everything(twin)
    assert network.history.loss == twin.history.loss[5:]


# --- other processes

SCRIPT = """
    import os
    import fastmlp
    from fastmlp.kernels.functions.optimizers import OPTIMIZERS
    import numpy as np

    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    y = np.tanh(X[:, 0] * X[:, 1]) + generator.normal(size=40) / 3
    options = dict(validation_fraction=0.3, patience=30, restore_best=True, metrics="r2")

    def size(name):
        return None if OPTIMIZERS[name]().full_batch else 7

    def train(network, name, **more):
        return network.train(X, y, 10, batch_size=size(name), optimizer=name, **options, **more)

    def told(network):
        history = network.history.to_dict()
        del history["seconds"]
        print(network.parameters.tobytes().hex(), network._state.slots.tobytes().hex(), network._state.epochs, history)
        print(network.history.stopped, network.history.best_epoch)

    def fresh():
        return fastmlp.NeuralNetwork([3, 5, 1], "tanh", seed=4)

    def die(network, progress):
        if progress.epoch == 5:
            os._exit(9)  # without a last word, as if it were killed
"""


def run(lines, **options):
    return process(textwrap.dedent(SCRIPT) + textwrap.dedent(lines), **options)


def test_another_process_goes_on(tmp_path):
    """With every optimizer: 10 epochs here, 5 there and 5 elsewhere."""
    path = str(tmp_path / "model-{}.npz")
    assert (
        run(f"""
        for name in OPTIMIZERS:
            network = fresh()
            network.train(X, y, 5, batch_size=size(name), optimizer=name, **options)
            network.save({path!r}.format(name), training=True)
    """)
        == ""
    )
    parts = run(f"""
        for name in OPTIMIZERS:
            network = fastmlp.load({path!r}.format(name))
            train(network, name, resume=True)
            told(network)
    """)
    assert parts == run("""
        for name in OPTIMIZERS:
            network = fresh()
            train(network, name)
            told(network)
    """)
    assert len(parts.splitlines()) == 2 * len(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_killed_training_goes_on_from_its_checkpoint(name, tmp_path):
    path = str(tmp_path / "model.npz")
    lines = f"train(fresh(), {name!r}, callbacks=[fastmlp.Checkpoint({path!r}), die])"
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT) + lines], check=False, timeout=PATIENCE)
    assert killed.returncode == 9
    assert fastmlp.load(path).history.epochs == 5
    went_on = run(f"""
        network = fastmlp.load({path!r})
        train(network, {name!r}, callbacks=fastmlp.Checkpoint({path!r}), resume=True)
        told(network)
    """)
    assert went_on == run(f"""
        network = fresh()
        train(network, {name!r})
        told(network)
    """)


# --- files


def test_what_a_checkpoint_holds(tmp_path):
    path = tmp_path / "model.npz"
    train(fresh(), 3, validation_data=HELD, restore_best=True, callbacks=Checkpoint(path))
    header, arrays = storage.read(path)
    assert header["training"].pop("measured_on") >= 0
    assert header["training"] == {
        "columns": ["loss", "validation_loss", "learning_rate", "seconds"], "at": None, "stopped": None,
        "resumable": True, "best_epoch": 3, "best": {"epoch": 3, "epochs": 3, "updates": 15},
    }  # fmt: skip
    assert list(arrays) == ["parameters", "optimizer_state", "history", "best_parameters", "best_state"]
    assert arrays["history"].shape == (4, 3)
    again = fastmlp.load(path)
    assert repr(again.history).startswith("History of 3 epochs.\n epoch ")
    assert "training" not in again._to_record()[0]  # unless it is asked for


def test_files_without_a_training_know_of_none(tmp_path):
    path = tmp_path / "model.npz"
    train(fresh(), 3).save(path)
    assert fastmlp.load(path).history is None
    with pytest.raises(ValueError, match=r"^resume must be False where no training is known to go on with, got True"):
        train(fastmlp.load(path), 5, resume=True)
    fresh().save(path, training=True)
    assert fastmlp.load(path).history is None


BAD_BEST = {"epoch": 1, "epochs": 1, "updates": -1}
DAMAGES = {
    "columns": [None, "loss", [1, 2], ["loss"], [], ["seconds"] * 4], "at": ["x", -1, 4, 1.5], "stopped": [3, ["x"]],
    "best_epoch": [-1, "a", 4, 2.5], "best": [3, {}, {"epoch": 1}, BAD_BEST], "measured_on": ["x", -1, 1.5, [1]],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DAMAGES.items() for value in values])
def test_damaged_trainings_are_refused(name, value, tmp_path):
    path = tmp_path / "model.npz"
    train(fresh(), 3, validation_data=HELD, restore_best=True, callbacks=Checkpoint(path))
    header, arrays = storage.read(path)
    header["training"][name] = value
    storage.write(path, header, arrays)
    with pytest.raises(ValueError, match=r"^path must be a network saved by fastmlp, got "):
        fastmlp.load(path)


@pytest.mark.parametrize("name", ["history", "best_parameters", "best_state"])
def test_damaged_arrays_are_refused(name, tmp_path):
    path = tmp_path / "model.npz"
    train(fresh(), 3, optimizer="adam", validation_data=HELD, restore_best=True, callbacks=Checkpoint(path))
    header, arrays = storage.read(path)
    for wrong in (arrays[name][:-1], arrays[name].astype("U"), np.zeros(3), None):
        changed = {key: array for key, array in arrays.items() if key != name}
        storage.write(path, header, changed if wrong is None else {**changed, name: wrong})
        with pytest.raises(ValueError, match=r"^path must be a network saved by fastmlp, got "):
            fastmlp.load(path)


def test_numbers_that_are_not_finite_survive(tmp_path):
    path = tmp_path / "model.npz"
    network = train(fresh(), 2, metrics=lambda y, outputs: float("nan"))
    network.history.loss[0] = float("inf")
    network.save(path, training=True)
    again = fastmlp.load(path)
    assert again.history.loss == network.history.loss
    assert np.isnan(again.history.metrics["<lambda>"]).all()
    json.dumps(storage.read(path)[0], allow_nan=False)  # the header is plain JSON


def test_another_optimizer_does_not_resume():
    network = train(fresh(), 3, optimizer="adam")
    before = everything(network)
    with pytest.raises(ValueError, match=r"^optimizer must be that of the training to resume, got 'sgd'$"):
        train(network, 5, optimizer="sgd", resume=True)
    assert everything(network) == before


def test_columns_that_begin_with_a_resumption_belong_to_its_epochs():
    network = train(train(fresh(), 3), 5, resume=True, gradient_norms=True)
    assert np.isnan(network.history.gradient_norm).tolist() == [True] * 3 + [False] * 2
    expected = train(fresh(), 5, gradient_norms=True).history.gradient_norm
    assert network.history.gradient_norm[3:] == expected[3:]
    assert {len(column) for column in network.history.to_dict().values()} == {5}


# --- what is best so far, on other data than before


def interrupted_at(epoch, way, path, **options):
    """A network whose training Ctrl-C ended after an epoch."""
    network = fresh()

    def interrupt(network, progress):
        if progress.epoch == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(network, 20, callbacks=interrupt, **options)
    return WAYS[way](network, path)


def opposed():
    """Targets that are further away with every epoch."""
    X, y = HELD
    return X, -3 * y


def other(kind):
    """Arguments whose data tell another best epoch: validation data, their weights, held-out samples, metrics' data."""
    X, y = HELD
    return {
        "data": ({"validation_data": opposed()}, {"validation_data": HELD}),
        "weights": (
            {"validation_data": (*opposed(), np.r_[np.ones(9), 0, 0])},
            {"validation_data": (*opposed(), np.r_[0, 0, np.ones(9)])},
        ),
        "held out": ({"validation_data": opposed()}, {"validation_fraction": 0.4}),
        "one number": ({"validation_data": (X, -3 * y)}, {"validation_data": (X, -3 * y + np.eye(11, 2) * 1e-3)}),
    }[kind]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["data", "weights", "held out", "one number"])
def test_what_is_best_begins_anew_on_other_data(kind, way, tmp_path):
    before, now = other(kind)
    network = interrupted_at(4, way, tmp_path / "model.npz", restore_best=True, **before)
    assert network.history.best_epoch == 1
    train(network, 9, resume=True, restore_best=True, **now)
    losses = network.history.validation_loss
    assert len(losses) == 9
    assert network.history.best_epoch == 5 + int(np.argmin(losses[4:]))
    seen = {}
    twin = interrupted_at(4, way, tmp_path / "model.npz", restore_best=True, **before)
    note = lambda network, progress: seen.update({progress.epoch: network.parameters.tobytes()})  # noqa: E731
    train(twin, 9, resume=True, restore_best=True, callbacks=note, **now)
    assert network.parameters.tobytes() == seen[network.history.best_epoch]


def test_patience_is_counted_anew_on_other_data(tmp_path):
    network = interrupted_at(4, "saved", tmp_path / "model.npz", validation_data=opposed(), patience=5)
    again = copy.deepcopy(network)
    train(network, 20, resume=True, validation_data=opposed(), patience=3)  # it did not improve for 3 epochs already
    assert network.history.epochs == 4
    X, y = opposed()
    train(again, 20, resume=True, validation_data=(X, y - 1e-3), patience=3)
    best = 5 + int(np.argmin(again.history.validation_loss[4:]))
    assert (again.history.best_epoch, again.history.epochs) == (best, best + 3)
    assert again.history.stopped == f"validation_loss did not improve for 3 epochs after epoch {best}."


def test_a_target_that_other_data_reached_does_not_end_a_training(tmp_path):
    network = interrupted_at(2, "at once", None, validation_data=HELD)
    reached = network.history.validation_loss[-1] * 1.01
    again = train(copy.deepcopy(network), 5, resume=True, validation_data=HELD, target_loss=reached)
    assert again.history.epochs == 2
    X, y = opposed()
    again = train(copy.deepcopy(network), 5, resume=True, validation_data=(X, 9 * y), target_loss=reached)
    assert again.history.epochs == 5


def test_the_loss_of_other_samples_is_compared_with_nothing():
    """It is measured on what is trained on, where there is nothing else."""
    network = fresh()
    X, y = table()
    with pytest.raises(KeyboardInterrupt):
        network.train(X, 1e-3 * y, 9, 0.05, 5, restore_best=True, callbacks=interrupt)
    network.train(X, 100 + y, 9, 1e-5, 5, restore_best=True, resume=True)
    assert network.history.best_epoch == 9
    assert min(network.history.loss[3:]) > max(network.history.loss[:3])


def interrupt(network, progress):
    if progress.epoch == 3:
        raise KeyboardInterrupt
