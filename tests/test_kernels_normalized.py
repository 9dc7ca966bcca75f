"""Layer and batch normalization: steps and derivatives are those of the oracle, whose own are complex steps."""

from functools import partial

import numpy as np
import oracle
import pytest
from cases import Case, rows_in_batches, stepper
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.kernels.backends.choice import Backend
from fastmlp.kernels.backends.interpreted import Interpreted, _namespace
from fastmlp.kernels.functions.disturbance import Disturbance
from fastmlp.kernels.functions.normalization import NORMALIZATIONS, BatchNormalization, LayerNormalization
from fastmlp.kernels.functions.optimizers import SGD, Adam, AdamW
from fastmlp.kernels.functions.regularization import Regularization
from fastmlp.kernels.runtime.plan import Model
from fastmlp.kernels.runtime.sparse_rows import SparseRows
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS

SIZES = (3, 19, 5, 2)
KINDS = {
    "layer": ("layer", "layer", None),
    "batch": ("batch", "batch", None),
    "first by sample": ("layer", "batch", None),
    "second by sample": ("batch", "layer", None),
    "one": (None, "batch", None),
}


def network_of(normalizations, dtype="float64", samples=9, sizes=SIZES, seed=0, activation="tanh"):
    """Gains and running statistics are not what networks begin with."""
    generator = np.random.default_rng(seed)
    activations = (activation,) * (len(sizes) - 2) + ("identity",)
    model = Model(sizes, activations, "mean_squared_error", dtype, normalizations)
    vector = generator.normal(size=model.parameter_count) / 2
    for _, _, gains, _, variances in oracle.parts_of(sizes, names_of(normalizations), vector):
        if gains is not None:
            gains += 1
        if variances is not None:
            variances[:] = np.exp(variances)
    X, y = generator.normal(size=(samples, sizes[0])), generator.normal(size=(samples, sizes[-1]))
    return Case(model, vector.astype(dtype), X.astype(dtype), y)


def names_of(normalizations):
    return tuple(getattr(one, "name", one) for one in normalizations)


def trained(backend, network, schedule, threads=(None,), weights=None, X=None):
    """Parameters, state and losses."""
    executor, state = network.executor(backend), network.state(schedule.optimizer)
    training = executor.training(network.X if X is None else X, network.y, state, schedule, None, weights)
    steps = training.steps_per_epoch * schedule.epochs
    cuts = [steps * i // len(threads) for i in range(len(threads) + 1)]
    for number, first, last in zip(threads, cuts, cuts[1:], strict=False):
        assert training.run(first, last, number) == last
    assert training.collect()
    return [executor.parameters, state, training.losses]


def check(backend, network, schedule, weights=None, momentum=0.1, epsilon=1e-5):
    parameters, state, losses = trained(backend, network, schedule, weights=weights)
    batches = rows_in_batches(len(network.X), schedule.batch_size, schedule.epochs)
    frozen = [l for l, factor in enumerate(schedule.regularization.rate_factors or ()) if factor == 0]
    vector, moments, all_losses = oracle.train_normalized(
        SIZES, names_of(network.model.normalizations), network.parameters, network.X, network.y,
        np.zeros(state.shape), stepper(schedule.optimizer), batches, weights, schedule.regularization.l2, frozen,
        momentum, epsilon,
    )  # fmt: skip
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    close(parameters, vector)
    close(state, moments)
    weights = np.ones(len(network.X)) if weights is None else weights
    shares = [weights[rows].sum() / len(network.X) for rows in batches]
    close(losses, (np.array(shares) * all_losses).reshape(schedule.epochs, -1).sum(axis=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [4, 9])  # the last batch of four has one sample
def test_steps_are_those_of_the_oracle(backend, kind, batch_size):
    for optimizer in (SGD(0.05), Adam(0.02, epsilon=1e-2)):
        check(backend, network_of(KINDS[kind]), Schedule(optimizer, batch_size, 3))


def test_settings_of_the_table_are_obeyed(backend):
    for row in NORMALIZATIONS.values():
        settings = {"epsilon": 0.3} | ({"momentum": 0.7} if row.settings is BatchNormalization else {})
        network = network_of((row.settings(**settings), None, None))
        check(backend, network, Schedule(SGD(0.05), 4, 2), **settings)


def test_penalties_are_of_weights_alone(backend):
    for optimizer in (SGD(0.05), AdamW(0.02, epsilon=1e-2)):
        schedule = Schedule(optimizer, 4, 3, regularization=Regularization(l2=0.3))
        check(backend, network_of(KINDS["first by sample"]), schedule)


@pytest.mark.parametrize("factors", [(0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_frozen_layers_normalize_as_ever_and_are_left_alone(backend, kind, factors):
    schedule = Schedule(SGD(0.05), 4, 3, regularization=Regularization(rate_factors=factors))
    check(backend, network_of(KINDS[kind]), schedule)


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_weighted_samples_have_shares_of_the_batch(backend, kind):
    weights = np.array([0.5, 2.0, 0.0, 1.0, 1.0, 3.0, 0.0, 1.0, 0.5])
    check(backend, network_of(KINDS[kind]), Schedule(SGD(0.05), 4, 3), weights / weights.mean())


@pytest.mark.parametrize("kind", KINDS)
def test_everything_at_once_is_as_the_reference_has_it(kernel_backend, kind):
    """Dropout, noise, clipping, norms, averages, updates layer by layer, sparse samples."""
    wishes = Regularization(0.01, 0.02, 0.1, 0.3, 0.4, 0.95, None, (0.5, 1.0, 2.0), True)
    disturbance = Disturbance(input_noise=0.1, dropout=(0.3, 0.2))
    network, reference = network_of(KINDS[kind]), Backend("reference", None)
    sparse = np.where(abs(network.X) > 0.5, network.X, 0)
    starts = np.cumsum([0, *(sparse != 0).sum(axis=1)])
    rows = SparseRows(sparse[sparse != 0], np.nonzero(sparse)[1].copy(), starts, SIZES[0])
    for schedule, X in (
        (Schedule(Adam(0.05, epsilon=1e-2), 4, 3, 7, regularization=wishes, disturbance=disturbance), None),
        (Schedule(SGD(0.05), 4, 3, 7, update_first=True), None),
        (Schedule(SGD(0.05), 4, 3, 7), rows),
    ):
        for found, expected in zip(
            trained(kernel_backend, network, schedule, X=X), trained(reference, network, schedule, X=X), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_outside_of_training_statistics_are_the_running_ones(backend, kind):
    network = network_of(KINDS[kind])
    executor, names = network.executor(backend), names_of(KINDS[kind])

    def loss(vector, X=network.X):
        outputs, _ = oracle.normalized_outputs(SIZES, names, vector, X)
        return ((outputs - network.y) ** 2).mean()

    outputs, _ = oracle.normalized_outputs(SIZES, names, network.parameters, network.X)
    close = partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-13)
    close(executor.predict(network.X), outputs)
    close(executor.predict(network.X[:1]), outputs[:1])
    value, gradient = executor.gradient(network.X, network.y)
    close([value, executor.evaluate(network.X, network.y)], loss(network.parameters))
    expected = oracle.complex_step(loss, network.parameters)
    for *_, means, variances in oracle.parts_of(SIZES, names, expected):
        if means is not None:  # not for gradients to change
            means[:] = variances[:] = 0
    close(gradient, expected)
    by_inputs = oracle.complex_step(lambda x: loss(network.parameters, x.reshape(network.X.shape)), network.X.ravel())
    close(executor.input_gradient(network.X, network.y).ravel(), by_inputs)
    parameters, inputs = executor.backward(network.X, 2 * (outputs - network.y) / network.y.size)
    close(parameters, gradient)
    close(inputs.ravel(), by_inputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [70, 64, 33, 9])
def test_the_number_of_threads_changes_no_bit(fast_backend, dtype, kind, batch_size, monkeypatch):
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    network = network_of(KINDS[kind], dtype, 70, (3, 40, 65, 2))
    weights = np.random.default_rng(1).uniform(size=70)
    for wishes in (Regularization(), Regularization(clip_norm=0.1, max_norm=0.9, rate_factors=(1.0, 0.0, 2.0))):
        schedule = Schedule(Adam(0.02), batch_size, 2, 7, regularization=wishes)
        alone = trained(fast_backend, network, schedule, [1], weights / weights.mean())
        for threads in ([2], [3], [1, 3, 2, 1]):
            together = trained(fast_backend, network, schedule, threads, weights / weights.mean())
            assert [part.tobytes() for part in together] == [part.tobytes() for part in alone]


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_close_to_float64(backend, kind):
    schedule = Schedule(SGD(0.05), 9, 3)
    exact = trained(backend, network_of(KINDS[kind], "float64"), schedule)
    for found, expected in zip(trained(backend, network_of(KINDS[kind], "float32"), schedule), exact, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@given(seed=st.integers(0, 99), samples=st.integers(2, 40), width=st.integers(1, 40))
def test_sums_of_a_batch_have_mean_zero_and_variance_one(level, dtype, seed, samples, width):
    """By the layer's outputs, which are the normalized sums themselves: gains are 1, biases 0."""
    backend = Backend("interpreted", Interpreted(level))
    sizes = (3, width, 1)
    for kind, axis in (("batch", 0), ("layer", 1)):
        network = network_of((kind, None), dtype, samples, sizes, seed, "identity")
        weights, biases, gains, *_ = oracle.parts_of(sizes, (kind, None), network.parameters)[0]
        biases[:], gains[:] = 0, 1
        executor = network.executor(backend)
        schedule = Schedule(SGD(1e-30), samples, 1)
        training = executor.training(network.X, network.y, network.state(SGD()), schedule)
        training.run(0, 1)
        a = activations_of_first_layer(training, samples, width)
        z = network.X.astype(float) @ weights
        variance = z.var(axis=axis)
        np.testing.assert_allclose(a.mean(axis=axis), 0, atol=1e-5)
        np.testing.assert_allclose(a.var(axis=axis), variance / (variance + 1e-5), atol=1e-3)


def activations_of_first_layer(training, samples, width):
    plan = training._plan
    stride = int(plan._records[0].stride)
    rows = plan._arrays["activations"][: samples * stride].reshape(samples, stride)
    return rows[:, :width].astype(float)


@pytest.mark.parametrize("name", ["denormalize_samples", "denormalize_by_batch", "share_batch"])
def test_what_is_left_out_is_found(name, monkeypatch):
    level = LEVELS["x86-64-v3"]
    backend = Backend("interpreted", Interpreted(level))
    kind = "layer" if name == "denormalize_samples" else "batch"
    network, schedule = network_of(KINDS[kind]), Schedule(SGD(0.05), 4, 3)
    check(backend, network, schedule)
    monkeypatch.setitem(_namespace("float64", level), name, lambda *arguments: None)
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        check(backend, network, schedule)


def test_settings_are_checked():
    for settings, sentence in [
        (lambda: LayerNormalization(0), "epsilon must be a finite number above 0, got 0"),
        (lambda: BatchNormalization(momentum=1.5), "momentum must be above 0 and at most 1, got 1.5"),
    ]:
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            settings()
