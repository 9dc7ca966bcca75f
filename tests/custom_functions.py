"""Functions that users might write: what tests of custom activations and losses compile."""

import math


def swish(z):
    return z / (1 + math.exp(-z))


def swish_derivative(z):
    s = 1 / (1 + math.exp(-z))
    return s + z * s * (1 - s)


def leaky(z):
    if z > 0:
        return z
    return 0.01 * z


def leaky_derivative(z):
    return 1 if z > 0 else 0.01


def squared(output, target):
    return (output - target) ** 2


def squared_derivative(output, target):
    return 2 * (output - target)


def distance(output, target):
    return abs(output - target)


def distance_derivative(output, target):
    if output == target:
        return 0.0
    return math.copysign(1.0, output - target)


def rate(output, target):
    return output - target * math.log(output)  # of positive outputs


def rate_derivative(output, target):
    return 1 - target / output


def half(x):
    return x / 2


def through_another(z):
    return half(math.sinh(z))


def through_another_derivative(z):
    return half(math.cosh(z))
