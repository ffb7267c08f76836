"""Environment locks and concurrency groups: the claims machine, and a run's side of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.locks import Claim, Deadlock, find_deadlock, grant, release, request
from tests.core.bench import Bench

STAGING, PRODUCTION = "lock/shop/staging", "lock/shop/production"


class Table:
    """Claims as the runtime keeps them."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.place = 0

    def apply(self, result: Any) -> Any:
        gone = {(each.key, each.run) for each in (*result.changed, *result.removed)}
        kept = [each for each in self.claims if (each.key, each.run) not in gone]
        self.claims = sorted([*kept, *result.changed], key=lambda each: each.place)
        return result

    def ask(self, key: str, run: str, **how: Any) -> Any:
        self.place += 1
        claim = Claim(key, run, self.place, False, float(self.place), **how)
        return self.apply(request(self.claims, claim))

    def free(self, key: str, run: str) -> list[str]:
        result = self.apply(release(self.claims, key, run, now=99.0))
        return [each.run for each in result.changed]

    def holders(self, key: str) -> list[str]:
        return [each.run for each in self.claims if each.key == key and each.holding]


def test_checklist_60_waiting_runs_are_served_in_order() -> None:
    """One holder; a release grants the next; asking twice changes nothing."""
    table = Table()
    assert table.ask(STAGING, "a").granted
    assert not table.ask(STAGING, "b").granted
    assert not table.ask(STAGING, "c").granted
    assert table.ask(STAGING, "a").changed == ()
    assert table.free(STAGING, "a") == ["b"]
    assert table.free(STAGING, "c") == []
    assert table.free(STAGING, "b") == []
    assert table.claims == []


def test_a_group_has_as_many_holders_as_its_limit() -> None:
    """The next ones queue."""
    table = Table()
    granted = [table.ask("group/shop/x", run, limit=2).granted for run in "abc"]
    assert granted == [True, True, False]
    assert table.free("group/shop/x", "b") == ["c"]


def test_supersede_cancels_queued_runs_only() -> None:
    """The active one goes on."""
    table = Table()
    for run in "ab":
        table.ask("group/shop/x", run, policy="supersede")
    assert table.ask("group/shop/x", "c", policy="supersede").superseded == ("b",)
    assert table.holders("group/shop/x") == ["a"]


def test_reject_takes_no_queue() -> None:
    """Nothing changes when it is full."""
    table = Table()
    assert table.ask("group/shop/x", "a", policy="reject").granted
    result = table.ask("group/shop/x", "b", policy="reject")
    assert (result.refused, result.changed) == (True, ())


@pytest.mark.parametrize(("deploys", "victim"), [((1, 2), "a"), ((2, 1), "b"), ((1, 1), "b")])
def test_a_circle_is_found_and_who_gives_way(deploys: tuple[int, int], victim: str) -> None:
    """Fewer started deploys, then the younger."""
    table = Table()
    table.ask(STAGING, "a")
    table.ask(PRODUCTION, "b")
    assert table.ask(PRODUCTION, "a", deploys=deploys[0]).deadlock is None
    other = "b" if victim == "a" else "a"
    waits = {"a": "production", "b": "staging"}
    expected = Deadlock(victim, waits[victim], other, waits[other])
    assert table.ask(STAGING, "b", deploys=deploys[1]).deadlock == expected


def test_a_circle_of_three_through_a_queue() -> None:
    """Who is before in the queue is waited for, too."""
    table = Table()
    table.ask(STAGING, "a")
    table.ask(PRODUCTION, "b")
    table.ask("lock/shop/test", "c")
    table.ask(PRODUCTION, "a", deploys=5)
    table.ask("lock/shop/test", "b", deploys=5)
    found = table.ask(STAGING, "c", deploys=1).deadlock
    assert found == Deadlock("c", "staging", "a", "production")


def claim(key: str, run: str, place: int, *, holding: bool = False, limit: int = 1) -> Claim:
    """Return a claim of that place."""
    return Claim(f"lock/shop/{key}", run, place, holding, float(place), limit=limit)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        # c is before b in the queue for x, and waits for y, which b holds.
        (
            [
                claim("x", "a", 1, holding=True),
                claim("y", "b", 2, holding=True),
                claim("x", "c", 3),
                claim("x", "b", 4),
                claim("y", "c", 5),
            ],
            Deadlock("c", "y", "b", "x"),
        ),
        # b is after c in the queue for x: c does not wait for it there.
        (
            [
                claim("x", "a", 1, holding=True),
                claim("y", "c", 2, holding=True),
                claim("x", "c", 3),
                claim("x", "b", 4),
            ],
            None,
        ),
        # c has overtaken b, which nobody drove: who holds waits for nobody.
        ([claim("x", "b", 1), claim("x", "c", 2, holding=True)], None),
        # Of several places any may come free.
        (
            [
                claim("x", "a", 1, holding=True, limit=2),
                claim("y", "b", 2, holding=True, limit=2),
                claim("y", "a", 3, limit=2),
                claim("x", "b", 4, limit=2),
            ],
            None,
        ),
    ],
)
def test_who_waits_for_whom(claims: list[Claim], expected: Deadlock | None) -> None:
    """A queued run waits for who holds the lock and for who is before it, and for nobody else."""
    assert find_deadlock(claims, "b") == expected


def test_everything_that_is_free_is_granted() -> None:
    """As many as there is room for, in order of their places."""
    waiting = [claim("g", run, place, limit=3) for place, run in ((2, "b"), (1, "a"), (3, "c"))]
    granted = grant([*waiting, claim("g", "d", 4, limit=3)], "lock/shop/g", now=9.0).changed
    assert [each.run for each in granted] == ["a", "b", "c"]


def test_who_has_to_wait_is_not_refused() -> None:
    """Only the policy `reject` refuses."""
    result = request([claim("x", "a", 1, holding=True)], claim("x", "b", 2))
    assert (result.granted, result.refused, result.changed) == (False, False, (claim("x", "b", 2),))


@given(st.lists(st.tuples(st.sampled_from("ar"), st.integers(0, 4), st.integers(0, 2))))
def test_claims_are_always_sound(steps: list[tuple[str, int, int]]) -> None:
    """One holder, nobody waits for a free lock, circles are found when they are closed."""
    table = Table()
    for action, run, key in steps:
        name, lock = f"r{run}", f"lock/shop/e{key}"
        if action == "a":
            result = table.ask(lock, name)
            if result.deadlock is not None:
                victim = f"lock/shop/{result.deadlock.environment}"
                table.free(victim, result.deadlock.run)
        else:
            table.free(lock, name)
        for each in {claim.key for claim in table.claims}:
            assert len(table.holders(each)) == 1
    assert len({(each.key, each.run) for each in table.claims}) == len(table.claims)


def test_no_circle_without_waits() -> None:
    """Holders alone never deadlock."""
    claim = Claim(STAGING, "a", 1, True, 0.0)
    assert find_deadlock([claim, replace(claim, key=PRODUCTION, place=2)], "a") is None


# A run's side --------------------------------------------------------------------------------


def deploy(environment: str, **more: Any) -> dict[str, Any]:
    """A stage that changes an environment."""
    return {"uses": "deploy", "environment": environment, **more}


def count(bench: Bench, kind: type[c.Command]) -> int:
    """How often a command was asked for."""
    return sum(isinstance(each, kind) for each in bench.commands)


def test_a_lock_is_held_until_no_stage_can_enter() -> None:
    """What was tested is what was deployed: a smoke test keeps it, too."""
    stages = {
        "a": deploy("staging"),
        "b": {"uses": "work", "environment": "staging", "needs": "a"},
        "c": {"uses": "work", "needs": "b"},
    }
    bench = Bench.start({"stages": stages})
    bench.succeed("a")
    assert bench.run.facts.locks["staging"].state == "held"
    bench.succeed("b")
    assert bench.run.facts.locks == {}
    assert count(bench, c.ReleaseLock) == 1


def test_no_lock_without_effect() -> None:
    """Reading an environment needs none."""
    bench = Bench.start({"stages": {"a": {"uses": "work", "environment": "staging"}}})
    assert count(bench, c.RequestLock) == 0


def test_it_is_asked_for_once() -> None:
    """Further stages of the environment wait for the same request."""
    stages = {name: deploy("staging") for name in "ab"}
    bench = Bench.start({"stages": stages}, grant_locks=False)
    assert count(bench, c.RequestLock) == 1
    assert bench.run.facts.waits == {"lock": 2}
    bench.tell(m.GrantLock("staging"))
    assert set(bench.deliveries) == {"a", "b"}
    assert bench.tell(m.GrantLock("staging")).refused


@pytest.mark.parametrize("text", ["${{ params.env }}", "${{ params.env + '' }}"])
def test_an_expression_that_means_it_keeps_it(text: str) -> None:
    """And one that means another environment does not."""
    stages = {
        "a": deploy("staging"),
        "b": {"uses": "work", "environment": text, "needs": "a"},
    }
    for environment, held in (("staging", True), ("production", False)):
        bench = Bench.start({"stages": stages}, parameters={"env": environment})
        bench.succeed("a")
        assert ("staging" in bench.run.facts.locks) is held


def test_a_matrix_over_environments() -> None:
    """Each instance takes its own; both are held until the stage has ended."""
    matrix = {"env": ["staging", "production"]}
    bench = Bench.start({"stages": {"a": deploy("${{ matrix.env }}", matrix=matrix)}})
    assert sorted(bench.run.facts.locks) == ["production", "staging"]
    bench.succeed("a[0]", "a[1]")
    assert bench.run.facts.locks == {}


def test_an_abort_gives_it_and_its_place_back() -> None:
    """Waiting or held."""
    stages = {"a": deploy("staging"), "b": deploy("production")}
    bench = Bench.start({"stages": stages}, grant_locks=False)
    bench.tell(m.GrantLock("staging"))
    bench.cancel()
    assert list(bench.run.facts.locks) == ["staging"]
    bench.stop("a")
    assert count(bench, c.ReleaseLock) == 2
    assert bench.cause("b") == "aborted"


def test_a_deadlock_errs_what_waits() -> None:
    """The message names both runs and both locks; the place is given back."""
    stages = {"a": deploy("staging"), "b": deploy("production")}
    bench = Bench.start({"stages": stages}, grant_locks=False)
    bench.tell(m.GrantLock("staging"))
    bench.tell(m.RefuseLock("production", "shop-2", "staging"))
    row = bench.instance("b")
    assert (row.outcome, row.code) == ("errored", "deadlock")
    assert "'production'" in (row.reason or "")
    assert "'shop-2'" in (row.reason or "")
    assert "'staging'" in (row.reason or "")
    assert isinstance(bench.commands[-1], c.ReleaseLock)
    assert bench.tell(m.RefuseLock("production", "shop-2", "staging")).refused


def test_finally_takes_it_anew() -> None:
    """It is given back before, and asked for again."""
    pipeline = {"stages": {"a": deploy("staging")}, "finally": {"z": deploy("staging")}}
    bench = Bench.start(pipeline)
    bench.succeed("a")
    bench.succeed("z")
    locks = [event.type for event in bench.events if event.type.startswith("lock.")]
    assert locks == ["lock.requested", "lock.acquired", "lock.released"] * 2
    assert bench.run.outcome == "succeeded"


def test_deploys_are_counted() -> None:
    """Who started more of them goes on when runs wait for each other."""
    bench = Bench.start({"stages": {"a": deploy("staging", retry=1), "b": deploy("production")}})
    bench.fail("a")
    bench.pass_time(5)
    assert bench.run.facts.deploys == 2


def test_the_wait_for_a_lock_is_told() -> None:
    """status says which environment; who holds it is the claim's."""
    from gennaker_engine.core.view import describe_row, describe_run

    bench = Bench.start({"stages": {"a": deploy("staging")}}, grant_locks=False)
    waiting = describe_run(bench.run)["waiting"]
    assert [(w["stage"], w["on"], w["environment"]) for w in waiting] == [("a", "lock", "staging")]
    assert describe_row(bench.run)["waiting"] == "lock"
    assert bench.last(e.LockRequested).environment == "staging"


def test_a_run_that_nobody_drives_is_passed_over_and_keeps_its_place() -> None:
    """What comes free goes to the first that is driven; the other one is next when it is again."""
    driven = {"a", "c", "d"}
    claims = [
        Claim("lock/shop/x", name, place, holding=name == "a", since=float(place))
        for place, name in enumerate("abc", 1)
    ]
    result = release(claims, "lock/shop/x", "a", now=9.0, drives=driven.__contains__)
    assert [(each.run, each.holding, each.since) for each in result.changed] == [("c", True, 9.0)]
    waiting = claims[1]
    wanted = Claim("lock/shop/x", "d", 4, False, 5.0)
    assert request([waiting], wanted, drives=driven.__contains__).granted
    assert not request([waiting], wanted).granted
    assert not request([claims[2]], wanted, drives=driven.__contains__).granted
    assert grant([waiting], "lock/shop/x", now=9.0, drives=driven.__contains__).changed == ()
    (granted,) = grant([waiting, claims[2]], "lock/shop/x", now=9.0).changed
    assert (granted.run, granted.place) == ("b", 2)


def test_the_end_of_another_stage_costs_no_place_in_the_queue() -> None:
    """What somebody waits for is not given back and asked for again."""
    stages = {"a": deploy("staging"), "b": {"uses": "work"}, "c": {"uses": "work"}}
    bench = Bench.start({"stages": stages}, grant_locks=False)
    bench.succeed("b")
    assert (count(bench, c.RequestLock), count(bench, c.ReleaseLock)) == (1, 0)
    assert bench.instance("a").wait == "lock"


MATRIX = deploy("${{ matrix.e }}", matrix={"e": ["staging", "production"], "fail_fast": False})


@pytest.mark.parametrize(("policy", "kept"), [("branch", ["production"]), ("undo", None)])
def test_an_instance_that_has_ended_gives_its_environment_back(
    policy: str, kept: list[str] | None
) -> None:
    """At once; when it may have to be put back, with the others after that."""
    bench = Bench.start({"stages": {"a": {**MATRIX, "on_failure": policy}}})
    bench.record("a[0]")
    bench.succeed("a[0]")
    assert sorted(bench.run.facts.locks) == (kept or ["production", "staging"])
    bench.fail("a[1]")
    assert sorted(bench.run.facts.locks) == ([] if kept else ["production", "staging"])
    if kept is None:
        bench.succeed("undo:a[0]")
    assert bench.run.facts.locks == {}


def test_a_cancelled_matrix_puts_nothing_back_and_keeps_nothing() -> None:
    """Each environment is free as soon as its instance has stopped."""
    bench = Bench.start({"stages": {"a": {**MATRIX, "on_failure": "undo"}}})
    bench.record("a[0]")
    bench.cancel()
    assert bench.outcome("undo:a") == "skipped"
    bench.stop("a[0]")
    assert list(bench.run.facts.locks) == ["production"]


@pytest.mark.parametrize("first", ["x", "c"])
def test_a_name_that_is_not_known_yet_may_be_any(first: str) -> None:
    """The lock is kept until it is known, and while the stage that has it is at work."""
    axis = {"e": "${{ stages.x.outputs.out }}"}
    stages = {
        "a": deploy("staging"),
        "x": {"uses": "work"},
        "b": deploy("${{ matrix.e }}", matrix=axis),
        "c": {"uses": "work"},
    }
    bench = Bench.start({"stages": stages})
    bench.succeed("a")
    if first == "c":
        bench.succeed("c")
    assert list(bench.run.facts.locks) == ["staging"]
    bench.succeed("x", out=["staging"])
    if first == "x":
        bench.succeed("c")
    assert list(bench.run.facts.locks) == ["staging"]
    bench.succeed("b[0]")
    assert bench.run.facts.locks == {}
