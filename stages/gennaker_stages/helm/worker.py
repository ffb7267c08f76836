"""The render worker: a process that renders one chart and ends, so that no chart can hurt a run.

``python -m gennaker_stages.helm.worker MEMORY CPU WALL`` (bytes and seconds) reads the question as
JSON from its input and writes ``{rendered}``, ``{error}`` or ``{size}`` (too much was rendered).
:mod:`gennaker_stages.helm.rendering` starts it. Memory, CPU and time are bounded before the library
is loaded. A chart handle is used for one render only: a second render of the same handle gives
wrong output when a condition switched a subchart off in the first.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any

__all__ = ["main"]


def main() -> int:
    """Render what the input asks for; the exit code is 0 unless the worker itself is at fault."""
    memory, cpu, wall = (int(each) for each in sys.argv[1:4])
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    signal.alarm(wall)
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
    return 0


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    from helm_python import _native
    from helm_python.chart import Chart
    from helm_python.errors import HelmError

    try:
        chart = Chart.load(question["chart"])
        # Not ``Chart.render``, which knows neither the cluster's version nor its API versions.
        text = _native.call_string(
            "helm_render",
            chart._raw(),
            json.dumps(question["values"]),
            json.dumps(question["options"]),
        )
        crds = chart.crds if question["include_crds"] else []
    except HelmError as error:
        return {"error": str(error)}
    rendered: dict[str, str] = json.loads(text)
    for each in crds:
        rendered[each["filename"]] = f"{rendered.get(each['filename'], '')}---\n{each['data']}"
    size = sum(len(each.encode()) for each in rendered.values())
    return {"size": size} if size > question["max_output"] else {"rendered": rendered}


if __name__ == "__main__":
    sys.exit(main())
