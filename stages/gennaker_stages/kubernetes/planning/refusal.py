"""What a server's no to a dry run means: a conflict, a field that never changes, a policy, a quota."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gennaker.errors import StageError
from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.masking import mask_secrets
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.client.problems import ApiError

__all__ = ["explain_refusal", "find_immutable"]

# How the validations of Kubernetes' own kinds say it (pkg/apis/*/validation), and CEL rules by custom.
_IMMUTABLE = re.compile(
    r"immutable|may not be changed|may not change once|cannot change roleRef|"
    r"updates to statefulset spec|updates to \w+ are forbidden|may not be modified",
    re.IGNORECASE,
)
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r'admission webhook "[^"]+" denied'), "an admission webhook denies it"),
    (re.compile(r"failed calling webhook"), "an admission webhook does not answer"),
    (re.compile(r"exceeded quota|failed quota"), "a quota refuses it"),
    (re.compile(r"violates PodSecurity"), "Pod security refuses it"),
    (
        re.compile(r"(maximum|minimum) .* usage per|LimitRange|limit to request ratio"),
        "a limit range refuses it",
    ),
    (re.compile(r"ValidatingAdmissionPolicy"), "an admission policy denies it"),
)


def explain_refusal(error: StageError, body: Object, live: Mapping[str, Any] | None) -> Change:
    """Return the change that says why a dry run was refused.

    Args:
        error: the dry run's.
        body: what was applied or deleted.
        live: the object as it is, None when it is not there.

    Raises:
        StageError: the error itself, when nobody was there to refuse anything.
    """
    if error.code == "cluster-unreachable":
        raise error
    name = name_of(body)
    if live is not None:
        paths = find_immutable(error)
        if paths:
            told = f"{', '.join(paths)} can never change; delete the object first, or rename it"
            return Change("refuse", name, mask_secrets(told, body))
    message = error.message.removeprefix(f"cannot apply {name}: ")
    hint = f"; {error.hint}" if error.hint else ""
    told = f"{error.code}: {message}{hint}"
    for pattern, words in _WORDS:
        if pattern.search(message):
            told = f"{words}: {message}"
            break
    return Change("refuse", name, mask_secrets(told, body))


def find_immutable(error: StageError) -> list[str]:
    """Return the fields that a server refuses to change; none when that is not what it says."""
    cause = error.__cause__
    if not isinstance(cause, ApiError) or cause.status != 422:
        return []
    try:
        status = json.loads(cause.body)
        causes = (status.get("details") or {}).get("causes") or []
    except (TypeError, ValueError, AttributeError):
        return []
    return sorted(
        {
            str(each.get("field") or "a field")
            for each in causes
            if _IMMUTABLE.search(str(each.get("message")))
        }
    )
