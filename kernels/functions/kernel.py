"""What a kernel is: its function, and the kinds of what it takes and returns.

A kernel is a plain Python function and, for a template, the functions that its free names are bound to. The kinds:

    plan      pointer to a PLAN, see `layers/plan.py`
    integer   int64: a row, a step, a stride, an address
    double    float64;  doubles: pointer to float64
    reals     pointer to the kernel's number type
    vector    LANES numbers of this type;  vectors: two of them
    <dtype>   pointer to the numbers of a source, as they are in the user's array
    nothing   (result only)
"""

from collections.abc import Callable
from dataclasses import field
from typing import Any

from ..base.records import Record, frozen

SOURCE_DTYPES = (
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
"""Number types that samples are read in without a copy."""

COLUMN_DTYPES = "int32", "int64"
"""Number types of the columns of sparse samples."""

BLOCK = ("integer", "integer", "integer")  # rows, columns, stride
ACTIVATION = ("reals", "reals", *BLOCK, "doubles")
ACTIVATION_OF_VECTOR = ("vector", "doubles")
LOSS = ("reals", "reals", "reals", "doubles", *BLOCK, "double", "doubles")
LOSS_OF_VECTOR = ("vector", "vector", "vector", "doubles")


@frozen
class Kernel(Record):
    """A row of the table."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    result: str = "nothing"
    bound: dict[str, Callable[..., Any]] = field(default_factory=dict, hash=False)
    foreign: dict[str, Callable[..., Any]] = field(default_factory=dict, hash=False)  # bound to functions of users
    of_vectors: Callable[..., Any] | None = None  # the template for these, if they are formulas: see `tracing.py`
    points: tuple[tuple[float, ...], ...] = field(default=(), compare=False)  # numbers to compare formulas at
