"""Learning rates that change: formulas by hand, trainings against the oracle, and that they can be resumed anywhere."""

import copy
import math
import pickle
import re
from dataclasses import fields
from functools import partial

import numpy as np
import oracle
import pytest
from test_kernels_optimizers import WRONG

import fastmlp
from fastmlp import (
    Cosine,
    ExponentialDecay,
    InverseScaling,
    NeuralNetwork,
    OneCycle,
    ReduceOnPlateau,
    StepDecay,
    WarmUp,
)
from fastmlp.training.schedules import GROWTH, SHARE, Course, PlateauState, as_schedule


def named(schedule):
    """The same name in every process: a function's own tells where it lies."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(schedule))


SCHEDULES = [
    StepDecay(0.1, every=2, factor=0.5),
    ExponentialDecay(0.1, factor=0.5),
    InverseScaling(0.1, power=0.5),
    Cosine(0.1, epochs=4, lowest=0.01),
    Cosine(0.1, epochs=2, restarts=True),
    Cosine(0.1, epochs=1, restarts=True, growth=2),
    OneCycle(0.1, epochs=4),
    WarmUp(0.1, epochs=2),
    WarmUp(Cosine(0.1, epochs=3), epochs=1.5),
    WarmUp(lambda epoch: 0.1 / (1 + epoch)),
    lambda epoch: 0.1 / (1 + epoch),
]


def rates(schedule, count, steps_per_epoch):
    return as_schedule(schedule).rates(np.arange(count), steps_per_epoch)


@pytest.mark.parametrize(
    ("schedule", "steps_per_epoch", "expected"),
    [
        (StepDecay(8, every=2, factor=0.5), 1, [8, 8, 4, 4, 2]),
        (StepDecay(8, every=1, factor=0.5), 2, [8, 8, 4, 4, 2]),
        (ExponentialDecay(8, factor=0.5), 2, [8, 8, 4, 4, 2]),
        (InverseScaling(8), 3, [8, 8 / 2**0.5, 8 / 3**0.5, 4]),
        (InverseScaling(8, power=1), 3, [8, 4, 8 / 3]),
        (Cosine(8, epochs=2), 2, [8, 4 + 4 / 2**0.5, 4, 4 - 4 / 2**0.5, 0, 0, 0]),
        (Cosine(8, epochs=2, lowest=4), 1, [8, 6, 4, 4]),
        (Cosine(8, epochs=2, restarts=True), 1, [8, 4, 8, 4, 8]),
        (Cosine(8, epochs=1, restarts=True, growth=2), 2, [8, 4, 8, 4 + 4 / 2**0.5, 4, 4 - 4 / 2**0.5, 8]),
        (WarmUp(8, epochs=2), 2, [2, 4, 6, 8, 8, 8]),
        (WarmUp(ExponentialDecay(8, factor=0.5), epochs=1), 2, [4, 8, 8, 8, 4, 4]),
        (WarmUp(lambda epoch: 8 - epoch, epochs=0.5), 4, [4, 8, 8, 8, 8, 8, 7]),
        (lambda epoch: 8 - epoch, 2, [8, 8, 7, 7, 6]),
        (OneCycle(8, epochs=5, rising=0.6, first=4, last=2), 1, [2, 5, 8, 4.5, 1, 1, 1]),
        (8, 2, [8, 8, 8]),
    ],
    ids=named,
)
def test_rates_by_hand(schedule, steps_per_epoch, expected):
    np.testing.assert_allclose(rates(schedule, len(expected), steps_per_epoch), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
def test_rates_are_positive_and_depend_on_the_number_alone(schedule):
    whole = rates(schedule, 300, 7)
    assert whole.shape == (300,)
    assert whole.dtype == np.float64
    assert (whole >= 0).all()
    for number in (0, 1, 6, 7, 99, 299):
        assert as_schedule(schedule).rates(np.array([number]), 7)[0] == whole[number]


def test_growing_waves_begin_where_they_should():
    """Sums of powers are met exactly, although a logarithm finds them."""
    for growth in (1.5, 2, 3, 10):
        schedule, start = Cosine(1.0, epochs=8, restarts=True, growth=growth), 0.0
        for wave in range(6):
            if start == int(start):
                assert schedule.rates(np.array([int(start)]), 1)[0] == pytest.approx(1, abs=1e-9)
            start += 8 * growth**wave


def test_a_plateau_by_hand():
    schedule, state, seen = ReduceOnPlateau(8, factor=0.5, patience=1, threshold=0.1, lowest=3), PlateauState(), []
    for loss in [10, 9.5, 9.2, 8.9, 8.9, 8.9, 8.9, 8.9, 8.9, 1]:
        state = schedule.after(state, loss)
        seen.append(schedule.rate(state))
    # 9.5 and 9.2 are no better than 10 by a tenth: after the second, half; 8.9 is; then twice not, twice not
    assert seen == [8, 8, 4, 4, 4, 3, 3, 3, 3, 3]
    assert state == PlateauState(3, 1, 0)


def data(samples=12):
    generator = np.random.default_rng(2)
    return generator.normal(size=(samples, 3)), generator.normal(size=(samples, 2))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=named)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_is_the_textbooks(backend, schedule, optimizer):
    X, y = data()
    network = NeuralNetwork([3, 4, 2], "tanh", dtype="float64", seed=0, backend=backend.name)
    batches = [list(range(first, min(first + 5, 12))) for first in (0, 5, 10)] * 4
    own = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8} if optimizer == "adam" else {}
    expected = oracle.train_regularized(
        network.layer_sizes, network.activations, network.loss, network.parameters, X, y,
        np.zeros((2, len(network.parameters))), partial(oracle.OPTIMIZERS[optimizer], **own),
        rates(schedule, 12, 3), batches,
    )[0]  # fmt: skip
    network.train(X, y, 4, schedule, 5, optimizer=optimizer, shuffle=False)
    np.testing.assert_allclose(network.parameters, expected, rtol=1e-9, atol=1e-11)


def everything(network):
    header, arrays = network._to_record()
    return header, {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("schedule", [*SCHEDULES, ReduceOnPlateau(0.2, patience=0, threshold=0.05)], ids=named)
def test_trainings_go_on(schedule, monkeypatch, tmp_path):
    def trained(*epochs):
        network = NeuralNetwork([3, 4, 2], "tanh", seed=0)
        for count in epochs:
            network.train(*data(), count, schedule, 5, optimizer="adam", ema_decay=0.9)
            network.save(tmp_path / "network.npz")
            network = fastmlp.load(tmp_path / "network.npz")
        return everything(network)

    whole = trained(8)
    assert trained(3, 5) == trained(1, 1, 6) == whole
    monkeypatch.setattr("fastmlp.training.loop.STRETCH", 1e-9)  # one step at a time
    assert trained(8) == whole


def test_a_plateau_reduces_the_rate(backend):
    """y is fitted by the bias alone: from 0 to 1 in steps of 2 rate (1 - b); losses grow at first."""
    network = NeuralNetwork([1, 1], dtype="float64", backend=backend.name)
    network.parameters = [0, 0]
    schedule = ReduceOnPlateau(1.0, factor=0.25, patience=0, threshold=0.0)
    losses = network.train([[0]], [1], 5, schedule).loss
    # at rate 1 the bias goes from 0 to 2 and back: losses of 1 and 1, a plateau; at 1/4 to a half, but the loss seen is
    # that of 0, another plateau; at 1/16 an eighth of the error is mended
    assert losses == [1, 1, 1, 0.25, (7 / 16) ** 2]
    twin = NeuralNetwork([1, 1], dtype="float64", backend=backend.name)
    twin.parameters = [0, 0]
    parts = [twin.train([[0]], [1], 1, schedule).loss[0] for _ in range(5)]
    assert parts == losses
    twin.reset_optimizer()
    twin.parameters = [0, 0]
    assert twin.train([[0]], [1], 5, schedule).loss == losses
    other = copy.deepcopy(twin)
    other.parameters = [0, 0]
    assert other.train([[0]], [1], 2, ReduceOnPlateau(1.0, patience=5)).loss == [1, 1]  # another begins afresh


def test_callables_are_checked_before_anything_changes():
    network = NeuralNetwork([3, 4, 2], seed=0)
    before = everything(network)
    message = r"^learning_rate must be a callable that returns finite numbers from 0 on, got nan for epoch 2$"
    for schedule in (lambda epoch: math.nan if epoch == 2 else 0.1, WarmUp(lambda epoch: [0.1, 0.1, math.nan][epoch])):
        with pytest.raises(ValueError, match=message):
            network.train(*data(), 5, schedule)
    assert everything(network) == before
    network.train(*data(), 2, lambda epoch: math.nan if epoch == 2 else 0.1)
    with pytest.raises(ValueError, match=message):  # it goes on at epoch 2
        network.train(*data(), 1, lambda epoch: math.nan if epoch == 2 else 0.1)


def test_a_divergence_names_the_rate_it_had_and_can_be_pickled():
    network = NeuralNetwork([1, 1], dtype="float64")
    network.parameters = [1, 0]
    X, y = np.full((1, 1), 1e9), [0]
    with pytest.raises(fastmlp.DivergenceError, match=r"learning_rate 1000 may be too large$") as caught:
        network.train(X, y, 60, lambda epoch: 1e-3 if epoch < 2 else 1e3)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_rate_of_zero_changes_nothing(backend):
    network = NeuralNetwork([3, 4, 2], seed=0, backend=backend.name)
    before = network.parameters.tobytes()
    network.train(*data(), 2, lambda epoch: 0, optimizer="adam")
    assert network.parameters.tobytes() == before


def test_a_schedule_is_forgotten_after_the_call():
    """The next call's constant rate is its own."""
    network, other = NeuralNetwork([3, 4, 2], seed=0), NeuralNetwork([3, 4, 2], seed=0)
    for net, schedule in ((network, ExponentialDecay(0.1, factor=0.5)), (other, lambda epoch: 0.1 * 0.5**epoch)):
        net.train(*data(), 2, schedule)
        net.train(*data(), 2, 0.1)
        net.train(*data(), 2)
    assert everything(network)[1] == everything(other)[1]


RULES = {**WRONG, GROWTH: [0.9, math.nan, math.inf, "1"], SHARE: [0, 1.1, math.nan, "1", None]}


@pytest.mark.parametrize(
    "cls", [StepDecay, ExponentialDecay, InverseScaling, Cosine, OneCycle, ReduceOnPlateau, WarmUp]
)
def test_settings_must_keep_their_rules(cls):
    for f in fields(cls):
        wrong = [0, "0.1", None, WarmUp(0.1), ReduceOnPlateau(0.1)]
        for value in RULES[f.metadata["rule"]] if f.metadata else wrong:
            with pytest.raises(ValueError, match=f"^{f.name} must be {f.metadata.get('rule', 'a number above 0')}"):
                cls(**{f.name: value})


def test_a_course_numbers_updates_from_one():
    course = Course(InverseScaling(8, power=1), 3, None)
    assert course(1, 2).tolist() == [8, 4]
    assert course(4, 1).tolist() == [2]
