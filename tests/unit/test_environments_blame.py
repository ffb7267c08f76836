"""The way back through the deploys of an environment to the one that first had a value."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.stage import ABSENT, Secret
from gennaker_engine.environments.blame import _Search
from gennaker_engine.environments.deployed import Deployed
from gennaker_engine.journal.port import Deployment

OK = "succeeded"


def search(value: Any, *deploys: tuple[Any, str]) -> tuple[str | None, str]:
    """The run that is found for a value, and how: deploys are newest first, ``run-N`` … ``run-1``."""
    found = _Search(value)
    for number, (declared, outcome) in zip(range(len(deploys), 0, -1), deploys, strict=True):
        row = Deployment("s", "staging", f"run-{number}", "web", "p", 1.0, 2.0, outcome)
        if not found.ended:
            found.look(Deployed(row), declared)
    return found.best.row.run if found.best is not None else None, found.known_by


@pytest.mark.parametrize(
    ("deploys", "found"),
    [
        pytest.param([(1, OK), (1, OK), (2, OK)], ("run-2", "value"), id="since-a-change"),
        pytest.param([(1, OK), (1, OK)], ("run-1", "first"), id="since-the-first"),
        pytest.param([(1, OK), (2, OK), (1, OK)], ("run-3", "value"), id="changed-and-back"),
        pytest.param([(2, "errored"), (1, OK)], ("run-1", "first"), id="not-applied"),
        pytest.param([(1, OK), (2, "errored"), (1, OK)], ("run-1", "first"), id="none-between"),
        pytest.param([(1, OK), (2, "failed"), (1, OK)], ("run-3", "value"), id="applied-between"),
        pytest.param([(1, OK), (ABSENT, OK), (1, OK)], ("run-3", "value"), id="was-gone"),
        pytest.param([("1000m", OK), ("1000m", OK)], ("run-1", "first"), id="written-otherwise"),
        pytest.param([(True, OK), (True, OK)], ("run-1", "first"), id="true-is-not-one"),
        pytest.param([(ABSENT, OK), (ABSENT, OK)], (None, "first"), id="never-declared"),
        pytest.param(
            [(Secret("", "db"), OK), (Secret("", "db"), OK)], ("run-2", "last"), id="secret-by-name"
        ),
    ],
)
def test_the_first_deploy_with_the_value_is_found(
    deploys: list[tuple[Any, str]], found: tuple[str | None, str]
) -> None:
    """What a deploy in between declared counts when it was applied."""
    assert search(1, *deploys) == found


def test_another_stage_ends_no_search() -> None:
    """What declares nothing of a field is another stage, unless it is the one that set it."""
    found = _Search(1)
    for run, stage, declared in (("r-3", "web", 1), ("r-2", "other", ABSENT), ("r-1", "web", 1)):
        row = Deployment("s", "staging", run, stage, "p", 1.0, 2.0, OK)
        found.look(Deployed(row), declared)
    assert found.best is not None
    assert (found.best.row.run, found.ended) == ("r-1", False)
