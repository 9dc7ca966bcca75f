"""Peaks of memory: what training and prediction may take beyond the network, the data and the results."""

import tracemalloc

import numpy as np
import pytest

import fastmlp


def peak(work):
    """Bytes allocated at the worst moment of the second call: the first one fills caches."""
    work()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def network(backend, **options):
    return fastmlp.NeuralNetwork(
        [256, 512, 512, 8], loss="categorical_cross_entropy", seed=0, backend=backend.name, **options
    )


def data(samples):
    generator = np.random.default_rng(0)
    return generator.random((samples, 256), np.float32), generator.integers(8, size=samples)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("optimizer", "slots"), [("sgd", 0), ("adam", 2)])
def test_training_takes_the_parameters_twice_more_and_no_gradient(fast_backend, optimizer, slots, threads, monkeypatch):
    """Packed parameters and state, the parameters of the last epoch that ended well, activations and deltas of a batch,
    and for each thread a panel of the gradient."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    X, y = data(640)
    made = []

    def train():
        made[:] = [network(fast_backend, threads=threads)]  # a new one: a network keeps what a training worked in
        made[0].train(X, y, 1, batch_size=64, optimizer=optimizer)

    parameters = 4 * len(network(fast_backend).parameters)
    batch = 4 * 64 * (256 + 2 * (512 + 512 + 32) + 32)
    panel = 4 * 513 * 32 * 2
    own = (1 + slots) * parameters  # the network's
    allowed = own + (2 + slots) * parameters + batch + threads * panel + 2 * 8 * 640
    assert peak(train) < 1.1 * allowed + 100_000


@pytest.mark.parametrize("threads", [1, 2])
def test_predictions_take_the_same_for_any_number_of_rows(fast_backend, threads, monkeypatch):
    """Beside the outputs: a chunk for each thread, of which some may find nothing left to do. All rows take 107 MB."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    who = network(fast_backend, threads=threads)
    for rows in (2_000, 20_000):
        X, _ = data(rows)
        assert peak(lambda X=X: who.predict(X)) - 4 * 8 * rows < threads * 4 * 256 * (256 + 512 + 512 + 64) + 100_000


# --- data larger than memory: maps are not counted, but copies of them would be

ROWS = 100_000


@pytest.fixture
def maps(request, tmp_path):
    """X and y as memory maps of a type, some ten megabytes of each."""
    generator, maps = np.random.default_rng(0), []
    for name, columns in (("X", 64), ("y", 32)):
        maps.append(np.memmap(tmp_path / name, request.param, "w+", shape=(ROWS, columns)))
        for start in range(0, ROWS, 10_000):
            maps[-1][start : start + 10_000] = generator.integers(2, size=(10_000, columns))
    return maps


@pytest.mark.parametrize("maps", ["float16", "float32", "float64", "bool", "int16"], indirect=True)
@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_cross_entropy"])
def test_memory_maps_are_neither_copied_nor_masked(fast_backend, maps, loss):
    """Checks take some rows at a time: a mask of X would be 6.4 megabytes, and one of y half of that."""
    who, (X, y) = fastmlp.NeuralNetwork([64, 4, 32], loss=loss, backend=fast_backend.name, seed=0), maps
    allowed = 8 * 2**18 + 2**18 + 200_000
    assert peak(lambda: who.evaluate(X, y)) < allowed
    assert peak(lambda: who.gradient(X, y)) < allowed
    assert peak(lambda: who.train(X, y, 1, batch_size=500, shuffle=False)) < allowed
    assert peak(lambda: who.train(X, y, 1, batch_size=500)) < allowed + 8 * ROWS
    assert peak(lambda: who.predict(X)) - 4 * 32 * ROWS < allowed


@pytest.mark.parametrize("maps", ["float16"], indirect=True)
def test_a_copy_of_the_data_would_be_caught(fast_backend, maps):
    X, y = maps
    who = fastmlp.NeuralNetwork([64, 4, 32], backend=fast_backend.name, seed=0)
    assert peak(lambda: who.evaluate(X.copy(), y)) > X.nbytes


def test_rows_of_probabilities_are_checked_part_by_part(fast_backend):
    who = fastmlp.NeuralNetwork([1, 1000], loss="categorical_cross_entropy", backend=fast_backend.name, seed=0)
    y = np.broadcast_to(np.eye(1000, dtype=np.float32)[3], (5000, 1000))
    assert peak(lambda: who.evaluate(np.zeros((5000, 1)), y)) < 4_000_000  # 4 bytes a number would be 20 megabytes
    y = np.concatenate([y[:4000], np.full((1, 1000), 0.002)])
    with pytest.raises(ValueError, match="rows of probabilities that sum to 1"):
        who.evaluate(np.zeros((4001, 1)), y)


def test_a_copy_of_the_parameters_would_be_caught(fast_backend):
    who = network(fast_backend)
    X, _ = data(100)
    assert peak(lambda: (who.parameters, who.predict(X))) > 4 * len(who.parameters) > peak(lambda: who.predict(X))
