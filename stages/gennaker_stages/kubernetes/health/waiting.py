"""Waiting for objects by watching them: one watch for each kind and namespace, and no other request."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gennaker.durations import parse_duration
from gennaker.errors import StageError
from gennaker_stages.kubernetes.bundle.objects import group_of, key_of, name_of
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.health.assessment import (
    check_health,
    is_behind,
    is_waited_for,
    kind_of,
)
from gennaker_stages.kubernetes.health.early import EarlySigns
from gennaker_stages.kubernetes.health.pods import WITH_PODS
from gennaker_stages.kubernetes.health.verdict import Health

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Attempt, Cluster

__all__ = ["Waited", "find_limit", "find_time", "wait_until_ready"]

Object = Mapping[str, Any]
Key = tuple[str, str, str, str]
Group = tuple[str, str, str]
SETTLE_SECONDS = 3.0
"""A failure counts once it has lasted so long: statuses flap while a controller catches up."""
EARLY_SECONDS = 15.0
"""And what may yet pass, when one is to fail early; as long as kstatus gives a Pod to be scheduled."""
_SIGNS = {"Pod": "", "ReplicaSet": "", "Event": "reason=FailedCreate"}
"""What tells early that something is wrong, and which of it is watched (a field selector)."""
_KEPT_SECONDS = 5.0
"""So much of the attempt's time is kept to look why a wait was too short; an eighth of a short one."""
POLL_SECONDS = 0.1
"""How often the attempt is asked whether it is to stop. The cluster is not asked anything."""


@dataclass(slots=True)
class Waited:
    """An object that is waited for.

    Attributes:
        health: how it is.
        body: as it was last seen.
        trouble: what is wrong with what it runs, when one is to fail early.
        since: when it began to be bad (monotonic), None while it is not.
    """

    health: Health
    body: dict[str, Any] | None = None
    trouble: str = ""
    since: float | None = None

    def has_failed(self, now: float, *, early: bool) -> bool:
        """Return whether it has been bad for long enough."""
        if self.since is None:
            return False
        if self.health.state == "failed":
            return now - self.since >= SETTLE_SECONDS
        return early and now - self.since >= EARLY_SECONDS


@dataclass(slots=True)
class WaitResult:
    """How the wait ended.

    Attributes:
        waited: each object, by its key.
        failed: keys of those that will not get ready by waiting longer.
        within: how long the wait could take, in words.
    """

    waited: dict[Key, Waited]
    failed: list[Key]
    within: str

    @property
    def unready(self) -> list[tuple[Key, Waited]]:
        """Those that are not done, the failed ones first."""
        left = [each for each in self.waited.items() if not _is_done(each[1])]
        return sorted(left, key=lambda each: each[0] not in self.failed)

    @property
    def workloads(self) -> list[dict[str, Any]]:
        """Those that run Pods, as they were last seen."""
        return [
            each.body
            for key, each in self.waited.items()
            if each.body is not None and _join_kind(key) in WITH_PODS
        ]


def find_time(attempt: Attempt) -> float:
    """Return how many seconds may be waited, so that there is time to tell why it was not enough."""
    left = attempt.remaining
    return left - min(_KEPT_SECONDS, left / 8)


def find_limit(within: str, ctx: Context) -> tuple[float, str]:
    """Return how many seconds a wait may take, and the same in words.

    Args:
        within: how long it may take by itself, a duration.
        ctx: the attempt, whose time may end before; then what is told at its end needs some of it.
    """
    seconds, most = parse_duration(within), find_time(ctx)
    if seconds <= most:
        return seconds, within
    return most, f"{most:.0f}s, which the stage's timeout leaves"


def wait_until_ready(
    cluster: Cluster,
    objects: Iterable[Object],
    ctx: Context,
    *,
    within: str,
    fail_early: bool = False,
) -> WaitResult:
    """Watch those of the objects that get ready until all are, one has failed, or time is up.

    Args:
        cluster: where; its settings have the project's own rules of health.
        objects: as applied, with namespaces.
        ctx: the attempt: its log is told of every change, and it may end the wait.
        within: how long to wait at most, a duration; of the attempt's time enough is kept to say why
            it was too short.
        fail_early: whether what may yet pass (a crash loop, an image that cannot be pulled, a quota)
            ends the wait after :data:`EARLY_SECONDS`.

    Raises:
        StageError: code ``object-deleted``, or what the cluster says of a watch.
    """
    rules = cluster.settings.health
    seconds, words = find_limit(within, ctx)
    wait = _Wait(cluster, ctx, fail_early, words)
    for each in objects:
        if is_waited_for(each, rules):
            wait.add(each)
    return wait.run(time.monotonic() + seconds)


class _Wait:
    def __init__(self, cluster: Cluster, ctx: Context, fail_early: bool, within: str) -> None:
        self._cluster = cluster
        self._ctx = ctx
        self._early = fail_early
        self._within = within
        self._signs = EarlySigns()
        self._waited: dict[Key, Waited] = {}
        self._groups: dict[Group, set[str]] = {}
        self._followers: list[Follower] = []
        self._seen: queue.SimpleQueue[tuple[Group, str, Any]] = queue.SimpleQueue()
        self._listed: set[Group] = set()

    def add(self, body: Object) -> None:
        """Wait for this one too."""
        namespace, name = body["metadata"].get("namespace") or "", body["metadata"]["name"]
        self._waited[key_of(body)] = Waited(Health("progressing", "has no status yet"))
        self._groups.setdefault((body["apiVersion"], body["kind"], namespace), set()).add(name)

    def run(self, deadline: float) -> WaitResult:
        """Watch until it is over."""
        self._follow()
        try:
            while True:
                now = time.monotonic()
                failed = [
                    key
                    for key, each in self._waited.items()
                    if each.has_failed(now, early=self._early)
                ]
                done = all(_is_done(each) for each in self._waited.values())
                if failed or done or now >= deadline or self._ctx.cancelled:
                    return WaitResult(self._waited, failed, self._within)
                try:
                    found = self._seen.get(timeout=min(POLL_SECONDS, deadline - now))
                except queue.Empty:
                    continue
                self._take(*found)
        finally:
            for follower in self._followers:
                follower.stop()

    def _follow(self) -> None:
        for group, names in self._groups.items():
            # Of one object the server tells nothing but that; of Pods the other ones count as well.
            alone = len(names) == 1 and not (self._early and group[1] in _SIGNS)
            self._start(group, f"metadata.name={next(iter(names))}" if alone else "")
        for group in self._find_signs() if self._early else ():
            self._start(group, _SIGNS[group[1]])

    def _find_signs(self) -> list[Group]:
        """What else is watched, in the namespaces of what runs Pods."""
        runs = {key[2] for key in self._waited if _join_kind(key) in WITH_PODS}
        wanted = [
            (api_version, kind, namespace)
            for namespace in sorted(runs)
            for api_version, kind in (("v1", "Pod"), ("apps/v1", "ReplicaSet"), ("v1", "Event"))
        ]
        return [each for each in wanted if each not in self._groups]

    def _start(self, group: Group, fields: str) -> None:
        api_version, kind, namespace = group
        resource = self._cluster.find_resource(api_version, kind)
        follower = Follower(self._cluster, resource, namespace or None, fields=fields)
        self._followers.append(follower)
        threading.Thread(
            target=self._feed, args=(group, follower), name=f"watch {kind}", daemon=True
        ).start()

    def _feed(self, group: Group, follower: Follower) -> None:
        """Feed the queue until the follower is stopped."""
        try:
            for event, body in follower:
                self._seen.put((group, event, body))
        except StageError as error:
            self._seen.put((group, "FAILED", error))

    def _take(self, group: Group, event: str, body: Any) -> None:
        ours = self._groups.get(group)
        if event == "FAILED":
            self._take_error(body, waited=ours is not None)
        elif event == "LISTED":
            self._listed.add(group)
            self._find_missing(group)
        elif ours is not None and body["metadata"]["name"] in ours:
            self._take_object(event, body)
        if self._early and group[1] in _SIGNS and event in ("ADDED", "MODIFIED", "DELETED"):
            # An event of before this wait tells nothing of it.
            is_old = group[1] == "Event" and group not in self._listed
            if not is_old and self._signs.take(event, body):
                self._judge_again()

    def _take_error(self, error: StageError, *, waited: bool) -> None:
        if waited:
            raise error
        # To look at Pods and events is allowed to fewer than to deploy.
        self._ctx.log(f"what goes wrong is not seen early: {error.message}")

    def _find_missing(self, group: Group) -> None:
        for (api_group, kind, namespace, name), each in self._waited.items():
            same = (api_group, kind, namespace) == (group_of(group[0]), *group[1:])
            if same and each.body is None:
                raise _deleted(f"{kind}/{name}")

    def _take_object(self, event: str, body: dict[str, Any]) -> None:
        rules = self._cluster.settings.health
        if event == "DELETED":
            # What does its work and ends may be cleaned away as soon as it has.
            kept = {k: v for k, v in body["metadata"].items() if k != "deletionTimestamp"}
            ended = kind_of(body) in ("batch/Job", "Pod")
            if not (ended and check_health({**body, "metadata": kept}, rules).is_done):
                raise _deleted(name_of(body))
        waited = self._waited[key_of(body)]
        health = check_health(body, rules) if event != "DELETED" else Health("ready", "ended well")
        if health != waited.health:
            self._ctx.log(f"{name_of(body)}: {health.message or health.state}")
        waited.body = body
        self._settle(waited, health)

    def _judge_again(self) -> None:
        for each in self._waited.values():
            if each.body is not None and not each.health.is_done:
                self._settle(each, each.health)

    def _settle(self, waited: Waited, health: Health) -> None:
        """Note how an object is, and since when it is bad."""
        before, waited.health = waited.health.state, health
        trouble = ""
        # Until its controller has seen the change, its Pods are those of before.
        if self._early and waited.body and not health.is_done and not is_behind(waited.body):
            trouble = self._signs.find_trouble(waited.body)
        if trouble and not waited.trouble:
            self._ctx.log(f"{name_of(waited.body or {})}: {trouble}")
        waited.trouble = trouble
        is_bad = health.state in ("degraded", "failed") or bool(trouble)
        if not is_bad:
            waited.since = None
        elif waited.since is None or (health.state == "failed") != (before == "failed"):
            waited.since = time.monotonic()


def _join_kind(key: Key) -> str:
    return f"{key[0]}/{key[1]}" if key[0] else key[1]


def _is_done(waited: Waited) -> bool:
    return waited.body is not None and waited.health.is_done


def _deleted(name: str) -> StageError:
    return StageError(
        f"{name} was deleted while it was waited for",
        code="object-deleted",
        hint="find out who deleted it, then retry the stage: it is made anew",
    )
