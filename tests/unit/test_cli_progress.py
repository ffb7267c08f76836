"""A run as a tree and as plain lines: pure functions of its events."""

from __future__ import annotations

from typing import Any

from gennaker_engine.cli.render.lines import LineRenderer
from gennaker_engine.cli.render.progress import Progress
from gennaker_engine.cli.render.tree import ASCII, render_tree, tell_outcome
from gennaker_engine.cli.render.wording import tell_cause, tell_event, tell_source, tell_value
from gennaker_engine.core import events as facts


def create(**settings: Any) -> facts.RunCreated:
    """The first event of a run of three stages and one finally stage."""
    definition = {
        "name": "shop",
        "stages": {
            "image": {"uses": "docker.build"},
            "test": {"uses": "shell", "on_failure": "ignore"},
            "go_live": {"uses": "approval"},
        },
        "finally": {"tell": {"uses": "shell"}},
    }
    values: dict[str, Any] = {
        "at": 0.0,
        "run": "shop-1",
        "pipeline": "shop",
        "number": 1,
        "title": "Deploy 1.4.0",
        "actor": "local:ann",
        "definition": definition,
        "digest": "sha256:" + "a" * 64,
    }
    return facts.RunCreated(**(values | settings))


def ask(**settings: Any) -> facts.ApprovalRequested:
    """An approval that is asked for."""
    values: dict[str, Any] = {
        "at": 5.0,
        "gate": "go_live/1",
        "stage": "go_live",
        "message": "Ship it?",
        "required": 2,
        "subject": ({"id": "production", "uses": "kubernetes.deploy"},),
        "digest": "sha256:" + "b" * 64,
    }
    return facts.ApprovalRequested(**(values | settings))


RUNNING: list[facts.Event] = [
    create(),
    facts.RunStarted(at=1.0),
    facts.AttemptStarted(at=1.0, instance="image", attempt=1),
    facts.AttemptEnded(at=4.2, instance="image", attempt=1, outcome="succeeded"),
    facts.StageExpanded(at=4.2, stage="test", instances=({"os": "a"}, {"os": "b"})),
    facts.AttemptStarted(at=4.2, instance="test[0]", attempt=1),
    facts.AttemptStarted(at=4.2, instance="test[1]", attempt=2),
    facts.AttemptEnded(
        at=5.0, instance="test[1]", attempt=2, outcome="failed", reason="exit 1", retry_at=12.0
    ),
    facts.AttemptStarted(at=4.4, instance="go_live", attempt=1),
    facts.AttemptWaiting(
        at=4.4, instance="go_live", attempt=1, on={"kind": "decision"}, deadline=64.4
    ),
]


def test_the_tree_shows_every_stage_with_what_it_does() -> None:
    """States, durations, attempts, matrix values, waits and finally, in the order written."""
    assert render_tree(Progress.of(RUNNING), now=10.0, marks=ASCII) == [
        "shop-1  Deploy 1.4.0  running  9.0s",
        "|- + image       succeeded 3.2s",
        "|- * test        running 5.8s",
        '|  |- * test[0]  running 5.8s  os="a"',
        '|  `- ~ test[1]  tries again in 2.0s  attempt 2  os="b"  exit 1',
        "|- ~ go_live     waits for approval, 54s left",
        "`- finally",
        "   `- . tell",
    ]


def test_a_tree_that_is_too_high_leaves_out_what_matters_least() -> None:
    """Pending goes first, then what succeeded; the rest is counted."""
    lines = render_tree(Progress.of(RUNNING), now=10.0, marks=ASCII, height=8)
    assert len(lines) <= 8
    assert lines[-1] == "   … 1 pending, 1 succeeded not shown"


def test_an_ended_run_says_how() -> None:
    """Outcome, ignored failures and skip causes are shown."""
    events = [
        *RUNNING,
        facts.AttemptEnded(at=6.0, instance="test[0]", attempt=1, outcome="succeeded"),
        facts.AttemptEnded(at=13.0, instance="test[1]", attempt=3, outcome="failed", reason="no"),
        facts.StageEnded(at=13.0, stage="test", outcome="failed"),
        facts.StageSkipped(
            at=13.0, instance="go_live", cause="upstream", detail={"stage": "image"}
        ),
        facts.RunEnded(at=14.0, outcome="succeeded"),
    ]
    lines = render_tree(Progress.of(events), now=99.0, marks=ASCII)
    assert lines[0] == "shop-1  Deploy 1.4.0  succeeded  13s"
    assert lines[2] == "|- x test        failed 8.8s  ignored"
    assert lines[5] == "|- - go_live     skipped  upstream: image"


def test_a_run_of_skips_has_nothing_to_do() -> None:
    """All skipped is succeeded, said as such."""
    events = [
        create(),
        *(
            facts.StageSkipped(at=1.0, instance=name, cause="condition")
            for name in ("image", "test", "go_live", "tell")
        ),
        facts.RunEnded(at=2.0, outcome="succeeded", nothing_to_do=True),
    ]
    assert tell_outcome(Progress.of(events)) == "nothing to do"


def test_a_lock_is_waited_for_and_got() -> None:
    """A stage that waits for an environment says which, and goes back to pending when it has it."""
    events: list[facts.Event] = [
        create(),
        facts.LockRequested(at=1.0, environment="staging", instance="image"),
    ]
    progress = Progress.of(events)
    assert render_tree(progress, now=2.0, marks=ASCII)[1].endswith("waits for environment staging")
    progress.apply(facts.LockAcquired(at=3.0, environment="staging"))
    assert progress.find("image").state == "pending"


def test_lines_tell_what_happens_as_it_happens() -> None:
    """One line an event that matters; log lines carry their stage."""
    renderer = LineRenderer()
    progress = Progress()
    told: list[str] = []
    for event in [*RUNNING[:4], ask()]:
        progress.apply(event)
        told += renderer.tell_event(event, progress)
    told += renderer.tell_log("image", "step 1")
    assert told == [
        "shop-1 created: Deploy 1.4.0",
        "image: started",
        "image: succeeded in 3.2s",
        "go_live: asks for approval of production",
        "go_live: Ship it?",
        "go_live: decide with: gennaker approve shop-1 go_live",
        "image | step 1",
    ]


def test_github_gets_groups_and_annotations() -> None:
    """The log of an attempt is one group when it ends; a failure is an annotation."""
    renderer = LineRenderer(ci="github")
    progress = Progress.of(RUNNING[:3])
    assert renderer.tell_log("image", "step 1") == []
    ended = facts.AttemptEnded(
        at=4.2, instance="image", attempt=1, outcome="failed", reason="no such base"
    )
    progress.apply(ended)
    assert renderer.tell_event(ended, progress) == [
        "::group::log of image",
        "step 1",
        "::endgroup::",
        "image: failed in 3.2s: no such base",
        "::error title=image failed::image failed: no such base",
    ]


def test_every_event_has_a_sentence() -> None:
    """The audit trail never falls back to an event's type."""
    from gennaker_engine.cli.render import wording

    assert {kind for kind, _ in facts.EVENT_TYPES} == set(wording._SENTENCES)


def test_a_decision_is_told_with_everything_that_counts() -> None:
    """Who, what, which digest, from where, with which inputs and comment."""
    decided = facts.ApprovalDecided(
        at=1.0,
        gate="go_live/1",
        decision="approve",
        actor="local:ann",
        origin="ship tty1",
        digest="sha256:" + "b" * 64,
        comment="looks\nfine",
        inputs={"count": 2},
        unseen=True,
    )
    assert tell_event(decided) == (
        "local:ann approved go_live/1 (sha256:bbbbbbbbbbbb) before seeing it from ship tty1 "
        'with count=2 saying "looks fine"'
    )


def test_a_clock_that_was_set_is_told() -> None:
    """Which way, by how much, and that it shortens nothing."""
    assert tell_event(facts.ClockMoved(at=5.0, by=-3600.0)) == (
        "the clock was set back by 1h00m; timeouts are not shortened"
    )


def test_a_skip_cause_carries_its_facts() -> None:
    """Expression and values, stage and output are named."""
    detail = {"expression": "params.go", "values": {"params.go": False}}
    assert tell_cause("condition", detail) == "condition: params.go (params.go = false)"
    assert tell_cause("missing-output", {"stage": "a", "output": "b"}) == "missing-output: a.b"
    assert tell_cause("stopped", {}) == "stopped"


def test_values_are_told_without_what_must_not_or_cannot_be_said() -> None:
    """Secrets by name, unknown outputs as tokens, artifacts by digest, long ones cut."""
    assert tell_value({"$secret": ["Bearer ", {"name": "token"}]}) == '"Bearer <secret:token>"'
    assert tell_value([{"$unknown": "image.digest"}]) == '["<unknown:image.digest>"]'
    artifact = {"digest": "sha256:" + "c" * 64, "size": 1, "media_type": "text/plain"}
    assert tell_value(artifact) == '"sha256:cccccccccccc"'
    assert tell_value("x" * 100) == '"' + "x" * 58 + "…"


def test_a_lock_that_is_free_is_not_waited_for() -> None:
    """Asked for and got at one moment: no line."""
    progress = Progress()
    lines = LineRenderer().take_events(
        [
            create(),
            facts.LockRequested(at=1.0, environment="staging", instance="image"),
            facts.LockAcquired(at=1.0, environment="staging"),
        ],
        progress,
    )
    assert lines == ["shop-1 created: Deploy 1.4.0"]


def deploy_twice() -> list[facts.Event]:
    """A run whose environment asks about two deploys and a finally stage, sorted by their ids."""
    definition = {
        "name": "shop",
        "stages": {"one": {"uses": "shell"}, "two": {"uses": "shell", "needs": ["one"]}},
        "finally": {"clean": {"uses": "shell"}},
    }
    subject = tuple({"id": name, "uses": "shell"} for name in ("clean", "one", "two"))
    return [
        create(definition=definition, title="shop"),
        facts.RunStarted(at=1.0),
        facts.StageResolved(
            at=1.0, instance="one", inputs={}, effect="deploy", environment={"name": "prod"}
        ),
        ask(gate="@prod/1", stage=None, environment="prod", message="", subject=subject),
    ]


def test_only_what_could_start_waits_for_an_environments_approval() -> None:
    """What still needs other stages is pending; the stage to name comes first in the pipeline."""
    progress = Progress.of(deploy_twice())
    assert [step.state for step in progress.steps.values()] == ["waiting", "pending", "pending"]
    assert progress.gates["@prod/1"].stage == "one"


def test_a_withdrawn_approval_leaves_what_was_skipped() -> None:
    """A stage that was skipped while its environment asked stays skipped."""
    events = [
        *deploy_twice(),
        facts.AbortRequested(at=6.0, reason="cancel", actor="local:ann"),
        facts.StageSkipped(at=6.0, instance="one", cause="aborted", detail={}),
        facts.ApprovalClosed(at=6.0, gate="@prod/1", result="withdrawn"),
    ]
    assert Progress.of(events).steps["one"].outcome == "skipped"
    assert Progress.of(events).steps["one"].state == "ended"


def test_a_place_in_a_group_is_told_when_it_is_waited_for() -> None:
    """A run that starts at once says nothing of its group; one that queues does."""
    queued = [create(title="shop"), facts.RunQueued(at=0.0, group="prod")]
    started = [*queued, facts.RunStarted(at=0.0)]
    assert LineRenderer().take_events(queued, Progress()) == [
        "shop-1 created",
        "shop-1 waits in group prod",
    ]
    assert LineRenderer().take_events(started, Progress()) == ["shop-1 created"]


def test_a_stop_is_told_by_its_stage() -> None:
    """A stage whose on_failure is stop has stopped the run; nobody aborted it."""
    progress = Progress.of(RUNNING)
    event = facts.AbortRequested(at=6.0, reason="stop", stage="image")
    assert LineRenderer().tell_event(event, progress) == ["shop-1 is stopped by image"]


def test_an_environment_that_was_never_entered_is_the_reason_of_a_skip() -> None:
    """A condition without an expression says why it did not hold."""
    detail = {"environment": "prod", "reason": "the run never entered 'prod'"}
    assert tell_cause("condition", detail) == "condition: the run never entered 'prod'"


def test_a_source_is_told_as_git_people_expect() -> None:
    """Twelve characters of a commit, a digest with its algorithm, whether it was dirty."""
    commit = "4e63af2ee05be45f8ef6380007c94fdf596d4845"
    assert tell_source({"kind": "commit", "commit": commit}) == "commit 4e63af2ee05b"
    assert (
        tell_source({"kind": "snapshot", "commit": commit, "dirty": True})
        == "snapshot 4e63af2ee05b (dirty)"
    )
    folder = {"kind": "folder", "commit": None, "digest": "sha256:" + "a" * 64}
    assert tell_source(folder) == "folder sha256:aaaaaaaaaaaa"
    assert tell_source({}) == ""


def test_what_an_approval_must_be_given_is_in_the_command() -> None:
    """A required input is part of what to type; one with a default is not."""
    inputs = {"window": {"default": "tonight"}, "count": {"type": "integer", "required": True}}
    progress = Progress.of([create(), ask(inputs=inputs)])
    assert progress.gates["go_live/1"].words == "go_live -p count=…"
    assert LineRenderer().tell_event(ask(inputs=inputs), progress)[-1] == (
        "go_live: decide with: gennaker approve shop-1 go_live -p count=…"
    )
