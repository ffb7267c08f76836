"""Where registry credentials come from: a secret input, else the user's Docker configuration."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from gennaker.errors import PermanentError
from gennaker.stage import Secret, StageInputs

__all__ = ["Credentials", "CredentialsInput", "find_credentials"]


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

    Raises:
        PermanentError: code ``docker-config`` when the Docker configuration cannot be read.
    """
    if given is not None:
        return Credentials(given.username, given.password)
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        auths = config.get("auths") or {}
        entry = auths.get(host) or auths.get(f"https://{host}") or {}
        if "auth" not in entry:
            return None
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise PermanentError(
            f"the Docker configuration {str(path)!r} cannot be read: {type(error).__name__}",
            code="docker-config",
            hint="log in again, or give credentials from a secret",
        ) from None
    return Credentials(username, Secret(password.rstrip("\0")))
