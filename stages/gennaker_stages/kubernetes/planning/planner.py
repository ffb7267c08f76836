"""What a deploy would do to each object, found by server-side dry runs; nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker.records import dataclass
from gennaker.stage import Change
from gennaker_stages.kubernetes.applying.conflicts import find_conflicts, keep_yielded
from gennaker_stages.kubernetes.applying.fields import find_entry
from gennaker_stages.kubernetes.applying.fieldsets import extract_fields
from gennaker_stages.kubernetes.applying.fitting import fit_object
from gennaker_stages.kubernetes.applying.home import describe_home, has_namespace
from gennaker_stages.kubernetes.bundle.masking import hide_secret, is_secret, mask_secrets
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.inventory.owners import find_claims, tell_claim
from gennaker_stages.kubernetes.inventory.release import find_managers
from gennaker_stages.kubernetes.planning.difference import find_differences
from gennaker_stages.kubernetes.planning.live import Live, read_live
from gennaker_stages.kubernetes.planning.ownership import name_owners
from gennaker_stages.kubernetes.planning.refusal import explain_refusal, find_immutable
from gennaker_stages.kubernetes.planning.trying import try_apply
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet
    from gennaker_stages.kubernetes.inventory.release import Release

__all__ = ["PlannedObjects", "plan_objects"]

_UNTRIED = "what goes into it is tried once it is there"
# What a server refuses a Pod without (kubernetes, plugin/pkg/admission).
_NEEDS = {
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
}


@dataclass(frozen=True, slots=True)
class PlannedObjects:
    """What would become of a bundle's objects.

    Attributes:
        changes: one for each object, in the order given.
        live: the objects as they are, by key.
    """

    changes: list[Change]
    live: Live


def plan_objects(
    cluster: Cluster,
    objects: Iterable[Object],
    *,
    rules: ConflictRules,
    unread: Collection[str] = (),
    release: Release | None = None,
    applyset: ApplySet | None = None,
) -> PlannedObjects:
    """Plan the objects of a bundle.

    An object whose live state is just what is desired needs no dry run; for the others several are
    under way at once.

    Args:
        cluster: where they would go.
        objects: prepared, in order.
        rules: what the deploy does about fields of other managers.
        unread: names of Secrets whose values a plan does not know; only their keys are compared.
        release: whose objects are taken over.
        applyset: who is to have them; None when it does not matter who has.

    Raises:
        StageError: when the cluster cannot be reached.
    """
    held = list(objects)
    live = read_live(cluster, held)
    rules = rules.adopt(find_managers(release, live.objects.values()))
    missing = _find_missing_namespaces(cluster, held)
    claims = _find_claims(cluster, live, applyset, release)
    planner = _Planner(cluster, live, rules, unread, missing, claims)
    fitted = [
        fit_object(each, live.objects.get(key_of(each)), cluster.settings, adopted=rules.adopted)
        for each in held
    ]
    settled = [planner.settle(each) for each in fitted]
    doubtful = [body for body, change in zip(fitted, settled, strict=True) if change is None]
    tried = iter(work_in_parallel(planner.try_object, doubtful))
    changes = [change or next(tried) for change in settled]
    # A namespace that the environment makes is of no bundle.
    home = describe_home(cluster.settings, held)
    if home is not None and home["metadata"]["name"] in missing:
        changes.insert(0, planner.try_object(home))
    return PlannedObjects(changes, live)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans one object at a time."""

    cluster: Cluster
    live: Live
    rules: ConflictRules
    unread: Collection[str]
    missing: Collection[str]
    claims: Mapping[tuple[str, ...], str]

    def settle(self, body: Object) -> Change | None:
        """Return what would become of an object, None when only the server can tell."""
        name, key = name_of(body), key_of(body)
        if key in self.live.unknown:
            return _create(body, "tried once its definition is there")
        if key in self.live.errors:
            return Change("refuse", name, str(self.live.errors[key]))
        if key in self.claims:
            return Change("refuse", name, self.claims[key])
        now = self.live.objects[key]
        if is_secret(body) and body["metadata"]["name"] in self.unread:
            return _plan_unread(name, now, body)
        if now is None and key[2] in self.missing:
            return _create(body)
        needed = self._find_needed(body) if now is None else None
        if needed is not None:
            return _create(body, f"tried once {needed} is there")
        if now is not None:
            wanted = keep_yielded(body, now, self.rules)
            if is_unchanged(now, wanted, FIELD_MANAGER):
                return Change("leave", name, self._tell_yielded(body, now))
        return None

    def try_object(self, body: Object) -> Change:
        """Return what would become of an object by a dry run; in several threads."""
        now = self.live.objects.get(key_of(body))
        resource = self.cluster.find_resource(body["apiVersion"], body["kind"])
        try:
            found, wanted = try_apply(self.cluster, resource, body, self.rules, live=now)
        except StageError as error:
            never = find_immutable(error) if now is not None else []
            if now is not None and never:
                return self._plan_anew(body, now, f"{', '.join(never)} can never change")
            return explain_refusal(error, body, now)
        if now is None:
            is_home = body["kind"] == "Namespace" and body["metadata"]["name"] in self.missing
            return _create(body, _UNTRIED if is_home else "")
        detail = self._tell_yielded(body, now) if found.yielded else ""
        differences = find_differences(now, wanted)
        if differences:
            return Change("change", name_of(body), detail, name_owners(differences, now))
        return Change("leave", name_of(body), detail or _tell_ownership(now, found.body))

    def _find_needed(self, body: Object) -> str | None:
        """Return what a Pod needs to be taken and comes with it, None when nothing."""
        if body["kind"] != "Pod":
            return None
        coming = {key[1:] for key, live in self.live.objects.items() if live is None}
        for name, kind in _NEEDS.items():
            place = body["metadata"]["namespace"] if kind == "ServiceAccount" else ""
            wanted = (body.get("spec") or {}).get(name)
            if (kind, place, wanted) in coming:
                return f"{kind}/{wanted}"
        return None

    def _plan_anew(self, body: Object, now: Mapping[str, Any], reason: str) -> Change:
        """Plan what cannot be changed: it is deleted and made anew where that is allowed."""
        name, metadata = name_of(body), now["metadata"]
        if not self.rules.may_replace(body):
            told = f"{reason}; {self.rules.advise_replacing(body)}"
            return Change("refuse", name, mask_secrets(told, body))
        resource = self.cluster.find_resource(body["apiVersion"], body["kind"])
        place = (resource, metadata.get("namespace"), metadata["name"])
        try:
            self.cluster.delete(*place, uid=metadata["uid"], dry_run=True)
        except StageError as error:
            return explain_refusal(error, body, None)
        # What the server makes of it cannot be tried beside it: what is desired is compared.
        entry = find_entry(now, FIELD_MANAGER)
        before = extract_fields(now, entry["fieldsV1"]) if entry is not None else now
        differences = find_differences(before, hide_secret(body))
        return Change("replace", name, mask_secrets(reason, body), differences)

    def _tell_yielded(self, body: Object, now: Mapping[str, Any]) -> str:
        """Return which fields are left to whom, empty when none is."""
        if not self.rules.may_yield:
            return ""
        left = [
            f"{path.lstrip('.')} to {manager!r}"
            for path, manager in find_conflicts(body, now)
            if self.rules.decide(body, path, manager) == "yield"
        ]
        return f"leaves {', '.join(left)}" if left else ""


def _find_claims(
    cluster: Cluster, live: Live, applyset: ApplySet | None, release: Release | None
) -> dict[tuple[str, ...], str]:
    """Return what to say of the objects that somebody else keeps up to date, by key."""
    if applyset is None:
        return {}
    there = [each for each in live.objects.values() if each is not None]
    adopted = release.owner if release is not None else None
    claims = find_claims(cluster, applyset, there, adopted=adopted)
    return {key: tell_claim(applyset, owner) for key, owner in claims.items()}


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
    used = made & {each["metadata"].get("namespace", "") for each in objects}
    if cluster.settings.create_namespace:
        used.add(cluster.settings.namespace)  # the inventory goes there, whatever the bundle has
    return {name for name in sorted(used) if not has_namespace(cluster, name)}
