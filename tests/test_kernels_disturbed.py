"""Dropout and noise: against the oracle, by hand, against differences, as random numbers, and on several threads."""

from functools import partial

import numpy as np
import oracle
import pytest
from cases import HIDDEN, case, stepper
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.backends.reference import Draws
from fastmlp.kernels.functions.disturbance import UNDISTURBED, Disturbance
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.functions.regularization import Regularization
from fastmlp.kernels.runtime.training import Schedule

KEY, EPOCH = 2**62 + 12345, 2**33 + 7
WISHES = {
    "dropout": Disturbance(dropout=(0.5, 0.25)),
    "one layer": Disturbance(dropout=(0.0, 0.6)),
    "input_dropout": Disturbance(input_dropout=0.3),
    "input_noise": Disturbance(input_noise=0.5),
    "all": Disturbance(0.25, 0.125, (0.5, 0.1)),
}


def network_of(hidden="tanh", dtype="float64", sizes=(3, 5, 4, 2), samples=9):
    return case(sizes, hidden, "identity", "mean_squared_error", dtype, samples)


def plan_for(disturbance, batch_size=4, epochs=3, optimizer=None, **options):
    return Schedule(
        optimizer or SGD(0.02), batch_size, epochs, disturbance=disturbance, disturbance_key=KEY,
        **{"first_epoch": EPOCH, **options},
    )  # fmt: skip


def trained(backend, network, schedule, threads=(None,)):
    """Parameters and losses."""
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    training = executor.training(network.X, network.y, state, schedule)
    steps = training.steps_per_epoch * schedule.epochs
    cuts = [steps * i // len(threads) for i in range(len(threads) + 1)]
    for number, first, last in zip(threads, cuts, cuts[1:], strict=False):
        assert training.run(first, last, number) == last
    assert training.collect()
    return executor.parameters, training.losses


def check(backend, network, schedule):
    expected = oracle.train_disturbed(
        *network.formulas, network.model.loss, network.parameters, network.X, network.rows_of_y,
        np.zeros(network.state(schedule.optimizer).shape), stepper(schedule.optimizer), schedule.batch_size,
        schedule.epochs, KEY, schedule.first_epoch, **vars(schedule.disturbance),
    )  # fmt: skip
    for actual, right in zip(trained(backend, network, schedule), expected, strict=True):
        np.testing.assert_allclose(actual, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wishes", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_steps_are_those_of_the_oracle(backend, wishes, batch_size):
    for optimizer in (SGD(0.02), Adam(0.05, epsilon=1e-3)):
        check(backend, network_of(), plan_for(wishes, batch_size, optimizer=optimizer))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_activation(backend, hidden):
    """Whose derivative may be one of the activation before it is dropped, or of the weighted sum."""
    check(backend, network_of(hidden), plan_for(WISHES["all"], epochs=2))


@pytest.mark.parametrize(("output", "loss"), [("softmax", "categorical_cross_entropy"), ("sigmoid", "log_cosh")])
def test_outputs_are_never_dropped(backend, output, loss):
    check(backend, case((3, 5, 4, 2), "relu", output, loss, "float64", 9), plan_for(WISHES["all"]))


def test_beside_regularization(backend):
    """The steps of a regularized training that asks for nothing but norms are the same."""
    network, schedule = network_of(), plan_for(WISHES["all"])
    plain, losses = trained(backend, network, schedule)
    schedule = plan_for(WISHES["all"], regularization=Regularization(gradient_norms=True))
    regularized, same_losses = trained(backend, network, schedule)
    np.testing.assert_allclose(regularized, plain, rtol=1e-12)
    np.testing.assert_allclose(same_losses, losses, rtol=1e-12)


@settings(max_examples=25)
@given(data=st.data())
def test_networks_of_any_shape(fast_backend, data):
    """Single outputs, layers that fit into a vector, batches of one sample and such remainders."""
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=2, max_size=4))
    network = network_of(data.draw(st.sampled_from(["tanh", "silu", "identity"])), "float64", sizes, 11)
    probabilities = st.sampled_from([0.0, 0.25, 0.5])
    hidden = tuple(data.draw(probabilities) for _ in sizes[1:-1])
    wishes = Disturbance(data.draw(st.sampled_from([0.0, 0.5])), data.draw(probabilities), hidden)
    check(fast_backend, network, plan_for(wishes, data.draw(st.integers(1, 11)), 2, SGD(1e-3)))


# --- masks


def masks_of(training, rows):
    """Of every hidden layer, as the last step left them."""
    memory, masks = training._plan._arrays["dropout masks"], []
    batch_size = training._plan.words.batch_size
    for record in training._plan._records:
        count = int(batch_size * record.stride)
        masks.append(memory[:count].reshape(batch_size, -1)[:rows, : record.fan_out].copy())
        memory = memory[count:]
    return masks[:-1]


def check_masks(backend, dtype):
    """The second batch, the first sample of which is not the first of the four that share a counter."""
    network = network_of(dtype=dtype, sizes=(2, 37, 18, 1), samples=13)
    wishes, positions = Disturbance(dropout=(0.5, 0.3)), range(7, 13)
    training = network.executor(backend).training(
        network.X, network.y, network.state(SGD()), plan_for(wishes, 7)
    )  # fmt: skip
    training.run(0, 2)
    for l, (mask, columns) in enumerate(zip(masks_of(training, 6), (37, 18), strict=True)):
        expected = oracle.mask(KEY, EPOCH, 2 + l, positions, columns, wishes.dropout[l]).astype(dtype)
        assert mask.tobytes() == expected.tobytes()
        draws = Draws(dtype, KEY, EPOCH, np.array(positions))
        assert draws.mask(2 + l, columns, wishes.dropout[l]).tobytes() == expected.tobytes()


def test_masks_have_the_same_bits_everywhere(fast_backend, dtype):
    check_masks(fast_backend, dtype)


def test_masks_have_the_same_bits_at_every_level(level, dtype):
    check_masks(Backend("interpreted", Interpreted(level)), dtype)


@pytest.mark.parametrize("wishes", [WISHES["all"], WISHES["dropout"]])
def test_the_number_of_threads_changes_no_bit(fast_backend, dtype, wishes, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    for hidden, batch_size in (("tanh", 25), ("gelu", 60)):
        network = network_of(hidden, dtype, (37, 130, 70, 3), 60)
        schedule = plan_for(wishes, batch_size, 2, Adam(0.01), shuffle_key=7)
        alone = [array.tobytes() for array in trained(fast_backend, network, schedule)]
        for numbers in ([2], [3], [1, 3, 2]):
            assert [array.tobytes() for array in trained(fast_backend, network, schedule, numbers)] == alone


def test_shares_with_checked_memory(level, dtype):
    network, schedule = network_of(dtype=dtype, sizes=(9, 20, 17, 2), samples=26), plan_for(WISHES["all"], 26, 1)
    backend = Backend("interpreted", Interpreted(level))
    alone, together = trained(backend, network, schedule), trained(backend, network, schedule, [2])
    assert alone[0].tobytes() == together[0].tobytes()


@pytest.mark.parametrize("hidden", ["tanh", "gelu", "identity"])
def test_a_plan_is_used_again_for_other_wishes(kernel_backend, hidden):
    network = network_of(hidden)
    executor = network.executor(kernel_backend)
    for name in [*WISHES, None, "all", None, "one layer", "input_noise", "dropout", None]:
        schedule = plan_for(WISHES[name] if name else UNDISTURBED)
        executor.parameters[:] = network.parameters
        training = executor.training(network.X, network.y, network.state(schedule.optimizer), schedule)
        training.run(0, 9)
        training.collect()
        training.close()
        assert executor.parameters.tobytes() == trained(kernel_backend, network, schedule)[0].tobytes(), name


def test_what_is_not_asked_for_leaves_no_trace(backend):
    """Probabilities of zero are no dropout, and a key is nothing without it; losses are measured undisturbed."""
    network = network_of()
    plain = trained(backend, network, Schedule(SGD(0.02), 4, 3))[0].tobytes()
    for nothing in (UNDISTURBED, Disturbance(), Disturbance(dropout=(0.0, 0.0)), Disturbance(dropout=(2.0**-33, 0))):
        np.testing.assert_allclose(
            trained(backend, network, plan_for(nothing))[0], np.frombuffer(plain), rtol=1e-12, atol=1e-14
        )
    executor = network.executor(backend)
    before = executor.evaluate(network.X, network.y), executor.predict(network.X).tobytes()
    executor.training(network.X, network.y, network.state(SGD()), plan_for(WISHES["all"])).run(0, 1)
    assert (executor.evaluate(network.X, network.y), executor.predict(network.X).tobytes()) == before


# --- by hand, and against differences


def test_by_hand(backend, dtype):
    """y = 1 * 2 x + 1 * 4 x for x = 1 and a target of 0; of two hidden units, one is dropped, the other is doubled."""
    network = case((1, 2, 1), "identity", "identity", "mean_squared_error", dtype, 1)
    network.parameters[:], network.X[:], network.y[:] = [2, 4, 0, 0, 1, 1, 0], 1, 0
    seen = set()
    for epoch in range(12):
        schedule = plan_for(Disturbance(dropout=(0.5,)), 1, 1, SGD(2.0**-4), first_epoch=epoch)
        kept = tuple(oracle.mask(KEY, epoch, 2, [0], 2, 0.5)[0] > 0)
        output = 2 * (2 * kept[0] + 4 * kept[1])
        step = 2 * output * 2 / 16  # dL/doutput * 2 kept
        w, v = np.array([2, 4]), np.array([1, 1])
        after = [*(w - step * v * kept), *(-step * v * kept), *(v - step * w * kept), -2 * output / 16]
        parameters, losses = trained(backend, network, schedule)
        assert (parameters.tolist(), losses.tolist()) == (after, [output**2])
        seen.add(kept)
    assert len(seen) == 4


@pytest.mark.parametrize("hidden", ["tanh", "gelu"])
def test_gradients_against_differences(fast_backend, hidden):
    """The losses of a first step as they were with other parameters: masks and noise are the same, being counted."""
    network = case((5, 21, 13, 2), hidden, "identity", "mean_squared_error", "float64", 30)
    network.parameters *= 0.5

    def loss(parameters):
        network.parameters = parameters
        return trained(fast_backend, network, plan_for(WISHES["all"], 30, 1, SGD(1.0)))[1][0]

    start = network.parameters
    gradient = start - trained(fast_backend, network, plan_for(WISHES["all"], 30, 1, SGD(1.0)))[0]
    for i in np.random.default_rng(1).choice(len(start), 40, replace=False):
        step = 1e-5 * (np.arange(len(start)) == i)
        assert gradient[i] == pytest.approx((loss(start + step) - loss(start - step)) / 2e-5, abs=1e-8)


def test_what_is_not_finite_is_noticed(backend):
    """In an activation that is dropped, too."""
    network = network_of("identity")
    network.X[:] = np.finfo(np.float64).max
    for epoch in range(4):
        schedule = plan_for(Disturbance(dropout=(0.99, 0.99)), 4, 1, first_epoch=epoch)
        executor = network.executor(backend)
        training = executor.training(network.X, network.y, network.state(SGD()), schedule)
        assert training.run(0, 3) < 3


# --- as random numbers: bounds are five standard deviations


def words_differ_at_random(first, second):
    """Whether as many bits agree as of independent ones of this mean."""
    p = np.mean([first, second])
    expected = p**2 + (1 - p) ** 2
    return abs((first == second).mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / first.size)


def bits(place=2, epoch=3, key=KEY, first=0, probability=0.3, shape=(300, 400)):
    return Draws("float32", key, epoch, np.arange(first, first + shape[0])).mask(place, shape[1], probability) > 0


def test_as_many_are_dropped_as_was_asked_for():
    for p in (0.01, 0.3, 0.5, 0.9):
        kept = bits(probability=p)
        for axis, count in ((None, kept.size), (0, 300), (1, 400)):  # in all, of each column, of each row
            error = abs(kept.mean(axis=axis) - (1 - p)) / np.sqrt(p * (1 - p) / count)
            assert np.max(error) < (5 if p > 0.1 else 8)  # few and far between, they are not normally distributed
        mask = Draws("float64", KEY, 0, np.arange(300)).mask(2, 400, p)
        np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - p)], rtol=1e-8)


def test_rows_columns_layers_epochs_and_keys_are_independent():
    kept = bits()
    for lag in (1, 2, 3, 4, 5, 8, 16):
        assert words_differ_at_random(kept[lag:], kept[:-lag])
        assert words_differ_at_random(kept[:, lag:], kept[:, :-lag])
    for other in ({"epoch": 4}, {"epoch": 3 + 2**32}, {"place": 1}, {"place": 3}, {"key": KEY + 1}, {"first": 300}):
        assert words_differ_at_random(kept, bits(**other))
    assert not words_differ_at_random(kept, bits())


def test_noise_is_normal(dtype):
    """Mean, variance, skewness and kurtosis, and how often it exceeds 1, 2, 3 and 4 (of 240000)."""
    draws = [Draws(dtype, KEY, epoch, np.arange(300)).noise(400, 1.0) for epoch in (0, 1)]
    z = np.stack(draws).astype(np.float64)
    n = z.size
    assert z.dtype == np.float64
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - mean) < 5 * np.sqrt(variance / n)
    for limit, p in ((1, 0.317310508), (2, 0.045500264), (3, 0.002699796), (4, 0.0000633425)):
        assert abs((abs(z) > limit).sum() - n * p) < 5 * np.sqrt(n * p)
    flat = z[0]
    for one, other in ((z[0], z[1]), (flat[1:], flat[:-1]), (flat[2:], flat[:-2]), (flat[:, 1:], flat[:, :-1])):
        assert abs((one * other).mean()) < 5 / np.sqrt(one.size)
        assert abs((one**2 * other**2).mean() - 1) < 5 * np.sqrt(8 / one.size)


def test_noise_is_the_oracles(backend, dtype):
    """Seen in the biases' gradient of a network that puts its inputs through: y = x, squared error against 0."""
    n = 19
    network = case((n, n), (), "identity", "mean_squared_error", dtype, 6)
    network.parameters[:], network.X[:], network.y[:] = np.append(np.eye(n).ravel(), np.zeros(n)), 0.0, 0
    schedule = plan_for(Disturbance(input_noise=2.0), 1, 1, SGD(2.0**-60))
    executor = network.executor(backend)
    training = executor.training(network.X, network.y, network.state(SGD()), schedule)
    for position in range(6):
        before = training.losses[0]
        training.run(position, position + 1)
        noise = oracle.noise(KEY, EPOCH, [position], n, 2.0)
        error = 64 * float(np.finfo(dtype).eps)
        assert training.losses[0] - before == pytest.approx((noise**2).mean() / 6, rel=error, abs=error)


# --- planted errors


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("words_of_group", lambda right, plan, *rest: right(_same_epoch(plan), *rest)),
        ("drop_delta", lambda right, plan, l, first, rows: None),
        ("multiply_rows", lambda right, count, mask, values: right(count, _unscaled(mask, count), values)),
    ],
)
def test_errors_are_caught(level, monkeypatch, name, planted):
    """A mask that is used in every epoch, activations that are dropped but still learn, the rest not scaled."""
    network, schedule = network_of(), plan_for(WISHES["dropout"])
    backend, namespace = Backend("interpreted", Interpreted(level)), _namespace("float64", level)
    check(backend, network, schedule)
    monkeypatch.setitem(namespace, name, partial(planted, namespace[name]))
    with pytest.raises(AssertionError):
        check(backend, network, schedule)


def _same_epoch(plan):
    class Same:
        epoch = EPOCH

        def __getattr__(self, field):
            return getattr(plan, field)

    return Same()


def _unscaled(mask, count):
    block = mask.block(1, 0, count)
    block[block > 0] = 1
    return mask
