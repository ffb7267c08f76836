"""Hostile expressions: items 15 to 24, those that have no test beside the module they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import ExpressionError
from gennaker.expressions import Scope, compile_expression, compile_template
from gennaker.stage import Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.scripts.shell_stage import Shell
from tests.checklist.bounds import bounded, problems_of

HOSTILE = [
    'zzz";echo${IFS}"hello";#',
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    "--upload-pack=touch pwned",
    "a\ntouch pwned",
    "${{ secrets.token }}",
    "<script>alert(1)</script>",
    "'); DROP TABLE runs; --",
]


def value_of(source: str, **values: Any) -> Any:
    """Return the value of an expression, within the bounds."""
    with bounded():
        return compile_expression(source).evaluate(Scope(values))


def error_of(source: str, **values: Any) -> str:
    """Return the error of an expression as it is shown, within the bounds."""
    with bounded(), pytest.raises(ExpressionError) as caught:
        compile_expression(source).evaluate(Scope(values))
    return str(caught.value)


def test_checklist_15_a_chain_of_32_kib_is_refused() -> None:
    """It is too long; the longest that is not too long is evaluated."""
    assert error_of("1" + "+1" * 16_000).startswith("expression-limit: an expression may have")
    assert value_of("1" + "+1" * 2000) == 2001


def test_checklist_16_nested_maps_are_refused() -> None:
    """Seven levels of ten elements would be ten million steps."""
    ten = "[0,1,2,3,4,5,6,7,8,9]"
    source = "1"
    for level in range(7):
        source = f"{ten}.map(x{level}, {source})"
    assert error_of(source).startswith("expression-limit: the expression needs more than 10000")


def test_checklist_17_doubling_a_text_is_refused() -> None:
    """Thirty doublings of 16 characters would be 16 GiB."""
    source = "['aaaaaaaaaaaaaaaa']" + ".map(a, a + a)" * 30
    assert error_of(source).startswith("expression-limit: the expression builds more than 1048576")


@pytest.mark.parametrize(
    "pattern", ["(a*)*$", "(a|aa)+$", "(?=a)b", "(a)\\\\1", "a{1001}", "(a{100}){100}", "(?<n>a"]
)
def test_checklist_18_patterns_take_linear_time(pattern: str) -> None:
    """What other engines backtrack in is answered; what RE2 has not is refused."""
    source = f"text.matches('{pattern}')"
    with bounded():
        try:
            compile_expression(source).evaluate(Scope({"text": "a" * 10_000 + "b"}))
        except ExpressionError as error:
            assert error.code in ("expression", "expression-limit")


@pytest.mark.parametrize(
    "source",
    [
        "1 / 0",
        "1 % 0",
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "9223372036854775807 * 2",
        "0u - 1u",
        "int(1e300)",
        "timestamp('9999-12-31T23:59:59Z') + duration('1s')",
        "duration('315576000001s')",
    ],
)
def test_checklist_20_overflow_is_an_error(source: str) -> None:
    """Division by zero and numbers, moments and durations out of range have no value."""
    assert error_of(source)


def test_checklist_21_absent_null_and_unknown_are_three_things() -> None:
    """A missing key and an unknown variable are errors, null is a value; has() tells two apart."""
    values = {"params": {"none": None}}
    assert error_of("params.nope", **values).startswith("missing-key: there is no 'nope'")
    assert error_of("nope", **values).startswith("unknown-variable: ")
    assert value_of("params.none == null", **values) is True
    assert value_of("has(params.none) && !has(params.nope)", **values) is True
    with pytest.raises(ExpressionError, match="is null, which has no place inside a text"):
        compile_template("a ${{ params.none }}").evaluate(Scope(values))


@pytest.mark.parametrize("text", HOSTILE)
def test_checklist_22_untrusted_text_reaches_a_script_as_a_value_only(
    tmp_path: Path, text: str
) -> None:
    """A branch's name in a variable is that text in a script, whatever it says."""
    value = compile_template("${{ git.branch }}").evaluate(Scope({"git": {"branch": text}}))
    context = FakeContext(tmp_path / "context")
    inputs = {"run": 'printf %s "$BRANCH" > "$GENNAKER_OUTPUT.copy"; cat "$GENNAKER_OUTPUT.copy"'}
    outcome = Shell().run(
        Shell.Inputs.model_validate({**inputs, "env": {"BRANCH": value}}), context
    )
    assert outcome == Succeeded({})
    assert "\n".join(line for _, line in context.lines) == text
    assert not list(tmp_path.rglob("pwned"))


def test_checklist_22_an_expression_in_a_script_is_refused(tmp_path: Path) -> None:
    """The message shows the variable to use."""
    text = "name: one\nstages:\n  a: {uses: shell, with: {run: 'echo ${{ git.branch }}'}}\n"
    (found,) = problems_of(text, tmp_path)
    assert "expression-in-script" in found
    assert "env: {BRANCH:" in found


def test_checklist_23_a_result_is_not_evaluated_again() -> None:
    """Text that looks like an expression stays text."""
    scope = Scope({"params": {"x": "${{ 1 + 1 }}"}})
    assert compile_template("${{ params.x }}").evaluate(scope) == "${{ 1 + 1 }}"
    assert compile_template("a ${{ params.x }}").evaluate(scope) == "a ${{ 1 + 1 }}"


@pytest.mark.parametrize(
    "stage",
    [
        "{uses: shell, name: '${{ secrets.db }}', with: {run: x}}",
        "{uses: shell, if: secrets.db == 'x', with: {run: x}}",
        "{uses: shell, matrix: {x: '${{ secrets.db }}'}, with: {run: x}}",
        "{uses: shell, with: {run: x, outputs: ['${{ secrets.db }}']}}",
        "{uses: shell, with: {run: x, env: {A: '${{ sha256(secrets.db) }}'}}}",
        "{uses: shell, with: {run: x, env: {A: '${{ default(secrets.db, 1) }}'}}}",
    ],
)
def test_checklist_24_a_secret_stands_only_where_it_is_hidden(tmp_path: Path, stage: str) -> None:
    """In no name, condition, matrix or plain input, and under no function that would change it."""
    (tmp_path / "gennaker.yaml").write_text("project: p\nsecrets: {db: {env: DB_PASSWORD}}\n")
    found = problems_of(f"name: one\nstages:\n  a: {stage}\n", tmp_path)
    assert any("secret" in each for each in found), found
    allowed = "{uses: shell, with: {run: x, env: {A: '${{ secrets.db }}'}}}"
    assert problems_of(f"name: one\nstages:\n  a: {allowed}\n", tmp_path) == []
