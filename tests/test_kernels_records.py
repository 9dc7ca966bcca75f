"""Records are frozen dataclasses: what the standard library's own do is the oracle."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from functools import cached_property

import pytest

from fastmlp import SGD
from fastmlp.kernels.base.records import Record, frozen


@frozen
class Row(Record):
    """A record with one field of each kind."""

    name: str
    size: int = 3
    notes: list = field(default_factory=list, hash=False)
    where: object = field(default=None, compare=False)
    secret: str = field(default="", repr=False)

    @cached_property
    def doubled(self) -> int:
        return 2 * self.size


@frozen
class Longer(Row):
    """It has one more."""

    last: float = 0.5


@dataclass(frozen=True)
class Oracle:
    """The fields of Row."""

    name: str
    size: int = 3
    notes: list = field(default_factory=list, hash=False)
    where: object = field(default=None, compare=False)
    secret: str = field(default="", repr=False)


ARGUMENTS = [
    {"name": "a"},
    {"name": "b"},
    {"name": "a", "size": 4},
    {"name": "a", "notes": [1]},
    {"name": "a", "where": "elsewhere"},
    {"name": "a", "secret": "b"},
]


@pytest.mark.parametrize("one", ARGUMENTS)
@pytest.mark.parametrize("other", ARGUMENTS)
def test_records_are_equal_and_hashed_where_dataclasses_are(one, other):
    assert (Row(**one) == Row(**other)) == (Oracle(**one) == Oracle(**other))
    same_hash = hash(Oracle(**one)) == hash(Oracle(**other))
    assert (hash(Row(**one)) == hash(Row(**other))) == same_hash


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_they_are_shown_as_dataclasses_are(arguments):
    assert repr(Row(**arguments)) == repr(Oracle(**arguments)).replace("Oracle", "Row")
    assert inspect.signature(Row) == inspect.signature(Oracle)
    assert asdict(Row(**arguments)) == asdict(Oracle(**arguments))


def test_other_classes_are_never_equal():
    assert Longer("a") != Row("a")
    assert Row("a") != Oracle("a")
    assert Row("a") != "a"


def test_fields_of_a_class_follow_those_of_its_base():
    assert is_dataclass(Longer)
    assert [f.name for f in fields(Longer)] == ["name", "size", "notes", "where", "secret", "last"]
    assert repr(Longer("a", last=1.0)) == "Longer(name='a', size=3, notes=[], where=None, last=1.0)"


@pytest.mark.parametrize("name", ["name", "size", "notes", "doubled", "unknown"])
def test_nothing_can_be_assigned_or_deleted(name):
    record = Row("a")
    before = asdict(record)
    with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(record, name, 1)
    with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(record, name)
    assert asdict(record) == before


def test_copies_are_equal():
    record = Row("a", 5, [1, 2])
    assert record.doubled == 10  # is kept, and is no field
    for again in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record)), replace(record)):
        assert again == record
        assert again.doubled == 10
    assert replace(record, size=6).doubled == 12


class Doubled(SGD):
    """One with an `__init__`, and an attribute that is no field."""

    note: str  # no field either

    def __init__(self, rate):
        super().__init__(learning_rate=2 * rate)
        self.note = "twice"


class Again(Doubled):
    pass


def test_users_may_derive_classes():
    for each in (Doubled(0.1), Again(0.1)):
        assert (each.learning_rate, each.note) == (0.2, "twice")
        each.note = "thrice"
        assert each.note == "thrice"
        with pytest.raises(FrozenInstanceError, match="cannot assign to field 'learning_rate'"):
            each.learning_rate = 1.0
    assert Doubled(0.1) != SGD(0.2)
    assert Doubled(0.1) == Doubled(0.1)
