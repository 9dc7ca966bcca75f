"""Formulas of the optimizers. A new one is an update function and a row of the table; `optimizers.py` has its class.

An update is one pass over `count` parameters, whole vectors. `state` holds the formula's vectors, `slot` numbers apart,
zero in the beginning. `settings` is what the class's method of that name returns, the learning rate first; structures
below name the numbers. `prepare` runs once before each update, number 1, 2, ..., and leaves behind the settings what
they make at this update. All depends on state and number alone: training can be resumed anywhere.
"""

from collections.abc import Callable

from ..base.records import Record, frozen
from ..vocabulary.simd import LANES, at, double, load, maximum, real, select, sqrt, store
from ..vocabulary.structures import DOUBLE, Field, Structure
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


def _settings(name: str, own: str, prepared: str = "") -> Structure:
    """What a formula takes: the numbers of its class, in order, and those that `prepare` leaves."""
    return Structure(f"Settings of {name}", *(Field(field, DOUBLE) for field in f"{own} {prepared}".split()))


SGD_SETTINGS = _settings("SGD", "learning_rate momentum nesterov")
ADAM_SETTINGS = _settings("ADAM", "learning_rate beta1 beta2 epsilon log_beta1 log_beta2", "rate root")
ADAMW_SETTINGS = _settings(
    "ADAMW", "learning_rate beta1 beta2 epsilon weight_decay log_beta1 log_beta2", "rate root shrunk"
)
NADAM_SETTINGS = _settings(
    "NADAM", "learning_rate beta1 beta2 epsilon momentum_decay log_decay", "root rate_now rate_before updates product"
)
RADAM_SETTINGS = _settings("RADAM", "learning_rate beta1 beta2 epsilon", "plain rectified")
RMSPROP_SETTINGS = _settings("RMSPROP", "learning_rate alpha epsilon momentum")
ADAGRAD_SETTINGS = _settings("ADAGRAD", "learning_rate epsilon")
ADADELTA_SETTINGS = _settings("ADADELTA", "learning_rate rho epsilon")
LION_SETTINGS = _settings("LION", "learning_rate beta1 beta2 weight_decay")
RPROP_SETTINGS = _settings("RPROP", "learning_rate shrink grow smallest largest")


# --- gradient descent


def sgd(parameters, gradient, state, slot, count, settings):
    s = SGD_SETTINGS(settings, 0)
    rate = real(s.learning_rate)
    for i in range(0, count, LANES):
        store(parameters, i, load(parameters, i) - rate * load(gradient, i))


def momentum(parameters, gradient, state, slot, count, settings):
    s = SGD_SETTINGS(settings, 0)
    rate, kept = real(s.learning_rate), real(s.momentum)
    for i in range(0, count, LANES):
        v = kept * load(state, i) + load(gradient, i)
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * v)


def nesterov(parameters, gradient, state, slot, count, settings):
    s = SGD_SETTINGS(settings, 0)
    rate, kept = real(s.learning_rate), real(s.momentum)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = kept * load(state, i) + g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * (kept * v + g))


# the same as Polyak and Sutskever write it: what has been gained keeps its speed when the rate changes


def classical_momentum(parameters, gradient, state, slot, count, settings):
    s = SGD_SETTINGS(settings, 0)
    rate, kept = real(s.learning_rate), real(s.momentum)
    for i in range(0, count, LANES):
        v = kept * load(state, i) + rate * load(gradient, i)
        store(state, i, v)
        store(parameters, i, load(parameters, i) - v)


def classical_nesterov(parameters, gradient, state, slot, count, settings):
    s = SGD_SETTINGS(settings, 0)
    rate, kept = real(s.learning_rate), real(s.momentum)
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
    s = ADAM_SETTINGS(settings, 0)
    s.rate = double(real(s.learning_rate) / one_minus_power(s.log_beta1, update))
    s.root = double(real(1) / sqrt(one_minus_power(s.log_beta2, update)))


def adam(parameters, gradient, state, slot, count, settings):
    s = ADAM_SETTINGS(settings, 0)
    beta1, beta2 = real(s.beta1), real(s.beta2)
    epsilon = maximum(real(s.epsilon), SMALLEST)  # an epsilon of 0 would make 0 / 0 of parameters that never moved
    rest1, rest2 = real(1.0 - s.beta1), real(1.0 - s.beta2)
    rate, root = real(s.rate), real(s.root)
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
    s = ADAM_SETTINGS(settings, 0)
    root = sqrt(one_minus_power(s.log_beta2, update))
    s.rate = double(real(s.learning_rate) * root / one_minus_power(s.log_beta1, update))
    s.root = 1.0


def adamw_corrections(settings, update):
    s = ADAMW_SETTINGS(settings, 0)
    s.rate = double(real(s.learning_rate) / one_minus_power(s.log_beta1, update))
    s.root = double(real(1) / sqrt(one_minus_power(s.log_beta2, update)))
    s.shrunk = 1.0 - s.learning_rate * s.weight_decay


def adamw(parameters, gradient, state, slot, count, settings):
    s = ADAMW_SETTINGS(settings, 0)
    beta1, beta2 = real(s.beta1), real(s.beta2)
    epsilon = maximum(real(s.epsilon), SMALLEST)
    rest1, rest2 = real(1.0 - s.beta1), real(1.0 - s.beta2)
    rate, root, shrunk = real(s.rate), real(s.root), real(s.shrunk)
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
    s = NADAM_SETTINGS(settings, 0)
    rate, product = s.learning_rate, nadam_product(s, update)
    following = nadam_share(s, update + 1)
    s.root = double(real(1) / sqrt(real(1.0 - power(s.beta2, update))))
    s.rate_now = rate * (1.0 - nadam_share(s, update)) / (1.0 - product)
    s.rate_before = rate * following / (1.0 - product * following)


def nadam_share(s, update):
    return s.beta1 * (1.0 - 0.5 * double(exp(real(update * s.log_decay))))


def nadam_product(s, update):
    """mu_1 ... mu_t: the last product, which is kept behind the settings, times the next ones; or from mu_1 on."""
    product, t = 1.0, 0
    if 0.0 < s.updates <= update:
        t, product = int(s.updates), s.product
    while t < update and product > 1e-30:  # when there is nothing left to correct
        t += 1
        product *= nadam_share(s, t)
    s.updates, s.product = double(update), product
    return product


def nadam(parameters, gradient, state, slot, count, settings):
    s = NADAM_SETTINGS(settings, 0)
    beta1, beta2 = real(s.beta1), real(s.beta2)
    epsilon = maximum(real(s.epsilon), SMALLEST)
    rest1, rest2 = real(1.0 - s.beta1), real(1.0 - s.beta2)
    root, rate_now, rate_before = real(s.root), real(s.rate_now), real(s.rate_before)
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
    s = RADAM_SETTINGS(settings, 0)
    decayed, longest = power(s.beta2, update), 2.0 / (1.0 - s.beta2) - 1.0
    terms = longest - 2.0 * update * decayed / (1.0 - decayed)
    s.plain = s.learning_rate / (1.0 - power(s.beta1, update))
    s.rectified = 0.0
    if terms > 5.0:
        variance = (terms - 4.0) * (terms - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * terms)
        s.rectified = s.plain * double(sqrt(real(variance * (1.0 - decayed))))
        s.plain = 0.0


def radam(parameters, gradient, state, slot, count, settings):
    s = RADAM_SETTINGS(settings, 0)
    beta1, beta2 = real(s.beta1), real(s.beta2)
    epsilon = maximum(real(s.epsilon), SMALLEST)
    rest1, rest2 = real(1.0 - s.beta1), real(1.0 - s.beta2)
    plain, rectified = real(s.plain), real(s.rectified)
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
    s = RMSPROP_SETTINGS(settings, 0)
    rate, alpha, rest = real(s.learning_rate), real(s.alpha), real(1.0 - s.alpha)
    epsilon = maximum(real(s.epsilon), SMALLEST)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = alpha * load(state, i) + rest * g * g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * g / (sqrt(v) + epsilon))


def rmsprop_momentum(parameters, gradient, state, slot, count, settings):
    s = RMSPROP_SETTINGS(settings, 0)
    rate, alpha, rest = real(s.learning_rate), real(s.alpha), real(1.0 - s.alpha)
    epsilon, kept = maximum(real(s.epsilon), SMALLEST), real(s.momentum)
    squares, velocity = state, at(state, slot)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = alpha * load(squares, i) + rest * g * g
        step = kept * load(velocity, i) + g / (sqrt(v) + epsilon)
        store(squares, i, v)
        store(velocity, i, step)
        store(parameters, i, load(parameters, i) - rate * step)


def adagrad(parameters, gradient, state, slot, count, settings):
    s = ADAGRAD_SETTINGS(settings, 0)
    rate, epsilon = real(s.learning_rate), maximum(real(s.epsilon), SMALLEST)
    for i in range(0, count, LANES):
        g = load(gradient, i)
        v = load(state, i) + g * g
        store(state, i, v)
        store(parameters, i, load(parameters, i) - rate * g / (sqrt(v) + epsilon))


def adadelta(parameters, gradient, state, slot, count, settings):
    s = ADADELTA_SETTINGS(settings, 0)
    rate, rho, rest = real(s.learning_rate), real(s.rho), real(1.0 - s.rho)
    epsilon = maximum(real(s.epsilon), SMALLEST)
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
    s = LION_SETTINGS(settings, 0)
    rate, shrunk = real(s.learning_rate), real(1.0 - s.learning_rate * s.weight_decay)
    beta1, rest1 = real(s.beta1), real(1.0 - s.beta1)
    beta2, rest2 = real(s.beta2), real(1.0 - s.beta2)
    for i in range(0, count, LANES):
        g, m = load(gradient, i), load(state, i)
        store(state, i, beta2 * m + rest2 * g)
        store(parameters, i, shrunk * load(parameters, i) - rate * sign(beta1 * m + rest1 * g))


def rprop(parameters, gradient, state, slot, count, settings):
    s = RPROP_SETTINGS(settings, 0)
    first, shorter, longer = real(s.learning_rate), real(s.shrink), real(s.grow)
    smallest, largest = real(s.smallest), real(s.largest)
    signs, steps = state, at(state, slot)
    for i in range(0, count, LANES):
        direction, step = sign(load(gradient, i)), load(steps, i)
        turn = direction * load(signs, i)
        step = select(step > real(0), step, first)
        step = step * select(turn > real(0), longer, select(turn < real(0), shorter, real(1)))
        step = select(step < smallest, smallest, select(step > largest, largest, step))
        direction = select(turn < real(0), real(0), direction)  # where the slope has turned: not yet back
        store(signs, i, direction)
        store(steps, i, step)
        store(parameters, i, load(parameters, i) - direction * step)


@frozen
class Formula(Record):
    """A row of the table."""

    name: str
    update: Callable[..., None]
    settings: Structure
    text: str  # for people: w are the parameters, g is the gradient, t = 1, 2, ... the number of the update
    slots: tuple[str, ...] = ()  # names of the vectors of its state
    prepare: Callable[..., None] | None = None
    skips_zero_gradient: bool = False  # whether it changes nothing where the gradient is zero
    is_plain_sgd: bool = False  # whether it subtracts the gradient times the learning rate, and does nothing else


_MOMENTS = ("first_moment", "second_moment")
_MEANS = "m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; "
_TABLE = (
    Formula("sgd", sgd, SGD_SETTINGS, "w -= learning_rate * g", skips_zero_gradient=True, is_plain_sgd=True),
    Formula("momentum", momentum, SGD_SETTINGS, "v = momentum * v + g; w -= learning_rate * v", ("velocity",)),
    Formula(
        "nesterov", nesterov, SGD_SETTINGS,
        "v = momentum * v + g; w -= learning_rate * (g + momentum * v)", ("velocity",),
    ),
    Formula(
        "classical_momentum", classical_momentum, SGD_SETTINGS,
        "v = momentum * v + learning_rate * g; w -= v", ("velocity",),
    ),
    Formula(
        "classical_nesterov", classical_nesterov, SGD_SETTINGS,
        "v = momentum * v + learning_rate * g; w -= learning_rate * g + momentum * v", ("velocity",),
    ),
    Formula(
        "adam", adam, ADAM_SETTINGS,
        _MEANS + "w -= learning_rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)",
        _MOMENTS, adam_corrections,
    ),
    Formula(
        "adam_corrected_by_rate", adam, ADAM_SETTINGS,
        _MEANS + "w -= learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)",
        _MOMENTS, corrections_of_rate,
    ),
    Formula(
        "adamw", adamw, ADAMW_SETTINGS,
        _MEANS + "w -= learning_rate * (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * w)",
        _MOMENTS, adamw_corrections,
    ),
    Formula(
        "nadam", nadam, NADAM_SETTINGS,
        _MEANS + "mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2); p(t) = mu(1) * ... * mu(t); "
        "w -= learning_rate * ((1 - mu(t)) / (1 - p(t)) * g + mu(t + 1) / (1 - p(t + 1)) * m) / "
        "(sqrt(v / (1 - beta2^t)) + epsilon)",
        _MOMENTS, nadam_corrections,
    ),
    Formula(
        "radam", radam, RADAM_SETTINGS,
        _MEANS + "L = 2 / (1 - beta2) - 1; n = L - 2 * t * beta2^t / (1 - beta2^t); "
        "s = (n - 4) * (n - 2) * L / ((L - 4) * (L - 2) * n) * (1 - beta2^t); "
        "w -= learning_rate * m / (1 - beta1^t) * (sqrt(s) / (sqrt(v) + epsilon) if n > 5 else 1)",
        _MOMENTS, radam_corrections,
    ),
    Formula(
        "rmsprop", rmsprop, RMSPROP_SETTINGS,
        "v = alpha * v + (1 - alpha) * g^2; w -= learning_rate * g / (sqrt(v) + epsilon)", ("squares",),
    ),
    Formula(
        "rmsprop_momentum", rmsprop_momentum, RMSPROP_SETTINGS,
        "v = alpha * v + (1 - alpha) * g^2; u = momentum * u + g / (sqrt(v) + epsilon); w -= learning_rate * u",
        ("squares", "velocity"),
    ),
    Formula(
        "adagrad", adagrad, ADAGRAD_SETTINGS,
        "v += g^2; w -= learning_rate * g / (sqrt(v) + epsilon)", ("squares",), skips_zero_gradient=True,
    ),
    Formula(
        "adadelta", adadelta, ADADELTA_SETTINGS,
        "v = rho * v + (1 - rho) * g^2; s = sqrt(u + epsilon) / sqrt(v + epsilon) * g; "
        "u = rho * u + (1 - rho) * s^2; w -= learning_rate * s",
        ("squares", "squared_steps"),
    ),
    Formula(
        "lion", lion, LION_SETTINGS,
        "w -= learning_rate * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m = beta2 * m + (1 - beta2) * g",
        ("moment",),
    ),
    Formula(
        "rprop", rprop, RPROP_SETTINGS,
        "s *= grow where the sign of g stays, s *= shrink where it turns, from smallest to largest; "
        "w -= s * sign(g), but not where it turns",
        ("signs", "steps"),
    ),
)  # fmt: skip
FORMULAS = {formula.name: formula for formula in _TABLE}
