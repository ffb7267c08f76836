"""What is known of a run: before its stages start, of what people saw, of a run that is given up."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.errors import UnknownValue
from gennaker.expressions import Scope, Unknown
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.environments import find_names_at_start
from gennaker_engine.core.expansion import expand_matrix
from gennaker_engine.core.run import Run
from gennaker_engine.core.view import describe_run
from tests.core.bench import Bench

WORK = {"uses": "work"}
DEPLOY = {"uses": "deploy", "environment": "staging"}
ASKED = {"approvers": ["local:*"], "required": 1, "self": True, "expires": 900.0}


class TestEnvironmentsAtStart:
    """In which environments a stage of a new run will act."""

    @pytest.mark.parametrize(
        ("stage", "names"),
        [
            (WORK, []),
            (DEPLOY, ["staging"]),
            ({**DEPLOY, "environment": "${{ params.e }}"}, ["live"]),
            ({**DEPLOY, "environment": "${{ matrix.e }}", "matrix": {"e": ["x", "y"]}}, ["x", "y"]),
            ({**DEPLOY, "environment": "${{ stages.a.outputs.out }}"}, None),
            ({**DEPLOY, "environment": "${{ 1 / 0 }}"}, [None]),
            (
                {
                    **DEPLOY,
                    "environment": "${{ matrix.e }}",
                    "matrix": {"e": "${{ stages.a.outputs.out }}"},
                },
                None,
            ),
            ({**DEPLOY, "if": False}, []),
            ({**DEPLOY, "if": True}, ["staging"]),
            ({**DEPLOY, "if": "params.e == 'live'"}, ["staging"]),
            ({**DEPLOY, "if": "params.e == 'other'"}, []),
            ({**DEPLOY, "if": "stages.a.outputs.out == 'x'"}, ["staging"]),
            ({**DEPLOY, "if": "always() && false"}, ["staging"]),
        ],
    )
    def test_of_one_stage(self, stage: dict[str, Any], names: list[str | None] | None) -> None:
        """None at all when its ``if`` is known to be false; unknown with a matrix that is."""
        stages = {"a": WORK, "b": {**stage, "needs": "a"}}
        bench = Bench.start({"stages": stages, "parameters": {"e": {}}}, parameters={"e": "live"})
        facts = bench.run.facts
        assert find_names_at_start(facts, facts.stages["b"]) == names

    def test_what_puts_back_acts_where_the_other_did(self) -> None:
        """So it needs no name of its own; and a stage that has ended acts nowhere any more."""
        bench = Bench.start({"stages": {"a": {**DEPLOY, "on_failure": "undo"}, "b": DEPLOY}})
        facts = bench.run.facts
        assert find_names_at_start(facts, facts.stages["undo:a"]) == []
        assert find_names_at_start(facts, facts.stages["b"]) == ["staging"]
        bench.succeed("b")
        assert find_names_at_start(facts, facts.stages["b"]) == []

    def test_the_lock_of_a_name_that_is_an_expression_is_kept_for_the_undo(self) -> None:
        """As of one that is written down."""
        stages = {"a": {**DEPLOY, "environment": "${{ params.e }}", "on_failure": "undo"}}
        pipeline = {"stages": stages, "parameters": {"e": {}}}
        bench = Bench.start(pipeline, parameters={"e": "staging"})
        bench.record("a")
        bench.fail("a")
        assert bench.run.facts.locks["staging"].state == "held"
        assert "lock.released" not in bench.types()
        bench.succeed("undo:a")
        assert bench.run.facts.locks == {}

    def test_a_matrix_that_only_the_run_will_know(self) -> None:
        """In a plan: the name of the output that it waits for is told."""
        stages = {"a": WORK, "b": {**WORK, "matrix": {"x": "${{ stages.a.outputs.out }}"}}}
        facts = Bench.start({"stages": stages}).run.facts
        scope = Scope({"stages": {"a": {"outputs": {"out": Unknown("a.out")}}}})
        plan = facts.blueprint.stages["b"]
        assert plan.matrix is not None
        with pytest.raises(UnknownValue) as caught:
            list(expand_matrix(plan.matrix, lambda: scope))
        assert caught.value.token == "a.out"


class TestShown:
    """What the plan was made from that people approved goes with the delivery."""

    def start(self) -> Bench:
        """Return a run whose ``live`` two questions show: one of a stage, later its environment's."""
        stages = {"go": {"uses": "ask"}, "live": {**DEPLOY, "needs": "go"}}
        environments = {"staging": m.EnvironmentFacts("staging", approval=ASKED)}
        bench = Bench.start({"stages": stages}, environments=environments)
        bench.wait("go", "decision")
        return bench

    def go(self, bench: Bench, first: Any, second: Any) -> Any:
        """Approve with plans; return what the delivery of ``live`` is shown."""
        for stage, plans in (("go", first), ("live", second)):
            gate = next(iter(bench.run.facts.open_gates))
            if plans is not None:
                bench.tell(m.SubjectPlanned(gate, plans))
            bench.now += 1
            bench.approve(stage)
            if stage == "go":
                bench.succeed("go")
        return bench.deliveries["live"].shown

    def test_of_the_last_question(self) -> None:
        """The newer one counts."""
        shown = self.go(self.start(), {"live": {"observed": 1}}, {"live": {"observed": 2}})
        assert shown == 2

    @pytest.mark.parametrize("second", [None, {}, {"live": None}, {"live": {"changes": []}}])
    def test_of_the_one_before_when_the_last_has_none(self, second: Any) -> None:
        """A plan that could not be made shows nothing."""
        assert self.go(self.start(), {"live": {"observed": [1]}}, second) == [1]

    def test_of_none(self) -> None:
        """Nobody saw anything."""
        assert self.go(self.start(), None, {"other": {"observed": 1}}) is None


def test_a_stage_is_asked_about_by_its_name_among_the_stages() -> None:
    """``in`` needs no outcome; a stage that is not there is not there."""
    stages = {
        "a": WORK,
        "b": {**WORK, "if": "always() && 'a' in stages && !('c' in stages)"},
    }
    bench = Bench.start({"stages": stages})
    assert set(bench.deliveries) == {"a", "b"}


def test_a_condition_that_is_written_down_is_shown_as_such() -> None:
    """``if: false`` skips, and says so."""
    bench = Bench.start({"stages": {"a": {**WORK, "if": False}, "b": {**WORK, "if": True}}})
    assert (bench.cause("a"), set(bench.deliveries)) == ("condition", {"b"})
    assert bench.run.facts.stages["a"].detail["expression"] == "false"
    condition = bench.run.facts.blueprint.stages["b"].condition
    assert condition is None or condition.source == "true"


def test_a_queued_run_tells_its_queue() -> None:
    """Which group, and since when."""
    group = {"group": "one", "limit": 1, "policy": "queue"}
    bench = Bench.start({"stages": {"a": WORK}}, concurrency=group)
    (wait,) = describe_run(bench.run)["waiting"]
    assert (wait["on"], wait["group"], wait["stage"]) == ("queue", "one", None)
    assert wait["since"] == "1970-01-01T00:16:40.000Z"


@pytest.mark.parametrize("until", [1, None])
def test_a_run_that_is_given_up_has_ended(until: int | None) -> None:
    """Whether it had begun or not."""
    events = Bench.start({"stages": {"a": WORK}}).events[:until]
    given_up = e.RunAbandoned(at=1001.0, actor="local:bob", reason="event 4 is damaged", places=())
    run = Run.replay([*events, given_up])
    assert (run.state, run.outcome) == ("ended", "errored")
