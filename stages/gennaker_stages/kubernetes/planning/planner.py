"""What a deploy would do to each object, found by server-side dry runs; nothing is changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.masking import hide_secret, is_secret
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.planning.difference import find_differences, strip_object
from gennaker_stages.kubernetes.planning.live import Live, read_live
from gennaker_stages.kubernetes.planning.refusal import explain_refusal
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["PlannedObjects", "fingerprint", "plan_objects"]

WORKERS = 8
_UNTRIED = "what goes into it is tried once it is there"
Apply = Callable[[Object], Mapping[str, Any]]
"""Applies an object as a dry run and returns what it would be."""


@dataclass(frozen=True, slots=True)
class PlannedObjects:
    """What would become of a bundle's objects.

    Attributes:
        changes: one for each object, in the order given.
        live: the objects as they are, by key.
    """

    changes: list[Change]
    live: Live

    def observed(self) -> dict[str, str]:
        """Return the fingerprint of each live object, by its name for people."""
        return {name_key(key): fingerprint(body) for key, body in sorted(self.live.objects.items())}


def plan_objects(
    cluster: Cluster,
    objects: Iterable[Object],
    *,
    apply: Apply,
    unread: Collection[str] = (),
    workers: int = WORKERS,
) -> PlannedObjects:
    """Plan the objects of a bundle.

    An object whose live state is just what is desired needs no dry run; for the others several are
    under way at once.

    Args:
        cluster: where they would go.
        objects: prepared, in order.
        apply: the dry run, with the field manager and the policy of the deploy.
        unread: names of Secrets whose values a plan does not know; only their keys are compared.
        workers: how many requests at once.

    Raises:
        StageError: when the cluster cannot be reached.
    """
    held = list(objects)
    live = read_live(cluster, held, workers=workers)
    missing = _find_missing_namespaces(cluster, held)
    plan = partial(_plan_object, live=live, apply=apply, unread=unread, missing=missing)
    with ThreadPoolExecutor(workers, thread_name_prefix="plan") as pool:
        changes = list(pool.map(plan, held))
    # A namespace that the environment makes is of no bundle.
    made = missing - {each["metadata"]["name"] for each in held if each["kind"] == "Namespace"}
    changes[:0] = [Change("create", f"Namespace/{name}", _UNTRIED) for name in sorted(made)]
    return PlannedObjects(changes, live)


def fingerprint(body: Mapping[str, Any] | None) -> str:
    """Return a short digest of what people set in a live object; empty when it is not there."""
    if body is None:
        return ""
    text = json.dumps(strip_object(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def name_key(key: tuple[str, str, str, str]) -> str:
    """Return a key as text: ``Kind.group/namespace/name``, empty parts left out."""
    group, kind, namespace, name = key
    return "/".join(each for each in (f"{kind}.{group}".rstrip("."), namespace, name) if each)


def _plan_object(
    body: Object,
    *,
    live: Live,
    apply: Apply,
    unread: Collection[str],
    missing: Collection[str],
) -> Change:
    name, key = name_of(body), key_of(body)
    if key in live.unknown:
        return _create(body, "tried once its definition is there")
    if key in live.errors:
        return Change("refuse", name, str(live.errors[key]))
    now = live.objects[key]
    if is_secret(body) and body["metadata"]["name"] in unread:
        return _plan_unread(name, now, body)
    if now is not None and is_unchanged(now, body, FIELD_MANAGER):
        return Change("leave", name)
    if key[2] in missing:
        return _create(body)
    if body["kind"] == "Namespace" and body["metadata"]["name"] in missing:
        return _create(body, _UNTRIED)
    try:
        wanted = apply(body)
    except StageError as error:
        if error.code == "cluster-unreachable":
            raise
        return explain_refusal(error, body, now)
    if now is None:
        return _create(body)
    differences = find_differences(now, wanted)
    if differences:
        return Change("change", name, fields=differences)
    return Change("leave", name, _tell_ownership(now, wanted))


def _create(body: Object, detail: str = "") -> Change:
    # What is desired, not what the server would make of it: its defaults are noise.
    return Change("create", name_of(body), detail, find_differences(None, hide_secret(body)))


def _plan_unread(name: str, now: Mapping[str, Any] | None, body: Object) -> Change:
    """Plan a Secret of the stage's ``secrets``: a plan reads no secret, so only keys are compared."""
    if now is None:
        return _create(body)
    held = now.get("data") or {}
    fields = [
        each
        for each in find_differences(now, {**now, "data": {**held, **body["data"]}})
        if each.path.partition(".")[0].partition("[")[0] == "data" and each.before != each.after
    ]
    if fields:
        return Change("change", name, "values are compared when it is applied", fields)
    return Change("leave", name, "its values are compared when it is applied")


def _tell_ownership(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    def managers(body: Mapping[str, Any]) -> set[tuple[Any, Any]]:
        entries = (body.get("metadata") or {}).get("managedFields") or ()
        return {(each.get("manager"), each.get("operation")) for each in entries}

    gone = {each for each, _ in managers(now) - managers(wanted)}
    if gone:
        return f"its fields are taken over from {', '.join(sorted(map(str, gone)))}"
    return "only who owns its fields changes"


def _find_missing_namespaces(cluster: Cluster, objects: list[Object]) -> set[str]:
    """Return the namespaces that will be made: what goes into them cannot be tried before."""
    made = {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
    settings = cluster.settings
    if settings.create_namespace:
        made.add(settings.namespace)
    found = set()
    resource = cluster.find_resource("v1", "Namespace")
    for name in sorted(made & {each["metadata"].get("namespace", "") for each in objects}):
        try:
            there = cluster.read(resource, None, name) is not None
        except PermanentError:
            there = True  # it may not be looked at; the dry run will tell
        if not there:
            found.add(name)
    return found
