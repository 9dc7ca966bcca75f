"""Records: classes of fields that stay as they were made."""

from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """Classes below are frozen dataclasses, and compared, hashed and shown as these are.

    Only `__init__` is written for each of them, all else stands here once: `@dataclass(frozen=True)` would compile nine
    functions for each class, in which the import of the package spent a third of its time.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _compared: "ClassVar[attrgetter[Any]]"
    _hashed: "ClassVar[attrgetter[Any]]"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(eq=False, repr=False)(cls)
        every = fields(cls)
        cls._compared = attrgetter("__class__", *(f.name for f in every if f.compare))
        cls._hashed = attrgetter("__class__", *(f.name for f in every if (f.compare if f.hash is None else f.hash)))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) or name not in self.__dataclass_fields__:  # __init__ sets each once
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return bool(self._compared(self) == other._compared(other))

    def __hash__(self) -> int:
        return hash(self._hashed(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"{type(self).__qualname__}({shown})"
