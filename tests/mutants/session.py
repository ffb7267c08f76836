"""A pytest plugin that runs the collected tests on each mutant, instead of once on the code.

The parent collects, runs every test once and notes which lines of the core each one reaches. For
each mutant it forks; the child changes itself and runs the tests that reach the change, quick ones
first, until one fails. Nothing is imported or collected twice.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tests.mutants.mutate import PACKAGE, Mutant, find_mutants

HANGS = 20.0
"""Seconds of computing after which a mutant counts as found: its tests do not end."""
_MEMORY = 2 << 30

Lines = set[tuple[str, int]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what ``python -m tests.mutants`` says to its session."""
    group = parser.getgroup("mutants")
    group.addoption("--mutants-to", help="file for the result, JSON")
    group.addoption("--mutants-only", default="", help="only those whose name has this text")
    group.addoption("--mutants-kind", default="", help="only of this kind")
    group.addoption("--mutants-sample", type=int, default=0, help="so many of them, by chance")
    group.addoption("--mutants-jobs", type=int, default=os.cpu_count(), help="children at once")


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Generate the same examples every time, else a mutant would survive by chance."""
    settings.register_profile(
        "mutants",
        settings.default,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],  # one that fails is enough, however large
    )
    settings.load_profile("mutants")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try every mutant; write what became of each."""
    config = session.config
    mutants = [
        each
        for each in find_mutants()
        if config.getoption("--mutants-only") in each.name
        and config.getoption("--mutants-kind") in ("", each.kind)
    ]
    if size := config.getoption("--mutants-sample"):
        mutants = random.Random(size).sample(mutants, min(size, len(mutants)))
    reached, seconds = watch_tests(session)
    chosen = {each.name: choose_tests(each, session.items, reached, seconds) for each in mutants}
    found = try_all(mutants, chosen, jobs=config.getoption("--mutants-jobs"))
    rows = [
        {"name": each.name, "kind": each.kind, "line": each.lines[0], "found": found[each.name]}
        for each in mutants
    ]
    Path(config.getoption("--mutants-to")).write_text(json.dumps(rows, ensure_ascii=False))
    return True


# Which tests ------------------------------------------------------------------------------------


def watch_tests(session: pytest.Session) -> tuple[dict[str, Lines], dict[str, float]]:
    """Run every test once; return the lines of the core it reached, and how long it took."""
    folder = f"/{PACKAGE.replace('.', '/')}/"
    reached: dict[str, Lines] = defaultdict(set)
    seconds: dict[str, float] = {}
    found: Lines = set()

    def trace_lines(frame: FrameType, _event: str, _argument: Any) -> Any:
        found.add((frame.f_code.co_filename, frame.f_lineno))
        return trace_lines

    def trace_calls(frame: FrameType, _event: str, _argument: Any) -> Any:
        return trace_lines if folder in frame.f_code.co_filename else None

    for number, item in enumerate(session.items):
        found = reached[item.nodeid]
        following = session.items[number + 1] if number + 1 < len(session.items) else None
        begun = time.monotonic()
        sys.settrace(trace_calls)
        try:
            reports = runtestprotocol(item, log=False, nextitem=following)
        finally:
            sys.settrace(None)
        seconds[item.nodeid] = time.monotonic() - begun
        failed = [each for each in reports if each.failed]
        if failed:
            raise pytest.UsageError(
                f"{item.nodeid} fails without any change:\n{failed[0].longrepr}"
            )
    return reached, seconds


def choose_tests(
    mutant: Mutant, items: list[pytest.Item], reached: dict[str, Lines], seconds: dict[str, float]
) -> list[pytest.Item]:
    """Return the tests that reach what is changed, quick ones first.

    A table is read by everything, and a constant of a module is no line that is reached later.
    """
    first, last = mutant.lines
    lines = {(mutant.file, line) for line in range(first, last + 1)}
    everywhere = mutant.kind == "table" or ":" not in mutant.name
    chosen = [each for each in items if everywhere or lines & reached[each.nodeid]]
    return sorted(chosen, key=lambda each: seconds[each.nodeid])


# Trying -----------------------------------------------------------------------------------------


def try_all(
    mutants: list[Mutant], chosen: dict[str, list[pytest.Item]], *, jobs: int
) -> dict[str, str]:
    """Return by name what became of each: ``failed``, ``hung``, ``survived`` or ``unreached``."""
    found: dict[str, str] = {}
    waiting = [each for each in reversed(mutants) if chosen[each.name]]
    found.update({each.name: "unreached" for each in mutants if not chosen[each.name]})
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            pid = os.fork()
            if not pid:
                run_child(mutant, chosen[mutant.name])
            running[pid] = mutant
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        mutant = running.pop(pid)
        found[mutant.name] = {0: "survived", -signal.SIGVTALRM: "hung"}.get(code, "failed")
        if found[mutant.name] == "survived":
            sys.__stderr__.write(f"survived: {mutant.name} (line {mutant.lines[0]})\n")
        if len(found) % 50 == 0:
            sys.__stderr__.write(
                f"{len(found)} of {len(mutants)}: {dict(Counter(found.values()))}\n"
            )
    return found


def run_child(mutant: Mutant, items: list[pytest.Item]) -> None:
    """Become the mutant, run the tests until one fails, and end: 0 when none did."""
    code = 1
    with suppress(BaseException):
        signal.setitimer(signal.ITIMER_VIRTUAL, HANGS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        mutant.apply()
        forget_caches()
        code = 0
        for item, following in zip(items, [*items[1:], None], strict=True):
            code = 1
            reports = runtestprotocol(item, log=False, nextitem=following)
            code = int(any(each.failed for each in reports))
            if code:
                break
    os._exit(code)


def forget_caches() -> None:
    """Forget blueprints that the code as it was has made."""
    from gennaker_engine.core import blueprint

    blueprint._cache.clear()
