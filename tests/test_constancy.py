"""Columns that vary by rounding only."""

import math

import numpy as np
import pytest

from fastmlp.cli import commands
from fastmlp.tables.columns import NumberColumn
from fastmlp.training.metrics import r2

RNG = np.random.default_rng(0)


def is_constant(values):
    return NumberColumn.fit("a", np.asarray(values)).is_constant


def scikit_learn_takes_for_constant(values):
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="scikit-learn is not installed")
    return preprocessing.StandardScaler().fit(np.reshape(values, (-1, 1))).scale_[0] == 1.0


@pytest.mark.parametrize("value", [0.1, 0.3, 1.0, -7.7, 1.7e9, 1e-300, 1e300])
@pytest.mark.parametrize("units", [1, 5, 20])
def test_the_last_digits_are_rounding(value, units):
    values = value + np.spacing(value) * RNG.integers(0, units + 1, 200)
    values[:2] = value, value + units * np.spacing(value)
    assert is_constant(values)
    if 1e-100 < abs(value) < 1e100:  # whose squares are numbers
        assert scikit_learn_takes_for_constant(values)


@pytest.mark.parametrize("value", [0.1, -7.7, 1.7e9])
@pytest.mark.parametrize("relative", [1e-12, 1e-9, 1e-3])
def test_what_varies_by_more_is_kept(value, relative):
    values = value * (1 + relative * RNG.normal(size=200))
    assert not is_constant(values)
    assert not scikit_learn_takes_for_constant(values)


def test_terms_in_another_order_are_rounding():
    terms = RNG.uniform(0, 1, 10)
    assert is_constant([sum(RNG.permutation(terms).tolist()) for _ in range(100)])


def test_fifteen_digits_are_rounding():
    assert is_constant([float(f"{value:.15g}") for value in 1.000000000000005 + np.spacing(1.0) * np.arange(-3, 4)])


def test_a_million_times_within_a_second_vary():
    assert not is_constant(1_700_000_000 + RNG.uniform(0, 1, 10**6))


def test_numbers_around_zero_vary_however_small():
    assert not is_constant([-1e-300, 1e-300])
    assert not is_constant([0.0, 1e-320])
    assert not is_constant([0.0] * 999 + [1e-17])


@pytest.mark.parametrize("n", range(2, 30))
@pytest.mark.parametrize("value", [0.1, 0.3, 1.7e9 + 0.1])
def test_the_share_of_a_variance_that_is_none_is_undefined(n, value):
    """Also where the mean of equal numbers is another number."""
    y, outputs = np.full((n, 1), value), np.full((n, 1), 2 * value)
    assert math.isnan(r2(y, outputs))
    assert math.isnan(r2(y + np.spacing(y) * (np.arange(n) % 2)[:, np.newaxis], outputs))
    assert "undefined" in commands._score(NumberColumn("y", 0.0, 1.0), outputs, y)
    assert "undefined" in commands._score(NumberColumn("y", 1.7e9, 0.3), outputs, np.full((n, 1), value))
