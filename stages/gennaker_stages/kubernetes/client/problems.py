"""The API server's errors in our words: what, which object, why, what next."""

from __future__ import annotations

import json

from gennaker.errors import PermanentError, StageError, TemporaryError

__all__ = ["ApiError", "FieldConflict", "explain_status", "translate_error"]


class FieldConflict(PermanentError):
    """Another manager owns a field with another value; nothing of the object was changed."""

    code = "field-conflict"


class ApiError(Exception):
    """An answer of the API server that is no success: its HTTP status and its body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


def translate_error(error: ApiError, what: str) -> StageError:
    """Return our error for the server's; ``what`` was being done, ``apply Deployment/shop``."""
    status = error.status
    message, causes = explain_status(error)
    told = f"cannot {what}: {message}"
    if status == 409 and causes:
        return FieldConflict(
            f"cannot {what}: {'; '.join(causes)}",
            hint="let one of the two own the field: take it out of the manifest, or out of theirs",
        )
    if status == 401:
        return PermanentError(
            told, code="cluster-unauthorized", hint="renew the credentials of the context"
        )
    if status == 403:
        if "being terminated" in message:
            return TemporaryError(told, code="namespace-terminating")
        return PermanentError(
            told, code="cluster-forbidden", hint="ask for the right, or use another context"
        )
    if status == 404 and "namespaces" in message:
        return PermanentError(
            told,
            code="namespace-missing",
            hint="create it, or set 'create_namespace: true' in the environment",
        )
    # The server says 500 to a manifest that does not fit the schema; it never will.
    if "failed to create typed patch object" in message:
        return PermanentError(
            told, code="cluster-refused", hint="correct the field in the manifest"
        )
    if status in (409, 429) or status >= 500:
        return TemporaryError(told, code="cluster-unavailable")
    return PermanentError(told, code="cluster-refused")


def explain_status(error: ApiError) -> tuple[str, list[str]]:
    """Return the message of a Status answer and, of a conflict, each field with its manager."""
    try:
        body = json.loads(error.body)
        message = str(body.get("message") or f"HTTP {error.status}")
        details = body.get("details") or {}
    except (TypeError, ValueError, AttributeError):
        return f"HTTP {error.status} {error.body[:200].decode(errors='replace')}".strip(), []
    causes = [
        f"field {each.get('field')}: {each.get('message')}"
        for each in details.get("causes") or ()
        if each.get("reason") == "FieldManagerConflict"
    ]
    return message, causes
