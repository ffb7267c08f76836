"""Applying a bundle: what is unchanged is left alone, the rest goes in waves, several at a time.

Every write is a step of the attempt, durable before it counts; what became of every object is in the
journal when the apply ends, however it ends. A retry finds what was applied unchanged and goes on.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker_stages.kubernetes.applying.adoption import adopt_object, take_over
from gennaker_stages.kubernetes.applying.conflicts import (
    apply_object,
    find_conflicts,
    keep_yielded,
)
from gennaker_stages.kubernetes.applying.rules import ConflictRules
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.bundle.ordering import is_prerequisite, rank_of
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.client.problems import FieldConflict
from gennaker_stages.kubernetes.inventory.owners import find_owner
from gennaker_stages.kubernetes.inventory.prune import wait_until_gone
from gennaker_stages.kubernetes.planning.refusal import find_immutable
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["Applier", "Item", "make_items"]

Result = Literal["applied", "unchanged", "failed", "not-tried"]
ESTABLISHED_SECONDS = 30.0
# Of the 64 KiB that a step may keep.
_RECORDED = 400
_SHOWN = 5


@dataclass(slots=True)
class Item:
    """An object on its way into the cluster.

    Attributes:
        body: as it is to be.
        live: as it is; None when it is not there, and once it needs no work.
        result: what became of it.
    """

    body: Object
    live: Object | None = None
    result: Result = "not-tried"


@dataclass(slots=True)
class Applier:
    """What applying needs.

    Attributes:
        cluster: where.
        ctx: the attempt.
        rules: what is done about fields of other managers.
        word: what is told of an object that was written.
    """

    cluster: Cluster
    ctx: Context
    rules: ConflictRules
    word: str = "applied"
    errors: list[tuple[Item, StageError]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def check_conflicts(self, items: Iterable[Item]) -> None:
        """Find every conflict before anything is written.

        What the managed fields say is not quite what the server will: it is asked, by dry runs of the
        objects in question.

        Raises:
            FieldConflict: with the fields of all objects.
        """
        suspects = [
            each
            for each in items
            if each.live is not None
            and not each.live["metadata"].get("deletionTimestamp")
            and any(
                self.rules.decide(each.body, path, manager) == "fail"
                for path, manager in find_conflicts(each.body, each.live)
            )
        ]

        def try_one(item: Item) -> FieldConflict | None:
            resource = self.cluster.find_resource(item.body["apiVersion"], item.body["kind"])
            try:
                apply_object(
                    self.cluster, resource, item.body, self.rules, live=item.live, dry_run=True
                )
            except FieldConflict as error:
                return error
            return None

        found = [each for each in work_in_parallel(try_one, suspects) if each is not None]
        if found:
            shown = "; ".join(each.message for each in found[:_SHOWN])
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise FieldConflict(f"{shown}{more} (nothing was applied)", hint=found[0].hint)

    def apply(self, items: Sequence[Item]) -> None:
        """Apply the objects of a wave; they stay as they are when one fails.

        Raises:
            StageError: what went wrong, once those that were under way have ended.
        """
        for phase in _split_phases(items):
            self.ctx.check_cancelled()
            work_in_parallel(self._apply_item, [each for each in phase if _is_open(each)])
            if self.errors:
                return
            self._await_definitions(phase)

    def finish(self, items: Sequence[Item]) -> None:
        """Record what became of every object, and raise what went wrong.

        Raises:
            StageError: when an object failed.
        """
        counts = Counter(each.result for each in items)
        told = ", ".join(
            f"{counts[each]} {each.replace('-', ' ')}" for each in _ORDER if counts[each]
        )
        if len(items) > counts["applied"]:  # each that was applied has a line of its own
            self.ctx.log(f"objects: {told}")
        codes = {id(item): f" ({error.code})" for item, error in self.errors}
        lines = [
            f"{each.result}{codes.get(id(each), '')} {describe_object(each.body)}" for each in items
        ]
        for start in range(0, len(lines), _RECORDED):
            part = lines[start : start + _RECORDED]
            self.ctx.step(f"record {start // _RECORDED + 1}", partial(_keep, part))
        if self.errors:
            raise _combine([error for _, error in self.errors], told)

    def _apply_item(self, item: Item) -> None:
        if self._stop.is_set() or self.ctx.cancelled:
            return
        try:
            done = self.ctx.step(
                f"apply {describe_object(item.body)}", lambda _key: self._write(item)
            )
        except StageError as error:
            item.result = "failed"
            self.errors.append((item, error))
            self._stop.set()
            return
        # What cannot be told by fields alone the server tells: it wrote nothing.
        before = item.live["metadata"].get("resourceVersion") if item.live else None
        kept = before is not None and done.get("resourceVersion") == before
        item.result = "unchanged" if kept else "applied"
        item.live = None
        if not kept:
            never = ", ".join(done.get("never") or ())
            told = f" (deleted and made anew: {never} can never change)" if never else ""
            self.ctx.log(f"{self.word} {name_of(item.body)}{told}")
        for path in done.get("yielded") or ():
            self.ctx.log(f"left {path} of {name_of(item.body)} to its manager")

    def _await_gone(self, live: Object | None) -> Object | None:
        """Wait for an object that is being deleted: what is applied to it now would go with it."""
        if live is None or not live["metadata"].get("deletionTimestamp"):
            return live
        wait_until_gone(self.cluster, [live], self.ctx)
        self.ctx.check_cancelled()
        return None

    def _write(self, item: Item) -> dict[str, Any]:
        body, live = item.body, self._await_gone(item.live)
        resource = self.cluster.find_resource(body["apiVersion"], body["kind"])
        if live is not None:
            if take_over(live, self.rules.adopted) is not None:
                whose = find_owner(live) or "kubectl apply"
                live = dict(adopt_object(self.cluster, resource, live, self.rules.adopted))
                self.ctx.log(f"took {name_of(body)} over from {whose}")
            body = dict(keep_yielded(body, live, self.rules))
        never: list[str] = []
        try:
            found = apply_object(self.cluster, resource, body, self.rules, live=live)
        except PermanentError as error:
            never = find_immutable(error) if live is not None else []
            if live is None or not never:
                raise
            if not self.rules.may_replace(body):
                advice = self.rules.advise_replacing(body)
                raise PermanentError(error.message, code="field-immutable", hint=advice) from error
            self._clear(resource, live)
            found = apply_object(self.cluster, resource, item.body, self.rules, live=None)
        metadata = found.body["metadata"]
        done = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        more = {"yielded": list(found.yielded), "never": never}
        return {**done, **{name: each for name, each in more.items() if each}}

    def _clear(self, resource: Resource, live: Object) -> None:
        """Delete an object with what it owns, so that it can be made anew."""
        metadata = live["metadata"]
        place = (resource, metadata.get("namespace"), metadata["name"])
        self.cluster.delete(*place, uid=metadata["uid"], propagation="Foreground")
        wait_until_gone(self.cluster, [live], self.ctx)
        self.ctx.check_cancelled()

    def _await_definitions(self, phase: Sequence[Item]) -> None:
        """Wait until new kinds are there to be used."""
        for each in phase:
            if each.body["kind"] == "CustomResourceDefinition" and each.result == "applied":
                self._await_definition(each.body)

    def _await_definition(self, body: Object) -> None:
        name, spec = body["metadata"]["name"], body["spec"]
        resource = self.cluster.find_resource(body["apiVersion"], body["kind"])
        served = [f"{spec['group']}/{each['name']}" for each in spec["versions"] if each["served"]]
        deadline = time.monotonic() + min(ESTABLISHED_SECONDS, self.ctx.remaining)
        while time.monotonic() < deadline:
            live = self.cluster.read(resource, None, name) or {}
            if _is_established(live) and all(
                self.cluster.discovery.find(each, spec["names"]["kind"]) for each in served
            ):
                return
            if self.ctx.wait_cancelled(0.05):
                self.ctx.check_cancelled()
        raise PermanentError(
            f"CustomResourceDefinition/{name} was not established within "
            f"{ESTABLISHED_SECONDS:.0f} s: {_explain_definition(live)}",
            code="crd",
        )


_ORDER: tuple[Result, ...] = ("applied", "unchanged", "failed", "not-tried")


def make_items(
    objects: Iterable[Object], find_live: Callable[[Object], Object | None], rules: ConflictRules
) -> list[Item]:
    """Return the objects with what is live of each; what is as desired is marked unchanged."""
    items = []
    for body in objects:
        live = find_live(body)
        item = Item(body, live)
        if live is not None and is_unchanged(
            live, dict(keep_yielded(body, live, rules)), FIELD_MANAGER
        ):
            item.result, item.live = "unchanged", None
        items.append(item)
    return items


def describe_object(body: Object) -> str:
    """Return which object it is, in full: ``apps/v1 Deployment/web in shop``."""
    where = body["metadata"].get("namespace") or "cluster"
    return f"{body['apiVersion']} {name_of(body)} in {where}"


def _is_open(item: Item) -> bool:
    return item.result == "not-tried"


def _split_phases(items: Sequence[Item]) -> list[list[Item]]:
    """Split a wave into what is applied together: each part needs those before it.

    Namespaces and definitions; what others refer to (up to role bindings); what runs and is reached;
    custom objects, API services and webhooks.
    """
    service = rank_of({"apiVersion": "v1", "kind": "Service"})
    api_service = rank_of({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"})
    phases: list[list[Item]] = [[], [], [], []]
    for each in items:
        rank = rank_of(each.body)
        if is_prerequisite(each.body):
            phases[0].append(each)
        else:
            phases[1 + (rank >= service) + (rank >= api_service)].append(each)
    return [each for each in phases if each]


def _is_established(live: Object) -> bool:
    conditions = (live.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _explain_definition(live: Object) -> str:
    conditions = (live.get("status") or {}).get("conditions") or ()
    wrong = [str(each.get("message")) for each in conditions if each.get("status") == "False"]
    return "; ".join(wrong) or "its names are not accepted yet"


def _keep(lines: list[str], _key: str) -> list[str]:
    return lines


def _combine(errors: Sequence[StageError], told: str) -> StageError:
    """Return one error for several: permanent when one of them is."""
    worst = next((each for each in errors if isinstance(each, PermanentError)), errors[0])
    others = len(errors) - 1
    message = "; ".join(dict.fromkeys(each.message for each in [worst, *errors[:_SHOWN]]))
    more = f"; and {others - _SHOWN} more" if others > _SHOWN else ""
    made = type(worst)(f"{message}{more} ({told})", code=worst.code, hint=worst.hint)
    if isinstance(worst, TemporaryError) and isinstance(made, TemporaryError):
        made.delay = worst.delay
    if isinstance(worst, FieldConflict) and isinstance(made, FieldConflict):
        made.fields = worst.fields
    made.__cause__ = worst.__cause__
    return made
