"""Formulas of the optimizers. A new one is an update function and a row of the table; `optimizers.py` has its class.

An update is one pass over `count` parameters, whole vectors. `state` holds the formula's vectors, `slot` numbers apart,
zero in the beginning. `settings` is what the class's method of that name returns, the learning rate first. `prepare`
runs once before each update, number 1, 2, ..., and leaves behind the settings what they make at this update. All
depends on state and number alone: training can be resumed anywhere.
"""

from collections.abc import Callable

from ..base.records import Record, frozen
from ..vocabulary.simd import LANES, at, double, load, maximum, real, select, sqrt, store
from .elementary import SMALLEST, exp, expm1


def sign(x):
    """-1, 0 or 1; NaN if x is not finite, so that it is noticed."""
    return select(x > real(0), real(1), select(x < real(0), real(-1), x)) + (x - x)


def power(base, exponent):
    """base^exponent in float64, for a whole number from 0 on, by squaring."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


# --- gradient descent


def sgd(parameters, gradient, state, slot, count, settings):
    rate = real(settings[0])
    for i in range(0, count, LANES):
        store(parameters, i, load(parameters, i) - rate * load(gradient, i))


def momentum(parameters, gradient, state, slot, count, settings):
    rate, kept = real(settings[0]), real(settings[1])
    for i in range(0, count, LANES):
        v = kept * load(state, i) + load(gradient, i)
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * v)


def nesterov(parameters, gradient, state, slot, count, settings):
    rate, kept = real(settings[0]), real(settings[1])
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = kept * load(state, i) + g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * (kept * v + g))


# the same as Polyak and Sutskever write it: what has been gained keeps its speed when the rate changes


def classical_momentum(parameters, gradient, state, slot, count, settings):
    rate, kept = real(settings[0]), real(settings[1])
    for i in range(0, count, LANES):
        v = kept * load(state, i) + rate * load(gradient, i)
        store(state, i, v)
        store(parameters, i, load(parameters, i) - v)


def classical_nesterov(parameters, gradient, state, slot, count, settings):
    rate, kept = real(settings[0]), real(settings[1])
    for i in range(0, count, LANES):
        step = rate * load(gradient, i)
        v = kept * load(state, i) + step
        store(state, i, v)
        store(parameters, i, load(parameters, i) - (kept * v + step))


# --- Adam and its kin: m and v are running means of the gradient and of its square


def one_minus_power(log_beta, update):
    """1 - beta^t = -expm1(t log beta)."""
    return -expm1(real(update * log_beta))


def adam_corrections(settings, update):
    settings[6] = double(real(settings[0]) / one_minus_power(settings[4], update))
    settings[7] = double(real(1) / sqrt(one_minus_power(settings[5], update)))


def adam(parameters, gradient, state, slot, count, settings):
    beta1, beta2 = real(settings[1]), real(settings[2])
    epsilon = maximum(real(settings[3]), SMALLEST)  # an epsilon of 0 would make 0 / 0 of parameters that never moved
    rest1, rest2 = real(1.0 - settings[1]), real(1.0 - settings[2])
    rate, root = real(settings[6]), real(settings[7])
    first_moment, second_moment = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        m = beta1 * load(first_moment, i) + rest1 * g
        v = beta2 * load(second_moment, i) + rest2 * g * g
        store(first_moment, i, m)
        store(second_moment, i, v)
        store(parameters, i, load(parameters, i) - rate * m / (sqrt(v) * root + epsilon))


def corrections_of_rate(settings, update):
    """Both in the rate, as the end of the paper's section 2 proposes: epsilon is added to the root as it is."""
    root = sqrt(one_minus_power(settings[5], update))
    settings[6] = double(real(settings[0]) * root / one_minus_power(settings[4], update))
    settings[7] = 1.0


def adamw_corrections(settings, update):
    settings[7] = double(real(settings[0]) / one_minus_power(settings[5], update))
    settings[8] = double(real(1) / sqrt(one_minus_power(settings[6], update)))
    settings[9] = 1.0 - settings[0] * settings[4]


def adamw(parameters, gradient, state, slot, count, settings):
    beta1, beta2 = real(settings[1]), real(settings[2])
    epsilon = maximum(real(settings[3]), SMALLEST)
    rest1, rest2 = real(1.0 - settings[1]), real(1.0 - settings[2])
    rate, root, shrunk = real(settings[7]), real(settings[8]), real(settings[9])
    first_moment, second_moment = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        m = beta1 * load(first_moment, i) + rest1 * g
        v = beta2 * load(second_moment, i) + rest2 * g * g
        store(first_moment, i, m)
        store(second_moment, i, v)
        store(parameters, i, shrunk * load(parameters, i) - rate * m / (sqrt(v) * root + epsilon))


def nadam_corrections(settings, update):
    """The moment's share of a step is mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2); products of them correct it."""
    rate, product = settings[0], nadam_product(settings, update)
    following = nadam_share(settings, update + 1)
    settings[6] = double(real(1) / sqrt(real(1.0 - power(settings[2], update))))
    settings[7] = rate * (1.0 - nadam_share(settings, update)) / (1.0 - product)
    settings[8] = rate * following / (1.0 - product * following)


def nadam_share(settings, update):
    return settings[1] * (1.0 - 0.5 * double(exp(real(update * settings[5]))))


def nadam_product(settings, update):
    """mu_1 ... mu_t: the last product, which is kept behind the settings, times the next ones; or from mu_1 on."""
    product, t = 1.0, 0
    if 0.0 < settings[9] <= update:
        t, product = int(settings[9]), settings[10]
    while t < update and product > 1e-30:  # when there is nothing left to correct
        t += 1
        product *= nadam_share(settings, t)
    settings[9], settings[10] = double(update), product
    return product


def nadam(parameters, gradient, state, slot, count, settings):
    beta1, beta2 = real(settings[1]), real(settings[2])
    epsilon = maximum(real(settings[3]), SMALLEST)
    rest1, rest2 = real(1.0 - settings[1]), real(1.0 - settings[2])
    root, rate_now, rate_before = real(settings[6]), real(settings[7]), real(settings[8])
    first_moment, second_moment = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        m = beta1 * load(first_moment, i) + rest1 * g
        v = beta2 * load(second_moment, i) + rest2 * g * g
        store(first_moment, i, m)
        store(second_moment, i, v)
        step = (rate_now * g + rate_before * m) / (sqrt(v) * root + epsilon)
        store(parameters, i, load(parameters, i) - step)


def radam_corrections(settings, update):
    """The rate of a step by m alone, and by m / root(v): one of them is zero, as v has too few terms yet, or enough."""
    decayed, longest = power(settings[2], update), 2.0 / (1.0 - settings[2]) - 1.0
    terms = longest - 2.0 * update * decayed / (1.0 - decayed)
    settings[4] = settings[0] / (1.0 - power(settings[1], update))
    settings[5] = 0.0
    if terms > 5.0:
        variance = (terms - 4.0) * (terms - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * terms)
        settings[5] = settings[4] * double(sqrt(real(variance * (1.0 - decayed))))
        settings[4] = 0.0


def radam(parameters, gradient, state, slot, count, settings):
    beta1, beta2 = real(settings[1]), real(settings[2])
    epsilon = maximum(real(settings[3]), SMALLEST)
    rest1, rest2 = real(1.0 - settings[1]), real(1.0 - settings[2])
    plain, rectified = real(settings[4]), real(settings[5])
    first_moment, second_moment = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        m = beta1 * load(first_moment, i) + rest1 * g
        v = beta2 * load(second_moment, i) + rest2 * g * g
        store(first_moment, i, m)
        store(second_moment, i, v)
        store(parameters, i, load(parameters, i) - m * (plain + rectified / (sqrt(v) + epsilon)))


# --- the gradient over the root of its squares, added up in one way or another


def rmsprop(parameters, gradient, state, slot, count, settings):
    rate, alpha, rest = real(settings[0]), real(settings[1]), real(1.0 - settings[1])
    epsilon = maximum(real(settings[2]), SMALLEST)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = alpha * load(state, i) + rest * g * g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * g / (sqrt(v) + epsilon))


def rmsprop_momentum(parameters, gradient, state, slot, count, settings):
    rate, alpha, rest = real(settings[0]), real(settings[1]), real(1.0 - settings[1])
    epsilon, kept = maximum(real(settings[2]), SMALLEST), real(settings[3])
    squares, velocity = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = alpha * load(squares, i) + rest * g * g
        step = kept * load(velocity, i) + g / (sqrt(v) + epsilon)
        store(squares, i, v)
        store(velocity, i, step)
        store(parameters, i, load(parameters, i) - rate * step)


def adagrad(parameters, gradient, state, slot, count, settings):
    rate, epsilon = real(settings[0]), maximum(real(settings[1]), SMALLEST)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = load(state, i) + g * g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * g / (sqrt(v) + epsilon))


def adadelta(parameters, gradient, state, slot, count, settings):
    rate, rho, rest = real(settings[0]), real(settings[1]), real(1.0 - settings[1])
    epsilon = maximum(real(settings[2]), SMALLEST)
    squares, squared_steps = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = rho * load(squares, i) + rest * g * g
        u = load(squared_steps, i)
        step = sqrt(u + epsilon) / sqrt(v + epsilon) * g
        store(squares, i, v)
        store(squared_steps, i, rho * u + rest * step * step)
        store(parameters, i, load(parameters, i) - rate * step)


# --- only the gradient's sign


def lion(parameters, gradient, state, slot, count, settings):
    rate, shrunk = real(settings[0]), real(1.0 - settings[0] * settings[3])
    beta1, rest1 = real(settings[1]), real(1.0 - settings[1])
    beta2, rest2 = real(settings[2]), real(1.0 - settings[2])
    for i in range(0, count, LANES):
        g, m = load(gradient, i), load(state, i)
        store(state, i, beta2 * m + rest2 * g)
        store(parameters, i, shrunk * load(parameters, i) - rate * sign(beta1 * m + rest1 * g))


def rprop(parameters, gradient, state, slot, count, settings):
    shorter, longer = real(settings[1]), real(settings[2])
    smallest, largest = real(settings[3]), real(settings[4])
    signs, steps = state, at(state, slot)
    for i in range(0, count, LANES):
        s, step = sign(load(gradient, i)), load(steps, i)
        turn = s * load(signs, i)
        step = select(step > real(0), step, real(settings[0]))  # the first one
        step = step * select(turn > real(0), longer, select(turn < real(0), shorter, real(1)))
        step = select(step < smallest, smallest, select(step > largest, largest, step))
        s = select(turn < real(0), real(0), s)  # where the slope has turned: not yet back
        store(signs, i, s)
        store(steps, i, step)
        store(parameters, i, load(parameters, i) - s * step)


@frozen
class Formula(Record):
    """A row of the table."""

    name: str
    update: Callable[..., None]
    text: str  # for people: w are the parameters, g is the gradient, t = 1, 2, ... the number of the update
    slots: tuple[str, ...] = ()  # names of the vectors of its state
    prepare: Callable[..., None] | None = None
    prepared: int = 0  # numbers that `prepare` leaves
    rests: bool = False  # whether it changes nothing where the gradient is zero
    descends: bool = False  # whether it takes the gradient times the learning rate, and nothing else


_MOMENTS = ("first_moment", "second_moment")
_MEANS = "m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; "
_TABLE = (
    Formula("sgd", sgd, "w -= learning_rate * g", rests=True, descends=True),
    Formula("momentum", momentum, "v = momentum * v + g; w -= learning_rate * v", ("velocity",)),
    Formula(
        "nesterov", nesterov, "v = momentum * v + g; w -= learning_rate * (g + momentum * v)", ("velocity",),
    ),
    Formula(
        "classical_momentum", classical_momentum, "v = momentum * v + learning_rate * g; w -= v", ("velocity",),
    ),
    Formula(
        "classical_nesterov", classical_nesterov,
        "v = momentum * v + learning_rate * g; w -= learning_rate * g + momentum * v", ("velocity",),
    ),
    Formula(
        "adam", adam,
        _MEANS + "w -= learning_rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)",
        _MOMENTS, adam_corrections, 2,
    ),
    Formula(
        "adam_corrected_by_rate", adam,
        _MEANS + "w -= learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)",
        _MOMENTS, corrections_of_rate, 2,
    ),
    Formula(
        "adamw", adamw,
        _MEANS + "w -= learning_rate * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * w)",
        _MOMENTS, adamw_corrections, 3,
    ),
    Formula(
        "nadam", nadam,
        _MEANS + "mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2); p(t) = mu(1) * ... * mu(t); "
        "w -= learning_rate * ((1 - mu(t)) / (1 - p(t)) * g + mu(t + 1) / (1 - p(t + 1)) * m) / "
        "(sqrt(v / (1 - beta2^t)) + epsilon)",
        _MOMENTS, nadam_corrections, 5,
    ),
    Formula(
        "radam", radam,
        _MEANS + "L = 2 / (1 - beta2) - 1; n = L - 2 * t * beta2^t / (1 - beta2^t); "
        "s = (n - 4) * (n - 2) * L / ((L - 4) * (L - 2) * n) * (1 - beta2^t); "
        "w -= learning_rate * m / (1 - beta1^t) * (sqrt(s) / (sqrt(v) + epsilon) if n > 5 else 1)",
        _MOMENTS, radam_corrections, 2,
    ),
    Formula(
        "rmsprop", rmsprop, "v = alpha * v + (1 - alpha) * g^2; w -= learning_rate * g / (sqrt(v) + epsilon)",
        ("squares",),
    ),
    Formula(
        "rmsprop_momentum", rmsprop_momentum,
        "v = alpha * v + (1 - alpha) * g^2; u = momentum * u + g / (sqrt(v) + epsilon); w -= learning_rate * u",
        ("squares", "velocity"),
    ),
    Formula("adagrad", adagrad, "v += g^2; w -= learning_rate * g / (sqrt(v) + epsilon)", ("squares",), rests=True),
    Formula(
        "adadelta", adadelta,
        "v = rho * v + (1 - rho) * g^2; s = sqrt(u + epsilon) / sqrt(v + epsilon) * g; "
        "u = rho * u + (1 - rho) * s^2; w -= learning_rate * s",
        ("squares", "squared_steps"),
    ),
    Formula(
        "lion", lion,
        "w -= learning_rate * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m = beta2 * m + (1 - beta2) * g",
        ("moment",),
    ),
    Formula(
        "rprop", rprop,
        "s *= grow where the sign of g stays, s *= shrink where it turns, from smallest to largest; "
        "w -= s * sign(g), but not where it turns",
        ("signs", "steps"),
    ),
)  # fmt: skip
FORMULAS = {formula.name: formula for formula in _TABLE}
