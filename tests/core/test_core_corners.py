"""Corners of the core: how matrices end, what conditions tell, what an adoption counts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gennaker.errors import ExpressionError
from gennaker.expressions import Scope
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.blueprint import MatrixPlan
from gennaker_engine.core.expansion import LARGEST_MATRIX, expand_matrix
from gennaker_engine.core.run import Run
from gennaker_engine.core.terms import Term, compile_term
from tests.core.bench import Bench
from tests.core.test_core_approvals import ask

WORK: dict[str, Any] = {"uses": "work"}
DEPLOY: dict[str, Any] = {"uses": "deploy", "environment": "staging"}
PAIR: dict[str, Any] = {**WORK, "matrix": {"x": ["p", "q"], "fail_fast": False}}


class TestMatrixEnds:
    """The outcome, the reason and the outputs of a matrix stage."""

    @pytest.mark.parametrize(
        ("ends", "policy", "outcome", "outputs"),
        [
            ("ss", "branch", "succeeded", {"out": ["of p", "of q"]}),
            ("nn", "branch", "succeeded", {"out": [None, None]}),
            ("ns", "branch", "succeeded", {"out": [None, "of q"]}),
            ("fs", "ignore", "failed", {"out": [None, "of q"]}),
            ("fs", "branch", "failed", None),
            ("cs", "ignore", "aborted", None),
        ],
    )
    def test_outputs_are_those_of_a_success_or_an_ignored_failure(
        self, ends: str, policy: str, outcome: str, outputs: Mapping[str, Any] | None
    ) -> None:
        """Each declared one is a list, also when no instance gave it (n); a cancelled one (c) has none."""
        bench = Bench.start({"stages": {"m": {**PAIR, "on_failure": policy}}})
        if "c" in ends:
            bench.cancel()
        for name, value, end in zip(("m[0]", "m[1]"), "pq", ends, strict=True):
            if end == "f":
                bench.fail(name)
            elif end == "c":
                bench.stop(name)
            else:
                bench.succeed(name, **({"out": f"of {value}"} if end == "s" else {}))
        stage = bench.run.facts.stages["m"]
        assert (stage.outcome, stage.outputs, stage.cause, stage.detail) == (
            outcome,
            outputs,
            None,
            {},
        )

    def test_what_puts_instances_back_has_no_outputs(self) -> None:
        """Not the declared ones of the stage it puts back either."""
        bench = Bench.start({"stages": {"m": {**PAIR, "on_failure": "undo"}}})
        bench.record("m[0]")
        bench.succeed("m[0]")
        bench.fail("m[1]")
        bench.succeed("undo:m[0]")
        stage = bench.run.facts.stages["undo:m"]
        assert (stage.outcome, stage.outputs) == ("succeeded", {})

    def test_all_skipped_it_is_skipped_for_the_reason_of_the_first(self) -> None:
        """Cause and detail are the instance's, which is named."""
        inputs = {"v": "${{ matrix.x + stages.a.outputs.out }}"}
        stages = {"a": WORK, "m": {**PAIR, "if": "always()", "with": inputs}}
        bench = Bench.start({"stages": stages})
        bench.fail("a")
        stage = bench.run.facts.stages["m"]
        assert (stage.outcome, stage.cause, stage.outputs) == ("skipped", "missing-output", None)
        assert stage.detail == {"stage": "a", "output": "out", "instance": "m[0]"}

    def test_an_aborted_instance_is_worse_than_a_skipped_one(self) -> None:
        """A cancelled matrix that had begun is aborted, not skipped."""
        bench = Bench.start({"stages": {"m": {**WORK, "matrix": {"x": [1, 2], "max_parallel": 1}}}})
        bench.cancel()
        bench.stop("m[0]")
        assert (bench.outcome("m[0]"), bench.outcome("m[1]")) == ("aborted", "skipped")
        assert bench.outcome("m") == "aborted"


def expand(exclude: Any = None, include: Any = None, **axes: Any) -> list[dict[str, Any]]:
    """Return the instances of a matrix as written."""

    def compile_if(value: Any) -> Term | None:
        return None if value is None else compile_term(value)

    terms = tuple((name, compile_term(values)) for name, values in axes.items())
    plan = MatrixPlan(terms, compile_if(include), compile_if(exclude), None, fail_fast=True)
    return expand_matrix(plan, lambda: Scope({}))


def test_a_matrix_may_be_as_large_as_its_limits() -> None:
    """256 instances, out of 65,536 combinations; one more of either is refused."""
    side = list(range(256))
    assert len(expand(x=side)) == LARGEST_MATRIX == 256
    with pytest.raises(ExpressionError, match="the matrix has 257 instances; 256 are allowed"):
        expand(x=side, include=[{"y": 1}])
    assert expand(x=side, y=side, exclude=[{}], include=[{"z": 1}]) == [{"z": 1}]
    with pytest.raises(ExpressionError, match="the matrix has 65792 instances"):
        expand(x=side, y=[*side, 256], exclude=[{}])


def test_a_false_condition_tells_the_short_values_it_saw() -> None:
    """Null, booleans, numbers, and texts of at most 200 characters; no lists, no maps."""
    shown = {"none": None, "yes": True, "whole": 7, "half": 0.5, "text": "x" * 200}
    hidden = {"long": "x" * 201, "list": [1], "map": {"a": 1}}
    names = [*shown, *hidden]
    condition = " && ".join(["false", *(f"params.{name} == 0" for name in names)])
    bench = Bench.start(
        {"parameters": {name: {} for name in names}, "stages": {"a": {**WORK, "if": condition}}},
        parameters={**shown, **hidden},
    )
    assert bench.cause("a") == "condition"
    expected = {f"params.{name}": value for name, value in shown.items()}
    assert bench.run.facts.stages["a"].detail["values"] == expected


def test_the_effect_of_a_stage_may_depend_on_whether_it_has_an_environment() -> None:
    """What is found out about the effect is asked with the inputs and with that."""
    asked: list[tuple[str, Mapping[str, Any], bool]] = []

    def find_effect(uses: str, inputs: Mapping[str, Any], there: bool) -> str:
        asked.append((uses, inputs, there))
        return "deploy" if there else "none"

    bench = Bench.start({"stages": {"a": {**DEPLOY, "with": {"n": 1}}, "b": WORK}}, adopt=False)
    bench.world = replace(bench.world, find_effect=find_effect)
    bench.tell(m.Adopt("process 1", "local:ann"))
    assert asked == [("deploy", {"n": 1}, True), ("work", {}, False)]
    assert (bench.instance("a").effect, bench.instance("b").effect) == ("deploy", "none")


class TestRollback:
    """Where the stages of a rollback act."""

    def start(self, preset: Mapping[str, Any]) -> Bench:
        """Return a run of one stage with given values; staging has a variable now."""
        facts = m.EnvironmentFacts("staging", variables={"now": True})
        return Bench.start(
            {"stages": {"web": WORK}},
            environments={"staging": facts},
            rollback_of="shop-1",
            preset={"web": preset},
        )

    def test_what_acted_in_no_environment_acts_in_none(self) -> None:
        """With a record and without one."""
        values = {"inputs": {"n": 1}, "environment": None, "effect": "none"}
        for more in ({}, {"before": {"digest": "sha256:x", "size": 1}}):
            bench = self.start({**values, **more})
            assert bench.deliveries["web"].environment is None

    def test_what_puts_a_record_back_acts_where_it_was_made(self) -> None:
        """Whatever the settings of the environment have become."""
        environment = {"name": "staging", "variables": {"then": True}}
        before = {"digest": "sha256:x", "size": 1}
        bench = self.start(
            {"inputs": {}, "environment": environment, "effect": "none", "before": before}
        )
        assert bench.deliveries["web"].environment == environment


def test_what_a_fact_says_by_default_is_not_written() -> None:
    """Equal to the default is enough, it need not be the same object; what is required always is."""
    event = e.StageSkipped(at=1.0, instance="", cause="", detail=dict[str, Any]())
    assert e.encode_event(event) == {
        "type": "stage.skipped",
        "v": 1,
        "at": 1.0,
        "instance": "",
        "cause": "",
    }
    assert e.encode_event(replace(event, detail={"a": 1}))["detail"] == {"a": 1}


class TestDriven:
    """What adoptions, parking and the end change in a run."""

    def test_a_run_that_is_over_is_driven_by_nobody(self) -> None:
        """Whether it ended or was given up."""
        bench = Bench.start({"stages": {"a": WORK}})
        given_up = e.RunAbandoned(at=1001.0, actor="local:bob", reason="damaged", places=())
        assert bench.run.facts.driven
        assert not Run.replay([*bench.events, given_up]).facts.driven
        bench.succeed("a")
        assert not bench.run.facts.driven

    def test_a_wait_that_outlives_its_processes_is_not_poison(self) -> None:
        """Only processes that died while the stage was at work count against it."""
        bench = Bench.start({"stages": {"a": {"uses": "ask"}}})
        bench.wait("a", "decision")
        for number in range(5):
            bench.tell(m.Adopt(f"process {number}", "local:ann", died=True))
        bench.approve("a")
        bench.tell(m.Adopt("process 6", "local:ann", died=True))
        assert bench.instance("a").deaths == 1
        assert bench.deliveries["a"].delivery == 3

    def test_a_process_that_let_go_in_order_did_not_die(self) -> None:
        """However often it is handed over."""
        bench = Bench.start({"stages": {"a": WORK}})
        for number in range(5):
            bench.tell(m.Adopt(f"process {number}", "local:ann", died=False))
        assert bench.instance("a").deaths == 0
        assert "a" in bench.deliveries

    def test_only_work_and_polls_use_working_time_after_an_adoption(self) -> None:
        """The poll times out with the rest of its time; who waits for people does not."""
        stage = {"uses": "work", "timeout": "60s"}
        bench = Bench.start({"stages": {"poll": stage, "ask": stage}})
        bench.pass_time(20.0)
        bench.wait("poll", "poll", every=3600.0)
        bench.wait("ask", "decision")
        bench.tell(m.Park("detach"))
        bench.now += 1000.0
        bench.tell(m.Adopt("process 2", "local:ann"))
        bench.pass_time(39.0)
        assert bench.outcome("poll") is None
        bench.pass_time(1.0)
        assert (bench.outcome("poll"), bench.instance("poll").code) == ("failed", "timeout")
        bench.pass_time(1000.0)
        assert bench.instance("ask").state == "waiting"
        bench.check_replay()

    @pytest.mark.parametrize("away", [0.0, 1.0, 5000.0])
    def test_finally_has_its_whole_time_whenever_it_is_driven(self, away: float) -> None:
        """Time without a process is added to its deadline, to the second."""
        bench = Bench.start({"stages": {"a": WORK}, "finally": {"z": {"uses": "ask"}}})
        bench.succeed("a")
        bench.wait("z", "decision")
        bench.pass_time(100.0)
        bench.tell(m.Park("detach"))
        bench.now += away
        bench.tell(m.Adopt("process 2", "local:ann"))
        assert bench.run.facts.timers.get(("finally", "")) == bench.now + 500.0
        assert bench.run.next_due == bench.now + 500.0
        bench.check_replay()


def test_a_plan_is_asked_for_when_there_is_something_to_show() -> None:
    """A question about nothing needs none."""
    wanted = [each for each in ask().commands if isinstance(each, c.PlanSubject)]
    assert wanted == [c.PlanSubject("go/1")]
    alone = ask({"go": {"uses": "ask"}})
    assert not [each for each in alone.commands if isinstance(each, c.PlanSubject)]


def test_who_waits_for_something_else_after_an_approval_is_left_alone() -> None:
    """The decision resumed it once; another process does not resume it again."""
    bench = ask()
    bench.approve("go")
    bench.wait("go", "timer", at=bench.now + 600.0)
    bench.tell(m.Park("detach"))
    bench.tell(m.Adopt("process 2", "local:ann"))
    assert (bench.instance("go").wait, bench.types().count("attempt.resumed")) == ("timer", 1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"secrets": {}}, "unknown-secret"), ({"find_effect": lambda *_: "none"}, "moved")],
)
def test_what_cannot_be_shown_to_who_is_asked_now_does_not_start(
    changes: dict[str, Any], code: str
) -> None:
    """An environment that began to ask while its lock was waited for; the lock is given back."""
    stages = {"a": {**DEPLOY, "with": {"key": "${{ secrets.token }}"}}}
    bench = Bench.start({"stages": stages}, grant_locks=False)
    bench.set_environment("staging", approval={"approvers": ["local:*"]})
    bench.world = replace(bench.world, **changes)
    bench.tell(m.GrantLock("staging"))
    assert (bench.outcome("a"), bench.instance("a").code) == ("errored", code)
    assert (bench.deliveries, bench.run.facts.locks) == ({}, {})
    assert "approval.requested" not in bench.types()
