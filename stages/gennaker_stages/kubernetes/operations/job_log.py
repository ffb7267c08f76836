"""What the Pods of a Job say, as they say it: into the attempt's log, and what of it is an output."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.client.logs import LogFollower
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.health.pods import write_selector
from gennaker_stages.kubernetes.health.verdict import read_map
from gennaker_stages.kubernetes.health.workloads import find_trouble, list_containers

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["JobLog"]

Object = Mapping[str, Any]
MARK = re.compile(r"GENNAKER_OUTPUT=(\{.*\})\s*")
READERS = 32
"""So many containers are listened to at a time; the others are read when those have ended."""
LAST_LINES = 5
AGAIN_SECONDS = 0.3
DRAIN_SECONDS = 20.0
"""So long the logs may take to come to their ends once the Job has."""


class JobLog:
    """The Pods of a Job and their logs, while the block runs.

    When it ends without an error, the Job has ended: all that was said is read.

    Args:
        cluster: where.
        ctx: the attempt, whose log is written.
        job: the live Job.
    """

    def __init__(self, cluster: Cluster, ctx: Context, job: Object) -> None:
        self._cluster = cluster
        self._ctx = ctx
        self._namespace = str(job["metadata"]["namespace"])
        self._labels = write_selector(job["spec"]["selector"])
        self._many = int(job["spec"].get("parallelism") or 1) > 1
        self._pods: dict[str, dict[str, Any]] = {}
        self._marked: dict[str, str] = {}
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._readers: dict[tuple[str, str, int], LogFollower] = {}
        self._threads: list[threading.Thread] = []
        self._places = threading.Semaphore(READERS)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._bad: float | None = None
        self._watch = Follower(
            cluster, cluster.find_resource("v1", "Pod"), self._namespace, labels=self._labels
        )

        self._watcher = threading.Thread(
            target=self._follow, name="watch Pods of a Job", daemon=True
        )

    def __enter__(self) -> JobLog:
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._watch.stop()
        if kind is None:
            # What it has yet to tell is older than what is asked for next.
            self._watcher.join(DRAIN_SECONDS)
            self._drain()
        self._over.set()
        with self._lock:
            readers = list(self._readers.values())
        for each in readers:
            each.stop()

    @property
    def last_lines(self) -> list[str]:
        """What was said last, masked."""
        return [self._ctx.mask(each) for each in self._last]

    def find_trouble(self, seconds: float) -> str:
        """Return why Pods do not start or go on, when that lasts for so long already; empty else."""
        with self._lock:
            found = [
                f"pod {pod['metadata']['name']}, {trouble}"
                for pod in self._pods.values()
                if (trouble := find_trouble(pod))
            ]
        if not found:
            self._bad = None
            return ""
        now = time.monotonic()
        self._bad = self._bad or now
        return found[0] if now - self._bad >= seconds else ""

    def find_output(self) -> str:
        """Return what the Pod that succeeded last gives: its last marked line, else its message."""
        with self._lock:
            done = [each for each in self._pods.values() if _find_end(each) is not None]
        if not done:
            return ""
        pod = max(done, key=lambda each: str(_find_end(each)))
        marked = self._marked.get(pod["metadata"]["uid"])
        return marked if marked is not None else next(_list_messages(pod), "")

    def _follow(self) -> None:
        try:
            for event, pod in self._watch:
                if event in ("ADDED", "MODIFIED"):
                    self._take(pod)
        except StageError as error:
            self._ctx.log(
                f"the Pods are not watched, so that their logs come late: {error.message}"
            )

    def _drain(self) -> None:
        """Read to their ends the logs of all Pods there are, also of those that nobody saw yet."""
        try:
            pods = self._cluster.list_objects(
                self._cluster.find_resource("v1", "Pod"), self._namespace, labels=self._labels
            )["items"]
        except StageError as error:
            self._ctx.log(f"the Pods cannot be listed: {error.message}")
            pods = []
        for each in pods:
            self._take(each)
        until = time.monotonic() + DRAIN_SECONDS
        while any(each.is_alive() for each in self._threads) and time.monotonic() < until:
            if self._ctx.wait_cancelled(0.05):
                return

    def _take(self, pod: dict[str, Any]) -> None:
        """Note how a Pod is, and listen to each of its containers that has begun."""
        uid = str(pod["metadata"]["uid"])
        containers = list(list_containers(read_map(pod, "status")))
        with self._lock:
            self._pods[uid] = pod
            for each in containers:
                name, count = str(each["name"]), int(each.get("restartCount") or 0)
                state, key = read_map(each, "state"), (uid, name, count)
                for other, reader in self._readers.items():
                    if other[:2] == key[:2] and (other != key or "running" not in state):
                        reader.end(previous=other != key)
                if key in self._readers or not ("running" in state or "terminated" in state):
                    continue
                self._readers[key] = LogFollower(self._cluster, pod, name)
                if "terminated" in state:
                    self._readers[key].end()
                prefix = self._name(pod, name, alone=len(containers) == 1)
                # No pool: its threads would keep a process that is to end until the server answers.
                thread = threading.Thread(
                    target=self._read, args=(key, prefix), name=f"log of {name}", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _name(self, pod: Object, container: str, *, alone: bool) -> str:
        parts = [pod["metadata"]["name"]] * self._many + [container] * (not alone)
        return f"{'/'.join(parts)}: " if parts else ""

    def _read(self, key: tuple[str, str, int], prefix: str) -> None:
        """Read a container's log until it has ended and all is read."""
        with self._places:
            reader = self._readers[key]
            while not self._over.is_set():
                ended = reader.ended
                try:
                    for line in reader.read():
                        self._tell(key[0], prefix, line)
                except StageError as error:
                    if not self._over.is_set():
                        self._ctx.log(error.message)
                    return
                if ended:
                    return
                if not reader.ended:
                    self._over.wait(AGAIN_SECONDS)

    def _tell(self, uid: str, prefix: str, line: str) -> None:
        found = MARK.fullmatch(line)
        if found is not None:
            self._marked[uid] = found[1]
        if line.strip():
            self._last.append(line.strip())
        self._ctx.log(f"{prefix}{line}", stream="stdout")


def _find_end(pod: Object) -> str | None:
    """Return when a Pod succeeded, None when it did not."""
    status = read_map(pod, "status")
    if status.get("phase") != "Succeeded":
        return None
    ends = [
        str(read_map(each, "state", "terminated").get("finishedAt") or "")
        for each in list_containers(status)
    ]
    return max(ends, default="")


def _list_messages(pod: Object) -> Iterator[str]:
    """Yield the termination messages of a Pod's containers."""
    for each in list_containers(read_map(pod, "status")):
        message = read_map(each, "state", "terminated").get("message")
        if message:
            yield str(message)
