"""Prefect: a flow, a task for each stage on its thread pool, its own local server with SQLite."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.peers.program import Answer, main
from benchmarks.shapes import Needs


def run(needs: Needs, folder: Path, answer: Answer) -> None:
    """Start the server with an empty flow, then run the tasks."""
    os.environ |= {
        "PREFECT_HOME": str(folder),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    @task
    def stage(_name: str) -> int:
        return 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=16))
    def start() -> None:
        pass

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=16))
    def bench() -> int:
        made = {}
        for name, before in needs.items():
            made[name] = stage.submit(name, wait_for=[made[each] for each in before])
        return sum(each.result() for each in made.values())

    start()
    answer(bench)


if __name__ == "__main__":
    main(run)
