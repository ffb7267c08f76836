"""The tables: each row is fired by some run, nothing else is, and they can be drawn."""

from __future__ import annotations

import pytest

from gennaker_engine.core import evolve, evolve_gate, rows
from gennaker_engine.core import messages as m
from gennaker_engine.core.events import RunAbandoned
from gennaker_engine.core.run import Run
from gennaker_engine.core.transitions import TABLES, IllegalTransition, draw_states, move
from tests.core.bench import Bench, make_created

Row = tuple[str, str, str]


def play_everything() -> None:
    """Runs that together take every move there is."""
    play_attempts()
    play_gates_and_locks()
    play_runs()


def play_attempts() -> None:
    """Moves of instances."""
    names = ("finish", "stop", "wait", "retrying", "stopretry", "waitretry", "stopagain")
    stages: dict[str, object] = {
        name: {"uses": "work", "timeout": "30s", "retry": 3} for name in names
    }
    stages["bad"] = {"uses": "work", "with": {"v": "${{ 1 / 0 }}"}}
    bench = Bench.start({"stages": stages})
    bench.succeed("finish")
    bench.wait("wait", "timer", at=bench.now + 5)
    bench.pass_time(5)
    bench.wait("waitretry", "poll", every=1.0, deadline=1)
    bench.fail("retrying")
    bench.tell(m.Adopt("next", "local:ann", died=True))
    bench.pass_time(24)
    bench.pass_time(1)
    bench.tell(m.ReportStopped("stopretry", 1, 2))
    bench.pass_time(60)
    bench.cancel()
    bench.pass_time(20)
    matrix = {"x": [1, 2, 3], "max_parallel": 1}
    bench = Bench.start({"stages": {"m": {"uses": "work", "matrix": matrix}, "e": {"uses": "x"}}})
    bench.wait("e", "poll", every=5.0)
    bench.cancel()
    for stage in (
        {"uses": "work", "retry": 1},
        {"uses": "deploy", "environment": "staging"},
    ):
        bench = Bench.start({"stages": {"a": stage}}, grant_locks=False)
        if "a" in bench.deliveries:
            bench.fail("a")
        bench.cancel()
    bench = Bench.start(
        {"stages": {"a": {"uses": "deploy", "environment": "staging"}}}, grant_locks=False
    )
    bench.tell(m.RefuseLock("staging", "shop-2", "production"))


def play_gates_and_locks() -> None:
    """Moves of gates and locks."""
    for ending in ("approve", "reject", "expire", "withdraw"):
        stages = {
            "go": {"uses": "ask"},
            "a": {"uses": "deploy", "environment": "staging", "needs": "go"},
        }
        bench = Bench.start({"stages": stages})
        bench.wait("go", "decision", deadline=10, required=2)
        bench.tell(m.SubjectPlanned("go/1", {}))
        bench.approve("go")
        if ending == "approve":
            bench.approve("go", "local:eve")
            bench.set_environment("staging", variables={"x": 1})
            bench.succeed("go")
            bench.approve("a")
            bench.approve("a", "local:eve")
            bench.succeed("a")
        elif ending == "reject":
            bench.reject("go")
        elif ending == "expire":
            bench.pass_time(10)
        else:
            bench.cancel()

    stages = {
        "go": {"uses": "ask"},
        "a": {"uses": "deploy", "environment": "staging", "needs": "go"},
    }
    bench = Bench.start({"stages": stages}, grant_locks=False)
    bench.wait("go", "decision")
    bench.approve("go")
    bench.succeed("go")
    bench.set_environment("staging", variables={"x": 1})
    bench.tell(m.GrantLock("staging"))
    bench.approve("a")


def play_runs() -> None:
    """Moves of runs."""
    group = {"group": "g", "limit": 1, "policy": "queue"}
    pipeline = {"stages": {"a": {"uses": "work"}}, "finally": {"z": {"uses": "work"}}}
    Bench.start(pipeline, concurrency=group).cancel()
    bench = Bench.start(pipeline, concurrency=group)
    bench.tell(m.GrantGroup())
    bench.cancel()
    bench.stop("a")
    bench.cancel()
    bench.stop("z")
    bench = Bench.start({"stages": {"a": {"uses": "work"}}})
    bench.succeed("a")
    given_up = [
        Bench.start(pipeline, adopt=False, concurrency=group),
        Bench.start(pipeline),
        Bench.start(pipeline),
    ]
    given_up[2].succeed("a")
    for each in given_up:
        each.run.evolve(RunAbandoned(at=1.0, actor="local:ann", reason="it is damaged"))
    first = Run.replay([make_created(pipeline)])
    first.evolve(RunAbandoned(at=1.0, actor="local:ann", reason="it is damaged"))


def test_each_row_is_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that no run takes has no place in a table."""
    fired: set[Row] = set()

    def record(kind: str, name: str, state: str, trigger: str) -> str:
        fired.add((kind, state, trigger))
        return move(kind, name, state, trigger)

    for module in (rows, evolve, evolve_gate):
        monkeypatch.setattr(module, "move", record)
    play_everything()
    table = {
        (kind, state, trigger)
        for kind, states in TABLES.items()
        for state, moves in states.items()
        for trigger in moves
    }
    assert fired == table


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_what_is_in_no_table_is_refused(kind: str) -> None:
    """With an error that names thing, state and move."""
    for state in TABLES[kind]:
        with pytest.raises(IllegalTransition, match=f"{kind} 'x' is '{state}' and takes no 'fly'"):
            move(kind, "x", state, "fly")


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_every_target_is_a_state(kind: str) -> None:
    """A table leads nowhere outside itself."""
    table = TABLES[kind]
    targets = {target for moves in table.values() for target in moves.values()}
    assert targets <= set(table)


def test_the_diagram_is_drawn_from_the_table() -> None:
    """Mermaid, one arrow for each pair of states."""
    assert draw_states("lock") == (
        "stateDiagram-v2\n"
        "    [*] --> free\n"
        "    free --> requested: request\n"
        "    requested --> held: acquire\n"
        "    requested --> free: release\n"
        "    held --> free: release\n"
    )
    assert "    approved --> [*]\n" in draw_states("gate")
