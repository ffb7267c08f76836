"""A live release of Helm's that a deploy takes over: its record is read and kept, its objects become ours.

Helm keeps each revision of a release as a Secret ``sh.helm.release.v1.NAME.vREVISION``, whose key
``release`` is base64 of gzip of JSON (helm, pkg/storage/driver/util.go), and marks its objects with
annotations, which whoever wrote them owns.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker.stage import Change
from gennaker.suggestions import suggest
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.bundle.reading import read_items
from gennaker_stages.kubernetes.inventory.owners import find_owner

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = [
    "Release",
    "find_managers",
    "find_release",
    "list_markers",
    "plan_release",
    "read_record",
]

Object = Mapping[str, Any]
_MARK = "f:meta.helm.sh/release-name"
_BIGGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Release:
    """A release as its newest record tells of it.

    Attributes:
        owner: how its objects' owner is called, see :func:`find_owner`.
        record: name of the Secret.
        revision: its number.
        objects: what it made, in its words: ``Kind/name``.
    """

    owner: str
    record: str
    revision: int
    objects: tuple[str, ...]


def find_release(cluster: Cluster, adopt: str | None, applyset: ApplySet) -> Release | None:
    """Return the release that a deploy is to take over; None when there is none to take over any more.

    Args:
        cluster: where.
        adopt: ``helm/NAME``; None when nothing is taken over.
        applyset: what the deploy's objects belong to; when it exists the release was taken over before.

    Raises:
        PermanentError: code ``adopt``: there is no such release.
    """
    if adopt is None:
        return None
    name, namespace = adopt.partition("/")[2], cluster.settings.namespace
    secrets = cluster.find_resource("v1", "Secret")
    found = cluster.list_objects(secrets, namespace, labels="owner=helm")["items"]
    records = [each for each in found if (each["metadata"].get("labels") or {}).get("name") == name]
    if not records:
        if applyset.exists:
            return None
        known = {str((each["metadata"].get("labels") or {}).get("name")) for each in found}
        raise PermanentError(
            f"there is no Helm release {name!r} in namespace {namespace!r}",
            code="adopt",
            hint=suggest(name, known) if known else "take 'adopt' out",
        )
    newest = max(records, key=_read_revision)
    return Release(
        f"Helm release '{namespace}/{name}'",
        newest["metadata"]["name"],
        _read_revision(newest),
        read_record(newest),
    )


def read_record(secret: Object) -> tuple[str, ...]:
    """Return the objects that a release's record tells of; empty when it cannot be read; pure."""
    try:
        text = base64.b64decode(base64.b64decode((secret.get("data") or {})["release"]))
        content = zlib.decompressobj(wbits=31).decompress(text, _BIGGEST)
        manifest = json.loads(content)["manifest"]
        items, _ = read_items(str(manifest).encode(), "release")
    except (binascii.Error, KeyError, TypeError, ValueError, zlib.error):
        return ()
    return tuple(name_of(each.body) for each in items)


def find_managers(release: Release | None, live: Iterable[Object | None]) -> frozenset[str]:
    """Return the field managers that Helm worked as in the objects of a release; pure."""
    if release is None:
        return frozenset()
    theirs = (each for each in live if each is not None and find_owner(each) == release.owner)
    return frozenset[str]().union(*map(list_markers, theirs))


def list_markers(body: Object) -> frozenset[str]:
    """Return the field managers that own Helm's mark of an object: whatever Helm worked as."""
    return frozenset(
        str(entry.get("manager"))
        for entry in body["metadata"].get("managedFields") or ()
        if _MARK
        in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {})
    )


def plan_release(release: Release | None, desired: Iterable[Object]) -> list[Change]:
    """Return what a plan tells of a release: its record stays, and so does what the bundle has not."""
    if release is None:
        return []
    names = {name_of(each) for each in desired}
    told = (
        f"record of {release.owner}, revision {release.revision}: kept; its objects are taken over"
    )
    changes = [Change("leave", f"Secret/{release.record}", told)]
    changes += [
        Change("leave", each, f"of {release.owner}, and not in the bundle: it stays as it is")
        for each in release.objects
        if each not in names
    ]
    return changes


def _read_revision(secret: Object) -> int:
    text = str((secret["metadata"].get("labels") or {}).get("version"))
    return int(text) if text.isdecimal() else 0
