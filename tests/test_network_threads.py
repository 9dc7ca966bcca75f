"""`threads=` of a network: what it may be, that it is obeyed, and that results do not depend on it."""

import pickle

import numpy as np
import pytest

import fastmlp
from fastmlp import guide
from fastmlp.kernels.runtime import limits, pace, prediction, threads
from fastmlp.kernels.runtime.pace import Pace
from fastmlp.kernels.runtime.plan import Rank
from fastmlp.training import loop


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch):
    """Whatever machine this is, and whatever was found to pay on it."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    monkeypatch.setattr(pace, "_pace", lambda kind, most, thread: AlwaysAll(most))


class AlwaysAll(Pace):
    """Does not look whether they pay."""

    def told(self, *stretch):
        self.threads = self.most

    def __init__(self, most):
        super().__init__(most)
        self.threads = self.most = most


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of all teams that worked."""
    seen, run = [], threads.Team.run

    def noted(team, *rest, **options):
        seen.append(team.size)
        return run(team, *rest, **options)

    monkeypatch.setattr(threads.Team, "run", noted)
    return seen


def network(backend, **options):
    return fastmlp.NeuralNetwork(
        [40, 200, 100, 3], loss="categorical_cross_entropy", seed=0, backend=backend.name, **options
    )


def data(samples=600):
    generator = np.random.default_rng(0)
    return generator.random((samples, 40)), generator.integers(3, size=samples)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "2", [2]])
def test_wrong_numbers_are_refused(value):
    rule = r"threads must be an integer from 1 to \d+, got"
    with pytest.raises((ValueError, TypeError), match=rule):
        fastmlp.NeuralNetwork([2, 1], threads=value)
    network = fastmlp.NeuralNetwork([2, 1], threads=3)
    with pytest.raises((ValueError, TypeError), match=rule):
        network.threads = value
    assert network.threads == 3


def test_it_may_be_assigned_and_goes_with_pickles():
    network = fastmlp.NeuralNetwork([2, 1])
    assert network.threads is None
    network.threads = np.int64(2)
    assert pickle.loads(pickle.dumps(network)).threads == 2
    network.threads = None
    assert network.threads is None


def test_a_wrong_variable_is_reported(monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="FASTMLP_NUM_THREADS must be an integer from 1 on, got 'many'"):
        fastmlp.NeuralNetwork([2, 1])


def test_training_gives_the_same_bits(fast_backend, dtype, sizes, monkeypatch):
    X, y = data()
    results = []
    for number in (1, 2, None):
        sizes.clear()
        who = network(fast_backend, dtype=dtype, threads=number)
        history = who.train(X, y, 3, 0.05, batch_size=128, optimizer="adam")
        results.append((who.parameters.tobytes(), history.loss))
        assert (2 in sizes) == (number != 1)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("rows", [48, 100, 257, 1999])
def test_predictions_give_the_same_bits(fast_backend, dtype, sizes, monkeypatch, rows):
    monkeypatch.setattr(prediction, "WORTH", 1)
    X, _ = data(rows)
    who = network(fast_backend, dtype=dtype, threads=1)
    expected, out = who.predict(X).tobytes(), np.empty((rows, 3), dtype)
    assert sizes == []
    for number in (2, None):
        sizes.clear()
        who.threads = number
        assert who.predict(X).tobytes() == who.predictor()(X, out=out).tobytes() == expected
        assert sizes[0] == 2


def test_large_predictions_are_shared(fast_backend, sizes):
    who = network(fast_backend)
    rows = 2 * prediction.WORTH // prediction.multiplications(who._model) + 1
    X = np.resize(data(2000)[0], (rows, 40))
    who.predict(X[:-1])
    assert sizes == []
    who.predict(X)
    assert sizes == [2]
    for spoiled in (0, rows // 2, rows - 1):
        wrong = X.copy()
        wrong[spoiled, 3] = np.nan
        with pytest.raises(ValueError, match=rf"X must be finite, got nan at X\[{spoiled}, 3\]"):
            who.predict(wrong)
    assert sizes == [2] * 4


def test_nobody_holds_samples_or_outputs_any_more(fast_backend, sizes):
    """Nor does a helper that comes too late: it finds nothing, and the next one is as good as new."""
    who = network(fast_backend, dtype="float32")
    rows = 4 * prediction.WORTH // prediction.multiplications(who._model)
    samples = np.float32(np.resize(data(2000)[0], (rows, 40)))
    expected = who.predict(samples).tobytes()
    for _ in range(20):
        X, out = samples.copy(), np.empty((rows, 3), np.float32)
        assert who.predictor()(X, out=out).tobytes() == expected
        X.resize((1, 40))  # which NumPy refuses while others refer to it
        out.resize((1, 3))
    assert set(sizes) == {2}


def test_few_rows_are_for_one_thread(fast_backend, sizes, monkeypatch):
    """However wide the network: pieces of theirs would be too short."""
    monkeypatch.setattr(prediction, "WORTH", 1)
    who = network(fast_backend)
    for rows in (1, 2 * prediction.LEAST - 1):
        who.predict(data(rows)[0])
    assert sizes == []
    assert prediction.threads_for(10**6, 10**12, 7) == min(7, limits.most_threads())


def test_predictions_are_for_as_many_threads_as_pay(fast_backend, sizes, monkeypatch):
    """What they learn is of works of one kind and size, and what ended early teaches nothing."""
    made, told = {}, []

    class Told(AlwaysAll):
        def told(self, threads, work, seconds):
            assert seconds > 0
            told.append((threads, work))
            self.threads = 1  # from now on

    monkeypatch.setattr(pace, "_pace", lambda kind, most, thread: made.setdefault(kind, Told(most)))
    who = network(fast_backend)
    work = prediction.multiplications(who._model)
    X = np.resize(data(2000)[0], (4 * prediction.WORTH // work, 40))
    wrong = X.copy()
    wrong[-1, 0] = np.inf
    with pytest.raises(ValueError, match="X must be finite"):
        who.predict(wrong)
    assert told == []
    for _ in range(2):
        who.predict(X)
    assert sizes == [2, 2, 1]
    assert told == [(2, len(X) * work), (1, len(X) * work)]
    who.predict(np.resize(X, (2 * len(X), 40)))
    assert sizes == [2, 2, 1, 2]
    assert len(made) == 2


@pytest.mark.parametrize(
    ("operations", "most", "expected"),
    [(1e3, None, 1), (1e9, None, 2), (1e9, 1, 1), (1e9, 8, 2), (4.9e6, None, 1), (5.1e6, None, 2)],
)
def test_small_steps_are_for_one_thread(operations, most, expected):
    assert loop.threads_for(operations, most) == expected


def test_the_guides_loop_shares_its_steps(sizes, capsys):
    """It updates layer by layer; 60 hidden neurons are a panel more than two threads can halve."""
    generator = np.random.default_rng(0)
    X, y = generator.random((300, 100)), np.eye(4)[generator.integers(4, size=300)]

    def trained():
        np.random.seed(0)  # noqa: NPY002 - what the guide's code draws from
        network = guide.NeuralNetwork([100, 60, 30, 4])
        network.train(X, y, 2, 0.01, 128)
        arrays = [array for layer in network.layers for n in layer.neurons for array in (n.weights, n.bias)]
        return b"".join(array.tobytes() for array in arrays), capsys.readouterr().out

    shared = trained()
    assert set(sizes) == {2}
    sizes.clear()
    limits.here.limit = 1
    try:
        assert trained() == shared
    finally:
        del limits.here.limit
    assert sizes == []


def test_a_network_in_a_helper_works_alone(fast_backend, sizes):
    X, y = data()
    with threads.crew(2) as team:
        assert team.size == 2
        results = team.run(lambda rank: network(fast_backend).train(X, y, 1, 0.05, 128).loss)
    assert results[0] == results[1]
    assert sizes[0] == 2
    assert 2 not in sizes[1:]


def test_monitored_trainings_do_not_depend_on_it(sizes):
    """Kernels that stop at every epoch's end, where Python looks and assigns, go on with the same bits."""
    X, y = data()

    def halve(network, progress):
        if progress.epoch == 2:
            network.parameters = network.parameters / 2

    def trained(threads):
        own = fastmlp.NeuralNetwork([40, 200, 100, 3], loss="categorical_cross_entropy", seed=0, threads=threads)
        history = own.train(X, y, 4, batch_size=100, validation_fraction=0.2, restore_best=True, callbacks=halve)
        return own.parameters.tobytes(), history.loss, history.validation_loss

    expected = trained(1)
    assert sizes == []
    assert trained(2) == expected
    assert set(sizes) == {2}


def test_threads_that_could_not_begin_leave_nothing_behind(fast_backend, monkeypatch):
    """Memory runs out when the second thread's own is made; then one thread trains."""
    X, y = np.random.default_rng(0).normal(size=(256, 300)), np.zeros(256, int)
    y[::2] = 1

    def train(failing):
        network = fastmlp.NeuralNetwork(
            [300, 200, 2], loss="categorical_cross_entropy", seed=0, backend=fast_backend.name
        )
        if failing:
            with monkeypatch.context() as patch:
                patch.setattr(Rank, "follow", lambda self: (_ for _ in ()).throw(MemoryError()))
                with pytest.raises(MemoryError):
                    network.train(X, y, 50, seed=1)
        network.parameters = before
        network.reset_optimizer()
        network.threads = 1
        network.train(X, y, 3, seed=1)
        return network.parameters

    before = fastmlp.NeuralNetwork([300, 200, 2], loss="categorical_cross_entropy", seed=0).parameters.copy()
    np.testing.assert_array_equal(train(failing=True), train(failing=False))
