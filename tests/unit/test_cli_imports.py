"""Start-up is a feature: the modules each command may not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import json, sys
from gennaker_engine.cli.main import main
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
sys.stderr.write("\\n" + json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""
CLIENTS = ("kubernetes", "docker", "helm_python", "urllib3", "requests")
ENGINE = ("sqlite3", "structlog", "asyncio", "gennaker_engine.runtime", "gennaker_engine.journal")
DATA = ("pydantic", "yaml", "networkx", "re2")
LOOKING = ("structlog", "networkx", "gennaker_stages", "gennaker_engine.runtime")

COMMANDS = [
    (["--version"], (*CLIENTS, *ENGINE, *DATA, "gennaker_engine.cli.commands")),
    (["--help"], (*CLIENTS, *ENGINE, *DATA, "gennaker_engine.cli.commands")),
    (["version"], (*CLIENTS, *ENGINE, *DATA)),
    (["help", "exit-codes"], (*CLIENTS, *ENGINE, *DATA)),
    (["help", "run"], (*CLIENTS, *ENGINE, *DATA)),
    (["completion", "zsh"], (*CLIENTS, *ENGINE, *DATA)),
    (["validate"], (*CLIENTS, *ENGINE, "networkx")),
    (["show", "hello"], (*CLIENTS, *ENGINE, "networkx", "gennaker_stages")),
    (["graph", "hello"], (*CLIENTS, *ENGINE, "gennaker_stages")),
    (["stages"], (*CLIENTS, *ENGINE, "networkx")),
    (["plugins"], (*CLIENTS, *ENGINE, "networkx")),
    (["schema"], (*CLIENTS, *ENGINE, "networkx")),
    (["doctor"], (*CLIENTS, "structlog", "networkx", "gennaker_engine.runtime")),
    (["runs"], (*CLIENTS, *LOOKING, "pydantic")),
    (["status", "@last"], (*CLIENTS, *LOOKING, "pydantic")),
    (["events", "@last"], (*CLIENTS, *LOOKING, "pydantic")),
    (["logs", "@last"], (*CLIENTS, *LOOKING, "pydantic")),
    (["artifacts", "@last"], (*CLIENTS, *LOOKING, "pydantic")),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one pipeline of one stage type that is always there."""
    (tmp_path / "gennaker.yaml").write_text("project: hello\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "hello.yaml").write_text(
        "name: hello\nstages:\n  a: {uses: wait, with: {for: 1s}}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "forbidden"), COMMANDS, ids=[" ".join(argv) for argv, _ in COMMANDS]
)
def test_a_command_loads_only_what_it_needs(
    project: Path, argv: list[str], forbidden: tuple[str, ...]
) -> None:
    """None of the named modules is loaded, whatever the command answers."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, json.dumps(argv)],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    told = json.loads(done.stderr.rpartition("\n")[2])
    assert told["code"] in (0, 2)
    loaded = [
        name
        for name in told["modules"]
        for each in forbidden
        if name == each or name.startswith(f"{each}.")
    ]
    assert loaded == []
