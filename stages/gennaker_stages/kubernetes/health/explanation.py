"""Why an object does not get ready: the container, its exit code and last words, the event; in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker.stage import Failed
from gennaker_stages.kubernetes.bundle.masking import mask_secrets
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.health.assessment import kind_of
from gennaker_stages.kubernetes.health.pods import WITH_PODS, find_pods
from gennaker_stages.kubernetes.health.verdict import (
    find_condition,
    is_true,
    list_maps,
    read_map,
    tell_condition,
)
from gennaker_stages.kubernetes.health.workloads import list_containers

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.health.waiting import WaitResult

__all__ = ["Explainer", "explain_wait", "make_failure"]

Object = Mapping[str, Any]
MAX_PODS, MAX_REASONS, MAX_LOGS = 20, 8, 3
LOG_LINES, LOG_BYTES, LOG_SECONDS = 5, 2048, 3.0
MAX_OBJECTS, MAX_TOLD = 20, 5
EXPLAIN_SECONDS = 10.0
"""So long reasons are looked for once a wait is over, whatever the server does."""


def make_failure(
    cluster: Cluster,
    result: WaitResult,
    ctx: Context,
    *,
    secrets: Sequence[Object] = (),
) -> Failed:
    """Return the outcome of a wait that did not end well, explained.

    Args:
        cluster: where the objects are.
        result: of the wait.
        ctx: the attempt.
        secrets: as for :func:`explain_wait`.
    """
    reason = explain_wait(cluster, result, ctx, secrets=secrets)
    if result.failed:
        return Failed(f"not ready: {reason}", code="rollout-failed")
    return Failed(f"not ready within {result.within}: {reason}", code="rollout-timeout")


def explain_wait(
    cluster: Cluster, result: WaitResult, ctx: Context, *, secrets: Sequence[Object] = ()
) -> str:
    """Return in one text why objects are not ready; everything that is found goes to the log.

    Args:
        cluster: where they are.
        result: of a wait that did not end well.
        ctx: the attempt, which masks the run's secrets.
        secrets: objects; the values of the Secrets among them are masked as well.
    """
    left = result.unready
    bodies = [each.body or {} for _, each in left[:MAX_OBJECTS]]
    found = Explainer(cluster).explain_all(bodies, seconds=min(EXPLAIN_SECONDS, ctx.remaining))

    def hide(text: str) -> str:
        for each in secrets:
            text = mask_secrets(text, each)
        return ctx.mask(text)

    parts = []
    for place, (key, waited) in enumerate(left):
        name = f"{key[1]}/{key[3]}"
        reasons = [hide(each) for each in found[place]] if place < len(found) else []
        for each in reasons:
            ctx.log(f"{name}: {each}")
        told = [hide(waited.health.message), hide(waited.trouble), *reasons]
        parts.append(f"{name}: {'; '.join(list(dict.fromkeys(filter(None, told)))[:MAX_TOLD])}")
    return " | ".join(parts)


class Explainer:
    """Finds reasons; of all that it is asked about, a few logs are read.

    Args:
        cluster: where the objects are.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._logs = MAX_LOGS

    def explain(self, body: Object) -> list[str]:
        """Return the reasons why an object is not ready, most telling first; empty when none is seen.

        Args:
            body: as it was last seen; empty when it never was.
        """
        if not body:
            return []
        reasons = list(_find_conditions(body))
        if kind_of(body) in WITH_PODS:
            for pod in find_pods(self._cluster, body)[:MAX_PODS]:
                reasons += self._explain_pod(pod)
        if not reasons:
            reasons += self._find_events(body)
        return list(dict.fromkeys(reasons))[:MAX_REASONS]

    def explain_all(self, bodies: Sequence[Object], *, seconds: float) -> list[list[str]]:
        """Return the reasons of several objects; what is not found in time is left out."""
        found: list[list[str]] = [[] for _ in bodies]

        def work() -> None:
            for place, body in enumerate(bodies):
                try:
                    found[place] = self.explain(body)
                except StageError as error:
                    found[place] = [f"the cluster tells no reason: {error.message}"]
                    return

        # A thread, because a server that hangs is given up after a minute only.
        thread = threading.Thread(target=work, name="explain", daemon=True)
        thread.start()
        thread.join(seconds)
        return list(found)

    def _explain_pod(self, pod: Object) -> list[str]:
        status, name = read_map(pod, "status"), pod["metadata"]["name"]
        if is_true(status, "Ready") or status.get("phase") == "Succeeded":
            return []
        found = []
        for each in list_containers(status):
            text = _tell_container(each)
            if text:
                found.append(f"pod {name}, container {each.get('name')}: {text}")
                found += self._read_log(pod, each)
        scheduled = find_condition(status, "PodScheduled")
        if scheduled.get("status") == "False":
            found.append(f"pod {name}: {tell_condition(scheduled, 'is not scheduled')}")
        found = found or [f"pod {name} is {status.get('phase') or 'Pending'}"]
        return found + self._find_events({"kind": "Pod", **pod})

    def _read_log(self, pod: Object, container: Object) -> Iterator[str]:
        """Yield the last lines of a container that ended, in one text."""
        before = read_map(container, "lastState", "terminated")
        ended = read_map(container, "state", "terminated") or before
        if not ended or self._logs <= 0:
            return
        self._logs -= 1
        metadata = pod["metadata"]
        pods = self._cluster.find_resource("v1", "Pod")
        query = [
            ("container", str(container.get("name"))),
            ("tailLines", str(LOG_LINES)),
            ("limitBytes", str(LOG_BYTES)),
            # Of one that runs again, what it said before it ended.
            ("previous", str(bool(read_map(container, "state", "running"))).lower()),
        ]
        request = Request(
            "GET",
            f"{pods.path(metadata['namespace'], metadata['name'])}/log",
            f"read the log of pod {metadata['name']}",
            query,
            accept="*/*",
            read=LOG_SECONDS,
            repeatable=False,
        )
        try:
            text = self._cluster.connection.open(request).data.decode("utf-8", "replace")
        except StageError:
            # Gone, not allowed, or its node does not answer: then neither does the next.
            self._logs = 0
            return
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            yield "last log lines: " + " ⏎ ".join(lines[-LOG_LINES:])

    def _find_events(self, body: Object) -> list[str]:
        metadata = body["metadata"]
        fields = f"involvedObject.name={metadata['name']}"
        if metadata.get("uid"):
            fields += f",involvedObject.uid={metadata['uid']}"
        events = self._cluster.find_resource("v1", "Event")
        found = self._cluster.list_objects(events, metadata.get("namespace"), fields=fields)
        warnings = [each for each in found["items"] if each.get("type") == "Warning"]
        warnings.sort(key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime")))
        return [
            f"event of {name_of(body)}: {tell_condition(each).strip()}" for each in warnings[-2:]
        ]


def _find_conditions(body: Object) -> Iterator[str]:
    for each in list_maps(read_map(body, "status"), "conditions"):
        if each.get("type") == "ReplicaFailure" and each.get("status") == "True":
            yield tell_condition(each)


def _tell_container(container: Object) -> str:
    waiting = read_map(container, "state", "waiting")
    ended = read_map(container, "state", "terminated")
    before = read_map(container, "lastState", "terminated")
    if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        text = tell_condition(waiting)
        if before:
            text += f" (last exit code {before.get('exitCode')}, {before.get('reason')})"
        return text
    if ended.get("exitCode"):
        return f"ended with exit code {ended['exitCode']} ({ended.get('reason')})"
    if read_map(container, "state", "running") and not container.get("ready"):
        text = "runs but is not ready"
        if before:
            text += f" (last exit code {before.get('exitCode')}, {before.get('reason')})"
        return text
    return ""
