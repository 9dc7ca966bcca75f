"""Whatever is no file of a network is refused in one line, and nothing in it is executed."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from saved_files import X, Y, forged, parts, refused, saved_in, trained
from trainings import everything

import fastmlp


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file that a network was saved to; not to be changed."""
    return saved_in(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A place for files, for tests that Hypothesis runs many times."""
    return tmp_path_factory.mktemp("room")


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


def test_what_is_said_of_long_entries_is_short(tmp_path, saved):
    header, arrays = parts(saved)
    refused(forged(tmp_path / "model.npz", {**header, "loss": {"name": "x" * 10**5}}, arrays))


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
