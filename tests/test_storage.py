"""Files, pickles and copies: the same bits come back, and whatever is no such file is refused in one line."""

import copy
import json
import os
import pathlib
import pickle
import stat
import sys
import zipfile

import numpy as np
import pytest
from cases import smooth_optimizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp import NeuralNetwork, storage

X, Y = np.random.default_rng(0).normal(size=(11, 3)), np.eye(2)[[0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0]]
needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


def trained(optimizer="adam", epochs=3, **options):
    network = NeuralNetwork([3, 4, 2], "tanh", **{"loss": "categorical_cross_entropy", "seed": 1, **options})
    network.train(X, Y, epochs, batch_size=4, optimizer=optimizer)
    return network


def everything(network):
    """All that a network is written with: facts, and the bytes of its arrays."""
    header, arrays = network._to_record()
    return header, {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file that a network was saved to; not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "model.npz"
    trained().save(path)
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A place for files, for tests that Hypothesis runs many times."""
    return tmp_path_factory.mktemp("room")


def refused(path):
    """The sentence with which a file is refused."""
    with pytest.raises(ValueError, match=r"^path must be a (file|network) .*got ") as caught:
        fastmlp.load(path)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    return str(caught.value)


def parts(path):
    """Header and arrays of a file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("header"))), arrays


def forged(path, header, arrays):
    """A file with these contents, which nobody checked."""
    text = header if isinstance(header, str) else json.dumps(header)
    np.savez(path, header=np.array(text), **arrays)
    return path


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


@pytest.mark.parametrize("kind", [str, pathlib.Path, "relative", "no suffix", "other suffix", "unicode"])
def test_paths(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"relative": "model.npz", "no suffix": "model", "other suffix": "model.bin", "unicode": "mödel 模型.npz"}
    path = names.get(kind) or kind(tmp_path / "model.npz")
    network = trained()
    network.save(path)
    assert os.listdir() == [os.path.basename(path)]
    assert everything(fastmlp.load(path)) == everything(network)


@pytest.mark.parametrize("path", [None, 3, object(), ["model.npz"]])
def test_what_is_no_path(path):
    with pytest.raises(TypeError):
        trained().save(path)
    with pytest.raises(TypeError):
        fastmlp.load(path)


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
@pytest.mark.parametrize("broken", ["numpy.savez", "os.fsync", "os.replace", "os.chmod"])
def test_a_failure_leaves_the_old_file(broken, error, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    trained().save(path)
    before = path.read_bytes()

    def fail(first, *_, **__):
        if broken == "numpy.savez":
            first.write(b"half of")
        raise error("no space left")

    network = trained("sgd")
    with monkeypatch.context() as patched:
        patched.setattr(broken, fail)
        for target in (path, tmp_path / "new.npz"):
            with pytest.raises(error, match="no space left"):
                network.save(target)
    assert os.listdir(tmp_path) == ["model.npz"]
    assert path.read_bytes() == before
    network.save(path)
    assert everything(fastmlp.load(path)) == everything(network)


# --- what is no such file


@pytest.mark.parametrize(
    "contents",
    [
        b"", b"x", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY", b"\x93NUMPY\x01\x00",
        b"\x80\x04K\x01.", b"{}",
        pickle.dumps(trained()), bytes(1000), b"\x00PK\x03\x04" * 100, "ünïcödé".encode(),
    ],
)  # fmt: skip
def test_files_of_other_kinds(contents, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(contents)
    assert refused(path) == f"path must be a file saved by fastmlp, got {str(path)!r}"


class Hostile:
    """Does what it should not when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("something in the file was executed",)


def test_nothing_in_a_file_is_executed(tmp_path, saved):
    header, arrays = parts(saved)
    evil = np.array([Hostile()], object)
    for contents in ({**arrays, "parameters": evil}, {**arrays, "optimizer_state": evil}, {**arrays, "more": evil}):
        refused(forged(tmp_path / "model.npz", header, contents))
    np.savez(tmp_path / "model.npz", header=evil, **arrays)
    refused(tmp_path / "model.npz")
    np.save(tmp_path / "model.npy", evil, allow_pickle=True)
    refused(tmp_path / "model.npy")
    (tmp_path / "model.npz").write_bytes(pickle.dumps(Hostile()))
    refused(tmp_path / "model.npz")


def test_other_numpy_files(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    np.savez(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", np.ones(3))
    np.savez(tmp_path / "d.npz", header=np.ones(3))
    np.savez(tmp_path / "e.npz", header=np.array("{}"))
    for path in tmp_path.iterdir():
        refused(path)


def test_what_inflates_is_not_read(tmp_path, saved):
    header, arrays = parts(saved)
    path = tmp_path / "model.npz"
    np.savez_compressed(path, header=np.array(json.dumps(header)), **arrays, more=np.zeros(10**6))
    assert path.stat().st_size < 10**5
    refused(path)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2**60,), "<f4"), ((2**31, 2**31), "<f8"), ((2**40, 0), "<f4"), ((-5,), "<f4"), ((26,), "|O")]
)
def test_arrays_that_claim_to_be_larger_than_the_file(shape, dtype, tmp_path, saved):
    header, arrays = parts(saved)
    del arrays["parameters"]
    path = forged(tmp_path / "model.npz", header, arrays)
    claim = {"descr": dtype, "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(path, "a") as file, file.open("parameters.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, claim)
    refused(path)


def test_versions(tmp_path, saved):
    header, arrays = parts(saved)
    path = tmp_path / "model.npz"
    for version in (2, 3, 10**30):
        sentence = refused(forged(path, {**header, "version": version}, arrays))
        assert sentence == f"path must be a file of version 1 or earlier, got version {version} in {str(path)!r}"
    for version in (0, -1, None, "1", "x", 1.0, 1.5, True, [1], {}, float("inf"), float("nan")):
        refused(forged(path, {**header, "version": version}, arrays))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        "null",
        "3",
        "[]",
        '"fastmlp"',
        "[1, 2]",
        "true",
        "NaN",
        "{}",
        '{"format": "fastmlp"}',
        "[" * 10**5,
        "9" * 10**4,
    ],
)
def test_headers_that_are_none(header, tmp_path, saved):
    refused(forged(tmp_path / "model.npz", header, parts(saved)[1]))


ENTRIES = ["format", "version", "layer_sizes", "activations", "loss", "dtype", "seed", "epochs", "updates", "optimizer"]


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_that_are_missing(name, tmp_path, saved):
    header, arrays = parts(saved)
    del header[name]
    refused(forged(tmp_path / "model.npz", header, arrays))


WRONG = {
    "format": [None, "", "fastMLP", 1, ["fastmlp"]],
    "layer_sizes": [
        None, [], [3], [3, 4], [3, 4, 3], [4, 3, 2], [3, 4, 2, 1], [0, 4, 2], [-3, 4, 2], [3.0, 4, 2], [True, 4, 2],
        "342", {"3": 4}, 3,
        [3, 10**30, 2], [2**31, 4, 2], [[3], 4, 2], [3, None, 2], [4, 4, 1],
    ],
    "activations": [
        None, [], "tanh", ["tanh"], ["tanh", "tanh"], ["softmax", "softmax"], ["tanh", "tanh", "softmax"],
        ["x", "softmax"], [None, "softmax"],
        [["tanh"], "softmax"], 3, {"tanh": 1}, {"tanh": 1, "softmax": 2, "x": 3},
    ],
    "loss": [None, "", "mse", "output_gradient", "binary_cross_entropy", 3, ["mean_squared_error"], {}],
    "dtype": [None, "", "float16", "int32", "object", "O", ",", "(1,f4", "f4,f4", 3, ["float32"], [["a", "f4"]], {}],
    "seed": [-1, 1.5, "1", True, [1], {}, float("nan")],
    "epochs": [None, -1, 1.5, "1", True, [1], 10**30, float("inf"), 2**53 + 1],
    "updates": [None, -1, 1.5, "1", False, [1], 10**30, float("nan"), 2**53 + 1],
    "optimizer": [
        3, "adam", [], {}, {"name": "adams"}, {"name": None}, {"name": ["adam"]}, {"name": "sgd"},
        {"learning_rate": 0.1},
        {"name": "adam", "update": 1}, {"name": "adam", "self": 1}, {"name": "adam", "": 1},
        {"name": "adam", "slots": []}, True, [["name"]],
        *({"name": "adam", "learning_rate": rate} for rate in (0, -1, "1", None, True, 10**400, float("nan"))),
        *({"name": "adam", "beta1": beta} for beta in (1, -1, "1", None, True, 10**400, float("nan"))),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_entries_that_are_wrong(name, value, tmp_path, saved):
    header, arrays = parts(saved)
    sentence = refused(forged(tmp_path / "model.npz", {**header, name: value}, arrays))
    assert str(tmp_path / "model.npz") in sentence


@pytest.mark.parametrize("name", ["parameters", "optimizer_state"])
def test_arrays_that_are_wrong(name, tmp_path, saved):
    header, arrays = parts(saved)
    good = arrays.pop(name)
    path = tmp_path / "model.npz"
    refused(forged(path, header, arrays))
    wrong = [
        good[:-1],
        good[..., :-1],
        good.T[np.newaxis],
        np.zeros(()),
        np.zeros(0),
        good[np.newaxis],
        np.append(good, 0),
    ]
    wrong += [good.astype(dtype) for dtype in (complex, str, "S9", "M8[s]", "m8[s]")]
    if name == "parameters":
        wrong += [np.append(good[:-1], value) for value in (np.nan, np.inf, -np.inf, 1e39)]
    for value in wrong:
        refused(forged(path, header, {**arrays, name: value}))
    fastmlp.load(forged(path, header, {**arrays, name: good}))


def test_the_sentence_says_what_is_wrong(tmp_path, saved):
    header, arrays = parts(saved)
    path = forged(tmp_path / "model.npz", {**header, "loss": "mse"}, arrays)
    assert refused(path) == (
        f"path must be a network saved by fastmlp, got {str(path)!r}: loss must be one of 'mean_squared_error', "
        "'mean_absolute_error', 'huber', 'log_cosh', 'quantile', 'poisson', 'gamma', "
        "'gaussian_negative_log_likelihood', 'binary_cross_entropy', 'categorical_cross_entropy', 'focal', "
        "'categorical_focal', 'hinge', got 'mse'"
    )


def test_a_wrong_backend_is_not_the_files_fault(saved):
    with pytest.raises(ValueError, match=r"^backend must be one of .*, got 'cuda'$"):
        fastmlp.load(saved, backend="cuda")


# --- fuzzing


def test_files_that_are_cut_off(saved, room):
    contents = saved.read_bytes()
    path = room / "cut.npz"
    for length in range(0, len(contents), 7):
        path.write_bytes(contents[:length])
        refused(path)
        path.write_bytes(contents[length + 1 :])
        try:
            fastmlp.load(path)
        except (ValueError, OSError):
            continue
        raise AssertionError(f"read without the first {length + 1} bytes")


def loaded(path):
    """The network of a file; None if it is refused as it should be."""
    try:
        return fastmlp.load(path)
    except OSError:
        return None
    except ValueError as error:
        sentence = str(error)
    assert "\n" not in sentence
    return None


@settings(max_examples=400)
@given(damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_files_with_damaged_bytes(damage, saved, room):
    contents = bytearray(saved.read_bytes())
    for place, value in damage:
        contents[int(place * len(contents))] = value
    path = room / "damaged.npz"
    path.write_bytes(contents)
    network = loaded(path)
    assert network is None or everything(network) == everything(trained())  # no damage goes unnoticed


def test_a_change_of_any_byte_of_the_numbers_is_noticed(saved, room):
    contents = saved.read_bytes()
    start = contents.index(np.asarray(trained().parameters).tobytes())
    path = room / "flipped.npz"
    for place in range(start, start + 104):
        path.write_bytes(contents[:place] + bytes([contents[place] ^ 1]) + contents[place + 1 :])
        refused(path)


SCALARS = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(-3, 5)
    | st.sampled_from([2**31, 2**63, 2**64, 10**30, 10**400])
    | st.sampled_from([*ENTRIES, "tanh", "softmax", "sgd", "adam", "float64", "mean_squared_error", "name", "beta1"])
)  # fmt: skip
KEYS = st.sampled_from(["name", "learning_rate", "beta1", "x"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


@settings(max_examples=400)
@given(changes=st.dictionaries(st.sampled_from(ENTRIES[2:]), JSON, min_size=1, max_size=3))
@example(changes={"optimizer": {"name": "sgd"}, "updates": 2**53})
def test_hostile_headers(changes, saved, room):
    header, arrays = parts(saved)
    path = forged(room / "hostile.npz", {**header, **changes}, arrays)
    network = loaded(path)
    if network is None:
        return
    assert network.predict(X).shape == (len(X), network.layer_sizes[-1])  # what is accepted works
    try:
        network.train(X, Y, 1, optimizer="adam")
    except FloatingPointError:
        return
    network.save(path)
    assert everything(fastmlp.load(path)) == everything(network)


def test_storage_keeps_what_else_a_header_holds(tmp_path):
    storage.write(tmp_path / "x", {"more": [1, {"a": None}]}, {"numbers": np.arange(3)})
    header, arrays = storage.read(tmp_path / "x")
    assert header == {"format": "fastmlp", "version": 1, "more": [1, {"a": None}]}
    assert arrays["numbers"].tolist() == [0, 1, 2]


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


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.touch()
    link.symlink_to(target)
    fastmlp.NeuralNetwork([2, 1]).save(link)
    assert link.is_symlink()
    assert fastmlp.load(target).layer_sizes == (2, 1)


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
