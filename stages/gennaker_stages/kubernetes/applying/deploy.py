"""A deploy from the first look to the last prune; called by the stage type, which adds the words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gennaker_stages.kubernetes.applying.apply import Applier, Item, make_items
from gennaker_stages.kubernetes.applying.fitting import fit_object
from gennaker_stages.kubernetes.applying.provenance import stamp_run
from gennaker_stages.kubernetes.applying.removing import remove_objects
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.inventory.owners import check_owners
from gennaker_stages.kubernetes.inventory.prune import (
    Prunable,
    PruneRules,
    find_prunable,
    list_members,
)
from gennaker_stages.kubernetes.inventory.release import find_managers
from gennaker_stages.kubernetes.planning.live import read_live
from gennaker_stages.kubernetes.planning.shown import find_moved
from gennaker_stages.kubernetes.undoing.copies import drop_copies
from gennaker_stages.kubernetes.undoing.recording import record_touched

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.applying.home import Home
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet
    from gennaker_stages.kubernetes.inventory.release import Release

__all__ = ["Deploy"]


class Deploy:
    """One deploy: :meth:`look`, :meth:`record_before`, :meth:`apply_waves`, :meth:`record`, :meth:`prune`.

    Args:
        cluster: where.
        ctx: the attempt.
        applyset: what the objects belong to.
        rules: what is done about fields of other managers.

    Attributes:
        cluster: where.
    """

    def __init__(
        self, cluster: Cluster, ctx: Context, applyset: ApplySet, rules: ConflictRules
    ) -> None:
        self.cluster = cluster
        self._ctx = ctx
        self._applyset = applyset
        self._rules = rules
        self._applier = Applier(cluster, ctx, rules)
        self._waves: list[list[Item]] = []
        self._used: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def items(self) -> list[Item]:
        """The objects of all waves."""
        return [item for wave in self._waves for item in wave]

    def look(self, waves: Sequence[Sequence[Object]], release: Release | None = None) -> None:
        """Read what is there; nothing is written, so what is wrong now leaves all as it is.

        Args:
            waves: what is to be applied.
            release: whose objects are taken over.

        Raises:
            PermanentError: code ``other-owner``, or that an object cannot be read.
            FieldConflict: with every field that other managers own and that is to fail for.
        """
        live = read_live(self.cluster, [each for wave in waves for each in wave])
        for error in live.errors.values():
            raise error
        bodies = list(live.objects.values())
        check_owners(
            self.cluster, self._applyset, bodies, adopted=release.owner if release else None
        )
        self._rules = self._rules.adopt(find_managers(release, bodies))
        self._applier.rules = self._rules
        self._used = live.list_used()
        again = (self._ctx.attempt, self._ctx.delivery) != (1, 1)
        for line in find_moved(self._ctx.shown, live, again=again):
            self._ctx.log(line)

        def find(body: Object) -> Object | None:
            return live.objects.get(key_of(body))

        settings, adopted = self.cluster.settings, self._rules.adopted
        fitted = [
            [fit_object(each, find(each), settings, adopted=adopted) for each in wave]
            for wave in waves
        ]
        self._waves = [make_items(wave, find, self._rules) for wave in fitted]
        for item in self.items:
            if item.result == "not-tried":
                item.body = stamp_run(item.body, self._ctx.run.id)
        self._applier.check_conflicts([each for each in self.items if each.result == "not-tried"])

    def apply_home(self) -> None:
        """Apply the environment's namespace when the bundle has it: what comes first goes there."""
        self._apply([each for each in self.items if self._is_home(each)])

    def record_before(self, rules: PruneRules | None, home: Home | None) -> None:
        """Record what is there of everything that will be written or deleted.

        Args:
            rules: what the deploy prunes, None when nothing.
            home: the environment's namespace, when that is written.
        """
        touched = [(each.body, each.live) for each in self.items if each.result == "not-tried"]
        if rules is not None:
            found = self._find_prunable([each.body for each in self.items], rules)
            touched += [(each, each) for each in found.delete]
        made = home is not None and home[1] is None
        if home is not None and not made:
            touched.append(home)
        record_touched(self.cluster, self._ctx, self._applyset, touched, namespace=made)

    def apply_waves(self) -> Iterator[list[Object]]:
        """Apply wave after wave; yields the objects of each, for the caller to wait for.

        Raises:
            StageError: when an object could not be applied; all of it is recorded.
        """
        self.apply_home()
        self._save_inventory(each.body for each in self.items)
        for wave in self._waves:
            self._apply(wave)
            yield [each.body for each in wave]

    def record(self) -> None:
        """Keep in the journal what became of every object.

        Raises:
            StageError: when one of them failed.
        """
        self._applier.finish(self.items)

    def prune(self, desired: Sequence[Object], rules: PruneRules) -> None:
        """Delete what belongs to the set and is not desired, and wait until it is gone.

        Raises:
            StageError: code ``delete-stuck``.
        """
        found = self._find_prunable(desired, rules)
        for body, reason in found.keep:
            self._ctx.log(f"kept {name_of(body)}, no longer in the bundle: {reason}")
        # Whatever came to the set since the deploy began.
        touched = [(each, each) for each in found.delete]
        record_touched(self.cluster, self._ctx, self._applyset, touched)
        remove_objects(self.cluster, self._ctx, found.delete, "prune")
        if not rules.others:
            return  # there may be more members than were looked at
        smaller = self._applyset.cover([*desired, *(body for body, _ in found.keep)])
        if smaller != self._applyset:
            self._applyset = smaller.save(self.cluster)

    def forget(self) -> None:
        """Drop what earlier deploys kept to be put back: that is this one's part now."""
        if self._ctx.before is not None:
            drop_copies(self.cluster, self._ctx, self._applyset)

    def _find_prunable(self, desired: Sequence[Object], rules: PruneRules) -> Prunable:
        rules = replace(rules, used=self._used)
        members = list_members(self.cluster, self._applyset, rules)
        return find_prunable(self._applyset, members, desired, rules)

    def _apply(self, items: Sequence[Item]) -> None:
        if items:
            self._applier.apply(items)
        if self._applier.errors:
            self.record()

    def _is_home(self, item: Item) -> bool:
        body = item.body
        return (
            body["kind"] == "Namespace"
            and body["metadata"]["name"] == self._applyset.namespace
            and item.result == "not-tried"
        )

    def _save_inventory(self, objects: Iterable[Object]) -> None:
        wanted = self._applyset.grow(objects)
        if wanted != self._applyset or not self._applyset.exists:
            wanted = wanted.save(self.cluster)
        self._applyset = wanted
