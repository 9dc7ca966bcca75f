"""All backends and levels agree with plain NumPy on networks of random shapes.

Tolerance: the rounding errors of a sum of n products, added up in whatever order, are a random walk of about sqrt(n)
eps times the terms' size (N. Higham, "Accuracy and stability of numerical algorithms", section 2.8). Sums here have
up to 200 terms of order one, pass through up to four layers that neither grow nor shrink them, and come back through
as many: 2 x 4 x sqrt(200) eps = 113 eps. The tolerance is 200 eps times the largest number of an array: 2.4e-5 in
float32 and 4.4e-14 in float64.

Where a unit is within rounding of the kink of its activation, the two sides may differ, and with them the gradients:
such samples are left out, or, in training, weights and biases keep clear of kinks. Adam divides by the root of the
second moment, which turns the rounding error of a gradient near zero into a step: epsilon = 1e-2 is large enough to
keep it small.
"""

import os

import numpy as np
import pytest
from cases import HIDDEN, OUTPUTS, PAIRINGS, case, smooth_optimizers
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.kernels.backends import jit
from fastmlp.kernels.backends.choice import Backend, backend
from fastmlp.kernels.backends.interpreted import Interpreted
from fastmlp.kernels.functions.function import name_of
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary.levels import LEVELS, tile_shape

REFERENCE = backend("reference")
UNITS = 200

# widths and numbers of rows around the edges of vectors, panels and tiles of some level are drawn more often
WIDTHS = st.one_of(st.integers(1, 200), st.sampled_from([1, 2, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128]))
ROWS = st.one_of(st.integers(1, 130), st.sampled_from([1, 5, 6, 7, 11, 12, 13, 24, 25, 36]))


@st.composite
def networks(draw, widths=WIDTHS, rows=ROWS, most_layers=4, decided=False):
    """A case of either dtype, and samples enough that some remain when those near kinks are left out."""
    output, loss = draw(st.sampled_from(OUTPUTS))
    sizes = draw(st.lists(widths, min_size=2, max_size=most_layers + 1))
    if output == "softmax":
        sizes[-1] = max(2, sizes[-1])
    hidden = tuple(draw(st.lists(st.sampled_from(HIDDEN), min_size=len(sizes) - 2, max_size=len(sizes) - 2)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    seed = draw(st.integers(0, 2**32 - 1))
    return case(sizes, hidden, output, loss, dtype, draw(rows), seed, decided)


def assert_close(actual, expected, dtype, scale=0.0):
    """Within the tolerance, relative to the largest number of the array or to `scale`."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(expected).all()
    largest = max(abs(expected).max(), scale)
    assert abs(actual - expected).max() <= UNITS * np.finfo(dtype).eps * largest


class Recorder:
    """A library that writes down which kernels it was asked to call."""

    def __init__(self, library):
        self.library, self.name, self.level, self.calls = library, library.name, library.level, set()
        self.system_call = library.system_call

    def address(self, kernel, dtype):
        return self.library.address(kernel, dtype)

    def call(self, kernel, plan, first, last):
        self.calls.add(kernel)
        return self.library.call(kernel, plan, first, last)

    def seats(self, new_plan, model):
        """None: predictions come by here too."""


def recorded(chosen):
    return Backend(chosen.name, Recorder(chosen.library))


def assert_ran(executor, chosen, kernels):
    """The executor called these kernels of this backend, at its level, and that is the highest that may be used."""
    library, model = executor.library, executor.model
    assert kernels <= library.calls
    assert (library.name, library.level) == (chosen.name, chosen.level)
    if chosen.name in ("jit", "compiled"):
        assert chosen.level == (os.environ.get("FASTMLP_CPU_LEVEL") or jit.host_level().name)
    with executor._workspace.plan() as plan:
        record = plan._records[0]
        identity = model.activations[0] == "identity"
        expected = 0 if identity else chosen.library.address(f"activation_{name_of(model.activations[0])}", model.dtype)
        assert record.activate == expected
        # the rows of scratch are as wide as vectors of the level are: a kernel of another level would not fit them
        lanes = LEVELS[chosen.level].vector_bytes // np.dtype(model.dtype).itemsize
        assert record.width == -(-model.sizes[1] // lanes) * lanes


def check_results(chosen, network):
    """Forward, loss, gradient and input gradient, as the reference has them."""
    dtype = network.model.dtype
    network = network.far_from_kinks(UNITS * np.finfo(dtype).eps)
    if len(network.X) == 0:
        return
    executor, reference = network.executor(recorded(chosen)), network.executor(REFERENCE)
    # a few outputs may all cancel: terms are of order one
    assert_close(executor.predict(network.X), reference.predict(network.X), dtype, scale=0.1)
    assert_close(executor.evaluate(network.X, network.y), reference.evaluate(network.X, network.y), dtype)
    for actual, expected in zip(
        executor.gradient(network.X, network.y), reference.gradient(network.X, network.y), strict=True
    ):
        assert_close(actual, expected, dtype)
    output_gradient = np.random.default_rng(1).normal(size=(len(network.X), network.model.sizes[-1]))
    for actual, expected in zip(
        executor.backward(network.X, output_gradient), reference.backward(network.X, output_gradient), strict=True
    ):
        # softmax's output gradients cancel: what remains is relative to what there was
        assert_close(actual, expected, dtype, scale=1e-2)
    assert_ran(executor, chosen, {"pack", "predict", "evaluate", "gradient", "unpack"})


def check_training(chosen, network, schedule):
    """Parameters, optimizer state and losses after ten steps, as the reference has them."""
    dtype = network.model.dtype
    results = []
    for who in (recorded(chosen), REFERENCE):
        executor, state = network.executor(who), network.state(schedule.optimizer)
        training = executor.training(network.X, network.y, state, schedule)
        assert training.run(0, 10) == training.steps_done == 10
        training.collect()
        results.append((executor.parameters, state, training.losses))
        if who is not REFERENCE:
            assert_ran(executor, chosen, {"pack", "run"})
    (parameters, state, losses), (expected_parameters, expected_state, expected_losses) = results
    assert_close(parameters, expected_parameters, dtype)
    assert_close(losses, expected_losses, dtype)
    for slot, expected in zip(state, expected_state, strict=True):
        assert_close(slot, expected, dtype, scale=1e-2)


@st.composite
def schedules(draw, network):
    """Ten steps or more, in batches that need not divide the samples; small ones, so that no network diverges."""
    samples, widest = len(network.X), max(network.model.sizes)
    batch_size = draw(st.integers(max(1, samples // 4), samples + 3))
    epochs = -(-10 // -(-samples // batch_size))
    optimizer = draw(st.sampled_from(smooth_optimizers(learning_rate=0.05 / widest, epsilon=1e-2, alpha=0.5)))
    key = draw(st.one_of(st.none(), st.integers(0, 2**63 - 1)))
    return Schedule(optimizer, batch_size, epochs, key, draw(st.integers(0, 2**40)), draw(st.integers(0, 2**20)))


@settings(max_examples=250)
@given(network=networks())
def test_fast_backends_agree_with_reference(fast_backend, network):
    check_results(fast_backend, network)


@settings(max_examples=150)
@given(data=st.data())
def test_fast_backends_train_like_reference(fast_backend, data):
    network = data.draw(networks(decided=True))
    check_training(fast_backend, network, data.draw(schedules(network)))


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_every_pairing_agrees_with_reference(fast_backend, dtype, hidden, output, loss):
    check_results(fast_backend, case((23, 57, 41, 3), hidden, output, loss, dtype, samples=130))
    decided = case((23, 57, 41, 3), hidden, output, loss, dtype, samples=130, decided=True)
    for optimizer in smooth_optimizers(learning_rate=0.01, epsilon=1e-2, alpha=0.5):
        check_training(fast_backend, decided, Schedule(optimizer, 50, 4, shuffle_key=3))


# The interpreted backend can take any level, whatever the CPU. Panels are 4 (float64 on x86-64) to 32 numbers wide,
# tiles 6 or 12 rows high.


@settings(max_examples=8)
@given(network=networks(widths=st.integers(1, 70), rows=st.integers(1, 14), most_layers=2))
def test_every_level_agrees_with_reference(level, network):
    check_results(Backend("interpreted", Interpreted(level)), network)


@settings(max_examples=4)
@given(data=st.data())
def test_every_level_trains_like_reference(level, data):
    network = data.draw(networks(widths=st.integers(1, 20), rows=st.integers(1, 9), most_layers=2, decided=True))
    check_training(Backend("interpreted", Interpreted(level)), network, data.draw(schedules(network)))


@pytest.mark.parametrize("edge", [-1, 0, 1])
def test_edges_of_tiles_and_panels(level, dtype, edge):
    shape = tile_shape(dtype, level)
    sizes = (shape["TILE_ROWS"] + edge, shape["PANEL"] + edge, shape["LANES"] + edge + 1)
    network = case(sizes, "tanh", "identity", "mean_squared_error", dtype, samples=2 * shape["TILE_ROWS"] + edge)
    check_results(Backend("interpreted", Interpreted(level)), network)


def test_the_reference_agrees_with_the_oracle_and_an_error_is_caught(dtype):
    network = case((20, 30, 10), "tanh", "identity", "mean_squared_error", dtype, samples=40)
    gradient = network.executor(REFERENCE).gradient(network.X, network.y)[1]
    assert_close(gradient, gradient, dtype)
    with pytest.raises(AssertionError):
        assert_close(gradient * 1.001, gradient, dtype)
