"""Pruning: what belongs to a deploy's ApplySet and is no longer desired is deleted, old minus new."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, StageError
from gennaker.records import dataclass
from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.objects import key_of, name_of
from gennaker_stages.kubernetes.bundle.ordering import rank_of
from gennaker_stages.kubernetes.bundle.versions import VERSION_OF
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.client.problems import has_status
from gennaker_stages.kubernetes.inventory.applyset import PART_OF_LABEL

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Attempt, Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = [
    "Prunable",
    "PruneRules",
    "find_protection",
    "find_prunable",
    "list_members",
    "plan_prune",
    "refuse_empty",
    "wait_until_gone",
]

Object = Mapping[str, Any]
_POLL = 0.25
_SOON = 1.0
"""Seconds in which most objects go; of what takes longer the log says what holds it."""
_REMAINING = frozenset({"NamespaceContentRemaining", "NamespaceFinalizersRemaining"})
_VERSIONED = frozenset({("", "ConfigMap"), ("", "Secret")})
# What takes longer waits for somebody: its name is worth more than the rest of the attempt's hour.
GONE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Prunable:
    """What a prune would do, pure: members of the set that are not desired.

    Attributes:
        delete: live objects in the order in which they are deleted, what others need last.
        keep: live objects that stay, with the reason.
    """

    delete: tuple[dict[str, Any], ...] = ()
    keep: tuple[tuple[dict[str, Any], str], ...] = ()


@dataclass(frozen=True, slots=True)
class PruneRules:
    """What of a set's members may be deleted.

    Attributes:
        others: whether members that are not desired go.
        versions: how many versions of a desired ConfigMap or Secret stay; None when it has none.
        used: kind, namespace and name of those that live objects referred to before the deploy: an
            undo needs them.
    """

    others: bool = True
    versions: int | None = None
    used: frozenset[tuple[str, str, str]] = frozenset()

    def choose(
        self, members: Iterable[dict[str, Any]], desired: Iterable[Object]
    ) -> list[dict[str, Any]]:
        """Return the members that may go unless something protects them; pure."""
        wanted = {key_of(each): each for each in desired}
        families = {_family(each) for each in wanted.values()} - {None}
        older: dict[Any, list[dict[str, Any]]] = {}
        chosen = []
        for each in members:
            if key_of(each) in wanted:
                continue
            family = _family(each)
            if self.versions is not None and family in families:
                older.setdefault(family, []).append(each)
            elif self.others:
                chosen.append(each)
        for found in older.values():
            found.sort(key=self._rank, reverse=True)
            # The desired one counts.
            left = found[(self.versions or 1) - 1 :]
            chosen += [each for each in left if _place(each) not in self.used]
        return chosen

    def _rank(self, body: Object) -> tuple[bool, str]:
        """Return how much an old version is worth: what was in use, then the newest."""
        return _place(body) in self.used, str(body["metadata"].get("creationTimestamp"))


def list_members(
    cluster: Cluster, applyset: ApplySet, rules: PruneRules | None = None
) -> list[dict[str, Any]]:
    """Return the live objects of a set; what a controller made of one (it may copy labels) is none.

    Args:
        cluster: where.
        applyset: the set.
        rules: what the members are wanted for: versions have two kinds only.
    """
    places = [applyset.namespace, *sorted(applyset.namespaces)]
    kinds = applyset.group_kinds
    if rules is not None and not rules.others:
        kinds &= _VERSIONED
    wanted = []
    for group, kind in sorted(kinds):
        resource = cluster.discovery.find_kind(group, kind)
        if resource is not None:
            wanted += [(resource, each) for each in (places if resource.namespaced else [None])]

    def read(place: tuple[Any, str | None]) -> list[dict[str, Any]]:
        resource, namespace = place
        try:
            found = cluster.list_objects(
                resource, namespace, labels=f"{PART_OF_LABEL}={applyset.id}"
            )["items"]
        except StageError as error:
            if has_status(error, 404):  # its definition went a moment ago
                return []
            raise
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return [{**kind, **each} for each in found]

    return [
        body
        for bodies in work_in_parallel(read, wanted)
        for body in bodies
        if not any(each.get("controller") for each in body["metadata"].get("ownerReferences") or ())
    ]


def find_prunable(
    applyset: ApplySet,
    members: Iterable[dict[str, Any]],
    desired: Iterable[Object],
    rules: PruneRules,
) -> Prunable:
    """Return what of the members is not desired; pure."""
    delete, keep = [], []
    for body in rules.choose(members, desired):
        reason = find_protection(body)
        if body["kind"] == "Namespace" and body["metadata"]["name"] == applyset.namespace:
            reason = "it is the namespace of the environment"
        if reason is None:
            delete.append(body)
        else:
            keep.append((body, reason))
    return Prunable(tuple(sorted(delete, key=rank_of, reverse=True)), tuple(keep))


def plan_prune(
    cluster: Cluster, applyset: ApplySet, desired: Sequence[Object], rules: PruneRules
) -> list[Change]:
    """Return what a prune would delete, tried by dry runs, and what it would keep and why."""
    found = find_prunable(applyset, list_members(cluster, applyset, rules), desired, rules)
    families = {_family(each) for each in desired} - {None}

    def tell(body: Object) -> str:
        if _family(body) in families:
            return f"an old version; {rules.versions} are kept"
        return "no longer in the bundle"

    def try_one(body: dict[str, Any]) -> Change:
        from gennaker_stages.kubernetes.planning.refusal import explain_refusal

        try:
            cluster.delete_object(body, dry_run=True)
        except StageError as error:
            return explain_refusal(error, body, None)
        return Change("prune", name_of(body), tell(body))

    return [*work_in_parallel(try_one, found.delete)] + [
        Change("leave", name_of(each), f"{tell(each)}, but {reason}") for each, reason in found.keep
    ]


def refuse_empty(applyset: ApplySet, members: Sequence[Object]) -> None:
    """Refuse to delete everything because there is nothing to apply.

    Raises:
        PermanentError: code ``prune-empty``.
    """
    if members:
        raise PermanentError(
            f"the bundle is empty, so pruning would delete all {len(members)} objects of "
            f"{applyset.title}",
            code="prune-empty",
            hint="find out why it is empty; if it is meant to be, say 'allow_empty: true'",
        )


def wait_until_gone(
    cluster: Cluster,
    objects: Iterable[Object],
    attempt: Attempt,
    *,
    limit: float | None = None,
    word: str | None = None,
) -> None:
    """Wait until objects that are being deleted are gone.

    Args:
        cluster: where.
        objects: live objects; one of the same name made anew is another.
        attempt: the wait ends with it.
        limit: how many seconds to wait at most; :data:`GONE_SECONDS` unless given.
        word: what the log says of each once it is gone, before its name; until then it says what
            holds it. Without it, nothing is said.

    Raises:
        StageError: code ``delete-stuck``, naming each object and the finalizers it waits for.
    """
    from gennaker_stages.kubernetes.health.waiting import find_time

    left = {key_of(each): each for each in objects}
    told: dict[tuple[str, str, str, str], str] = {}
    seconds = min(find_time(attempt), GONE_SECONDS if limit is None else limit)
    begun = time.monotonic()
    while True:
        for key, body in list(left.items()):
            metadata = body["metadata"]
            resource = cluster.find_resource(body["apiVersion"], body["kind"])
            live = cluster.read(resource, metadata.get("namespace"), metadata["name"])
            if live is None or live["metadata"]["uid"] != metadata["uid"]:
                del left[key]
                if word is not None:
                    attempt.log(f"{word} {name_of(body)}")
                continue
            left[key] = {**body, **live}
            hold = f"deleting {name_of(body)}{_describe_hold(left[key])}"
            if word is not None and time.monotonic() - begun >= _SOON and told.get(key) != hold:
                told[key] = hold
                attempt.log(hold)
        passed = time.monotonic() - begun
        if not left or attempt.wait_cancelled(min(_POLL, max(0.0, seconds - passed))):
            return
        if time.monotonic() - begun >= seconds:
            stuck = "; ".join(_describe_stuck(each) for each in left.values())
            raise StageError(
                f"still there {seconds:.0f} s after they were deleted: {stuck}",
                code="delete-stuck",
                hint="look why the controller of that finalizer does not finish",
            )


def _family(body: Object) -> tuple[str, str, str] | None:
    """Return what the versions of a ConfigMap or a Secret have in common; None for what has none."""
    metadata = body["metadata"]
    written = (metadata.get("annotations") or {}).get(VERSION_OF)
    if written is None or ("", body["kind"]) not in _VERSIONED:
        return None
    return body["kind"], metadata.get("namespace") or "", written


def _place(body: Object) -> tuple[str, str, str]:
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace") or "", metadata["name"]


def _describe_hold(live: Object) -> str:
    held = _list_finalizers(live)
    if held:
        return f", held by finalizer{'s' * (len(held) > 1)} {', '.join(held)}"
    content = _list_content(live)
    return f": {'; '.join(content)}" if content else ""


def _describe_stuck(body: Object) -> str:
    held = [*_list_finalizers(body), *_list_content(body)]
    return f"{name_of(body)} waits for {', '.join(held) or 'nothing that it names'}"


def _list_finalizers(body: Object) -> list[str]:
    return [str(each) for each in body["metadata"].get("finalizers") or ()]


def _list_content(body: Object) -> list[str]:
    """Return what a namespace says of what is still in it."""
    if body["kind"] != "Namespace":
        return []
    return [
        str(each.get("message"))
        for each in (body.get("status") or {}).get("conditions") or ()
        if each.get("type") in _REMAINING and each.get("status") == "True"
    ]


def find_protection(body: Object) -> str | None:
    """Return the annotation that keeps an object from being deleted, None when it has none."""
    annotations = body["metadata"].get("annotations") or {}
    options = str(annotations.get("argocd.argoproj.io/sync-options") or "")
    marks = {
        "gennaker.dev/prune: false": str(annotations.get("gennaker.dev/prune")).lower() == "false",
        "argocd.argoproj.io/sync-options: Prune=false": "Prune=false"
        in [each.strip() for each in options.split(",")],
        "helm.sh/resource-policy: keep": annotations.get("helm.sh/resource-policy") == "keep",
    }
    return next((mark for mark, there in marks.items() if there), None)
