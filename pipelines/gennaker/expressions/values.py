"""The values an expression works on, beside plain JSON data.

``Unknown`` and ``SecretText`` also leave expressions: the engine stores them in their JSON form
(:func:`to_json`), plans show them, and only the call that starts a stage reveals secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Never

from gennaker.errors import ExpressionError, MissingOutput
from gennaker.records import dataclass

__all__ = [
    "NUMBERS",
    "NoOutputs",
    "OptionalValue",
    "SecretRef",
    "SecretText",
    "TypeValue",
    "Uint",
    "Unknown",
    "UnknownText",
    "from_json",
    "kind_of",
    "shown",
    "to_json",
]

Json = Any

NUMBERS: Final = frozenset({"int", "uint", "double"})


class Uint(int):
    """CEL's ``uint``: compares and hashes as the number it is, but is a type of its own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value, what ``type(x)`` gives; equal only to itself."""

    name: str


@dataclass(frozen=True, slots=True)
class OptionalValue:
    """CEL's optional: ``present`` with a ``value``, or none."""

    present: bool
    value: object = None


class UnknownText(str):
    """Text in a plan that contains values which only a later stage will give.

    It is the text people read (``registry.test/shop@<unknown:image.digest>``); ``parts`` are the
    known pieces and the tokens, in order.
    """

    parts: tuple[str | Unknown, ...]

    @staticmethod
    def of(*pieces: str) -> UnknownText:
        """Return the text of ``pieces``, tokens kept; one token alone stays an ``Unknown``."""
        parts: list[str] = []
        for piece in pieces:
            parts += piece.parts if isinstance(piece, UnknownText) else [piece]
        merged = _merge(parts)
        if len(merged) == 1 and isinstance(merged[0], Unknown):
            return merged[0]
        text = str.__new__(UnknownText, "".join(map(str, merged)))
        text.parts = tuple(merged)
        return text

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tokens in it, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, Unknown))

    def __add__(self, other: str) -> UnknownText:
        return UnknownText.of(self, other) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> UnknownText:
        return UnknownText.of(other, self) if isinstance(other, str) else NotImplemented

    def __str__(self) -> str:
        return str.__str__(self)

    def __reduce__(self) -> Any:
        return (UnknownText.of, self.parts)


class Unknown(UnknownText):
    """A value that is not known yet: ``Unknown("image.digest")``, text ``<unknown:image.digest>``.

    It flows through ``+`` and templates; any other operation raises ``UnknownValue``.
    """

    name: str

    def __new__(cls, name: str) -> Unknown:
        token = str.__new__(cls, f"<unknown:{name}>")
        token.name = name
        token.parts = (token,)
        return token

    def __repr__(self) -> str:
        return f"Unknown({self.name!r})"

    def __reduce__(self) -> Any:
        return (Unknown, (self.name,))


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by its name; its value is never here."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretText:
    """What an expression that mentions ``secrets`` gives: text with the secrets left out by name.

    Args:
        parts: pieces of known text and the secrets between them, in order.
    """

    parts: tuple[str | SecretRef, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets in it, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, SecretRef))

    @staticmethod
    def of(*pieces: str | SecretRef | SecretText) -> SecretText:
        """Return ``pieces`` joined, neighbouring text merged."""
        parts: list[str | SecretRef] = []
        for piece in pieces:
            parts += piece.parts if isinstance(piece, SecretText) else [piece]
        return SecretText(tuple(_merge(parts)))

    def reveal(self, lookup: Callable[[str], str]) -> str:
        """Return the text with each secret's value, as ``lookup(name)`` gives it."""
        return "".join(
            lookup(part.name) if isinstance(part, SecretRef) else part for part in self.parts
        )

    def to_json(self) -> Json:
        """Return ``{"$secret": ["text", {"name": "db_password"}]}``."""
        return {
            "$secret": [
                {"name": part.name} if isinstance(part, SecretRef) else to_json(part)
                for part in self.parts
            ]
        }

    @staticmethod
    def from_json(data: Json) -> SecretText:
        """Return what :meth:`to_json` wrote.

        Raises:
            ValueError: it is not of that form.
        """
        value = from_json(data)
        if not isinstance(value, SecretText):
            raise ValueError("not a secret text")
        return value

    def __str__(self) -> str:
        return "".join(
            f"<secret:{part.name}>" if isinstance(part, SecretRef) else part for part in self.parts
        )


def _merge(parts: list[Any]) -> list[Any]:
    """Join neighbouring plain strings and drop empty ones; tokens and secrets stay apart."""
    merged: list[Any] = []
    for part in parts:
        if type(part) is str:
            if not part:
                continue
            if merged and type(merged[-1]) is str:
                merged[-1] += part
                continue
        merged.append(part)
    return merged


class NoOutputs(Mapping[str, Any]):
    """``outputs`` of a stage that ended without any: every use raises ``MissingOutput``.

    ``has()``, ``.?``, ``in`` and ``default()`` handle it as absent.
    """

    __slots__ = ("stage",)

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def __getitem__(self, output: str) -> Never:
        raise MissingOutput(self.stage, output)

    def __iter__(self) -> Iterator[str]:
        raise MissingOutput(self.stage, "*")

    def __len__(self) -> int:
        raise MissingOutput(self.stage, "*")

    def __contains__(self, output: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoOutputs) and self.stage == other.stage

    def __hash__(self) -> int:
        return hash(self.stage)

    def __repr__(self) -> str:
        return f"NoOutputs({self.stage!r})"


KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    dict: "map",
    TypeValue: "type",
    OptionalValue: "optional",
    Unknown: "unknown",
    UnknownText: "unknown",
    SecretText: "secret",
}
"""The kind of each Python type; the modules of further value types add theirs."""


def kind_of(value: object) -> str:
    """Return the CEL type name of ``value`` (``unknown`` and ``secret`` for the tokens).

    Raises:
        ExpressionError: it is no value of the language, or an integer above 64 bits.
    """
    kind = KINDS.get(type(value))
    if kind is not None:
        if kind == "int" and not -(1 << 63) <= value < 1 << 63:  # type: ignore[operator]
            raise ExpressionError("an integer in the data does not fit into 64 bits")
        return kind
    if isinstance(value, Mapping):
        return "map"
    if isinstance(value, bool | int | float | str | list):
        for base in (bool, int, float, str, list):
            if isinstance(value, base):
                return KINDS[base]
    raise ExpressionError(f"{type(value).__name__} is not a value of the expression language")


def shown(value: object, limit: int = 60) -> str:
    """Return a short text of a value for an error message; secrets by name only."""
    text = repr(value[: limit + 1]) if isinstance(value, str | bytes) else _brief(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _brief(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    return f"a {kind_of(value)}"


_MARKED = re.compile(r"\$+(?:secret|unknown)")


def to_json(value: Any) -> Json:
    """Return the JSON form of a result: tokens and secrets as marked objects.

    Data that happens to look like a mark is escaped, so that no output of a stage can become a
    secret when it is read back.
    """
    if isinstance(value, SecretText):
        return value.to_json()
    if isinstance(value, Unknown):
        return {"$unknown": value.name}
    if isinstance(value, UnknownText):
        return {
            "$unknown": [
                {"name": part.name} if isinstance(part, Unknown) else part for part in value.parts
            ]
        }
    if isinstance(value, Mapping):
        items = {key: to_json(item) for key, item in value.items()}
        if len(items) == 1:
            ((key, item),) = items.items()
            if _MARKED.fullmatch(key):
                return {f"${key}": item}
        return items
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(data: Json) -> Any:
    """Return the value of which :func:`to_json` gave ``data``.

    Raises:
        ValueError: a mark is not of its form.
    """
    if isinstance(data, list):
        return [from_json(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        ((key, item),) = data.items()
        if key == "$secret":
            return SecretText(tuple(_read_part(part, SecretRef) for part in _parts(item)))
        if key == "$unknown":
            if isinstance(item, str):
                return Unknown(item)
            return UnknownText.of(*(_read_part(part, Unknown) for part in _parts(item)))
        if isinstance(key, str) and _MARKED.fullmatch(key):
            return {key[1:]: from_json(item)}
    return {key: from_json(item) for key, item in data.items()}


def _parts(item: Json) -> list[Json]:
    if not isinstance(item, list):
        raise ValueError("a marked text is a list of its parts")
    return item


def _read_part(part: Json, make: Callable[[str], Any]) -> Any:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and len(part) == 1:
        if isinstance(part.get("name"), str):
            return make(part["name"])
        if "$unknown" in part:
            return from_json(part)
    raise ValueError("a part of a marked text is a string or names a token")
