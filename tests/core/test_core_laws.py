"""Laws of the core on generated pipelines, under any order of what can happen to a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gennaker.errors import InvalidInput, NotAllowed
from gennaker_engine.core import commands as c
from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.run import Reaction, Run
from tests.core.bench import Bench
from tests.core.strategies import environment_approvals, parameters, pipelines
from tests.fixtures.scale import scale

MOST_STEPS = 2000
RANK = {"succeeded": 0, "skipped": 0, "aborted": 1, "failed": 2, "errored": 3}


class Player:
    """Plays the world: random for a while, then helpful, so that every run can end."""

    def __init__(self, bench: Bench, data: st.DataObject) -> None:
        self.bench = bench
        self.data = data
        self.sent: list[m.Message] = []
        self.wanted: dict[str, None] = {}
        self.calls: dict[str, int] = {}
        self.owners = 1

    def draw(self, most: int) -> int:
        return self.data.draw(st.integers(0, most))

    def tell(self, message: m.Message) -> Reaction | None:
        """Give a message to the run and to its replay: both must answer alike."""
        bench = self.bench
        twin = Run.replay(bench.events) if self.draw(4) == 0 else None
        before = len(bench.events), len(bench.commands), bench.run.version
        try:
            reaction = bench.tell(message)
        except (NotAllowed, InvalidInput):
            assert before == (len(bench.events), len(bench.commands), bench.run.version)
            return None
        if twin is not None:
            assert reaction == twin.handle(message, world=bench.world, now=bench.now)
            assert bench.run == twin
        if reaction.refused is not None:
            assert not reaction.events
        self._follow(reaction)
        bench.check_quiet()
        self.sent.append(message)
        return reaction

    def _follow(self, reaction: Reaction) -> None:
        for command in reaction.commands:
            if isinstance(command, c.RequestLock):
                self.wanted[command.environment] = None
            elif isinstance(command, c.ReleaseLock):
                self.wanted.pop(command.environment, None)

    def play(self, steps: int) -> None:
        for _ in range(steps):
            if self.bench.run.state == "ended":
                return
            self.bench.now += self.data.draw(st.sampled_from([0.0, 0.5, 3.0, 40.0]))
            self._act(self.draw(14))

    def finish(self) -> None:
        """Be helpful until the run has ended."""
        bench = self.bench
        if not bench.run.driven and bench.run.state != "ended":
            self._adopt(died=False)
        for _ in range(MOST_STEPS):
            if bench.run.state == "ended":
                return
            if bench.deliveries:
                self._report(next(iter(bench.deliveries)), 0)
            elif self.wanted:
                self._grant()
            elif bench.run.facts.open_gates:
                self._decide("approve")
            else:
                assert bench.run.next_due is not None, "nothing can happen any more"
                bench.now = max(bench.now, bench.run.next_due)
                self.tell(m.Tick())
        raise AssertionError("the run does not end")

    def _act(self, action: int) -> None:
        bench = self.bench
        if action <= 5 and bench.deliveries:
            names = sorted(bench.deliveries)
            self._report(names[self.draw(len(names) - 1)], self.draw(9))
        elif action == 6 and self.sent:
            # Late, twice, out of order: whatever was said once is said again.
            message = self.sent[self.draw(len(self.sent) - 1)]
            if not isinstance(message, m.Cancel | m.Adopt | m.Park | m.Decide | m.Tick):
                self._repeat(message)
        elif action == 7 and self.wanted:
            self._grant()
        elif action == 8 and bench.run.facts.open_gates:
            self._decide("approve" if self.draw(3) else "reject")
        elif action == 9 and self.draw(3) == 0:
            event("cancel")
            self.tell(m.Cancel("local:ann"))
        elif action == 10 and self.draw(2) == 0:
            self._change_owner()
        elif action == 11:
            number = self.draw(3)
            bench.set_environment("production", variables={"n": number})
        elif action == 12 and self.wanted and self.draw(2) == 0:
            name = next(iter(self.wanted))
            event("deadlock")
            self.tell(m.RefuseLock(name, "shop-2", "staging"))
        else:
            self.tell(m.Tick())

    def _repeat(self, message: m.Message) -> None:
        if isinstance(message, m.GuardChanged | m.GrantLock | m.RefuseLock):
            return
        identity = getattr(message, "instance", None)
        out = self.bench.deliveries.get(identity) if identity else None
        current = out is not None and (message.attempt, message.delivery) == (  # type: ignore[attr-defined]
            out.attempt,
            out.delivery,
        )
        if not current:
            reaction = self.tell(message)
            assert reaction is not None
            assert reaction.events == ()
            assert reaction.refused is not None

    def _change_owner(self) -> None:
        if self.bench.run.driven and self.draw(1):
            self.tell(m.Park("sigterm"))
            event("parked")
        elif self.bench.run.driven:
            event("died")
            self._adopt(died=True)
        else:
            self._adopt(died=False)

    def _adopt(self, *, died: bool) -> None:
        self.owners += 1
        self.bench.deliveries.clear()
        self.tell(m.Adopt(f"process {self.owners}", "local:ann", died))

    def _grant(self) -> None:
        name = next(iter(self.wanted))
        self.wanted.pop(name)
        self.tell(m.GrantLock(name))

    def _decide(self, decision: Any) -> None:
        facts = self.bench.run.facts
        gate = facts.gates[next(iter(facts.open_gates))]
        stage = gate.stage or str(gate.subject[0]["id"])
        event("gate of an environment" if gate.environment else "gate of a stage")
        if gate.moved:
            event("asked again")
        for person in ("local:bob", "local:eve"):
            if gate.state == "open":
                self.tell(m.Decide(stage, decision, person))
        if gate.state == "open":
            # Two gates can mean the same stage; time settles what cannot be named.
            self.bench.now += 4000.0
            self.tell(m.Tick())
            if gate.state == "open":
                self.tell(m.Cancel("local:ann"))

    def _report(self, name: str, choice: int) -> None:
        bench = self.bench
        delivery = bench.deliveries[name]
        identity = (delivery.instance, delivery.attempt, delivery.delivery)
        calls = self.calls[name] = self.calls.get(name, 0) + 1
        if delivery.undoes is None and self.draw(1):
            kept = {"digest": f"sha256:{calls}", "size": calls}
            self.tell(m.RecordBefore(*identity, artifact=kept))
        asks = {"ask": "decision", "timer": "timer", "poll": "poll"}
        if bench.instance(name).state == "stopping" and choice < 8:
            self.tell(m.ReportStopped(*identity))
        elif delivery.uses in asks and delivery.event is None and calls < 5 and choice < 8:
            kind = asks[delivery.uses]
            more = {"timer": {"at": bench.now + 20}, "poll": {"every": 10.0}}.get(kind, {})
            deadline = bench.now + 300 if choice % 2 == 0 else None
            on = {"kind": kind, **more}
            self.tell(m.ReportWaiting(*identity, on=on, deadline=deadline, state=calls))
        elif choice in (6, 7):
            self.tell(m.ReportFailed(*identity, reason="no"))
        elif choice == 8:
            self.tell(m.ReportErrored(*identity, reason="broke", permanent=bool(calls % 2)))
        elif choice == 9:
            self.tell(m.ReportStep(*identity, name=f"step {calls}", result=calls))
        else:
            self.tell(m.ReportSucceeded(*identity, outputs={"out": calls}))


@pytest.mark.scaled
@pytest.mark.timeout(scale(60, 0))
@settings(
    max_examples=scale(60, 2_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_every_history_is_a_legal_one(data: st.DataObject) -> None:
    """Any pipeline under any events ends, in order, replayable, within its bounds."""
    pipeline = data.draw(pipelines())
    environments = {
        name: m.EnvironmentFacts(name, approval=data.draw(environment_approvals()))
        for name in ("staging", "production")
    }
    bench = Bench.start(
        pipeline,
        environments=environments,
        grant_locks=False,
        parameters=data.draw(parameters()),
    )
    player = Player(bench, data)
    for command in bench.commands:
        if isinstance(command, c.RequestLock):
            player.wanted[command.environment] = None
    player.play(data.draw(st.integers(0, 60)))
    player.finish()
    for word in _list_features(pipeline, bench):
        event(word)
    bench.check_replay()
    check_order(bench)
    check_endings(bench)
    check_retries(bench)
    check_outcome(bench)
    assert bench.run.facts.locks == {}
    assert bench.run.facts.open_gates == {}
    assert bench.run.facts.active == {}
    assert bench.run.facts.waits == {}
    assert bench.run.facts.working == 0


def _list_features(pipeline: dict[str, Any], bench: Bench) -> Iterator[str]:
    stages = pipeline["stages"].values()
    if any("matrix" in stage for stage in stages):
        yield "has a matrix"
    if any(stage["on_failure"] == "ignore" for stage in stages):
        yield "has ignore"
    if any(stage["on_failure"] == "stop" for stage in stages):
        yield "has stop"
    if "finally" in pipeline:
        yield "has finally"
    for kind in sorted(set(bench.types())):
        yield f"event {kind}"
    for stage in bench.run.facts.stages.values():
        if stage.cause is not None:
            yield f"skipped {stage.cause}"
        if stage.ignored:
            yield "ignored"
    yield f"run {bench.run.outcome}"


def check_order(bench: Bench) -> None:
    """Nothing starts before what it needs has ended, nor outside finally after a halt."""
    ended: set[str] = set()
    halted = final_halted = False
    facts = bench.run.facts
    for each in bench.events:
        match each:
            case e.AbortRequested():
                halted = True
                final_halted = final_halted or each.again
            case e.AttemptStarted():
                plan = facts.stages[each.instance.partition("[")[0]].plan
                assert set(plan.needs) <= ended
                again = each.delivery > 1
                if plan.in_finally:
                    assert set(facts.blueprint.main) <= ended
                    assert again or not final_halted
                else:
                    assert again or not halted
            case e.StageEnded():
                ended.add(each.stage)
            case e.StageSkipped() | e.InstanceEnded():
                ended.add(each.instance)
            case e.AttemptEnded() if each.retry_at is None:
                ended.add(each.instance)
            case _:
                pass


def check_endings(bench: Bench) -> None:
    """Each instance and stage ends exactly once, and the run last."""
    endings: dict[str, int] = {}
    for each in bench.events:
        match each:
            case e.StageSkipped() | e.InstanceEnded():
                endings[each.instance] = endings.get(each.instance, 0) + 1
            case e.AttemptEnded() if each.retry_at is None:
                endings[each.instance] = endings.get(each.instance, 0) + 1
            case e.StageEnded():
                endings[each.stage] = endings.get(each.stage, 0) + 1
            case _:
                pass
    facts = bench.run.facts
    assert endings == dict.fromkeys([*facts.stages, *facts.instances], 1)
    assert bench.types().count("run.ended") == 1
    assert bench.types()[-1] == "run.ended"


def check_retries(bench: Bench) -> None:
    """No more attempts than allowed, none later than the longest delay."""
    for each in bench.events:
        if isinstance(each, e.AttemptEnded):
            rule = bench.run.facts.stages[each.instance.partition("[")[0]].plan.retry
            assert each.attempt <= rule.limit + 1
            if each.retry_at is not None:
                assert each.attempt <= rule.limit
                assert each.outcome in rule.on
                assert 0 <= each.retry_at - each.at <= rule.max_delay + 1e-6
        elif isinstance(each, e.AttemptStarted):
            instance = bench.instance(each.instance)
            assert instance.deaths <= 3


def check_outcome(bench: Bench) -> None:
    """The run's outcome is the worst of its stages', at least aborted after an abort."""
    stages = bench.run.facts.stages.values()
    rank = max((RANK[s.outcome or ""] for s in stages if not s.ignored), default=0)
    if any(isinstance(each, e.AbortRequested) and each.reason != "stop" for each in bench.events):
        rank = max(rank, 1)
    assert rank == RANK[bench.run.outcome or ""]
