"""The API server's errors in our words: what, which object, why, what next."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from gennaker.errors import PermanentError, StageError, TemporaryError

__all__ = [
    "ApiError",
    "FieldConflict",
    "explain_status",
    "has_status",
    "read_continue",
    "translate_error",
]

_NO_NAMESPACE = re.compile(r'namespaces "([^"]+)" not found')
# The server quotes a whole object where one field of it is wrong.
_LONG_VALUE = re.compile(r'(?<=Invalid value: )"(?:[^"\\]|\\.){200,}"')
# It says 500 to these manifests, and always will.
_NEVER = {
    "failed to create typed patch object": "correct the field in the manifest",
    "illegal base64 data": "what is under 'data' of a Secret is base64; write text under 'stringData'",
}


class FieldConflict(PermanentError):
    """Another manager owns a field with another value; nothing of the object was changed.

    Attributes:
        fields: each field's path, as the server spells it, and its manager.
        told: what the server says of each.
        what: was being done.
    """

    code = "field-conflict"
    fields: tuple[tuple[str, str], ...] = ()
    told: tuple[str, ...] = ()
    what: str = ""

    @classmethod
    def of(cls, what: str, fields: Sequence[tuple[str, str]], told: Sequence[str]) -> FieldConflict:
        """Return the conflict about some fields."""
        conflict = cls(
            f"cannot {what}: {'; '.join(told)}",
            hint="let one of the two own the field: take it out of the manifest or out of theirs, "
            "or say with 'conflicts' who is to have it",
        )
        conflict.what, conflict.fields, conflict.told = what, tuple(fields), tuple(told)
        return conflict

    def narrow(self, paths: Collection[str]) -> FieldConflict:
        """Return the conflict about only these of its fields."""
        kept = [pair for pair in zip(self.fields, self.told, strict=True) if pair[0][0] in paths]
        return self.of(self.what, [field for field, _ in kept], [told for _, told in kept])


class ApiError(Exception):
    """An answer of the API server that is no success: its HTTP status and its body."""

    def __init__(self, status: int, body: bytes, retry_after: str | None = None) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self._retry_after = retry_after

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server wants to be asked again, as far as it says."""
        text = self._retry_after or ""
        return float(text) if text.isdigit() else None

    @property
    def repeat(self) -> Literal["no", "later", "race", "failed"]:
        """Whether the request may be sent again.

        ``later``: the server did not take it now. ``race``: another write came in between, or a kind
        that was just defined is not yet served by every server. ``failed``: the server took it and
        failed, which it may do again.
        """
        message, causes = explain_status(self)
        if self.status in (429, 502, 503, 504) or "etcdserver:" in message:
            return "later"
        if _is_starting(self.status, message):
            return "later"
        if self.status == 409 and not causes:
            return "race"
        if self.status == 404 and ("page not found" in message or "requested resource" in message):
            return "race"
        if self.status >= 500 and _find_advice(message) is None:
            return "failed"
        return "no"


def translate_error(error: ApiError, what: str) -> StageError:
    """Return our error for the server's; ``what`` was being done, ``apply Deployment/shop``."""
    status = error.status
    message, causes = explain_status(error)
    told = f"cannot {what}: {message}"
    if status == 409 and causes:
        return FieldConflict.of(what, list(_read_fields(error)), causes)
    if status == 401:
        return PermanentError(
            told, code="cluster-unauthorized", hint="renew the credentials of the context"
        )
    if _is_starting(status, message):
        return TemporaryError(told, code="cluster-unavailable")
    if "system:anonymous" in message:
        return PermanentError(
            told,
            code="cluster-forbidden",
            hint="the context has no credentials: look at its user in the kubeconfig",
        )
    if status == 403:
        if "being terminated" in message:
            return TemporaryError(
                told,
                code="namespace-terminating",
                hint="run it again once it is gone; its status says what holds it",
            )
        return PermanentError(
            told, code="cluster-forbidden", hint="ask for the right, or use another context"
        )
    missing = _NO_NAMESPACE.fullmatch(message)
    if status == 404 and missing is not None:
        # Whatever was to go into it, an inventory that nobody wrote for example, is beside the point.
        return PermanentError(
            f"there is no namespace {missing[1]!r} in the cluster",
            code="namespace-missing",
            hint="create it, or set 'create_namespace: true' in the environment",
        )
    advice = _find_advice(message)
    if advice is not None:
        return PermanentError(told, code="cluster-refused", hint=advice)
    if status in (409, 410, 429) or status >= 500:
        return TemporaryError(told, code="cluster-unavailable")
    return PermanentError(told, code="cluster-refused")


def _is_starting(status: int, message: str) -> bool:
    """Whether a server that has just started refuses writes, as its admission has not seen all yet."""
    return status == 403 and message.endswith("not yet ready to handle request")


def _find_advice(message: str) -> str | None:
    return next((advice for part, advice in _NEVER.items() if part in message), None)


def explain_status(error: ApiError) -> tuple[str, list[str]]:
    """Return the message of a Status answer and, of a conflict, each field with its manager."""
    try:
        body = json.loads(error.body)
        message = _LONG_VALUE.sub("…", str(body.get("message") or f"HTTP {error.status}"))
        details = body.get("details") or {}
    except (TypeError, ValueError, AttributeError):
        # A whole line, though it may be long: a secret that was cut could not be masked any more.
        said = (error.body.decode(errors="replace").splitlines() or [""])[0]
        return f"HTTP {error.status} {said}".strip(), []
    causes = [
        f"field {each.get('field')}: {each.get('message')}"
        for each in details.get("causes") or ()
        if each.get("reason") == "FieldManagerConflict"
    ]
    return message, causes


def _read_fields(error: ApiError) -> Iterator[tuple[str, str]]:
    for each in json.loads(error.body)["details"]["causes"]:
        if each.get("reason") == "FieldManagerConflict":
            # conflict with "kube-controller-manager" with subresource "scale" using apps/v1
            yield str(each.get("field")), str(each.get("message")).partition('"')[2].split('"')[0]


def has_status(error: StageError, status: int) -> bool:
    """Whether an error of ours is the server's answer with this HTTP status."""
    return isinstance(error.__cause__, ApiError) and error.__cause__.status == status


def read_continue(error: StageError) -> str | None:
    """Return where to go on with a list whose moment the server has forgotten (410), if it says so."""
    if not has_status(error, 410):
        return None
    assert isinstance(error.__cause__, ApiError)
    try:
        return str(json.loads(error.__cause__.body)["metadata"]["continue"]) or None
    except (TypeError, ValueError, KeyError):
        return None
