"""Whole commands, as a person waits for them."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import Measurement, choose_disk, time_command
from benchmarks.shapes import make_shape

__all__ = ["measure"]

GENNAKER = str(Path(sys.executable).parent / "gennaker")
ONE = """\
name: one
stages:
  only:
    uses: shell
    with: {source: false, run: "true"}
"""
ASKING = """\
name: asking
stages:
  ask:
    uses: approval
  go:
    uses: shell
    needs: ask
    with: {source: false, run: "true"}
"""


def measure() -> list[Measurement]:
    """Measure start-up, validation, a small run, and a decision from another terminal."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "gennaker.yaml").write_text("project: bench\npipelines: [pipelines]\n")
        (project / "pipelines").mkdir()
        (project / "pipelines" / "one.yaml").write_text(ONE)
        (project / "pipelines" / "asking.yaml").write_text(ASKING)
        (project / "twenty.yaml").write_text(_write_pipeline(20))
        (project / "thousand.yaml").write_text(_write_pipeline(1000))
        floor = time_command([sys.executable, "-c", "pass"], cwd=project)
        bare = {"floor": floor, "floor_name": "bare process"}

        def command(*words: str) -> float:
            return time_command([GENNAKER, *words], cwd=project)

        return [
            Measurement("gennaker --version", command("--version"), goal=80, **bare),
            Measurement("validate 20 stages", command("validate", "twenty.yaml"), goal=250, **bare),
            Measurement(
                "validate 1,000 stages", command("validate", "thousand.yaml"), goal=700, **bare
            ),
            Measurement("run of one stage", command("run", "one"), goal=450, **bare),
            Measurement("runs", command("runs"), goal=300, **bare),
            Measurement(
                "decision in another terminal to next start",
                _measure_decision(project),
                goal=150,
            ),
            Measurement(
                "resume of 1,000 stages killed half way to the first start",
                statistics.median(_measure_resume() for _ in range(5)),
                goal=500,
            ),
        ]


def _write_pipeline(count: int) -> str:
    lines = ["name: many", "parameters:", "  version: {default: '1'}", "stages:"]
    for index in range(count):
        lines += [
            f"  s{index}x:",
            "    uses: shell",
            "    with:",
            "      env: {V: '${{ params.version }}'}",
            "      run: echo $V",
        ]
        if index:
            lines.append(f"    needs: s{index - 1}x")
    return "\n".join(lines) + "\n"


def _measure_decision(project: Path) -> float:
    """Milliseconds from the decision's event to the start of the next stage, both as recorded."""
    found = []
    for _ in range(5):
        process = subprocess.Popen(
            [GENNAKER, "run", "asking"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ,
        )
        while not _ask(project, "status", "@last")["waiting"]:
            time.sleep(0.05)
        subprocess.run(
            [GENNAKER, "approve", "@last", "ask"], cwd=project, check=True, capture_output=True
        )
        process.wait(timeout=30)
        at = {}
        for each in _ask(project, "events", "@last")["items"]:
            if each["type"] == "approval.decided":
                at["decided"] = each["at"]
            elif each["type"] == "attempt.started" and each["instance"] == "go":
                at["started"] = each["at"]
        found.append((at["started"] - at["decided"]) * 1000)
    return statistics.median(found)


def _measure_resume() -> float:
    """Milliseconds from the command to the first start it records, of a run that was really killed."""
    with tempfile.TemporaryDirectory(dir=choose_disk()) as folder:
        project = Path(folder)
        (project / "gennaker.yaml").write_text("project: bench\n")
        (project / "many.yaml").write_text(_write_dying(project / "died"))
        quiet = {"cwd": project, "capture_output": True}
        done = subprocess.run([GENNAKER, "run", "many.yaml"], check=False, **quiet)
        if done.returncode != -signal.SIGKILL:
            raise SystemExit(f"it was to be killed, and gave {done.returncode}: {done.stderr}")
        began = time.time()
        subprocess.run([GENNAKER, "resume", "@last"], check=True, **quiet)
        starts = [
            each["at"]
            for each in _ask(project, "events", "@last")["items"]
            if each["type"] == "attempt.started"
        ]
        return (min(at for at in starts if at >= began) - began) * 1000


def _write_dying(mark: Path) -> str:
    """Return 1,000 stages in 10 layers that do nothing; one in the middle kills the engine, once."""
    needs = make_shape("layered")
    past = {"uses": "wait", "with": {"until": "2000-01-01T00:00:00Z"}}
    stages = {name: {**past, "needs": before} for name, before in needs.items()}
    kill = f"[ -e {mark} ] || {{ touch {mark}; kill -9 $PPID; sleep 9; }}"
    stages["l5n0s"] |= {"uses": "shell", "with": {"source": False, "run": kill}}
    return json.dumps({"name": "many", "stages": stages})


def _ask(project: Path, *words: str) -> dict[str, object]:
    done = subprocess.run(
        [GENNAKER, *words, "-o", "json"], cwd=project, capture_output=True, check=False
    )
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {"waiting": []}
