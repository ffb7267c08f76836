"""Approvals: who decides, on what, and what happens when that has moved."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.canonical import digest_of
from gennaker.errors import InvalidInput, NotAllowed
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.approvals import matches_rule
from gennaker_engine.core.messages import EnvironmentFacts
from tests.core.bench import Bench

STAGES: dict[str, Any] = {
    "image": {"uses": "work"},
    "go": {"uses": "ask", "needs": "image"},
    "live": {
        "uses": "deploy",
        "needs": "go",
        "environment": "production",
        "with": {
            "image": "${{ stages.image.outputs.out }}",
            "host": "${{ default(environment.variables.host, '-') }}",
        },
    },
}


def ask(stages: dict[str, Any] | None = None, *, deadline: float | None = None, **on: Any) -> Bench:
    """Return a run that waits for a decision on ``go``."""
    more = {key: on.pop(key) for key in ("groups", "approved", "grant_locks") if key in on}
    bench = Bench.start({"stages": stages or STAGES}, **more)
    if "image" in bench.deliveries:
        bench.succeed("image", out="shop@1")
    bench.wait("go", "decision", deadline=deadline, **on)
    return bench


def test_the_subject_is_what_is_downstream_and_known() -> None:
    """Id, type, inputs and environment as written, and their digest."""
    bench = ask()
    requested = bench.last(e.ApprovalRequested)
    assert requested.gate == "go/1"
    assert requested.subject == (
        {
            "id": "live",
            "uses": "deploy",
            "inputs": {"image": "shop@1", "host": "-"},
            "environment": {
                "name": "production",
                "target": None,
                "settings": {},
                "variables": {},
                "url": None,
            },
        },
    )
    assert requested.digest == digest_of(list(requested.subject))


def test_unknown_inputs_are_left_out_and_matrices_expanded() -> None:
    """What depends on the decision or on later stages cannot be shown."""
    stages: dict[str, Any] = {
        "go": {"uses": "ask"},
        "b": {"uses": "work", "needs": "go", "matrix": {"x": [1, 2]}},
        "c": {"uses": "work", "with": {"v": "${{ stages.go.outputs.inputs }}"}},
        "d": {"uses": "work", "with": {"v": "${{ stages.b.outputs.out }}"}},
        "e": {"uses": "work", "needs": "d", "with": {"t": "${{ 'x' + secrets.token }}"}},
    }
    bench = ask(stages)
    subject = bench.last(e.ApprovalRequested).subject
    assert [entry["id"] for entry in subject] == ["b[0]", "b[1]", "e"]
    assert subject[2]["inputs"] == {"t": {"$secret": ["x", {"name": "token"}]}}


def test_an_approval_resumes_with_decisions_and_inputs() -> None:
    """The stage is called again with who decided and what they entered."""
    bench = ask(inputs={"ticket": {"required": True}})
    bench.approve("go", inputs={"ticket": "T-1"}, comment="fine", origin="cli")
    event = bench.deliveries["go"].event
    assert event["inputs"] == {"ticket": "T-1"}
    assert event["decisions"][0]["actor"] == "local:bob"
    assert event["decisions"][0]["comment"] == "fine"
    bench.succeed("go", **event)
    bench.succeed("live")
    assert bench.run.outcome == "succeeded"


def test_inputs_are_checked() -> None:
    """Unknown, missing and ill-typed ones are refused and nothing changes."""
    bench = ask(inputs={"count": {"type": "integer", "required": True}})
    before = len(bench.events)
    for inputs in ({}, {"count": "x"}, {"count": 1, "other": 2}):
        with pytest.raises(InvalidInput, match="input"):
            bench.approve("go", inputs=inputs)
    assert len(bench.events) == before


def test_one_rejection_decides() -> None:
    """The approval is aborted, its branch stops, the run is aborted."""
    bench = ask(required=3)
    bench.approve("go")
    bench.reject("go", "local:eve", comment="not today")
    assert bench.instance("go").reason == "rejected by local:eve: not today"
    assert (bench.outcome("go"), bench.cause("live")) == ("aborted", "upstream")
    assert bench.run.outcome == "aborted"


def test_a_rejection_can_stop_the_run() -> None:
    """on_failure governs it, too."""
    stages = {"go": {"uses": "ask", "on_failure": "stop"}, "b": {"uses": "work"}}
    bench = ask(stages)
    bench.reject("go")
    assert bench.instance("b").state == "stopping"


def test_expiry_is_a_rejection_and_a_late_decision_is_refused() -> None:
    """Also when the clock is read before the tick."""
    bench = ask(deadline=60)
    bench.now += 60
    with pytest.raises(NotAllowed, match="expired at 1970-01-01T00:17:40"):
        bench.approve("go")
    bench.tell(m.Tick())
    assert (bench.outcome("go"), bench.instance("go").code) == ("aborted", "expired")
    with pytest.raises(NotAllowed, match="has ended"):
        bench.approve("go")


def test_a_settled_approval_takes_no_decision() -> None:
    """It says what it was settled as."""
    bench = ask()
    bench.approve("go")
    with pytest.raises(NotAllowed, match="the approval 'go' is settled: approved"):
        bench.reject("go")


def test_a_stage_that_asks_nothing() -> None:
    """The error names what is open."""
    bench = ask()
    with pytest.raises(InvalidInput, match=r"no approval of 'image' is open.*open: go"):
        bench.approve("image")


def test_a_person_counts_once() -> None:
    """Two of three need two people."""
    bench = ask(required=2)
    bench.approve("go")
    with pytest.raises(NotAllowed, match="a person counts once"):
        bench.approve("go")
    assert "go" not in bench.deliveries
    bench.approve("go", "local:eve")
    assert "go" in bench.deliveries


def test_who_started_the_run_can_be_excluded() -> None:
    """`self: false`."""
    bench = ask(self_allowed=False)
    with pytest.raises(NotAllowed, match="'local:ann' started the run"):
        bench.approve("go", "local:ann")
    bench.approve("go")


@pytest.mark.parametrize(
    ("rule", "actor", "expected"),
    [
        ("local:ann", "local:ann", True),
        ("local:ann", "local:bob", False),
        ("local:*", "local:bob", True),
        ("local:*", "user:bob", False),
        ("group:release", "local:bob", True),
        ("group:release", "local:eve", False),
        ("group:unknown", "local:bob", False),
        ("user:bob", "local:bob", False),
    ],
)
def test_rules(rule: str, actor: str, expected: bool) -> None:
    """Operating-system users and groups of them; no 'user:' without a server."""
    groups = {"release": ("local:bob", "user:kim"), "loop": ("group:loop",)}
    assert expected == matches_rule(rule, actor, groups)
    assert not matches_rule("group:loop", actor, groups)


def test_the_refusal_explains() -> None:
    """Who may, and that a 'user:' rule needs a server."""
    bench = ask(approvers=["user:kim"])
    with pytest.raises(NotAllowed, match=r"none of the approvers user:kim.*needs a server"):
        bench.approve("go")


def test_groups_are_read_at_the_decision() -> None:
    """An approver who was removed may not decide any more."""
    bench = ask(approvers=["group:release"], groups={"release": ("local:eve",)})
    with pytest.raises(NotAllowed):
        bench.approve("go")
    bench.approve("go", "local:eve")


def test_a_decision_on_something_else_is_refused() -> None:
    """The digest of what was shown must be the gate's."""
    bench = ask()
    with pytest.raises(NotAllowed, match="no longer what was shown"):
        bench.approve("go", digest="sha256:other")
    bench.approve("go", digest=bench.last(e.ApprovalRequested).digest)


def approve_and_move(**changes: Any) -> Bench:
    """Return a run whose environment changed between the approval and the start."""
    bench = ask()
    bench.approve("go")
    bench.set_environment("production", **changes)
    bench.succeed("go")
    return bench


def test_a_subject_that_moved_is_asked_about_again() -> None:
    """It says what moved, and then starts with what was approved."""
    bench = approve_and_move(variables={"host": "shop.test"})
    assert "live" not in bench.deliveries
    requested = bench.last(e.ApprovalRequested)
    assert requested.gate == "go/1.2"
    assert requested.moved == (
        "live.environment.variables.host: added",
        'live.inputs.host: "-" is now "shop.test"',
    )
    bench.approve("go")
    assert bench.deliveries["live"].inputs["host"] == "shop.test"
    bench.check_replay()


def test_who_is_asked_again_has_as_long_as_the_first_time() -> None:
    """From the moment of the new question."""
    bench = ask(deadline=60)
    bench.now += 30
    bench.approve("go")
    bench.set_environment("production", target="cluster")
    bench.succeed("go")
    requested = bench.last(e.ApprovalRequested)
    assert (requested.gate, requested.deadline) == ("go/1.2", bench.now + 60)


def test_what_was_approved_before_seeing_is_asked_about_when_it_has_moved() -> None:
    """`--approve` is of what there was when the run began."""
    bench = ask(approved=("go",))
    bench.set_environment("production", target="cluster")
    bench.succeed("go")
    assert bench.run.facts.gates["go/1.2"].state == "open"
    assert "live" not in bench.deliveries


def test_asked_again_and_rejected() -> None:
    """What waited for it is aborted."""
    bench = approve_and_move(target="cluster")
    bench.reject("live")
    assert (bench.outcome("live"), bench.instance("live").code) == ("aborted", "rejected")
    assert bench.outcome("go") == "succeeded"
    assert bench.run.outcome == "aborted"


def test_asked_again_when_it_moves_after_the_lock() -> None:
    """The digest is checked again once the lock is held; an unused lock is given up."""
    bench = ask(grant_locks=False)
    bench.approve("go")
    bench.succeed("go")
    assert bench.instance("live").wait == "lock"
    bench.set_environment("production", url="http://new")
    bench.tell(m.GrantLock("production"))
    assert bench.types()[-3:] == ["lock.acquired", "approval.requested", "lock.released"]
    bench.approve("live")
    bench.tell(m.GrantLock("production"))
    assert bench.deliveries["live"].environment["url"] == "http://new"


def test_an_environment_that_is_gone_is_errored() -> None:
    """There is nothing to show any more."""
    bench = ask()
    bench.approve("go")
    from dataclasses import replace

    bench.world = replace(bench.world, environments={})
    bench.succeed("go")
    assert (bench.outcome("live"), bench.instance("live").code) == (
        "errored",
        "unknown-environment",
    )


def test_approved_before_seeing() -> None:
    """It is recorded as such, and counts as who started the run."""
    bench = ask(approved=("go",))
    decided = bench.last(e.ApprovalDecided)
    assert (decided.actor, decided.unseen) == ("local:ann", True)
    assert "go" in bench.deliveries


@pytest.mark.parametrize("rules", [{"self_allowed": False}, {"approvers": ["local:bob"]}])
def test_approved_before_seeing_needs_the_right_to(rules: dict[str, Any]) -> None:
    """Else people are asked."""
    bench = ask(approved=("go",), **rules)
    assert bench.run.facts.gates["go/1"].state == "open"


def test_plans_are_recorded_once() -> None:
    """Only while the gate is open."""
    bench = ask()
    bench.tell(m.SubjectPlanned("go/1", {"live": {"changes": []}}))
    assert bench.tell(m.SubjectPlanned("go/1", {})).refused
    assert bench.run.facts.gates["go/1"].plans == {"live": {"changes": []}}
    assert bench.tell(m.SubjectPlanned("none/1", {})).refused


class TestEnvironmentApproval:
    """The same gate, asked by an environment."""

    RULES = {"approvers": ["local:*"], "required": 1, "self": True, "expires": 60.0}

    def start(self, stages: dict[str, Any], **more: Any) -> Bench:
        """Return a run whose production asks."""
        environments = {
            "staging": EnvironmentFacts("staging"),
            "production": EnvironmentFacts("production", approval={**self.RULES, **more}),
        }
        return Bench.start({"stages": stages}, environments=environments)

    def test_it_is_asked_before_the_first_change(self) -> None:
        """With every deploy there that is known; none of them asks again."""
        stages = {
            "a": {"uses": "deploy", "environment": "production"},
            "b": {"uses": "deploy", "environment": "production", "needs": "a"},
            "c": {"uses": "work", "environment": "production", "needs": "a"},
        }
        bench = self.start(stages)
        requested = bench.last(e.ApprovalRequested)
        assert (requested.gate, requested.environment) == ("@production/1", "production")
        assert [entry["id"] for entry in requested.subject] == ["a", "b"]
        bench.approve("b")
        bench.succeed("a")
        assert {"b", "c"} == set(bench.deliveries)

    def test_what_was_not_shown_is_asked_about(self) -> None:
        """A stage whose inputs were not known then."""
        stages = {
            "a": {"uses": "deploy", "environment": "production"},
            "b": {
                "uses": "deploy",
                "environment": "production",
                "with": {"v": "${{ stages.a.outputs.out }}"},
            },
        }
        bench = self.start(stages)
        bench.approve("a")
        bench.succeed("a", out="x")
        assert bench.last(e.ApprovalRequested).gate == "@production/2"
        bench.approve("b")
        assert "b" in bench.deliveries

    @pytest.mark.parametrize("how", ["reject", "expire"])
    def test_a_refusal_aborts_what_waited(self, how: str) -> None:
        """Also what was shown and comes later."""
        stages = {
            "a": {"uses": "deploy", "environment": "production"},
            "b": {"uses": "deploy", "environment": "production", "needs": "z"},
            "z": {"uses": "work"},
        }
        bench = self.start(stages)
        if how == "reject":
            bench.reject("a")
        else:
            bench.pass_time(60)
        bench.succeed("z")
        assert (bench.outcome("a"), bench.outcome("b")) == ("aborted", "aborted")
        assert bench.run.outcome == "aborted"

    def test_approvers_are_read_at_the_decision(self) -> None:
        """Who was removed since may not decide."""
        bench = self.start({"a": {"uses": "deploy", "environment": "production"}})
        bench.set_environment("production", approval={"approvers": ["local:eve"]})
        with pytest.raises(NotAllowed, match="none of the approvers local:eve"):
            bench.approve("a")

    def test_no_effect_no_question(self) -> None:
        """A stage that changes nothing is not asked about."""
        stage = {"uses": "deploy", "environment": "production", "with": {"effect": "none"}}
        assert "a" in self.start({"a": stage}).deliveries

    def test_one_who_started_the_run_may_approve_when_nothing_else_is_said(self) -> None:
        """One approval is enough by default, and `self` is allowed."""
        facts = EnvironmentFacts("production", approval={"approvers": ["local:*"]})
        stages = {"a": {"uses": "deploy", "environment": "production"}}
        bench = Bench.start({"stages": stages}, environments={"production": facts})
        bench.approve("a", "local:ann")
        assert "a" in bench.deliveries

    def test_what_was_approved_is_not_shown_again(self) -> None:
        """A later question is of what is new in it."""
        there = {"uses": "deploy", "environment": "production"}
        stages = {
            "a": there,
            "z": {"uses": "work"},
            "late": {**there, "needs": ["z", "a"]},
            "new": {**there, "with": {"v": "${{ stages.a.outputs.out }}"}},
        }
        bench = self.start(stages)
        assert [each["id"] for each in bench.last(e.ApprovalRequested).subject] == ["a", "late"]
        bench.approve("a")
        bench.succeed("a", out="x")
        assert [each["id"] for each in bench.last(e.ApprovalRequested).subject] == ["new"]

    def test_a_question_stays_open_for_the_others_who_wait_for_it(self) -> None:
        """One that ends without it takes only itself away."""
        there = {"uses": "deploy", "environment": "${{ matrix.e }}"}
        many = {**there, "matrix": {"e": ["staging", "production"]}}
        bench = self.start({"many": many, "b": {**there, "environment": "production"}})
        bench.fail("many[0]")
        assert bench.outcome("many[1]") == "skipped"
        bench.approve("b")
        assert set(bench.deliveries) == {"b"}
        assert bench.types().count("approval.requested") == 1

    def test_an_abort_withdraws_the_question(self) -> None:
        """Nobody waits for it any more."""
        bench = self.start({"a": {"uses": "deploy", "environment": "production"}})
        bench.cancel()
        assert bench.run.facts.gates["@production/1"].state == "withdrawn"
        assert bench.cause("a") == "aborted"


def wait_for_lock(stages: dict[str, Any] | None = None) -> Bench:
    """Return a run whose approved stages wait for production's lock."""
    bench = ask(stages, grant_locks=False)
    bench.approve("go")
    bench.succeed("go")
    return bench


def test_an_environment_that_goes_while_the_lock_is_waited_for() -> None:
    """Nothing can be shown, so nothing is asked; the lock is given back."""
    from dataclasses import replace

    bench = wait_for_lock()
    bench.world = replace(bench.world, environments={})
    bench.tell(m.GrantLock("production"))
    assert bench.instance("live").code == "unknown-environment"
    assert bench.run.facts.locks == {}


def test_all_stages_of_a_moved_subject_are_asked_about_together() -> None:
    """One question for both that waited for the lock; both start when it is answered."""
    stages = {**STAGES, "second": {**STAGES["live"]}}
    bench = wait_for_lock(stages)
    bench.set_environment("production", variables={"host": "new"})
    bench.tell(m.GrantLock("production"))
    assert bench.types().count("approval.requested") == 2
    assert bench.run.facts.waits == {"decision": 2}
    assert bench.run.facts.locks == {}
    bench.approve("go")
    bench.tell(m.GrantLock("production"))
    assert {each.inputs["host"] for each in bench.deliveries.values()} == {"new"}
    bench.check_replay()


def test_a_stage_that_two_approvals_show_needs_both_again() -> None:
    """When what both showed has moved, each asks again, one after the other."""
    stages = {
        "image": {"uses": "work"},
        "one": {"uses": "ask", "needs": "image"},
        "go": {"uses": "ask", "needs": "image"},
        "live": {**STAGES["live"], "needs": ["one", "go"]},
    }
    bench = ask(stages, grant_locks=False)
    bench.wait("one", "decision")
    for name in ("one", "go"):
        bench.approve(name)
        bench.succeed(name)
    bench.set_environment("production", variables={"host": "new"})
    bench.tell(m.GrantLock("production"))
    asked = []
    while bench.run.facts.open_gates:
        gate = next(iter(bench.run.facts.open_gates))
        asked.append(gate)
        bench.approve(gate.partition("/")[0])
    assert sorted(asked) == ["go/1.2", "one/1.2"]
    bench.tell(m.GrantLock("production"))
    assert bench.deliveries["live"].inputs["host"] == "new"
