"""The built-in secret providers: ``env`` reads an environment variable, ``file`` a file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from gennaker.errors import GennakerError, StageError
from gennaker.masking import check_secret
from gennaker.paths import join_inside
from gennaker.secret_provider import SecretProvider

__all__ = ["EnvSecrets", "FileSecrets"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_SIZE = 64 << 10


class EnvSecrets(SecretProvider):
    """Read a secret from an environment variable of the process that runs the stage."""

    name = "env"

    def check(self, setting: Any) -> str | None:
        """Refuse what is no name of a variable."""
        if isinstance(setting, str) and _VARIABLE.fullmatch(setting):
            return None
        return "must be the name of an environment variable"

    def read(self, setting: Any, *, project: Path) -> str:
        """Return the variable's value.

        Raises:
            StageError: code ``secret-missing`` or ``secret-too-short``.
        """
        value = os.environ.get(setting)
        if value is None:
            raise StageError(
                f"environment variable {setting!r}, which a secret is read from, is not set",
                code="secret-missing",
                hint=f"set it where gennaker runs: export {setting}=…",
            )
        return check_secret(value, f"the secret in environment variable {setting!r}")

    def find_fault(self, setting: Any, *, project: Path) -> GennakerError | None:
        """Return what reading it raises."""
        return _try_reading(self, setting, project)


class FileSecrets(SecretProvider):
    """Read a secret from a file: an absolute path, or one relative to the project."""

    name = "file"

    def check(self, setting: Any) -> str | None:
        """Refuse what is no path."""
        if isinstance(setting, str) and setting and "\0" not in setting:
            return None
        return "must be the path of a file"

    def read(self, setting: Any, *, project: Path) -> str:
        """Return the file's text, without one line break at its end.

        Raises:
            StageError: code ``secret-missing`` or ``secret-too-short``.
            InvalidInput: code ``path-outside`` for a relative path that leaves the project.
        """
        path = _find_path(setting, project)
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_SIZE + 1)
            text = data.decode()
        except OSError as error:
            raise StageError(
                f"file {setting!r}, which a secret is read from, cannot be read: "
                f"{(error.strerror or 'unknown reason').lower()}",
                code="secret-missing",
                hint="make it, or change its path under 'secrets' in gennaker.yaml",
            ) from None
        except UnicodeDecodeError:
            raise StageError(
                f"file {setting!r}, which a secret is read from, is not UTF-8 text",
                code="secret-missing",
            ) from None
        if len(data) > _MAX_SIZE:
            raise StageError(
                f"file {setting!r}, which a secret is read from, has more than 64 KiB",
                code="secret-missing",
            )
        value = text.removesuffix("\n").removesuffix("\r")
        return check_secret(value, f"the secret in file {setting!r}")

    def find_fault(self, setting: Any, *, project: Path) -> GennakerError | None:
        """Return what reading it raises; what may be read only once, a pipe say, is not read."""
        try:
            path = _find_path(setting, project)
            is_once = path.exists() and not path.is_file() and not path.is_dir()
        except (GennakerError, OSError):
            is_once = False  # reading says it better
        return None if is_once else _try_reading(self, setting, project)


def _find_path(setting: str, project: Path) -> Path:
    return Path(setting) if Path(setting).is_absolute() else join_inside(project, setting)


def _try_reading(provider: SecretProvider, setting: Any, project: Path) -> GennakerError | None:
    try:
        provider.read(setting, project=project)
    except GennakerError as error:
        return error
    return None
