"""Functions of users as formulas on vectors: which ones are, that they say the same, and which ones are not."""

import math
from math import exp

import custom_functions as user
import numpy as np
import pytest
from custom_functions import swish, swish_derivative

import fastmlp
from fastmlp.kernels.compiler import tracing
from fastmlp.kernels.compiler.custom import EXTREMES, POINTS
from fastmlp.kernels.compiler.specialize import clone
from fastmlp.kernels.compiler.tracing import formula, in_vectors

SCALE = np.float64(0.5)


def softplus(z):
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


def with_branches(z):
    if z < -2:
        return -1.0
    if not z <= 2 or z == 1:
        return 2 * z - 3
    return z**3 / 8


def in_a_loop(z):
    total = 0
    for k in range(1, 4):
        total += z**k / k
    return total


def with_a_closure(rate):
    return lambda z: exp(-rate * z * z)


FORMULAS = [
    user.swish, user.swish_derivative, user.leaky, user.leaky_derivative, user.through_another, softplus, with_branches,
    in_a_loop, with_a_closure(0.25),
    lambda z: 1.0,
    lambda z: z > 0,
    lambda z: (z > 0) * 2.0 - (z < -1),
    lambda z: 1 if -1 < z < 1 else 0,
    lambda z: 1 if z else 2,
    lambda z: z if z != 3 else 0,
    lambda z: max(-1.0, min(z, 1.0), -0.5),
    lambda z: np.maximum(-1.0, np.minimum(SCALE * z, 1)),
    lambda z: SCALE * z * np.tanh(z) if np.square(z) > 1 else np.negative(z),
    lambda z: math.erf(z / math.sqrt(2)) + math.erfc(z),
    lambda z: math.copysign(math.sqrt(math.fabs(z)), z),
    lambda z: 1 / (1 + z**2) + (+z) ** 0 + (2 + abs(z)) ** -3,
    lambda z: z / (1 + z * z) ** 0.5 + (1 + z * z) ** -1.5,
    lambda z: math.tanh(min(math.sinh(z), 1)) + 1 / math.cosh(z),
    lambda z: math.log(1 + z * z, 2) + math.log(3.0, 2 + abs(z)) - math.log(8, 2),
    lambda z: math.expm1(min(z, 2)) * math.pi if z < math.inf else math.nan,
]  # fmt: skip


@pytest.mark.parametrize("function", FORMULAS)
def test_formulas_say_what_functions_say(function, dtype):
    """To a few units, and exactly where that is infinite or NaN."""
    found = formula(function, 1)
    assert found is not None
    x = np.array([*POINTS, *EXTREMES, 3], dtype)
    with np.errstate(all="ignore"):
        got = clone(found, tracing._numbers(dtype))(x)
    for z, value in zip(x.tolist(), got, strict=True):
        try:
            with np.errstate(all="ignore"):
                expected = float(np.dtype(dtype).type(function(z)))
        except (ArithmeticError, ValueError):
            continue
        np.testing.assert_allclose(value, expected, rtol=32 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


def recursive(z):
    return z if z < 1 else recursive(z / 2)


def counting(z):
    while z > 1:
        z = z / 2
    return z


def of_fifty_cases(z):
    for k in range(50):
        if z < k:
            return k * z
    return z


@pytest.mark.parametrize(
    "function",
    [
        recursive, counting, of_fifty_cases, lambda z: math.sin(z), lambda z: float(z), lambda z: math.floor(z),
        lambda z: z**2.3, lambda z: 2.0**z, lambda z: z % 2, lambda z: None, lambda z: str(z), lambda z: {1.0: 2}[z],
        lambda z: np.sin(z), lambda z: [z][0] ** 40, lambda z: max([z, 1]) and int(z),
        lambda z: print(z) or z, lambda z: math.exp(z, 1), lambda z: math.copysign(z), lambda z: np.exp(z, where=True),
    ],
)  # fmt: skip
def test_what_is_no_formula(function):
    assert formula(function, 1) is None


def kernel(forward, derivative, kind="activation"):
    return fastmlp.Activation(forward, derivative, "custom").kernel(kind)


def test_formulas_must_hold_in_the_number_type():
    plain = kernel(lambda z: math.log(1 + math.exp(z)), lambda z: 1 / (1 + math.exp(-z)))
    assert in_vectors(plain, "float64") is not None
    assert in_vectors(plain, "float32") is None  # e^100 overflows
    assert in_vectors(kernel(softplus, lambda z: 1 / (1 + math.exp(-z))), "float32") is not None
    far = kernel(lambda z: (z + 1e6) - 1e6, lambda z: 1.0)
    assert in_vectors(far, "float32") is None  # and digits are lost


def test_formulas_must_not_overflow_far_away():
    steep = fastmlp.Loss(lambda a, y: (a - y) ** 12 * 1e-24, lambda a, y: 12 * (a - y) ** 11 * 1e-24).kernel("loss")
    assert in_vectors(steep, "float64") is not None
    assert in_vectors(steep, "float32") is None  # 1e4^12 is more than float32 holds, 1e24 is not
    flat = kernel(lambda z: 1 / (1 + z**8) ** 0.5, lambda z: -4 * z**7 / (1 + z**8) ** 1.5)
    assert in_vectors(flat, "float32") is not None  # which is 0 there


def test_functions_that_work_for_numbers_alone_may_train():
    """Whatever goes wrong with symbols, or with what was noted of them."""
    X = np.linspace(-1, 1, 12).reshape(4, 3)
    activation = fastmlp.Activation(lambda z: math.log(1 + z * z, 2), lambda z: 2 * z / (1 + z * z) / math.log(2))
    network = fastmlp.NeuralNetwork([3, 4, 1], activation, backend="interpreted", seed=0)
    assert np.isfinite(network.train(X, X[:, :1], 1).loss).all()


def test_a_formula_that_cannot_be_run_is_none(monkeypatch):
    swish = kernel(user.swish, user.swish_derivative)
    monkeypatch.setattr(tracing.MATH, "exp", tracing._stand_in(math.exp, "no_such_function"))
    assert formula(swish.foreign["element"], 1) is not None
    assert in_vectors.__wrapped__(swish, "float64") is None


def test_formulas_must_be_finite_in_the_padding():
    root = kernel(lambda z: math.sqrt(abs(z)), lambda z: math.copysign(0.5, z) / math.sqrt(abs(z)), "derivative")
    assert formula(root.foreign["element"], 1) is not None
    assert in_vectors(root, "float64") is None


def test_a_formula_that_says_something_else_is_not_used(monkeypatch):
    swish = kernel(user.swish, user.swish_derivative)
    assert in_vectors(swish, "float64") is not None
    monkeypatch.setitem(tracing.STAND_INS, math.exp, tracing._stand_in(math.exp, "expm1"))
    monkeypatch.setattr(tracing.MATH, "exp", tracing.STAND_INS[math.exp])
    assert in_vectors.__wrapped__(swish, "float64") is None  # what it was before is kept


def test_losses_are_formulas_too(dtype):
    for value, derivative in ((user.squared, user.squared_derivative), (user.distance, user.distance_derivative)):
        assert in_vectors(fastmlp.Loss(value, derivative).kernel("loss"), dtype) is not None
    assert (
        in_vectors(fastmlp.Loss(lambda a, y: a * math.sin(y), lambda a, y: math.sin(y)).kernel("loss"), dtype) is None
    )


@pytest.mark.parametrize(("sizes", "batch_size"), [([3, 21, 2], 8), ([3, 4, 2], 1)])  # rows of samples; vectors
def test_both_ways_train_alike(kernel_backend, dtype, sizes, batch_size):
    """What is no formula for its detour trains as the formula does."""

    def trained(detour):
        activation = fastmlp.Activation(lambda z: swish(detour(z)), lambda z: swish_derivative(detour(z)), "swish")
        kernels = [activation.kernel(kind) for kind in ("activation", "derivative")]
        assert all((in_vectors(k, dtype) is None) == (detour is float) for k in kernels)
        loss = fastmlp.Loss(lambda a, y: detour(a - y) ** 2, lambda a, y: 2 * detour(a - y))
        network = fastmlp.NeuralNetwork(sizes, activation, loss=loss, dtype=dtype, seed=1, backend=kernel_backend.name)
        X = np.random.default_rng(3).normal(size=(20, 3))
        history = network.train(X, X[:, :2] ** 2, 5, 0.05, batch_size)
        return [*network.parameters.tolist(), *history.loss]

    tolerance = 1e4 * np.finfo(dtype).eps
    np.testing.assert_allclose(trained(lambda x: x), trained(float), rtol=tolerance, atol=tolerance)
