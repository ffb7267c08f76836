"""Kinds and fields that the rules of a deploy name: one that is misspelt is a rule for nothing, and silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.errors import PermanentError
from gennaker.suggestions import find_nearest
from gennaker_stages.kubernetes.bundle.fields import find_unknown_field
from gennaker_stages.kubernetes.bundle.preparing import open_schemas

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.bundle.objects import Object
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["check_kinds", "find_misspelt_kinds", "find_misspelt_paths"]

_TOLD = "neither the cluster nor the bundle knows"


def check_kinds(cluster: Cluster, rules: ConflictRules, objects: Iterable[Object]) -> None:
    """Refuse rules of a stage for kinds that neither the bundle nor the cluster knows.

    Args:
        cluster: where; it is asked only about kinds that the bundle does not have.
        rules: the stage's.
        objects: the bundle's.

    Raises:
        PermanentError: code ``unknown-kind`` with each of them.
    """
    named = [("replace", each) for each in rules.list_replaced()]
    named += [("conflicts", each.kind) for each in rules.fields if each.kind is not None]
    found = [
        f"kind {kind!r} in {where!r}" + (f" (did you mean {near!r}?)" if near else "")
        for where, kind, near in _find_unknown(cluster, named, objects)
    ]
    if found:
        raise PermanentError(
            f"{_TOLD} {', '.join(found)}",
            code="unknown-kind",
            hint="kinds are written as in manifests: Deployment",
        )


def find_misspelt_kinds(cluster: Cluster, objects: Iterable[Object]) -> list[str]:
    """Return what to say of kinds in the environment's rules that are almost known ones.

    Others that are not known here may be those of other stages, which define them.
    """
    settings = cluster.settings
    named = [("ignore", each.kind) for each in settings.ignore if each.kind is not None]
    named += [("health", each.rpartition("/")[2]) for each in settings.health]
    return [
        f"unknown-kind: {_TOLD} kind {kind!r} in {where!r} of the environment; did you mean {near!r}?"
        for where, kind, near in _find_unknown(cluster, named, objects)
        if near is not None
    ]


def find_misspelt_paths(
    cluster: Cluster, rules: ConflictRules, objects: Sequence[Object], *, cache: Path
) -> list[str]:
    """Return what to say of paths in rules for a kind of which no object of the bundle has such a field.

    Args:
        cluster: where; its schemas are asked for when there are such rules.
        rules: the stage's.
        objects: the bundle's.
        cache: where schemas are kept.
    """
    named = [("conflicts", each.kind, each.path) for each in rules.fields]
    for rule in cluster.settings.ignore:
        named += [("ignore", rule.kind, path) for path in rule.paths]
    kinds = {(each["apiVersion"], each["kind"]) for each in objects}
    schemas = open_schemas(cluster, cache)
    found = []
    for where, kind, path in dict.fromkeys(named):
        types = [schemas.find(*each) for each in sorted(kinds) if each[1] == kind]
        known = [each for each in types if each is not None]
        faults = [find_unknown_field(path, *each) for each in known]
        if faults and len(known) == len(types) and all(faults) and faults[0] is not None:
            hint = f"; {faults[0].hint}" if faults[0].hint else ""
            told = f"{faults[0].message} ({kind}){hint}"
            found.append(f"unknown-field: {path!r} in {where!r}: {told}")
    return found


def _find_unknown(
    cluster: Cluster, named: Iterable[tuple[str, str]], objects: Iterable[Object]
) -> Iterator[tuple[str, str, str | None]]:
    """Yield where each kind is named that nobody knows, the kind, and the known one that is like it."""
    there = set(_list_kinds(objects))
    unsure = [each for each in dict.fromkeys(named) if each[1] not in there]
    known = there | cluster.discovery.kind_names() if unsure else there
    for where, kind in unsure:
        if kind not in known:
            yield where, kind, find_nearest(kind, known)


def _list_kinds(objects: Iterable[Object]) -> Iterator[str]:
    """Yield the kinds of objects, and those that they define."""
    for each in objects:
        yield each["kind"]
        if each["kind"] == "CustomResourceDefinition":
            yield str(((each.get("spec") or {}).get("names") or {}).get("kind"))
