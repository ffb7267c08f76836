"""Dagster: a job of ops, executed in this process, its instance in SQLite."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.program import Answer, main
from benchmarks.shapes import Needs


def run(needs: Needs, folder: Path, answer: Answer) -> None:
    """Build the job and execute it."""
    from dagster import DagsterInstance, In, Nothing, Out, job, op

    @op(out=Out(Nothing))
    def first() -> None:
        pass

    @op(ins={"after": In(Nothing)}, out=Out(Nothing))
    def stage() -> None:
        pass

    @job(config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    def bench() -> None:
        made = {}
        for name, before in needs.items():
            if before:
                made[name] = stage.alias(name)([made[each] for each in before])
            else:
                made[name] = first.alias(name)()

    instance = DagsterInstance.local_temp(str(folder))

    def work() -> int:
        result = bench.execute_in_process(instance=instance)
        return sum(each.is_step_success for each in result.all_events)

    answer(work)


if __name__ == "__main__":
    main(run)
