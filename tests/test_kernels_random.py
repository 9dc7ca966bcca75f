"""The random generator against its published answers, and what shuffles must be."""

from collections import Counter

import numpy as np
import oracle
import pytest
from cases import case
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fastmlp.kernels.compiler.compilation import POLICY
from fastmlp.kernels.functions import random
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime.training import Schedule

WORDS = st.integers(0, 2**32 - 1)
KEYS = st.integers(0, 2**63 - 1)


@njit(**POLICY)
def philox_compiled(key, c0, c1, c2, c3):
    return PHILOX(key, c0, c1, c2, c3)


PHILOX = njit(**POLICY)(random.philox)


def signed(key):
    """A key of two words as the int64 of the same bits, which is what a plan holds."""
    return int(np.array(key[1] << 32 | key[0], np.uint64).view(np.int64))


@pytest.mark.parametrize(("key", "counter", "words"), oracle.PHILOX_KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(key, counter, words):
    assert oracle.philox(key, counter) == words
    assert random.philox(signed(key), *counter) == words
    assert philox_compiled(signed(key), *counter) == words


@given(key=st.integers(-(2**63), 2**63 - 1), counter=st.tuples(WORDS, WORDS, WORDS, WORDS))
def test_philox_is_the_oracles(key, counter):
    expected = oracle.philox((key % 2**32, (key >> 32) % 2**32), counter)
    assert random.philox(key, *counter) == expected
    assert philox_compiled(key, *counter) == expected
    with np.errstate(over="ignore"):  # as in the interpreted backend, whose numbers are int64 of NumPy
        assert random.philox(np.int64(key), *map(np.int64, counter)) == expected


@given(limit=st.integers(1, 2**31 - 1), high=WORDS, low=WORDS)
def test_below_is_the_top_of_the_product(limit, high, low):
    assert random.below(limit, high, low) == (high << 32 | low) * limit >> 64


@given(limit=st.integers(1, 2**31 - 1), data=st.data())
def test_below_is_unbiased(limit, data):
    """Each k is drawn for the bits from ceil(k 2^64 / limit) on: for as many as any other k, or one more."""
    k = data.draw(st.integers(0, limit - 1))
    first, after = -(-k * 2**64 // limit), -(-(k + 1) * 2**64 // limit)
    assert random.below(limit, first >> 32, first % 2**32) == k
    assert random.below(limit, after - 1 >> 32, (after - 1) % 2**32) == k
    assert after - first in (2**64 // limit, 2**64 // limit + 1)


@given(key=KEYS, epoch=st.integers(0, 2**62), count=st.integers(0, 200))
def test_shuffle_is_a_permutation_and_the_oracles(key, epoch, count):
    order = [-1] * count
    random.shuffle(key, epoch, order, count)
    assert sorted(order) == list(range(count))
    assert order == oracle.shuffle(key, epoch, count)


def test_shuffle_depends_on_key_and_epoch_alone():
    def shuffled(key, epoch, order):
        random.shuffle(key, epoch, order, len(order))
        return tuple(order)

    assert shuffled(1, 2, [0] * 50) == shuffled(1, 2, list(range(50))[::-1])
    orders = {shuffled(key, epoch, [0] * 50) for key in (0, 1, 2**32, 2**62) for epoch in (0, 1, 2**32, 2**62)}
    assert len(orders) == 16


def chi_square(counts, expected):
    return sum((n - expected) ** 2 / expected for n in counts)


def test_all_permutations_are_equally_likely():
    """120 orders of 5 samples: chi^2 has mean 119 and standard deviation 15.4; the bounds are five of them away."""
    counts, order = Counter(), [0] * 5
    for epoch in range(12000):
        random.shuffle(20, epoch, order, 5)
        counts[tuple(order)] += 1
    assert len(counts) == 120
    assert 42 < chi_square(counts.values(), 100) < 196


def test_every_sample_comes_everywhere():
    """Where each of 20 samples stands in 4000 orders, neighboring keys: 19 x 19 degrees of freedom, deviation 26.9."""
    counts, order = np.zeros((20, 20)), [0] * 20
    for key in range(4000):
        random.shuffle(key, 0, order, 20)
        counts[order, range(20)] += 1
    assert 361 - 5 * 26.9 < chi_square(counts.ravel(), 200) < 361 + 5 * 26.9


def test_words_are_uniform():
    """The top and bottom bytes of 16000 words: 255 degrees of freedom, deviation 22.6."""
    words = np.array([random.philox(3, i, 0, 0, 0) for i in range(4000)])
    for w in range(4):
        for bytes_of_word in (words[:, w] >> 24, words[:, w] & 255):
            counts = np.bincount(bytes_of_word, minlength=256)
            assert 255 - 5 * 22.6 < chi_square(counts, 4000 / 256) < 255 + 5 * 22.6


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 1001])
def test_backends_shuffle_as_the_oracle_does(backend, samples):
    if backend.name == "interpreted" and samples > 100:
        return
    network = case((1, 1), (), "identity", "mean_squared_error", "float64", samples)
    key, first_epoch, epochs = 2**63 - 12345, 2**33 + 7, 3
    schedule = Schedule(SGD(), samples, epochs, key, first_epoch)
    training = network.executor(backend).training(network.X, network.y, network.state(SGD()), schedule)
    for epoch in range(epochs):
        training.run(epoch, epoch + 1)
        order = training._order if backend.library is None else training._plan._arrays["order"]
        assert list(order) == oracle.shuffle(key, first_epoch + epoch, samples)


def test_an_order_that_favors_early_samples_is_caught():
    """The usual mistake, exchanging with any of all positions, fails the test of permutations."""
    generator, counts = np.random.default_rng(0), Counter()
    for _ in range(12000):
        order = list(range(5))
        for i in range(5):
            j = generator.integers(5)
            order[i], order[j] = order[j], order[i]
        counts[tuple(order)] += 1
    assert chi_square(counts.values(), 100) > 196
