"""What a retry reuses and why the rest runs again, for people and as data."""

from __future__ import annotations

from typing import Any

from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.text import clean
from gennaker_engine.core.view import API_VERSION
from gennaker_engine.runtime.retrying import Retry

__all__ = ["describe_retry", "render_retry"]

_NAMED = 12
"""Reused stages that are named; of more it is said how many there are."""


def render_retry(retry: Retry, *, paint: Palette = PLAIN) -> list[str]:
    """Return the lines: what is reused in one, then one for each stage that runs again."""
    old, new = retry.old.created, retry.pinned
    corrected = ""
    if old.digest != new.digest:
        corrected = f" with definition {_short(new.digest)} instead of {_short(old.digest)}"
    elif old.source.get("digest") != new.source.get("digest"):
        corrected = " with the source of now"
    reused = list(retry.reused)
    named = ", ".join(reused[:_NAMED])
    more = f" and {len(reused) - _NAMED} more" if len(reused) > _NAMED else ""
    lines = [f"retry of {old.run}{corrected}, reusing {named or 'nothing'}{more}"]
    lines += [
        f"{paint(each.stage, 'bold')}: runs again: {clean(each.reason)}"
        for each in retry.verdicts
        if each.taken is None
    ]
    return lines


def describe_retry(retry: Retry) -> dict[str, Any]:
    """Return the same as versioned data (``kind: RetryPlan``)."""
    new = retry.pinned
    return {
        "apiVersion": API_VERSION,
        "kind": "RetryPlan",
        "retry_of": retry.old.id,
        "pipeline": new.pipeline,
        "digest": new.digest,
        "source": dict(new.source),
        "params": dict(new.parameters),
        "stages": [
            {"id": each.stage, "action": "run", "reason": each.reason}
            if each.taken is None
            else {"id": each.stage, "action": "reuse", "run": each.taken["run"]}
            for each in retry.verdicts
        ],
    }


def _short(digest: str) -> str:
    return digest[:19]
