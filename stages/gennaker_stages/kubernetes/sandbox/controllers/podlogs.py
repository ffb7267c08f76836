"""What simulated containers say: their logs and termination messages, of annotations of their Pods."""

from __future__ import annotations

from .base import Object

__all__ = ["has_ended", "read_log", "read_message"]

LOG = "sandbox.gennaker.dev/log"
MESSAGE = "sandbox.gennaker.dev/termination-message"
_CRASH = "simulated crash: exit status 1\n"


def read_log(pod: Object, query: dict[str, str]) -> str:
    """Return what a simulated container says, by what has become of it.

    It says all at its start, but how it crashed.
    """
    status = _find_status(pod, query)
    if status is None or ("waiting" in status["state"] and not status["restartCount"]):
        return ""
    name, annotations = status["name"], pod["metadata"].get("annotations") or {}
    text = annotations.get(LOG, f"simulated container {name} of image {status['image']}")
    text = f"{text.rstrip()}\n"
    ended = status["state"].get("terminated") or status.get("lastState", {}).get("terminated")
    if ended and ended["exitCode"]:
        text += _CRASH
    lines = text.splitlines(keepends=True)
    if query.get("tailLines", "").isdigit():
        lines = lines[max(0, len(lines) - int(query["tailLines"])) :]
    if query.get("timestamps") == "true":
        begun = (status["state"].get("running") or ended or {}).get("startedAt", "")
        stamp = f"{begun.removesuffix('Z')}.000000000Z"
        lines = [f"{stamp} {line}" for line in lines]
    return "".join(lines)


def has_ended(pod: Object, query: dict[str, str]) -> bool:
    """Return whether a container says nothing more."""
    status = _find_status(pod, query)
    return status is None or "running" not in status["state"]


def read_message(pod: Object) -> Object:
    """Return the ``message`` that a container of the Pod leaves when it ends, nothing without one."""
    message = (pod["metadata"].get("annotations") or {}).get(MESSAGE)
    return {} if message is None else {"message": message}


def _find_status(pod: Object, query: dict[str, str]) -> Object | None:
    name = query.get("container") or pod["spec"]["containers"][0]["name"]
    statuses = pod["status"].get("containerStatuses", [])
    return next((each for each in statuses if each["name"] == name), None)
