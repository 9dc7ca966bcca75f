"""Files, pickles and copies: the same bits come back."""

import copy
import json
import os
import pathlib
import pickle
import stat
import sys
import threading

import numpy as np
import pytest
from cases import smooth_optimizers
from refusals import refusal
from saved_files import X, Y, forged, parts, refused, saved_in, trained
from trainings import everything

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.cli import commands
from fastmlp.files import storage

DATA = pathlib.Path(__file__).parent / "data"

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file that a network was saved to; not to be changed."""
    return saved_in(tmp_path_factory.mktemp("saved"))


# --- there and back

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {n}": (lambda network, n=n: pickle.loads(pickle.dumps(network, n)))
        for n in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=["file", *COPIES])
def duplicate(request, tmp_path):
    """A way to have a network twice."""

    def through_a_file(network):
        network.save(tmp_path / "model.npz")
        return fastmlp.load(tmp_path / "model.npz")

    return COPIES.get(request.param, through_a_file)


@pytest.mark.parametrize("optimizer", [*smooth_optimizers(), fastmlp.Lion(), fastmlp.Adam(0.01, 0.8)], ids=repr)
def test_a_duplicate_is_the_same_and_goes_on_the_same_way(duplicate, optimizer, dtype):
    network = trained(optimizer, dtype=dtype)
    again = duplicate(network)
    assert repr(again) == repr(network)
    assert everything(again) == everything(network)
    assert again.predict(X).tobytes() == network.predict(X).tobytes()
    for _ in range(2):
        network.train(X, Y, 2, batch_size=4, optimizer=optimizer)
        assert everything(again) != everything(network)  # each has its own numbers
        again.train(X, Y, 2, batch_size=4, optimizer=optimizer)
        assert everything(again) == everything(network)


@pytest.mark.parametrize("seed", [None, 0, 10**30])
def test_an_untrained_duplicate_will_train_the_same_way(duplicate, seed):
    network = NeuralNetwork([3, 5, 6, 2], ["relu", "sigmoid"], "tanh", seed=seed)
    again = duplicate(network)
    for net in (network, again):
        net.train(X, Y, 3, batch_size=2)
    assert everything(again) == everything(network)


def test_duplicates_after_changes_by_hand(duplicate):
    network = trained()
    network.layers[1].biases = [5, 6]
    again = duplicate(network)
    assert again.layers[1].biases.tolist() == [5, 6]
    again.layers[1].biases = [0, 0]
    assert network.layers[1].biases.tolist() == [5, 6]


def test_duplicates_after_a_divergence(duplicate):
    network = trained("sgd", loss="mean_squared_error")
    with pytest.raises(FloatingPointError):
        network.train(X, Y, 3, 1e30)
    assert everything(duplicate(network)) == everything(network)


def test_a_state_that_has_overflowed_can_be_saved(duplicate):
    network = NeuralNetwork([1, 1])
    network.parameters = [0, 0]
    network.train([[1e20]], [1], 1, optimizer="adam")  # the gradient's square is beyond float32
    assert np.isfinite(network.parameters).all()
    again = duplicate(network)
    for net in (network, again):
        net.train([[1]], [1], 2, optimizer="adam")
    np.testing.assert_array_equal(again.parameters, network.parameters)


def test_pickles_keep_the_backend_that_was_asked_for():
    assert pickle.loads(pickle.dumps(NeuralNetwork([2, 1], backend="reference"))).backend == "reference"
    assert NeuralNetwork([2, 1])._backend_asked is None  # and none where none was: a pickle may travel


def test_histories_and_optimizers_are_pickled():
    history = pickle.loads(pickle.dumps(fastmlp.History([3.0, 2.0])))
    assert history.loss == [3.0, 2.0]
    assert pickle.loads(pickle.dumps(fastmlp.Adam(beta1=0.5))) == fastmlp.Adam(beta1=0.5)


def test_any_backend_loads_what_another_saved(backend, tmp_path, dtype):
    network = trained(dtype=dtype)
    network.save(tmp_path / "model.npz")
    again = fastmlp.load(tmp_path / "model.npz", backend=backend.name)
    assert again.backend == backend.name
    np.testing.assert_array_equal(again.parameters, network.parameters)
    for net in (network, again):
        net.train(X, Y, 2, batch_size=4, optimizer="adam")
    np.testing.assert_allclose(again.parameters, network.parameters, rtol=1e-3 if dtype == "float32" else 1e-9)
    again.save(tmp_path / "model.npz")
    assert everything(fastmlp.load(tmp_path / "model.npz", backend=backend.name)) == everything(again)


class Tagged(fastmlp.NeuralNetwork):
    """A network of a user's own."""


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_subclasses_keep_their_attributes_and_share_nothing(duplicate):
    network = Tagged([2, 3, 1], seed=0)
    network.tag = "mine"
    again = duplicate(network)
    assert type(again) is Tagged
    assert again.tag == "mine"
    before = network.parameters
    again.train([[0.0, 1.0]], [1.0], epochs=3)
    np.testing.assert_array_equal(network.parameters, before)
    assert not np.array_equal(again.parameters, before)


def test_settings_of_functions_come_back(tmp_path):
    network = NeuralNetwork([3, 4, 5, 2], [fastmlp.LeakyReLU(0.2), "gelu"], fastmlp.ELU(0.5), seed=1)
    network.save(tmp_path / "model.npz")
    header, arrays = parts(tmp_path / "model.npz")
    assert header["activations"] == [
        {"name": "leaky_relu", "negative_slope": 0.2},
        "gelu",
        {"name": "elu", "alpha": 0.5},
    ]
    for copied in (fastmlp.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert repr(copied) == repr(network)
        assert "activation=[LeakyReLU(negative_slope=0.2), 'gelu'], output_activation=ELU(alpha=0.5)" in repr(network)
        X = np.linspace(-2, 2, 12).reshape(4, 3)
        assert copied.predict(X).tobytes() == network.predict(X).tobytes()
        assert copied.predictor().activations == network.activations == ("leaky_relu", "gelu", "elu")
    wrong = [
        {"name": "relu", "slope": 1}, {"name": "elu", "alpha": 0}, {"name": "elu", "beta": 1}, {"name": "x"},
        {"name": ["elu"]}, {"alpha": 1}, {"name": "elu", "numbers": 1},
    ]  # fmt: skip
    for entry in wrong:
        refused(forged(tmp_path / "wrong.npz", {**header, "activations": [entry, "gelu", "identity"]}, arrays))


@pytest.mark.parametrize(
    ("loss", "record"),
    [
        (fastmlp.Quantile([0.2, 0.7]), {"name": "quantile", "quantiles": [0.2, 0.7]}),
        (fastmlp.CategoricalCrossEntropy(0.1), {"name": "categorical_cross_entropy", "label_smoothing": 0.1}),
        (fastmlp.CategoricalFocal(0.5), {"name": "categorical_focal", "gamma": 0.5}),
        (fastmlp.Focal(1, 0.5), {"name": "focal", "gamma": 1.0, "alpha": 0.5}),
        (fastmlp.Huber(2), {"name": "huber", "delta": 2.0}),
    ],
)
def test_settings_of_losses_come_back(tmp_path, loss, record):
    network = NeuralNetwork([3, 2], loss=loss, seed=1)
    network.save(tmp_path / "model.npz")
    header, _ = parts(tmp_path / "model.npz")
    assert header["loss"] == record
    loaded = fastmlp.load(tmp_path / "model.npz")
    assert loaded._model == network._model
    assert (network.loss, repr(loaded)) == (record["name"], repr(network))


# --- the file


def test_what_a_file_holds(saved):
    network = trained()
    header, arrays = parts(saved)
    assert header == {
        "format": "fastmlp", "version": 1, "layer_sizes": [3, 4, 2], "activations": ["tanh", "softmax"],
        "loss": "categorical_cross_entropy", "dtype": "float32", "seed": 1, "epochs": 3, "updates": 9,
        "optimizer": {"name": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    }  # fmt: skip
    assert list(arrays) == ["parameters", "optimizer_state"]
    np.testing.assert_array_equal(arrays["parameters"], network.parameters)
    assert arrays["parameters"].dtype == np.float32
    assert arrays["optimizer_state"].shape == (2, 26)


def test_a_file_of_version_1_will_always_be_read(tmp_path):
    header = {
        "format": "fastmlp", "version": 1, "layer_sizes": [2, 2, 1], "activations": ["relu", "identity"],
        "loss": "mean_squared_error",
        "dtype": "float64", "seed": 0, "epochs": 0, "updates": 0, "optimizer": None,
    }  # fmt: skip
    parameters = np.array([1, -1, 2, 1, 0, 1, 3, 2, -1], float)
    arrays = {"parameters": parameters, "optimizer_state": np.zeros((0, 9))}
    network = fastmlp.load(forged(tmp_path / "model.npz", header, arrays))
    assert network.predict([[1, 1], [-2, 1]]).tolist() == [[10], [7]]


@pytest.mark.parametrize("kind", [str, pathlib.Path, os.fsencode, "relative", "no suffix", "capitals", "unicode"])
def test_paths(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"relative": "model.npz", "no suffix": "model", "capitals": "model.NPZ", "unicode": "mödel 模型.npz"}
    path = names.get(kind) or kind(tmp_path / "model.npz")
    network = trained()
    network.save(path)
    assert os.listdir() == [os.path.basename(os.fsdecode(path))]
    assert everything(fastmlp.load(path)) == everything(network)


@pytest.mark.parametrize("path", [None, 3, object(), ["model.npz"], "model\0.npz"])
def test_what_is_no_path(path):
    for use in (trained().save, fastmlp.load, fastmlp.Checkpoint):
        assert refusal(use, path) == "path"


def test_a_path_is_asked_for_its_name_once(tmp_path):
    """What is checked is what is used."""

    class Fickle:
        names = iter(["model.npz", "model.onnx"])

        def __fspath__(self):
            return str(tmp_path / next(self.names))

    trained().save(Fickle())
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("name", ["x.onnx", "x.pt", "x.safetensors", "x.h5", "x.npz.tmp", "x.npy", "model-1.5", "x."])
def test_other_formats_are_not_promised(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for save in (trained().save, fastmlp.Checkpoint):
        with pytest.raises(ValueError, match=r"^path must end in \.npz or have no suffix, got '") as caught:
            save(name)
        assert str(caught.value).endswith(f"got {name!r}")
    assert os.listdir() == []
    trained().save("model")
    os.rename("model", name)
    fastmlp.load(name)  # whatever its name


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such devices here")
def test_devices_may_have_any_name(tmp_path):
    (tmp_path / "null.onnx").symlink_to("/dev/null")
    trained().save(tmp_path / "null.onnx")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'$"):
        trained().save("/dev/full")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_through_a_pipe(tmp_path):
    """It is written to at any name, and not read: what is asked for lies here and there."""
    pipe, copy = tmp_path / "pipe.x", tmp_path / "copy"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()))
    reader.start()
    trained().save(pipe)
    reader.join()
    assert pipe.is_fifo()
    assert everything(fastmlp.load(copy)) == everything(trained())
    writer = threading.Thread(target=lambda: pipe.open("wb").close())
    writer.start()
    assert refusal(fastmlp.load, pipe) == "path"
    writer.join()


@pytest.mark.parametrize("name", ["network", "checkpoint", "table"])
def test_files_of_the_first_release(name):
    """Written by `numpy.savez`, of all kinds; NumPy itself says what is in them."""
    path = DATA / f"{name}.npz"
    header, arrays = parts(path)
    if name == "table":
        network, schema = commands.load_model(str(path))
        assert [column.name for column in schema.features] == [entry["name"] for entry in header["table"]["features"]]
    else:
        network = fastmlp.load(path)
    again, saved = network._to_record(training=True)
    again = json.loads(json.dumps(again))  # without tuples
    for key in header.keys() - {"format", "version", "table"}:
        assert again[key] == header[key]
    assert saved.keys() == arrays.keys()
    for key, array in arrays.items():
        assert (saved[key].dtype, saved[key].shape) == (array.dtype, array.shape)
        assert saved[key].tobytes() == array.tobytes()


def test_places_that_cannot_be_written_or_read(tmp_path):
    network, before = trained(), everything(trained())
    for path in (tmp_path / "missing" / "model.npz", tmp_path):
        with pytest.raises(OSError, match=r"."):
            network.save(path)
        with pytest.raises(OSError, match=r"."):
            fastmlp.load(path)
    assert os.listdir(tmp_path) == []
    assert everything(network) == before


@needs_modes
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o000, 0o666)])
def test_permissions_are_those_of_any_new_file(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        trained().save(tmp_path / "model.npz")
        assert os.umask(mask) == mask  # as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "model.npz").st_mode) == mode


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("broken", ["fastmlp.files.archive.pieces", "os.write", "os.fsync", "os.replace"])
def test_a_failure_leaves_the_old_file(broken, error, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    trained().save(path)
    before = path.read_bytes()

    def fail(*_):
        raise error("no space left")

    def half(*_):
        yield b"half of"
        fail()

    network = trained("sgd")
    with monkeypatch.context() as patched:
        patched.setattr(broken, half if broken == "fastmlp.files.archive.pieces" else fail)
        for target in (path, tmp_path / "new.npz"):
            with pytest.raises(error, match="no space left"):
                network.save(target)
    assert os.listdir(tmp_path) == ["model.npz"]
    assert path.read_bytes() == before
    network.save(path)
    assert everything(fastmlp.load(path)) == everything(network)


def test_storage_keeps_what_else_a_header_holds(tmp_path):
    storage.write(tmp_path / "x", {"more": [1, {"a": None}]}, {"parameters": np.arange(3)})
    header, arrays = storage.read(tmp_path / "x")
    assert header == {"format": "fastmlp", "version": 1, "more": [1, {"a": None}]}
    assert arrays["parameters"].tolist() == [0, 1, 2]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.touch()
    link.symlink_to(target)
    fastmlp.NeuralNetwork([2, 1]).save(link)
    assert link.is_symlink()
    assert fastmlp.load(target).layer_sizes == (2, 1)
