"""Paths of fields as people write them, in the rules of a deploy and of an environment; pure.

People write what plans show, ``containers[web].image``, what the API server says of a conflict,
``containers[name="web"].image``, or every item, ``containers[*].image``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from gennaker_stages.kubernetes.applying.fields import find_value

__all__ = ["FieldPath", "expand_path"]

_NAMED = re.compile(r"\[([^\]=]+)\]")
_WHOLE = re.compile(r"\.?[^.\[\]]+(?:\.[^.\[\]]+|\[(?:[^\[\]\"]|\"[^\"]*\")+\])*")
# What names an item of a list whose items are not all told apart, the first that it has.
_KEYS = ("name", "containerPort", "port", "mountPath", "type", "key", "ip", "uid")


def _check_path(path: str) -> str:
    if not _WHOLE.fullmatch(path):
        raise ValueError(
            f"{path!r} is no path of a field; write it as a plan shows it: spec.replicas, "
            "spec.template.spec.containers[web].image"
        )
    return path


FieldPath = Annotated[str, AfterValidator(_check_path)]
"""An input: the path of a field, or of some."""


def expand_path(path: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a path means in an object, spelled as the API server spells it."""
    yield from _expand("." + path.lstrip("."), body)


def _expand(path: str, body: Mapping[str, Any]) -> Iterator[str]:
    found = _NAMED.search(path)
    if found is None:
        yield path
        return
    head, rest = path[: found.start()], path[found.end() :]
    held = find_value(body, head)
    if isinstance(held, Mapping):
        yield from _expand(f"{head}.{found[1]}{rest}", body)
    for key in _list_keys(found[1], held if isinstance(held, list) else []):
        yield from _expand(f"{head}[{key}]{rest}", body)


def _list_keys(wanted: str, items: list[Any]) -> Iterator[str]:
    """Yield what the API server would call each item of a list that people call by this name."""
    from gennaker_stages.kubernetes.planning.difference import key_items, name_items

    keys = key_items(items)
    for place, (name, item) in enumerate(zip(name_items(items), items, strict=True)):
        if wanted not in (name, "*"):
            continue
        if keys is not None:
            known = keys[place]
        else:
            known = {key: item[key] for key in _KEYS if isinstance(item, Mapping) and key in item}
            known = dict(list(known.items())[:1])
        if known:
            yield ",".join(f"{key}={json.dumps(known[key])}" for key in sorted(known))
