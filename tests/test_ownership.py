"""What kernels index by is the package's own: whatever users' objects do meanwhile, no memory but theirs is touched."""

import copy
import re
import threading
from dataclasses import replace
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.base.errors import shortened
from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.layers.plan import DROPOUT, LAYER, NORMALIZATION, PLAN
from fastmlp.kernels.runtime.executor import Executor
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.structures import ADDRESS

X = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.arange(40) % 3
Y = np.stack([X[:, 0], X[:, 1] ** 2], axis=1)


def classifier(backend=None, **options):
    options = {"loss": "categorical_cross_entropy", "dtype": "float64", "seed": 0} | options
    return NeuralNetwork([3, 5, 3], "tanh", backend=backend, **options)


def regressor(**options):
    return NeuralNetwork([3, 4, 2], "tanh", dtype="float64", seed=0, **options)


# --- labels


@pytest.mark.parametrize("where", ["train", "validation_data"])
@pytest.mark.parametrize("change", [np.add, np.multiply, np.subtract])
def test_metrics_cannot_change_what_is_trained_on(where, change):
    def careless(y, outputs):
        change(y, 10**7, out=y)
        return 0.0

    def careful(y, outputs):
        assert not y.flags.writeable
        assert not outputs.flags.writeable
        y, outputs = y.copy(), outputs.copy()
        y += 10**7
        outputs += y[:, np.newaxis]
        return float(outputs.mean())

    labels = LABELS.copy()
    more = {"validation_data": (X, labels)} if where == "validation_data" else {}
    with pytest.raises(ValueError, match="read-only") as refusal:
        classifier().train(X, labels, 3, metrics=careless, **more)
    assert refusal.value.__notes__ == ["Metric 'careless' must not change y and outputs: y.copy() may be changed."]
    measured = classifier().train(X, labels, 3, metrics=[careful, "accuracy"], **more)
    plain = classifier().train(X, labels, 3, metrics="accuracy", **more)
    assert [measured.loss, measured.metrics["accuracy"]] == [plain.loss, plain.metrics["accuracy"]]
    assert labels.tolist() == LABELS.tolist()


def test_labels_are_copied_before_they_are_checked(monkeypatch):
    """As another thread would: they change as soon as they have been looked at."""
    from fastmlp.checks import array_checks

    right = array_checks.require_each
    labels = LABELS.copy()

    def late(argument, array, rule, holds):
        right(argument, array, rule, holds)
        if argument == "y":
            labels[:] = 10**9

    expected = classifier().evaluate(X, LABELS)
    monkeypatch.setattr(array_checks, "require_each", late)
    assert classifier().evaluate(X, labels) == expected
    assert labels[0] == 10**9
    with pytest.raises(ValueError, match=r"^y must be labels from 0 to 2, got 1000000000$"):
        classifier().evaluate(X, labels)


@pytest.mark.parametrize("wrong", [-1, 3, 10**9, -(2**63), 2**63 - 1])
def test_labels_lead_nowhere_else_in_kernels(backend, wrong):
    """Should one get there all the same, it counts as the nearest class; the interpreter checks every access."""
    if backend.library is None:
        pytest.skip("NumPy's own indices are checked by NumPy")
    network = classifier(backend.name)
    labels = LABELS.copy()
    labels[5] = wrong
    nearest = np.clip(labels, 0, 2)
    assert network._executor.evaluate(X, labels) == network._executor.evaluate(X, nearest)


# --- lengths and shapes


class Lying(np.ndarray):
    """Says that it has more rows than there are."""

    def __len__(self):
        return 10**6


def test_lengths_are_those_of_arrays():
    lying = X.view(Lying)
    network = regressor()
    assert network.predict(lying).shape == (40, 2)
    assert network.evaluate(lying, Y) == network.evaluate(X, Y)


def test_what_is_read_is_a_view_of_its_own():
    """Shape, strides and type of the user's array may be set by another thread after they have been checked."""
    from fastmlp.checks.array_checks import numbers

    mine = X.copy()
    seen = numbers("X", mine)
    assert seen is not mine
    assert np.shares_memory(seen, mine)
    with pytest.raises(ValueError, match="resize"):
        mine.resize((80, 3))


def test_vectors_of_another_length_are_refused():
    network = regressor()
    state = network.__getstate__()
    for wrong in (state["_parameters"][:-1], state["_parameters"].astype(np.float32), state["_parameters"][::-1]):
        damaged = NeuralNetwork.__new__(NeuralNetwork)
        with pytest.raises(ValueError, match=r"^parameters must be a contiguous array \(26,\) of float64, got "):
            damaged.__setstate__(state | {"_parameters": wrong})


def test_states_of_another_length_are_refused():
    network = regressor()
    network.train(X, Y, 1, optimizer="adam")
    pickled = network.__getstate__()
    right = pickled["_state"]
    for name, wrong in (
        ("state", right._replace(slots=right.slots[:1])), ("state", right._replace(slots=right.slots[:, :-1])),
        ("average", right._replace(average=pickled["_parameters"][:-1])),
    ):  # fmt: skip
        damaged = NeuralNetwork.__new__(NeuralNetwork)
        with pytest.raises(ValueError, match=rf"^{name} must be a contiguous array \(.*\) of float64, got \("):
            damaged.__setstate__(pickled | {"_state": wrong})


def test_models_of_pickles_are_checked_anew():
    """Where things are follows from sizes, of which a pickle may hold any, beside the number that they had."""
    edits = ("sizes", (3000, 400, 2)), ("sizes", (3, -4, 2)), ("activations", ("relu",)), ("dtype", "float32")
    network = regressor()
    restore, (model, parameters, asked) = network.predictor().__reduce__()
    state = network.__getstate__()
    assert restore(model, parameters, asked)(X).tobytes() == network.predict(X).tobytes()
    for name, value in edits:
        wrong = copy.copy(model)
        assert wrong.parameter_count == 26
        object.__setattr__(wrong, name, value)
        message = r"^(parameters|activation|layer_sizes|state) must be "
        with pytest.raises((ValueError, TypeError), match=message):
            restore(wrong, parameters, asked)
        with pytest.raises((ValueError, TypeError), match=message):
            NeuralNetwork.__new__(NeuralNetwork).__setstate__(state | {"_model": wrong})


class Boasting(np.ndarray):
    """Says what kernels want to hear."""

    dtype = property(lambda self: np.dtype("float64"))
    flags = property(lambda self: np.empty(1).flags)


@pytest.mark.parametrize("what", ["bytes", "column", "read-only", "fitting"])
def test_outputs_go_where_arrays_are_not_where_they_say(what):
    memory = np.zeros((40, 4))
    memory.flags.writeable = what != "read-only"
    out = {"bytes": np.zeros((40, 2), np.uint8), "column": memory[:, ::2], "read-only": memory[:, :2].copy()}.get(what)
    out = np.zeros((40, 2)) if what == "fitting" else out
    if what == "read-only":
        out.flags.writeable = False
    network = regressor()
    if what == "fitting":
        assert network.predictor()(X, out=out.view(Boasting)).tolist() == network.predict(X).tolist() == out.tolist()
        return
    with pytest.raises((ValueError, TypeError), match=r"^out must be "):
        network.predictor()(X, out=out.view(Boasting))
    assert not memory.any()
    assert not out.any()


class Unfaithful(np.ndarray):
    """Gives other parts than it has."""

    def __getitem__(self, key):
        return np.zeros(1, np.int64)


def test_parts_of_sparse_samples_are_plain():
    sparse = pytest.importorskip("scipy.sparse")
    network, plain = regressor(), sparse.csr_array(np.where(X > 0, X, 0))
    expected = network.predict(plain).tobytes()
    for name in ("indices", "indptr", "data"):
        damaged = plain.copy()
        setattr(damaged, name, getattr(plain, name).view(Unfaithful))
        assert network.predict(damaged).tobytes() == expected
    changes = {
        "indices": lambda a: np.stack([a, a], 1), "indptr": lambda a: a + 0.0, "data": lambda a: np.stack([a, a], 1),
    }  # fmt: skip
    for name, change in changes.items():
        damaged = plain.copy()
        setattr(damaged, name, change(getattr(plain, name)))
        with pytest.raises(ValueError, match=r"^X must be a CSR matrix of three vectors, the indices and indptr "):
            network.predict(damaged)


def test_labels_stay_read_only_for_those_who_insist():
    def insist(y, outputs):
        y.flags.writeable = True
        return 0.0

    with pytest.raises(ValueError, match="WRITEABLE"):
        classifier().train(X, LABELS, 2, metrics=insist)


@pytest.mark.parametrize(
    "options",
    [{"callbacks": fastmlp.ProgressBar}, {"callbacks": [fastmlp.Checkpoint]}, {"optimizer": fastmlp.Adam}],
    ids=["bar", "checkpoint", "optimizer"],
)
def test_classes_in_place_of_objects_are_refused(options):
    network = regressor()
    with pytest.raises(TypeError, match=r"^(callbacks|optimizer) must be .*, got the class \w+: \w+\(.*\) makes "):
        network.train(X, Y, 2, **options)
    assert network.history is None


# --- users' classes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda kind: {"optimizer": kind(fastmlp.Adam)()}, "optimizer must be one of 'sgd', "),
        (lambda kind: {"optimizer": kind(fastmlp.SGD)()}, "optimizer must be one of 'sgd', "),
    ],
)
def test_subclasses_of_optimizers_are_refused(make, message):
    """Their settings may be of another number than kernels read."""
    options = make(lambda base: type("Mine", (base,), {"settings": lambda self: [0.1]}))
    with pytest.raises(ValueError, match=f"^{message}"):
        regressor().train(X, Y, 1, **options)


@pytest.mark.parametrize(
    ("argument", "base"),
    [
        ("activation", fastmlp.LeakyReLU), ("loss", fastmlp.Huber), ("normalization", fastmlp.BatchNormalization),
        ("normalization", fastmlp.LayerNormalization), ("loss", fastmlp.Quantile),
    ],
)  # fmt: skip
def test_subclasses_of_settings_are_refused(argument, base):
    mine = type("Mine", (base,), {"numbers": lambda self: []})
    with pytest.raises(ValueError, match=f"^{argument} must be one of "):
        NeuralNetwork([3, 4, 1], **{argument: mine()})


class Odd(fastmlp.StepDecay):
    given = None

    def rates(self, updates, steps_per_epoch):
        return Odd.given(len(updates))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda count: 0.01, ValueError, r"rates must be of shape \(\d+,\), one for each update, got \(\)"),
        (lambda count: np.ones(1), ValueError, r"rates must be of shape \(\d+,\), one for each update, got \(1,\)"),
        (lambda count: np.ones(count + 1), ValueError, r"rates must be of shape"),
        (lambda count: np.ones((count, 1)), ValueError, r"rates must be of shape"),
        (lambda count: -np.ones(count), ValueError, r"rates must be finite numbers from 0 on, got -1\.0"),
        (lambda count: np.full(count, np.nan), ValueError, r"rates must be finite numbers from 0 on, got nan"),
        (lambda count: ["a"] * count, TypeError, r"rates must return an array of real numbers, got \['a', 'a'\]"),
        (lambda count: None, TypeError, r"rates must return an array of real numbers, got None"),
    ],
)
def test_schedules_of_users_are_looked_at(given, error, message):
    Odd.given = staticmethod(given)
    network = regressor()
    before = np.asarray(network.parameters).tobytes()
    with pytest.raises(error, match=f"^{message}"):
        network.train(X, Y, 3, learning_rate=Odd(0.1), batch_size=8)
    assert np.asarray(network.parameters).tobytes() == before
    assert network.history is None


@pytest.mark.parametrize("form", [np.float32, np.float64, "strided", list])
def test_schedules_of_users_may_give_numbers_of_any_kind(form):
    rates = {"strided": lambda count: np.full(2 * count, 0.5)[::2], list: lambda count: [0.5] * count}
    Odd.given = staticmethod(rates.get(form, lambda count: np.full(count, 0.5, form)))
    history = regressor().train(X, Y, 3, learning_rate=Odd(0.1), batch_size=8)
    assert history.loss == regressor().train(X, Y, 3, learning_rate=0.5, batch_size=8).loss


def test_callbacks_are_asked_once_how_often_to_be_called():
    class Fickle:
        asked = 0

        @property
        def every(self):
            self.asked += 1
            return 2 if self.asked == 1 else [0, -5, 10**30, None, "often"][self.asked % 5]

        def __init__(self):
            self.epochs = []

        def __call__(self, network, progress):
            self.epochs.append(progress.epoch)

    fickle = Fickle()
    assert regressor().train(X, Y, 7, callbacks=fickle).epochs == 7
    assert fickle.epochs == [2, 4, 6, 7]


# --- histories


def changes():
    """Ways to change a list that users might try on a history."""
    return {
        "extend": lambda curve: curve.extend([0.0] * 1000), "append": lambda curve: curve.append(0.5),
        "clear": lambda curve: curve.clear(), "pop": lambda curve: curve.pop(),
        "delete": lambda curve: curve.__delitem__(0), "assign": lambda curve: curve.__setitem__(slice(None), [1.0]),
    }  # fmt: skip


@pytest.mark.parametrize("way", changes())
@pytest.mark.parametrize("name", ["loss", "learning_rate", "seconds", "validation_loss", "metrics"])
def test_callbacks_cannot_change_the_history(way, name):
    def meddle(network, progress):
        for history in (progress.history, network.history):
            curve = history.metrics["r2"] if name == "metrics" else getattr(history, name)
            changes()[way](curve)
            history.metrics.clear()
            history.to_dict()["loss"].clear()

    options = {"restore_best": True, "validation_data": (X, Y), "metrics": "r2", "patience": 3}
    network, twin = regressor(), regressor()
    history = network.train(X, Y, 6, callbacks=meddle, **options)
    expected = twin.train(X, Y, 6, **options)
    assert [history.loss, history.metrics, history.stopped] == [expected.loss, expected.metrics, expected.stopped]
    assert len(history.loss) == history.epochs == len(history.seconds) == len(history.learning_rate)
    assert np.asarray(network.parameters).tobytes() == np.asarray(twin.parameters).tobytes()


@pytest.mark.parametrize("name", ["loss", "validation_loss", "metrics", "seconds", "stopped", "epochs", "best_epoch"])
def test_histories_are_not_assigned_to(name):
    history = regressor().train(X, Y, 2)
    with pytest.raises(AttributeError):
        setattr(history, name, [])


# --- numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("where", ["X", "y"])
def test_booleans_of_any_bytes_are_true_or_false(backend, dtype, where):
    """As NumPy takes them: views of other data may have any bytes."""
    odd = np.random.default_rng(1).integers(0, 256, (40, 3), np.uint8)
    odd[::3] = 0
    plain, weird = odd.astype(bool), odd.view(bool)
    assert plain.view(np.uint8).max() == 1
    network = NeuralNetwork([3, 5, 3], dtype=dtype, seed=0, backend=backend.name)
    if where == "X":
        for form in (lambda a: a, lambda a: a[:, ::-1], lambda a: a[::2], lambda a: np.asfortranarray(a)):
            np.testing.assert_array_equal(network.predict(form(weird)), network.predict(form(plain)))
        assert network.predict(weird[1]).tolist() == network.predict(plain[1]).tolist()
        data = [(weird, X), (plain, X)]
    else:
        data = [(X, weird), (X, plain)]
    losses = []
    for one, other in data:
        twin = NeuralNetwork([3, 5, 3], dtype=dtype, seed=0, backend=backend.name)
        losses.append([twin.evaluate(one, other), *twin.train(one, other, 3, batch_size=8).loss])
    assert losses[0] == losses[1]


class Unshown:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [Unshown(), 10**5000, -(10**5000), [10**5000], {"a": Unshown()}],
    ids=["object", "large", "small", "list", "dictionary"],
)
def test_values_that_cannot_be_shown_are_refused_all_the_same(value):
    assert len(shortened(value)) <= 80
    with pytest.raises((ValueError, TypeError), match=r"^(seed|threads) must be "):
        NeuralNetwork([2, 1], seed=value, threads=value)


class Mute(str):
    def __repr__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda value: NeuralNetwork([3, 2], dtype=value), "dtype must be one of 'float32', 'float64', got "),
        (lambda value: regressor().train_stream([(X, Y)], class_weight=value), "class_weight must be None or a dict"),
    ],
)
def test_values_whose_repr_fails_are_refused_by_name(call, sentence):
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        call(Mute("x"))


class Named(str, Enum):  # noqa: UP042, as StrEnum does not say "Named.RELU" of itself
    RELU, ADAM, ACCURACY, LOSS, BALANCED = "relu", "adam", "accuracy", "loss", "balanced"
    BATCH, ZEROS, ENTROPY, REFERENCE = "batch", "zeros", "categorical_cross_entropy", "reference"


class Evil(str):
    """Says that it is whatever it is compared with."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash("relu")

    def __str__(self):
        return "something else"


NAMED = {
    "activation": (lambda name: NeuralNetwork([3, 4, 2], name).activations[0], Named.RELU),
    "output_activation": (lambda name: NeuralNetwork([3, 4, 2], "tanh", name).activations[1], Named.RELU),
    "loss": (lambda name: NeuralNetwork([3, 4, 2], loss=name).loss, Named.ENTROPY),
    "normalization": (lambda name: NeuralNetwork([3, 4, 2], normalization=name).layers[0].normalization, Named.BATCH),
    "initializer": (lambda name: NeuralNetwork([1, 1], initializer=name).parameters.tolist(), Named.ZEROS),
    "backend": (lambda name: NeuralNetwork([1, 1], backend=name).backend, Named.REFERENCE),
    "optimizer": (lambda name: regressor().train(X, Y, 1, optimizer=name).learning_rate, Named.ADAM),
    "metrics": (lambda name: [*classifier().train(X, LABELS, 1, metrics=name).metrics], Named.ACCURACY),
    "monitor": (lambda name: classifier().train(X, LABELS, 1, monitor=name).epochs, Named.LOSS),
    "class_weight": (lambda name: classifier().train(X, LABELS, 1, class_weight=name).epochs, Named.BALANCED),
}


@pytest.mark.parametrize("argument", NAMED)
def test_names_are_taken_as_they_are_spelled(argument):
    call, name = NAMED[argument]
    assert call(name) == call(name.value)
    with pytest.raises(ValueError, match=f"^{argument} must be .*, got 'x'"):
        call(Evil("x"))


def test_paths_are_taken_as_they_are_spelled(tmp_path):
    path = tmp_path / "network.npz"
    regressor().save(Evil(path))
    assert [one.name for one in tmp_path.iterdir()] == ["network.npz"]
    with pytest.raises(FileNotFoundError, match=r"'no\.npz'"):
        fastmlp.load(Mute("no.npz"))


def liar(base, count, values):
    """A list or tuple of these values that says it has another number of them."""
    return type("Liar", (base,), {"__len__": lambda self: count})(values)


@pytest.mark.parametrize("base", [list, tuple])
@pytest.mark.parametrize(
    ("call", "count", "values", "name"),
    [
        (lambda value: NeuralNetwork([3, 4, 2], value), 1, [], "activation"),
        (lambda value: NeuralNetwork([3, 4, 2], value), 1, ["relu", "tanh"], "activation"),
        (lambda value: NeuralNetwork([3, 4, 2], normalization=value), 1, ["batch", "batch"], "normalization"),
        (lambda value: NeuralNetwork([3, 4, 2], normalization=value), 1, [], "normalization"),
        (lambda value: NeuralNetwork([3, 4, 2], initializer=value), 2, ["zeros"], "initializer"),
        (lambda value: regressor().train(X, Y, 1, validation_data=value), 2, [X], "validation_data"),
        (lambda value: regressor().train_stream([value]), 2, [X], "chunks"),
    ],
)
def test_how_many_there_are_is_counted(base, call, count, values, name):
    with pytest.raises((ValueError, TypeError), match=f"^{name} must be "):
        call(liar(base, count, values))


def test_seeds_are_what_files_can_hold(tmp_path):
    seed = 2**4096 - 1
    NeuralNetwork([2, 1], seed=seed).save(tmp_path / "network.npz")
    assert fastmlp.load(tmp_path / "network.npz")._entropy == seed
    with pytest.raises(ValueError, match=r"^seed must be None or an integer from 0 to 2\^4096 - 1, got "):
        NeuralNetwork([2, 1], seed=seed + 1)


# --- every pointer


def test_every_pointer_of_a_plan_has_its_owner_on_the_page():
    """The fields that hold addresses, and the table of docs/memory.md."""
    inner = {"layer.": LAYER, "dropout.": DROPOUT, "normalization.": NORMALIZATION}
    pointers = {
        prefix + field.name
        for prefix, structure in {"": PLAN, **inner}.items()
        for field in structure.fields
        if field.is_pointer or field.kind == ADDRESS
    }
    assert {"x", "columns", "starts", "losses", "layer.delta", "dropout.mask", "normalization.sums"} <= pointers
    page = (Path(__file__).parent.parent / "docs" / "memory.md").read_text(encoding="utf-8")
    table = page.partition("| memory of |")[2].partition("\n\n")[0]
    listed = re.findall(r"`([a-z_.]+)`", table)
    assert sorted(listed) == sorted(set(listed)), "named twice"
    assert set(listed) == pointers


def test_what_belongs_to_users_is_let_go_of():
    """After a training, a plan that is kept holds nothing that users have given."""
    network = regressor(threads=1)
    executor = network._executor
    if not isinstance(executor, Executor):
        pytest.skip("the reference keeps no plan")
    work = executor.training(X, Y, np.zeros((0, 26)), Schedule(SGD(), 8, 2))
    plan = work._plan
    given = {"x", "y"}
    assert all(np.shares_memory(plan._arrays[word], mine) for word, mine in zip(sorted(given), (X, Y), strict=True))
    work.close()
    assert not given & set(plan._arrays)
    assert not any(np.shares_memory(array, mine) for array in plan.arrays() for mine in (X, Y))


def test_a_label_that_is_not_bounded_is_caught(monkeypatch):
    """The interpreter sees an index that leads elsewhere."""

    def unbounded(source, row_stride, column_stride, order, first, rows, columns, target, stride):
        for i in range(rows):
            target[i * stride + source[(first + i) * row_stride]] = 1.0

    labels = LABELS.copy()
    labels[5] = 10**9
    network = classifier("interpreted")
    network._executor.evaluate(X, labels)
    monkeypatch.setitem(KERNELS, "gather_labels", replace(KERNELS["gather_labels"], function=unbounded))
    with pytest.raises(IndexError):
        network._executor.evaluate(X, labels)


def test_labels_that_another_thread_writes_meanwhile_crash_nothing():
    network, labels, over = classifier(), np.tile(LABELS, 500), threading.Event()

    def write():
        while not over.is_set():
            labels[7] = 10**9
            labels[7] = 1

    writer = threading.Thread(target=write)
    writer.start()
    many = np.tile(X, (500, 1))
    try:
        for _ in range(100):
            try:
                assert np.isfinite(network.evaluate(many, labels))
            except ValueError as error:
                assert "y must be labels from 0 to 2" in str(error)  # noqa: PT017
    finally:
        over.set()
        writer.join()
