"""Secrets of a stage: markers in its inputs become :class:`gennaker.stage.Secret` values.

Values are read when a stage starts, or when its plan asks for one, and live in its thread only; the
journal has names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gennaker.errors import PermanentError
from gennaker.expressions import SecretText, from_json
from gennaker.masking import check_secret
from gennaker.plugins import Registry
from gennaker.stage import Secret
from gennaker.suggestions import suggest

__all__ = ["SecretReader", "defer_secrets", "reveal_secrets"]

Json = Any


class SecretReader:
    """Reads secrets by name, each once.

    Args:
        declared: name to provider and setting, an environment's own before the project's.
        registry: where the providers are.
        project: the project root.
        mask: is told every value before anybody else.
    """

    def __init__(
        self,
        declared: Mapping[str, Any],
        registry: Registry,
        project: Path,
        mask: Callable[[str], None],
    ) -> None:
        self._declared = declared
        self._registry = registry
        self._project = project
        self._mask = mask
        self._values: dict[str, str] = {}

    def read(self, name: str) -> str:
        """Return the secret's value.

        Raises:
            PermanentError: code ``unknown-secret``.
            StageError: code ``secret-too-short``, or what the provider raises.
        """
        if name not in self._values:
            if name not in self._declared:
                raise PermanentError(
                    f"there is no secret {name!r} here",
                    code="unknown-secret",
                    hint=suggest(
                        name, self._declared, otherwise="declare it under secrets in gennaker.yaml"
                    ),
                )
            provider, setting = self._declared[name]
            value = self._registry.secret_provider(provider)().read(setting, project=self._project)
            self._mask(check_secret(value, f"secret {name!r}"))
            self._values[name] = value
        return self._values[name]

    def reveal(self, text: SecretText) -> Secret:
        """Return the secret that a marker stands for."""
        value = text.reveal(self.read)
        self._mask(value)
        return Secret(value, ", ".join(text.names))


def reveal_secrets(inputs: Mapping[str, Json], reader: SecretReader) -> dict[str, Any]:
    """Return a stage's journaled inputs with secrets in the places of their markers."""
    return {name: _replace(from_json(value), reader.reveal) for name, value in inputs.items()}


def defer_secrets(inputs: Mapping[str, Json], reader: SecretReader) -> dict[str, Any]:
    """Return a stage's inputs with secrets that are read only when somebody asks for their values."""
    make = partial(_DeferredSecret, reader=reader)
    return {name: _replace(from_json(value), make) for name, value in inputs.items()}


class _DeferredSecret(Secret):
    """A secret that says only its name until its value is asked for."""

    __slots__ = ("_reader", "_text")

    def __init__(self, text: SecretText, *, reader: SecretReader) -> None:
        super().__init__(str(text), ", ".join(text.names))
        self._text = text
        self._reader = reader

    def reveal(self) -> str:
        """Return the value; raises what reading it raises."""
        return self._reader.reveal(self._text).reveal()


def _replace(value: Any, make: Callable[[SecretText], Secret]) -> Any:
    """Return data with what ``make`` gives in the places of the markers."""
    if isinstance(value, SecretText):
        return make(value)
    if isinstance(value, dict):
        return {key: _replace(item, make) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, make) for item in value]
    return value
