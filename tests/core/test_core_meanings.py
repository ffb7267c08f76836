"""The promises of the specification that no other test of the core holds, one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gennaker.errors import NotAllowed
from gennaker.model import PipelineDefinition
from gennaker.testing import simulate
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.locks import Claim, request
from gennaker_engine.core.messages import EnvironmentFacts
from tests.core.bench import Bench

WORK: dict[str, Any] = {"uses": "work"}


def deploy(environment: str = "staging", **more: Any) -> dict[str, Any]:
    """A stage that changes an environment."""
    return {"uses": "deploy", "environment": environment, **more}


def define(**data: Any) -> PipelineDefinition:
    """A definition with a name."""
    return PipelineDefinition.model_validate({"name": "shop", "stages": {"a": WORK}, **data})


class TestCauses:
    """A skip has one cause, the first that holds."""

    def test_stopped_comes_before_aborted(self) -> None:
        """What a stop has swept keeps its cause when somebody cancels, too."""
        stages = {
            "a": {**WORK, "on_failure": "stop"},
            "b": WORK,
            "c": {**WORK, "needs": "b"},
            "d": {**WORK, "needs": "a"},
        }
        bench = Bench.start({"stages": stages})
        bench.fail("a")
        bench.cancel()
        bench.stop("b")
        assert (bench.cause("c"), bench.cause("d")) == ("stopped", "stopped")
        assert bench.run.outcome == "failed"

    def test_aborted_comes_before_upstream(self) -> None:
        """After an abort nobody asks what the needs were."""
        stages = {"a": WORK, "b": WORK, "c": {**WORK, "needs": ["a", "b"]}}
        bench = Bench.start({"stages": stages})
        bench.fail("a")
        bench.cancel()
        bench.stop("b")
        assert bench.cause("c") == "aborted"

    @pytest.mark.parametrize(
        "condition", ["success() && false", "false && success()", "params.no && success()"]
    )
    def test_upstream_comes_before_condition(self, condition: str) -> None:
        """Whatever is asked first: nothing after it may take the skip for a success."""
        stages = {"a": WORK, "b": {**WORK, "needs": "a", "if": condition}}
        bench = Bench.start({"stages": stages}, parameters={"no": False})
        bench.fail("a")
        assert bench.cause("b") == "upstream"

    def test_missing_output_comes_before_condition_in_the_condition(self) -> None:
        """A condition over an output that is not there says so, also under always()."""
        stages = {"a": WORK, "b": {**WORK, "if": "always() && stages.a.outputs.out == 'x'"}}
        bench = Bench.start({"stages": stages})
        bench.fail("a")
        assert bench.cause("b") == "missing-output"

    def test_condition_comes_before_an_empty_matrix(self) -> None:
        """A matrix is not looked at when its stage is not to run."""
        stage = {**WORK, "if": "false", "matrix": {"x": "${{ params.none }}"}}
        bench = Bench.start({"stages": {"a": stage}}, parameters={"none": []})
        assert bench.cause("a") == "condition"

    def test_a_matrix_over_a_missing_output(self) -> None:
        """The stage is skipped, not errored."""
        stages = {
            "a": WORK,
            "b": {**WORK, "if": "always()", "matrix": {"x": "${{ stages.a.outputs.out }}"}},
        }
        bench = Bench.start({"stages": stages})
        bench.fail("a")
        assert (bench.outcome("b"), bench.cause("b")) == ("skipped", "missing-output")

    def test_a_condition_tells_what_it_saw(self) -> None:
        """The expression and its values are in the detail."""
        stage = {**WORK, "if": "params.region == 'us'"}
        bench = Bench.start({"stages": {"a": stage}}, parameters={"region": "eu"})
        assert bench.run.facts.stages["a"].detail == {
            "expression": "params.region == 'us'",
            "values": {"params.region": "eu"},
        }

    @pytest.mark.parametrize(
        ("stage", "reason"),
        [
            (
                {"with": {"env": {"URL": ["a", "${{ params.region.x }}"]}}},
                "'with.env.URL[1]' cannot be evaluated: cannot look up 'x' in string",
            ),
            (
                {"if": "params.region.x == 1"},
                "'if' cannot be evaluated: cannot look up 'x' in string",
            ),
            (
                {"environment": "${{ params.region.x }}"},
                "'environment' cannot be evaluated: cannot look up 'x' in string",
            ),
            (
                {"matrix": {"zone": "${{ params.region.x }}"}},
                "'matrix.zone' cannot be evaluated: cannot look up 'x' in string",
            ),
        ],
    )
    def test_an_error_names_the_value_it_is_in(self, stage: dict[str, Any], reason: str) -> None:
        """What cannot be evaluated is told by its place in the stage."""
        bench = Bench.start({"stages": {"a": {**WORK, **stage}}}, parameters={"region": "eu"})
        (ended,) = [each for each in bench.events if getattr(each, "outcome", "") == "errored"][:1]
        assert ended.reason == reason

    def test_aborted_asks_ancestors(self) -> None:
        """A rejected approval is seen past the stage in between; the run is aborted."""
        stages = {
            "go": {"uses": "ask"},
            "b": {**WORK, "needs": "go", "if": "always()"},
            "c": {**WORK, "needs": "b", "if": "aborted() && !failure()"},
        }
        bench = Bench.start({"stages": stages})
        bench.wait("go", "decision")
        bench.reject("go")
        bench.succeed("b")
        bench.succeed("c")
        assert bench.run.outcome == "aborted"

    def test_finally_speaks_of_all_stages_outside(self) -> None:
        """success(), failure() and aborted() see a stage that the asking one does not need."""
        finals = {name: {**WORK, "if": f"{name}()"} for name in ("success", "failure", "aborted")}
        stages = {"a": WORK, "go": {"uses": "ask"}}
        bench = Bench.start({"stages": stages, "finally": finals})
        bench.wait("go", "decision")
        bench.reject("go")
        bench.fail("a")
        assert sorted(bench.deliveries) == ["aborted", "failure"]
        assert bench.cause("success") == "condition"


class TestStopping:
    """After a stop, an abort or the run's timeout."""

    def test_a_timeout_of_the_run_stops_and_skips_like_an_abort(self) -> None:
        """Running stages become aborted, never-started ones skipped, whatever their `if`."""
        stages = {"a": WORK, "b": {**WORK, "needs": "a", "if": "always()"}}
        bench = Bench.start({"timeout": "1m", "stages": stages})
        bench.pass_time(60)
        bench.stop("a")
        assert (bench.outcome("a"), bench.cause("b")) == ("aborted", "aborted")
        assert (bench.run.outcome, bench.run.timed_out) == ("aborted", True)

    @pytest.mark.parametrize("how", ["failed", "errored"])
    def test_timed_out_is_kept_whatever_the_outcome(self, how: str) -> None:
        """finally can make it worse; that its time was over stays recorded."""
        pipeline = {"timeout": "1m", "stages": {"a": WORK}, "finally": {"z": WORK}}
        bench = Bench.start(pipeline)
        bench.pass_time(60)
        bench.stop("a")
        bench.fail("z") if how == "failed" else bench.error("z")
        assert (bench.run.outcome, bench.run.timed_out) == (how, True)

    def test_nothing_starts_for_who_takes_over_too_late(self) -> None:
        """A run whose time was over while nobody drove it starts nothing outside finally."""
        stages = {"go": {"uses": "ask"}, "live": {**WORK, "needs": "go"}}
        bench = Bench.start({"timeout": "1m", "stages": stages, "finally": {"z": WORK}})
        bench.wait("go", "decision")
        bench.tell(m.Park("sigterm"))
        bench.approve("go")
        bench.now += 120
        bench.tell(m.Adopt("next", "local:ann"))
        bench.tell(m.Tick())
        assert (bench.outcome("go"), bench.cause("live")) == ("aborted", "aborted")
        delivered = [each.stage for each in bench.commands if isinstance(each, c.Deliver)]
        assert delivered == ["go", "z"]
        bench.check_replay()

    @pytest.mark.parametrize("first", ["run", "stage"])
    def test_what_is_due_later_does_not_start_at_a_late_look(self, first: str) -> None:
        """The clock is read after both moments: the earlier one decides, the retry never starts."""
        stages = {
            "a": {**WORK, "timeout": "30s", "on_failure": "stop"},
            "b": {**WORK, "retry": {"limit": 1, "delay": "1m"}},
        }
        more = {"timeout": "20s"} if first == "run" else {}
        bench = Bench.start({"stages": stages, **more})
        bench.wait("a", "poll", every=100.0)
        bench.fail("b")
        bench.now += 90
        while bench.run.state != "ended":
            bench.tell(m.Tick())
        assert bench.outcome("b") == "aborted"
        assert sum(each == "attempt.started" for each in bench.types()) == 2

    def test_a_stop_does_not_retry(self) -> None:
        """A retry that is due later is aborted, as what runs is."""
        stages = {"a": {**WORK, "on_failure": "stop"}, "b": {**WORK, "retry": 3}}
        bench = Bench.start({"stages": stages})
        bench.fail("b")
        bench.fail("a")
        assert (bench.outcome("b"), bench.run.outcome) == ("aborted", "failed")

    def test_on_failure_is_of_failed_and_errored_alike(self) -> None:
        """An error stops, and an error can be ignored."""
        bench = Bench.start({"stages": {"a": {**WORK, "on_failure": "stop"}, "b": WORK}})
        bench.error("a")
        assert bench.instance("b").state == "stopping"
        bench = Bench.start({"stages": {"a": {**WORK, "on_failure": "ignore"}}})
        bench.error("a")
        assert (bench.outcome("a"), bench.run.outcome) == ("errored", "succeeded")

    def test_a_retried_failure_does_not_stop(self) -> None:
        """on_failure speaks of the stage's outcome, not of an attempt."""
        bench = Bench.start(
            {"stages": {"a": {**WORK, "on_failure": "stop", "retry": 1}, "b": WORK}}
        )
        bench.fail("a")
        assert bench.instance("b").state == "running"

    def test_what_is_aborted_is_worse_than_succeeded_only(self) -> None:
        """A failure stays a failure when the run is cancelled after it."""
        bench = Bench.start({"stages": {"a": WORK, "b": WORK}})
        bench.fail("a")
        bench.cancel()
        bench.stop("b")
        assert bench.run.outcome == "failed"

    def test_an_abort_counts_when_everything_succeeded(self) -> None:
        """Cancelled while finally runs: at least aborted, and finally goes on."""
        bench = Bench.start({"stages": {"a": WORK}, "finally": {"z": WORK}})
        bench.succeed("a")
        bench.cancel()
        bench.succeed("z")
        assert bench.run.outcome == "aborted"

    def test_finally_has_its_ten_minutes_after_an_abort(self) -> None:
        """A fresh scope: the time the run took is not taken from it."""
        pipeline = {"timeout": "1h", "stages": {"a": WORK}, "finally": {"z": WORK}}
        bench = Bench.start(pipeline)
        bench.pass_time(3599)
        bench.cancel()
        bench.stop("a")
        bench.pass_time(599)
        assert bench.instance("z").state == "running"
        bench.pass_time(1)
        assert bench.instance("z").state == "stopping"

    def test_nothing_to_do_is_said_of_a_success_only(self) -> None:
        """A queued run that is cancelled had something to do."""
        group = {"group": "g", "limit": 1, "policy": "queue"}
        bench = Bench.start({"stages": {"a": WORK}}, concurrency=group)
        bench.cancel()
        assert (bench.run.outcome, bench.run.facts.nothing_to_do) == ("aborted", False)


class TestMatrixOutcomes:
    """Worst instance, and what comes after it."""

    def test_the_worst_instance_is_the_stages(self) -> None:
        """errored > failed > succeeded, whatever the order."""
        matrix = {"x": [1, 2, 3], "fail_fast": False}
        bench = Bench.start({"stages": {"m": {**WORK, "matrix": matrix}}})
        bench.error("m[0]")
        bench.fail("m[1]")
        bench.succeed("m[2]")
        assert bench.outcome("m") == "errored"

    def test_ignored_instances_do_not_stop_what_is_after(self) -> None:
        """Outputs have null for each of them, in matrix order."""
        stages = {
            "m": {
                **WORK,
                "matrix": {"x": [1, 2, 3], "fail_fast": False},
                "on_failure": "ignore",
            },
            "z": {**WORK, "with": {"all": "${{ stages.m.outputs.out }}"}},
        }
        bench = Bench.start({"stages": stages})
        bench.succeed("m[2]", out="c")
        bench.error("m[0]")
        bench.fail("m[1]")
        assert bench.deliveries["z"].inputs == {"all": [None, None, "c"]}
        bench.succeed("z")
        assert bench.run.outcome == "succeeded"

    def test_the_condition_is_evaluated_once(self) -> None:
        """A false one skips the stage, not its instances."""
        bench = Bench.start({"stages": {"m": {**WORK, "if": "false", "matrix": {"x": [1, 2]}}}})
        assert (bench.cause("m"), bench.run.facts.instances) == ("condition", {})

    def test_an_axis_over_an_earlier_output(self) -> None:
        """Expanded when the stage becomes ready, not before."""
        stages = {"a": WORK, "m": {**WORK, "matrix": {"x": "${{ stages.a.outputs.out }}"}}}
        bench = Bench.start({"stages": stages})
        assert bench.run.facts.stages["m"].state == "pending"
        bench.succeed("a", out=["p", "q"])
        assert sorted(bench.deliveries) == ["m[0]", "m[1]"]


class TestLocks:
    """What was tested is what was deployed."""

    def test_it_is_taken_after_the_approval(self) -> None:
        """Nobody waits for an environment while people think."""
        rule = {"approvers": [], "required": 1, "self": True, "expires": None}
        environments = {"production": EnvironmentFacts("production", approval=rule)}
        bench = Bench.start({"stages": {"a": deploy("production")}}, environments=environments)
        assert bench.run.facts.locks == {}
        bench.approve("a")
        kinds = [each for each in bench.types() if each.startswith(("approval", "lock", "attempt"))]
        assert kinds == [
            "approval.requested",
            "approval.decided",
            "approval.closed",
            "lock.requested",
            "lock.acquired",
            "attempt.started",
        ]
        assert "a" in bench.deliveries

    def test_it_is_held_while_a_question_in_between_waits(self) -> None:
        """A later stage of the environment can still enter, so nobody else may."""
        stages = {
            "a": deploy(),
            "go": {"uses": "ask", "needs": "a"},
            "b": deploy(needs="go"),
        }
        bench = Bench.start({"stages": stages})
        bench.succeed("a")
        bench.wait("go", "decision")
        assert bench.run.facts.locks["staging"].state == "held"
        bench.reject("go")
        assert bench.run.facts.locks == {}
        assert sum(isinstance(each, c.ReleaseLock) for each in bench.commands) == 1

    def test_it_is_held_between_attempts(self) -> None:
        """A retry that is due later enters once more."""
        bench = Bench.start({"stages": {"a": deploy(retry=1)}})
        bench.fail("a")
        assert bench.run.facts.locks["staging"].state == "held"

    def test_a_skipped_stage_cannot_enter(self) -> None:
        """It is given back as soon as the last one is skipped, not at the run's end."""
        stages = {
            "a": deploy(),
            "b": deploy(needs="a", **{"if": "failure()"}),
            "c": {**WORK, "needs": "a"},
        }
        bench = Bench.start({"stages": stages})
        bench.succeed("a")
        assert bench.run.state == "running"
        assert bench.run.facts.locks == {}

    def test_a_stage_of_finally_does_not_hold_it(self) -> None:
        """It takes the lock anew; in between somebody else may have it."""
        pipeline = {"stages": {"a": deploy(), "b": WORK}, "finally": {"z": deploy()}}
        bench = Bench.start(pipeline)
        bench.succeed("a")
        assert bench.run.facts.locks == {}

    @pytest.mark.parametrize("values", [["staging", "production"], "${{ params.names }}"])
    def test_a_matrix_over_environments_gives_each_back(self, values: Any) -> None:
        """One after the other: the first is free as soon as no instance can enter it any more."""
        matrix = {"to": values, "max_parallel": 1}
        stages = {"a": deploy("${{ matrix.to }}", matrix=matrix)}
        bench = Bench.start(
            {"stages": stages}, parameters={"names": ["staging", "production"]}, grant_locks=False
        )
        bench.tell(m.GrantLock("staging"))
        bench.succeed("a[0]")
        assert {name: each.state for name, each in bench.run.facts.locks.items()} == {
            "production": "requested"
        }
        bench.tell(m.GrantLock("production"))
        bench.succeed("a[1]")
        assert (bench.run.outcome, bench.run.facts.locks) == ("succeeded", {})
        bench.check_replay()

    def test_a_parameter_called_matrix_is_no_matrix(self) -> None:
        """An environment that mentions it keeps the lock as any expression does."""
        stages = {"a": deploy(), "b": deploy("${{ params.matrix }}", needs="a")}
        bench = Bench.start({"stages": stages}, parameters={"matrix": "staging"})
        bench.succeed("a")
        assert bench.run.facts.locks["staging"].state == "held"
        bench.succeed("b")
        assert (bench.run.outcome, bench.run.facts.locks) == ("succeeded", {})

    def test_a_deadlock_names_both_runs(self) -> None:
        """By their ids, so that it can be read outside the run."""
        stages = {"a": deploy("staging"), "b": deploy("production")}
        bench = Bench.start({"stages": stages}, grant_locks=False)
        bench.tell(m.GrantLock("staging"))
        bench.tell(m.RefuseLock("production", "shop-2", "staging"))
        reason = bench.instance("b").reason or ""
        assert "'shop-1'" in reason
        assert "'shop-2'" in reason

    @pytest.mark.parametrize(
        ("weights", "victim"),
        [
            ({"a": (4, 1.0), "b": (2, 2.0)}, "b"),
            ({"a": (1, 1.0), "b": (2, 2.0)}, "a"),
            ({"a": (2, 1.0), "b": (2, 2.0)}, "b"),
            ({"a": (2, 2.0), "b": (2, 1.0)}, "a"),
        ],
    )
    def test_who_gives_way_is_decided_by_what_is_now(
        self, weights: dict[str, tuple[int, float]], victim: str
    ) -> None:
        """Deploys a run has started since it asked count; the younger is the one created later."""
        staging, production = "lock/shop/staging", "lock/shop/production"
        claims = [
            Claim(staging, "a", 1, True, 1.0),
            Claim(production, "b", 2, True, 2.0),
            Claim(production, "a", 3, False, 3.0, deploys=1),
        ]
        wanted = Claim(staging, "b", 4, False, 4.0, deploys=2)
        found = request(claims, wanted, weigh=weights.__getitem__).deadlock
        assert found is not None
        assert found.run == victim


class TestApprovals:
    """Who may, on what, and until when."""

    def ask(self, stages: dict[str, Any] | None = None, **more: Any) -> Bench:
        """Return a run that waits for a decision on ``go``."""
        rules = {key: more.pop(key) for key in ("self_allowed", "required") if key in more}
        stages = stages or {"go": {"uses": "ask"}, "live": {**WORK, "needs": "go"}}
        bench = Bench.start({"stages": stages}, **more)
        bench.wait("go", "decision", **rules)
        return bench

    @pytest.mark.parametrize("actor", ["local:ann", "local:kim"])
    def test_self_false_is_of_who_started_and_of_who_retried(self, actor: str) -> None:
        """kim started it, ann retried it: neither may decide."""
        bench = self.ask(self_allowed=False, retry_of="shop-0", starters=("local:kim",))
        with pytest.raises(NotAllowed, match=f"'{actor}' started the run and may not decide"):
            bench.approve("go", actor)
        bench.approve("go", "local:bob")

    def test_who_may_not_approve_may_not_reject(self) -> None:
        """`self: false` and approvers are of decisions of both kinds."""
        bench = self.ask(self_allowed=False)
        with pytest.raises(NotAllowed, match="started the run"):
            bench.reject("go", "local:ann")

    def test_one_rejection_decides_after_an_approval(self) -> None:
        """Also by somebody who had approved."""
        bench = self.ask(required=2)
        bench.approve("go")
        bench.reject("go")
        assert bench.outcome("go") == "aborted"

    def test_the_digest_is_recorded_with_who_when_and_from_where(self) -> None:
        """What was decided on is in the decision's own event."""
        bench = self.ask()
        bench.approve("go", "local:bob", comment="fine", origin="cli")
        decided = bench.last(e.ApprovalDecided)
        assert decided.digest == bench.last(e.ApprovalRequested).digest
        assert (decided.actor, decided.origin, decided.comment) == ("local:bob", "cli", "fine")
        assert decided.at == bench.now

    def test_a_secret_counts_by_its_name(self) -> None:
        """Another secret is another subject; another value of it is not."""
        digests = []
        for text in ("${{ secrets.token }}", "${{ secrets.other }}", "${{ secrets.token }}"):
            stages = {"go": {"uses": "ask"}, "live": {**WORK, "needs": "go", "with": {"t": text}}}
            bench = Bench.start({"stages": stages}, adopt=False)
            secrets = {"token": ("env", "T"), "other": ("env", "O")}
            bench.world = replace(bench.world, secrets=secrets)
            bench.tell(m.Adopt("p", "local:ann"))
            bench.wait("go", "decision")
            digests.append(bench.last(e.ApprovalRequested).digest)
        assert digests[0] == digests[2] != digests[1]

    def test_a_branch_that_needs_no_approval_goes_on(self) -> None:
        """A rejection stops its own branch."""
        stages = {"go": {"uses": "ask"}, "live": {**WORK, "needs": "go"}, "b": WORK}
        bench = self.ask(stages)
        bench.reject("go")
        assert bench.cause("live") == "upstream"
        assert bench.instance("b").state == "running"

    def test_a_decision_while_nobody_drives_after_the_deadline(self) -> None:
        """It is refused although nobody has recorded the expiry yet."""
        bench = Bench.start({"stages": {"go": {"uses": "ask"}}})
        bench.wait("go", "decision", deadline=60)
        bench.tell(m.Park("sigterm"))
        bench.now += 61
        with pytest.raises(NotAllowed, match="expired"):
            bench.approve("go")
        bench.tell(m.Adopt("next", "local:ann"))
        bench.tell(m.Tick())
        assert bench.outcome("go") == "aborted"

    def test_an_environment_that_moves_is_asked_about_again(self) -> None:
        """Also when its own approval was the question; it says what moved."""
        rule = {"approvers": [], "required": 1, "self": True, "expires": None}
        environments = {"production": EnvironmentFacts("production", approval=rule)}
        bench = Bench.start(
            {"stages": {"a": deploy("production")}}, environments=environments, grant_locks=False
        )
        bench.approve("a")
        bench.set_environment("production", variables={"host": "new"})
        bench.tell(m.GrantLock("production"))
        requested = bench.last(e.ApprovalRequested)
        assert requested.moved == ("a.environment.variables.host: added",)
        assert bench.deliveries == {}
        bench.approve("a")
        bench.tell(m.GrantLock("production"))
        assert (bench.deliveries["a"].environment or {})["variables"] == {"host": "new"}


class TestAttempts:
    """Retries, time and deliveries."""

    def test_three_more_attempts(self) -> None:
        """`retry: 3` is up to four in all."""
        run = simulate(define(stages={"a": {**WORK, "retry": 3}}), outcomes={"a": "failed"})
        assert (run.attempts["a"], run.outcome) == (4, "failed")

    def test_a_redelivery_keeps_the_time_that_was_worked(self) -> None:
        """A crash does not give the attempt its whole time again."""
        bench = Bench.start({"stages": {"a": {**WORK, "timeout": "30s"}}})
        bench.pass_time(10)
        bench.tell(m.ReportStep("a", 1, 1, "one"))
        bench.tell(m.Adopt("next", "local:ann", died=True))
        assert bench.deliveries["a"].remaining == 20
        bench.pass_time(20)
        assert bench.instance("a").state == "stopping"

    def test_parking_and_waits_never_poison(self) -> None:
        """Ten of each leave the attempt alive; two deaths more do, too."""
        bench = Bench.start({"stages": {"a": WORK}})
        for number in range(10):
            bench.tell(m.Park("sigterm"))
            bench.tell(m.Adopt(f"p{number}", "local:ann"))
            bench.wait("a", "timer", at=bench.now + 5)
            bench.pass_time(5)
        for number in range(2):
            bench.deliveries.clear()
            bench.tell(m.Adopt(f"q{number}", "local:ann", died=True))
        assert bench.deliveries["a"].attempt == 1
        bench.tell(m.Adopt("last", "local:ann", died=True))
        assert (bench.outcome("a"), bench.instance("a").code) == ("errored", "poison")

    def test_an_order_in_the_file_does_not_matter(self) -> None:
        """A stage may come before what it needs; a mention is a need."""
        stages = {
            "c": {**WORK, "name": "after ${{ stages.b.outcome }}"},
            "b": {**WORK, "needs": "a"},
            "a": WORK,
        }
        assert simulate(define(stages=stages)).order == ["a", "b", "c"]


class TestDigest:
    """What was written, and nothing else."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"retry": 3}, {"retry": {"limit": 3}}),
            ({"retry": 3}, {"retry": {"limit": 3, "delay": "2s", "factor": 2, "max_delay": "60s"}}),
            ({"timeout": "90m"}, {"timeout": "1h30m"}),
            ({"if": "${{ params.x }}"}, {"if": "params.x"}),
            ({"matrix": {"x": [1]}}, {"matrix": {"x": [1], "fail_fast": True}}),
            ({}, {"on_failure": "branch", "needs": [], "with": {}, "timeout": "3600s"}),
        ],
    )
    def test_short_forms_mean_the_long_ones(
        self, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        """A short form is its long one; a documented default is not written."""
        digests = {define(stages={"a": {**WORK, **each}}).digest for each in (one, other)}
        assert len(digests) == 1

    def test_short_needs(self) -> None:
        """One id is a list of one."""
        digests = {
            define(stages={"a": WORK, "b": {**WORK, "needs": needs}}).digest
            for needs in ("a", ["a"])
        }
        assert len(digests) == 1

    def test_concurrency_and_descriptions(self) -> None:
        """Limit 1 and policy queue need not be written; descriptions do not count."""
        plain = define(concurrency={"group": "g"}, parameters={"p": {}})
        full = define(
            concurrency={"group": "g", "limit": 1, "policy": "queue"},
            parameters={"p": {"description": "x", "type": "string", "required": False}},
            description="y",
        )
        assert plain.digest == full.digest

    @pytest.mark.parametrize(
        "change",
        [
            {"stages": {"a": {**WORK, "with": {"wait": "1h"}}}},
            {"stages": {"a": {**WORK, "with": {"wait": "60m"}}}},
            {"stages": {"a": {**WORK, "with": {"description": "x"}}}},
            {"parameters": {"p": {"default": "x"}}},
            {"defaults": {"retry": 0}},
        ],
    )
    def test_what_counts_as_written(self, change: dict[str, Any]) -> None:
        """Inputs, defaults and parameter defaults are not normalised."""
        wait = define(stages={"a": {**WORK, "with": {"wait": "3600s"}}})
        assert define(**change).digest not in (define().digest, wait.digest)
