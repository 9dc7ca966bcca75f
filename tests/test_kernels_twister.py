"""The Mersenne twister against its published numbers, and orders against those that NumPy draws."""

import numpy as np
import pytest
from cases import case
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions import twister
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime.training import Schedule

SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.one_of(
    st.integers(0, 70),
    st.integers(6, 11).flatmap(lambda k: st.integers(2**k - 1, 2**k + 1)),
    st.integers(1000, 1500),
)


def state_of(random):
    """As kernels take it."""
    _, key, place, *_ = random.get_state()
    return np.array([*map(int, key), place])


def at_place(seed, place):
    """A generator that has so many words drawn of those it has made."""
    random = np.random.RandomState(seed)
    random.set_state(("MT19937", random.get_state()[1], place))
    return random


def shuffled(random, order):
    """What `shuffle_again` makes of it, and of the generator's state."""
    order, state = order.copy(), state_of(random)
    twister.shuffle_again(state, order, len(order))
    return order.tolist(), state.tolist()


def shuffled_by_numpy(random, order):
    order = order.copy()
    random.shuffle(order)
    return order.tolist(), state_of(random).tolist()


def words(state, count):
    drawn = []
    while len(drawn) < count:
        twister.twist(state)
        drawn += [twister.tempered(word) for word in state[:624]]
    return drawn[:count]


def test_words_are_those_that_its_inventors_published():
    """The first of mt19937ar.out, which begins from the key {0x123, 0x234, 0x345, 0x456}."""
    first = [1067595299, 955945823, 477289528, 4107218783, 4228976476]
    assert words(state_of(np.random.RandomState([0x123, 0x234, 0x345, 0x456])), 5) == first


@given(seed=SEEDS)
def test_words_are_numpys(seed):
    expected = np.random.RandomState(seed).randint(2**32, size=1500, dtype=np.uint32).tolist()
    state = state_of(np.random.RandomState(seed))
    assert words(state.copy(), 1500) == words(state.tolist(), 1500) == expected


@given(seed=SEEDS, count=COUNTS, place=st.sampled_from([0, 1, 300, 623, 624]))
def test_orders_are_numpys(seed, count, place):
    order = np.arange(count)
    for _ in range(3):
        ours, theirs = (shuffle(at_place(seed, place), order) for shuffle in (shuffled, shuffled_by_numpy))
        assert ours == theirs
        order = np.array(theirs[0], np.int64)
        place = theirs[1][-1]


@pytest.mark.parametrize(("limit", "ones"), [(1, 1), (2, 3), (3, 3), (4, 7), (7, 7), (8, 15), (2**31, 2**32 - 1)])
def test_as_few_bits_as_it_takes(limit, ones):
    assert twister.ones_for(limit) == ones


@pytest.mark.parametrize("name", ["ones_for", "tempered", "twisted"])
def test_a_fault_is_caught(monkeypatch, name):
    right = getattr(twister, name)
    wrong = {
        "ones_for": lambda limit: right(limit - 1),  # one bit too few for 2^k
        "tempered": lambda word: word,
        "twisted": lambda word, following: right(following, word),
    }

    def all_right():
        randoms = [np.random.RandomState(seed) for seed in range(9)]
        return all(shuffled(r, np.arange(65)) == shuffled_by_numpy(r, np.arange(65)) for r in randoms)

    assert all_right()
    monkeypatch.setattr(twister, name, wrong[name])
    assert not all_right()


# --- in a training


def training_from(backend, random, samples, batch_size=None, epochs=4):
    """Which draws its orders from this generator's state, and the state."""
    network, state = case((3, 20, 1), "tanh", "identity", "mean_squared_error", "float64", samples), state_of(random)
    schedule = Schedule(SGD(0.01), batch_size or samples, epochs, twister=state)
    return network.executor(backend).training(network.X, network.y, network.state(SGD()), schedule), state


def orders(backend, random, samples, threads=None):
    """Of the epochs, and the state after each."""
    training, state = training_from(backend, random, samples)
    for epoch in range(4):
        assert training.run(epoch, epoch + 1, threads) == epoch + 1
        order = training._order if backend.library is None else training._plan._arrays["order"]
        yield order.tolist(), state.tolist()


def orders_of_scikit_learn(random, samples):
    """Each one a new order of the last, as `sklearn.utils.shuffle` makes it."""
    order = np.arange(samples)
    for _ in range(4):
        indices = np.arange(samples)
        random.shuffle(indices)
        order = order[indices]
        yield order.tolist(), state_of(random).tolist()


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 100, 1001])
def test_backends_draw_the_orders_of_scikit_learn(backend, samples):
    if backend.name == "interpreted" and samples > 100:
        pytest.skip("takes long in plain Python, and is compiled from the same")
    for place in (0, 500, 624):
        expected = list(orders_of_scikit_learn(at_place(8, place), samples))
        assert list(orders(backend, at_place(8, place), samples)) == expected


def test_threads_draw_them_once(kernel_backend):
    expected = list(orders_of_scikit_learn(np.random.RandomState(8), 64))
    for threads in (2, 3):
        assert list(orders(kernel_backend, np.random.RandomState(8), 64, threads)) == expected


def test_an_order_is_kept_within_its_epoch(backend):
    """Stretches of steps may end anywhere."""
    training, state = training_from(backend, np.random.RandomState(8), 30, 7)
    whole, _ = training_from(backend, np.random.RandomState(8), 30, 7)
    for step in range(20):
        training.run(step, step + 1)
        drawn = list(orders_of_scikit_learn(np.random.RandomState(8), 30))[step // 5][1]
        assert state.tolist() == drawn
    whole.run(0, 20)
    assert training.losses.tolist() == whole.losses.tolist()


def test_it_is_used_by_one_training_alone(kernel_backend):
    """The next one of its plan draws from its own key, or not at all."""
    network = case((3, 4, 1), "tanh", "identity", "mean_squared_error", "float64", 20)

    def losses(executor, **how):
        training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(1e-300), 3, 2, **how))
        training.run(0, 14)
        training.close()
        return training.losses.tolist()

    for how in ({"shuffle_key": 5}, {}):
        executor = network.executor(kernel_backend)
        losses(executor, twister=state_of(np.random.RandomState(0)))
        assert losses(executor, **how) == losses(network.executor(kernel_backend), **how)


def test_orders_that_begin_anew_are_caught(monkeypatch, level):
    namespace = _namespace("float64", level)
    right = namespace["shuffle_again"]

    def anew(state, order, count):
        for i in range(count):
            order[i] = i
        right(state, order, count)

    monkeypatch.setitem(namespace, "shuffle_again", anew)
    drawn = list(orders(Backend("interpreted", Interpreted(level)), np.random.RandomState(8), 20))
    expected = list(orders_of_scikit_learn(np.random.RandomState(8), 20))
    assert drawn[0] == expected[0]
    assert drawn[1] != expected[1]
