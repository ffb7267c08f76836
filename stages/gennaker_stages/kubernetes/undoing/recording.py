"""Recording what is there, before the first write; of a deploy and of what puts one back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.bundle.masking import LAST_APPLIED, SECRET_FIELDS, is_secret
from gennaker_stages.kubernetes.bundle.objects import Object, key_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.undoing.copies import keep_copy
from gennaker_stages.kubernetes.undoing.record import Entry, Record, load_record

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["record_touched"]

Touched = tuple[Object, Object | None]
"""What an object is to be, and what is live of it, None when it is not there."""


def record_touched(
    cluster: Cluster,
    ctx: Context,
    applyset: ApplySet,
    touched: Iterable[Touched],
    *,
    namespace: bool = False,
) -> None:
    """Record what is about to be changed; what was recorded already stays as it was found first.

    Nothing is recorded when nothing new is touched.

    Args:
        cluster: where.
        ctx: the attempt; its record grows.
        applyset: what the objects belong to, as it is now.
        touched: the objects that are written or deleted next.
        namespace: whether the environment's namespace is made next.
    """
    if ctx.before is not None:
        record = load_record(ctx.artifacts, ctx.before)
    else:
        record = Record(applyset, namespace, {})
    new = [each for each in touched if key_of(each[0]) not in record.entries]
    if not new and not (namespace and not record.namespace):
        return
    entries = list(_make_entries(cluster, ctx, applyset, new))
    record = replace(record.add(entries), namespace=record.namespace or namespace)
    ctx.record_before(record.store(ctx.artifacts))


def _make_entries(
    cluster: Cluster, ctx: Context, applyset: ApplySet, touched: Iterable[Touched]
) -> Iterator[Entry]:
    for body, live in touched:
        # One that is being deleted is waited for, and what comes then is another.
        if live is None or live["metadata"].get("deletionTimestamp"):
            yield Entry(_identify(body), existed=False)
            continue
        live = _read_as_applied(cluster, live)
        copy = keep_copy(cluster, ctx, applyset, live) if is_secret(live) else None
        yield Entry(_strip(live), existed=True, copy=copy)


def _identify(body: Object) -> Object:
    metadata = body["metadata"]
    known = {name: metadata[name] for name in ("name", "namespace") if metadata.get(name)}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": known}


def _read_as_applied(cluster: Cluster, live: Object) -> Object:
    """Return the object in the version it was applied in: the names of its fields are of that one."""
    entry = find_entry(live, FIELD_MANAGER)
    version = live["apiVersion"] if entry is None else str(entry.get("apiVersion"))
    resource = cluster.discovery.find(version, live["kind"])
    if version == live["apiVersion"] or resource is None:
        return live
    metadata = live["metadata"]
    found = cluster.read(resource, metadata.get("namespace"), metadata["name"])
    return live if found is None else {"apiVersion": version, "kind": live["kind"], **found}


def _strip(live: Object) -> Object:
    kept = {name: value for name, value in live.items() if name != "status"}
    if is_secret(live):
        kept = {name: value for name, value in kept.items() if name not in SECRET_FIELDS}
        metadata = dict(kept["metadata"])
        if metadata.get("annotations"):  # kubectl's copy of the object has its values, too
            metadata["annotations"] = {
                name: each for name, each in metadata["annotations"].items() if name != LAST_APPLIED
            }
        kept["metadata"] = metadata
    return kept
