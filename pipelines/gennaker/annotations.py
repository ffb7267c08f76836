"""Questions about a pydantic model by path: which annotation stands there, which keys are known.

Asked by the validator (a secret may stand where :class:`~gennaker.stage.Secret` is declared) and by
the translator of pydantic's errors (which fields could have been meant).
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["find_annotations", "find_models", "list_fields"]


def find_annotations(annotation: Any, path: tuple[str | int, ...]) -> tuple[Any, ...]:
    """Return every annotation a value at ``path`` may have, unions opened.

    Args:
        annotation: of the whole, a model class or any type.
        path: keys and indexes into it.
    """
    found = tuple(_open(annotation))
    for part in path:
        found = tuple(
            inner for each in found for outer in _enter(each, part) for inner in _open(outer)
        )
    return found


def find_models(annotation: Any, path: tuple[str | int, ...]) -> tuple[type[BaseModel], ...]:
    """Return the models among :func:`find_annotations`."""
    return tuple(
        each
        for each in find_annotations(annotation, path)
        if isinstance(each, type) and issubclass(each, BaseModel)
    )


@cache
def list_fields(model: type[BaseModel]) -> dict[str, str]:
    """Return the keys of a model's data, each with the name of its attribute."""
    return {info.alias or name: name for name, info in model.model_fields.items()}


def _open(annotation: Any) -> Iterator[Any]:
    annotation = getattr(annotation, "__value__", annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _open(get_args(annotation)[0])
    elif origin is Union or isinstance(annotation, types.UnionType):
        for each in get_args(annotation):
            yield from _open(each)
    elif annotation is not type(None):
        yield annotation


def _enter(annotation: Any, part: str | int) -> tuple[Any, ...]:
    if annotation is Any or annotation is object:
        return (Any,)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = list_fields(annotation).get(str(part))
        return () if name is None else (annotation.model_fields[name].annotation,)
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if not isinstance(origin, type) or not arguments:
        return (Any,) if annotation in (dict, list, tuple) else ()
    if isinstance(part, str):
        return (arguments[1],) if len(arguments) == 2 and hasattr(origin, "keys") else ()
    if hasattr(origin, "keys"):
        return ()
    if origin is tuple and arguments[-1] is not Ellipsis:
        return (arguments[part],) if part < len(arguments) else ()
    return (arguments[0],)
