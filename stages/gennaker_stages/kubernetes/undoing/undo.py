"""Putting a deploy back, from the survey to the inventory; called by the stage type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gennaker_stages.kubernetes.applying.adoption import change_owners
from gennaker_stages.kubernetes.applying.apply import Applier, Item
from gennaker_stages.kubernetes.applying.conflicts import apply_object
from gennaker_stages.kubernetes.applying.removing import remove_objects
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.bundle.ordering import group_waves
from gennaker_stages.kubernetes.inventory.applyset import ApplySet, open_applyset
from gennaker_stages.kubernetes.undoing.copies import drop_copies
from gennaker_stages.kubernetes.undoing.recording import record_touched
from gennaker_stages.kubernetes.undoing.restoring import Restoration, make_restoration
from gennaker_stages.kubernetes.undoing.survey import Survey, check_survey, survey_objects

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.undoing.record import Record

__all__ = ["Undo"]

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Restorer(Applier):
    """Applies what was there before, and gives fields back to who had them.

    Attributes:
        ways: how each object gets back, by object.
        anew: objects that are deleted first.
    """

    ways: Mapping[Key, Restoration] = field(default_factory=dict)
    anew: frozenset[Key] = frozenset()

    def _write(self, item: Item) -> dict[str, Any]:
        live = self._await_gone(item.live)
        way = self.ways[key_of(item.body)]
        if live is None and item.live is not None:
            way = make_restoration(item.body, None)
        resource = self.cluster.find_resource(item.body["apiVersion"], item.body["kind"])
        if live is not None and key_of(item.body) in self.anew:
            self._clear(resource, live)
            live = None
        found = apply_object(self.cluster, resource, way.body, self.rules, live=live)
        body = change_owners(self.cluster, resource, found.body, way.return_fields)
        metadata = body["metadata"]
        done = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        return {**done, "yielded": list(found.yielded)} if found.yielded else done


class Undo:
    """One undo: :meth:`look`, then :meth:`restore_waves`, then :meth:`finish`.

    Args:
        cluster: where.
        ctx: the attempt.
        record: what was there.
        rules: what is done about fields that other managers own by now.
    """

    def __init__(
        self, cluster: Cluster, ctx: Context, record: Record, rules: ConflictRules
    ) -> None:
        self._cluster = cluster
        self._ctx = ctx
        self._record = record
        self._rules = rules
        self._survey = Survey()
        self._applyset = record.applyset

    def look(self) -> None:
        """Find out what is to be done; nothing is written when a part of it cannot be.

        Raises:
            PermanentError: code ``undo-refused`` with each object and the reason.
        """
        held = self._record.applyset
        self._applyset = open_applyset(self._cluster, held.name, held.namespace, held.title)
        self._survey = survey_objects(self._cluster, self._record, self._rules)
        check_survey(self._survey)
        restored = [(each.before, each.live) for each in self._survey.restore if not each.way.there]
        removed = [(each, each) for each in self._survey.remove]
        record_touched(self._cluster, self._ctx, self._applyset, [*restored, *removed])

    def restore_waves(self) -> Iterator[list[Object]]:
        """Put back what was there, in the order of a deploy; yields each wave, to be waited for.

        Raises:
            StageError: when an object could not be put back; all of it is recorded.
        """
        ways = {key_of(each.before): each.way for each in self._survey.restore}
        anew = frozenset(key_of(each.before) for each in self._survey.restore if each.anew)
        applier = Restorer(
            self._cluster, self._ctx, self._rules, word="put back", ways=ways, anew=anew
        )
        items = {
            key_of(each.before): Item(
                each.before, each.live, "unchanged" if each.way.there else "not-tried"
            )
            for each in self._survey.restore
        }
        if items and (self._applyset.exists or self._record.applyset.exists):
            self._applyset = self._keep_inventory(self._applyset.unite(self._record.applyset))
        for wave in group_waves(each.body for each in items.values()):
            applier.apply([items[key_of(each)] for each in wave])
            if applier.errors:
                break
            yield wave
        applier.finish(list(items.values()))

    def finish(self) -> None:
        """Remove what the deploy made, and leave the inventory as it was.

        Raises:
            StageError: code ``delete-stuck``.
        """
        ctx, survey = self._ctx, self._survey
        widest = self._applyset.unite(self._record.applyset)
        for body, reason in survey.keep:
            ctx.log(f"kept {name_of(body)}: {reason}")
        namespaces = [each for each in survey.remove if each["kind"] == "Namespace"]
        self._remove([each for each in survey.remove if each not in namespaces])
        drop_copies(self._cluster, ctx, widest)
        kept = [body for body, _ in survey.keep]
        before = self._record.applyset
        if before.exists or kept:
            self._keep_inventory(before.unite(before.cover(kept)))
        else:
            resource = self._cluster.find_resource("v1", "ConfigMap")
            self._cluster.delete(resource, before.namespace, before.name)
        self._remove(namespaces)

    def _keep_inventory(self, wanted: ApplySet) -> ApplySet:
        if wanted == self._applyset and self._applyset.exists:
            return self._applyset
        return replace(wanted, exists=True).save(self._cluster)

    def _remove(self, bodies: list[Object]) -> None:
        remove_objects(self._cluster, self._ctx, bodies, "remove")
