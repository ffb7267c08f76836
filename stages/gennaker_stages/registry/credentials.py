"""Where registry credentials come from: a secret input, else the user's Docker configuration."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from gennaker.checks import Check
from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker.stage import Secret, StageInputs

__all__ = ["Credentials", "CredentialsInput", "check_logins", "find_credentials"]

DOCKER_HUB = "https://index.docker.io/v1/"
_LOG_IN_AGAIN = "log in again, or give credentials from a secret"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CredentialsInput(StageInputs):
    """A registry's user name and password, as a stage input."""

    username: str = Field(description="User name at the registry")
    password: Secret = Field(description="Password or token, from a secret")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password; never shown."""

    username: str
    password: Secret

    def to_basic(self) -> str:
        """Return the value of an ``Authorization`` header."""
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credentials(host: str, given: CredentialsInput | None) -> Credentials | None:
    """Return the credentials for a registry host, None for an anonymous request.

    Without given ones, they are looked for as ``docker`` does: ``credHelpers``, ``credsStore`` and
    ``auths`` of ``config.json`` in ``DOCKER_CONFIG`` or ``~/.docker``.

    Raises:
        PermanentError: code ``docker-config`` when the Docker configuration cannot be read.
    """
    if given is not None:
        return Credentials(given.username, given.password)
    path = _find_config()
    try:
        return _read_config(json.loads(path.read_text()), host)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise PermanentError(
            _tell_unreadable(path, error), code="docker-config", hint=_LOG_IN_AGAIN
        ) from None


def check_logins() -> Iterator[Check]:
    """Yield for which registries the Docker configuration has credentials; no helper is run."""
    path = _find_config()
    try:
        config = json.loads(path.read_text())
        helpers = config.get("credHelpers") or {}
        programs = {str(each) for each in (config.get("credsStore"), *helpers.values()) if each}
        hosts = sorted({_name_host(each) for each in (*(config.get("auths") or {}), *helpers)})
    except (FileNotFoundError, NotADirectoryError):
        hosts, programs = [], set()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        yield Check("registry logins", "wrong", _tell_unreadable(path, error), _LOG_IN_AGAIN)
        return
    for each in sorted(programs):
        if shutil.which(f"docker-credential-{each}") is None:
            advice = "put it on the PATH, or take it out of that file and log in again"
            found = f"{path} needs 'docker-credential-{each}', which is not on the PATH"
            yield Check("registry logins", "wrong", found, advice)
    if hosts:
        yield Check("registry logins", "ok", f"{', '.join(hosts)} (in {path})")
    elif not programs:
        advice = "'docker login REGISTRY', or give 'credentials'; what is public needs neither"
        yield Check("registry logins", "missing", f"none in {path}", advice)


def _name_host(entry: str) -> str:
    return "docker.io" if entry == DOCKER_HUB else entry.removeprefix("https://")


def _find_config() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def _tell_unreadable(path: Path, error: Exception) -> str:
    return f"the Docker configuration {str(path)!r} cannot be read: {type(error).__name__}"


def _read_config(config: dict[str, Any], host: str) -> Credentials | None:
    names = (DOCKER_HUB, host) if host == "docker.io" else (host, f"https://{host}")
    helpers = config.get("credHelpers") or {}
    program = next((helpers[name] for name in names if name in helpers), config.get("credsStore"))
    if program:
        return _ask_helper(str(program), names)
    auths = config.get("auths") or {}
    entry = next((auths[name] for name in names if name in auths), None) or {}
    if not entry.get("auth"):
        return None
    username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return Credentials(username, Secret(password.rstrip("\0")))


def _ask_helper(program: str, names: tuple[str, ...]) -> Credentials | None:
    """Ask ``docker-credential-PROGRAM``; one that knows nothing of the host ends with an error."""
    if not _HELPER.fullmatch(program):
        raise ValueError(program)
    from gennaker.process import run

    for name in names:
        done = run([f"docker-credential-{program}", "get"], stdin=name.encode(), timeout=30)
        if done.code == 0:
            found = json.loads(done.stdout)
            return Credentials(found["Username"], Secret(found["Secret"]))
    return None
