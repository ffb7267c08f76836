"""The secret-provider contract: where a secret's value comes from.

``secrets: {db_password: {env: STAGING_DB_PASSWORD}}`` reads with the provider ``env`` and the
setting ``STAGING_DB_PASSWORD``. Registered under the entry-point group ``gennaker.secrets``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from gennaker.errors import GennakerError
from gennaker.stage import API_VERSION

__all__ = ["SecretProvider"]


class SecretProvider:
    """A source of secret values; subclass it and set ``name``."""

    name: ClassVar[str]
    api_version: ClassVar[int] = API_VERSION

    def check(self, setting: Any) -> str | None:
        """Return what is wrong with the setting as written, None when nothing is. No I/O."""
        return None if isinstance(setting, str) and setting else "must be a non-empty string"

    def read(self, setting: Any, *, project: Path) -> str:
        """Return the value.

        Raises:
            StageError: when it cannot be had; the message names the setting, never a value.
        """
        raise NotImplementedError

    def find_fault(self, setting: Any, *, project: Path) -> GennakerError | None:
        """Return why :meth:`read` would fail now, None when nothing is known to be wrong.

        A plan tells it before the run. It is quick, changes nothing and asks nobody far away.
        """
        return None
