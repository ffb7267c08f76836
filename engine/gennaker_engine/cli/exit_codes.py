"""The exit codes and what they mean: the one table behind every command, its help and the docs."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ABORTED",
    "ERRORED",
    "EXIT_CODES",
    "FAILED",
    "INTERRUPTED",
    "INVALID",
    "NOT_ALLOWED",
    "PARKED",
    "SUCCEEDED",
    "TIMED_OUT",
    "WAITING",
    "code_of_run",
    "worst_code",
]

SUCCEEDED = 0
FAILED = 1
INVALID = 2
ABORTED = 3
NOT_ALLOWED = 4
TIMED_OUT = 5
WAITING = 6
ERRORED = 7
INTERRUPTED = 130
PARKED = 143

EXIT_CODES: Mapping[int, str] = {
    SUCCEEDED: "succeeded",
    FAILED: "failed; a plan: something would be refused (or would change, with --exit-code)",
    INVALID: "wrong usage, or a file, parameter or plan that is not valid",
    ABORTED: "aborted or rejected",
    NOT_ALLOWED: "not allowed: an identity, a policy, or a concurrency group that rejects",
    TIMED_OUT: "the run timed out, whatever its outcome",
    WAITING: "left waiting (--detach-on-wait)",
    ERRORED: "errored: Gennaker, or a stage, could not do its work; a plan: a stage cannot be planned",
    INTERRUPTED: "interrupted (Ctrl-C)",
    PARKED: "parked (SIGTERM, or a second Ctrl-C); resume it with: gennaker resume RUN",
}
"""Every exit code to its meaning, in ascending order."""

_OF_OUTCOME = {"succeeded": SUCCEEDED, "failed": FAILED, "aborted": ABORTED, "errored": ERRORED}
_FROM_BEST = (SUCCEEDED, WAITING, ABORTED, FAILED, TIMED_OUT, ERRORED, PARKED, INTERRUPTED)


def code_of_run(state: str, outcome: str | None, *, timed_out: bool) -> int:
    """Return the exit code of a run; one that has not ended was left waiting."""
    if timed_out:
        return TIMED_OUT
    if state != "ended":
        return WAITING
    return _OF_OUTCOME.get(str(outcome), ERRORED)


def worst_code(codes: list[int]) -> int:
    """Return the one code that speaks for several runs; 0 for none."""
    return max(codes, key=_FROM_BEST.index, default=SUCCEEDED)
