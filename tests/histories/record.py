"""``python -m tests.histories.record [NAME ...]``: keep the histories that are not kept yet.

A file that is there is never written again: it is what a release wrote, and every later one must
read it as that one did. Record a new event type or version with a new scenario. Without names, the
states of the newest version of the schema are kept too.
"""
# ruff: noqa: T201

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import tempfile
from pathlib import Path

from gennaker_engine.journal.ownership import find_user
from gennaker_engine.journal.port import Journal
from tests.histories import kept, states
from tests.histories.scenarios import SCENARIOS, Scenario

__all__ = ["main", "play"]


def play(scenario: Scenario, root: Path) -> kept.History:
    """Let a scenario happen in an empty folder, and return the history of its state."""
    journal: Journal
    with contextlib.chdir(root):
        engine = scenario(root)
        about = (scenario.__doc__ or "").partition("\n")[0]
        with contextlib.closing(engine.journal) as journal:
            return kept.read(journal, about)


def clean(text: str, root: Path) -> str:
    """Return a history's text without the names of the machine and the person it was recorded by."""
    text = text.replace(str(root), "/srv/shop").replace(f"{find_user()}@", "ann@")
    text = text.replace(f"local:{find_user()}", "local:ann")
    return re.sub(re.escape(socket.gethostname()), "builder", text)


def main(names: list[str]) -> int:
    """Record what is asked for, or all that is missing; return the exit code."""
    known = set(kept.list_names())
    wanted = names or [name for name in SCENARIOS if name not in known]
    unknown = [name for name in wanted if name not in SCENARIOS]
    there = [name for name in wanted if name in known]
    if unknown or there:
        for name in unknown:
            print(f"there is no scenario {name!r} in tests/histories/scenarios.py", file=sys.stderr)
        for name in there:
            print(f"{name!r} is kept already and stays as it is", file=sys.stderr)
        return 2
    os.environ["SHOP_TOKEN"] = "a-token-of-nobody"
    for name in wanted:
        with tempfile.TemporaryDirectory() as folder:
            history = play(SCENARIOS[name], Path(folder))
            text = clean(json.dumps(kept.to_data(history)), Path(folder))
        print(kept.save(name, kept.from_data(json.loads(text))))
    if not names:
        for path in states.record():
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
