"""What is known of values before there are any: a small lattice of types.

The loader makes types of declared parameters, outputs and variables; the checker reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from gennaker.records import dataclass

__all__ = [
    "BOOL",
    "BYTES",
    "DOUBLE",
    "DURATION",
    "DYN",
    "GIT",
    "INT",
    "NULL",
    "RUN",
    "STRING",
    "TIMESTAMP",
    "UINT",
    "Type",
    "TypeScope",
    "environment_type",
    "list_of",
    "map_of",
    "params_type",
    "stages_type",
    "type_of",
    "type_of_word",
]


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of value, and what is known of what is in it.

    Attributes:
        kind: ``dyn`` (anything), ``null bool int uint double string bytes list map timestamp
            duration type optional semver``.
        element: of a list, a map without known fields, or an optional.
        fields: the fields of a map that are known.
        closed: a map has no other fields.
        noun: what a field is called in messages (``parameter``, ``stage``, ``output``).
        owner: whose fields they are, for messages (``stage 'image'``).
    """

    kind: str
    element: Type | None = None
    fields: Mapping[str, Type] | None = field(default=None, hash=False)
    closed: bool = False
    noun: str = "field"
    owner: str = ""

    def __str__(self) -> str:
        return self.kind


DYN = Type("dyn")
NULL = Type("null")
BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
DOUBLE = Type("double")
STRING = Type("string")
BYTES = Type("bytes")
TIMESTAMP = Type("timestamp")
DURATION = Type("duration")

_WORDS = {
    "string": STRING,
    "integer": INT,
    "boolean": BOOL,
    "array": Type("list", DYN),
    "object": Type("map", DYN),
    "artifact": Type(
        "map",
        fields={"digest": STRING, "size": INT, "media_type": STRING},
        noun="field",
        owner="an artifact",
    ),
}


def list_of(element: Type) -> Type:
    """Return the type of lists of ``element``."""
    return Type("list", element)


def map_of(
    fields: Mapping[str, Type], *, closed: bool = True, noun: str = "field", owner: str = ""
) -> Type:
    """Return the type of a map with ``fields``, and no others when ``closed``."""
    return Type("map", None, dict(fields), closed, noun, owner)


def type_of_word(word: str) -> Type:
    """Return the type of a word of the specification (``string``, ``integer``, ``artifact`` …).

    ``number`` and ``any`` say nothing: JSON's ``1`` and ``1.5`` are of two types here.
    """
    return _WORDS.get(word, DYN)


def type_of(value: object) -> Type:
    """Return the type of a piece of JSON data that is known, such as an environment's variable."""
    if isinstance(value, bool):
        return BOOL
    for python, known in ((int, INT), (float, DOUBLE), (str, STRING)):
        if isinstance(value, python):
            return known
    if isinstance(value, list):
        found = {type_of(item) for item in value}
        return list_of(found.pop() if len(found) == 1 else DYN)
    if isinstance(value, Mapping):
        return map_of({key: type_of(item) for key, item in value.items()})
    return DYN


def params_type(parameters: Mapping[str, Type]) -> Type:
    """Return the type of ``params``."""
    return map_of(parameters, noun="parameter")


def stages_type(
    outputs: Mapping[str, Mapping[str, Type] | None], *, matrix: Collection[str] = ()
) -> Type:
    """Return the type of ``stages``.

    Args:
        outputs: declared outputs by stage; None where a stage type declares any.
        matrix: ids of stages with a matrix, whose outputs are lists of the instances' values.
    """
    found = {}
    for name, declared in outputs.items():
        owner = f"stage {name!r}"
        if declared is None:
            inside = Type("map", DYN, noun="output", owner=owner)
        else:
            # An ignored failure of an instance is a null among the others.
            listed = {key: list_of(DYN) for key in declared}
            fields = listed if name in matrix else declared
            inside = map_of(fields, noun="output", owner=owner)
        found[name] = map_of({"outputs": inside, "outcome": STRING}, owner=owner)
    return map_of(found, noun="stage")


def environment_type(variables: Mapping[str, Type] | None) -> Type:
    """Return the type of ``environment``; None when it is not known which one it is."""
    inside = (
        Type("map", DYN)
        if variables is None
        else map_of(variables, noun="variable", owner="the environment")
    )
    return map_of(
        {"name": STRING, "namespace": DYN, "url": DYN, "variables": inside}, owner="'environment'"
    )


RUN = map_of(
    {
        "id": STRING,
        "number": INT,
        "pipeline": STRING,
        "title": STRING,
        "actor": STRING,
        "started_at": STRING,
    },
    owner="'run'",
)
GIT = map_of(
    {"sha": DYN, "short_sha": DYN, "branch": DYN, "tag": DYN, "dirty": BOOL, "url": DYN},
    owner="'git'",
)
"""Any of them but ``dirty`` is null where there is none: outside git, or on no branch."""


@dataclass(frozen=True, slots=True)
class TypeScope:
    """Where an expression stands: what it may mention, and what it must give.

    Attributes:
        roots: the variables there are, with their types.
        secrets: names of the secrets there are; None when not known.
        allows_secrets: it is an input declared secret, or a value of ``env``.
        allows_status: ``success()`` and its like have a meaning (an ``if``).
        allows_any_stage: a computed index into ``stages`` is allowed (a stage of ``finally``).
        expected: the type the value must have; None for any.
    """

    roots: Mapping[str, Type]
    secrets: Collection[str] | None = None
    allows_secrets: bool = False
    allows_status: bool = False
    allows_any_stage: bool = False
    expected: Type | None = None
