"""The render worker: a process that renders one chart and ends, so that no chart can hurt a run.

``python -m gennaker_stages.helm.worker`` reads ``{chart, values, options}`` as JSON from its input
and writes ``{rendered, crds}`` or ``{error}``. Memory, CPU and time are bounded before the library
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

# Go's runtime does not start with less than about 1 GiB of address space.
ADDRESS_SPACE = 4 << 30
CPU_SECONDS = 10
WALL_SECONDS = 30


def main() -> int:
    """Render what the input asks for; the exit code is 0 unless the worker itself is at fault."""
    for what, limit in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    signal.alarm(WALL_SECONDS)
    request = json.load(sys.stdin)
    json.dump(_render(request), sys.stdout)
    return 0


def _render(request: dict[str, Any]) -> dict[str, Any]:
    from helm_python import _native
    from helm_python.chart import Chart
    from helm_python.errors import HelmError

    try:
        chart = Chart.load(request["chart"])
        rendered = _native.call_string(
            "helm_render",
            chart._raw(),
            json.dumps(request["values"]),
            json.dumps(request["options"]),
        )
        return {"rendered": json.loads(rendered), "crds": chart.crds}
    except HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    sys.exit(main())
