"""Details of the core that a change of one operator would break, and nothing else would notice."""

from __future__ import annotations

import pytest

from gennaker.errors import InvalidInput, NotAllowed
from gennaker_engine.core import blueprint
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.approvals import check_approver
from gennaker_engine.core.blueprint import compile_blueprint
from gennaker_engine.core.view import describe_run
from tests.core.bench import Bench, make_created
from tests.core.test_core_transitions import play_everything

WORK = {"uses": "work"}


def test_what_has_an_outcome_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else has: instances and runs, whatever way they came there."""
    benches: list[Bench] = []
    start = Bench.start

    def start_and_keep(*arguments: object, **named: object) -> Bench:
        benches.append(start(*arguments, **named))  # type: ignore[arg-type]
        return benches[-1]

    monkeypatch.setattr(Bench, "start", start_and_keep)
    play_everything()
    assert len(benches) > 8
    for bench in benches:
        facts = bench.run.facts
        assert (facts.outcome is not None) == (facts.phase == "ended")
        for each in facts.instances.values():
            assert (each.outcome is not None) == (each.state == "ended"), each.id


def test_states_are_shown_in_four_words() -> None:
    """What is tried again waits, what is told to stop still runs, what has no room is pending."""
    matrix = {"x": [1, 2], "max_parallel": 1}
    stages = {
        "again": {"uses": "work", "retry": 1},
        "many": {"uses": "work", "matrix": matrix},
        "slow": {"uses": "work", "timeout": "5s"},
        "late": {"uses": "work", "needs": "slow"},
    }
    bench = Bench.start({"stages": stages})
    bench.error("again", delay=60.0)
    bench.pass_time(5.0)
    shown = {name: each["state"] for name, each in describe_run(bench.run)["stages"].items()}
    assert (shown["again"], shown["slow"], shown["late"]) == ("waiting", "running", "pending")
    many = describe_run(bench.run)["stages"]["many"]["instances"]
    assert many["many[1]"]["state"] == "pending"


class TestNobodyDrives:
    """While no process drives a run only facts are recorded."""

    def test_a_cancel_ends_nothing_yet(self) -> None:
        """Who takes the run over finds it."""
        bench = Bench.start({"stages": {"a": WORK}}, adopt=False)
        bench.cancel()
        assert bench.types()[-1] == "run.abort_requested"
        bench.tell(m.Adopt("next", "local:ann"))
        assert (bench.run.outcome, bench.cause("a")) == ("aborted", "aborted")

    def test_a_cancel_ends_what_waits_at_the_next_adoption(self) -> None:
        """A question is withdrawn, and the run is over."""
        bench = Bench.start({"stages": {"a": {"uses": "ask"}}})
        bench.wait("a", "decision")
        bench.tell(m.Park("detach"))
        bench.cancel()
        bench.tell(m.Adopt("next", "local:ann"))
        assert (bench.run.outcome, bench.outcome("a")) == ("aborted", "aborted")

    def test_nothing_is_due(self) -> None:
        """A tick of somebody else fires nothing."""
        bench = Bench.start({"timeout": "10s", "stages": {"a": {"uses": "ask"}}})
        bench.wait("a", "decision", deadline=5.0)
        bench.tell(m.Park("detach"))
        bench.now += 1000.0
        assert bench.tell(m.Tick()).events == ()

    def test_a_timeout_of_this_very_moment_is_over(self) -> None:
        """Nothing starts in a run whose last second is now."""
        bench = Bench.start({"timeout": "10s", "stages": {"a": WORK}}, adopt=False)
        bench.now += 10.0
        bench.tell(m.Adopt("next", "local:ann"))
        assert (bench.run.timed_out, bench.deliveries) == (True, {})

    def test_what_was_left_behind_is_cleaned_up_by_the_next(self) -> None:
        """Its attempt has ended; the thing outside is still there."""
        bench = Bench.start({"stages": {"a": WORK, "b": WORK}})
        bench.tell(m.GuardChanged("a", 1, 1, "container", "x", entered=True))
        bench.succeed("a")
        wanted = c.CleanUp("a", "work", (("container", "x"),))
        assert [each for each in bench.commands if isinstance(each, c.CleanUp)] == [wanted]
        reaction = bench.tell(m.Adopt("next", "local:ann", died=True))
        assert [each for each in reaction.commands if isinstance(each, c.CleanUp)] == [wanted]

    def test_no_working_time_is_left_to_give(self) -> None:
        """An attempt that worked longer than it may is delivered with nothing left."""
        bench = Bench.start({"stages": {"a": {"uses": "work", "timeout": "10s"}}})
        bench.now += 12.0
        bench.tell(m.Park("signal"))
        reaction = bench.tell(m.Adopt("next", "local:ann"))
        (delivery,) = [each for each in reaction.commands if isinstance(each, c.Deliver)]
        assert delivery.remaining == 0.0

    def test_a_matrix_that_was_refused_its_lock_is_over_at_the_next_adoption(self) -> None:
        """Its instances ended while nobody drove; the stage and the run end now."""
        stage = {"uses": "deploy", "environment": "staging", "matrix": {"x": [1, 2]}}
        stages = {"many": stage, "later": {**WORK, "needs": "many"}}
        bench = Bench.start({"stages": stages}, grant_locks=False)
        bench.tell(m.Park("sigterm"))
        bench.tell(m.RefuseLock("staging", "shop-2", "production"))
        assert {bench.instance(f"many[{n}]").outcome for n in (0, 1)} == {"errored"}
        bench.tell(m.Adopt("next", "local:ann"))
        assert (bench.outcome("many"), bench.cause("later")) == ("errored", "upstream")
        assert bench.run.outcome == "errored"


class TestEnds:
    """How attempts, stages and questions end."""

    def test_nothing_to_clean_up_is_not_cleaned_up(self) -> None:
        """Neither after a success nor before another attempt that goes on with it."""
        bench = Bench.start({"stages": {"a": {"uses": "work", "retry": 1}, "b": WORK}})
        bench.tell(m.GuardChanged("a", 1, 1, "container", "x", entered=True))
        bench.fail("a")
        bench.succeed("b")
        assert not [each for each in bench.commands if isinstance(each, c.CleanUp)]

    @pytest.mark.parametrize(("asked", "waits"), [(0.25, 0.25), (0.0, 0.0), (-5.0, 0.0)])
    def test_a_stage_says_when_it_is_tried_again(self, asked: float, waits: float) -> None:
        """To the fraction of a second; a moment that has passed is now."""
        bench = Bench.start({"stages": {"a": {"uses": "work", "retry": 1}}})
        bench.error("a", delay=asked)
        assert bench.last(e.AttemptEnded).retry_at == bench.now + waits

    def test_the_back_off_grows_by_its_factor(self) -> None:
        """Between half and all of it after the first, twice that after the second."""
        rule = {"limit": 2, "delay": "8s", "factor": 2, "max_delay": "1h"}
        bench = Bench.start({"stages": {"a": {"uses": "work", "retry": rule}}})
        for longest in (8.0, 16.0):
            bench.error("a")
            waits = bench.last(e.AttemptEnded).retry_at - bench.now
            assert longest / 2 <= waits <= longest
            bench.pass_time(waits)

    def test_the_back_off_is_spread_over_all_of_its_half(self) -> None:
        """Stages that fail together do not come back together."""
        names = [f"s{number}" for number in range(30)]
        rule = {"limit": 1, "delay": "8s"}
        bench = Bench.start({"stages": {name: {"uses": "work", "retry": rule} for name in names}})
        waits = []
        for name in names:
            bench.error(name)
            waits.append(bench.last(e.AttemptEnded).retry_at - bench.now)
        assert 4.0 <= min(waits) < 4.5
        assert 7.5 < max(waits) <= 8.0

    def test_a_question_is_withdrawn_before_who_asked_ends(self) -> None:
        """In this order in the journal, as it came about."""
        bench = Bench.start({"stages": {"a": {"uses": "ask"}, "b": WORK}})
        bench.wait("a", "decision")
        bench.cancel()
        assert bench.types().index("approval.closed") < bench.types().index("attempt.ended")

    def test_a_stop_is_recorded_once(self) -> None:
        """What a cancel aborted does not stop the run again."""
        bench = Bench.start({"stages": {"a": {"uses": "work", "on_failure": "stop"}, "b": WORK}})
        bench.cancel()
        bench.stop("a", "b")
        assert bench.types().count("run.abort_requested") == 1

    def test_who_is_told_to_stop_has_ten_seconds(self) -> None:
        """Then it is taken as stopped."""
        bench = Bench.start({"stages": {"a": WORK}})
        bench.cancel()
        assert bench.run.next_due == bench.now + 10.0

    def test_nothing_is_tried_again_in_a_cancelled_run(self) -> None:
        """Its timeout came first, its outcome is failed; there is no second attempt."""
        stage = {"uses": "work", "timeout": "10s", "retry": 1}
        bench = Bench.start({"stages": {"a": stage}})
        bench.pass_time(10.0)
        bench.cancel()
        bench.stop("a")
        assert (bench.outcome("a"), bench.run.state) == ("failed", "ended")

    def test_finally_is_tried_again_in_a_cancelled_run(self) -> None:
        """It does its work as ever; only a second cancel ends that."""
        pipeline = {"stages": {"a": WORK}, "finally": {"z": {"uses": "work", "retry": 1}}}
        bench = Bench.start(pipeline)
        bench.cancel()
        bench.stop("a")
        bench.fail("z")
        assert bench.instance("z").state == "retrying"

    def test_finally_asks_whether_something_failed_or_was_aborted(self) -> None:
        """When all went well both say no."""
        last = {"z": {"uses": "work", "if": "failure()"}, "y": {"uses": "work", "if": "aborted()"}}
        bench = Bench.start({"stages": {"a": WORK}, "finally": last})
        bench.succeed("a")
        assert (bench.cause("z"), bench.cause("y")) == ("condition", "condition")


class TestLocks:
    """What a run knows of its side of an environment's lock."""

    def test_a_lock_that_was_used_is_known_as_such(self) -> None:
        """From the first start under it."""
        bench = Bench.start({"stages": {"a": {"uses": "deploy", "environment": "staging"}}})
        assert bench.run.facts.locks["staging"].entered

    def test_nobody_queues_for_a_lock_while_people_think(self) -> None:
        """Who waited for it is asked about, too, so the place in the queue is given back."""
        deploy = {"uses": "deploy", "environment": "staging"}
        stages = {"a": deploy, "c": WORK, "b": {**deploy, "needs": "c"}}
        bench = Bench.start({"stages": stages}, grant_locks=False)
        assert bench.types()[-1] != "lock.released"
        bench.set_environment("staging", approval={"approvers": ["local:*"]})
        bench.succeed("c")
        assert {each["id"] for each in bench.last(e.ApprovalRequested).subject} == {"a", "b"}
        assert (bench.types().count("lock.released"), bench.run.facts.locks) == (1, {})


class TestPeople:
    """Who is meant, and what is said to who may not."""

    @pytest.mark.parametrize(
        ("approvers", "groups", "hint"),
        [
            (("group:release",), {"release": ("user:kim",)}, "a 'user:' rule needs a server"),
            (("group:ops",), {"release": ("local:kim",)}, "declare 'ops' under 'groups'"),
            (("group:release",), {"release": ("local:kim",)}, "ask one of them"),
            (("local:kim",), {}, "ask one of them"),
        ],
    )
    def test_what_to_do_about_it(
        self, approvers: tuple[str, ...], groups: dict[str, tuple[str, ...]], hint: str
    ) -> None:
        """A server, a group in the settings, or another person."""
        with pytest.raises(NotAllowed) as caught:
            check_approver(
                "local:bob", approvers=approvers, groups=groups, self_allowed=True, starters=()
            )
        assert (caught.value.hint or "").startswith(hint)

    def test_an_instance_is_meant_by_its_own_name(self) -> None:
        """`go[1]` is that one; `go` is whichever is the only one left."""
        stage = {"uses": "ask", "matrix": {"x": [1, 2]}}
        bench = Bench.start({"stages": {"go": stage, "b": WORK}})
        bench.wait("go[0]", "decision")
        bench.wait("go[1]", "decision")
        bench.approve("go[1]")
        assert bench.last(e.ApprovalDecided).gate == "go[1]/1"
        bench.approve("go")
        assert bench.last(e.ApprovalDecided).gate == "go[0]/1"

    def test_who_waits_is_meant_before_who_is_only_shown(self) -> None:
        """One instance waits for its environment; the other is in a question that a stage before asks."""
        deploy = {"uses": "deploy", "environment": "${{ matrix.e }}"}
        many = {**deploy, "matrix": {"e": ["staging", "production"], "max_parallel": 1}}
        stages = {"first": {"uses": "deploy", "environment": "production"}, "many": many}
        rules = {"approvers": ["local:*"], "required": 1, "self": True, "expires": 60.0}
        names = ("staging", "production")
        asked = {name: m.EnvironmentFacts(name, approval=rules) for name in names}
        bench = Bench.start({"stages": stages}, environments=asked)
        bench.approve("many")
        assert bench.last(e.ApprovalDecided).gate == "@staging/1"
        assert set(bench.deliveries) == {"many[0]"}

    def test_open_questions_are_named(self) -> None:
        """An environment's by a stage of its subject."""
        asked = m.EnvironmentFacts("staging", approval={"approvers": ["local:*"]})
        stages = {"live": {"uses": "deploy", "environment": "staging"}, "b": WORK}
        bench = Bench.start({"stages": stages}, environments={"staging": asked})
        with pytest.raises(InvalidInput) as caught:
            bench.approve("b")
        assert (caught.value.code, caught.value.hint) == ("no-open-approval", "open: live")


class TestBlueprints:
    """Runs of one definition share what is compiled from it."""

    @pytest.fixture(autouse=True)
    def empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is remembered yet."""
        monkeypatch.setattr(blueprint, "_cache", type(blueprint._cache)())

    def test_equal_definitions_share_one(self) -> None:
        """Equal, not only the same; a digest alone is not believed."""
        data = make_created({"stages": {"a": WORK}}).definition
        other = make_created({"stages": {"b": WORK}}).definition
        first = compile_blueprint(data, "x")
        assert compile_blueprint(data, "x") is first
        assert compile_blueprint({**data}, "x") is first
        assert list(compile_blueprint(other, "x").stages) == ["b"]

    def test_the_64_last_used_are_kept(self) -> None:
        """The one that was not used for longest goes first."""
        data = make_created({"stages": {"a": WORK}}).definition
        first = compile_blueprint(data, "0")
        for number in range(1, 64):
            compile_blueprint(data, str(number))
        assert compile_blueprint(data, "0") is first
        compile_blueprint(data, "64")
        assert len(blueprint._cache) == 64
        assert set(blueprint._cache) == {"0", *map(str, range(2, 65))}
