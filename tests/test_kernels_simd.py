"""The vocabulary: its meaning in plain Python, its twin in LLVM instructions, and pointers that check their bounds."""

import inspect

import numpy as np
import pytest
from cases import case
from numba import njit, types

from fastmlp.kernels.backends.choice import backend
from fastmlp.kernels.backends.interpreted import _namespace
from fastmlp.kernels.compiler.compilation import POLICY, for_any_value
from fastmlp.kernels.compiler.interface import MODULES
from fastmlp.kernels.functions.optimizers import Adam
from fastmlp.kernels.runtime import executor, plan, prediction
from fastmlp.kernels.runtime.training import Schedule
from fastmlp.kernels.vocabulary import intrinsics, simd
from fastmlp.kernels.vocabulary.levels import LEVELS
from fastmlp.kernels.vocabulary.simd import Pointer, at, pointer, visible


def functions_of_kernels():
    return [f for m in MODULES for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]


def names_in_use():
    """Names of simd.py that some kernel mentions, but for the classes that specialize.py resolves."""
    mentioned = {name for f in functions_of_kernels() for name in f.__code__.co_names}
    return sorted(mentioned & set(vars(simd)) - {"Constant", "Polynomial", "np"})


# --- both vocabularies


def test_kernels_use_the_vocabulary():
    assert {"tile", "at", "call", "select", "real", "LANES"} <= set(names_in_use())


@pytest.mark.parametrize("name", [*names_in_use(), "polynomial"])
def test_both_vocabularies_have_a_name_with_the_same_arguments(level, dtype, name):
    compiled, plain = intrinsics.vocabulary(dtype, level)[name], getattr(simd, name)
    if isinstance(plain, int):
        assert isinstance(compiled, int)
    elif not isinstance(compiled, type):  # a NumPy type converts one number
        arguments = list(inspect.signature(compiled).parameters.values())
        arguments = [a for a in arguments if a.name not in ("typingctx", "flags")]
        expected = list(inspect.signature(plain).parameters.values())
        assert [(a.name, a.kind) for a in arguments] == [(a.name, a.kind) for a in expected]


def special(dtype):
    """Numbers at the edges of a type."""
    info = np.finfo(dtype)
    numbers = [0.0, 1.0, 0.5, 3.7, info.max, info.tiny, np.inf]
    return np.array([*numbers, *(-x for x in numbers), np.nan], dtype)


PROGRAMS = {  # what is computed from two numbers
    "sqrt": lambda a, b: sqrt(a),  # noqa: F821
    "absolute": lambda a, b: absolute(a),  # noqa: F821
    "copy_sign": lambda a, b: copy_sign(a, b),  # noqa: F821
    "maximum": lambda a, b: maximum(a, b),  # noqa: F821
    "accumulate": lambda a, b: accumulate(a, b),  # noqa: F821
    "multiply_add": lambda a, b: multiply_add(a, b, a),  # noqa: F821
    "select": lambda a, b: select(a <= b, a, b),  # noqa: F821
    "to_bits": lambda a, b: to_bits(a),  # noqa: F821
    "from_bits": lambda a, b: from_bits(to_bits(a) + 1),  # noqa: F821
    "double": lambda a, b: double(a),  # noqa: F821
    "real": lambda a, b: real(a),  # noqa: F821
    "polynomial": lambda a, b: horner(a),  # noqa: F821
    "polynomial without a constant": lambda a, b: odd(a),  # noqa: F821
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_mean_the_same_plain_and_compiled(dtype, name):
    number = np.dtype(dtype).type
    program, level = PROGRAMS[name], LEVELS[min(LEVELS)]
    vocabularies = [intrinsics.vocabulary(dtype, level), {**vars(simd), "real": number}]
    functions = []
    for vocabulary in vocabularies:
        horner = vocabulary["polynomial"](tuple(map(number, (2, -1, 0.5))))
        odd = vocabulary["polynomial"](tuple(map(number, (2, 0, 1, 0))))
        functions.append(type(program)(program.__code__, {**vocabulary, "horner": horner, "odd": odd}))
    compiled, plain = njit(**POLICY)(functions[0]), functions[1]
    for a in special(dtype):
        for b in special(dtype):
            with np.errstate(all="ignore"):
                expected, actual = plain(a, b), compiled(a, b)
            np.testing.assert_array_equal(actual, expected)
            if not np.isnan(expected) and not (name == "maximum" and a == b):  # either zero is the larger one
                assert np.signbit(actual) == np.signbit(expected)


def test_quotient_rounds_down():
    compiled = njit(**POLICY)(type(test_quotient_rounds_down)((lambda a, b: quotient(a, b)).__code__, vars(intrinsics)))  # noqa: F821
    for a, b in ((0, 3), (2, 3), (3, 3), (7, 3), (2**62, 2**31 + 1)):
        assert compiled(a, b) == simd.quotient(a, b) == a // b


def test_bits_are_counted():
    program = (lambda word: count_bits(word)).__code__  # noqa: F821
    compiled = njit(**POLICY)(type(test_bits_are_counted)(program, vars(intrinsics)))
    for word, count in ((0, 0), (1, 1), (-1, 64), (-(2**63), 1), (2**63 - 1, 63), (0b1011, 3)):
        assert compiled(word) == simd.count_bits(np.int64(word)) == count


@pytest.mark.parametrize("n", [-(2**40), -1, 0, 1, 3, 2**31 - 1, 2**31, 2**32, 2**40])
def test_any_number_of_lanes_may_be_asked_for(dtype, n):
    """All of them if it is large: larger too than what a lane can hold."""
    level = LEVELS[min(LEVELS)]
    lanes = level.vector_bytes // np.dtype(dtype).itemsize
    vocabulary = intrinsics.vocabulary(dtype, level)

    def count(address, n):
        numbers = load_first(reals(address), 0, n)  # noqa: F821
        below = select(lanes_below(n), spread(real(1)), real(0))  # noqa: F821
        return sum_lanes(numbers), sum_lanes(below)  # noqa: F821

    compiled = njit(**POLICY)(type(count)(count.__code__, vocabulary))
    ones = np.ones(lanes, dtype)
    assert compiled(ones.ctypes.data, n) == (min(max(n, 0), lanes),) * 2


def test_subnormal_results_may_be_flushed_and_python_gets_its_own_back(fast_backend, dtype):
    """tiny / 2 is subnormal: zero in kernels, and a number before and after them."""
    tiny = np.finfo(dtype).tiny
    network = case((1, 1), (), "identity", "mean_squared_error", dtype, 1)
    network.parameters[:] = 0.5, 0
    output = network.executor(fast_backend).predict(np.full((1, 1), tiny))
    assert output[0, 0] == 0
    assert np.full(3, tiny).sum() / 6 > 0
    assert network.executor(fast_backend).predict(np.full((1, 1), 2 * tiny))[0, 0] == tiny


# --- pointers


def test_pointers_stay_in_their_buffer():
    buffer = np.arange(5.0)
    p = Pointer(buffer, 2)
    assert (p[0], p[2], p[-2], at(p, 1)[1]) == (2, 4, 0, 4)
    p[2] = 9
    assert buffer[4] == 9
    for i in (-3, 3):
        with pytest.raises(IndexError, match=f"element {2 + i} of a buffer of 5"):
            p[i]
        with pytest.raises(IndexError):
            p[i] = 1.0
    past = at(p, 3)  # may be made, as at the end of a loop, but not followed
    with pytest.raises(IndexError):
        past[0]


def test_blocks_stay_in_their_buffer():
    buffer = np.arange(12.0)
    block = Pointer(buffer, 1).block(2, 4, 3)
    assert block.tolist() == [[1, 2, 3], [5, 6, 7]]
    block[1, 2] = -1
    assert buffer[7] == -1
    assert Pointer(buffer, 1).block(2, 1, 3, 4).tolist() == [[1, 5, 9], [2, 6, 10]]
    assert Pointer(buffer, 12).block(0, 4, 3).shape == (0, 3)
    Pointer(buffer, 1).block(2, 8, 3)
    for arguments in ((3, 4, 4), (2, 9, 3), (1, 0, 12)):
        with pytest.raises(IndexError):
            Pointer(buffer, 1).block(*arguments)
    with pytest.raises(IndexError):
        Pointer(buffer, -1).block(1, 0, 1)


def test_addresses_lead_only_into_what_is_visible():
    buffer, other = np.arange(4.0), np.arange(4.0)
    address = buffer.ctypes.data
    with visible([buffer]):
        p = pointer(np.float64, address + 8)
        assert (p[0], p[-1], p[2]) == (1, 0, 3)
        p[0] = 7
        assert buffer[1] == 7
        for wrong in (0, other.ctypes.data, address - 8, address + 4 * 8):
            with pytest.raises(IndexError, match="must lie inside a buffer of the plan"):
                pointer(np.float64, wrong)
        with pytest.raises(IndexError, match="must be a multiple of 8 bytes into its buffer"):
            pointer(np.float64, address + 4)
    with pytest.raises(IndexError):
        pointer(np.float64, address)


def test_functions_by_address():
    sums = []

    def add(a, b):
        sums.append(a + b)

    address = simd.address_of(add)
    assert address == simd.address_of(add) > 0
    assert simd.call(address, 1, 2) is None
    assert sums == [3]


# --- planted errors, on the backend whose memory is checked

INTERPRETED = backend("interpreted")


def run_everything(network):
    who = network.executor(INTERPRETED)
    who.predict(network.X.astype("float32" if network.model.dtype == "float64" else "float64"))  # has to be gathered
    who.backward(network.X, np.ones((len(network.X), network.model.sizes[-1])))
    who.training(network.X, network.y, network.state(Adam()), Schedule(Adam(), 4, 1, 1)).run(0, 2)


def test_scratch_that_is_too_small_is_caught(dtype, monkeypatch):
    """One buffer after the other is made two numbers shorter: each time, some pointer leaves it. Chunks are full,
    widths equal, and the features whole vectors, so that every buffer is needed to its end."""
    network = case((32, 33, 33), "tanh", "softmax", "categorical_cross_entropy", dtype, samples=8)
    for module in (executor, prediction):
        monkeypatch.setattr(module, "CHUNK", 8)
    scratch, made = plan.scratch, []

    def shortened(shorten):
        def allocate(count, number):
            made.append(count)
            return scratch(count - 2 if len(made) - 1 == shorten else count, number)

        return allocate

    def attempt(shorten):
        made.clear()
        monkeypatch.setattr(plan, "scratch", shortened(shorten))
        run_everything(network)

    attempt(None)
    for shorten in range(len(made)):
        with pytest.raises(IndexError):
            attempt(shorten)


def test_arrays_that_are_too_short_are_caught():
    network = case((3, 4, 2), "tanh", "softmax", "categorical_cross_entropy", "float64", samples=5)
    who = network.executor(INTERPRETED)
    who.gradient(network.X, network.y)
    with pytest.raises(IndexError):
        who.gradient(network.X, network.y[:4])
    with pytest.raises(IndexError):
        who.gradient(network.X[:, :2], network.y)
    who.parameters = network.parameters[:-1].copy()
    who.changed()
    with pytest.raises(IndexError):
        who.predict(network.X)


def test_one_network_does_not_see_the_memory_of_another():
    network = case((3, 4, 2), "tanh", "identity", "mean_squared_error", "float64", 5)
    network.executor(INTERPRETED).predict(network.X)
    with pytest.raises(IndexError):
        pointer(np.float64, network.X.ctypes.data)
    with visible([network.X.copy()]), pytest.raises(IndexError):
        pointer(np.float64, network.X.ctypes.data)


def test_a_mask_is_for_two_rows():
    tile, lanes = (_namespace("float64", LEVELS["x86-64-v3"])[name] for name in ("masked_tile", "LANES"))
    a, b, c = (simd.Pointer(np.ones(100)) for _ in range(3))
    mask = np.array([0b101])
    with visible([mask]):
        tile(1, 2, 1, mask.ctypes.data, 0, a, 3, 1, b, lanes, 0, c, lanes, 0, c, lanes, 0, 1.0)
        assert c.elements.tolist() == [3] * 2 * lanes + [1] * (100 - 2 * lanes)
        with pytest.raises(IndexError, match="3 vectors, which are neither one nor those of one or two panels"):
            tile(3, 2, 1, mask.ctypes.data, 0, a, 3, 1, b, lanes, 0, c, lanes, 0, c, lanes, 0, 1.0)
        with pytest.raises(IndexError, match="3 rows with a mask, which is for 2"):
            tile(1, 3, 1, mask.ctypes.data, 0, a, 3, 1, b, lanes, 0, c, lanes, 0, c, lanes, 0, 1.0)


def test_helpers_are_compiled_once_for_all_constants():
    """As Numba would not: what they are called with, by name or place, makes no difference but in its type."""
    add = for_any_value(njit(lambda a, b: a + b))
    call = njit(lambda x: add(x, 1) + add(x, 2) + add(b=3, a=x) + add(x, x))
    assert call(5) == 5 + 1 + 5 + 2 + 5 + 3 + 10
    assert add.signatures == [(types.int64, types.int64)]
