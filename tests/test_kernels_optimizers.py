"""Every row of the table of optimizers: against the oracle, by hand, on NaN; and what settings may be."""

import math
from dataclasses import fields, replace

import numpy as np
import oracle
import pytest
from cases import case, optimizers, stepper
from direct import aligned, call

from fastmlp.kernels.base.settings import (
    ABOVE_ONE,
    FLAG,
    FRACTION,
    FROM_0,
    FROM_1,
    INNER_FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
)
from fastmlp.kernels.functions.optimizers import (
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)
from fastmlp.kernels.runtime.training import Schedule

COUNT = 48  # whole vectors of every level
UNUSUAL = optimizers(learning_rate=0.03, beta1=0.7, beta2=0.95, epsilon=1e-4)


class Vectors:
    """Parameters and state in memory, the slots of state COUNT + 16 numbers apart as if there were padding."""

    def __init__(self, optimizer, dtype, parameters):
        self.optimizer, self.dtype, self.slot = optimizer, dtype, COUNT + 16
        self.parameters = aligned(COUNT, dtype)
        self.parameters[:] = parameters
        self.memory = aligned(max(1, len(optimizer.slots)) * self.slot, dtype)
        self.settings = np.full(len(optimizer.formula.settings), np.nan)
        self.settings[: len(optimizer.settings())] = optimizer.settings()

    def update(self, backend, gradient, t):
        slopes = aligned(COUNT, self.dtype)
        slopes[:] = gradient
        formula = self.optimizer.formula
        if formula.prepare is not None:
            call(backend, f"prepare_{formula.name}", self.dtype, self.settings, t)
        vectors = self.parameters, slopes, self.memory
        call(backend, f"optimizer_{formula.name}", self.dtype, *vectors, self.slot, COUNT, self.settings)

    @property
    def state(self):
        return self.memory.reshape(-1, self.slot)[: len(self.optimizer.slots), :COUNT]


def test_the_oracle_knows_every_row():
    assert set(oracle.OPTIMIZERS) == {*OPTIMIZERS, "classical_sgd", "adam_corrected_by_rate"}


@pytest.mark.parametrize("optimizer", UNUSUAL, ids=lambda o: o.name)
@pytest.mark.parametrize("first", [1, 1000, 10**9])
def test_updates(kernel_backend, dtype, optimizer, first):
    generator = np.random.default_rng(8)
    vectors = Vectors(optimizer, dtype, generator.normal(size=COUNT))
    parameters, state, step = vectors.parameters.astype(float), vectors.state.astype(float), stepper(optimizer)
    for t in range(first, first + 20):
        gradient = generator.normal(size=COUNT).astype(dtype)
        vectors.update(kernel_backend, gradient, t)
        parameters, state = step(parameters, state, gradient.astype(float), t)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(vectors.parameters, parameters, rtol=64 * eps, atol=64 * eps)
    np.testing.assert_allclose(vectors.state, state, rtol=64 * eps, atol=64 * eps)


@pytest.mark.parametrize("optimizer", optimizers(learning_rate=0.05, epsilon=1e-3), ids=lambda o: o.name)
def test_training_of_a_network(backend, optimizer):
    """Through plans, packed vectors and batches: 3 epochs of 7 samples in batches of 3."""
    network = case((3, 5, 2), "tanh", "identity", "mean_squared_error", "float64", samples=7)
    executor, state = network.executor(backend), network.state(optimizer)
    training = executor.training(network.X, network.y, state, Schedule(optimizer, 3, 3))
    training.run(0, 9)
    training.collect()
    batches = [[0, 1, 2], [3, 4, 5], [6]] * 3
    parameters, expected_state = oracle.train(
        *network.formulas, "mean_squared_error", network.parameters, network.X, network.y, np.zeros(state.shape),
        stepper(optimizer), batches,
    )  # fmt: skip
    np.testing.assert_allclose(executor.parameters, parameters, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(state, expected_state, rtol=1e-12, atol=1e-13)


def test_sgd_by_hand(kernel_backend, dtype):
    vectors = Vectors(SGD(0.25), dtype, np.arange(COUNT))
    vectors.update(kernel_backend, np.full(COUNT, 2.0), 1)
    assert vectors.parameters.tolist() == [i - 0.5 for i in range(COUNT)]


def test_adam_by_hand(kernel_backend, dtype):
    """The first step is the learning rate, whatever the gradient: m_hat = g, v_hat = g^2."""
    vectors = Vectors(Adam(0.5, beta1=0.75, beta2=0.9375, epsilon=1e-30), dtype, np.ones(COUNT))
    vectors.update(kernel_backend, np.full(COUNT, 4.0), 1)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(vectors.state[0], 1, rtol=4 * eps)  # (1 - 0.75) 4
    np.testing.assert_allclose(vectors.state[1], 1, rtol=4 * eps)  # (1 - 0.9375) 16
    np.testing.assert_allclose(vectors.parameters, 0.5, rtol=16 * eps)
    vectors.update(kernel_backend, np.full(COUNT, -4.0), 2)
    # m = 0.75 - 1, corrected by 1 - 0.5625; v = 0.9375 + 1, corrected by 1 - 0.87890625: root 4
    np.testing.assert_allclose(vectors.state[0], -0.25, rtol=16 * eps)
    np.testing.assert_allclose(vectors.parameters, 0.5 + 0.5 * (0.25 / 0.4375) / 4, rtol=32 * eps)


def test_adam_without_memory_is_the_sign(kernel_backend, dtype):
    vectors = Vectors(Adam(0.5, beta1=0, beta2=0, epsilon=1e-30), dtype, np.zeros(COUNT))
    gradient = np.where(np.arange(COUNT) % 2, 3.0, -3.0)
    for t in (1, 2, 3):
        vectors.update(kernel_backend, gradient, t)
    np.testing.assert_allclose(vectors.parameters, -1.5 * np.sign(gradient), rtol=16 * np.finfo(dtype).eps)


# The first steps from 1 at a gradient of 4 and then -4, worked by hand; settings are such that numbers come out round.
BY_HAND = [
    (SGD(0.25, momentum=0.5), [0, 0.5]),  # v = 4, then 2 - 4
    (SGD(0.25, momentum=0.5, nesterov=True), [-0.5, 0.75]),  # 4 + 2, then -4 - 1
    # the decay of 1/8 leaves 7/8, then Adam's step of 1/2; 3/8 leaves 21/64, and Adam's step back is 1/14
    (AdamW(0.5, 0.75, 0.9375, 1e-30, weight_decay=0.25), [0.375, 21 / 64 + 1 / 14]),
    # mu = 1/4 at all times: a share of 3/4 of the gradient over 1 - 1/4, and 1/4 of m = 2 over 1 - 1/16, over root 16
    (NAdam(0.5, 0.5, 0.75, 1e-30, momentum_decay=0.0), [1 - 0.5 * (4 + 0.5 / (15 / 16)) / 4]),
    (RAdam(0.25, 0.5, 0.5, 1e-30), [0, 1 / 3]),  # always plain: m / (1 - 1/2) = 4, then (1 - 2) / (1 - 1/4)
    (RMSprop(0.25, alpha=0.75, epsilon=1e-30), [0.5, 0.5 + 1 / 7**0.5]),  # v = 4, then 3 + 4
    (RMSprop(0.25, 0.75, 1e-30, momentum=0.5), [0.5, 0.25 + 1 / 7**0.5]),  # steps of 2, then 1 - 4 / root 7
    (Adagrad(0.25, epsilon=1e-30), [0.75, 0.75 + 0.25 / 2**0.5]),  # sums of 16 and 32
    # means of squares 4 + 5 = 9, then 3 + 4 + 5 = 12; of steps 5, then (20/9) 16 0.25 + 5 for roots
    (Adadelta(1, rho=0.75, epsilon=5), [1 - 4 * 5**0.5 / 3, 1 - 4 * 5**0.5 / 3 + 4 * ((5 + 20 / 9) / 12) ** 0.5]),
    (Lion(0.25, 0.5, 0.75, weight_decay=1.0), [0.5, 0.5 - 0.125 + 0.25]),  # m = 1: 0.5 - 2 is below 0
    (Rprop(0.25, shrink=0.5, grow=2.0), [0.75, 0.75]),  # it turns: no step
]


@pytest.mark.parametrize(("optimizer", "expected"), BY_HAND, ids=lambda value: getattr(value, "name", ""))
def test_first_steps_by_hand(kernel_backend, dtype, optimizer, expected):
    vectors = Vectors(optimizer, dtype, np.ones(COUNT))
    for t, value in enumerate(expected, start=1):
        vectors.update(kernel_backend, np.full(COUNT, 4.0 if t == 1 else -4.0), t)
        np.testing.assert_allclose(vectors.parameters, value, rtol=64 * np.finfo(dtype).eps, atol=1e-30)


def test_rprop_by_hand(kernel_backend, dtype):
    """Steps of 1/4, 1/2, 1 (the largest), none as the slope turns, then 1/2 back, and none where it is zero."""
    vectors = Vectors(Rprop(0.25, shrink=0.5, grow=2.0, smallest=0.5**30, largest=1.0), dtype, np.zeros(COUNT))
    for t, (slope, place) in enumerate(
        [(9, -0.25), (1e-30, -0.75), (3, -1.75), (7, -2.75), (-1, -2.75), (-1, -2.25), (0, -2.25), (-5, -1.75)], start=1
    ):
        vectors.update(kernel_backend, np.full(COUNT, float(slope)), t)
        assert vectors.parameters.tolist() == [place] * COUNT


def test_lion_stands_still_at_zero(kernel_backend, dtype):
    vectors = Vectors(Lion(0.5, weight_decay=0.0), dtype, np.ones(COUNT))
    vectors.update(kernel_backend, np.where(np.arange(COUNT) % 2, 0.0, -0.0), 1)
    assert vectors.parameters.tolist() == [1.0] * COUNT


def test_radam_becomes_adam(kernel_backend, dtype):
    """Five steps of momentum at beta2 = 0.999, then rectified ones; late ones are as long as Adam's."""
    steps = {}
    for row in (RAdam, Adam):
        for t in (5, 6, 10**6):
            vectors = Vectors(row(1.0, 0.0, 0.999, 1e-30), dtype, np.zeros(COUNT))
            vectors.memory[vectors.slot : vectors.slot + COUNT] = 100.0 * (1 - 0.999 ** (t - 1))
            vectors.update(kernel_backend, np.full(COUNT, 10.0), t)
            steps[row, t] = -vectors.parameters[0]
    assert steps[RAdam, 5] == pytest.approx(10.0)
    # paper: rho_6 = 1999 - 12 * 0.999^6 / (1 - 0.999^6), r = root of ((rho - 4) (rho - 2) 1999 / (1995 1997 rho))
    assert steps[RAdam, 6] / steps[Adam, 6] == pytest.approx(0.0258211, rel=1e-5)
    assert steps[RAdam, 10**6] == pytest.approx(steps[Adam, 10**6], rel=1e-5)


def test_nadams_product_does_not_depend_on_what_was_before(kernel_backend):
    """Left from the last update or made anew: the same bits."""
    gradient, going_on = np.ones(COUNT), Vectors(NAdam(0.1), "float64", np.ones(COUNT))
    for t in range(1, 30):
        going_on.update(kernel_backend, gradient, t)
        anew = Vectors(NAdam(0.1), "float64", np.ones(COUNT))
        anew.update(kernel_backend, gradient, t)
        assert going_on.settings.tobytes() == anew.settings.tobytes()


@pytest.mark.parametrize("optimizer", optimizers(weight_decay=0.0), ids=lambda o: o.name)
def test_zero_gradients_change_nothing(kernel_backend, dtype, optimizer):
    vectors = Vectors(optimizer, dtype, np.arange(COUNT))
    for t in (1, 2):
        vectors.update(kernel_backend, np.zeros(COUNT), t)
    assert vectors.parameters.tolist() == list(range(COUNT))


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda o: o.name)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_gradients_show_where_they_are(kernel_backend, dtype, optimizer, value):
    gradient = np.ones(COUNT)
    clean = Vectors(optimizer, dtype, np.ones(COUNT))
    clean.update(kernel_backend, gradient, 1)
    for i in (0, 15, COUNT - 1):
        vectors = Vectors(optimizer, dtype, np.ones(COUNT))
        spoiled = gradient.copy()
        spoiled[i] = value
        vectors.update(kernel_backend, spoiled, 1)
        assert not np.isfinite(vectors.parameters[i])
        assert np.delete(vectors.parameters, i).tobytes() == np.delete(clean.parameters, i).tobytes()


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda o: o.name)
def test_an_epsilon_that_underflows_makes_no_nan(kernel_backend, dtype, optimizer):
    """Parameters that have never moved would be divided 0 / 0."""
    if not hasattr(optimizer, "epsilon"):
        return
    vectors = Vectors(replace(optimizer, epsilon=1e-320), dtype, np.arange(COUNT))
    vectors.update(kernel_backend, np.zeros(COUNT), 1)
    assert np.isfinite(vectors.parameters).all()


WRONG = {
    POSITIVE: [-1.0, 0, math.nan, math.inf, "0.1", None, True],
    NOT_NEGATIVE: [-1.0, math.nan, math.inf, "0.1", None, True],
    FRACTION: [-0.1, 1, math.nan, "0.1", None, False],
    INNER_FRACTION: [0, 1, math.nan, "0.1", None, False],
    ABOVE_ONE: [1, 0.5, math.nan, math.inf, None, True],
    FLAG: [0, 1, None, "yes"],
    FROM_1: [0, -1, 1.5, 2.0, math.nan, "1", None, True],
    FROM_0: [-1, 1.5, 2.0, math.nan, "1", None, True],
}


@pytest.mark.parametrize("row", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_settings_must_keep_their_rules(row):
    assert row().settings()[0] == row().learning_rate
    for f in fields(row):
        rule = f.metadata["rule"]
        for value in WRONG[rule]:
            with pytest.raises(ValueError, match=f"{f.name} must be {rule}, got"):
                row(**{f.name: value})


def test_formulas_find_settings_by_name():
    for optimizer in optimizers():
        names = [field.name for field in optimizer.formula.settings.fields]
        own = [field.name for field in fields(optimizer)]
        assert names[: len(own)] == own
        values = dict(zip(names, optimizer.settings(), strict=False))
        assert {name: values[name] for name in own} == {name: float(getattr(optimizer, name)) for name in own}
        if "log_beta1" in names:
            assert values["log_beta1"] == math.log(optimizer.beta1)
            assert values["log_beta2"] == math.log(optimizer.beta2)


def test_settings_must_go_together():
    with pytest.raises(ValueError, match=r"^momentum must be above 0 with nesterov=True, got 0.0$"):
        SGD(nesterov=True)
    with pytest.raises(ValueError, match=r"^largest must be at least smallest, 1, got 0.5$"):
        Rprop(smallest=1, largest=0.5)
