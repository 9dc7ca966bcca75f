"""What kernels read and write: scratch full of rubbish changes no bit, and samples are read from wherever they lie."""

import numpy as np
import pytest
from cases import HIDDEN, PAIRINGS, case, optimizers

from fastmlp.kernels.backends import choice as backends
from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted
from fastmlp.kernels.functions.kernel import SOURCE_DTYPES
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime import plan
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS

scratch = plan.scratch


def poison(monkeypatch, byte):
    """Fill all scratch with a byte: 0xFF makes NaN of all numbers, 0x00 zeros."""

    def poisoned(count, dtype):
        memory = scratch(count, dtype)
        memory.view(np.uint8)[...] = byte
        return memory

    monkeypatch.setattr(plan, "scratch", poisoned)


def everything(who, network, schedule, steps):
    """The bits of all that an executor computes."""
    executor, state = network.executor(who), network.state(schedule.optimizer)
    output_gradient = np.ones((len(network.X), network.model.sizes[-1]))
    training = executor.training(network.X, network.y, state, schedule)
    results = [
        executor.predict(network.X),
        executor.evaluate(network.X, network.y),
        *executor.gradient(network.X, network.y),
        *executor.backward(network.X, output_gradient),
        training.run(0, steps),
        training.losses,
    ]
    training.collect()
    results += [executor.parameters, state, executor.predict(network.X)]
    assert all(np.isfinite(result).all() for result in results)
    return [np.asarray(result).tobytes() for result in results]


def same_bits(who, network, schedule, steps, monkeypatch):
    results = []
    for byte in (0x00, 0xFF, 0xFF):
        poison(monkeypatch, byte)
        results.append(everything(who, network, schedule, steps))
    return results[0] == results[1] == results[2]


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_scratch_full_of_rubbish(kernel_backend, dtype, hidden, output, loss, monkeypatch):
    """Widths that leave padding in vectors and panels, and a last batch that leaves rows of the one before."""
    network = case((5, 19, 3), hidden, output, loss, dtype, samples=8, decided=True)
    assert same_bits(kernel_backend, network, Schedule(SGD(0.05), 5, 2, 1), 4, monkeypatch)


def test_scratch_full_of_rubbish_for_every_optimizer(kernel_backend, dtype, monkeypatch):
    network = case((5, 19, 3), "tanh", "softmax", "categorical_cross_entropy", dtype, samples=8)
    for optimizer in optimizers(learning_rate=0.05):
        assert same_bits(kernel_backend, network, Schedule(optimizer, 5, 2, 1), 4, monkeypatch)


@pytest.mark.parametrize("sizes", [(1024, 2), (3, 1024, 2), (512, 3, 512)])
def test_rows_with_gaps(kernel_backend, dtype, sizes, monkeypatch):
    """Rows that would be a multiple of 4 KiB, in float32 or float64, have a vector of nothing at their end."""
    network = case(sizes, "sigmoid", "softmax", "categorical_cross_entropy", dtype, samples=3)
    assert same_bits(kernel_backend, network, Schedule(SGD(0.05), 2, 1), 2, monkeypatch)


@pytest.mark.parametrize("sizes", [(1, 1), (33, 65, 31, 17), (200, 130, 10)])
def test_many_shapes_by_compiled_kernels(fast_backend, dtype, sizes, monkeypatch):
    for hidden in HIDDEN:
        network = case(sizes, hidden, "identity", "mean_squared_error", dtype, samples=300)
        for optimizer in optimizers(learning_rate=0.001):
            assert same_bits(fast_backend, network, Schedule(optimizer, 41, 1, 3), 8, monkeypatch)


def test_a_kernel_that_forgets_a_number_is_caught(dtype, monkeypatch):
    """Gradients that have a number of fresh scratch added to them: zero, or NaN."""

    class Forgetful:
        def executor(self, model, parameters):
            executor = backends.backend("reference").executor(model, parameters)
            original = executor.gradient
            executor.gradient = lambda *data: (0.0, original(*data)[1] + plan.scratch(1, dtype)[0])
            return executor

    network = case((5, 19, 3), "tanh", "identity", "mean_squared_error", dtype, samples=8)
    with pytest.raises(AssertionError):
        same_bits(Forgetful(), network, Schedule(SGD(), 5, 1), 2, monkeypatch)


# --- where samples lie


def layouts(X, path):
    """The same numbers in memory in other ways."""
    rows, columns = X.shape
    yield "Fortran order", np.asfortranarray(X)
    wide = np.zeros((3 * rows, 2 * columns), X.dtype)
    wide[::3, ::2] = X
    yield "strides", wide[::3, ::2]
    yield "negative strides", X[::-1, ::-1].copy()[::-1, ::-1]
    yield "negative strides in Fortran order", np.asfortranarray(X[::-1])[::-1]
    yield "byte-swapped", X.astype(X.dtype.newbyteorder())
    unaligned = np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    unaligned[...] = X
    yield "unaligned", unaligned
    records = np.zeros(rows, [("flag", np.uint8), ("features", X.dtype, columns)])  # strides of a number and a byte
    records["features"] = X
    yield "records", records["features"]
    read_only = X.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    mapped = np.memmap(path, X.dtype, "w+", shape=X.shape)
    mapped[...] = X
    yield "memory map", mapped
    yield "read-only memory map", np.memmap(path, X.dtype, "r", shape=X.shape)


def numbers(source, shape):
    """Numbers that use the range of their type, but for what would overflow in a network."""
    generator = np.random.default_rng(11)
    if np.dtype(source).kind in "iu":
        limits = np.iinfo(source)
        return generator.integers(limits.min, limits.max, shape, source, endpoint=True)
    if source == "bool":
        return generator.integers(2, size=shape).astype(bool)
    return generator.normal(size=shape).astype(source)


@pytest.mark.parametrize("source", [*SOURCE_DTYPES, "float16", "bool"])
def test_samples_are_read_from_wherever_they_lie(backend, dtype, source, tmp_path):
    """As from a plain copy of the network's own dtype."""
    network = case((3, 4, 2), "identity", "identity", "mean_squared_error", dtype, 5)
    X = numbers(source, (5, 3))
    executor = network.executor(backend)
    expected = executor.predict(X.astype(dtype))
    assert np.isfinite(expected).all()
    assert executor.predict(X).tobytes() == expected.tobytes()
    for name, same in layouts(X, tmp_path / "X"):
        np.testing.assert_array_equal(same, X)
        assert executor.predict(same).tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("source", ["float64", "float32", "float16", "int8", "bool"])
def test_training_reads_samples_and_targets_from_wherever_they_lie(fast_backend, dtype, source, tmp_path):
    network = case((3, 4, 2), "tanh", "identity", "mean_squared_error", dtype, 13)
    X, y = (numbers(source, shape).astype(float) for shape in ((13, 3), (13, 2)))
    X, y = ((v / (1 + abs(v).max() / 4)).astype(source) for v in (X, y))

    def trained(X, y):
        executor = network.executor(fast_backend)
        training = executor.training(X, y, network.state(SGD()), Schedule(SGD(0.01), 4, 2, 5))
        assert training.run(0, 8) == 8
        return [executor.parameters.tobytes(), training.losses.tobytes()]

    expected = trained(X.astype(dtype), y.astype(dtype))
    for (name, same_X), (_, same_y) in zip(layouts(X, tmp_path / "X"), layouts(y, tmp_path / "y"), strict=True):
        assert trained(same_X, same_y) == expected, name


def test_broadcast_samples(backend, dtype):
    """Strides of zero: one row seen many times, one column seen many times."""
    network = case((3, 4, 2), "tanh", "identity", "mean_squared_error", dtype, 5)
    executor = network.executor(backend)
    for small in (np.ones((1, 3)) * [1, 2, 3], np.arange(5.0)[:, np.newaxis], np.ones((1, 1))):
        X = np.broadcast_to(small, (5, 3))
        assert executor.predict(X).tobytes() == executor.predict(X.copy()).tobytes()


@pytest.mark.parametrize("source", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_labels_of_any_integer_type(backend, dtype, source):
    network = case((3, 4, 3), "tanh", "softmax", "categorical_cross_entropy", dtype, 9)
    executor = network.executor(backend)
    value, gradient = executor.gradient(network.X, network.rows_of_y)
    labels = network.y.astype(source)
    for same in (labels, labels[::-1].copy()[::-1], labels.repeat(2)[::2], labels.astype(labels.dtype.newbyteorder())):
        assert executor.gradient(network.X, same)[0] == value
        assert executor.gradient(network.X, same)[1].tobytes() == gradient.tobytes()


def test_readable_copies_only_what_kernels_cannot_read(tmp_path):
    X = np.arange(12.0).reshape(4, 3)
    for name, same in layouts(X, tmp_path / "X"):
        copied = not np.shares_memory(plan.readable(same), same)
        assert copied == (name in ("byte-swapped", "unaligned", "records")), name
    flags = X > 3
    assert np.shares_memory(plan.readable(flags), flags)


def test_large_plans_are_not_kept():
    """Losses of many epochs, and the parameters of each, take memory that another training does not need."""
    network = case((3, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 5)
    executor, state = network.executor(Backend("interpreted", Interpreted(LEVELS["x86-64-v3"]))), network.state(SGD())
    for schedule, kept in (
        (Schedule(SGD(), 5, 2), True), (Schedule(SGD(), 5, 5_000_000), False), (Schedule(SGD(), 5, 2), True),
        (Schedule(SGD(), 5, 500_000, trail=True), False), (Schedule(SGD(), 5, 2), True),
    ):  # fmt: skip
        training = executor.training(network.X, network.y, state, schedule)
        training._plan.make_room(schedule.epochs, schedule.epochs)  # as `run` does, as epochs come
        training.close()
        assert (executor._training_plan is not None) == kept
