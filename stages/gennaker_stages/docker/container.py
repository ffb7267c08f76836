"""One container of the engine: made, followed line by line to its end, and gone afterwards."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from gennaker.errors import StageError
from gennaker.process import describe_exit
from gennaker.process.lines import LineSplitter
from gennaker.stage import Context
from gennaker_stages.docker.engine import pull_image
from gennaker_stages.registry.credentials import CredentialsInput

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Container", "ensure_image", "name_container", "remove_container"]

STOP_SECONDS = 5
_LOOK_SECONDS = 0.1
_SHOWN_LINES = 3
_SHOWN_WIDTH = 300
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


def name_container(ctx: Context) -> str:
    """Return the name of an attempt's container: the same for every delivery of it.

    Two projects may each have a run ``shop-1`` on one engine: where the state is counts too.
    """
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", ctx.key)[:100].strip("-")
    scope = f"{socket.gethostname()}:{ctx.cache.resolve()}:{ctx.key}"
    return f"gennaker-{words}-{hashlib.sha256(scope.encode()).hexdigest()[:12]}"


def ensure_image(
    client: DockerClient,
    image: str,
    when: Literal["missing", "always", "never"],
    credentials: CredentialsInput | None,
    ctx: Context,
) -> None:
    """Pull the image unless the engine has it, or has to have it."""
    from docker.errors import ImageNotFound

    if when != "always":
        try:
            client.images.get(image)
            return
        except ImageNotFound:
            if when == "never":
                raise
    pull_image(client, image, credentials, ctx)


def remove_container(client: DockerClient, name: str) -> None:
    """End and remove a container and its volumes; of one that is not there, nothing."""
    from docker.errors import APIError, NotFound

    try:
        client.api.remove_container(name, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # its removal is under way
            raise


class Container:
    """A container while the block runs; one of the same name that was left is removed first.

    Args:
        settings: as the engine's API has them.
    """

    def __init__(self, client: DockerClient, name: str, settings: Mapping[str, Any]) -> None:
        self._client = client
        self._name = name
        self._settings = dict(settings)
        self._errors: deque[str] = deque(maxlen=_SHOWN_LINES)

    def __enter__(self) -> Container:
        remove_container(self._client, self._name)
        api: Any = self._client.api  # its types leave this one out
        api.create_container_from_config(self._settings, self._name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove_container(self._client, self._name)

    def follow(self, ctx: Context) -> str | None:
        """Start it and log its output until it ends; return why it failed, None when it did not.

        It is stopped when the attempt is to stop.
        """
        ctx.check_cancelled()
        api = self._client.api
        # Attached before it starts, as `docker run` does: all of it comes here. Its log would be read from
        # the beginning as well, and what a quick container has said by then would come twice.
        params = {"stdout": 1, "stderr": 1, "stream": 1}
        stream = api.attach_socket(self._name, params)
        reader = threading.Thread(target=self._read, args=(stream, ctx), daemon=True)
        api.start(self._name)
        reader.start()
        while reader.is_alive() and not ctx.cancelled:
            reader.join(_LOOK_SECONDS)
        if ctx.cancelled:
            api.stop(self._name, timeout=STOP_SECONDS)
            reader.join(STOP_SECONDS)
        ctx.check_cancelled()
        api.wait(self._name)
        state = api.inspect_container(self._name)["State"]
        return self._describe_end(state)

    def _read(self, stream: Any, ctx: Context) -> None:
        """Give the lines of both streams to the log; ends with the container."""
        from docker.utils import socket as frames

        lines = {each: LineSplitter(None) for each in _STREAMS}
        try:
            read: Any = frames.frames_iter  # its types leave this one out
            for number, chunk in read(stream, tty=False):
                for line in lines[number].feed(chunk):
                    self._log(ctx, number, line)
        except (frames.SocketError, OSError, ValueError):
            pass  # the connection ended or was closed; what the container came to is asked for
        for number, rest in lines.items():
            for line in rest.close():
                self._log(ctx, number, line)

    def _log(self, ctx: Context, number: int, line: str) -> None:
        if _STREAMS[number] == "stderr" and line.strip():
            self._errors.append(ctx.mask(line.strip())[:_SHOWN_WIDTH])
        ctx.log(line, stream=_STREAMS[number])

    def _describe_end(self, state: Mapping[str, Any]) -> str | None:
        if state.get("Running"):
            raise StageError("the engine stopped telling of the container", code="docker-error")
        if state.get("OOMKilled"):
            limit = self._settings["HostConfig"]["Memory"] >> 20
            return f"it ran out of memory{f' (limit {limit}MiB)' if limit else ''}"
        code = int(state["ExitCode"])
        if code == 0:
            return None
        return ": ".join([describe_exit(code), *([" | ".join(self._errors)] * bool(self._errors))])
