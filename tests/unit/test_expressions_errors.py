"""What expressions say when they cannot be compiled or evaluated: words, hints and places."""

from __future__ import annotations

import pytest

from gennaker.errors import ExpressionError, MissingOutput
from gennaker.expressions import NoOutputs, Scope, compile_condition, compile_expression

SCOPE = Scope(
    {
        "params": {"version": "1.4.0", "count": 3, "none": None, "list": [1]},
        "stages": {"load-test": {"outputs": {}}, "gone": {"outputs": NoOutputs("gone")}},
    }
)

SYNTAX = [
    ("", 0, "expression-syntax: the expression is empty"),
    ("1 +", 3, "expression-syntax: the expression ends too early"),
    ("(1", 2, "expression-syntax: expected ')'"),
    ("1 2", 2, "expression-syntax: unexpected '2'"),
    ("[1 2]", 3, "expression-syntax: expected ']', not '2'"),
    ("a = 1", 2, "expression-syntax: unexpected '='; compare with '=='"),
    ("a & b", 2, "expression-syntax: unexpected '&'; write '&&'"),
    ("'abc", 0, "expression-syntax: a string is not closed; close it with '"),
    ("r'abc", 1, "expression-syntax: a string is not closed; close it with '"),
    (
        r"'a\q'",
        2,
        r"expression-syntax: '\\q' is not an escape here;"
        r" write \\ for a backslash, or a raw string r'…'",
    ),
    ("9223372036854775808", 0, "expression-syntax: this integer does not fit into 64 bits"),
    ("12abc", 2, "expression-syntax: unexpected 'a' after a number"),
    ("for", 0, "expression-syntax: 'for' is a reserved word"),
    ("br'a\ud800'", 4, "expression-syntax: a lone surrogate has no bytes in UTF-8"),
    ("b'a\\n\udcff'", 5, "expression-syntax: a lone surrogate has no bytes in UTF-8"),
    ("a.", 2, "expression-syntax: expected a field name after '.'"),
    (
        "has(params)",
        0,
        "expression-syntax: has() takes one field of something; write it like has(params.name)",
    ),
    (
        "[1].map(1, 2)",
        8,
        "expression-syntax: the first argument of map() is the name of a variable;"
        " write it like list.map(item, …)",
    ),
    (
        "[1].map(params, 2)",
        8,
        "expression-syntax: the variable 'params' would hide 'params' of the scope;"
        " give it another name",
    ),
    (
        "hash_files(params.x)",
        0,
        "expression-syntax: hash_files() takes one literal glob;"
        " write it like hash_files('src/**'); it is computed when the run is created",
    ),
    ("succes()", 0, "unknown-function: unknown function 'succes'; did you mean 'success'?"),
    (
        "zzz()",
        0,
        "unknown-function: unknown function 'zzz';"
        " the functions are listed in the specification of expressions",
    ),
    (
        "slug()",
        0,
        "expression-syntax: slug() is not called like this; its forms: slug(string) -> string",
    ),
    ("success(1)", 0, "expression-syntax: success() takes no argument"),
    (
        "secrets[params.name]",
        0,
        "expression-syntax: a secret is named by a constant;"
        " write it like secrets.db_password or secrets['db-password']",
    ),
    (
        "size(secrets.password)",
        5,
        "secret-in-expression: a secret may only stand alone or be joined with '+';"
        " write it like 'postgres://app:' + secrets.db_password + '@db'",
    ),
]


@pytest.mark.parametrize(("source", "offset", "expected"), SYNTAX)
def test_what_cannot_be_compiled_says_why(source: str, offset: int, expected: str) -> None:
    """The message names the thing and the way out; the offset is where it stands."""
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)

    assert expected == str(raised.value)
    assert offset == raised.value.offset


EVALUATION = [
    (
        "params.count + ' times'",
        13,
        "expression-type: cannot add int and string;"
        " convert one side with string(), int() or double()",
    ),
    (
        "params.count * 1.5",
        13,
        "expression-type: cannot multiply int and double; convert one side with int() or double()",
    ),
    (
        "params.none + 'a'",
        12,
        "expression-type: cannot add null and string; give it a value with default(x, d)",
    ),
    (
        "1 < 'a'",
        2,
        "expression-type: cannot compare int with string;"
        " convert one side with string(), int() or double()",
    ),
    ("1 in 'abc'", 2, "expression-type: 'in' looks into a list or a map, not into string"),
    ("1 / 0", 2, "expression: division by zero"),
    (
        "9223372036854775807 + 1",
        20,
        "expression: the result does not fit into 64 bits; use double()",
    ),
    ("1u - 2u", 3, "expression: the result does not fit into 64 bits without a sign"),
    ("parms.x", 0, "unknown-variable: unknown variable 'parms'; did you mean 'params'?"),
    ("matrix.os", 0, "unknown-variable: 'matrix' has no value here; here are: params, stages"),
    ("params.versoin", 7, "missing-key: there is no 'versoin'; did you mean 'version'?"),
    ("params.zz", 7, "missing-key: there is no 'zz'; known: 'count', 'list', 'none', 'version'"),
    ("params.list[1]", 11, "missing-key: index 1 is outside of a list of 1"),
    (
        "params.none.field",
        12,
        "expression-type: cannot look up 'field' in null; handle that with .? or default(x, d)",
    ),
    ("params.list.x", 12, "expression-type: a list is indexed by an integer, not by string"),
    (
        "stages.load-test.outputs.url",
        7,
        "hyphenated-name: a hyphen is minus in an expression; write stages['load-test']",
    ),
    ("stages.gone.outputs.url", 20, "missing-output: stage 'gone' ended without the output 'url'"),
    (
        "params.count ? 1 : 2",
        7,
        "expression-type: '?' needs a boolean, not int; compare it with something, as in x != ''",
    ),
    (
        "params.version && true",
        7,
        "expression-type: '&&' needs a boolean, not string;"
        " compare it with something, as in x != ''",
    ),
    (
        "size(params.none)",
        0,
        "expression-type: size() does not take (null);"
        " a value is null: give it another with default(x, d)",
    ),
    (
        "slug(1)",
        0,
        "expression-type: slug() does not take (int); its forms: slug(string) -> string",
    ),
    ("success()", 0, "status-outside-if: success() has no meaning here; use it in 'if'"),
    (
        "hash_files('x')",
        0,
        "expression: the files of 'x' were not hashed when the run was created",
    ),
    (
        "b'a'",
        0,
        "expression: bytes is not a value of JSON; convert it with string() or base64.encode()",
    ),
    (
        "params.?x",
        8,
        "expression: optional is not a value of JSON; take its value with .orValue(d)",
    ),
    ("1.0 / 0.0", 4, "expression: +Inf is not a value of JSON"),
    ("{1: 2}", 0, "expression: the keys of a map are strings in JSON; convert them with string()"),
    (
        "semver('1.2')",
        0,
        "expression: '1.2' is not a semantic version; write all three numbers, like '1.4.0'",
    ),
    (
        "duration('90')",
        0,
        "expression: '90' is not a duration; write it like '90s', '5m', '1h30m' or '2d'",
    ),
    (
        "timestamp('today')",
        0,
        "expression: 'today' is not a timestamp; write it like '2026-11-23T10:00:00Z'",
    ),
    (
        "'a'.matches('(?=a)')",
        4,
        "expression: '(?=a)' is not a pattern: invalid perl operator: (?=;"
        " patterns are RE2: no look-around, no back-references, up to 1000 repetitions",
    ),
    ('from_json(\'{"a":1,"a":2}\')', 0, "expression: from_json(): a key is there twice"),
    ("from_json('NaN')", 0, "expression: from_json(): NaN is not JSON"),
    ("slug('?!')", 0, "expression: slug() finds no letter or digit in '?!'"),
    (
        "sort([1, 'a'])",
        0,
        "expression-type: cannot compare int with string;"
        " convert one side with string(), int() or double()",
    ),
]


@pytest.mark.parametrize(("source", "offset", "expected"), EVALUATION)
def test_what_cannot_be_evaluated_says_why(source: str, offset: int, expected: str) -> None:
    """The message names the thing and the way out; the offset is where it stands."""
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source).evaluate(SCOPE)

    assert expected == str(raised.value)
    assert offset == raised.value.offset


def test_a_missing_output_is_an_error_of_its_own() -> None:
    """The engine skips the stage for it, so it is told by its class, with stage and output."""
    with pytest.raises(MissingOutput) as raised:
        compile_expression("'x' + stages.gone.outputs.url").evaluate(SCOPE)

    assert (raised.value.stage, raised.value.output) == ("gone", "url")


@pytest.mark.parametrize(
    "source", ["true || stages.gone.outputs.x == ''", "has(stages.gone.outputs.x)"]
)
def test_a_handled_absence_is_no_error(source: str) -> None:
    """What decides without the output needs none."""
    assert compile_expression(source).evaluate(SCOPE) in (True, False)


@pytest.mark.parametrize(
    "text", ["params.count > 2", "${{ params.count > 2 }}", " ${{params.count>2}} "]
)
def test_a_condition_is_bare_or_wrapped(text: str) -> None:
    """``if`` takes an expression with and without ``${{ }}``."""
    assert compile_condition(text).evaluate(SCOPE) is True


def test_a_condition_is_one_expression() -> None:
    """Text around it would make it a string, which is never false."""
    with pytest.raises(ExpressionError) as raised:
        compile_condition("${{ true }} && ${{ false }}")

    assert (
        str(raised.value)
        == "expression-syntax: a condition is one expression; write it without '${{ }}'"
    )
