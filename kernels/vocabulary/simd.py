"""The vocabulary that kernels are written in, with its meaning in plain Python.

Every kernel module imports the names below and nothing else that computes. What they mean depends on who runs the
kernel (`specialize.py` binds them):

- here, each name is a few lines of Python and NumPy, and a pointer checks its bounds: kernels run without a compiler,
  under a debugger, with coverage;
- `intrinsics.py` gives each name as LLVM instructions, for the two compilers;
- `reference.py` lets scalar formulas run on whole NumPy arrays.

A kernel is specialised to one number type, `real` (float32 or float64), and to one CPU level, which sets LANES,
TILE_ROWS and PANEL. Literal constants are written `real(0.5)`: a bare Python float would widen float32
arithmetic to float64.
"""

import ctypes
import threading
import time
from typing import Any

import numpy as np

from ..base.records import Record, frozen
from .structures import View

LANES = 0  # numbers in a vector register
TILE_ROWS = 0  # most rows of a tile
PANEL = 0  # numbers in a row of a full panel of packed weights: PANEL_VECTORS vectors
PANEL_VECTORS = 2
NEIGHBORS = 2  # rows that share a mask of columns: the fewer, the more is zero in all of them
WORD_BITS = 64  # bits of an integer


@frozen
class Constant(Record):
    """A number that differs between float32 and float64; a kernel sees the one of its `real`."""

    float32: float
    float64: float


class Polynomial:
    """c[0] x^n + ... + c[n]; a kernel sees a function of x with the coefficients of its `real`."""

    def __init__(self, *, float32, float64):
        self.float32 = tuple(float32)
        self.float64 = tuple(float64)


def polynomial(coefficients):
    """The function that evaluates these coefficients, highest power first: terms in pairs, then pairs of pairs.

    G. Estrin, "Organization of computer systems: the fixed plus variable structure computer", 1960. Horner's rule needs
    fewer operations, but each waits for the one before; with three terms, they wait as long either way. Zeros are not
    added.
    """

    def evaluate(x):
        zero = 0.0
        terms = [c if c else zero for c in coefficients[::-1]]
        while len(terms) > 1:
            if len(terms) == 3:
                terms[1:] = [terms[2] * x if terms[1] is zero else terms[2] * x + terms[1]]
            pairs = zip(terms[::2], terms[1::2], strict=False)
            rest = terms[len(terms) & ~1 :]
            terms = [high * x if low is zero else high * x + low for low, high in pairs] + rest
            x = x * x
        return terms[0]

    return evaluate


# --- numbers: scalars here, arrays in the reference


def real(value):
    """`value` as the kernel's number type."""
    return np.float64(value)


def double(x):
    """`x` as float64."""
    return np.float64(x)


def select(condition, a, b):
    """`a` where the condition holds, else `b`; both are evaluated."""
    return np.where(condition, a, b)[()]


def sqrt(x):
    """The correctly rounded square root."""
    return np.sqrt(x)


def multiply_add(a, b, c):
    """a b + c, rounded once where the CPU can."""
    return a * b + c


def absolute(x):
    """|x|: the sign bit cleared."""
    return np.abs(x)


def copy_sign(x, sign):
    """|x| with the sign bit of `sign`."""
    return np.copysign(x, sign)


def maximum(a, b):
    """The larger one; NaN if either is."""
    return np.maximum(a, b)


def accumulate(total, x):
    """total + x in a sum whose order is free, so that it may be computed in lanes."""
    return total + x


def to_bits(x):
    """The bits of a float as a signed integer of its width."""
    return x.view(np.int32 if x.dtype.itemsize == 4 else np.int64)


def from_bits(n):
    """The float of the integer's width with these bits."""
    return n.view(np.float32 if n.dtype.itemsize == 4 else np.float64)


def quotient(a, b):
    """a / b rounded down, for integers a >= 0 and b > 0."""
    return a // b


# --- memory

_visible: list[tuple[int, int]] = []  # address ranges that pointers may enter, first and past-the-end byte


class visible:
    """While this context is entered, pointers may read and write these arrays, and nothing else."""

    def __init__(self, arrays):
        self.ranges = [np.lib.array_utils.byte_bounds(a) for a in arrays]

    def __enter__(self):
        _visible.extend(self.ranges)

    def __exit__(self, *error):
        for r in self.ranges:
            _visible.remove(r)


class Pointer:
    """A position in a 1-D array (or a list); every access is checked against the array's ends."""

    def __init__(self, elements, index=0):
        self.elements = elements
        self.index = index

    def _checked(self, i):
        position = self.index + i
        if not 0 <= position < len(self.elements):
            raise IndexError(f"element {position} of a buffer of {len(self.elements)}")
        return position

    def __getitem__(self, i):
        return self.elements[self._checked(i)]

    def __setitem__(self, i, value):
        self.elements[self._checked(i)] = value

    def block(self, rows, row_stride, columns, column_stride=1):
        """The (rows, columns) view that starts here."""
        if rows > 0 and columns > 0:
            self._checked(0)
            self._checked((rows - 1) * row_stride + (columns - 1) * column_stride)
        size = self.elements.itemsize
        return np.lib.stride_tricks.as_strided(
            self.elements[self.index :], (rows, columns), (row_stride * size, column_stride * size)
        )


def pointer(dtype, address):
    """Pointer to numbers of `dtype` at an address inside a visible array."""
    dtype = np.dtype(dtype)
    for low, high in _visible:
        if low == address == high:
            return Pointer(np.empty(0, dtype))
        if low <= address < high:
            if (address - low) % dtype.itemsize:
                raise IndexError(f"address {address} must be a multiple of {dtype.itemsize} bytes into its buffer")
            memory = (ctypes.c_char * ((high - low) // dtype.itemsize * dtype.itemsize)).from_address(low)
            return Pointer(np.frombuffer(memory, dtype), (address - low) // dtype.itemsize)
    raise IndexError(f"address {address} must lie inside a buffer of the plan")


def reals(address):
    """Pointer to numbers of the kernel's type."""
    return pointer(np.float64, address)


def doubles(address):
    """Pointer to float64."""
    return pointer(np.float64, address)


def integers(address):
    """Pointer to int64."""
    return pointer(np.int64, address)


def at(p, i):
    """The pointer `i` elements further."""
    return Pointer(p.elements, p.index + i)


def structure(described):
    """A function of a pointer, to words or to a structure, and a number of words: such a structure so many words on."""
    pointers = {"reals": reals, "doubles": doubles, "integers": integers}

    def view(p, i):
        words = at(p.words if isinstance(p, View) else p, i)
        return View(described, Pointer(words.elements.view(np.int64), words.index), pointers)

    return view


def prefetch(address):
    """Have what lies at an address brought nearer to the CPU; nothing waits for it."""
    pointer(np.uint8, address)


# --- functions by address

_functions: list[Any] = [None]  # address 0 is null


def address_of(function):
    """A number by which `call` finds the function."""
    if function not in _functions:
        _functions.append(function)
    return _functions.index(function)


def call(address, *arguments):
    """Call the function at this address; it returns nothing."""
    _functions[address](*arguments)


def call_for_vectors(address, *arguments):
    """Call the function at this address, and return the two vectors that it returns."""
    return _functions[address](*arguments)


# --- vectors: LANES numbers. What is above for numbers works on them too, beside numbers that stand for all lanes.


def load(p, i):
    """The vector that begins at p[i], an address that is a multiple of its size."""
    return at(p, i).block(1, 0, LANES)[0].copy()


def store(p, i, value):
    """Write a vector to where `load` would read it."""
    at(p, i).block(1, 0, LANES)[0] = value


def load_anywhere(p, i):
    """The vector that begins at p[i], any number's address."""
    return at(p, i).block(1, 0, LANES)[0].copy()


def load_first(p, i, n):
    """The first n numbers from p[i] on, zero in the other lanes; of any type, at any number's address."""
    n = max(0, min(n, LANES))
    vector = np.zeros(LANES, p.elements.dtype)
    vector[:n] = at(p, i).block(1, 0, n)[0]
    return vector


def store_first(p, i, n, value):
    """Write the first n lanes; to any number's address."""
    n = max(0, min(n, LANES))
    at(p, i).block(1, 0, n)[0] = value[:n]


def to_reals(v):
    """A vector of numbers of any type as numbers of the kernel's type."""
    return real(v)


def spread(x):
    """The number in all lanes."""
    return np.full(LANES, x)


def numbers_from(n):
    """The int64 n, n + 1, ... in the lanes."""
    return np.arange(n, n + LANES)


def lanes_below(n):
    """True in the lanes 0 ... n - 1: in none if n is negative, in all if it is large."""
    return np.arange(LANES) < n


def lane_is(n):
    """True in lane n."""
    return np.arange(LANES) == n


def lane_bits(condition):
    """The int64 whose bit k is 1 where the condition holds in lane k."""
    return np.int64(sum(1 << int(k) for k in np.flatnonzero(condition)))


def count_bits(word):
    """How many bits of an int64 are 1."""
    return (int(word) & (2**WORD_BITS - 1)).bit_count()


def first_lane(v):
    """The number in lane 0."""
    return v[0]


def rotate(v):
    """The number of the next lane in each, and that of lane 0 in the last."""
    return np.roll(v, -1)


def sum_lanes(v):
    """The sum of all lanes, in any order."""
    return v.sum()


def largest_lane(v):
    """The largest lane; any other, or NaN, if one is NaN."""
    return np.fmax.reduce(v)


# --- threads that work together share memory

_one_at_a_time = threading.Lock()


def fetch_add(p, i, value):
    """p[i] += value, and what p[i] was before, in one step that no other thread can come between."""
    with _one_at_a_time:
        before = p[i]
        p[i] = before + value
    return before


def fetch(p, i):
    """p[i] as another thread's `fetch_add` left it, and after it all that the other thread had written by then."""
    return p[i]


def pause():
    """A moment of waiting."""
    time.sleep(0)


# --- machine


def stay_apart():
    """The function that calls this is not to be merged into its callers: it is rarely called, or large."""


def tile(vectors, rows, depth, a, a_row, a_column, b, b_row, c, c_row, start, start_row, scale):
    """c = start + scale * (a @ b) for at most TILE_ROWS rows and vectors * LANES columns, all sums in registers.

    a[i, k] = a[i * a_row + k * a_column], k < depth;  b, c and start have contiguous rows of vectors * LANES numbers at
    the given row strides, aligned to a vector. start_row = 0 starts every row from the same numbers: a bias.
    """
    columns = vectors * LANES
    a, b = a.block(rows, a_row, depth, a_column), b.block(depth, b_row, columns)
    sums = np.zeros((rows, columns), a.dtype)
    for k in range(depth):
        sums += a[:, k, np.newaxis] * b[k]  # not a @ b, whose sums depend on the number of rows in their last bits
    c.block(rows, c_row, columns)[...] = start.block(rows, start_row, columns) + scale * sums


def masked_tile(
    vectors, rows, words, mask, begun, a, a_row, a_column, b, b_row, b_panel, c, c_row, c_panel, start, start_row,
    start_panel, scale,
):  # fmt: skip
    """The same for at most NEIGHBORS rows, those k whose bit is 1 in a mask of so many words, and one or two panels.

    Which are `b_panel`, `c_panel` and `start_panel` numbers apart. If it has `begun`, sums go on from what is in c.
    """
    if rows > NEIGHBORS:
        raise IndexError(f"{rows} rows with a mask, which is for {NEIGHBORS}")
    if vectors not in (1, PANEL_VECTORS, 2 * PANEL_VECTORS):
        raise IndexError(f"{vectors} vectors, which are neither one nor those of one or two panels")
    bits = integers(mask)
    depth = [k for k in range(words * WORD_BITS) if bits[k // WORD_BITS] >> k % WORD_BITS & 1]
    for j in range(vectors):
        p, column = j // PANEL_VECTORS, j % PANEL_VECTORS * LANES
        target = at(c, p * c_panel + column).block(rows, c_row, LANES)
        sums = target.copy() if begun else np.zeros_like(target)
        for k in depth:
            numbers = at(b, k * b_row + p * b_panel + column).block(1, 0, LANES)
            sums += at(a, k * a_column).block(rows, a_row, 1) * numbers
        target[...] = at(start, p * start_panel + column).block(rows, start_row, LANES) + scale * sums


def transpose(source, source_row, rows, zeros, target, target_row):
    """target[j, i] = source[i, j] for LANES rows and columns; from `rows` on, `zeros` stands for the source's rows."""
    block = target.block(LANES, target_row, LANES)
    for i in range(LANES):
        row = at(source, i * source_row) if i < rows else zeros
        block[:, i] = row.block(1, 0, LANES)[0]


def flush_subnormals():
    """From here on, this thread reads and writes subnormal numbers as zero; returns the state to restore."""
    return 0


def restore_subnormals(state):
    """Undo `flush_subnormals`."""
