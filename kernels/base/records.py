"""Records: frozen dataclasses that are made quickly."""

from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

Class = TypeVar("Class", bound=type["Record"])


class Record:
    """What classes decorated with `frozen` are made from, which are compared, hashed and shown by their fields."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _compared: "ClassVar[attrgetter[Any]]"
    _hashed: "ClassVar[attrgetter[Any]]"

    def __setattr__(self, name: str, value: Any) -> None:
        known = name in self.__dataclass_fields__
        if name in vars(self) if known else "_compared" in type(self).__dict__:  # __init__ sets each field once
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Of one moment: another thread may be keeping a property that it has computed while this one copies."""
        return vars(self).copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return bool(self._compared(self) == other._compared(other))

    def __hash__(self) -> int:
        return hash(self._hashed(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"{type(self).__qualname__}({shown})"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Class) -> Class:
    """Make a frozen dataclass of a subclass of Record.

    Only `__init__` is written for it, all else stands in Record: `@dataclass(frozen=True)` would compile nine functions
    for each class, which took a third of the time that importing the package does.
    """
    dataclass(eq=False, repr=False)(cls)
    every = fields(cls)
    cls._compared = attrgetter("__class__", *(f.name for f in every if f.compare))
    cls._hashed = attrgetter("__class__", *(f.name for f in every if (f.compare if f.hash is None else f.hash)))
    return cls
