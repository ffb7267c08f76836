"""``gennaker.records.dataclass`` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
import types
from typing import Any

import pytest

import gennaker.records

CLASSES = '''
"""Some values."""
from __future__ import annotations
from dataclasses import field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Plain:
    kind: ClassVar[str] = "plain"
    name: str
    count: int = 3
    names: list[str] = field(default_factory=list)
    note: Any = field(default=None, compare=False)
    secret: str = field(default="", repr=False)

    @property
    def twice(self) -> int:
        return self.count * 2


@dataclass(frozen=True, slots=True)
class Longer(Plain):
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    instance: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Told:
    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise ValueError("nothing is told")

    def __repr__(self) -> str:
        return f"<{self.text}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    offset: int


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    fields: Any = field(default=None, hash=False)
    only: Any = field(default=0, compare=False, hash=True)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    major: int
    minor: int = 0
    text: str = field(default="", compare=False)
'''


def make_module(name: str, decorator: Any) -> Any:
    """Make the classes above with a decorator, in a module of their own."""
    module = types.ModuleType(name)
    module.__dict__["dataclass"] = decorator
    sys.modules[name] = module
    exec(CLASSES, module.__dict__)
    return module


@pytest.fixture(scope="module", params=["ours", "theirs"])
def made(request: pytest.FixtureRequest) -> Any:
    """The module of the classes, once ours and once the standard library's: all hold for both."""
    decorator = {"ours": gennaker.records.dataclass, "theirs": dataclasses.dataclass}[request.param]
    module = make_module(f"sample_{request.param}", decorator)
    yield module
    del sys.modules[module.__name__]


def test_values_are_made_and_shown(made: Any) -> None:
    """Positions, keywords, defaults and factories; shown by their fields, or as the class says."""
    assert repr(made.Plain("a")) == "Plain(name='a', count=3, names=[], note=None)"
    assert repr(made.Longer("a", 1, ["x"], 2, "s3cret", ("y",))).endswith("note=2, more=('y',))")
    assert repr(made.Started(instance="b", at=1.5)) == "Started(at=1.5, instance='b', attempt=1)"
    assert (made.Plain("a").twice, made.Plain.kind, repr(made.Empty())) == (6, "plain", "Empty()")
    assert repr(made.Told("it")) == "<it>"
    assert made.Plain("a").names is not made.Plain("b").names
    with pytest.raises(ValueError, match="nothing is told"):
        made.Told("")
    endless = made.Plain("a")
    endless.names.append(endless)
    assert repr(endless) == "Plain(name='a', count=3, names=[...], note=None)"


@pytest.mark.parametrize("given", [((), {}), (("a",), {"x": 1}), (("a", 1, [], 2, "", 3), {})])
def test_what_does_not_fit_is_refused(made: Any, given: tuple[Any, Any]) -> None:
    """A missing, an unknown and a superfluous argument are TypeErrors, as is a position for a keyword."""
    with pytest.raises(TypeError, match=r"Plain.__init__\(\)"):
        made.Plain(*given[0], **given[1])
    with pytest.raises(TypeError, match=r"Started.__init__\(\)"):
        made.Started(1.5, "b")


def test_values_are_compared_by_their_fields(made: Any) -> None:
    """Equal and hashed by the fields that count, within one class; by identity where that is asked."""
    assert made.Told("a") == made.Told("a") != made.Told("b")
    assert hash(made.Told("a")) == hash(made.Told("a"))
    assert made.Plain("a", note=1) == made.Plain("a", note=2)
    assert made.Plain("a") != made.Longer("a")
    assert made.Empty() == made.Empty()
    assert made.Plain("a") != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(made.Plain("a"))
    assert made.Node(1) != made.Node(1)
    assert made.Kind("a", {"b": 1}) != made.Kind("a", {"b": 2})
    assert hash(made.Kind("a", {"b": 1})) == hash(made.Kind("a", {"b": 2}))
    assert made.Kind("a") == made.Kind("a", only=1)
    assert hash(made.Kind("a")) != hash(made.Kind("a", only=1))


def test_values_are_ordered_where_that_is_asked(made: Any) -> None:
    """By the fields that count, in their order, within one class; else not at all."""
    one, other, last = made.Version(1, text="b"), made.Version(1, text="a"), made.Version(1, 5)
    assert (one < last, last > one, one <= other, one >= other, one < other) == (
        *(True,) * 4,
        False,
    )
    assert sorted([made.Version(2), last, one]) == [one, last, made.Version(2)]
    with pytest.raises(TypeError, match="not supported between instances"):
        _ = one < (1, 0)
    with pytest.raises(TypeError, match="not supported between instances"):
        _ = made.Told("a") < made.Told("b")


def test_values_are_frozen_and_have_slots(made: Any) -> None:
    """Nothing can be set or deleted, nor anything added."""
    value = made.Plain("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="assign to field 'name'"):
        value.name = 1
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        value.other = 1  # of theirs, Python 3.11 says so by mistake with a TypeError
    with pytest.raises(dataclasses.FrozenInstanceError, match="delete field 'name'"):
        del value.name
    assert not hasattr(value, "__dict__")


def test_values_are_copied_and_read_as_dataclasses(made: Any) -> None:
    """``copy``, ``pickle``, ``replace``, ``asdict``, ``fields`` and patterns work."""
    value = made.Longer("a", names=["x"], note=4)
    pickled = pickle.loads(pickle.dumps(value))  # noqa: S301 - what this line has written
    for again in (copy.copy(value), copy.deepcopy(value), pickled):
        assert (again, again.note) == (value, 4)
    assert dataclasses.replace(value, count=9) == made.Longer("a", 9, ["x"])
    assert dataclasses.asdict(made.Started(at=1.0, instance="b")) == {
        "at": 1.0,
        "instance": "b",
        "attempt": 1,
    }
    assert [each.name for each in dataclasses.fields(made.Started)] == ["at", "instance", "attempt"]
    assert made.Longer.__match_args__ == ("name", "count", "names", "note", "secret", "more")
    assert list(inspect.signature(made.Started).parameters) == ["at", "instance", "attempt"]


def test_a_field_that_only_they_can_make_is_refused() -> None:
    """What is not supported is told when the class is made."""
    with pytest.raises(TypeError, match=r"Odd\.value: init=False is for the standard library"):

        @gennaker.records.dataclass(frozen=True, slots=True)
        class Odd:
            value: int = dataclasses.field(default=1, init=False)
