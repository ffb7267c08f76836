"""DBOS: one workflow, a step for each stage, those of one level together; its default SQLite."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.peers.program import Answer, main
from benchmarks.shapes import Needs, list_levels


def run(needs: Needs, folder: Path, answer: Answer) -> None:
    """Launch DBOS and run the workflow; all levels of these shapes are complete before the next."""
    from dbos import DBOS

    levels = list_levels(needs)
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def stage(_name: str) -> int:
        return 1

    @DBOS.workflow()
    async def bench() -> int:
        ran = 0
        for level in levels:
            ran += sum(await asyncio.gather(*(stage(name) for name in level)))
        return ran

    async def drive() -> None:
        DBOS.launch()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        begin = asyncio.Event()

        async def follow() -> None:
            await begin.wait()
            done.set_result(await bench())

        task = asyncio.create_task(follow())
        begin.set()
        await asyncio.to_thread(answer, lambda: _wait(done, loop))
        await task

    asyncio.run(drive())
    os._exit(0)  # its threads would keep the process for seconds; nothing is left to write


def _wait(done: asyncio.Future[int], loop: asyncio.AbstractEventLoop) -> int:
    async def get() -> int:
        return await done

    return asyncio.run_coroutine_threadsafe(get(), loop).result()


if __name__ == "__main__":
    main(run)
