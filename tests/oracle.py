"""The mathematics once more, in plain NumPy and independent of fastmlp.kernels: what tests compare tables with.

Formulas are those of the textbook, in the form in which they are defined: derivatives in terms of z, Jacobians
written out, losses of activations. Nothing here is fast, nor safe against overflow. Arrays are float64.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

# --- activations: a = forward(z) and dL/dz = backward(z, dL/da), rows of samples


class Activation(NamedTuple):
    forward: Callable
    backward: Callable
    kinks: tuple[float, ...] = ()  # where the derivative jumps


def elementwise(function, derivative, kinks=()):
    return Activation(function, lambda z, gradient: gradient * derivative(z), kinks)


def softmax(z):
    exponentials = np.exp(z)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def softmax_backward(z, gradient):
    a = softmax(z)
    jacobian = a[:, :, np.newaxis] * (np.eye(z.shape[1]) - a[:, np.newaxis, :])  # da_j/dz_k = a_j (1[j = k] - a_k)
    return np.einsum("ij,ijk->ik", gradient, jacobian)


erf, erfc = (np.vectorize(function, otypes=[float]) for function in (math.erf, math.erfc))


def logistic(z):
    return 1 / (1 + np.exp(-z))


def normal_density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def leaky_relu(negative_slope=0.01):
    return elementwise(
        lambda z: np.where(z > 0, z, negative_slope * z), lambda z: np.where(z > 0, 1, negative_slope), kinks=(0.0,)
    )


def elu(alpha=1.0, scale=1.0):
    return elementwise(
        lambda z: scale * np.where(z > 0, z, alpha * (np.exp(np.minimum(z, 0)) - 1)),
        lambda z: scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0))),
        kinks=(0.0,),
    )


def clipped(low, high, slope=1.0, offset=0.0):
    """slope * z + offset, but not below and above these."""
    ends = ((low - offset) / slope, (high - offset) / slope)
    return elementwise(
        lambda z: np.clip(slope * z + offset, low, high),
        lambda z: np.where((z > ends[0]) & (z < ends[1]), slope, 0),
        kinks=tuple(end for end in ends if np.isfinite(end)),
    )


def gelu_tanh(z):
    return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def gelu_tanh_derivative(z):
    u = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
    return (1 + np.tanh(u)) / 2 + z / 2 / np.cosh(u) ** 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)


def mish_derivative(z):
    # the paper's form: e^z omega / delta^2
    omega = 4 * (z + 1) + 4 * np.exp(2 * z) + np.exp(3 * z) + np.exp(z) * (4 * z + 6)
    return np.exp(z) * omega / (2 * np.exp(z) + np.exp(2 * z) + 2) ** 2


WITH_SETTINGS = {"leaky_relu": leaky_relu, "elu": elu}

ACTIVATIONS = {
    "identity": elementwise(lambda z: z, np.ones_like),
    "sigmoid": elementwise(logistic, lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "relu": elementwise(lambda z: np.where(z > 0, z, 0), lambda z: np.where(z > 0, 1, 0), kinks=(0.0,)),
    "tanh": elementwise(np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "leaky_relu": leaky_relu(),
    "elu": elu(),
    "selu": elu(alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946),
    "gelu": elementwise(
        lambda z: z * erfc(-z / np.sqrt(2)) / 2, lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * normal_density(z)
    ),
    "gelu_tanh": elementwise(gelu_tanh, gelu_tanh_derivative),
    "silu": elementwise(
        lambda z: z / (1 + np.exp(-z)), lambda z: logistic(z) * (1 + z * (1 - logistic(z)))
    ),
    "mish": elementwise(lambda z: z * np.tanh(np.log1p(np.exp(z))), mish_derivative),
    "softplus": elementwise(lambda z: np.log1p(np.exp(z)), logistic),
    "softsign": elementwise(lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "hard_sigmoid": clipped(0, 1, 1 / 6, 1 / 2),
    "hard_tanh": clipped(-1, 1),
    "relu6": clipped(0, 6),
    "exponential": elementwise(np.exp, np.exp),
    "softmax": Activation(softmax, softmax_backward),
}  # fmt: skip


def activation(chosen):
    """The functions of a name, or of settings."""
    if isinstance(chosen, str):
        return ACTIVATIONS[chosen]
    return WITH_SETTINGS[chosen.name](**asdict(chosen))


# --- losses: value(a, y), a number, and gradient(a, y) = dvalue/da


class Loss(NamedTuple):
    value: Callable
    gradient: Callable
    distance: Callable = lambda a, y: np.full(a.shape, np.inf)  # of outputs to where the derivative, or its own, jumps


def mean(function, derivative, distance=None):
    """A loss that is a mean over samples and outputs."""
    rest = (distance,) if distance else ()
    return Loss(lambda a, y: np.mean(function(a, y)), lambda a, y: derivative(a, y) / a.size, *rest)


def huber(delta=1.0):
    return mean(
        lambda a, y: np.where(abs(a - y) <= delta, (a - y) ** 2 / 2, delta * abs(a - y) - delta**2 / 2),
        lambda a, y: np.clip(a - y, -delta, delta),
        lambda a, y: abs(abs(a - y) - delta),
    )


def quantile(quantiles=(0.1, 0.5, 0.9)):
    """Targets, each repeated for the quantiles, and these in the same order."""

    def both(a, y):
        return np.repeat(y, len(quantiles), axis=1), np.tile(quantiles, y.shape[1])

    def function(a, y):
        y, q = both(a, y)
        return np.maximum(q * (y - a), (q - 1) * (y - a))

    def derivative(a, y):
        y, q = both(a, y)
        return np.where(a < y, -q, 1 - q)

    return mean(function, derivative, lambda a, y: abs(a - both(a, y)[0]))


def gaussian(a, y):
    """Means in the first half of the columns, logarithms of variances in the other."""
    mu, variance = a[:, : y.shape[1]], np.exp(a[:, y.shape[1] :])
    return np.mean(np.log(variance) + (y - mu) ** 2 / variance) / 2


def gaussian_gradient(a, y):
    mu, variance = a[:, : y.shape[1]], np.exp(a[:, y.shape[1] :])
    return np.hstack([(mu - y) / variance, (1 - (y - mu) ** 2 / variance) / 2]) / y.size


def categorical(label_smoothing=0.0):
    def smooth(y):
        return (1 - label_smoothing) * y + label_smoothing / y.shape[1]

    return Loss(lambda a, y: -np.sum(smooth(y) * np.log(a)) / len(a), lambda a, y: -smooth(y) / a / len(a))


def focal(gamma=2.0, alpha=0.25):
    return mean(
        lambda a, y: -alpha * y * (1 - a) ** gamma * np.log(a) - (1 - alpha) * (1 - y) * a**gamma * np.log(1 - a),
        lambda a, y: (
            alpha * y * (gamma * (1 - a) ** (gamma - 1) * np.log(a) - (1 - a) ** gamma / a)
            + (1 - alpha) * (1 - y) * (a**gamma / (1 - a) - gamma * a ** (gamma - 1) * np.log(1 - a))
        ),
    )


def categorical_focal(gamma=2.0):
    return Loss(
        lambda a, y: -np.sum(y * (1 - a) ** gamma * np.log(a)) / len(a),
        lambda a, y: y * (gamma * (1 - a) ** (gamma - 1) * np.log(a) - (1 - a) ** gamma / a) / len(a),
    )


LOSSES_WITH_SETTINGS = {
    "huber": huber, "quantile": quantile, "categorical_cross_entropy": categorical, "focal": focal,
    "categorical_focal": categorical_focal,
}  # fmt: skip

LOSSES = {
    "mean_squared_error": mean(lambda a, y: (a - y) ** 2, lambda a, y: 2 * (a - y)),
    "mean_absolute_error": mean(
        lambda a, y: abs(a - y), lambda a, y: np.sign(a - y), lambda a, y: abs(a - y)
    ),
    "huber": huber(),
    "log_cosh": mean(lambda a, y: np.log(np.cosh(a - y)), lambda a, y: np.tanh(a - y)),
    "quantile": quantile(),
    "poisson": mean(lambda a, y: a - y * np.log(a), lambda a, y: 1 - y / a),
    "gamma": mean(lambda a, y: np.log(a) + y / a, lambda a, y: 1 / a - y / a**2),
    "gaussian_negative_log_likelihood": Loss(gaussian, gaussian_gradient),
    "binary_cross_entropy": mean(
        lambda a, y: -y * np.log(a) - (1 - y) * np.log(1 - a), lambda a, y: (1 - y) / (1 - a) - y / a
    ),
    "categorical_cross_entropy": categorical(),
    "focal": focal(),
    "categorical_focal": categorical_focal(),
    "hinge": mean(
        lambda a, y: np.maximum(0, 1 - y * a), lambda a, y: np.where(y * a < 1, -y, 0), lambda a, y: abs(1 - y * a)
    ),
    "output_gradient": mean(lambda a, y: a * y, lambda a, y: y),
}  # fmt: skip


def loss_of(chosen):
    """The functions of a name, or of settings."""
    if isinstance(chosen, str):
        return LOSSES[chosen]
    return LOSSES_WITH_SETTINGS[chosen.name](**asdict(chosen))


# --- optimizers: the new (parameters, state) from the old ones, the gradient, the number of the update and the settings


def sgd(parameters, state, gradient, t, learning_rate, momentum=0.0, nesterov=False):
    # torch.optim.SGD's documentation, dampening 0
    if momentum == 0:
        return parameters - learning_rate * gradient, state
    buffer = gradient if t == 1 else momentum * state[0] + gradient
    step = gradient + momentum * buffer if nesterov else buffer
    return parameters - learning_rate * step, np.array([buffer])


def classical_sgd(parameters, state, gradient, t, learning_rate, momentum, nesterov):
    # Sutskever et al., equations 1 and 2; Nesterov's by the shift of variables that looks ahead
    velocity = momentum * state[0] + learning_rate * gradient
    step = learning_rate * gradient + momentum * velocity if nesterov else velocity
    return parameters - step, np.array([velocity])


def adam_corrected_by_rate(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon):
    # Kingma and Ba, end of section 2
    m, v = moments(state, gradient, beta1, beta2)
    rate = learning_rate * np.sqrt(1 - beta2**t) / (1 - beta1**t)
    return parameters - rate * m / (np.sqrt(v) + epsilon), np.array([m, v])


def moments(state, gradient, beta1, beta2):
    m, v = state
    return np.array([beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2])


def adam(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon):
    # Kingma and Ba, algorithm 1, line by line
    m, v = moments(state, gradient, beta1, beta2)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return parameters - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), np.array([m, v])


def adamw(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon, weight_decay):
    # Loshchilov and Hutter, algorithm 2; the decay comes first and is multiplied by the rate
    parameters = parameters - learning_rate * weight_decay * parameters
    return adam(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon)


def nadam(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon, momentum_decay):
    # Dozat, algorithm 2, with the momentum of the text: mu_i for i = 1 ... t + 1
    m, v = moments(state, gradient, beta1, beta2)
    seen = min(t, 3000)  # from there on the product is zero
    products = np.cumprod([beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, seen + 2)])
    mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
    m_bar = mu_next * m / (1 - products[seen]) + (1 - mu) * gradient / (1 - products[seen - 1])
    return parameters - learning_rate * m_bar / (np.sqrt(v / (1 - beta2**t)) + epsilon), np.array([m, v])


def radam(parameters, state, gradient, t, learning_rate, beta1, beta2, epsilon):
    # Liu et al., algorithm 2
    m, v = moments(state, gradient, beta1, beta2)
    m_hat = m / (1 - beta1**t)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length > 5:
        rectification = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        m_hat = m_hat * rectification * np.sqrt(1 - beta2**t) / (np.sqrt(v) + epsilon)
    return parameters - learning_rate * m_hat, np.array([m, v])


def rmsprop(parameters, state, gradient, t, learning_rate, alpha, epsilon, momentum):
    squares = alpha * state[0] + (1 - alpha) * gradient**2
    step = gradient / (np.sqrt(squares) + epsilon)
    if momentum == 0:
        return parameters - learning_rate * step, np.array([squares])
    velocity = momentum * state[1] + step
    return parameters - learning_rate * velocity, np.array([squares, velocity])


def adagrad(parameters, state, gradient, t, learning_rate, epsilon):
    total = state + gradient**2
    return parameters - learning_rate * gradient / (np.sqrt(total[0]) + epsilon), total


def adadelta(parameters, state, gradient, t, learning_rate, rho, epsilon):
    # Zeiler, algorithm 1
    gradients = rho * state[0] + (1 - rho) * gradient**2
    step = -np.sqrt(state[1] + epsilon) / np.sqrt(gradients + epsilon) * gradient
    return parameters + learning_rate * step, np.array([gradients, rho * state[1] + (1 - rho) * step**2])


def lion(parameters, state, gradient, t, learning_rate, beta1, beta2, weight_decay):
    # Chen et al., algorithm 2
    direction = np.sign(beta1 * state[0] + (1 - beta1) * gradient)
    parameters = parameters - learning_rate * (direction + weight_decay * parameters)
    return parameters, np.array([beta2 * state[0] + (1 - beta2) * gradient])


def rprop(parameters, state, gradient, t, learning_rate, shrink, grow, smallest, largest):
    # Igel and Huesken, iRprop-: one parameter at a time
    signs, steps, moved = [], [], []
    for p, before, step, g in zip(parameters, *state, gradient, strict=True):
        step = step if step > 0 else learning_rate  # at first
        if g * before > 0:
            step = min(step * grow, largest)
        elif g * before < 0:
            step, g = max(step * shrink, smallest), 0.0
        direction = np.sign(g)
        signs.append(direction)
        steps.append(step)
        moved.append(p - direction * step)
    return np.array(moved), np.array([signs, steps], float)


OPTIMIZERS = {
    "sgd": sgd, "adam": adam, "adamw": adamw, "nadam": nadam, "radam": radam, "rmsprop": rmsprop, "adagrad": adagrad,
    "adadelta": adadelta, "lion": lion, "rprop": rprop, "classical_sgd": classical_sgd,
    "adam_corrected_by_rate": adam_corrected_by_rate,
}  # fmt: skip

# --- networks: `activations` names one activation for each layer, `vector` is W0 row after row, b0, W1, b1, ...


def split(sizes, vector):
    """The (weights, biases) of every layer."""
    numbers = iter(np.asarray(vector, np.float64))
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        weights = [[next(numbers) for _ in range(outputs)] for _ in range(inputs)]
        layers.append((np.array(weights), np.array([next(numbers) for _ in range(outputs)])))
    assert next(numbers, None) is None
    return layers


def join(layers):
    """The vector of these (weights, biases)."""
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def one_hot(labels, classes):
    return np.array([[1.0 if label == c else 0.0 for c in range(classes)] for label in labels])


def weighted_sums(sizes, activations, vector, X):
    """z of every layer, and the inputs that it was made from."""
    a, zs, inputs = np.asarray(X, np.float64), [], []
    for (weights, biases), name in zip(split(sizes, vector), activations, strict=True):
        inputs.append(a)
        zs.append(a @ weights + biases)
        a = activation(name).forward(zs[-1])
    return zs, inputs


def predict(sizes, activations, vector, X):
    zs, _ = weighted_sums(sizes, activations, vector, X)
    return activation(activations[-1]).forward(zs[-1])


def backpropagate(sizes, activations, vector, X, output_gradient):
    """Gradients with respect to the vector and X, from the one with respect to the outputs."""
    zs, inputs = weighted_sums(sizes, activations, vector, X)
    gradient, layers = np.asarray(output_gradient, np.float64), []
    for (weights, _), name, z, a in reversed(list(zip(split(sizes, vector), activations, zs, inputs, strict=True))):
        delta = activation(name).backward(z, gradient)
        layers.insert(0, (a.T @ delta, delta.sum(axis=0)))
        gradient = delta @ weights.T
    return join(layers), gradient


def loss_and_gradient(sizes, activations, loss, vector, X, y):
    a = predict(sizes, activations, vector, X)
    return loss_of(loss).value(a, y), backpropagate(sizes, activations, vector, X, loss_of(loss).gradient(a, y))[0]


def train(sizes, activations, loss, vector, X, y, state, update, batches, factor=1.0):
    """Parameters and state after one update for each batch, a list of samples; gradients are multiplied by `factor`.

    update(parameters, state, gradient, t) is an optimizer with its settings.
    """
    for t, rows in enumerate(batches, start=1):
        gradient = loss_and_gradient(sizes, activations, loss, vector, X[rows], y[rows])[1]
        vector, state = update(vector, state, factor * gradient, t)
    return vector, state


def train_updating_first(sizes, activations, loss, vector, X, y, rate, batches, factor=1.0):
    """SGD in which every layer is updated as soon as its gradient is known, before it passes the gradient on."""
    layers = split(sizes, vector)
    for rows in batches:
        vector = join(layers)
        zs, inputs = weighted_sums(sizes, activations, vector, X[rows])
        gradient = factor * loss_of(loss).gradient(predict(sizes, activations, vector, X[rows]), y[rows])
        for l in reversed(range(len(layers))):
            weights, biases = layers[l]
            delta = activation(activations[l]).backward(zs[l], gradient)
            layers[l] = weights - rate * inputs[l].T @ delta, biases - rate * delta.sum(axis=0)
            gradient = delta @ layers[l][0].T
    return join(layers)


def norm(numbers):
    return np.sqrt(sum(float(number) ** 2 for number in np.ravel(numbers)))


def train_regularized(
    sizes, activations, loss, vector, X, y, state, update, rates, batches, l1=0.0, l2=0.0, weight_decay=0.0,
    clip_value=None, clip_norm=None, max_norm=None, ema_decay=None, rate_factors=None, alpha=0.0,
):  # fmt: skip
    """Parameters, state, running average and the gradients' norms.

    update(parameters, state, gradient, t, learning_rate) is an optimizer, rates has a learning rate for each batch.
    """
    shapes = list(zip(sizes, sizes[1:], strict=False))
    factors = rate_factors or [1.0] * len(shapes)
    is_weight = join([(np.ones(shape), np.zeros(shape[1])) for shape in shapes])
    factor = join([(np.full(shape, f), np.full(shape[1], f)) for shape, f in zip(shapes, factors, strict=True)])
    average, norms = vector.astype(float), []
    for t, (rows, rate) in enumerate(zip(batches, rates, strict=True), start=1):
        gradient = loss_and_gradient(sizes, activations, loss, vector, X[rows], y[rows])[1]
        shrink = l2 + alpha / len(rows)
        gradient = np.where(factor > 0, gradient + is_weight * (l1 * np.sign(vector) + shrink * vector), 0)
        if clip_value is not None:
            gradient = np.minimum(np.maximum(gradient, -clip_value), clip_value)
        norms.append(norm(gradient))
        if clip_norm is not None:
            gradient = gradient * min(1, clip_norm / norms[-1])
        decayed = vector - rate * factor * weight_decay * is_weight * vector
        moved, moved_state = update(decayed, state, gradient, t, learning_rate=rate * factor)
        vector, state = np.where(factor > 0, moved, vector), np.where(factor > 0, moved_state, state)
        layers = split(sizes, vector)
        for (weights, _), f in zip(layers, factors, strict=True):
            for column in weights.T:
                if max_norm is not None and f > 0 and norm(column) > max_norm:
                    column *= max_norm / norm(column)
        vector = join(layers)
        if ema_decay is not None:
            average = ema_decay * average + (1 - ema_decay) * vector
    return vector, state, average, norms


# --- random numbers

PHILOX_KNOWN_ANSWERS = [  # key, counter, words: kat_vectors of the Random123 distribution, philox4x32 10
    ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def philox(key, counter):
    """Four words from a key of two and a counter of four (Salmon et al., SC 2011, section 4.3)."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for r in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        key0, key1 = (k0 + r * 0x9E3779B9) % 2**32, (k1 + r * 0xBB67AE85) % 2**32
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
    return c0, c1, c2, c3


def shuffle(key, epoch, count):
    """The order of `count` samples in an epoch: Fisher and Yates from the end; two exchanges share a counter."""
    order = list(range(count))
    for number, last in enumerate(range(count - 1, 0, -1)):
        even = last + number % 2  # of the pair that the counter belongs to
        words = philox((key % 2**32, key >> 32), (even, 0, epoch % 2**32, epoch >> 32))
        high, low = words[2:] if number % 2 else words[:2]
        chosen = ((high << 32 | low) * (last + 1)) >> 64
        order[last], order[chosen] = order[chosen], order[last]
    return order


# --- noise and dropout


def disturbing_word(key, epoch, place, position, column):
    """Of 32 bits, for a column of the sample at a position in its epoch; places: noise 0, inputs 1, layers 2, 3, ..."""
    counter = column, position // 4, epoch % 2**32, (epoch >> 32) * 2**16 + place
    return philox((key % 2**32, key >> 32), counter)[position % 4]


def mask(key, epoch, place, positions, columns, probability):
    """0 with this probability, in steps of 2^-32, else what keeps the mean."""
    limit = int(probability * 2**32)
    words = [[disturbing_word(key, epoch, place, i, j) for j in range(columns)] for i in positions]
    return np.where(np.array(words) >= limit, 1 / (1 - limit / 2**32), 0)


def normal(key, epoch, position, column):
    """By G. Box and M. Muller, from the words of an even position and the odd one after it."""
    even = position - position % 2
    u, v = (disturbing_word(key, epoch, 0, i, column) for i in (even, even + 1))
    radius, angle = np.sqrt(-2 * np.log((u + 0.5) / 2**32)), 2 * np.pi * (v / 2**32 - 0.5)
    return radius * (np.sin(angle) if position % 2 else np.cos(angle))


def noise(key, epoch, positions, columns, deviation):
    return deviation * np.array([[normal(key, epoch, i, j) for j in range(columns)] for i in positions])


def disturbed_loss_and_gradient(
    sizes, activations, loss, vector, X, y, key, epoch, positions, input_noise=0.0, input_dropout=0.0, dropout=()
):
    """Of samples at these positions of an epoch."""
    layers, hidden = split(sizes, vector), len(sizes) - 2
    masks = [mask(key, epoch, 2 + l, positions, sizes[1 + l], p) for l, p in enumerate(dropout or [0] * hidden)]
    a = X + (noise(key, epoch, positions, sizes[0], input_noise) if input_noise else 0)
    a = a * mask(key, epoch, 1, positions, sizes[0], input_dropout)
    inputs, zs = [], []
    for l, (weights, biases) in enumerate(layers):
        inputs.append(a)
        zs.append(a @ weights + biases)
        a = activation(activations[l]).forward(zs[-1])
        if l < hidden:
            a = a * masks[l]
    gradient, parts = loss_of(loss).gradient(a, y), []
    for l in reversed(range(len(layers))):
        if l < hidden:
            gradient = gradient * masks[l]
        delta = activation(activations[l]).backward(zs[l], gradient)
        parts.insert(0, (inputs[l].T @ delta, delta.sum(axis=0)))
        gradient = delta @ layers[l][0].T
    return loss_of(loss).value(a, y), join(parts)


def train_disturbed(
    sizes, activations, loss, vector, X, y, state, update, batch_size, epochs, key, first_epoch=0, **disturbance
):
    """Parameters, and the loss of each epoch, from samples in their order."""
    losses, t = [], 0
    for epoch in range(first_epoch, first_epoch + epochs):
        losses.append(0.0)
        for first in range(0, len(X), batch_size):
            positions = range(first, min(first + batch_size, len(X)))
            loss_of_batch, gradient = disturbed_loss_and_gradient(
                sizes, activations, loss, vector, X[positions], y[positions], key, epoch, positions, **disturbance
            )
            losses[-1] += loss_of_batch * len(positions) / len(X)
            t += 1
            vector, state = update(vector, state, gradient, t)
    return vector, losses


# --- normalized layers


def parts_of(sizes, normalizations, vector):
    """(weights, biases, gains, running means, running variances) of each layer, with None for what it has not."""
    layers, start = [], 0
    for inputs, outputs, kind in zip(sizes, sizes[1:], normalizations, strict=False):
        end = start + inputs * outputs
        layer = [vector[start:end].reshape(inputs, outputs)]
        for _ in range({None: 1, "layer": 2, "batch": 4}[kind]):
            layer.append(vector[end : end + outputs])
            end += outputs
        layers.append(layer + [None] * (5 - len(layer)))
        start = end
    assert start == len(vector)
    return layers


def mean_and_variance(z, kind, shares, running_mean, running_variance):
    """By sample, by batch if samples have shares of it, or the running ones."""
    if kind == "layer":
        mean = z.mean(axis=1, keepdims=True)
        return mean, ((z - mean) ** 2).mean(axis=1, keepdims=True)
    if shares is None:
        return running_mean, running_variance
    mean = shares @ z
    return mean, shares @ (z - mean) ** 2


def normalized_outputs(sizes, normalizations, vector, X, shares=None, frozen=(), epsilon=1e-5):
    """Outputs of a network of tanh and a last layer without activation; then means and variances of each layer."""
    a, statistics = X, []
    for l, (weights, biases, gains, *running) in enumerate(parts_of(sizes, normalizations, vector)):
        z = a @ weights
        statistics.append((None, None))
        if normalizations[l] is not None:
            mean, variance = mean_and_variance(z, normalizations[l], None if l in frozen else shares, *running)
            statistics[l] = mean, variance
            z = gains * (z - mean) / np.sqrt(variance + epsilon)
        z = z + biases
        a = z if l == len(normalizations) - 1 else np.tanh(z)
    return a, statistics


def complex_step(function, vector):
    """The gradient of a function of real numbers that is analytic: Im f(x + ih) / h, without cancellation."""
    gradient = np.empty(len(vector))
    for i in range(len(vector)):
        moved = vector.astype(complex)
        moved[i] += 1e-30j
        gradient[i] = function(moved).imag / 1e-30
    return gradient


def train_normalized(
    sizes, normalizations, vector, X, y, state, update, batches, sample_weight=None, l2=0.0, frozen=(), momentum=0.1,
    epsilon=1e-5,
):  # fmt: skip
    """Parameters, state, and each batch's loss, the mean squared error, with its weights if there are any."""
    vector, losses = vector.astype(float), []
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    trained, decayed = [], []
    for l, (matrix, *vectors) in enumerate(parts_of(sizes, normalizations, vector)):
        for place, part in enumerate([matrix, *vectors]):
            if part is not None:
                trained.append(np.full(part.size, place < 3 and l not in frozen))
                decayed.append(np.full(part.size, place == 0))
    trained, decayed = np.concatenate(trained), np.concatenate(decayed)
    for t, rows in enumerate(batches, start=1):
        shares = weights[rows] / weights[rows].sum()

        def loss(parameters, rows=rows, shares=shares):
            outputs, _ = normalized_outputs(sizes, normalizations, parameters, X[rows], shares, frozen, epsilon)
            return shares @ ((outputs - y[rows]) ** 2).mean(axis=1)

        losses.append(loss(vector))
        gradient = complex_step(loss, vector) + decayed * l2 * vector
        _, statistics = normalized_outputs(sizes, normalizations, vector, X[rows], shares, frozen, epsilon)
        moved, moved_state = update(vector, state, gradient, t)
        vector, state = np.where(trained, moved, vector), np.where(trained, moved_state, state)
        for l, layer in enumerate(parts_of(sizes, normalizations, vector)):
            if layer[3] is not None and l not in frozen and len(rows) > 1:
                mean, variance = statistics[l]
                unbiased = variance / (1 - shares @ shares)  # n / (n - 1) for n that count alike
                for running, now in zip(layer[3:], (mean, unbiased), strict=True):
                    running[:] = (1 - momentum) * running + momentum * now
    return vector, state, losses
