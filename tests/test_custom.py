"""Functions of users: the same numbers as rows of the tables that say the same, on every backend; checks; files."""

import copy
import math
import pickle
import subprocess
import sys

import custom_functions as user
import numpy as np
import pytest
from cases import case
from test_parity import assert_close

import fastmlp
from fastmlp.kernels.compiler.custom import POINTS
from fastmlp.kernels.compiler.interface import KERNELS
from fastmlp.kernels.functions.optimizers import SGD
from fastmlp.kernels.runtime.training import Schedule

SWISH = fastmlp.Activation(user.swish, user.swish_derivative)
LEAKY = fastmlp.Activation(user.leaky, user.leaky_derivative, name="my_leaky")
SQUARED = fastmlp.Loss(user.squared, user.squared_derivative)
DISTANCE = fastmlp.Loss(user.distance, user.distance_derivative)

PAIRS = [  # a network, and one of users' functions that is the same
    (((("silu", "leaky_relu"), "identity", "mean_squared_error")), ((SWISH, LEAKY), "identity", SQUARED)),
    ((("tanh", "silu"), "leaky_relu", "mean_absolute_error"), (("tanh", SWISH), LEAKY, DISTANCE)),
]


def alike(network, functions):
    """The same network, by other functions."""
    (first, second), output, loss = functions
    other = copy.deepcopy(network)
    model = network.model
    other.model = type(model)(model.sizes, (first, second, output), loss, model.dtype)
    return other


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_users_functions_do_what_the_tables_do(backend, dtype, ours, theirs):
    network = case((5, 19, 33, 3), ours[0], ours[1], ours[2], dtype, samples=21).far_from_kinks(1e-5)
    other = alike(network, theirs)
    executors = [n.executor(backend) for n in (network, other)]
    results = []
    for executor in executors:
        output_gradient = np.random.default_rng(1).normal(size=(len(network.X), 3))
        results.append([executor.predict(network.X), executor.evaluate(network.X, network.y)])
        results[-1] += [*executor.gradient(network.X, network.y), *executor.backward(network.X, output_gradient)]
        training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(0.01), 8, 2, 3))
        assert training.run(0, 6) == 6
        training.collect()
        results[-1] += [executor.parameters, training.losses]
    for expected, actual in zip(*results, strict=True):
        assert_close(actual, expected, dtype)


def test_batches_of_one_sample(backend, dtype):
    network = case((5, 19, 33, 3), ("silu", "leaky_relu"), "identity", "mean_squared_error", dtype, samples=6)
    trained = []
    for each in (network, alike(network, PAIRS[0][1])):
        executor = each.executor(backend)
        executor.training(each.X, each.y, each.state(SGD()), schedule := Schedule(SGD(0.01), 1, 2)).run(0, 12)
        training = executor.training(each.X, each.y, each.state(SGD()), schedule)
        training.run(0, 12)
        training.collect()
        trained.append(executor.parameters)
    assert_close(trained[1], trained[0], dtype)


def test_nan_shows(backend, dtype):
    network = alike(case((5, 19, 33, 3), ("silu", "tanh"), "tanh", "mean_squared_error", dtype, 9), PAIRS[0][1])
    executor = network.executor(backend)
    spoiled = network.X.copy()
    spoiled[4, 2] = np.nan
    output = executor.predict(spoiled)
    assert np.isnan(output[4]).all()
    assert np.isfinite(np.delete(output, 4, axis=0)).all()
    assert np.isnan(executor.evaluate(spoiled, network.y))


def test_threads_give_the_same_bits(fast_backend):
    network = alike(case((5, 19, 33, 3), ("silu", "tanh"), "tanh", "mean_squared_error", "float64", 64), PAIRS[0][1])
    trained = []
    for threads in (None, 2):
        executor = network.executor(fast_backend)
        training = executor.training(network.X, network.y, network.state(SGD()), Schedule(SGD(0.01), 16, 2))
        assert training.run(0, 8, threads) == 8
        training.collect()
        trained.append(executor.parameters.tobytes())
    assert trained[0] == trained[1]


# --- checks


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: fastmlp.Activation(user.leaky, lambda z: 1.0 if z > 0 else 0.02),
            "derivative must be that of forward, got 0.02 at z = -29.3, where differences give 0.01",
        ),
        (
            lambda: fastmlp.Loss(user.squared, lambda output, target: output - target),
            "derivative must be that of value, got -5.6 at output = -9.1, target = -3.5, where differences give -11.2",
        ),
        (
            lambda: fastmlp.Activation(user.leaky, user.leaky_derivative, "relu"),
            "name must be an identifier that is none of fastmlp's own names, got 'relu'",
        ),
        (
            lambda: fastmlp.Loss(user.squared, user.squared_derivative, "two words"),
            "name must be an identifier that is none of fastmlp's own names, got 'two words'",
        ),
    ],
)
def test_what_is_refused(make, sentence):
    with pytest.raises(ValueError, match="must be") as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("functions", [(np.tanh, user.leaky), (user.leaky, 3), (lambda: 1, user.leaky)])
def test_what_is_no_function_of_a_number(functions):
    with pytest.raises(TypeError, match="must be"):
        fastmlp.Activation(*functions)
    with pytest.raises(TypeError, match=r"forward and derivative must be functions of z that return a number"):
        fastmlp.Activation(lambda z: None, lambda z: None)


def test_a_derivative_that_is_wrong_in_one_tail_is_refused():
    for wrong in (lambda z: 1.001 * math.exp(z), lambda z: math.exp(z) if z < 25 else 0.0, lambda z: math.nan):
        with pytest.raises(ValueError, match="derivative must be that of forward"):
            fastmlp.Activation(math_exp, wrong)
    fastmlp.Activation(math_exp, math_exp)


def math_exp(z):
    return math.exp(z)


def test_steep_functions_kinks_and_domains_are_allowed():
    fastmlp.Activation(lambda z: math.sin(1000 * z), lambda z: 1000 * math.cos(1000 * z))
    fastmlp.Activation(lambda z: 1e6 + z, lambda z: 1.0)
    fastmlp.Activation(lambda z: max(-1.0, min(z, 1.0)), lambda z: 1.0 if -1 < z < 1 else 0.0)
    fastmlp.Activation(lambda z: abs(z - POINTS[9]), lambda z: 1.0 if z > POINTS[9] else -1.0)
    fastmlp.Loss(user.rate, user.rate_derivative)
    assert fastmlp.Activation(lambda z: z, lambda z: 1).name == "custom"


@pytest.mark.parametrize(
    ("functions", "error", "sentence"),
    [
        ((lambda z: math.log(-1 - z * z), lambda z: 42.0), ValueError, "forward must be finite and smooth at some of"),
        ((lambda z: math.sin(1e7 * z), lambda z: 7.0), ValueError, "forward must be finite and smooth at some of"),
        ((lambda z: math.sin(1000 * z), lambda z: 7.0), ValueError, "derivative must be that of forward, got 7 at"),
        ((lambda z: "a", lambda z: 1.0), TypeError, "forward and derivative must be functions of z that return a num"),
        ((lambda z: z, lambda z: "1"), TypeError, "forward and derivative must be functions of z that return a num"),
    ],
)
def test_a_derivative_must_be_compared_somewhere(functions, error, sentence):
    with pytest.raises(error, match=f"^{sentence}"):
        fastmlp.Activation(*functions)


def test_where_python_raises_there_is_infinity_or_nan(backend):
    exponential = fastmlp.Activation(math_exp, math_exp)
    network = fastmlp.NeuralNetwork([1, 1], output_activation=exponential, backend=backend.name, dtype="float64")
    network.parameters = [1, 0]
    assert network.predict([[1000.0], [0.0]]).tolist() == [[math.inf], [1.0]]


WEIGHTS = [1.0, 2.0]


def clipped(z):
    return np.clip(z, -1, 1)


def misspelled(z):
    scale = 2.0
    return scale * (z.shape if z > 1000 else z)


def caught(z):
    try:
        return math.log(2 + math.sin(z))
    except ValueError:
        return 0.0


def of_a_list(z):
    return WEIGHTS[0] * z + 0.0 * math.sin(z)


def importing(z):
    import cmath

    return cmath.sin(z).real


def in_words(z):
    return float(str(z))


def of_two_kinds(z):
    if z > 1000:
        return "large"
    return math.sin(z)


def of_a_generator(z):
    return sum(z * k for k in range(int(z) * 0 + 3))


def of_nobody(z):
    return unknown(z) if z > 1000 else math.sin(z)  # noqa: F821


def opening(z):
    if z > 1000:
        with open("numbers") as file:
            return float(file.read())
    return z


@pytest.mark.parametrize(
    ("function", "line", "said"),
    [
        (clipped, 1, "Numba has no implementation of clip(float64, Literal[int](-1), Literal[int](1)): "),
        (misspelled, 2, "Unknown attribute 'shape' of type float64"),
        (caught, 1, "Exception matching is limited to <class 'Exception'>"),
        (of_a_list, 1, "The use of a reflected list(float64)"),
        (importing, 1, "Use of unsupported opcode (IMPORT_NAME) found"),
        (in_words, 0, "could not convert string to float"),
        (of_two_kinds, 0, "Can't unify return type from the following types"),
        (of_a_generator, 1, "The use of yield in a closure is unsupported."),
        (of_nobody, 0, "NameError: name 'unknown' is not defined"),
        (opening, 0, "The 'with (context manager) as (variable):' construct is not supported"),
    ],
)  # fmt: skip
def test_what_numba_says_about_a_function_comes_with_its_line_and_its_cause(fast_backend, function, line, said):
    activation = fastmlp.Activation(plain_sine, math_cosine)
    object.__setattr__(activation, "forward", function)  # whatever is said of it when it is made
    network = fastmlp.NeuralNetwork([1, 1], output_activation=activation, backend=fast_backend.name)
    with pytest.raises(TypeError) as caught:
        network.predict([[1.0]])
    message, code = str(caught.value), function.__code__
    begin = f"activations and losses must be functions that Numba compiles, got {function.__name__} ({code.co_filename}"
    assert message.startswith(begin)
    where, found = message.removeprefix(begin).split("): ", 1)
    assert said in found
    assert "\n" not in message
    assert len(found) < 400
    assert "mode pipeline" not in found
    assert caught.value.__cause__ is not None
    lines = range(code.co_firstlineno, code.co_firstlineno + 6)
    assert int(where.removeprefix(", line ")) in (lines[line:] if line else lines)


def plain_sine(z):
    return math.sin(z)


def math_cosine(z):
    return math.cos(z)


@pytest.mark.parametrize(
    ("forward", "kind"),
    [(lambda z: None if z > 1000 else math.sin(z), "OptionalType"), (lambda z: np.exp(np.array([z])), "array(float64")],
)
def test_what_returns_no_number_is_refused(fast_backend, forward, kind):
    activation = fastmlp.Activation(plain_sine, math_cosine)
    object.__setattr__(activation, "forward", forward)
    network = fastmlp.NeuralNetwork([1, 1], output_activation=activation, backend=fast_backend.name)
    with pytest.raises(TypeError, match=r"^<lambda> must return a number, got Numba's type ") as caught:
        network.predict([[1.0]])
    assert kind in str(caught.value)


# --- what names mean


FACTOR = 2.0


def scaled(z):
    return FACTOR * z


def scale(z):
    return FACTOR


def through_scaled(z):
    return scaled(z) + 0.0 * math.exp(-z * z)


def through_scale(z):
    return scale(z) - 2 * z * 0.0 * math.exp(-z * z)


def closures():
    rate = 2.0

    def set_rate(value):
        nonlocal rate
        rate = value

    return (lambda z: rate * z), (lambda z: rate), set_rate


def of_an_array(values):
    return (lambda z: values[0] * z), (lambda z: values[0]), lambda value: values.__setitem__(0, value)


def predicted(network):
    """Of sums z = 1, and the gradient with respect to the weight, of what is (c z)^2: 2 c^2."""
    network.parameters = [1, 0]
    return network.predict([[1.0]]).item(), network.gradient([[1.0]], [[0.0]])[0].item()


def of_names(forward, derivative):
    return forward, derivative, lambda value: globals().__setitem__("FACTOR", value)


@pytest.mark.parametrize(
    "functions",
    [of_names(scaled, scale), of_names(through_scaled, through_scale), closures(), of_an_array(np.array([2.0]))],
    ids=["globals", "globals of others", "closures", "arrays"],
)
def test_names_keep_the_values_of_the_creation(backend, functions):
    forward, derivative, change = functions

    def made():
        own = fastmlp.Activation(forward, derivative)
        return fastmlp.NeuralNetwork([1, 1], output_activation=own, dtype="float64", backend=backend.name), own

    network, before = made()
    network.parameters = [1, 0]
    assert network.predict([[1.0]]).item() == 2
    try:
        change(7.0)
        assert predicted(network) == (2, 8)
        assert predicted(copy.deepcopy(network)) == (2, 8)
        later, other = made()
        assert predicted(later) == (7, 98)
        assert other != before
    finally:
        change(2.0)
    assert made()[1] == before


def test_values_of_other_kinds_are_others():
    def made(value):
        return fastmlp.Activation(lambda z: z, lambda z: 1.0 if value is not None else 0.0, name="same")

    values = [0.0, -0.0, 0, False, np.float32(0), "0", (0,), [0], [0.0], np.zeros(1), np.zeros(1, int)]
    made_of_each = [made(value) for value in values]
    assert len(set(made_of_each)) == len(values)
    assert made(-0.0) == made_of_each[1]


def test_files_of_pickle_refer_to_functions(monkeypatch):
    before = fastmlp.Activation(scaled, scale)
    written = pickle.dumps(before)
    assert pickle.loads(written) == before
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert copy.copy(before) == before
    again = pickle.loads(written)
    assert again != before
    assert [again.forward(1), before.forward(1)] == [3, 2]


def test_functions_that_numba_knows(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setitem(globals(), "scaled", numba.njit(scaled))
    own = fastmlp.Activation(numba.njit(through_scaled), numba.njit(through_scale))
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    network = fastmlp.NeuralNetwork([1, 1], output_activation=own, dtype="float64", backend="reference")
    assert predicted(network) == (2, 8)


def test_functions_may_call_others_in_closures(backend):
    def square(z):
        return z * z

    def tanh(z):  # of the name of what it calls
        return math.tanh(z + z)

    def slope(z):
        return 4.0 * (1.0 - square(tanh(z)))

    own = fastmlp.Activation(lambda z: 2.0 * tanh(z), slope, "steep")
    network = fastmlp.NeuralNetwork([1, 1], output_activation=own, dtype="float64", backend=backend.name)
    network.parameters = [0.5, 0]
    assert network.predict([[1.0]]).item() == pytest.approx(2 * math.tanh(1))
    assert network.gradient([[1.0]], [[0.0]])[0].item() == pytest.approx(4 * math.tanh(1) * 4 * (1 - math.tanh(1) ** 2))
    assert fastmlp.Activation(own.forward, own.derivative, "steep") == own


def power(z, n):
    if n == 0:
        return 1.0
    return z * power(z, n - 1)


def down(z):
    return up(z - 1) if z > 0 else z


def up(z):
    return down(z - 1) if z > 0 else z


def test_functions_that_call_themselves_are_refused():
    """Where it does not end, a compiled one would overflow the stack, and the process would be gone."""
    numba = pytest.importorskip("numba")

    def inner(z):
        return inner(z + 1) if z > 100 else z

    @numba.njit
    def compiled(z):
        return compiled(z + 1) if z > 100 else z

    def nested(z):
        return sum([nested(z + k) for k in range(3)]) if z > 100 else z

    for function, name in (
        (lambda z: power(z, 3), "power"), (down, "down"), (lambda z: up(z), "up"), (inner, "inner"),
        (lambda z, f=inner: f(z), "inner"), (compiled, "compiled"), (lambda z: compiled(z), "compiled"),
        (nested, "nested"),
    ):  # fmt: skip
        sentence = f"must be a function without recursion, got {name}, which calls itself: a loop does the same"
        with pytest.raises(TypeError, match=f"^forward {sentence}$"):
            fastmlp.Activation(function, user.swish_derivative)
        with pytest.raises(TypeError, match=f"^derivative {sentence}$"):
            fastmlp.Activation(user.swish, function)
    with pytest.raises(TypeError, match=r"^value must be a function without recursion, got down, which calls itself"):
        fastmlp.Loss(lambda output, target: down(output), lambda output, target: 1.0)


# --- names, copies and files


def test_names_and_copies():
    network = fastmlp.NeuralNetwork([2, 3, 1], SWISH, loss=SQUARED, seed=1, backend="reference")
    assert (network.activations, network.loss) == (("swish", "identity"), "squared")
    assert "activation=Activation('swish'), output_activation='identity', loss=Loss('squared')" in repr(network)
    for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert other.predict([[1, 2]]).tobytes() == network.predict([[1, 2]]).tobytes()
        assert other._model == network._model
    assert pickle.loads(pickle.dumps(network.predictor()))([1, 2]) == network.predict([1, 2])
    nameless = fastmlp.NeuralNetwork([2, 1], output_activation=fastmlp.Activation(lambda z: z, lambda z: 1.0))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(nameless)


def test_files_hold_none(tmp_path):
    for options, argument in (({"activation": SWISH}, "activation"), ({"loss": SQUARED}, "loss")):
        network = fastmlp.NeuralNetwork([2, 3, 1], **options)
        with pytest.raises(
            TypeError, match=f"^{argument} must be a function of fastmlp's own to be saved to a file, got"
        ):
            network.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_numba_comes_with_the_first_compilation_and_tables_stay():
    program = (
        "import sys, fastmlp, custom_functions as user\n"
        "from fastmlp.kernels.compiler.interface import fingerprint; before = fingerprint()\n"
        "swish = fastmlp.Activation(user.swish, user.swish_derivative)\n"
        "network = fastmlp.NeuralNetwork([2, 3, 1], swish, backend='reference')\n"
        "network.predict([1, 2])\n"
        "print('numba' in sys.modules, fingerprint() == before)\n"
    )
    directory = __file__.rpartition("/")[0] or "."
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=directory)
    assert result.stdout == "False True\n"
    assert not [name for name in KERNELS if "user" in name]


def test_functions_may_call_others_of_their_module(backend):
    ours = fastmlp.Activation(user.through_another, user.through_another_derivative)
    network = fastmlp.NeuralNetwork([2, 3, 1], ours, dtype="float64", seed=0, backend=backend.name)
    X = np.random.default_rng(0).normal(size=(5, 2))
    (first, biases), (second, bias) = ((layer.weights, layer.biases) for layer in network.layers)
    expected = np.sinh(X @ first + biases) / 2 @ second + bias
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-12)
