"""Runs that wait for a lock or a place while nobody drives them: the others are not held up."""

from __future__ import annotations

import pytest

from gennaker_engine.cli.main import main
from gennaker_engine.core.messages import Decide
from gennaker_engine.journal.checking import check_journal
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = "project: shop\nenvironments:\n  staging: {variables: {x: y}}\n"
LOCK = """name: shop
stages:
  deploy: {uses: t.deploy, environment: staging}
  ask: {uses: approval, needs: deploy}
  again: {uses: t.deploy, environment: staging, needs: ask}
"""
GROUP = "name: shop\nconcurrency: {group: one, limit: 1}\nstages:\n  ask: {uses: approval}\n"


@pytest.mark.parametrize("pipeline", [LOCK, GROUP])
def test_a_parked_run_that_waits_is_passed_over(tmp_path, pipeline):
    """Three runs, the second left while it waited: the third goes first, then the second its turn."""
    engine = open_engine(write_project(tmp_path, pipeline, SETTINGS))
    first, second, third = (start_run(engine) for _ in range(3))
    for run in (first, second):
        engine.drive(run, detach_on_wait=True)
    places = {claim.run: claim.place for claim in engine.journal.read_claims()}
    for run in (first, third):
        assert engine.drive(run, detach_on_wait=True).facts.open_gates
        engine.send(run, Decide("ask", "approve", "local:bob"))
        assert engine.drive(run).outcome == "succeeded"
        assert check_journal(engine.journal) == []
    (claim,) = engine.journal.read_claims()
    assert (claim.run, claim.place, claim.holding) == (second, places[second], False)
    assert engine.drive(second, detach_on_wait=True).facts.open_gates
    assert engine.journal.read_claims()[0].holding
    engine.send(second, Decide("ask", "approve", "local:bob"))
    assert engine.drive(second).outcome == "succeeded"
    assert engine.journal.read_claims() == []
    assert check_journal(engine.journal) == []
    engine.close()


STAGE = "uses: shell, environment: staging, with: {source: false, run: 'true'}"
SHELL = f"""name: shop
stages:
  a: {{{STAGE}}}
  ask: {{uses: approval, needs: a}}
  b: {{{STAGE}, needs: ask}}
"""


@pytest.mark.parametrize(
    ("pipeline", "told"),
    [
        (SHELL, "a: waits for environment staging, which shop-1 holds (taken "),
        (GROUP, "shop-2: waits for group one, which shop-1 holds (taken "),
    ],
)
def test_who_follows_is_told_who_holds_what_it_waits_for(tmp_path, capsys, pipeline, told):
    """Holder, since when, that nobody drives it, and how to go on; status says the same."""
    write_project(tmp_path, pipeline, SETTINGS)
    words = ["--project", str(tmp_path)]
    assert main([*words, "run", "shop", "--detach-on-wait"]) == 6
    assert "which shop-1 holds" not in capsys.readouterr().err
    assert main([*words, "run", "shop", "--detach-on-wait"]) == 6
    said = capsys.readouterr().err
    (line,) = (line for line in said.splitlines() if line.startswith(told))
    assert line.endswith(" ago); nobody drives shop-1: gennaker resume shop-1")
    assert main([*words, "status", "shop-2"]) == 0
    shown = capsys.readouterr().out
    assert "nobody drives " in shown
    assert "gennaker resume shop-1" in shown
