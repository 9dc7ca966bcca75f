"""Structures: what lies in a few words of memory, described once for kernels, for Python, and for people.

Each field is a word of 8 bytes. Kernels read and write fields as attributes of a pointer, with the type that the kind
of the field says:

    integer    int64
    flag       True or False
    double     float64
    address    int64: of a function, or of numbers whose type only that function knows; 0: none
    reals, doubles, integers, and structures    a pointer

What may be absent, by an address of 0, has two more attributes: `has_x` says whether there is x, and `x_address` is
its address as int64.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np

INTEGER, FLAG, DOUBLE, ADDRESS = "integer", "flag", "double", "address"
REALS, DOUBLES, INTEGERS = "reals", "doubles", "integers"
WORD = 8  # bytes


class Field(NamedTuple):
    """One word."""

    name: str
    kind: "str | Structure"
    note: str = ""
    own: bool = False  # each rank has a word, and memory, of its own

    @property
    def is_pointer(self) -> bool:
        return self.kind in (REALS, DOUBLES, INTEGERS) or isinstance(self.kind, Structure)


class Structure:
    """Fields, one after the other."""

    def __init__(self, name: str, *fields: Field) -> None:
        self.name, self.fields = name, fields
        self.attributes: dict[str, tuple[int, str | Structure]] = {}
        """The word and the kind of everything that kernels may ask for."""
        for word, field in enumerate(fields):
            self.attributes[field.name] = word, field.kind
            if field.is_pointer:
                self.attributes[f"{field.name}_address"] = word, INTEGER
            if field.is_pointer or field.kind == ADDRESS:
                self.attributes[f"has_{field.name}"] = word, FLAG
        words = [(field.name, ctypes.c_int64) for field in fields]
        self._words: type[Words] = type(name, (Words,), {"_fields_": words, "__slots__": ()})

    def views(self, memory: np.ndarray[Any, np.dtype[np.int64]], count: int, first: int = 0) -> list[Any]:
        """So many structures in an array of int64, from word `first` on: Python sees all fields as integers."""
        starts = range(first, first + count * len(self), len(self))
        return [self._words.from_buffer(memory, WORD * start) for start in starts]  # type: ignore[arg-type]

    def word(self, name: str) -> int:
        """Where a field is."""
        return self.attributes[name][0]

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return f"Structure({self.name!r}, {len(self)} fields)"


class Words(ctypes.Structure):
    """A structure as Python sees it. It has no attributes but the fields."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(f"{name:24} {getattr(self, name)}" for name, *_ in self._fields_)


class View:
    """A structure as kernels see it where Python runs them: at a pointer to int64, with pointers of these kinds."""

    def __init__(self, structure: Structure, words: Any, pointers: dict[str, Any]) -> None:
        vars(self).update(_structure=structure, words=words, _pointers=pointers)

    def __getattr__(self, name: str) -> Any:
        word, kind = self._structure.attributes[name]
        number = self.words[word]
        if kind == FLAG:
            return bool(number != 0)
        if kind == DOUBLE:
            return np.int64(number).view(np.float64)
        if isinstance(kind, Structure):
            return View(kind, self._pointers[INTEGERS](number), self._pointers)
        return self._pointers[kind](number) if kind in self._pointers else number

    def __setattr__(self, name: str, value: Any) -> None:
        word, kind = self._structure.attributes[name]
        self.words[word] = np.float64(value).view(np.int64) if kind == DOUBLE else value

    def __repr__(self) -> str:
        values = (f"{field.name:24} {self.words[word]}" for word, field in enumerate(self._structure.fields))
        return "\n".join([self._structure.name, *values])
