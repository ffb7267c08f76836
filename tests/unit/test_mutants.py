"""The check of the core's tests by mutants: what it changes, and that its list is a current one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gennaker_engine.core.transitions import TABLES
from tests.mutants.__main__ import read_reasons
from tests.mutants.mutate import Mutant, find_mutants

pytestmark = pytest.mark.timeout(60)  # it parses the whole core a thousand times


@pytest.fixture(scope="module")
def mutants() -> Iterator[dict[str, Mutant]]:
    """All of them, by name."""
    found = find_mutants()
    yield {each.name: each for each in found}
    assert len({each.name for each in found}) == len(found), "two mutants have one name"


def test_every_row_of_the_transition_tables_has_two(mutants: dict[str, Mutant]) -> None:
    """It is taken out, and it leads elsewhere."""
    for kind, table in TABLES.items():
        for state, moves in table.items():
            for trigger in moves:
                row = f"transitions.{kind.upper()}[{state}][{trigger}]"
                assert sum(name.startswith(row) for name in mutants) == 2, row


def test_a_mutant_is_what_its_name_says(mutants: dict[str, Mutant]) -> None:
    """The function works otherwise from then on, for all who have it."""
    from gennaker_engine.core.approvals import matches_rule

    mutant = mutants["approvals.matches_rule: kind == 'local' → kind != 'local'"]
    code = matches_rule.__code__
    assert matches_rule("local:ann", "local:ann", {})
    mutant.apply()
    try:
        assert not matches_rule("local:ann", "local:ann", {})
    finally:
        matches_rule.__code__ = code


def test_listed_survivors_exist(mutants: dict[str, Mutant]) -> None:
    """A list of reasons for code that is gone helps nobody."""
    assert read_reasons().keys() - mutants.keys() == set()
