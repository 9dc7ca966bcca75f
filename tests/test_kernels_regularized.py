"""Penalties, clipping, decay, limits, running averages, frozen layers and changing rates: against the oracle, by hand,
on several threads, and that a frozen layer keeps every bit."""

from functools import partial

import numpy as np
import oracle
import pytest
from cases import case, optimizers, rows_in_batches, smooth_optimizers
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmlp
from fastmlp.kernels.backends.interpreted import _namespace
from fastmlp.kernels.functions.optimizers import SGD, Adam, AdamW, NAdam
from fastmlp.kernels.functions.regularization import Regularization
from fastmlp.kernels.layers.plan import REGULARIZATION
from fastmlp.kernels.runtime.training import Schedule, regularization_numbers

WISHES = {
    "l1": Regularization(l1=0.05),
    "l2": Regularization(l2=0.3),
    "weight_decay": Regularization(weight_decay=0.5),
    "clip_value": Regularization(clip_value=0.02),
    "clip_norm": Regularization(clip_norm=0.1),
    "gradient_norms": Regularization(gradient_norms=True),
    "max_norm": Regularization(max_norm=0.9),
    "ema_decay": Regularization(ema_decay=0.8),
    "rate_factors": Regularization(rate_factors=(0.25, 1.0, 3.0)),
    "frozen below": Regularization(rate_factors=(0.0, 0.0, 1.0), l2=0.1, max_norm=0.9),
    "frozen above": Regularization(rate_factors=(1.0, 0.0, 0.0), clip_norm=0.1, ema_decay=0.8),
    "alpha": Regularization(alpha=2.0),
    "alpha and others": Regularization(l1=0.1, alpha=2.0, clip_norm=0.1),
    "all": Regularization(0.01, 0.02, 0.1, 0.3, 0.4, 0.95, 0.8, (0.5, 1.0, 2.0), True, 0.5),
}


class Falling:
    """Rates that fall with the update's number."""

    wants_losses = False

    def __init__(self, first):
        self.first = first

    def see(self, losses):
        pass

    def __call__(self, first_update, count):
        return self.first / (first_update + np.arange(count))


def trained(backend, network, schedule, threads=(None,), average=True):
    """Parameters, state, average, norms and losses."""
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    mean = network.parameters.copy() if schedule.regularization.ema_decay and average else None
    training = executor.training(network.X, network.y, state, schedule, mean)
    steps = training.steps_per_epoch * schedule.epochs
    cuts = [steps * i // len(threads) for i in range(len(threads) + 1)]
    for number, first, last in zip(threads, cuts, cuts[1:], strict=False):
        assert training.run(first, last, number) == last
    assert training.collect()
    return [executor.parameters, state, mean, training.gradient_norms, training.losses]


def settings_of(optimizer):
    own = {name: value for name, value in vars(optimizer).items() if name != "learning_rate"}
    return partial(oracle.OPTIMIZERS[optimizer.name], **own)


def expected(network, schedule):
    wishes = {name: value for name, value in vars(schedule.regularization).items() if name != "gradient_norms"}
    optimizer, batches = schedule.optimizer, rows_in_batches(len(network.X), schedule.batch_size, schedule.epochs)
    rates = [optimizer.learning_rate] * len(batches)
    if schedule.rates is not None:
        rates = schedule.rates(1, len(batches))
    return oracle.train_regularized(
        *network.formulas, network.model.loss, network.parameters, network.X, network.rows_of_y,
        np.zeros(network.state(optimizer).shape), settings_of(optimizer), rates, batches, **wishes,
    )  # fmt: skip


def check(backend, network, schedule):
    parameters, state, average, norms, _ = trained(backend, network, schedule)
    vector, moments, mean, all_norms = expected(network, schedule)
    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    close(parameters, vector)
    close(state, moments)
    if average is not None:
        close(average, mean)
    assert (norms is not None) == schedule.regularization.gradient_norms
    if norms is not None:
        close(norms, np.reshape(all_norms, (schedule.epochs, -1)).mean(axis=1))


def by_hand(backend, weights, batch_size, epochs=1, dtype="float64"):
    """A weight of 3 and a bias that fit y = 3 x + 1, so that only the penalty moves them, and what the epoch lost."""
    network = fastmlp.NeuralNetwork([1, 1], dtype=dtype, backend=backend.name)
    network.parameters = [3, 1]
    X = np.arange(4.0)[:, np.newaxis]
    schedule = Schedule(SGD(0.5), batch_size, epochs, regularization=Regularization(alpha=2.0), value_divisor=2)
    history = network._train(X, 3 * X + 1, schedule, weights=weights)
    return network.parameters.tolist(), history.loss


def test_alpha_is_divided_by_what_a_batch_weighs(backend):
    # the penalty is w^2, in the mean over 4 samples 9/4; its derivative, 2 w, is shared by all of a batch
    assert by_hand(backend, None, 4) == ([3 - 0.5 * 2 * 3 / 4, 1], [9 / 4])
    assert by_hand(backend, np.array([0.5, 1.5, 1.0, 1.0]), 4) == ([3 - 0.5 * 2 * 3 / 4, 1], [9 / 4])
    network = case((3, 5, 2), "tanh", "identity", "mean_squared_error", "float64", 7)
    weights = np.array([2.0, 0.5, 1.5, 0.0, 0.0, 2.0, 1.0])
    schedule = Schedule(SGD(0.1), 3, 1, regularization=Regularization(alpha=2.0))  # of weights 4, 2 and 1
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    work = executor.training(network.X, network.y, state, schedule, weights=weights)
    assert work.run(0, 3) == 3
    assert work.collect()
    vector, loss = network.parameters, 0.0
    is_weight = oracle.join([(np.ones((3, 5)), np.zeros(5)), (np.ones((5, 2)), np.zeros(2))])
    for rows, weight in (([0, 1, 2], 4), ([3, 4, 5], 2), ([6], 1)):
        parts = [
            oracle.loss_and_gradient(*network.formulas, network.model.loss, vector, network.X[[i]], network.y[[i]])
            for i in rows
        ]
        total, slope = (sum(weights[i] * part[k] for i, part in zip(rows, parts, strict=True)) for k in (0, 1))
        loss += (total + np.sum((is_weight * vector) ** 2)) / 7
        vector = vector - 0.1 * (slope + 2 * is_weight * vector) / weight
    np.testing.assert_allclose(executor.parameters, vector, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(work.losses, [loss], rtol=1e-10)


def test_value_divisor_is_of_the_loss_alone(backend):
    network = case((3, 5, 2), "tanh", "identity", "mean_squared_error", "float64", 6)
    one, two = (trained(backend, network, Schedule(SGD(0.1), 3, 2, value_divisor=d)) for d in (None, 8))
    assert one[0].tolist() == two[0].tolist()
    np.testing.assert_allclose(one[-1], 4 * two[-1], rtol=1e-12)  # the loss's own is 2, its outputs


@pytest.mark.parametrize("wishes", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_steps_are_those_of_the_oracle(backend, wishes, batch_size):
    network = case((3, 5, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 9)
    for optimizer in (SGD(0.1), AdamW(0.05, epsilon=1e-3), NAdam(0.05, epsilon=1e-3)):
        check(backend, network, Schedule(optimizer, batch_size, 3, regularization=wishes))
        check(backend, network, Schedule(optimizer, batch_size, 3, regularization=wishes, rates=Falling(0.2)))


@pytest.mark.parametrize("optimizer", smooth_optimizers(learning_rate=0.02, epsilon=1e-2), ids=repr)
def test_all_at_once_with_every_optimizer(backend, optimizer):
    network = case((3, 5, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 9)
    check(backend, network, Schedule(optimizer, 4, 3, regularization=WISHES["all"]))
    check(backend, network, Schedule(optimizer, 4, 3, regularization=WISHES["all"], rates=Falling(0.05)))


@settings(max_examples=40)
@given(data=st.data())
def test_networks_of_any_shape(fast_backend, data):
    """Panels and shares of many sizes; every wish or its absence."""
    sizes = data.draw(st.lists(st.integers(1, 70), min_size=2, max_size=4))
    network = case(sizes, "tanh", "identity", "mean_squared_error", "float64", data.draw(st.integers(2, 40)))
    maybe = partial(data.draw, st.booleans())
    factors = data.draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    wishes = Regularization(
        0.01 * maybe(), 0.02 * maybe(), 0.1 * maybe(), 0.3 if maybe() else None, 0.4 if maybe() else None,
        0.9 if maybe() else None, 0.8 if maybe() else None, (*factors, 1.0) if maybe() else None, maybe(),
    )  # fmt: skip
    rates = Falling(0.01) if maybe() else None
    schedule = Schedule(Adam(0.01, epsilon=1e-2), data.draw(st.integers(1, 40)), 2, regularization=wishes, rates=rates)
    check(fast_backend, network, schedule)


@pytest.mark.parametrize("wishes", WISHES.values(), ids=WISHES)
def test_the_number_of_threads_changes_no_bit(fast_backend, dtype, wishes, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    network = case((37, 130, 70, 3), "tanh", "softmax", "categorical_cross_entropy", dtype, 60)
    for optimizer in optimizers(learning_rate=0.01):
        schedule = Schedule(optimizer, 25, 2, 7, regularization=wishes, rates=Falling(0.05))
        alone = trained(fast_backend, network, schedule)
        for numbers in ([2], [3], [1, 3, 2]):
            several = trained(fast_backend, network, schedule, numbers)
            for one, other in zip(alone, several, strict=True):
                assert one is other is None or one.tobytes() == other.tobytes()


def test_shares_with_checked_memory(level, dtype):
    """The interpreted kernels of all levels, whose pointers check their bounds."""
    from fastmlp.kernels.backends.choice import Backend
    from fastmlp.kernels.backends.interpreted import Interpreted

    network = case((9, 20, 17, 2), "tanh", "identity", "mean_squared_error", dtype, 13)
    schedule = Schedule(Adam(0.01), 8, 1, regularization=WISHES["all"])
    backend = Backend("interpreted", Interpreted(level))
    assert trained(backend, network, schedule)[0].tobytes() == trained(backend, network, schedule, [2])[0].tobytes()


def test_a_plan_is_used_again_for_other_wishes(kernel_backend):
    """One executor trains in turn with each; nothing of one is left for the next."""
    network = case((3, 5, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 9)
    executor = network.executor(kernel_backend)
    for name in [*WISHES, None, "all", None, "frozen below", "l1", "clip_norm", None]:
        for rates in (Falling(0.2), None):
            wishes = WISHES[name] if name else Regularization()
            schedule = Schedule(Adam(0.05), 4, 2, regularization=wishes, rates=rates)
            executor.parameters[:] = network.parameters
            state, average = network.state(schedule.optimizer), network.parameters.copy()
            average = average if wishes.ema_decay else None
            training = executor.training(network.X, network.y, state, schedule, average)
            training.run(0, 6)
            training.collect()
            training.close()
            fresh = trained(kernel_backend, network, schedule)
            assert executor.parameters.tobytes() == fresh[0].tobytes(), (name, rates)
            assert average is None or average.tobytes() == fresh[2].tobytes()


@pytest.mark.parametrize("factors", [(0, 1, 1), (1, 0, 1), (0, 0, 1), (1, 1, 0), (0, 1, 0)])
def test_frozen_layers_keep_every_bit(backend, dtype, factors):
    network = case((3, 5, 4, 2), "tanh", "identity", "mean_squared_error", dtype, 9)
    everything = Regularization(0.01, 0.02, 0.1, 0.3, 0.4, 0.1, 0.8, tuple(map(float, factors)))
    for wishes in (Regularization(rate_factors=everything.rate_factors), everything):
        for optimizer in optimizers(learning_rate=0.05):
            executor, state = network.executor(backend), network.state(optimizer)
            state += 0.25  # of an earlier training
            training = executor.training(
                network.X, network.y, state, Schedule(optimizer, 4, 2, regularization=wishes), network.parameters.copy()
            )
            training.run(0, training.steps_per_epoch * 2)
            training.collect()
            start = 0
            for inputs, outputs, factor in zip(network.model.sizes, network.model.sizes[1:], factors, strict=False):
                part = slice(start, start + inputs * outputs + outputs)
                same = executor.parameters[part].tobytes() == network.parameters[part].tobytes()
                assert same == (factor == 0)
                assert factor or (state[:, part] == 0.25).all()
                start = part.stop


def test_by_hand(backend, dtype):
    """One weight and one bias, y = 0 and x = 1 at w = 2, b = 1: the gradient is 2 (2 + 1) = 6 for both."""
    network = case((1, 1), "identity", "identity", "mean_squared_error", dtype, 1)
    network.parameters[:], network.X[:], network.y[:] = [2, 1], 1, 0
    for wishes, after in [
        (Regularization(), [0.5, -0.5]),
        (Regularization(l1=0.5), [0.375, -0.5]),
        (Regularization(l2=0.5), [0.25, -0.5]),
        (Regularization(weight_decay=0.5), [0.25, -0.5]),
        (Regularization(clip_value=2), [1.5, 0.5]),
        (Regularization(clip_norm=72**0.5 / 2), [1.25, 0.25]),
        (Regularization(max_norm=0.25), [0.25, -0.5]),
        (Regularization(rate_factors=(2.0,)), [-1, -2]),
    ]:
        parameters = trained(backend, network, Schedule(SGD(0.25), 1, 1, regularization=wishes))[0]
        np.testing.assert_allclose(parameters, after, rtol=8 * np.finfo(dtype).eps)
    ema = trained(backend, network, Schedule(SGD(0.25), 1, 1, regularization=Regularization(ema_decay=0.75)))[2]
    assert ema.tolist() == [2 - 1.5 / 4, 1 - 1.5 / 4]
    norms = trained(backend, network, Schedule(SGD(0.25), 1, 1, regularization=Regularization(gradient_norms=True)))[3]
    assert norms == pytest.approx([72**0.5], rel=4 * float(np.finfo(dtype).eps))


def test_norms_that_are_not_finite_are_noticed(backend):
    """A gradient whose squares overflow would otherwise be clipped to nothing, step after step."""
    network = case((1, 1), "identity", "identity", "mean_squared_error", "float32", 1)
    network.parameters[:], network.X[:], network.y[:] = [1, 0], 3e13, 0  # loss 9e26, gradient 1.8e27
    executor = network.executor(backend)
    wishes = Regularization(clip_norm=1)
    training = executor.training(
        network.X, network.y, network.state(SGD()), Schedule(SGD(), 1, 1, regularization=wishes)
    )
    assert training.run(0, 1) == 0
    assert executor.parameters.tolist() == [1, 0]


def test_deltas_below_frozen_layers_are_not_made(kernel_backend):
    network = case((3, 5, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 9)
    schedule = Schedule(SGD(0.1), 9, 1, regularization=Regularization(rate_factors=(0.0, 0.0, 1.0)))
    training = network.executor(kernel_backend).training(network.X, network.y, network.state(SGD()), schedule)
    deltas = training._plan._arrays["deltas"]
    deltas[:] = 7
    training.run(0, 1)
    records, words = training._plan._records, training._plan.words
    assert words.lowest_trained == 2
    rows = 9 * (records[0].stride + records[1].stride)
    assert (deltas[:rows] == 7).all()
    assert not (deltas[rows : rows + 2] == 7).any()


def test_an_error_is_caught(level, monkeypatch):
    """Biases that are penalized like weights."""
    from fastmlp.kernels.backends.choice import Backend
    from fastmlp.kernels.backends.interpreted import Interpreted

    network = case((3, 5, 2), "tanh", "identity", "mean_squared_error", "float64", 9)
    schedule = Schedule(SGD(0.1), 9, 1, regularization=Regularization(l2=0.5))
    backend, namespace = Backend("interpreted", Interpreted(level)), _namespace("float64", level)
    check(backend, network, schedule)
    right = namespace["penalize"]
    monkeypatch.setitem(
        namespace, "penalize", lambda plan, start, part, biases, count, l2: right(plan, start, part, 0, count, l2)
    )
    with pytest.raises(AssertionError):
        check(backend, network, schedule)


def test_places_are_in_the_order_of_the_fields():
    fields = ["l1", "l2", "weight_decay", "clip_value", "clip_norm", "max_norm", "average_decay", "alpha"]
    numbers = regularization_numbers(Regularization(1, 2, 3, 4, 5, 6, 0.7, alpha=8))
    assert numbers[[REGULARIZATION.word(field) for field in fields]].tolist() == [1, 2, 3, 4, 5, 6, 0.7, 8]
    assert len(numbers) == len(REGULARIZATION)
