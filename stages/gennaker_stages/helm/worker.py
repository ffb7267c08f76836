"""The render worker: a process that renders charts one after the other, so that none can hurt a run.

``python -m gennaker_stages.helm.worker MEMORY`` (bytes) reads questions and writes answers, each JSON
after its length in 8 bytes (:class:`gennaker.process.Helper`). :mod:`gennaker_stages.helm.pool` starts
it and keeps it for further charts. Memory is bounded for good; CPU and time anew for each chart. It
ends when nobody asks any more, and after a chart that needed much memory. A chart handle is used for
one render only: a second render of the same handle gives wrong output when a condition switched a
subchart off in the first.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import signal
import sys
from typing import Any, BinaryIO

__all__ = ["main"]

IDLE_SECONDS = 60
# Of memory that it ever had, in KiB.
MUCH = 1 << 20
# Objects after which Python looks for garbage; what a chart's objects are read into is none for long.
_GARBAGE = 20_000
# It says no more than some lines, and those to a file.
SAID_BYTES = 1 << 20
_NEEDED = ("helm_python.chart", "gennaker_stages.helm.bundle", "yaml")


def main() -> int:
    """Answer until the input ends; the exit code is 0 unless the worker itself is at fault."""
    memory = int(sys.argv[1])
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, SAID_BYTES),
    ):
        resource.setrlimit(what, (limit, limit))
    gc.set_threshold(_GARBAGE)
    for each in _NEEDED:  # it may have been started ahead of its first question
        importlib.import_module(each)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        signal.alarm(IDLE_SECONDS)
        question = _read(questions)
        if question is None:
            return 0
        _bound(question["cpu"], question["wall"])
        answer = json.dumps(_answer(question)).encode()
        answers.write(len(answer).to_bytes(8, "big") + answer)
        answers.flush()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MUCH:
            return 0


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(8)
    if len(head) < 8:
        return None
    question: dict[str, Any] = json.loads(stream.read(int.from_bytes(head, "big")))
    return question


def _bound(cpu: int, wall: int) -> None:
    """Let the system end this process after so many seconds of CPU, or of time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + cpu
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    signal.alarm(wall)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from helm_python.errors import HelmError

    from gennaker.errors import PermanentError
    from gennaker_stages.helm.bundle import split_templates

    try:
        rendered = _render(question)
        size = sum(len(each.encode()) for each in rendered.values())
        if size > question["max_output"]:
            return {"size": size}
        documents = split_templates(rendered, include_tests=question["include_tests"])
    except HelmError as error:
        return {"error": str(error)}
    except PermanentError as error:
        return {"error": error.message, "code": error.code}
    return {"documents": [[each.source, each.text, each.names, each.data] for each in documents]}


def _render(question: dict[str, Any]) -> dict[str, str]:
    from helm_python import _native
    from helm_python.chart import Chart

    with Chart.load(question["chart"]) as chart:
        # Not ``Chart.render``, which knows neither the cluster's version nor its API versions.
        text = _native.call_string(
            "helm_render",
            chart._raw(),
            json.dumps(question["values"]),
            json.dumps(question["options"]),
        )
        crds = chart.crds if question["include_crds"] else []
    rendered: dict[str, str] = json.loads(text)
    for each in crds:
        rendered[each["filename"]] = f"{rendered.get(each['filename'], '')}---\n{each['data']}"
    return rendered


if __name__ == "__main__":
    sys.exit(main())
