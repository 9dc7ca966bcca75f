"""NeuralNetwork as a whole: what it is made of, what it says of itself, and what it computes from given numbers."""

import inspect
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import oracle
import pytest
from cases import PAIRINGS, network_of, targets_of

import fastmlp
from fastmlp import NeuralNetwork
from fastmlp.kernels.backends.choice import BACKENDS

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
SHAPES = [(1, 1), (3, 2), (2, 5, 1), (23, 57, 41, 3), (4, 1, 1, 6), (5, 7, 3, 9, 2, 8, 4, 6, 3, 2)]


def data(network, samples, seed=3):
    """Samples, and targets that the loss takes, in rows."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(samples, network.layer_sizes[0])).astype(network.dtype)
    y = targets_of(network._model.loss, generator, samples, network.layer_sizes[-1])
    return X, oracle.one_hot(y, network.layer_sizes[-1]) if y.ndim == 1 else y


def formulas(network):
    """The arguments that functions of the oracle begin with."""
    return network.layer_sizes, network._model.activations


# --- what it is made of


def test_signatures():
    signature = inspect.signature(NeuralNetwork).replace(return_annotation=inspect.Signature.empty)
    assert str(signature).replace("fastmlp.kernels.functions.function.", "") == (
        "(layer_sizes: collections.abc.Sequence[int], "
        "activation: str | Function | collections.abc.Sequence[str | Function] = 'relu', "
        "output_activation: str | Function | None = None, loss: str | Function = 'mean_squared_error', *, "
        "normalization: str | Function | collections.abc.Sequence[str | Function | None] | None = None, "
        "dtype: Any = 'float32', "
        "initializer: str | collections.abc.Sequence[str] | None = None, seed: int | None = None, "
        "backend: str | None = None, "
        "threads: int | None = None)"
    )
    parameters = inspect.signature(NeuralNetwork.train).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    assert defaults == {
        "learning_rate": None, "batch_size": None, "optimizer": "sgd", "l1": 0.0, "l2": 0.0, "weight_decay": 0.0,
        "clip_value": None, "clip_norm": None, "max_norm": None, "ema_decay": None, "rate_factors": None,
        "dropout": 0.0, "input_dropout": 0.0, "input_noise": 0.0,
        "shuffle": True, "seed": None, "verbose": False, "validation_data": None, "validation_fraction": None,
        "metrics": None, "monitor": None, "patience": None, "min_delta": 0.0, "restore_best": False,
        "target_loss": None, "time_limit": None, "callbacks": None, "resume": False, "gradient_norms": False,
        "sample_weight": None, "class_weight": None,
    }  # fmt: skip
    positional = ["self", "X", "y", "epochs", "learning_rate", "batch_size"]
    assert [name for name, p in parameters.items() if p.kind != p.KEYWORD_ONLY] == positional


@pytest.mark.parametrize(
    "name", [name for name, _ in inspect.getmembers(NeuralNetwork, inspect.isfunction) if not name.startswith("_")]
)
def test_methods_are_called_those_of_the_class(name):
    """Python says so where arguments are missing; pickle finds them by it."""
    network = NeuralNetwork([1, 1])
    called = "predict" if name == "forward" else name
    with pytest.raises(TypeError, match=rf"^NeuralNetwork\.{called}\(\) "):
        getattr(network, name)(*range(50))
    assert pickle.loads(pickle.dumps(getattr(NeuralNetwork, name))) is getattr(NeuralNetwork, name)


def test_what_a_plain_network_is():
    network = NeuralNetwork([3, 4, 5, 2])
    assert network.layer_sizes == (3, 4, 5, 2)
    assert network.activations == ("relu", "relu", "identity")
    assert network.loss == "mean_squared_error"
    assert network.dtype == "float32"
    assert network.backend in BACKENDS
    assert network.parameters.dtype == np.float32
    assert network.parameters.shape == (3 * 4 + 4 + 4 * 5 + 5 + 5 * 2 + 2,)
    assert len(network.layers) == 3
    for layer in network.layers:
        assert not layer.biases.any()
        assert np.unique(layer.weights).size == layer.weights.size


@pytest.mark.parametrize(
    ("loss", "output"),
    [("mean_squared_error", "identity"), ("binary_cross_entropy", "sigmoid"), ("categorical_cross_entropy", "softmax")],
)
def test_the_output_activation_follows_the_loss(loss, output):
    assert NeuralNetwork([2, 3], loss=loss).activations == (output,)
    assert NeuralNetwork([2, 3], "relu", output, loss).activations == (output,)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "relu", "tanh", "softmax"])
def test_mean_squared_error_takes_any_output_activation(output):
    assert NeuralNetwork([2, 3], "tanh", output).activations == (output,)


def test_an_activation_for_each_hidden_layer():
    assert NeuralNetwork([2, 3, 4, 5], ["relu", "tanh"]).activations == ("relu", "tanh", "identity")
    assert NeuralNetwork([2, 3, 4, 5], ("identity", "sigmoid")).activations == ("identity", "sigmoid", "identity")
    assert NeuralNetwork([2, 3], []).activations == ("identity",)
    assert NeuralNetwork([2, 3], "tanh").activations == ("identity",)


@pytest.mark.parametrize(
    "sizes", [(2, 3, 1), [2, 3, 1], np.array([2, 3, 1]), np.array([2, 3, 1], np.uint8), range(1, 4)]
)
def test_layer_sizes_may_be_any_sequence_of_integers(sizes):
    network = NeuralNetwork(sizes)
    assert network.layer_sizes == tuple(map(int, sizes))
    assert all(type(size) is int for size in network.layer_sizes)


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype(">f8"), float, "double", "f8"])
def test_spellings_of_a_dtype(dtype):
    assert NeuralNetwork([2, 1], dtype=dtype).dtype == "float64"


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (
            NeuralNetwork([2, 3, 1]),
            "NeuralNetwork([2, 3, 1], activation='relu', output_activation='identity', "
            "loss='mean_squared_error', dtype='float32')",
        ),
        (
            NeuralNetwork([2, 3, 4, 5], ["relu", "tanh"], loss="categorical_cross_entropy", dtype="float64"),
            "NeuralNetwork([2, 3, 4, 5], activation=['relu', 'tanh'], output_activation='softmax', "
            "loss='categorical_cross_entropy', dtype='float64')",
        ),
        (
            NeuralNetwork([2, 1], loss="binary_cross_entropy"),
            "NeuralNetwork([2, 1], output_activation='sigmoid', loss='binary_cross_entropy', dtype='float32')",
        ),
    ],
)
def test_repr(network, text):
    assert repr(network) == text
    again = eval(text, {"NeuralNetwork": NeuralNetwork})
    assert repr(again) == text


def test_what_it_is_cannot_be_assigned():
    network = NeuralNetwork([2, 1])
    for name in ("layer_sizes", "activations", "loss", "dtype", "backend", "layers"):
        with pytest.raises(AttributeError):
            setattr(network, name, getattr(network, name))


# --- where it begins


def test_initial_weights_have_the_spread_that_initializers_promise():
    he, glorot = np.sqrt(2 / 300), np.sqrt(6 / (300 + 100))
    for options, is_he in [
        ({"activation": "relu"}, True),
        ({"activation": "tanh"}, False),
        ({"activation": "relu", "initializer": "glorot_uniform"}, False),
        ({"activation": "tanh", "initializer": "he_normal"}, True),
    ]:
        weights = NeuralNetwork([300, 100, 1], seed=0, dtype="float64", **options).layers[0].weights
        assert abs(weights.mean()) < 0.003
        if is_he:
            assert abs(weights.std() / he - 1) < 0.02
            assert abs(weights).max() > 3 * he
        else:
            assert abs(weights.std() / (glorot / np.sqrt(3)) - 1) < 0.02
            assert 0.999 * glorot < abs(weights).max() <= glorot


def test_seeds():
    def parameters(seed, **options):
        return NeuralNetwork([5, 4, 3], seed=seed, **options).parameters

    np.testing.assert_array_equal(parameters(7), parameters(7))
    np.testing.assert_array_equal(parameters(np.uint8(7)), parameters(7))
    assert (parameters(7)[:20] != parameters(8)[:20]).all()
    assert (parameters(None)[:20] != parameters(None)[:20]).all()
    np.testing.assert_array_equal(parameters(7, dtype="float64").astype(np.float32), parameters(7))
    assert np.isfinite(parameters(10**40)).all()


def test_networks_leave_the_global_generator_alone():
    np.random.seed(5)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    NeuralNetwork([2, 3, 1]).train([[1, 2]], [1], epochs=2)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# --- its parameters


def test_parameters_are_the_layers_one_after_the_other(dtype):
    network = network_of([3, 4, 2], dtype=dtype)
    (W0, b0), (W1, b1) = [(layer.weights, layer.biases) for layer in network.layers]
    assert (W0.shape, b0.shape, W1.shape, b1.shape) == ((3, 4), (4,), (4, 2), (2,))
    np.testing.assert_array_equal(network.parameters, np.concatenate([W0.ravel(), b0, W1.ravel(), b1]))
    for own, seen in zip(network.parameters.layers, network.layers, strict=True):
        np.testing.assert_array_equal(own.weights, seen.weights)
        np.testing.assert_array_equal(own.biases, seen.biases)


def test_parameters_can_be_set(dtype):
    network = NeuralNetwork([3, 4, 2], dtype=dtype)
    X = np.ones((2, 3))
    network.predict(X)  # what is made from the old parameters must not be used again
    values = np.arange(26) / 10
    network.parameters = values
    np.testing.assert_array_equal(network.parameters, values.astype(dtype))
    expected = oracle.predict(*formulas(network), values, X)
    np.testing.assert_allclose(network.predict(X), expected, rtol=TOLERANCE[dtype])
    values[:] = np.nan
    assert np.isfinite(network.parameters).all()


def test_parameters_are_snapshots_that_cannot_be_written():
    network = network_of([3, 4, 2])
    held, copy = network.parameters, network.parameters.tolist()
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        held.layers[0].weights[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        network.parameters += 1
    network.train(*data(network, 10), epochs=1)
    assert held.tolist() == copy
    assert network.parameters.tolist() != copy
    network.parameters = held
    assert network.parameters.tolist() == copy


# --- what it computes


@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_formulas(hidden, output, loss, dtype):
    network = network_of([7, 11, 5, 6], hidden, output, loss, dtype=dtype)
    X, y = data(network, 40)
    a = oracle.predict(*formulas(network), network.parameters, X)
    value, gradient = oracle.loss_and_gradient(*formulas(network), loss, network.parameters, X, y)
    np.testing.assert_allclose(network.predict(X), a, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(network.evaluate(X, y), value, rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(network.gradient(X, y), gradient, atol=TOLERANCE[dtype] * abs(gradient).max())


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("samples", [1, 2, 255, 257, 600])
def test_shapes(sizes, samples, dtype):
    network = network_of(sizes, dtype=dtype)
    X, y = data(network, samples)
    a = oracle.predict(*formulas(network), network.parameters, X)
    output = network.predict(X)
    assert (output.shape, output.dtype) == ((samples, sizes[-1]), dtype)
    np.testing.assert_allclose(output, a, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    value, gradient = oracle.loss_and_gradient(*formulas(network), network.loss, network.parameters, X, y)
    np.testing.assert_allclose(network.evaluate(X, y), value, rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(network.gradient(X, y), gradient, atol=TOLERANCE[dtype] * abs(gradient).max())


def test_more_than_a_hundred_layers():
    network = NeuralNetwork([2] * 150 + [1], "tanh", dtype="float64", seed=0)
    expected = oracle.predict(*formulas(network), network.parameters, [[1, 2]])
    np.testing.assert_allclose(network.predict([[1, 2]]), expected, rtol=1e-12)


def test_one_sample_may_be_a_vector():
    network = network_of([3, 4, 2])
    X, _ = data(network, 5)
    assert network.predict(X[0]).shape == (2,)
    np.testing.assert_array_equal(network.predict(X[0]), network.predict(X[:1])[0])
    one_feature = network_of([1, 2])
    assert one_feature.predict([3]).shape == (2,)
    assert one_feature.predict([[3]]).shape == (1, 2)


def test_forward_is_predict():
    assert NeuralNetwork.forward is NeuralNetwork.predict


def test_what_predict_returns_is_the_users():
    network = network_of([3, 2])
    first = network.predict(np.ones((4, 3)))
    copy = first.copy()
    network.predict(np.zeros((4, 3)))
    np.testing.assert_array_equal(first, copy)
    first[...] = 0


def test_targets_in_their_several_forms():
    classes = network_of([3, 4], loss="categorical_cross_entropy", dtype="float64")
    X, y = data(classes, 9)
    labels = y.argmax(axis=1)
    for form in (labels, labels.astype(np.uint8), labels.tolist(), y.astype(bool), y.astype(int)):
        assert classes.evaluate(X, form) == classes.evaluate(X, y)
        np.testing.assert_array_equal(classes.gradient(X, form), classes.gradient(X, y))
    one = network_of([3, 1], loss="binary_cross_entropy")
    for form in (labels == 1, (labels == 1).tolist(), (labels == 1).astype(float)):
        assert one.evaluate(X, form) == one.evaluate(X, (labels == 1)[:, np.newaxis])
    soft = np.tile([0.25, 0.25, 0.25, 0.25001], (9, 1))
    value, _ = oracle.loss_and_gradient(*formulas(classes), classes.loss, classes.parameters, X, soft)
    np.testing.assert_allclose(classes.evaluate(X, soft), value, rtol=1e-12)


def test_losses_of_outputs_that_are_sure_are_finite(dtype):
    for loss, y in [("binary_cross_entropy", [[0, 1]]), ("categorical_cross_entropy", [1])]:
        network = NeuralNetwork([1, 2], loss=loss, dtype=dtype)
        network.parameters = [1000, -1000, 0, 0]
        expected = (
            1000 if loss == "binary_cross_entropy" else 2000
        )  # the weighted sums, resp. their difference, to the wrong side
        assert network.evaluate([[1]], y) == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(network.gradient([[1]], y)).all()


def test_a_gradient_knows_its_layers():
    network = network_of([3, 4, 2])
    gradient = network.gradient(*data(network, 5))
    assert isinstance(gradient, fastmlp.ParameterVector)
    assert [(l.weights.shape, l.biases.shape) for l in gradient.layers] == [((3, 4), (4,)), ((4, 2), (2,))]
    np.testing.assert_array_equal(gradient, oracle.join(gradient.layers))
    gradient.layers[1].biases[...] = 7  # views
    assert gradient[-2:].tolist() == [7, 7]


@pytest.mark.parametrize("samples", [1, 50, 300])
@pytest.mark.parametrize(("hidden", "output", "loss"), PAIRINGS)
def test_backward_is_the_derivative_of_any_objective(hidden, output, loss, samples):
    network = network_of([4, 6, 6], hidden, output, loss, dtype="float64")
    X, _ = data(network, samples)
    wanted = np.random.default_rng(5).normal(size=(samples, 6))  # the objective: sum(wanted * outputs)
    parameters, inputs = network.backward(X, wanted)
    expected, expected_inputs = oracle.backpropagate(*formulas(network), network.parameters, X, wanted)
    np.testing.assert_allclose(parameters, expected, atol=1e-12 * abs(expected).max())
    np.testing.assert_allclose(inputs, expected_inputs, atol=1e-12 * abs(expected_inputs).max())


def slope(objective, at, direction, step=1e-5):
    """The derivative of a function of a vector along a direction, by central differences."""
    return (objective(at + step * direction) - objective(at - step * direction)) / (2 * step)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "tanh", "softmax"])
def test_backward_by_differences(output):
    network = network_of([23, 57, 41, 3], "tanh", output, dtype="float64")
    generator = np.random.default_rng(6)
    X, wanted = generator.normal(size=(50, 23)), generator.normal(size=(50, 3))
    start, (parameters, inputs) = network.parameters, network.backward(X, wanted)

    def by_parameters(vector):
        network.parameters = vector
        return np.sum(wanted * network.predict(X))

    directions = [generator.choice([-1.0, 1.0], len(start)) for _ in range(5)]
    slopes = [slope(by_parameters, np.asarray(start), d) for d in directions]
    np.testing.assert_allclose([parameters @ d for d in directions], slopes, rtol=1e-6)
    with pytest.raises(AssertionError):  # the check would see a gradient that is wrong by 0.1%
        np.testing.assert_allclose([1.001 * parameters @ d for d in directions], slopes, rtol=1e-6)

    network.parameters = start
    directions = [generator.choice([-1.0, 1.0], X.shape) for _ in range(5)]
    slopes = [slope(lambda x: np.sum(wanted * network.predict(x)), X, d) for d in directions]
    np.testing.assert_allclose([np.sum(inputs * d) for d in directions], slopes, rtol=1e-6)


def test_backward_from_the_loss_is_the_gradient():
    network = network_of([4, 6, 3], dtype="float64")
    X, y = data(network, 20)
    from_loss = network.backward(X, 2 * (network.predict(X) - y) / y.size)
    np.testing.assert_allclose(from_loss.parameters, network.gradient(X, y), rtol=1e-12)
    assert from_loss.inputs.shape == X.shape
    assert from_loss.parameters.layers[0].weights.shape == (4, 6)


# --- numbers worked by hand


def test_integers_by_hand(backend, dtype):
    network = NeuralNetwork([2, 2, 1], dtype=dtype, backend=backend.name)
    network.parameters = [1, -1, 2, 1, 0, 1, 3, 2, -1]  # W0 = 1 -1 | 2 1, b0 = 0 1, W1 = 3 | 2, b1 = -1
    X, y = [[1, 1], [-2, 1]], [10, 4]
    # z0 = (3, 1), (0, 4); relu keeps them; outputs 3*3 + 2*1 - 1 = 10 and 3*0 + 2*4 - 1 = 7
    assert network.predict(X).tolist() == [[10], [7]]
    assert network.evaluate(X, y) == 4.5  # (0^2 + 3^2) / 2
    # delta = (0, 2*3/2) = (0, 3); in the hidden layer 0 for the first sample, and (0: the kink, 3*2) for the second
    assert network.gradient(X, y).tolist() == [0, -12, 0, 6, 0, 6, 0, 12, 3]
    history = network.train(X, y, epochs=1, learning_rate=0.5, batch_size=2)
    assert history.loss == [4.5]
    assert network.parameters.tolist() == [1, 5, 2, -2, 0, -2, 3, -4, -2.5]


def test_a_sigmoid_step_by_hand(backend):
    network = NeuralNetwork([2, 2, 1], "sigmoid", "sigmoid", dtype="float64", backend=backend.name)
    network.parameters = [0.1, -0.2, 0.4, 0.3, 0, 0.1, 0.5, -0.6, 0.2]
    X, y = [[1, 2]], [1]
    # z = 0.1 + 2*0.4 = 0.9 and -0.2 + 2*0.3 + 0.1 = 0.5; a = 0.710949502625004, 0.622459331201855
    # z = 0.5*0.7109... - 0.6*0.6224... + 0.2 = 0.181999152591389
    assert network.predict(X).item() == pytest.approx(0.54537460935754, rel=1e-14)
    assert network.evaluate(X, y) == pytest.approx(0.20668424581681, rel=1e-13)  # (0.5453... - 1)^2
    d = -0.225440679645401  # 2 (a - 1) a (1 - a)
    d1, d2 = -0.0231640644772893, 0.0317876379587518  # 0.5 d 0.7109 (1 - 0.7109), -0.6 d 0.6224 (1 - 0.6224)
    gradient = [d1, d2, 2 * d1, 2 * d2, d1, d2, -0.16027693906534, -0.140327654677768, d]
    assert network.gradient(X, y).tolist() == pytest.approx(gradient, rel=1e-12)
    network.train(X, y, epochs=1, learning_rate=0.5)
    stepped = [0.111582032238645, -0.215893818979376, 0.423164064477289, 0.268212362041248, 0.0115820322386446]
    stepped += [0.0841061810206241, 0.58013846953267, -0.529836172661116, 0.3127203398227]
    assert network.parameters.tolist() == pytest.approx(stepped, rel=1e-12)


# --- threads


def test_predictions_in_threads_are_those_of_one():
    network = network_of([9, 33, 17, 3])
    tables = [data(network, samples, seed=samples)[0] for samples in (1, 2, 100, 300, 700, 1000)] * 10
    alone = [network.predict(X) for X in tables]
    with ThreadPoolExecutor(6) as pool:
        for expected, output in zip(alone, pool.map(network.predict, tables), strict=True):
            np.testing.assert_array_equal(output, expected)


def test_trainings_in_threads_are_those_of_one():
    def trained(seed):
        network = NeuralNetwork([4, 16, 2], seed=seed)
        network.train(*data(network, 100, seed=seed), epochs=100, optimizer="adam")
        return network.parameters

    alone = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for expected, parameters in zip(alone, pool.map(trained, range(4)), strict=True):
            np.testing.assert_array_equal(parameters, expected)


def test_other_threads_go_on_during_a_kernel(fast_backend):
    network = NeuralNetwork([64, 256, 256, 1], backend=fast_backend.name)
    X, executor = np.ones((20000, 64), np.float32), network._executor
    executor.predict(X[:1])
    count, ready, done = [0], threading.Event(), threading.Event()

    def go_on():
        while not done.is_set():
            count[0] += 1
            ready.set()
            done.wait(0.0001)  # gives the interpreter away

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=go_on)
    thread.start()
    ready.wait()
    try:
        sys.setswitchinterval(1000)  # this thread keeps the interpreter, except where it lets go of it
        before = count[0]
        executor.predict(X)
        after = count[0]
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert after > before
