"""simulate: what a pipeline would do, on virtual time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gennaker import Pipeline
from gennaker.errors import InvalidInput
from gennaker.model import PipelineDefinition
from gennaker.testing import simulate


def pipeline(stages: dict[str, Any], **more: Any) -> PipelineDefinition:
    """Return a definition."""
    return PipelineDefinition.model_validate({"name": "shop", "stages": stages, **more})


CHAIN = {
    "build": {"uses": "work"},
    "smoke": {"uses": "work", "needs": "build", "retry": {"limit": 2, "delay": "10s"}},
    "go": {"uses": "approval", "needs": "smoke", "with": {"required": 2, "expires": "8h"}},
    "live": {"uses": "work", "needs": "go", "with": {"tag": "${{ stages.build.outputs.tag }}"}},
}


def test_all_goes_well() -> None:
    """Order, durations, inputs, and as many people as are required."""
    run = simulate(
        pipeline(CHAIN),
        outputs={"build": {"tag": "v1"}},
        decide={"go": "approve"},
        durations={"build": "5m", "go": "1h"},
    )
    assert run.outcome == "succeeded"
    assert run.order == ["build", "smoke", "go", "live"]
    assert run.durations == {"build": 300.0, "smoke": 1.0, "go": 3600.0, "live": 1.0}
    assert run.duration == 3902.0
    assert run.inputs["live"] == {"tag": "v1"}
    assert len(run.decisions["go/1"]) == 2


def test_something_breaks() -> None:
    """Outcomes of each attempt in a list; the last one for all further ones."""
    run = simulate(pipeline(CHAIN), outcomes={"smoke": ["failed", "errored", "failed"]})
    assert (run.outcome, run.attempts["smoke"]) == ("failed", 3)
    assert run.causes == {"go": "upstream", "live": "upstream"}
    run = simulate(pipeline(CHAIN), outcomes={"smoke": "permanent"})
    assert (run.outcome, run.attempts["smoke"]) == ("errored", 1)


def test_nobody_decides() -> None:
    """The question expires, which counts as a rejection."""
    run = simulate(pipeline(CHAIN))
    assert (run.outcome, run.outcomes["go"]) == ("aborted", "aborted")
    assert run.durations["go"] == 8 * 3600


def test_people_look_at_what_they_are_shown() -> None:
    """A function gets the question."""
    seen: list[Any] = []

    def decide(gate: Any) -> str:
        seen.append(gate)
        return "reject"

    run = simulate(pipeline(CHAIN), outputs={"build": {"tag": "v1"}}, decide={"go": decide})
    assert run.outcome == "aborted"
    assert [entry["inputs"] for entry in seen[0]["subject"]] == [{"tag": "v1"}]


def test_outputs_that_nobody_gives_have_a_name() -> None:
    """So that a pipeline can be simulated without writing all of them down."""
    stages = {
        "a": {"uses": "work"},
        "b": {"uses": "work", "with": {"v": "${{ stages.a.outputs.x }}"}},
    }
    assert simulate(pipeline(stages)).inputs["b"] == {"v": "<a.x>"}


def test_a_stage_that_takes_too_long() -> None:
    """Its timeout comes."""
    run = simulate(pipeline({"a": {"uses": "work", "timeout": "1m"}}), outcomes={"a": "timeout"})
    assert (run.outcome, run.durations["a"]) == ("failed", 60.0)
    assert run.reasons["a"] == "it worked longer than its timeout of 60 seconds"


def test_instances_of_a_matrix() -> None:
    """Named by their index, which wins over the stage."""
    stage = {"uses": "work", "matrix": {"x": [1, 2], "fail_fast": False}}
    run = simulate(pipeline({"m": stage}), outcomes={"m": "succeeded", "m[1]": "failed"})
    assert (run.outcomes["m[0]"], run.outcomes["m[1]"], run.outcomes["m"]) == (
        "succeeded",
        "failed",
        "failed",
    )


def test_environments_ask_when_they_say_so() -> None:
    """Settings as they are written in gennaker.yaml; the stage in question names the gate."""
    stages = {"a": {"uses": "kubernetes.deploy", "environment": "production"}}
    settings = {"production": {"approval": {"approvers": ["local:*"]}, "url": "http://x"}}
    run = simulate(pipeline(stages), environments=settings, decide={"a": "approve"})
    assert run.outcome == "succeeded"
    assert run.decisions["@production/1"][0]["decision"] == "approve"
    with pytest.raises(InvalidInput, match="waits for ever for a decision on '@production'"):
        simulate(pipeline(stages), environments=settings)


def test_waits_take_their_time() -> None:
    """A day of virtual time is no time."""
    run = simulate(pipeline({"a": {"uses": "wait", "with": {"for": "1d"}}}))
    assert run.durations["a"] == 86400


def test_it_starts_when_it_is_told() -> None:
    """As a number, text or datetime."""
    moment = datetime(2030, 1, 2, tzinfo=UTC)
    stages = {"a": {"uses": "work", "with": {"at": "${{ run.started_at }}"}}}
    for at in (moment, moment.isoformat(), moment.timestamp()):
        run = simulate(pipeline(stages), at=at)
        assert run.inputs["a"] == {"at": "2030-01-02T00:00:00.000Z"}


def test_a_cancel() -> None:
    """What runs is aborted, finally runs."""
    definition = pipeline({"a": {"uses": "work"}}, **{"finally": {"z": {"uses": "work"}}})
    run = simulate(definition, durations={"a": "1h"}, cancel_after="10s")
    assert (run.outcome, run.outcomes) == ("aborted", {"a": "aborted", "z": "succeeded"})


def test_parameters_are_checked() -> None:
    """As for a real run."""
    with pytest.raises(InvalidInput, match="there is no parameter 'x'"):
        simulate(pipeline({"a": {"uses": "work"}}), params={"x": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"outcomes": {"smok": "failed"}}, "outcomes names 'smok', which is no stage"),
        ({"outcomes": {"smoke": "fails"}}, "'fails' is no outcome of 'smoke'"),
        ({"decide": {"go": "perhaps"}}, "'perhaps' is no decision on 'go'"),
        ({"environments": {"x": {"approval": {}}}}, "environment 'x': approval.approvers"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    """Are told with what would be right."""
    with pytest.raises(InvalidInput, match=said):
        simulate(pipeline(CHAIN), **arguments)


def test_a_pipeline_of_the_python_api_and_a_file(tmp_path: Path) -> None:
    """All three forms give the same run."""
    with Pipeline("shop") as built:
        built.add("a", "work", {})
    file = tmp_path / "shop.yaml"
    file.write_text("name: shop\nstages:\n  a: {uses: work}\n")
    outcomes = [simulate(each).outcomes for each in (built, file, str(file))]
    assert outcomes == [{"a": "succeeded"}] * 3
    with pytest.raises(InvalidInput, match="int is no pipeline"):
        simulate(3)
