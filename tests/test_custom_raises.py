"""Exceptions of users' functions reach the caller, from every backend and call, and leave nothing half done."""

import math
import pickle
import traceback

import numpy as np
import pytest

import fastmlp
from fastmlp.kernels.compiler.ieee import plainly
from fastmlp.kernels.compiler.tracing import formula

TABLE = np.tanh((np.arange(80) - 40.0) / 10)


class TooLarge(Exception):
    pass


def limited(z):
    if z > 40:
        raise TooLarge("above 40")
    return 2.0 * z


def limited_slope(z):
    return 2.0


def plain(z):
    return z + 0.0 * math.sin(z)


def slope_with_a_limit(z):
    if z > 40:
        raise TooLarge("above 40")
    return 1.0


def squared(output, target):
    if output - target > 1000:
        raise TooLarge("far off")
    return (output - target) ** 2


def difference(output, target):
    return 2 * (output - target)


def difference_with_a_limit(output, target):
    if output - target > 1000:
        raise TooLarge("far off")
    return 2 * (output - target)


def square(output, target):
    return (output - target) ** 2 + 0.0 * math.sin(output)


LIMITED = fastmlp.Activation(limited, limited_slope)
LIMITED_SLOPE = fastmlp.Activation(plain, slope_with_a_limit)
LOSSES = [fastmlp.Loss(squared, difference), fastmlp.Loss(square, difference_with_a_limit)]


def doubler(backend, dtype="float64", activation=LIMITED, **options):
    """A network that puts out 2 x, of x up to 40."""
    network = fastmlp.NeuralNetwork([1, 1, 1], activation, backend=backend.name, dtype=dtype, **options)
    network.parameters = [1, 0, 1, 0]
    return network


X = np.array([[1.0], [2.0], [50.0], [3.0], [4.0]])
GOOD = np.delete(X, 2, axis=0)


def test_the_users_own_exception_comes_out_of_predictions(backend, dtype):
    network = doubler(backend, dtype)
    out = np.empty((5, 1), dtype)
    predictor = network.predictor()
    into_out, of_one = lambda X: predictor(X, out=out), lambda X: predictor(X[2])
    for call in (network.predict, predictor, into_out, of_one, network.layer_outputs):
        with pytest.raises(TooLarge, match="above 40") as caught:
            call(X.astype(dtype))
        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "limited"
        assert network.predict(GOOD).ravel().tolist() == [2, 4, 6, 8]  # and is forgotten
        assert predictor(GOOD.astype(dtype)).ravel().tolist() == [2, 4, 6, 8]


def test_an_array_that_takes_outputs_in_the_place_of_samples(backend):
    predictor = doubler(backend, "float64").predictor()
    both = X.copy()
    with pytest.raises(TooLarge):
        predictor(both, out=both)


def test_the_kernels_say_what_was_called(kernel_backend):
    with pytest.raises(TooLarge) as caught:
        doubler(kernel_backend).predict(X)
    assert caught.value.__notes__ == ["fastmlp called limited(50.0) for Activation('limited')"]


def test_many_rows_and_threads(fast_backend):
    activation = fastmlp.Activation(plain_up_to_1000, plain_slope)
    network = fastmlp.NeuralNetwork([200, 300, 1], activation, backend=fast_backend.name, threads=2, seed=0)
    many = np.random.default_rng(0).uniform(-1, 1, (2000, 200)).astype(np.float32)
    expected = network.predict(many)
    for row in (0, 999, 1999):
        spoiled = many.copy()
        spoiled[row] = 1e5
        with pytest.raises(ValueError, match="far away"):
            network.predict(spoiled)
    np.testing.assert_array_equal(network.predict(many), expected)


def plain_up_to_1000(z):
    if abs(z) > 1000:
        raise ValueError("far away")
    return z


def plain_slope(z):
    return 1.0


@pytest.mark.parametrize("name", ["evaluate", "gradient", "input_gradient", "gradient_check"])
def test_losses_and_gradients(backend, name):
    network = doubler(backend)
    with pytest.raises(TooLarge, match="above 40"):
        getattr(network, name)(X, X)
    getattr(network, name)(GOOD, GOOD)


@pytest.mark.parametrize("activation", [LIMITED, LIMITED_SLOPE])
def test_gradients_of_outputs(backend, activation):
    network = doubler(backend, activation=activation)
    for call in (lambda X: network.backward(X, X), network.jacobian):
        with pytest.raises(TooLarge, match="above 40"):
            call(X)
        call(GOOD)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_users(backend, loss):
    network = fastmlp.NeuralNetwork([1, 1], loss=loss, backend=backend.name, dtype="float64")
    network.parameters = before = [1.0, 0.0]
    far = np.array([[1.0], [2000.0], [2.0]])
    for call in (network.gradient, lambda X, y: network.train(X, y, 1)):
        with pytest.raises(TooLarge, match="far off"):
            call(far, np.zeros(3))
    assert network.parameters.tolist() == before
    assert network.evaluate([[1.0], [3.0]], [0.0, 0.0]) == 5


# --- training


def trained(backend, samples, activation=LIMITED, **options):
    """A network after an epoch of batches of two samples, and what was raised in it."""
    network = doubler(backend, activation=activation, seed=0)
    options = {"epochs": 1, "batch_size": 2, "learning_rate": 0.001, "shuffle": False, "optimizer": "adam"} | options
    try:
        network.train(samples, 3 * samples, **options)
    except TooLarge as error:
        return network, error
    return network, None


ORDERED = np.array([[1.0], [2.0], [3.0], [4.0], [50.0], [5.0]])


def test_training_ends_with_the_last_step_that_was_finished(backend):
    network, error = trained(backend, ORDERED)
    assert str(error) == "above 40"
    expected, none = trained(backend, ORDERED[:4])
    assert none is None
    np.testing.assert_array_equal(network.parameters, expected.parameters)
    for each in (network, expected):  # with Adam's moments
        each.train(GOOD, 3 * GOOD, 2, optimizer="adam", batch_size=4)
    np.testing.assert_array_equal(network.parameters, expected.parameters)


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_exceptions_of_derivatives_leave_finite_parameters(backend, batch_size):
    network, error = trained(backend, ORDERED, activation=LIMITED_SLOPE, batch_size=batch_size)
    assert str(error) == "above 40"
    assert np.isfinite(network.parameters).all()
    history = network.train(GOOD, 3 * GOOD, 2, optimizer="adam")
    assert np.isfinite([*network.parameters, *history.loss]).all()


def test_training_of_one_sample_at_a_time(backend):
    network, error = trained(backend, ORDERED, batch_size=1)
    expected, _ = trained(backend, ORDERED[:4], batch_size=1)
    assert isinstance(error, TooLarge)
    np.testing.assert_array_equal(network.parameters, expected.parameters)


def test_epochs_before_stay_in_the_history(backend):
    """The weight grows by each step, until a weighted sum is above 40."""
    network = doubler(backend)
    with pytest.raises(TooLarge):
        network.train([[1.0]], [[1e5]], 1000, 1e-6)
    losses = network.history.loss
    assert 1 < len(losses) < 1000
    assert np.isfinite([*losses, *network.parameters]).all()
    weight, bias, *_ = network.parameters
    assert weight + bias > 40  # the step that went there was finished


def test_training_by_two_threads(fast_backend):
    samples = np.random.default_rng(0).uniform(-1, 1, (4096, 64))
    activation = fastmlp.Activation(plain_up_to_1000, plain_slope)
    results = []
    for threads in (1, 2):
        network = fastmlp.NeuralNetwork([64, 256, 1], activation, backend=fast_backend.name, threads=threads, seed=0)
        spoiled = samples.copy()
        spoiled[3500] = 1e6
        with pytest.raises(ValueError, match="far away"):
            network.train(spoiled, samples[:, :1], 1, 0.001, 512, shuffle=False)
        results.append(network.parameters.tobytes())
        network.train(samples, samples[:, :1], 1, 0.001, 512)
    assert results[0] == results[1]


def test_streams_and_validation(backend):
    network = doubler(backend)
    with pytest.raises(TooLarge):
        network.train_stream(lambda: iter([(GOOD, GOOD), (X, X)]), 1, 1e-4)
    with pytest.raises(TooLarge):
        network.train(GOOD, GOOD, 2, 1e-4, validation_data=(X, X))
    assert np.isfinite(network.predict(GOOD)).all()


def test_quasi_newton_training(kernel_backend):
    pytest.importorskip("scipy")
    network = doubler(kernel_backend)
    with pytest.raises(TooLarge):
        network.train(X, X, 5, optimizer="lbfgs")
    assert network.parameters.tolist() == [1, 0, 1, 0]


# --- kinds of exceptions


def from_a_table(z):
    return TABLE[int(z) + 40] + 0.0 * z


def plain_python(source):
    """A function that pytest does not rewrite the assertions of."""
    found = {}
    exec(source, found)
    return found["asserting"]


asserting = plain_python("def asserting(z):\n    assert z < 40, 'large'\n    return z\n")


def formatting(z):
    if z > 40:
        raise ValueError(f"z must be at most 40, got {z}")
    return z


def inner(z):
    if z > 40:
        raise OverflowError("inner")
    return z


def outer(z):
    return inner(z) + 1


def flat(z):
    return 0.0 * z


def one(z):
    return 1.0


@pytest.mark.parametrize(
    ("functions", "error", "sentence"),
    [
        ((from_a_table, flat), IndexError, "out of bounds"),
        ((asserting, one), AssertionError, "large"),
        ((formatting, one), ValueError, "z must be at most 40, got 50.0"),
        ((outer, one), OverflowError, "inner"),
    ],
)
def test_kinds_of_exceptions(backend, functions, error, sentence):
    network = doubler(backend, activation=fastmlp.Activation(*functions))
    with pytest.raises(error, match=sentence):
        network.predict(X)
    assert network.predict(GOOD).shape == (4, 1)


@pytest.mark.parametrize("z", [1e3, 1e9, 1e12, -1e3, -1e12])
def test_nothing_is_read_outside_of_tables(backend, z):
    network = doubler(backend, activation=fastmlp.Activation(from_a_table, flat))
    with pytest.raises(IndexError):
        network.predict([[z]])


def test_negative_indices_count_from_the_end(backend):
    network = doubler(backend, activation=fastmlp.Activation(from_a_table, flat))
    assert network.predict([[-41.0]]).item() == TABLE[-1]


def logarithm(z):
    return math.log(z) + 0.0 * math.sin(z)


def reciprocal(z):
    return 1 / z


def test_arithmetic_of_python_is_no_exception(backend):
    own = fastmlp.Activation(logarithm, reciprocal)
    network = fastmlp.NeuralNetwork([1, 1], output_activation=own, backend=backend.name, dtype="float64")
    network.parameters = [1, 0]
    assert network.predict([[1.0], [-1.0]])[0] == 0
    assert np.isnan(network.predict([[1.0], [-1.0]])[1])


def hand_written_sigmoid(z):
    return 1 / (1 + math.exp(-z)) + 0.0 * TABLE[0]


def its_slope(z):
    a = 1 / (1 + math.exp(-z))
    return a * (1 - a) + 0.0 * TABLE[0]


def test_infinity_on_the_way_to_a_finite_result(backend, dtype):
    network = doubler(backend, dtype, fastmlp.Activation(hand_written_sigmoid, its_slope))
    outputs = network.predict([[-2000.0], [0.0], [2000.0]])
    assert outputs.ravel().tolist() == [0, 0.5, 1]
    assert network.gradient([[-2000.0]], [[0.0]]).tolist() == [0, 0, 0, 0]


def reshaping(z):
    return np.full(3, z).reshape(2, 2)[0, 0] if z > 40 else 2 * z


def test_exceptions_of_operations_reach_the_caller(backend):
    network = doubler(backend, activation=fastmlp.Activation(reshaping, limited_slope))
    with pytest.raises(ValueError, match="reshape"):
        network.predict(X)
    assert network.predict(GOOD).ravel().tolist() == [2, 4, 6, 8]


def test_the_users_exception_comes_before_those_of_arithmetic(backend):
    def after_an_overflow(z):
        if math.exp(z) > 1e100:
            raise TooLarge("far too large")
        return z

    network = doubler(backend, activation=fastmlp.Activation(after_an_overflow, one))
    with pytest.raises(TooLarge, match="far too large"):
        network.predict([[2000.0]])


IEEE = {  # expressions, and what IEEE 754 and the C standard's annex F say of them
    "1 / (z - z)": math.inf, "-1 / (z - z)": -math.inf, "z / -0.0": -math.inf, "(z - z) / (z - z)": math.nan,
    "1 / (float(z) - z)": math.inf, "1.0 / (0.0 * 1.0)": math.inf, "z % (z - z)": math.nan, "1 % (z - z)": math.nan,
    "(z * 1e200) ** 2": math.inf, "-((z * 1e200) ** 2)": -math.inf, "10.0 ** (z * 200)": math.inf,
    "10 ** (z * 200)": math.inf, "(z - z) ** -1": math.inf, "(-z) ** 0.5": math.nan, "abs(-z / (z - z))": math.inf,
    "math.exp(z * 1000)": math.inf, "np.exp(z * 1000)": math.inf, "math.log(z - z)": -math.inf,
    "math.log(-z)": math.nan, "math.log1p(-1.0)": -math.inf, "math.log2(z - z)": -math.inf, "math.sqrt(-z)": math.nan,
    "math.pow(z - z, -1)": math.inf, "math.sinh(z * -1000)": -math.inf, "math.cosh(z * -1000)": math.inf,
    "math.sin(z / (z - z))": math.nan, "math.acos(z)": math.nan, "math.atanh(z / 2)": math.inf,
    "math.atanh(z / -2)": -math.inf, "math.acosh(0.5)": math.nan, "math.fmod(z, z - z)": math.nan,
    "math.gamma(z * 100)": math.inf, "math.gamma(-z)": math.nan, "math.lgamma(-z)": math.inf,
    "math.ldexp(z, 5000)": math.inf, "math.expm1(z * 1000)": math.inf, "1 / math.erf(z - z)": math.inf,
    "z / (z - z) - math.floor(z)": math.inf, "math.floor(z / (z - z)) - z": math.inf, "z - int(math.nan)": math.nan,
    "round(math.inf) - z": math.inf, "1 / min(z - z, 5.0)": math.inf, "1 / np.sqrt(z - z)": math.inf,
    "ZERO / ZERO": math.nan, "1.0 / ZEROS[0]": math.inf, "0.0 / ZEROS[int(z) - 2]": math.nan,
    "(z > 0) - (np.exp(z) < 0) + 1 / (z - z)": math.inf, "float(isinstance(int(z), int))": 1, "round(z + 0.4)": 2,
    "int(2.7) + round(2.345, 2)": 4.35, "math.pow(z, 3)": 8,
}  # fmt: skip


UNLIKE_NUMBA = {  # it has no such function, divides by zero after all, or converts infinity to some integer
    "math.fmod(z, z - z)", "float(isinstance(int(z), int))", "(z - z) ** -1", "math.pow(z - z, -1)",
    "math.floor(z / (z - z)) - z", "z - int(math.nan)", "round(math.inf) - z",
}  # fmt: skip


def evaluating(expressions):
    """A function of z that returns all their values."""
    found = {"math": math, "np": np, "ZERO": 0.0, "ZEROS": (0.0, 1.0)}
    exec(f"def evaluate(z):\n    return {', '.join(expressions)},\n", found)
    return found["evaluate"]


@pytest.mark.parametrize("expression", IEEE)
def test_python_goes_on_with_infinity(expression):
    evaluate = evaluating([f"float({expression})"])
    function = plainly(lambda z: evaluate(z)[0])
    assert function(2) == pytest.approx(IEEE[expression], nan_ok=True, abs=0)
    assert type(function(2)) is float


def test_compiled_code_goes_on_in_the_same_way():
    numba = pytest.importorskip("numba")
    expressions = [expression for expression in IEEE if expression not in UNLIKE_NUMBA]
    values = numba.njit(error_model="numpy")(evaluating(expressions))(2.0)
    for expression, value in zip(expressions, values, strict=True):
        assert value == pytest.approx(IEEE[expression], nan_ok=True), expression


def test_what_plainly_lets_out():
    def as_another(z):
        if math.isnan(math.log(z)):
            raise ArithmeticError("of mine")

    assert plainly(math.exp)(1e4) == math.inf
    with pytest.raises(ArithmeticError, match="of mine"):
        plainly(as_another)(-1)
    with pytest.raises(OverflowError, match="inner"):
        plainly(outer)(41)
    with pytest.raises(ZeroDivisionError):  # of integers, which have no infinity
        plainly(lambda z: 1 // (int(z) - 1))(1)
    with pytest.raises(TypeError):
        plainly(str)(1)


def test_functions_that_raise_are_no_formulas():
    for function in (limited, plain_up_to_1000, asserting, slope_with_a_limit):
        assert formula(function, 1) is None
    assert formula(squared, 2) is None


# --- when they are made


def up_to_20(z):
    if z > 20:
        raise TooLarge("above 20")
    return z


def never(z):
    raise TooLarge("never")


def test_derivatives_are_compared_where_functions_do_not_raise():
    assert fastmlp.Activation(up_to_20, one).name == "up_to_20"
    with pytest.raises(ValueError, match="derivative must be that of forward, got 2 at"):
        fastmlp.Activation(up_to_20, lambda z: 2.0)
    small = np.zeros(3)
    with pytest.raises(ValueError, match="forward must be finite and smooth at some of the points") as caught:
        fastmlp.Activation(never, one)
    assert isinstance(caught.value.__cause__, TooLarge)
    assert fastmlp.Activation(lambda z: small[int(z)] + 0.0 * z, flat, "table").name == "table"


def test_copies_and_files_raise_too(kernel_backend):
    network = doubler(kernel_backend)
    for twin in (pickle.loads(pickle.dumps(network)), pickle.loads(pickle.dumps(network.predictor()))):
        with pytest.raises(TooLarge):
            (twin if callable(twin) else twin.predict)(X)


def test_of_two_functions_the_right_one_is_called(backend):
    other = fastmlp.Activation(from_below, one)
    network = fastmlp.NeuralNetwork([1, 1, 1], LIMITED, output_activation=other, backend=backend.name, dtype="float64")
    network.parameters = [1, 0, -1, 0]
    with pytest.raises(ArithmeticError, match="below"):
        network.predict([[39.0]])
    with pytest.raises(TooLarge):
        network.predict([[41.0]])


def from_below(z):
    if z < -50:
        raise ArithmeticError("below")
    return z


def test_what_is_not_checked_is_refused(fast_backend):
    """Numba checks no bounds of `flat`: what is beyond would be read."""
    table = np.arange(10.0)

    def inner(z):
        return table.flat[int(z) * 10**7]

    def outer(z):
        return inner(z) if z > 1e9 else 2 * z

    bent = fastmlp.Activation(outer, lambda z: 2.0)
    network = fastmlp.NeuralNetwork([1, 1], output_activation=bent, backend=fast_backend.name)
    message = r"^activations and losses must be functions whose indices can be checked, got outer with flat or "
    with pytest.raises(TypeError, match=message):
        network.predict([[1.0]])
