"""The inventory of a deploy: an ApplySet (KEP-3659), spelled as kubectl spells it.

Every object carries the label ``applyset.kubernetes.io/part-of``. The set's parent is a ConfigMap in
the environment's namespace; it says which kinds and namespaces have members, always at least as many
as there are, so that none is overlooked: it grows before an apply and shrinks after it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from gennaker import __version__
from gennaker.errors import PermanentError, StageError
from gennaker.project import load_project
from gennaker.records import dataclass
from gennaker.stage import Change

if TYPE_CHECKING:
    from gennaker.stage import PlanContext
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = [
    "ID_LABEL",
    "PART_OF_LABEL",
    "ApplySet",
    "describe_parent",
    "list_group_kinds",
    "make_id",
    "open_applyset",
    "open_set_of",
    "plan_inventory",
]

ID_LABEL = "applyset.kubernetes.io/id"
PART_OF_LABEL = "applyset.kubernetes.io/part-of"
TOOLING = "applyset.kubernetes.io/tooling"
GROUP_KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
TOOL = "gennaker"
OWNER = "gennaker.dev/deploy"
_UNFIT = re.compile(r"[^a-z0-9]+")
_GROUP_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z0-9.-]+)?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Object = Mapping[str, Any]
GroupKind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ApplySet:
    """A set of objects.

    Attributes:
        name: of the parent, a ConfigMap.
        namespace: the environment's.
        title: how people speak of it.
        group_kinds: ``(group, kind)`` of which there may be members.
        namespaces: where they may be, besides ``namespace``.
        exists: whether the parent is there.
    """

    name: str
    namespace: str
    title: str
    group_kinds: frozenset[GroupKind] = frozenset()
    namespaces: frozenset[str] = frozenset()
    exists: bool = field(default=False, compare=False)

    @property
    def id(self) -> str:
        """What members carry; it cannot be chosen."""
        return make_id(self.name, self.namespace)

    def label(self, body: Object) -> dict[str, Any]:
        """Return an object that says it belongs to the set."""
        metadata = body["metadata"]
        labels = {**(metadata.get("labels") or {}), PART_OF_LABEL: self.id}
        return {**body, "metadata": {**metadata, "labels": labels}}

    def cover(self, objects: Iterable[Object]) -> ApplySet:
        """Return the set as it is when these objects are all there is in it."""
        kinds, namespaces = set(), set()
        for each in objects:
            kinds.add((str(each["apiVersion"]).rpartition("/")[0], str(each["kind"])))
            namespaces.add(each["metadata"].get("namespace"))
        namespaces -= {None, self.namespace}
        return replace(self, group_kinds=frozenset(kinds), namespaces=frozenset(namespaces))

    def unite(self, other: ApplySet) -> ApplySet:
        """Return the set that covers what either does."""
        return replace(
            self,
            group_kinds=self.group_kinds | other.group_kinds,
            namespaces=self.namespaces | other.namespaces,
        )

    def grow(self, objects: Iterable[Object]) -> ApplySet:
        """Return the set that covers these objects, too: as it is while they are applied."""
        return self.unite(self.cover(objects))

    def describe(self) -> dict[str, Any]:
        """Return the parent object."""
        kinds = sorted(f"{kind}.{group}" if group else kind for group, kind in self.group_kinds)
        annotations = {
            TOOLING: f"{TOOL}/v{__version__}",
            GROUP_KINDS: ",".join(kinds),
            OWNER: self.title,
        }
        if self.namespaces:
            annotations[NAMESPACES] = ",".join(sorted(self.namespaces))
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {ID_LABEL: self.id},
                "annotations": annotations,
            },
        }

    def save(self, cluster: Cluster) -> ApplySet:
        """Write the parent."""
        cluster.apply(cluster.find_resource("v1", "ConfigMap"), self.describe())
        return replace(self, exists=True)


def plan_inventory(cluster: Cluster, applyset: ApplySet, objects: Iterable[Object]) -> list[Change]:
    """Return that the parent of a deploy's objects would be refused, when it has to be written."""
    from gennaker_stages.kubernetes.planning.refusal import explain_refusal

    wanted = applyset.grow(objects)
    if applyset.exists and wanted == applyset:
        return []
    body = wanted.describe()
    try:
        cluster.apply(cluster.find_resource("v1", "ConfigMap"), body, dry_run=True)
    except StageError as error:
        if error.code == "namespace-missing":
            return []  # that is told with the objects, or it is made before
        refused = explain_refusal(error, body, None)
        return [replace(refused, detail=f"the deploy's inventory: {refused.detail}")]
    return []


def make_id(name: str, namespace: str) -> str:
    """Return the id of the set whose parent is this ConfigMap."""
    digest = hashlib.sha256(f"{name}.{namespace}.ConfigMap.".encode()).digest()
    return f"applyset-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}-v1"


def open_applyset(cluster: Cluster, name: str, namespace: str, title: str) -> ApplySet:
    """Return a set as its parent describes it, an empty one when there is none yet.

    Raises:
        PermanentError: code ``applyset``: the ConfigMap of that name is no parent of ours. A forged
            id would make a prune delete somebody else's objects.
    """
    empty = ApplySet(name, namespace, title)
    body = cluster.read(cluster.find_resource("v1", "ConfigMap"), namespace, name)
    if body is None:
        return empty
    metadata = body["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    tooling = str(annotations.get(TOOLING) or "")
    if tooling.partition("/")[0] != TOOL:
        whose = f"is kept by {tooling!r}" if tooling else "is no inventory"
        raise PermanentError(
            f"ConfigMap/{name} in {namespace} {whose}, so it cannot be that of {title}",
            code="applyset",
            hint="name the stage's set otherwise: 'set: NAME'",
        )
    if labels.get(ID_LABEL) != empty.id:
        raise PermanentError(
            f"ConfigMap/{name} in {namespace} has the id {labels.get(ID_LABEL)!r}, not that of an "
            f"ApplySet of this name",
            code="applyset",
            hint="find out who changed it; delete it, and the next deploy makes it anew",
        )
    namespaces = _split(annotations.get(NAMESPACES), _NAMESPACE)
    return replace(
        empty,
        group_kinds=_read_group_kinds(annotations),
        namespaces=frozenset(namespaces),
        exists=True,
    )


def open_set_of(cluster: Cluster, ctx: PlanContext, chosen: str | None) -> ApplySet:
    """Return the set of a stage: the chosen one, else one of its own.

    A stage's own set is known by project, pipeline and stage, so that neither another stage nor
    another project that deploys to the namespace has the same.
    """
    namespace = cluster.settings.namespace
    if chosen is not None:
        return open_applyset(cluster, f"{TOOL}.{chosen}", namespace, f"set {chosen!r}")
    project, pipeline, stage = load_project(ctx.project).name, ctx.run.pipeline, ctx.stage
    parts = [_UNFIT.sub("-", each.lower()).strip("-") for each in (project, pipeline, stage)]
    title = f"stage {stage!r} of pipeline {pipeline!r} of project {project!r}"
    return open_applyset(cluster, ".".join([TOOL, *parts]), namespace, title)


def list_group_kinds(cluster: Cluster, namespace: str) -> frozenset[GroupKind]:
    """Return the ``(group, kind)`` that may be in one of our sets whose parent is in a namespace."""
    parents = cluster.list_objects(
        cluster.find_resource("v1", "ConfigMap"), namespace, labels=ID_LABEL
    )["items"]
    annotations = [each["metadata"].get("annotations") or {} for each in parents]
    ours = [each for each in annotations if str(each.get(TOOLING)).partition("/")[0] == TOOL]
    return frozenset(kind for each in ours for kind in _read_group_kinds(each))


def _read_group_kinds(annotations: Mapping[str, Any]) -> frozenset[GroupKind]:
    kinds = _split(annotations.get(GROUP_KINDS), _GROUP_KIND)
    return frozenset((group, kind) for kind, _, group in (k.partition(".") for k in kinds))


def describe_parent(cluster: Cluster, other: str, namespace: str | None) -> str:
    """Return in words whose ApplySet an id is; its parent is looked for near the object."""
    for kind in ("ConfigMap", "Secret"):
        found = cluster.list_objects(
            cluster.find_resource("v1", kind), namespace, labels=f"{ID_LABEL}={other}"
        )["items"]
        if found:
            metadata = found[0]["metadata"]
            annotations = metadata.get("annotations") or {}
            where = f"{kind}/{metadata['name']} in {metadata['namespace']}"
            if annotations.get(OWNER):
                return f"{annotations[OWNER]} ({where})"
            return f"the ApplySet of {where}, kept by {annotations.get(TOOLING)!r}"
    return f"the ApplySet {other!r}, whose parent is not in that namespace"


def _split(text: Any, pattern: re.Pattern[str]) -> list[str]:
    """What of a comma-separated annotation is of the right form: it may have been edited."""
    parts = [each.strip() for each in str(text or "").split(",")]
    return [each for each in parts if pattern.fullmatch(each)]
