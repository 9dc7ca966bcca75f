"""Bad input, and the sentence in which it is refused."""

import datetime
import decimal
import fractions
import re

import numpy as np
import pytest

SENTENCE = re.compile(r"(?P<argument>[A-Za-z_]\w*)(\[\d+\])? must be .+, got .+")  # no line break: `.` matches none
NAN, INF = float("nan"), float("inf")


def refusal(call, *arguments, **options):
    """The argument that a call complains about, in the sentence that is agreed."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call(*arguments, **options)
    assert type(caught.value) in (ValueError, TypeError)
    match = SENTENCE.fullmatch(str(caught.value))
    assert match, str(caught.value)
    assert len(str(caught.value)) < 350
    return match["argument"]


class Sparse:
    """What libraries of sparse matrices hand out: no sequence, no array."""

    shape = (3, 2)

    def toarray(self):
        return np.ones(self.shape)


def nested(depth):
    """Lists in lists, too deep for an array, and for `repr`."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


X, Y = np.arange(6.0).reshape(2, 3), np.array([[0.0, 1.0], [1.0, 0.0]])
BAD_NUMBERS = [  # for whatever must be a rectangular array of finite real numbers
    None, "abc", b"abc", 1j, object(), Sparse(), iter([1, 2]), {1, 2}, {"a": 1}, lambda: 1, nested(50), nested(2000),
    np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3)), np.ma.masked_array(np.ones((2, 3))),
]  # fmt: skip


def spoiled(good, value):
    """The array with one number replaced, in the forms that it may have."""
    wrong = np.array(good, float)
    wrong[(-1,) * wrong.ndim] = value
    return [wrong, wrong.astype(np.float32), wrong.tolist(), np.asfortranarray(wrong), wrong[::-1], wrong.astype(">f8")]


def bad_arrays(good):
    """No arrays of finite numbers, though their shape is right, or could be."""
    yield from BAD_NUMBERS
    for value in (NAN, INF, -INF):
        yield from spoiled(good, value)
    yield np.array(good, float) + 1e39  # infinite as float32
    yield np.array(good, np.longdouble) + np.longdouble("1e400")
    yield np.array(good, np.float16) + np.float16(INF)
    for dtype in (complex, object, str, "S3", "M8[s]", "m8[s]", "V8", [("a", "f4")]):
        yield np.zeros(np.shape(good), dtype)
    for wrong in ([], None, "x"):  # a ragged list, and one with a gap
        yield [*np.array(good, float).tolist()[:-1], wrong]
    yield np.full(np.shape(good), 10**30, object).tolist()
    yield np.full(np.shape(good), decimal.Decimal(1)).tolist()
    yield np.full(np.shape(good), fractions.Fraction(1, 2)).tolist()
    yield np.full(np.shape(good), datetime.date(2000, 1, 1)).tolist()


def bad_shapes(*shapes):
    return [np.zeros(shape) for shape in shapes]


BAD_X = [
    *bad_arrays(X),
    *bad_shapes((), (0,), (2,), (0, 3), (3, 0), (0, 0), (2, 2), (2, 4), (1, 2, 3), (2, 3, 1), (1, 1, 1, 3)),
    [], [[]], [[], []], [[1, 2, 3], [4, 5]], [[1, 2], [3, 4]], 5, 5.0, True,
]  # fmt: skip
