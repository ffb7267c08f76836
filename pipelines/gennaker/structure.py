"""Turns what pydantic says of wrong data into problems with code word, place and suggestion.

The loader, the project settings and the check of a stage's inputs use it, so that a typo reads the
same wherever it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gennaker.annotations import find_models, list_fields
from gennaker.errors import InvalidInput, Location, Problem
from gennaker.records import dataclass
from gennaker.suggestions import suggest
from gennaker.yamltext.marks import Path, Places

__all__ = [
    "EXPECTED",
    "REMOVED",
    "Subject",
    "describe_type",
    "drop_nulls",
    "expected_by",
    "find_nulls",
    "find_path",
    "name_path",
    "read_model",
    "translate_errors",
]

M = TypeVar("M", bound=BaseModel)

EXPECTED: Mapping[str, str] = {
    "string_type": "a string",
    "string_sub_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "null",
}
"""Pydantic's word for a value of the wrong kind, to ours for the kind it must be."""

_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}

_SIZES: Mapping[str, tuple[str, str, str]] = {
    "too_short": ("min_length", "least", "item"),
    "too_long": ("max_length", "most", "item"),
    "string_too_short": ("min_length", "least", "character"),
    "string_too_long": ("max_length", "most", "character"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being checked, for messages.

    Attributes:
        model: the model the data was read as.
        noun: what a key of the outermost level belongs to (``a pipeline``); a field of it is said
            to be ``kind`` of it.
        nouns: the same for models inside.
        kind: ``a field`` or ``an input``.
        base: path of the data in the file.
        places: gives the place of a path in the file, and of its key.
        misplaced: keys of the outermost level that belong elsewhere, with what to do about them.
        otherwise: of a model, what to say of an unknown key that is like none of its own.
    """

    model: type[BaseModel]
    noun: str
    places: Places | None = None
    base: Path = ()
    nouns: Mapping[type[BaseModel], str] = field(default_factory=dict)
    kind: str = "a field"
    misplaced: Mapping[str, str] = field(default_factory=dict)
    otherwise: Mapping[type[BaseModel], str] = field(default_factory=dict)

    def locate(self, path: Path, *, key: bool = False) -> Location | None:
        """Return the place of ``path``, which is relative to the data."""
        return None if self.places is None else self.places.at((*self.base, *path), key=key)

    def noun_of(self, model: type[BaseModel] | None, path: Path) -> str:
        """Return what a field of ``model``, which stands at ``path``, belongs to, in words."""
        if model is None or model is self.model:
            return self.noun
        return self.nouns.get(model, repr(name_path(path)))


_ARTIFACT = "an artifact"


def expected_by(error: Any) -> str:
    """Return the kind of value that an error of :data:`EXPECTED` asks for, in words."""
    wanted = (error.get("ctx") or {}).get("class_name")
    return _ARTIFACT if wanted == "Artifact" else EXPECTED[error["type"]]


def describe_type(value: object) -> str:
    """Return the kind of a piece of data, in words of the specification."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else "a string"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, Sequence) else type(value).__name__


def name_path(path: Path) -> str:
    """Return the name by which a message calls the value at ``path``: its key and index."""
    name = ""
    for part in path:
        name = f"{name}[{part}]" if isinstance(part, int) else part
    return name


def find_nulls(data: Any, *, skip: Callable[[Path], bool]) -> list[Path]:
    """Return the paths of every null in ``data`` but those under a path that ``skip`` holds for."""
    found: list[Path] = []
    pending: list[tuple[Path, Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if value is None:
            found.append(path)
        elif isinstance(value, dict | list) and not skip(path):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            pending.extend(((*path, key), each) for key, each in items)
    return sorted(found, key=str)


REMOVED = object()
"""What a stand-in answers when a wrong value is to be left out."""

_ROUNDS = 4


def read_model(
    model: type[M],
    data: dict[str, Any],
    subject: Subject,
    *,
    stand_in: Callable[[Path], Any] = lambda _path: REMOVED,
) -> tuple[M | None, list[Problem]]:
    """Return ``data`` as a model, and all problems; what is wrong is replaced, to read the rest.

    Args:
        model: the class to read as.
        data: plain data; it is not changed.
        subject: what it is, for words and places.
        stand_in: what to put for a wrong or missing value at a path, :data:`REMOVED` for nothing.

    Returns:
        the model, None when too little is left of it, and the problems; without any, the model is
        exactly what was written.
    """
    problems: list[Problem] = []
    removed: set[Path] = set()
    current: Any = data
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(current), problems
        except ValidationError as error:
            found = translate_errors(error, current, subject)
        # What was left out here, or was written with a typo, is no news when it is then missing.
        robbed = {path[:-1] for path in removed}
        problems.extend(
            problem
            for path, problem in found
            if not (problem.code == "missing-field" and path[:-1] in robbed)
        )
        # Deeper and later ones first, so that indexes before them stay true.
        for path in sorted({path for path, _problem in found}, key=_sort_key, reverse=True):
            value = stand_in(path)
            if value is REMOVED and not _has(current, path):
                # Nothing can stand for a missing field: the whole it belongs to goes.
                path = path[:-1]
                value = stand_in(path)
            if not path:
                return None, problems
            if value is REMOVED:
                removed.add(path)
            current = _replace(current, path, value)
    return None, problems


def _has(data: Any, path: Path) -> bool:
    for part in path:
        inside = (
            part in data
            if isinstance(data, dict)
            else isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if not inside:
            return False
        data = data[part]
    return True


def _sort_key(path: Path) -> tuple[int, tuple[tuple[bool, str | int], ...]]:
    return len(path), tuple((isinstance(part, int), part) for part in path)


def _replace(data: Any, path: Path, value: Any) -> Any:
    """Return ``data`` with ``value`` at ``path``; copies only the collections on the way."""
    head, rest = path[0], path[1:]
    if isinstance(data, dict):
        copied = dict(data)
        if rest:
            if head in copied:
                copied[str(head)] = _replace(copied[str(head)], rest, value)
        elif value is not REMOVED:
            copied[str(head)] = value
        else:
            copied.pop(str(head), None)
        return copied
    if isinstance(data, list) and isinstance(head, int) and head < len(data):
        items = list(data)
        if rest:
            items[head] = _replace(items[head], rest, value)
        elif value is REMOVED:
            del items[head]
        else:
            items[head] = value
        return items
    return data


def drop_nulls(data: Any, *, skip: Callable[[Path], bool] = lambda _path: False) -> Any:
    """Return ``data`` without what :func:`find_nulls` finds in it; shares what has none."""
    return _drop_nulls(data, (), skip)


def _drop_nulls(data: Any, path: Path, skip: Callable[[Path], bool]) -> Any:
    if not isinstance(data, dict | list) or skip(path):
        return data
    if isinstance(data, dict):
        return {
            key: _drop_nulls(each, (*path, key), skip)
            for key, each in data.items()
            if each is not None
        }
    return [
        _drop_nulls(each, (*path, index), skip)
        for index, each in enumerate(data)
        if each is not None
    ]


def translate_errors(
    error: ValidationError, data: Any, subject: Subject, *, keep: Sequence[Any] | None = None
) -> list[tuple[Path, Problem]]:
    """Return one problem for each value that is wrong, with its path in ``data``.

    Args:
        error: what pydantic raised for ``data``.
        data: what was read, plain data.
        subject: what it is, for words and places.
        keep: those of pydantic's errors to translate, all unless given.
    """
    grouped: dict[Path, list[Any]] = {}
    for each in error.errors(include_url=False) if keep is None else keep:
        path = find_path(each, data)
        grouped.setdefault(path, []).append(each)
    found: list[tuple[Path, Problem]] = []
    for path, errors in grouped.items():
        if not _is_covered(path, errors, grouped):
            found.extend((path, problem) for problem in _translate(path, errors, data, subject))
    return [each for each in found if not _is_misspelt(each, found)]


def _is_misspelt(missing: tuple[Path, Problem], found: Sequence[tuple[Path, Problem]]) -> bool:
    """Whether a missing field was written with a typo, which is told anyway."""
    path, problem = missing
    if problem.code != "missing-field":
        return False
    advice = f"did you mean {str(path[-1])!r}?"
    return any(
        other.code == "unknown-field" and other.hint == advice and at[:-1] == path[:-1]
        for at, other in found
    )


def find_path(error: Any, data: Any) -> Path:
    """Return an error's path in ``data``: its location without the names of a union's branches."""
    path: list[str | int] = []
    node = data
    for part in error["loc"]:
        if (isinstance(node, Mapping) and part in node) or (
            isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)
        ):
            node = node[part]
        else:
            continue
        path.append(part)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


def _is_covered(path: Path, errors: list[Any], grouped: Mapping[Path, list[Any]]) -> bool:
    """Whether a deeper problem says it better: one branch of a union fitted but for a part."""
    if not all(each["type"] in EXPECTED for each in errors):
        return False
    return any(len(other) > len(path) and other[: len(path)] == path for other in grouped)


def _get(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _translate(path: Path, errors: list[Any], data: Any, subject: Subject) -> list[Problem]:
    first = errors[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        return [_unknown_field(path, subject)]
    if kind == "missing":
        return [_missing_field(path, subject)]
    location = subject.locate(path)
    own = _find_own(errors)
    if own is not None:
        message = (
            own.message
            if name_path(path) in own.message
            else f"{_name(path, subject)}: {own.message}"
        )
        return [Problem(own.code, message, location, own.hint)]
    expected = list(dict.fromkeys(expected_by(e) for e in errors if e["type"] in EXPECTED))
    name = _name(path, subject)
    value = _get(data, path)
    if (expected and len(expected) == len({e["type"] for e in errors})) or kind in EXPECTED:
        return [
            Problem(
                "wrong-type",
                f"{name} must be {' or '.join(expected)}, not {describe_type(value)}",
                location,
                _advise_type(value, expected),
            )
        ]
    if kind == "string_pattern_mismatch":
        message = (
            f"{name} is {describe_type(value)}, which does not fit {first['ctx']['pattern']!r}"
        )
        return [Problem("invalid-value", message, location, _describe_field(path, subject))]
    return [_refuse_value(name, value, first, location)]


def _refuse_value(name: str, value: Any, error: Any, location: Location | None) -> Problem:
    context = error.get("ctx") or {}
    kind = error["type"]
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", ""))
        words = [each.strip("'") for each in expected.replace(" or ", ", ").split(", ")]
        near = suggest(value, words, otherwise="") if isinstance(value, str) else None
        return Problem(
            "invalid-value",
            f"{name} must be {expected}, not {describe_type(value)}",
            location,
            near or None,
        )
    if kind in _LIMITS:
        key, words_ = _LIMITS[kind]
        message = f"{name} must be {words_} {context.get(key)}, not {value}"
        return Problem("invalid-value", message, location)
    if kind in _SIZES:
        key, least, unit = _SIZES[kind]
        size = context[key]
        told = (
            f"{name} must have at {least} {size} {unit}{'' if size == 1 else 's'}, not {len(value)}"
        )
        return Problem("invalid-value", told, location)
    text = str(error["msg"])
    for prefix in ("Value error, ", "Assertion failed, "):
        text = text.removeprefix(prefix)
    return Problem("invalid-value", f"{name}: {text[:1].lower()}{text[1:]}", location)


def _describe_field(path: Path, subject: Subject) -> str | None:
    """Return the words of the nearest field around ``path``, which say how it is written."""
    for end in range(len(path), 0, -1):
        for model in find_models(subject.model, path[: end - 1]):
            name = list_fields(model).get(str(path[end - 1]))
            if name is not None:
                return model.model_fields[name].description
    return None


def _find_own(errors: list[Any]) -> Problem | None:
    """Return the problem that one of our own validators raised, as the cause of a ValueError."""
    for each in errors:
        raised = (each.get("ctx") or {}).get("error")
        cause = raised if isinstance(raised, InvalidInput) else getattr(raised, "__cause__", None)
        if isinstance(cause, InvalidInput):
            return cause.problem
    return None


def _name(path: Path, subject: Subject) -> str:
    return repr(name_path(path)) if path else subject.noun


def _advise_type(value: Any, expected: list[str]) -> str | None:
    if expected == ["a string"] and isinstance(value, bool | int | float):
        return "put it in quotes"
    if expected == [_ARTIFACT]:
        return "it is an output of another stage: '${{ stages.ID.outputs.NAME }}'"
    if expected == ["a list"] and isinstance(value, str):
        return "write it as a list: '[…]'"
    return None


def _unknown_field(path: Path, subject: Subject) -> Problem:
    name = str(path[-1])
    models = find_models(subject.model, path[:-1])
    known = {key for model in models for key in list_fields(model)}
    model = models[0] if models else None
    advice = subject.misplaced.get(name) if len(path) == 1 else None
    return Problem(
        "unknown-field",
        f"{name!r} is not {subject.kind} of {subject.noun_of(model, path[:-1])}",
        subject.locate(path, key=True),
        advice or _advise_field(name, known, subject.otherwise.get(model) if model else None),
    )


def _advise_field(name: str, known: set[str], otherwise: str | None) -> str | None:
    # The rest of `{run: echo "one, two"}` is such a key: YAML ends an unquoted value at a comma.
    if any(mark in name for mark in " \"'"):
        return "inside '{ }' a comma ends an unquoted value; put the whole value in quotes"
    return suggest(name, known, otherwise=otherwise)


def _missing_field(path: Path, subject: Subject) -> Problem:
    models = find_models(subject.model, path[:-1])
    noun = subject.noun_of(models[0] if models else None, path[:-1])
    return Problem(
        "missing-field",
        f"{noun} needs {str(path[-1])!r}",
        subject.locate(path[:-1], key=True),
        f"add '{path[-1]}: …'",
    )
