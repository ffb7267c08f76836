"""The Docker engine the user's environment names, and its errors in our words."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gennaker.checks import Check
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Context
from gennaker_stages.registry.credentials import CredentialsInput, find_credentials
from gennaker_stages.registry.reference import parse_reference

if TYPE_CHECKING:
    from docker import DockerClient
    from requests import Response

__all__ = [
    "check_engine",
    "connect_engine",
    "find_auth",
    "log_progress",
    "pull_image",
    "translate_errors",
]

READ_TIMEOUT = 600
DEFAULT_HOST = "unix:///var/run/docker.sock"
_PIECE, _MOST = 16 << 10, 1 << 20


@contextmanager
def connect_engine() -> Iterator[DockerClient]:
    """Give a client of the engine that ``DOCKER_HOST`` or the default socket names.

    Raises:
        StageError: code ``docker-unavailable``.
    """
    import docker
    from docker.errors import DockerException

    try:
        _check_socket()
        client = docker.from_env(timeout=READ_TIMEOUT)
        client.ping()
    except (DockerException, OSError) as error:
        raise StageError(
            f"no Docker engine answers: {_first_line(error)}",
            code="docker-unavailable",
            hint="start Docker, or set DOCKER_HOST; 'gennaker doctor' tells more",
        ) from None
    answers: list[Response] = []
    client.api.hooks["response"].append(lambda answer, *_, **__: answers.append(answer))
    try:
        yield client
    finally:
        for answer in answers:
            answer.close()  # the client leaves the connection of a stream open that ended early
        client.close()


def check_engine(seconds: float) -> Iterator[Check]:
    """Yield whether an engine answers within so many seconds, and its version."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    scheme, _, path = host.partition("://")
    where = path if scheme == "unix" else host
    advice = "start Docker, or set DOCKER_HOST; 'oci.build' needs no engine"
    try:
        version = _ask_socket(path, seconds) if scheme == "unix" else _ask_client(seconds)
        yield Check("docker", "ok", f"{version} at {where}")
    except PermissionError:
        advice = f"join the group 'docker'; {advice.partition('; ')[2]}"
        yield Check("docker", "missing", f"{where} is not yours to use", advice)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield Check("docker", "missing", f"no engine at {where}: {reason}", advice)
    except (ValueError, KeyError, TypeError):
        yield Check("docker", "missing", f"what answers at {where} is no engine", advice)


def _ask_socket(path: str, seconds: float) -> str:
    """Return the version of the engine at a socket; its client takes longer to load than to ask."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(seconds)
        link.connect(path)
        link.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        while piece := link.recv(_PIECE):
            answer += piece
            if len(answer) > _MOST:
                raise ValueError("too long")
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["Version"])


def _ask_client(seconds: float) -> str:
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=max(1, round(seconds)))
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except DockerException as error:
        raise OSError(_first_line(error)) from None


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; ``what`` says what was being done."""
    import requests
    from docker.errors import APIError, DockerException, ImageNotFound

    try:
        yield
    except ImageNotFound as error:
        raise PermanentError(
            f"cannot {what}: {error.explanation}",
            code="image-missing",
            hint="build or push it first",
        ) from None
    except APIError as error:
        message = f"cannot {what}: {error.explanation or error}"
        if error.status_code is not None and error.status_code >= 500:
            raise StageError(message, code="docker-error") from None
        raise PermanentError(message, code="docker-error") from None
    except (DockerException, requests.exceptions.RequestException) as error:
        raise TemporaryError(f"cannot {what}: {_first_line(error)}", code="docker-error") from None


def find_auth(host: str, given: CredentialsInput | None) -> dict[str, str] | None:
    """Return credentials for a registry as the client wants them, None for an anonymous request."""
    found = find_credentials(host, given)
    if found is None:
        return None
    return {"username": found.username, "password": found.password.reveal()}


def pull_image(
    client: DockerClient, image: str, credentials: CredentialsInput | None, ctx: Context
) -> None:
    """Pull one image, logging what the engine says.

    Raises:
        PermanentError: code ``image-missing`` or ``registry-denied``.
        TemporaryError: code ``registry-unavailable``.
    """
    from docker.errors import APIError

    reference = parse_reference(image)
    what = f"pull {image}"
    try:
        lines = client.api.pull(
            reference.name.removeprefix("docker.io/"),
            tag=reference.digest or reference.tag or "latest",
            stream=True,
            decode=True,
            auth_config=find_auth(reference.host, credentials),
        )
    except APIError as error:
        raise refuse_transfer(what, str(error.explanation or error)) from None
    for line in lines:
        log_progress(line, what, ctx)


def log_progress(line: Mapping[str, Any], what: str, ctx: Context) -> None:
    """Log one line of a pull or push; progress bars are left out, an error is raised.

    Raises:
        PermanentError: code ``image-missing`` or ``registry-denied``.
        TemporaryError: code ``registry-unavailable``.
    """
    ctx.check_cancelled()
    if "error" in line:
        raise refuse_transfer(what, str(line["error"]))
    status = str(line.get("status", ""))
    if status and "progress" not in line:
        ctx.log(f"{line['id']}: {status}" if "id" in line else status, stream="stdout")


def refuse_transfer(what: str, said: str) -> StageError:
    """Return the error for what the engine says of a registry: it gives no code, only words."""
    lower = said.lower()
    if any(each in lower for each in ("denied", "unauthorized", "no basic auth", "401")):
        return PermanentError(
            f"not allowed to {what}: {said}",
            code="registry-denied",
            hint="give credentials from a secret, or log in with 'docker login'",
        )
    if any(each in lower for each in ("not found", "manifest unknown", "does not exist")):
        return PermanentError(
            f"cannot {what}: {said}", code="image-missing", hint="look at the name and the tag"
        )
    return TemporaryError(f"cannot {what}: {said}", code="registry-unavailable")


def _check_socket() -> None:
    """Refuse a local socket on which nobody listens, in words its user can follow."""
    scheme, _, path = (os.environ.get("DOCKER_HOST") or DEFAULT_HOST).partition("://")
    if scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            raise OSError(f"{path}: {error.strerror or error}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
