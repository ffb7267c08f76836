"""Retries with a corrected definition, and deploys that are checked again when a retry starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import InvalidInput
from gennaker.loader import Loaded, load_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.stage import Context, Outcome, Stage, StageInputs, StageOutputs, Succeeded
from gennaker_engine.core.events import AttemptEnded, ReuseWithdrawn
from gennaker_engine.runtime import Engine
from tests.integration.runtime_parts import (
    STAGES,
    Env,
    Place,
    start_run,
    write_project,
)

SETTINGS = "project: shop\nenvironments:\n  staging:\n    place: {folder: staging}\n"


class Read(Stage):
    """Read a file of the source, and say which one, more, or nothing."""

    name = "t.read"

    class Inputs(StageInputs):
        path: str
        declare: str = "path"

    class Outputs(StageOutputs):
        text: str

    def list_sources(self, inputs: Inputs) -> Sequence[str]:
        """As the test wants it."""
        if inputs.declare == "raise":
            raise ValueError("no idea")
        return {"path": [inputs.path], "nothing": [], "all": ["."]}[inputs.declare]

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Read it."""
        return Succeeded({"text": (ctx.source / inputs.path).read_text()})


def make_engine(root: Path) -> Engine:
    """Open an engine with the parts' stage types and ``t.read``."""
    registry = Registry.of(stages=[*STAGES, Read], targets=[Place], secrets=[Env])
    return Engine.open(load_project(root), registry)


def load(engine: Engine) -> Loaded:
    """Return the pipeline as it is now."""
    (loaded,) = load_file(engine.project.root / "pipelines" / "p.yaml", project=engine.project)
    return loaded


def drive_retry(engine: Engine, run: str, **parameters: Any) -> Any:
    """Retry with the current definition and drive it to its end."""
    retry = engine.plan_retry(run, actor="local:bob", current=load(engine), parameters=parameters)
    return engine.drive(engine.create_retry(retry, actor="local:bob"))


def write_reads(root: Path, *declares: str, how: str = "fail") -> None:
    """Write a pipeline of readers and a last stage that fails, or not."""
    stages = "".join(
        f"  {name}x: {{uses: t.read, with: {{path: {name}.txt, declare: {name}}}}}\n"
        for name in declares
    )
    write_project(
        root,
        f"name: shop\nstages:\n{stages}"
        f"  last: {{uses: t.behave, needs: [{', '.join(f'{n}x' for n in declares)}], "
        f"with: {{how: {how}}}}}\n",
    )


def test_a_corrected_stage_runs_and_what_was_fine_is_reused(tmp_path):
    """Also after a second correction: what a retry took over has its origin's history."""
    (tmp_path / "path.txt").write_text("1")
    write_reads(tmp_path, "path")
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    assert first.outcome == "failed"
    write_reads(tmp_path, "path", how="raise_it")
    second = drive_retry(engine, first.id)
    write_reads(tmp_path, "path", how="quick_process")
    third = drive_retry(engine, second.id)
    assert third.outcome == "succeeded"
    assert third.created.reused["pathx"] == {
        "outcome": "succeeded",
        "outputs": {"text": "1"},
        "run": first.id,
    }
    assert third.created.retry_of == second.id
    assert third.created.digest == load(engine).definition.digest != first.created.digest
    assert third.created.starters == ("local:ann", "local:bob")
    engine.close()


def test_what_a_stage_read_is_journaled_and_compared(tmp_path):
    """Its declared files; all of the source when its type says nothing of use."""
    names = ("path", "nothing", "all", "raise")
    for name in names:
        (tmp_path / f"{name}.txt").write_text("1")
    write_reads(tmp_path, *names)
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    read = {
        event.instance: event.read
        for _, event in engine.load_events(first.id)
        if isinstance(event, AttemptEnded)
    }
    # It read the source and says it did not: then nobody knows what.
    assert read == {
        "pathx": ("path.txt",),
        "nothingx": (".",),
        "allx": (".",),
        "raisex": (".",),
        "last": None,
    }
    (tmp_path / "other.txt").write_text("unrelated")
    assert list(drive_retry(engine, first.id).created.reused) == ["pathx"]
    (tmp_path / "path.txt").write_text("2")
    run = drive_retry(engine, first.id)
    assert list(run.created.reused) == []
    assert run.facts.stages["pathx"].outputs == {"text": "2"}
    engine.close()


def test_a_stage_that_never_asked_for_the_source_read_nothing_of_it(tmp_path):
    """In its only call. One that was called again may have read it before, so its type decides."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n  once: {uses: t.echo}\n"
        "  twice: {uses: t.behave, with: {how: timer}}\n  bad: {uses: t.behave, with: {how: fail}}\n",
    )
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    assert first.facts.instances["once"].read == ()
    assert first.facts.instances["twice"].read == (".",)
    (tmp_path / "new.txt").write_text("new")
    assert list(drive_retry(engine, first.id).created.reused) == ["once"]
    engine.close()


def test_parameters_are_those_of_the_run_unless_others_are_given(tmp_path):
    """What the current definition does not know, or wants, is told before anything starts."""
    text = "name: shop\nparameters: {PARAMETERS}\nstages:\n"
    text += "  a: {uses: t.echo, with: {say: '${{ params.a }}'}}\n"
    text += "  bad: {uses: t.behave, with: {how: fail}}\n"
    write_project(tmp_path, text.replace("PARAMETERS", "a: {required: true}"))
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine, parameters={"a": "one"}))
    run = drive_retry(engine, first.id)
    assert (run.created.parameters, list(run.created.reused)) == ({"a": "one"}, ["a"])
    run = drive_retry(engine, first.id, a="two")
    assert (run.created.parameters, list(run.created.reused)) == ({"a": "two"}, [])
    write_project(tmp_path, text.replace("PARAMETERS", "a: {}, b: {required: true}"))
    with pytest.raises(InvalidInput, match="parameter 'b' is required"):
        drive_retry(engine, first.id)
    assert drive_retry(engine, first.id, b="new").created.parameters == {"a": "one", "b": "new"}
    before = engine.journal.last_change()
    write_project(tmp_path, "name: shop\nstages:\n  a: {uses: t.echo}\n")
    with pytest.raises(InvalidInput, match="there is no parameter 'a'"):
        drive_retry(engine, first.id)
    assert engine.journal.last_change() == before
    engine.close()


@pytest.mark.parametrize("corrected", [False, True])
def test_a_deploy_is_looked_at_again_when_the_retry_starts(tmp_path, corrected):
    """Somebody deployed between its creation and its start: then it deploys again, and says why."""
    write_project(
        tmp_path,
        "name: shop\nstages:\n  move: {uses: t.deploy, environment: staging, with: {say: x}}\n"
        "  check: {uses: t.echo, needs: move}\n  aside: {uses: t.echo}\n"
        "  bad: {uses: t.behave, needs: check, with: {how: fail}}\n",
        SETTINGS,
    )
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    current = load(engine) if corrected else None
    retry = engine.plan_retry(first.id, actor="local:bob", current=current)
    second = engine.create_retry(retry, actor="local:bob")
    assert sorted(engine.load_run(second).created.reused) == ["aside", "check", "move"]
    other = engine.drive(start_run(engine))
    run = engine.drive(second)
    assert list(run.created.reused) == ["aside"]
    assert run.facts.stages["check"].outcome == "succeeded"
    (withdrawn,) = [e for _, e in engine.load_events(second) if isinstance(e, ReuseWithdrawn)]
    assert withdrawn.stages == {
        "move": f"staging was deployed again by {other.id}",
        "check": "after move",
    }
    assert engine.load_run(second) == run
    assert engine.journal.last_deploy("shop", "staging").run == second
    engine.close()


def test_a_queued_retry_looks_when_it_leaves_the_queue(tmp_path):
    """The run before it in its group may be the one that deploys."""
    text = (
        "name: shop\nconcurrency: {group: one}\nparameters: {delay: {type: number, default: 0}}\n"
        "stages:\n  move: {uses: t.deploy, environment: staging, with: {delay: '${{ params.delay }}'}}\n"
        "  bad: {uses: t.behave, needs: move, with: {how: fail}}\n"
    )
    write_project(tmp_path, text, SETTINGS)
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    between = start_run(engine, parameters={"delay": 0.3})
    second = engine.create_retry(first.id, actor="local:bob")
    assert list(engine.load_run(second).created.reused) == ["move"]
    runs = engine.drive([second, between])
    assert list(runs[0].created.reused) == []
    assert [
        event.at for _, event in engine.load_events(second) if isinstance(event, ReuseWithdrawn)
    ]
    engine.close()


def test_a_history_that_says_nothing_of_the_source_is_not_reused(tmp_path):
    """As runs of releases that did not record it."""
    (tmp_path / "path.txt").write_text("1")
    write_reads(tmp_path, "path")
    engine = make_engine(tmp_path)
    first = engine.drive(start_run(engine))
    for instance in first.facts.instances.values():
        instance.read = None
    engine.load_run = lambda _run: first
    retry = engine.plan_retry(first.id, actor="local:bob", current=load(engine))
    assert [(each.stage, each.reason) for each in retry.verdicts] == [
        ("pathx", "what it read of the source was not recorded"),
        ("last", "it failed"),
    ]
    engine.close()
