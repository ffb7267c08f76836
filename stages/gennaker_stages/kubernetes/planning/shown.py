"""What moved between the plan that people approved and the deploy: told, and bound where it must be.

Desired objects are bound: a deploy applies those that were shown, or nothing. Live objects are not:
that one was edited meanwhile is told, and stops the deploy only where it is a conflict of fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker_stages.kubernetes.bundle.masking import is_secret
from gennaker_stages.kubernetes.client.cluster import FIELD_MANAGER
from gennaker_stages.kubernetes.planning.difference import strip_object

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.bundle.preparing import Bundle
    from gennaker_stages.kubernetes.planning.live import Live

__all__ = ["check_shown", "find_moved", "note_shown"]

Object = Mapping[str, Any]


def note_shown(bundle: Bundle, live: Live) -> dict[str, Any]:
    """Return what a plan was made from: the digest of what is desired, a mark of each live object."""
    marks = {_name(key): _mark(body) for key, body in sorted(live.objects.items())}
    return {"desired": bundle.digest(), "live": marks}


def check_shown(shown: Any, bundle: Bundle) -> None:
    """Refuse to deploy other objects than those that were approved.

    Args:
        shown: what :func:`note_shown` returned for the plan; None when nobody was asked.
        bundle: what is about to be applied.

    Raises:
        PermanentError: code ``plan-moved``.
    """
    if isinstance(shown, Mapping) and shown.get("desired") not in (None, bundle.digest()):
        raise PermanentError(
            "the objects are not those of the plan that was approved",
            code="plan-moved",
            hint="start a new run, and look at its plan",
        )


def find_moved(shown: Any, live: Live, *, again: bool) -> Iterator[str]:
    """Yield what to tell of each live object that is not as it was when the plan was shown.

    Args:
        shown: what :func:`note_shown` returned for the plan; None when nobody was asked.
        live: the objects as they are now.
        again: whether this attempt may have applied some of them itself.
    """
    marks = shown.get("live") if isinstance(shown, Mapping) else None
    for key, body in sorted(live.objects.items()):
        name = _name(key)
        before = marks.get(name) if isinstance(marks, Mapping) else None
        if before is None or before == _mark(body):
            continue
        if body is None:
            yield f"{name} was deleted since the plan was shown"
            continue
        who, when = _find_last_writer(body)
        if not (again and who == FIELD_MANAGER):
            what = "changed" if before else "made"
            yield f"{name} was {what} since the plan was shown, last by {who!r} at {when}"


def _name(key: tuple[str, str, str, str]) -> str:
    group, kind, namespace, name = key
    kind = f"{kind}.{group}" if group else kind
    return "/".join(each for each in (kind, namespace, name) if each)


def _mark(body: Object | None) -> str:
    """Return a mark of what people set in a live object; empty when it is not there."""
    if body is None:
        return ""
    if is_secret(body):  # a digest of its values would be a way to guess them
        return str(body["metadata"].get("resourceVersion"))
    text = json.dumps(strip_object(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find_last_writer(body: Object) -> tuple[str, str]:
    entries = body["metadata"].get("managedFields") or [{"manager": "nobody"}]
    # Times are whole seconds; of two in one second the other's is news.
    last = max(entries, key=lambda each: (each.get("time") or "", each["manager"] != FIELD_MANAGER))
    return str(last.get("manager")), str(last.get("time"))
