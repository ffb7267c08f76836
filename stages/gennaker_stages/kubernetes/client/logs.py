"""Following the log of a container: each line once, also when the connection breaks off on the way."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.process.lines import LineSplitter
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.streaming import Streaming

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["LogFollower"]

SILENCE_SECONDS = 65.0
"""After so long without a word the connection may be dead: it is opened anew."""
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ?")


class LogFollower:
    """The lines of one container's log; each call of :meth:`read` goes on where the last one ended.

    Args:
        cluster: where.
        pod: which Pod.
        container: its name.
    """

    def __init__(self, cluster: Cluster, pod: Mapping[str, Any], container: str) -> None:
        self._cluster = cluster
        metadata = pod["metadata"]
        path = cluster.find_resource("v1", "Pod").path(metadata["namespace"], metadata["name"])
        self._path = f"{path}/log"
        self._what = f"read the log of Pod/{metadata['name']}, container {container}"
        self._container = container
        self._streaming = Streaming()
        # The server is asked from a second on, so lines of that second come again.
        self._since = ""
        self._ended = threading.Event()
        self._previous = False
        self._last, self._same, self._skip = "", 0, 0

    def stop(self) -> None:
        """End :meth:`read`; may be called from any thread."""
        self._streaming.stop()

    def end(self, *, previous: bool = False) -> None:
        """Say that the container has ended: nobody waits for more of it; from any thread.

        Args:
            previous: whether it runs again by now, so that its log is the one before.
        """
        self._previous = self._previous or previous
        self._ended.set()
        self._streaming.interrupt()

    @property
    def ended(self) -> bool:
        """Whether the container has ended."""
        return self._ended.is_set()

    def read(self) -> Iterator[str]:
        """Yield the lines that are new; while the container runs, until it ends or the connection does.

        Raises:
            StageError: the server does not give the log.
        """
        import urllib3

        follow = not self.ended
        query = [("container", self._container), ("timestamps", "true")]
        if follow:
            query.append(("follow", "true"))
        elif self._previous:
            query.append(("previous", "true"))
        if self._since:
            query.append(("sinceTime", self._since))
        answer = self._cluster.connection.open(
            Request(
                "GET",
                self._path,
                self._what,
                query,
                accept="*/*",
                read=SILENCE_SECONDS,
                streams=True,
            )
        )
        lines, self._skip = LineSplitter(None), self._same
        with self._streaming.hold(answer):
            try:
                if not (self._streaming.stopped or (follow and self.ended)):
                    for chunk in answer.stream(1 << 16, decode_content=False):
                        for line in lines.feed(chunk):
                            yield from self._take(line)
                    # What was cut off is read again as a whole.
                    for line in () if follow and self.ended else lines.close():
                        yield from self._take(line)
            except (urllib3.exceptions.HTTPError, ValueError):
                return  # who reads knows whether the container has ended, and reads on if not

    def _take(self, line: str) -> Iterator[str]:
        """Yield the text of a line, which has its time before it, unless it was told before."""
        found = _STAMP.match(line)
        if found is None:
            yield line
            return
        second, fraction, zone = found.groups()
        stamp = f"{second}{fraction or '.':0<10}"
        if stamp < self._last:
            return
        if stamp > self._last:
            self._last, self._same, self._skip = stamp, 0, 0
            self._since = f"{second}{zone}"
        elif self._skip:
            self._skip -= 1
            return
        self._same += 1
        yield line[found.end() :]
