"""What putting a deploy back comes to, found without a write: what is restored, removed, kept, refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, StageError
from gennaker_stages.kubernetes.applying.conflicts import apply_object
from gennaker_stages.kubernetes.applying.rules import ConflictRules
from gennaker_stages.kubernetes.bundle.masking import is_secret
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.bundle.ordering import rank_of
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.inventory.applyset import PART_OF_LABEL
from gennaker_stages.kubernetes.inventory.prune import find_protection
from gennaker_stages.kubernetes.planning.live import Live, read_live
from gennaker_stages.kubernetes.planning.refusal import explain_refusal, find_immutable
from gennaker_stages.kubernetes.undoing.copies import read_copy
from gennaker_stages.kubernetes.undoing.record import Entry, Record
from gennaker_stages.kubernetes.undoing.restoring import Restoration, make_restoration
from gennaker_stages.kubernetes.undoing.strangers import find_strangers

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["Restored", "Survey", "check_survey", "survey_objects"]

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Restored:
    """An object that is to be as it was.

    Attributes:
        before: as recorded, values of a Secret included.
        live: as it is, None when it is gone.
        way: how it gets there.
        found: what the server would make of it; None when that cannot be tried before.
        anew: whether it is deleted first, because a field of it can never change.
    """

    before: Object
    live: Object | None
    way: Restoration
    found: Mapping[str, Any] | None = None
    anew: bool = False


@dataclass(slots=True)
class Survey:
    """What would be done.

    Attributes:
        restore: objects that were there, in the order of the record.
        remove: live objects that were not, what others need last.
        keep: live objects that were not there and stay, with the reason.
        refused: objects that cannot be put back, with the reason.
    """

    restore: list[Restored] = field(default_factory=list)
    remove: list[Object] = field(default_factory=list)
    keep: list[tuple[Object, str]] = field(default_factory=list)
    refused: list[tuple[Object, str]] = field(default_factory=list)


def survey_objects(cluster: Cluster, record: Record, rules: ConflictRules) -> Survey:
    """Find out what putting back a record would do; nothing is written.

    Args:
        cluster: where.
        record: what was there.
        rules: what is done about fields that other managers own by now.

    Raises:
        StageError: when the cluster cannot be asked.
    """
    survey = Survey()
    live = read_live(cluster, [each.body for each in record.entries.values()])
    made = _find_made(record, live)
    for key, entry in record.entries.items():
        if key in live.errors:
            survey.refused.append((entry.body, live.errors[key].message))
        elif entry.existed:
            _add_restored(survey, cluster, entry, live.objects.get(key), made=key in made)
        elif (body := live.objects.get(key)) is not None:
            _add_created(survey, record, body)
    _try_restorations(survey, cluster, live, rules)
    if record.namespace:
        _add_namespace(survey, cluster, record)
    survey.remove.sort(key=rank_of, reverse=True)
    _keep_populated(survey, cluster)
    return survey


def check_survey(survey: Survey) -> None:
    """Refuse to put back a part of a deploy.

    Raises:
        PermanentError: code ``undo-refused`` with each object and the reason.
    """
    if not survey.refused:
        return
    told = [f"{name_of(body)}: {reason}" for body, reason in survey.refused[:_SHOWN]]
    left = len(survey.refused) - _SHOWN
    more = f"; and {left} more" if left > 0 else ""
    raise PermanentError(
        f"cannot be put back: {'; '.join(told)}{more} (nothing was changed)",
        code="undo-refused",
        hint="settle that, or bring the environment to a run of your choice: "
        "'gennaker rollback --environment ENV --to RUN'",
    )


def _find_made(record: Record, live: Live) -> set[tuple[str, str, str, str]]:
    """Return the objects whose kind is not there now, but is defined by what is put back."""
    kinds = {
        (entry.body["spec"]["group"], entry.body["spec"]["names"]["kind"])
        for entry in record.entries.values()
        if entry.existed and entry.body["kind"] == "CustomResourceDefinition"
    }
    return {key for key in live.unknown if key[:2] in kinds}


def _add_restored(
    survey: Survey, cluster: Cluster, entry: Entry, live: Object | None, *, made: bool
) -> None:
    before = entry.body
    metadata = before["metadata"]
    if not made and cluster.discovery.find(before["apiVersion"], before["kind"]) is None:
        reason = (
            f"the cluster does not know kind {before['kind']!r} of {before['apiVersion']!r} now"
        )
        survey.refused.append((before, reason))
        return
    if is_secret(before):
        values = read_copy(cluster, metadata["namespace"], str(entry.copy))
        if values is None:
            reason = f"the copy of its values, Secret/{entry.copy}, is gone"
            survey.refused.append((before, reason))
            return
        before = {**before, "data": values}
    if live is not None and live["metadata"].get("deletionTimestamp"):
        way = make_restoration(before, None)
    else:
        way = make_restoration(before, live)
    survey.restore.append(Restored(before, live, way))


def _add_created(survey: Survey, record: Record, body: Object) -> None:
    """An object that was not there before is removed while it is the deploy's."""
    labels = body["metadata"].get("labels") or {}
    if labels.get(PART_OF_LABEL) != record.applyset.id:
        survey.keep.append((body, "it is not what the deploy made: it does not say so any more"))
        return
    reason = find_protection(body)
    if reason is not None:
        survey.keep.append((body, reason))
    else:
        survey.remove.append(body)


def _add_namespace(survey: Survey, cluster: Cluster, record: Record) -> None:
    name = record.applyset.namespace
    body = cluster.read(cluster.find_resource("v1", "Namespace"), None, name)
    known = {key_of(each) for each in [*survey.remove, *(kept for kept, _ in survey.keep)]}
    if body is not None and key_of(body) not in known:
        survey.remove.append(body)


def _keep_populated(survey: Survey, cluster: Cluster) -> None:
    """Keep namespaces and definitions in which something is that does not go by itself."""
    going = {key_of(each) for each in survey.remove}
    for body in list(survey.remove):
        strangers = find_strangers(cluster, body, going)
        if strangers:
            told = ", ".join(strangers[:_SHOWN]) + (", …" if len(strangers) > _SHOWN else "")
            survey.remove.remove(body)
            survey.keep.append((body, f"{told} would go with it"))


def _try_restorations(survey: Survey, cluster: Cluster, live: Live, rules: ConflictRules) -> None:
    """Let the server try what is put back, so that it refuses before anything is written."""
    namespaces = _find_missing_namespaces(cluster, survey.restore)

    def attempt(each: Restored) -> Restored | str:
        metadata = each.before["metadata"]
        if (
            each.way.there
            or key_of(each.before) in live.unknown
            or metadata.get("namespace") in namespaces
        ):
            return each
        resource = cluster.find_resource(each.before["apiVersion"], each.before["kind"])
        try:
            found = apply_object(
                cluster, resource, each.way.body, rules, live=each.live, dry_run=True
            )
        except StageError as error:
            if error.code in ("cluster-unreachable", "cluster-unavailable"):
                raise
            if find_immutable(error) and each.live is not None and rules.may_replace(each.before):
                way = make_restoration(each.before, None)
                return Restored(each.before, each.live, way, anew=True)
            return explain_refusal(error, each.before, each.live).detail
        return Restored(each.before, each.live, each.way, found.body)

    tried = work_in_parallel(attempt, survey.restore)
    refused = [
        (each.before, outcome)
        for each, outcome in zip(survey.restore, tried, strict=True)
        if isinstance(outcome, str)
    ]
    survey.refused += refused
    survey.restore = [each for each in tried if isinstance(each, Restored)]


def _find_missing_namespaces(cluster: Cluster, restored: Iterable[Restored]) -> set[str]:
    """Return the namespaces that are made anew: what goes into them cannot be tried before."""
    return {
        each.before["metadata"]["name"]
        for each in restored
        if each.live is None and each.before["kind"] == "Namespace"
    }
