"""What is done about a field that another manager owns: fail, take it, or leave it to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gennaker.records import dataclass
from gennaker_stages.kubernetes.applying.choices import (
    find_choice,
    own_numbers,
    without_choice,
)
from gennaker_stages.kubernetes.applying.fields import (
    MISSING,
    find_entry,
    find_value,
    list_paths,
    remove_value,
)
from gennaker_stages.kubernetes.applying.rules import ConflictRules
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER, Cluster, Resource
from gennaker_stages.kubernetes.client.problems import FieldConflict

__all__ = ["Applied", "apply_object", "find_conflicts", "keep_yielded"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """An object as it is after it was applied, and the fields that were left to others."""

    body: dict[str, Any]
    yielded: tuple[str, ...] = ()


def apply_object(
    cluster: Cluster,
    resource: Resource,
    body: Object,
    rules: ConflictRules,
    *,
    live: Object | None,
    dry_run: bool = False,
) -> Applied:
    """Apply an object; a conflict is settled by the rules or told.

    Args:
        cluster: where.
        resource: its kind.
        body: what is desired.
        rules: what is done about fields of other managers.
        live: the object as it is, None when it is not there.
        dry_run: whether nothing is written.

    Raises:
        FieldConflict: with the fields that the rules say to fail for, and their managers.
    """
    choice = find_choice(body, live)
    if choice is None or live is None:
        return _settle(cluster, resource, body, rules, dry_run=dry_run)
    if dry_run:
        tried = _settle(cluster, resource, without_choice(body, choice), rules, dry_run=True)
        spec = {**tried.body["spec"], choice: body["spec"][choice]}
        return Applied({**tried.body, "spec": spec}, tried.yielded)
    cluster.apply(resource, own_numbers(live, choice))
    return _settle(cluster, resource, body, rules)


def _settle(
    cluster: Cluster,
    resource: Resource,
    body: Object,
    rules: ConflictRules,
    *,
    dry_run: bool = False,
) -> Applied:
    yielded: list[str] = []
    force = False
    while True:
        try:
            found = cluster.apply(resource, body, dry_run=dry_run, force=force)
            return Applied(found, tuple(yielded))
        except FieldConflict as error:
            policies = {path: rules.decide(body, path, who) for path, who in error.fields}
            left = [path for path, policy in policies.items() if policy == "yield"]
            failing = [path for path, policy in policies.items() if policy == "fail"]
            if failing and len(failing) < len(policies):  # the others are settled
                raise error.narrow(failing) from error.__cause__
            if force or not policies or failing:
                raise
            for path in left:
                smaller = remove_value(body, path)
                if smaller == body:  # it cannot be left out: it is what the item is known by
                    raise
                body = smaller
            yielded += left
            force = len(left) < len(policies)


def keep_yielded(body: Object, live: Object, rules: ConflictRules) -> Object:
    """Return the object without the fields that the rules leave to who owns them now.

    Without it every deploy would ask for these fields, be refused, and ask again.
    """
    if not rules.may_yield:
        return body
    for path, manager in list(find_conflicts(body, live)):
        if rules.decide(body, path, manager) == "yield":
            body = remove_value(body, path)
    return body


def find_conflicts(body: Object, live: Object) -> Iterator[tuple[str, str]]:
    """Yield the fields, with their managers, that another manager owns with another value.

    The server may still find two values equal that are written differently; it has the last word.
    """
    mine = find_entry(live, FIELD_MANAGER)
    for entry in live["metadata"].get("managedFields") or ():
        if entry is mine:
            continue
        for path in list_paths(entry.get("fieldsV1") or {}):
            wanted = find_value(body, path)
            if wanted is not MISSING and wanted != find_value(live, path):
                yield path, str(entry.get("manager"))
