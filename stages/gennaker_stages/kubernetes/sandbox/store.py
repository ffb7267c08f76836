"""Where a sandbox cluster keeps its objects: versions, history for watches, and a folder on disk.

Objects are plain JSON data and are never changed once stored: a change stores another object. With a
folder every change is appended to ``log.jsonl``; opening the folder reads ``snapshot.json`` and the
log, and writes a new snapshot. The values of Secrets are never written: they are in memory only, and
empty when the folder is opened again, until the next deploy. Called by :mod:`.operations` under :attr:`Store.lock`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from gennaker.records import dataclass

from .problems import expired

__all__ = ["Change", "Objects", "Store"]

Object = dict[str, Any]
Objects = list[Object]
Owned = list[tuple[str, Object]]
Key = tuple[str, str]
HISTORY = 20_000
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FIRST_VERSION = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One change: ``new`` is None for a deletion, ``old`` for a creation."""

    version: int
    storage: str
    old: Object | None
    new: Object | None
    last: Object


Changes = list[Change]


class Store:
    """All objects of one cluster by storage key, namespace and name.

    Attributes:
        lock: hold it around everything that reads more than one thing, or writes.
        changed: notified after every change (waiting needs the lock).
        listeners: called with each :class:`Change`, under the lock; they must be quick.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.listeners: list[Callable[[Change], None]] = []
        self.version = FIRST_VERSION
        self._objects: dict[str, dict[Key, Object]] = {}
        self._owned: dict[str, set[tuple[str, Key]]] = {}
        self._history: list[Change] = []
        self._oldest = FIRST_VERSION
        self._dropped = 0
        self._folder = folder
        self._log: IO[str] | None = None
        if folder is not None:
            self._open(folder)

    def get(self, storage: str, namespace: str, name: str) -> Object | None:
        """Return one object, or None."""
        return self._objects.get(storage, {}).get((namespace, name))

    def list(self, storage: str, namespace: str | None = None) -> Objects:
        """Return the objects of a kind (in one namespace, unless None), by namespace and name."""
        found = self._objects.get(storage, {})
        if namespace is not None:
            return [found[key] for key in sorted(found) if key[0] == namespace]
        return [found[key] for key in sorted(found)]

    def everything(self) -> Iterator[tuple[str, Object]]:
        """Yield every object with its storage key."""
        for storage, objects in list(self._objects.items()):
            for obj in list(objects.values()):
                yield storage, obj

    def owned_by(self, uid: str) -> Owned:
        """Return the objects that name ``uid`` in their ownerReferences."""
        return [
            (storage, self._objects[storage][key])
            for storage, key in sorted(self._owned.get(uid, ()))
        ]

    def put(self, storage: str, obj: Object) -> Object:
        """Store an object under the next version, which it gets; returns what is stored."""
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        stored = {**obj, "metadata": metadata}
        key = _key(stored)
        old = self._objects.get(storage, {}).get(key)
        self._keep(storage, stored)
        self._tell(Change(self.version, storage, old, stored, stored))
        return stored

    def remove(self, storage: str, obj: Object) -> Object:
        """Forget an object; returns it as it was last, under the version of its deletion."""
        self.version += 1
        key = _key(obj)
        old = self._objects[storage].pop(key)
        self._index(storage, key, old, None)
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        self._tell(Change(self.version, storage, old, None, last))
        return last

    def since(self, version: int, position: int | None) -> tuple[Changes, int]:
        """Return the changes after ``version`` and the position to go on from.

        Args:
            version: the resource version the reader has seen.
            position: what the last call returned, or None for the first one.

        Raises:
            ApiProblem: 410 when that is longer ago than the history.
        """
        if position is None:
            position = self._find(version)
        if version < self._oldest:
            raise expired(f"too old resource version: {version} ({self._oldest})")
        start = position - self._dropped
        if start < 0:
            raise expired(f"too old resource version: {version} ({self._oldest})")
        found = self._history[start:]
        return found, position + len(found)

    def _find(self, version: int) -> int:
        low, high = 0, len(self._history)
        while low < high:
            middle = (low + high) // 2
            if self._history[middle].version <= version:
                low = middle + 1
            else:
                high = middle
        return low + self._dropped

    def forget_history(self) -> None:
        """Drop all history: every watch from before now is answered 410."""
        with self.lock:
            self._dropped += len(self._history)
            self._history.clear()
            self._oldest = self.version

    def close(self) -> None:
        """Write a snapshot (with a folder) and close the log."""
        with self.lock:
            if self._folder is not None and self._log is not None:
                self._log.close()
                self._log = None
                self._write_snapshot(self._folder)

    def _tell(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > HISTORY:
            cut = HISTORY // 4
            self._oldest = self._history[cut - 1].version
            del self._history[:cut]
            self._dropped += cut
        if self._log is not None:
            if change.new is not None:
                line: dict[str, Any] = {
                    "put": change.storage,
                    "object": _without_secrets(change.new),
                }
            else:
                namespace, name = _key(change.last)
                line = {"remove": change.storage, "namespace": namespace, "name": name}
            line["version"] = change.version
            self._log.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._log.flush()
        for listener in self.listeners:
            listener(change)
        self.changed.notify_all()

    def _keep(self, storage: str, obj: Object) -> None:
        key = _key(obj)
        objects = self._objects.setdefault(storage, {})
        self._index(storage, key, objects.get(key), obj)
        objects[key] = obj

    def _index(self, storage: str, key: Key, old: Object | None, new: Object | None) -> None:
        for obj, add in ((old, False), (new, True)):
            for owner in (obj or {}).get("metadata", {}).get("ownerReferences", ()):
                places = self._owned.setdefault(owner["uid"], set())
                (places.add if add else places.discard)((storage, key))
                if not places:
                    del self._owned[owner["uid"]]

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        snapshot = folder / "snapshot.json"
        if snapshot.exists():
            data = json.loads(snapshot.read_text("utf-8"))
            self.version = data["version"]
            for storage, objects in data["objects"].items():
                for obj in objects:
                    self._keep(storage, obj)
        log = folder / "log.jsonl"
        if log.exists():
            self._replay(log.read_text("utf-8"))
        self._oldest = self.version
        self._write_snapshot(folder)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._log = os.fdopen(descriptor, "w", encoding="utf-8")

    def _replay(self, text: str) -> None:
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                # The last line of a process that was killed while it wrote.
                return
            if entry["version"] <= self.version:
                continue
            self.version = entry["version"]
            if "put" in entry:
                self._keep(entry["put"], entry["object"])
            else:
                key = (entry["namespace"], entry["name"])
                old = self._objects.get(entry["remove"], {}).pop(key, None)
                self._index(entry["remove"], key, old, None)

    def _write_snapshot(self, folder: Path) -> None:
        objects = {
            storage: [_without_secrets(each) for each in found.values()]
            for storage, found in self._objects.items()
            if found
        }
        text = json.dumps({"version": self.version, "objects": objects}, separators=(",", ":"))
        partial = folder / "snapshot.json.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(folder / "snapshot.json")


def _key(obj: Object) -> Key:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _without_secrets(obj: Object) -> Object:
    """Return an object as it is written down: a Secret with its keys, but no value."""
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    metadata = obj["metadata"]
    if _APPLIED in (metadata.get("annotations") or {}):
        kept = {name: text for name, text in metadata["annotations"].items() if name != _APPLIED}
        metadata = {**metadata, "annotations": kept}
    return {**obj, "metadata": metadata, "data": dict.fromkeys(obj.get("data") or (), "")}
