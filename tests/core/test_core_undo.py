"""``on_failure: undo``: what is put back, when, in which order; and runs that roll others back."""

from __future__ import annotations

from typing import Any

from gennaker_engine.core import messages as m
from gennaker_engine.core.events import StageResolved
from tests.core.bench import Bench

DEPLOY = {"uses": "deploy", "environment": "staging", "with": {"image": "shop:2"}}
ONE = {"stages": {"ship": {**DEPLOY, "on_failure": "undo"}}}
CHAIN = {
    "stages": {
        "database": DEPLOY,
        "web": {**DEPLOY, "needs": "database"},
        "smoke": {
            "uses": "check",
            "needs": "web",
            "on_failure": {"undo": ["web", "database"]},
        },
        "after": {"uses": "check", "needs": "smoke"},
    },
    "finally": {"tell": {"uses": "check"}},
}


def test_a_failed_stage_is_put_back_with_its_own_inputs_and_record() -> None:
    """undo:ID is delivered with the inputs of the failed stage and what it recorded; the run fails."""
    bench = Bench.start(ONE)
    bench.record("ship")
    bench.fail("ship")
    undo = bench.deliveries["undo:ship"]
    assert undo.undoes == {"digest": "sha256:ship", "size": 1}
    assert undo.inputs == {"image": "shop:2"}
    assert undo.environment is not None and undo.environment["name"] == "staging"
    assert bench.run.state == "running"
    bench.succeed("undo:ship")
    assert (bench.outcome("undo:ship"), bench.run.outcome) == ("succeeded", "failed")
    bench.check_replay()


def test_what_is_in_no_environment_can_be_put_back() -> None:
    """A stage that changes something elsewhere needs no lock, and is undone as any other."""
    bench = Bench.start({"stages": {"tag": {"uses": "work", "on_failure": "undo"}}})
    bench.record("tag")
    bench.fail("tag")
    assert bench.deliveries["undo:tag"].environment is None
    bench.succeed("undo:tag")
    assert bench.outcome("undo:tag") == "succeeded"


def test_an_undo_that_fails_makes_it_worse() -> None:
    """A run whose putting back could not be done has errored, not only failed."""
    bench = Bench.start(ONE)
    bench.record("ship")
    bench.fail("ship")
    bench.error("undo:ship", permanent=True)
    assert bench.run.outcome == "errored"


def test_nothing_is_put_back_when_nothing_failed() -> None:
    """The stage is skipped, and says that what would lead to it succeeded."""
    bench = Bench.start(ONE)
    bench.record("ship")
    bench.succeed("ship")
    assert (bench.outcome("undo:ship"), bench.cause("undo:ship")) == ("skipped", "condition")
    assert bench.run.facts.stages["undo:ship"].detail == {"reason": "'ship' succeeded"}
    assert bench.run.outcome == "succeeded"


def test_nothing_is_put_back_that_was_not_recorded() -> None:
    """A stage that failed before its first write has nothing to put back."""
    bench = Bench.start(ONE)
    bench.fail("ship")
    detail = bench.run.facts.stages["undo:ship"].detail
    assert detail == {"reason": "'ship' changed nothing that could be put back"}
    assert bench.run.outcome == "failed"


def test_what_a_retry_took_over_is_not_put_back() -> None:
    """The run that did it can be rolled back, which is told; what the retry did itself is put back."""
    taken = {"outcome": "succeeded", "outputs": {}, "run": "shop-1"}
    bench = Bench.start(
        CHAIN, run="shop-2", number=2, retry_of="shop-1", reused={"database": taken}
    )
    bench.record("web")
    bench.succeed("web")
    bench.fail("smoke")
    bench.succeed("undo:web")
    assert bench.run.facts.stages["undo:database"].detail == {
        "reason": "'shop-1' did 'database'; 'gennaker rollback shop-1' puts it back"
    }


def test_named_stages_are_put_back_latest_first() -> None:
    """web is put back before the database it was deployed after; finally comes after both."""
    bench = Bench.start(CHAIN)
    for name in ("database", "web"):
        bench.record(name)
        bench.succeed(name)
    bench.fail("smoke")
    assert set(bench.deliveries) == {"undo:web"}
    bench.succeed("undo:web")
    assert set(bench.deliveries) == {"undo:database"}
    bench.succeed("undo:database")
    assert bench.cause("after") == "upstream"
    assert set(bench.deliveries) == {"tell"}
    bench.succeed("tell")
    assert bench.run.outcome == "failed"


def test_the_lock_is_kept_until_all_is_put_back() -> None:
    """Nobody else may deploy between the failure and the end of the undo."""
    bench = Bench.start(CHAIN)
    for name in ("database", "web"):
        bench.record(name)
        bench.succeed(name)
    bench.fail("smoke")
    bench.succeed("undo:web")
    assert bench.run.facts.locks["staging"].state == "held"
    bench.succeed("undo:database")
    assert "staging" not in bench.run.facts.locks


def test_the_lock_goes_when_nothing_can_need_it_any_more() -> None:
    """What succeeded without an undo gives the environment back before finally."""
    bench = Bench.start(CHAIN)
    for name in ("database", "web", "smoke"):
        bench.record(name)
        bench.succeed(name)
    assert "staging" not in bench.run.facts.locks


def test_each_instance_of_a_matrix_is_put_back_that_recorded() -> None:
    """Of three instances two had begun to change something: these two are put back."""
    matrix = {"region": ["eu", "us", "asia"], "fail_fast": False}
    bench = Bench.start({"stages": {"ship": {**DEPLOY, "matrix": matrix, "on_failure": "undo"}}})
    bench.record("ship[0]", "ship[2]")
    bench.succeed("ship[0]", "ship[1]")
    bench.fail("ship[2]")
    assert {name: each.undoes for name, each in bench.deliveries.items()} == {
        "undo:ship[0]": {"digest": "sha256:ship[0]", "size": 1},
        "undo:ship[1]": {"digest": "sha256:ship[2]", "size": 1},
    }
    assert bench.run.facts.locks["staging"].state == "held"
    bench.succeed("undo:ship[0]", "undo:ship[1]")
    assert bench.run.outcome == "failed"
    bench.check_replay()


def test_a_retry_keeps_the_first_record_until_it_records_again() -> None:
    """The second attempt is given what the first recorded, and the undo what was recorded last."""
    bench = Bench.start({"stages": {"ship": {**DEPLOY, "retry": 1, "on_failure": "undo"}}})
    bench.record("ship")
    bench.fail("ship")
    assert "undo:ship" not in bench.deliveries
    bench.pass_time(60)
    assert bench.deliveries["ship"].before == {"digest": "sha256:ship", "size": 1}
    bench.fail("ship")
    assert bench.deliveries["undo:ship"].attempt == 1
    assert bench.deliveries["undo:ship"].undoes == {"digest": "sha256:ship", "size": 1}


def test_after_an_abort_nothing_is_put_back_by_itself() -> None:
    """An aborted stage has not failed; what it left is for a rollback."""
    bench = Bench.start(ONE)
    bench.record("ship")
    bench.cancel()
    bench.stop("ship")
    assert (bench.outcome("undo:ship"), bench.run.outcome) == ("skipped", "aborted")


def test_an_undo_goes_on_after_its_process_died() -> None:
    """A new delivery of the same undo has the same record."""
    bench = Bench.start(ONE)
    bench.record("ship")
    bench.fail("ship")
    bench.deliveries.clear()
    bench.tell(m.Adopt("process 2", "local:ann", died=True))
    undo = bench.deliveries["undo:ship"]
    assert (undo.delivery, undo.undoes) == (2, {"digest": "sha256:ship", "size": 1})


def test_an_undo_asks_nobody() -> None:
    """The environment's approval is asked for the deploy; going back needs none."""
    approval = {"approvers": [], "required": 1, "self": True}
    facts = m.EnvironmentFacts("staging", approval=approval)
    bench = Bench.start(ONE, environments={"staging": facts})
    bench.approve("ship")
    bench.record("ship")
    bench.fail("ship")
    assert "undo:ship" in bench.deliveries


ROLLBACK = {
    "stages": {
        "web": {"uses": "deploy", "environment": "staging"},
        "database": {"uses": "deploy", "environment": "staging", "needs": "web"},
    }
}


def _preset(name: str, **more: Any) -> dict[str, Any]:
    environment = {
        **dict.fromkeys(("target", "url", "namespace", "approval")),
        **{key: {} for key in ("settings", "variables", "secrets")},
        "name": "staging",
    }
    return {"inputs": {"image": name}, "environment": environment, "effect": "deploy", **more}


def test_a_rollback_is_a_run_with_given_values_that_asks_and_locks() -> None:
    """Its stages have the inputs of the run they put back, are shown to approvers, and undo."""
    approval = {"approvers": [], "required": 1, "self": True}
    facts = m.EnvironmentFacts("staging", approval=approval)
    before = {"digest": "sha256:before", "size": 1}
    preset = {name: _preset(name, before=before) for name in ("web", "database")}
    bench = Bench.start(
        ROLLBACK, environments={"staging": facts}, rollback_of="shop-1", preset=preset
    )
    gate = next(iter(bench.run.facts.gates.values()))
    assert [(each["id"], each["before"]) for each in gate.subject] == [
        ("database", before),
        ("web", before),
    ]
    bench.approve("web")
    assert bench.deliveries["web"].undoes == before
    bench.succeed("web")
    bench.succeed("database")
    assert bench.run.outcome == "succeeded"
    bench.check_replay()


def test_a_stage_can_be_made_again_with_the_settings_of_now() -> None:
    """Without a record the given inputs are deployed again, as the stage they were of, where it is now."""
    facts = m.EnvironmentFacts("staging", variables={"now": True})
    bench = Bench.start(
        {"stages": {"web": {"uses": "deploy", "environment": "staging"}}},
        environments={"staging": facts},
        rollback_of="shop-1",
        preset={"web": _preset("web", stage="deploy")},
    )
    assert bench.deliveries["web"].undoes is None
    assert bench.deliveries["web"].stage == "deploy"
    resolved = bench.last(StageResolved)
    assert resolved.inputs == {"image": "web"}
    assert resolved.environment["variables"] == {"now": True}
