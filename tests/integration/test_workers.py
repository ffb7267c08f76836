"""Tests are shared out as ``tests/fixtures/workers.py`` says, by the pytest and pytest-xdist that are pinned."""

from __future__ import annotations

import pytest

from tests.fixtures import workers


def test_one_worker_runs_all_tests_of_real_parts(pytester: pytest.Pytester) -> None:
    """Whether the file or the test is called so; the other worker begins with the rest."""
    pytester.makepyfile(
        test_real_one="def test_it(): pass\nclass TestIt:\n    def test_it(self): pass",
        test_two="def test_real_it(): pass\ndef test_real_that(): pass",
        test_three="def test_this(): pass\ndef test_that(): pass",
    )
    options = ("-v", "-n", "2", "--dist", "loadscope", "-p", "no:randomly")
    result = pytester.runpytest_inprocess(*options, plugins=[workers])
    result.assert_outcomes(passed=6)
    passed = [line.split() for line in result.outlines if " PASSED " in line]
    owners = {words[0] for words in passed if "test_real_" in words[-1]}
    others = {words[0] for words in passed if "test_real_" not in words[-1]}
    assert len(owners) == 1, passed
    assert others - owners, passed
