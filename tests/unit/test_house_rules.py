"""The rules for tests hold: nothing is skipped unseen, and a real test is real."""

from __future__ import annotations

import pytest

from tests.fixtures import house_rules

EXCUSES = {
    "a skip by marker": ("@pytest.mark.skip(reason='no moon')\ndef test_it(): pass", "no moon"),
    "a skip in the test": ("def test_it(): pytest.skip('no sun')", "no sun"),
    "a skip in a fixture": (
        "@pytest.fixture\ndef part(): pytest.skip('no part: install it')\ndef test_it(part): pass",
        "no part: install it",
    ),
    "a missing module": ("pytest.importorskip('no_such_module')", "no_such_module"),
    "a skipped file": ("pytest.skip('not today', allow_module_level=True)", "not today"),
    "an expected failure": (
        "@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
        "known",
    ),
    "an expected failure in the test": ("def test_it(): pytest.xfail('broken')", "broken"),
    "an unexpected pass": (
        "@pytest.mark.xfail(reason='fixed', strict=False)\ndef test_it(): pass",
        "fixed",
    ),
}
# Without the rule pytest does not even tell these.
HIDDEN = {
    "a skipped subtest": (
        "def test_it(subtests):\n    with subtests.test('inner'): pytest.skip('inside')",
        "inside",
    ),
}


def run_file(pytester: pytest.Pytester, text: str) -> pytest.RunResult:
    """Run one test file, with this text after ``import pytest``, under the house rules."""
    pytester.makepyfile(f"import pytest\n{text}\n")
    return pytester.runpytest_inprocess("-ra", plugins=[house_rules])


@pytest.mark.parametrize(
    ("text", "reason"), [*EXCUSES.values(), *HIDDEN.values()], ids=[*EXCUSES, *HIDDEN]
)
def test_every_excuse_is_a_failure_when_all_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    """Whatever way a test does not pass fails the session and names its reason."""
    monkeypatch.setenv("GENNAKER_TEST_REQUIRE", "all")
    result = run_file(pytester, text)
    outcomes = result.parseoutcomes()
    assert result.ret != pytest.ExitCode.OK
    assert not outcomes.keys() & {"skipped", "xfailed", "xpassed"}
    result.stdout.fnmatch_lines([f"*not allowed with GENNAKER_TEST_REQUIRE=all: *{reason}*"])


@pytest.mark.parametrize(("text", "reason"), EXCUSES.values(), ids=EXCUSES)
def test_excuses_are_accepted_and_told_otherwise(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    """Without the variable the session succeeds and shows each reason in one line."""
    monkeypatch.delenv("GENNAKER_TEST_REQUIRE", raising=False)
    result = run_file(pytester, text)
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.fnmatch_lines([f"*{reason}*"])


def test_a_passing_test_passes_when_all_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule touches nothing that really passes."""
    monkeypatch.setenv("GENNAKER_TEST_REQUIRE", "all")
    result = run_file(pytester, "def test_it(): pass")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1)


def test_a_real_test_without_a_real_part_is_refused(pytester: pytest.Pytester) -> None:
    """Its collection fails and the message names the test and the fixtures it could use."""
    result = run_file(pytester, "class TestDocker:\n    def test_real_build(self, tmp_path): pass")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*test_real_*, but no real-part fixture is used: *TestDocker::test_real_build*registry*"]
    )


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.fixture\ndef registry(): pass\ndef test_real_push(registry): pass",
        "@pytest.fixture\ndef registry(): pass\n@pytest.fixture\ndef pushed(registry): pass\n"
        "def test_real_push(pushed): pass",
        "@pytest.mark.real('registry')\ndef test_real_push(): pass",
    ],
    ids=["fixture", "fixture of a fixture", "marker"],
)
def test_a_real_test_with_a_real_part_is_collected(pytester: pytest.Pytester, text: str) -> None:
    """A fixture, one behind another, or the marker makes a test real."""
    run_file(pytester, text).assert_outcomes(passed=1)


def test_a_shared_part_without_the_name_is_refused(pytester: pytest.Pytester) -> None:
    """Its collection fails: by the name it is given to the worker that has the part."""
    text = "@pytest.fixture\ndef postgres(): pass\ndef test_it(postgres): pass"
    result = run_file(pytester, text)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*neither test nor file is called test_real_*::test_it. Rename*"])


@pytest.mark.parametrize(
    ("decorator", "seconds"),
    [("", None), ("@given(st.integers())\n", house_rules.PROPERTY_SECONDS)],
)
def test_a_test_of_a_property_has_more_time(
    pytester: pytest.Pytester, decorator: str, seconds: int | None
) -> None:
    """Other tests have what pyproject.toml says."""
    path = pytester.makepyfile(
        f"from hypothesis import given, strategies as st\n{decorator}def test_it(n=0): pass"
    )
    items, _ = pytester.inline_genitems(path)
    house_rules.pytest_collection_modifyitems(items[0].config, items)
    marker = items[0].get_closest_marker("timeout")
    assert (marker and marker.args[0]) == seconds
