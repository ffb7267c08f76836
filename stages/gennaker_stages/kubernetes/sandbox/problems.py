"""The errors of the API: a ``Status`` object in Kubernetes' own form.

Raised anywhere below the HTTP layer; :mod:`.server` turns it into the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gennaker.records import dataclass

__all__ = [
    "ApiProblem",
    "Cause",
    "bad_request",
    "conflict",
    "duplicate",
    "expired",
    "forbidden",
    "invalid",
    "not_found",
    "not_offered",
]


class ApiProblem(Exception):
    """An answer that is not a success: HTTP ``code``, ``reason``, ``message``, ``details``."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = None if details is None else dict(details)

    def to_status(self) -> dict[str, Any]:
        """Return the ``Status`` object."""
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        status |= {"status": "Failure", "message": self.message}
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with a field; ``reason`` is Kubernetes' word (``FieldValueRequired`` ...)."""

    reason: str
    field: str
    message: str

    @classmethod
    def required(cls, field: str, detail: str = "") -> Cause:
        """Say that a field is missing."""
        return cls("FieldValueRequired", field, f"Required value{': ' if detail else ''}{detail}")

    @classmethod
    def wrong(cls, field: str, value: object, detail: str) -> Cause:
        """Say that a value is not acceptable."""
        return cls("FieldValueInvalid", field, f"Invalid value: {_show(value)}: {detail}")

    @classmethod
    def unsupported(cls, field: str, value: object, choices: Iterable[str]) -> Cause:
        """Say that a value is none of the choices."""
        listed = ", ".join(f'"{each}"' for each in sorted(choices))
        text = f"Unsupported value: {_show(value)}: supported values: {listed}"
        return cls("FieldValueNotSupported", field, text)

    @classmethod
    def twice(cls, field: str, value: object) -> Cause:
        """Say that a value is there twice."""
        return cls("FieldValueDuplicate", field, f"Duplicate value: {_show(value)}")

    @classmethod
    def barred(cls, field: str, detail: str) -> Cause:
        """Say that a field may not be set or changed."""
        return cls("FieldValueForbidden", field, f"Forbidden: {detail}")


def _show(value: object) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def not_found(plural: str, name: str, group: str = "") -> ApiProblem:
    """No object of this name."""
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    return ApiProblem(
        404, "NotFound", f'{qualify(plural, group)} "{name}" not found', details=details
    )


def duplicate(plural: str, name: str, group: str = "", *, leaving: bool = False) -> ApiProblem:
    """There is one of this name already, which may be about to go."""
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    text = "object is being deleted: " if leaving else ""
    text += f'{qualify(plural, group)} "{name}" already exists'
    return ApiProblem(409, "AlreadyExists", text, details=details)


def conflict(plural: str, name: str, group: str, why: str) -> ApiProblem:
    """The object moved, or is not the one that was meant."""
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    text = f'Operation cannot be fulfilled on {qualify(plural, group)} "{name}": {why}'
    return ApiProblem(409, "Conflict", text, details=details)


def invalid(kind: str, group: str, name: str, causes: Iterable[Cause]) -> ApiProblem:
    """Fields are wrong; all of them are told."""
    found = list(causes)
    listed = list(dict.fromkeys(f"{each.field}: {each.message}" for each in found))
    told = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    details: dict[str, Any] = {"name": name} if name else {}
    details |= {"group": group, "kind": kind} if group else ({"kind": kind} if kind else {})
    details["causes"] = [
        {"reason": each.reason, "message": each.message, "field": each.field} for each in found
    ]
    return ApiProblem(
        422, "Invalid", f'{qualify(kind, group)} "{name}" is invalid: {told}', details=details
    )


def bad_request(message: str) -> ApiProblem:
    """The request itself is wrong."""
    return ApiProblem(400, "BadRequest", message)


def forbidden(
    plural: str, name: str, group: str, why: str, causes: list[dict[str, str]] | None = None
) -> ApiProblem:
    """A policy refuses it."""
    details: dict[str, Any] = {"name": name, **({"group": group} if group else {}), "kind": plural}
    if causes:
        details["causes"] = causes
    text = f'{qualify(plural, group)} "{name}" is forbidden: {why}'
    return ApiProblem(403, "Forbidden", text, details=details)


def expired(message: str) -> ApiProblem:
    """The history asked for is gone; list again."""
    return ApiProblem(410, "Expired", message)


def not_offered(what: str) -> ApiProblem:
    """The sandbox does not have this part of Kubernetes."""
    text = f"the sandbox does not offer {what}; see docs/reference/sandbox.md for what it offers"
    return ApiProblem(501, "NotImplemented", text)


def qualify(word: str, group: str) -> str:
    """Return ``deployments.apps`` (or the bare word for the core group)."""
    return f"{word}.{group}" if group else word
