"""Whether there is another attempt, and when. Pure arithmetic."""

from __future__ import annotations

import hashlib

from gennaker_engine.core.blueprint import RetryRule

__all__ = ["find_delay"]


def find_delay(
    rule: RetryRule,
    outcome: str,
    attempt: int,
    *,
    key: str,
    permanent: bool = False,
    delay: float | None = None,
) -> float | None:
    """Return the seconds until the next attempt, None when there is none.

    The back-off grows by the rule's factor up to its largest delay and is then jittered down to
    between a half and the whole of it. The jitter comes from the idempotency key, so that it needs
    no randomness and two stages that fail together do not come back together.

    Args:
        attempt: the one that ended, from 1.
        key: ``run/instance/attempt``.
        permanent: the stage said that it will never work this way.
        delay: what the stage asked for; it replaces the back-off and is not jittered.
    """
    if permanent or outcome not in rule.on or attempt > rule.limit:
        return None
    if delay is not None:
        return max(0.0, delay)
    try:
        longest = min(rule.max_delay, rule.delay * rule.factor ** (attempt - 1))
    except OverflowError:
        longest = rule.max_delay
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return longest * (0.5 + 0.5 * number / (1 << 64))
