"""The phases of a network's work, on their own and joined: the same bits. Training against the oracle."""

import numpy as np
import oracle
import pytest
from cases import HIDDEN, case, optimizers, stepper
from direct import aligned, call

from fastmlp.kernels.functions.kernel import SOURCE_DTYPES
from fastmlp.kernels.functions.optimizers import SGD, Adam
from fastmlp.kernels.runtime.executor import CHUNK
from fastmlp.kernels.runtime.plan import Plan, room
from fastmlp.kernels.runtime.training import Schedule

OPTIMIZERS = optimizers(learning_rate=0.05)


def classifier(dtype, samples=23):
    return case((6, 19, 5, 3), ("relu", "tanh"), "softmax", "categorical_cross_entropy", dtype, samples, seed=2)


def regressor(dtype, samples=23):
    return case((6, 19, 5, 3), ("tanh", "sigmoid"), "identity", "mean_squared_error", dtype, samples, seed=2)


def plan_to_train(backend, network, optimizer, rows):
    """A plan like that of a training, with every word filled in by hand."""
    plan = Plan(backend.library, network.model, rows, network.model.loss, room(network.X, rows))
    plan.read_samples(network.X)
    plan.read_targets(network.y)
    plan["losses"] = np.zeros(9)
    plan["canonical"] = network.parameters.copy()
    plan["packed"] = packed = plan.packed()
    plan.pack(network.parameters, packed)
    plan["gradient"] = plan.packed()
    plan["state"] = state = plan.packed(len(optimizer.slots))
    state[...] = 0
    plan.optimize(optimizer)
    plan["steps"] = -(-len(network.X) // rows)
    return plan


def array(plan, word):
    return plan._arrays[word]


def train(backend, network, schedule, stretches):
    """(parameters, state, losses) after running from each step to the next."""
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    training = executor.training(network.X, network.y, state, schedule)
    for first, last in zip(stretches, stretches[1:], strict=False):
        assert training.run(first, last) == last
    training.collect()
    return executor.parameters, state, training.losses


def bits(arrays):
    return [np.asarray(a).tobytes() for a in arrays]


# --- phases and what joins them


@pytest.mark.parametrize("make", [classifier, regressor])
def test_phases_make_the_gradient(kernel_backend, dtype, make):
    """Forward, loss and backward of three batches: the bits of `gradient`, which joins them."""
    network = make(dtype)
    phases, joined = (plan_to_train(kernel_backend, network, SGD(), 9) for _ in range(2))
    for plan in (phases, joined):
        plan["input_gradient"] = np.full(network.X.shape, np.nan, dtype)
    for first, last in ((0, 9), (9, 18), (18, 23)):
        for phase in ("forward", "loss", "backward"):
            assert phases.call(phase, first, last) == 0
    assert joined.call("gradient", 0, 23) == 0
    for word in ("losses", "gradient", "input_gradient"):
        assert bits([array(phases, word)]) == bits([array(joined, word)])

    expected = oracle.loss_and_gradient(
        *network.formulas, network.model.loss, network.parameters, network.X, network.rows_of_y
    )
    gradient = np.empty_like(network.parameters)
    phases.unpack(gradient, array(phases, "gradient"))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(array(phases, "losses")[0], expected[0], rtol=64 * eps)
    np.testing.assert_allclose(gradient, expected[1], atol=64 * eps * abs(expected[1]).max())


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_phases_make_a_run(kernel_backend, dtype, make, optimizer):
    """Forward, loss, backward and update, batch by batch through two epochs: the bits of `run`."""
    network = make(dtype)
    phases, joined = (plan_to_train(kernel_backend, network, optimizer, 9) for _ in range(2))
    for step in range(6):
        first = step % 3 * 9
        rows = min(9, 23 - first)
        phases["samples"] = rows  # the mean is over the batch
        phases.read_targets(network.y[first : first + rows])
        phases.call("forward", first, first + rows)
        phases.call("loss", 0, rows)
        phases.call("backward", 0, rows)
        phases.call("update", step + 1, 0)
    assert joined.call("run", 0, 6) == 6
    assert joined.words.steps_done == 6
    for word in ("packed", "state"):
        assert bits([array(phases, word)]) == bits([array(joined, word)])


def test_predictions_are_those_of_the_forward_phase(kernel_backend, dtype):
    network = regressor(dtype, samples=9)
    plan = plan_to_train(kernel_backend, network, SGD(), 9)
    plan.call("forward", 0, 9)
    record = plan._records[-1]
    outputs = array(plan, "activations")[-9 * record.stride :].reshape(9, -1)[:, :3]
    assert bits([outputs]) == bits([network.executor(kernel_backend).predict(network.X)])


def test_evaluate_is_the_loss_that_gradient_gives(backend, dtype):
    network = classifier(dtype)
    executor = network.executor(backend)
    assert executor.evaluate(network.X, network.y) == executor.gradient(network.X, network.y)[0]


def test_gradients_are_those_of_the_parameters_as_they_are(backend, dtype):
    network = classifier(dtype)
    executor = network.executor(backend)
    evaluate = executor.gradients(network.X, network.y)
    for _ in range(3):
        value, gradient = evaluate()
        again, slopes = executor.gradient(network.X, network.y)
        assert value == again
        np.testing.assert_array_equal(gradient, slopes)
        executor.parameters[...] -= gradient
        executor.changed()
    assert evaluate()[0] < value


def test_more_samples_than_a_chunk(fast_backend, dtype):
    network = regressor(dtype, samples=2 * CHUNK + 3)
    executor = network.executor(fast_backend)
    predictions = executor.predict(network.X)
    one_by_one = [executor.predict(network.X[i : i + 1]) for i in range(len(network.X))]
    np.testing.assert_allclose(predictions, np.concatenate(one_by_one), rtol=0, atol=32 * np.finfo(dtype).eps)
    value, gradient = executor.gradient(network.X, network.y)
    expected = oracle.loss_and_gradient(*network.formulas, network.model.loss, network.parameters, network.X, network.y)
    np.testing.assert_allclose(value, expected[0], rtol=256 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gradient, expected[1], atol=256 * np.finfo(dtype).eps * abs(expected[1]).max())


def test_one_neuron_by_hand(backend, dtype):
    """a = 2 x + 1: the loss of x = 1, 3 with y = 2, 9 is (1 + 4) / 2, its slopes (2 - 12) / 2 and (2 - 4) / 2."""
    network = case((1, 1), (), "identity", "mean_squared_error", dtype, 2)
    network.parameters[:] = 2, 1
    network.X, network.y = np.array([[1.0], [3.0]]), np.array([[2.0], [9.0]])
    executor = network.executor(backend)
    assert executor.predict(network.X).tolist() == [[3], [7]]
    value, gradient = executor.gradient(network.X, network.y)
    assert (value, gradient.tolist()) == (2.5, [-5, -1])
    parameters, inputs = executor.backward(network.X, np.array([[1.0], [10.0]]))
    assert (parameters.tolist(), inputs.tolist()) == ([31, 11], [[2], [20]])
    training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(0.5), 1, 1))
    training.run(0, 1)  # of x = 1: 2 (3 - 2) = 2 is either slope
    training.collect()
    assert executor.parameters.tolist() == [1, 0]
    training.run(1, 2)  # of x = 3: a = 3, 2 (3 - 9) = -12, times 3
    training.collect()
    assert executor.parameters.tolist() == [19, 6]
    assert training.losses.tolist() == [(1 + 36) / 2]


# --- runs


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
@pytest.mark.parametrize("key", [None, 77])
def test_stretches_do_not_matter(backend, dtype, optimizer, key):
    network, schedule = classifier(dtype, samples=13), Schedule(optimizer, 4, 3, key)
    at_once = train(backend, network, schedule, [0, 12])
    assert bits(at_once) == bits(train(backend, network, schedule, range(13)))
    assert bits(at_once) == bits(train(backend, network, schedule, [0, 0, 3, 7, 7, 8, 12]))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_training_can_be_resumed(backend, dtype, optimizer):
    """With the numbers of epochs and updates done, and the optimizer's state, two trainings do what one does."""
    network = classifier(dtype, samples=13)
    executor, state = network.executor(backend), network.state(optimizer)
    losses = []
    for first_epoch in (0, 2):
        schedule = Schedule(optimizer, 5, 2, 9, first_epoch, first_epoch * 3)
        training = executor.training(network.X, network.y, state, schedule)
        training.run(0, 6)
        training.collect()
        losses += training.losses.tolist()
    at_once = train(backend, network, Schedule(optimizer, 5, 4, 9), [0, 12])
    assert bits([executor.parameters, state, losses]) == bits(at_once)


def test_same_seed_same_bits_and_another_seed_others(backend, dtype):
    network, adam = classifier(dtype, samples=13), Adam()
    first, again, other = (train(backend, network, Schedule(adam, 4, 3, key), [0, 12]) for key in (5, 5, 6))
    assert bits(first) == bits(again)
    assert bits(first[:1]) != bits(other[:1])


@pytest.mark.parametrize("optimizer", optimizers(learning_rate=0.05, epsilon=1e-4), ids=lambda o: o.name)
@pytest.mark.parametrize("key", [None, 12])
def test_training_in_the_oracles_order(backend, optimizer, key):
    network = case((4, 9, 3), "sigmoid", "softmax", "categorical_cross_entropy", "float64", samples=11)
    parameters, state, _ = train(backend, network, Schedule(optimizer, 4, 3, key, first_epoch=6), [0, 9])
    batches = []
    for epoch in range(3):
        order = list(range(11)) if key is None else oracle.shuffle(key, 6 + epoch, 11)
        batches += [order[0:4], order[4:8], order[8:11]]
    expected = oracle.train(
        *network.formulas, network.model.loss, network.parameters, network.X, network.rows_of_y, np.zeros(state.shape),
        stepper(optimizer), batches,
    )  # fmt: skip
    np.testing.assert_allclose(parameters, expected[0], atol=1e-12)
    np.testing.assert_allclose(state, expected[1], atol=1e-12)


@pytest.mark.parametrize("hidden", [name for name in HIDDEN if name != "exponential"])  # which steps so large overflow
@pytest.mark.parametrize("update_first", [False, True])
@pytest.mark.parametrize("divisor", [None, 1, 5])
def test_options_of_the_schedule(backend, hidden, update_first, divisor):
    """update_first: delta passes through weights that were just updated. delta_divisor: the gradient is divided by
    samples and by that, not by samples and outputs."""
    network = case((4, 9, 6, 3), hidden, "tanh", "mean_squared_error", "float64", samples=11, seed=4)
    schedule = Schedule(SGD(0.2), 4, 2, update_first=update_first, delta_divisor=divisor)
    parameters, _, losses = train(backend, network, schedule, [0, 6])
    batches = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]] * 2
    arguments = *network.formulas, network.model.loss, network.parameters, network.X, network.y
    factor = 3 / divisor if divisor else 1.0
    usual = oracle.train(*arguments, None, stepper(SGD(0.2)), batches, factor)[0]
    updating_first = oracle.train_updating_first(*arguments, 0.2, batches, factor)
    expected, other = (updating_first, usual) if update_first else (usual, updating_first)
    np.testing.assert_allclose(parameters, expected, atol=1e-12)
    assert abs(parameters - other).max() > 1e-6  # else the option would make no difference here
    mean = oracle.LOSSES["mean_squared_error"].value  # the loss is still the mean over outputs
    first_batch = oracle.predict(*network.formulas, network.parameters, network.X[:4])
    one_step = network.executor(backend).training(network.X, network.y, network.state(SGD()), schedule)
    one_step.run(0, 1)
    np.testing.assert_allclose(one_step.losses[0], mean(first_batch, network.y[:4]) * 4 / 11, rtol=1e-12)
    assert np.isfinite(losses).all()


# --- reading samples


@pytest.mark.parametrize("source", SOURCE_DTYPES)
def test_gather(kernel_backend, dtype, source):
    numbers = np.arange(120).reshape(6, 20).astype(source)
    for order in (None, np.array([5, 0, 3, 3, 1], np.int64)):
        samples = [1, 2, 3] if order is None else order[1:4]
        address = 0 if order is None else order
        for columns in (1, 5, 8, 19):
            target = aligned(3 * 48, dtype).reshape(3, 48)
            target[...] = -1
            call(kernel_backend, f"gather_{source}", dtype, numbers, 20, 1, address, 1, 3, columns, target.ravel(), 48)
            assert target[:, :columns].tolist() == numbers[samples, :columns].tolist()
            assert (target[:, 32:] == -1).all()  # up to there, a vector may have been filled up with zeros
            target[...] = -1
            half = -(-columns // 2)
            call(kernel_backend, f"gather_{source}", dtype, numbers, 20, 2, address, 1, 3, half, target.ravel(), 48)
            assert target[:, :half].tolist() == numbers[samples, : 2 * half : 2].tolist()
            assert (target[:, half:] == -1).all()


def test_gather_labels(kernel_backend, dtype):
    labels, order = np.array([2, 9, 0, 9, 1, 9], np.int64), np.array([2, 1, 0], np.int64)
    for address, expected in ((0, [[0, 0, 1], [1, 0, 0], [0, 1, 0]]), (order, [[0, 1, 0], [1, 0, 0], [0, 0, 1]])):
        target = np.full((3, 4), -1, dtype)
        call(kernel_backend, "gather_labels", dtype, labels, 2, 0, address, 0, 3, 3, target.reshape(-1), 4)
        assert target.tolist() == [[*row, -1] for row in expected]


@pytest.mark.parametrize("column_stride", [1, 2])
def test_gather_every_number_that_float16_has(kernel_backend, dtype, column_stride):
    """Zeros, subnormal numbers and infinities to the bit; what is NaN stays NaN of the same sign."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    expected = every[::column_stride].astype(dtype)
    target = aligned(len(expected), dtype)
    arguments = 0, column_stride, 0, 0, 1, len(expected), target, len(expected)
    call(kernel_backend, "gather_float16", dtype, every, *arguments)
    numbers = ~np.isnan(expected)
    assert numbers.sum() == {1: 2**16 - 2 * 1023, 2: 2**15 - 2 * 511}[column_stride]
    assert target[numbers].tobytes() == expected[numbers].tobytes()
    assert np.isnan(target[~numbers]).all()
    assert (np.signbit(target) == np.signbit(expected)).all()
