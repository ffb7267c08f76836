"""Gennaker: the embedded runtime, SQLite with a durable commit before anything counts."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engine import open_bench, write_pipeline
from benchmarks.peers.program import Answer, main
from benchmarks.shapes import Needs


def run(needs: Needs, folder: Path, answer: Answer) -> None:
    """Load the pipeline from its file and drive a run of it."""
    engine, loaded = open_bench(folder, write_pipeline(needs))

    def work() -> int:
        made = engine.drive(engine.create_run(loaded, {}, actor="local:bench"))
        return sum(each.outcome == "succeeded" for each in made.facts.stages.values())

    answer(work)
    engine.close()


if __name__ == "__main__":
    main(run)
