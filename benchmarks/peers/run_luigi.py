"""Luigi: a task for each stage, each with a file as its target; its local scheduler, one worker."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.program import Answer, main
from benchmarks.shapes import Needs


def run(needs: Needs, folder: Path, answer: Answer) -> None:
    """Build the last tasks, which asks for the others."""
    import luigi

    class StageTask(luigi.Task):  # type: ignore[misc]
        name = luigi.Parameter()

        def requires(self) -> list[luigi.Task]:
            return [StageTask(each) for each in needs[self.name]]

        def output(self) -> luigi.Target:
            return luigi.LocalTarget(str(folder / self.name))

        def run(self) -> None:
            with self.output().open("w") as stream:
                stream.write("done")

    needed = {each for before in needs.values() for each in before}
    last = [StageTask(name) for name in needs if name not in needed]

    def work() -> int:
        luigi.build(last, local_scheduler=True, workers=1, log_level="ERROR")
        return sum((folder / name).exists() for name in needs)

    answer(work)


if __name__ == "__main__":
    main(run)
