"""The record of what was there before a deploy: an artifact of JSON, without the values of Secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.bundle.objects import Object, key_of
from gennaker_stages.kubernetes.inventory.applyset import ApplySet

if TYPE_CHECKING:
    from gennaker.stage import Artifact, ArtifactStore

__all__ = ["Entry", "Record", "load_record"]

VERSION = 1
MEDIA_TYPE = "application/vnd.gennaker.kubernetes.before+json"
Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was there of one object.

    Attributes:
        body: the live object with its managed fields, without status and values of a Secret; when it
            was not there, only which object it is.
        existed: whether it was there.
        copy: the Secret that keeps the values of a Secret.
    """

    body: Object
    existed: bool
    copy: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What was there of everything that a deploy touches.

    Attributes:
        applyset: the inventory as it was.
        namespace: whether the deploy made the environment's namespace.
        entries: by object, in the order of the bundle; what is pruned comes last.
    """

    applyset: ApplySet
    namespace: bool
    entries: Mapping[Key, Entry]

    def add(self, entries: Iterable[Entry]) -> Record:
        """Return the record with further entries; what was recorded first is what was there."""
        return replace(
            self, entries={**{key_of(each.body): each for each in entries}, **self.entries}
        )

    def store(self, artifacts: ArtifactStore) -> Artifact:
        """Keep it as an artifact."""
        held = self.applyset
        data = {
            "version": VERSION,
            "set": {
                "name": held.name,
                "namespace": held.namespace,
                "title": held.title,
                "group_kinds": sorted(held.group_kinds),
                "namespaces": sorted(held.namespaces),
                "exists": held.exists,
            },
            "namespace": self.namespace,
            "objects": [
                {"body": each.body, "existed": each.existed, "copy": each.copy}
                for each in self.entries.values()
            ],
        }
        content = json.dumps(data, separators=(",", ":")).encode()
        return artifacts.put(content, media_type=MEDIA_TYPE, name="before")


def load_record(artifacts: ArtifactStore, artifact: Artifact) -> Record:
    """Return a record that was stored.

    Raises:
        PermanentError: code ``undo-record``: it was written by a release that this one cannot read.
    """
    with artifacts.open(artifact) as stream:
        data = json.load(stream)
    if data.get("version") != VERSION:
        raise PermanentError(
            f"what was there before is recorded in version {data.get('version')!r}, this release "
            f"reads version {VERSION}",
            code="undo-record",
            hint="put it back with the release that deployed it",
        )
    held = data["set"]
    applyset = ApplySet(
        held["name"],
        held["namespace"],
        held["title"],
        frozenset((group, kind) for group, kind in held["group_kinds"]),
        frozenset(held["namespaces"]),
        held["exists"],
    )
    entries = [Entry(each["body"], each["existed"], each["copy"]) for each in data["objects"]]
    return Record(applyset, data["namespace"], {key_of(each.body): each for each in entries})
