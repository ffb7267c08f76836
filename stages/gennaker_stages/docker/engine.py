"""The Docker engine the user's environment names, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gennaker.errors import PermanentError, StageError, TemporaryError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["connect_engine", "translate_errors"]

READ_TIMEOUT = 600


@contextmanager
def connect_engine() -> Iterator[DockerClient]:
    """Give a client of the engine that ``DOCKER_HOST`` or the default socket names.

    Raises:
        StageError: code ``docker-unavailable``.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=READ_TIMEOUT)
        client.ping()
    except (DockerException, OSError) as error:
        raise StageError(
            f"no Docker engine answers: {_first_line(error)}",
            code="docker-unavailable",
            hint="start Docker, or set DOCKER_HOST; 'gennaker doctor' tells more",
        ) from None
    try:
        yield client
    finally:
        client.close()


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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
