"""Expressions are checked against declared types before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gennaker.expressions import (
    Type,
    TypeScope,
    check_expression,
    check_template,
    compile_expression,
    compile_template,
)
from gennaker.expressions.types import (
    BOOL,
    DYN,
    GIT,
    INT,
    RUN,
    STRING,
    environment_type,
    list_of,
    params_type,
    stages_type,
)

TYPES = TypeScope(
    {
        "params": params_type(
            {"version": STRING, "count": INT, "debug": BOOL, "tags": list_of(STRING)}
        ),
        "stages": stages_type(
            {"image": {"digest": STRING, "size": INT}, "load-test": None, "m": {"url": STRING}},
            matrix=["m"],
        ),
        "environment": environment_type({"host": STRING}),
        "run": RUN,
        "git": GIT,
        "trigger": DYN,
    },
    secrets=["db_password"],
)

WRONG = [
    (
        "params.count + 'x'",
        13,
        "expression-type: cannot add int and string;"
        " convert one side with string(), int() or double()",
    ),
    (
        "params.versoin",
        7,
        "unknown-parameter: unknown parameter 'versoin'; did you mean 'version'?",
    ),
    ("stages.imgae.outcome", 7, "unknown-stage: unknown stage 'imgae'; did you mean 'image'?"),
    (
        "stages.image.outputs.digst",
        21,
        "unknown-output: unknown output 'digst' of stage 'image'; did you mean 'digest'?",
    ),
    (
        "stages.image.output.digest",
        13,
        "unknown-field: unknown field 'output' of stage 'image'; did you mean 'outputs'?",
    ),
    ("run.numbr", 4, "unknown-field: unknown field 'numbr' of 'run'; did you mean 'number'?"),
    ("git.branc", 4, "unknown-field: unknown field 'branc' of 'git'; did you mean 'branch'?"),
    (
        "environment.variables.hots",
        22,
        "unknown-variable: unknown variable 'hots' of the environment; did you mean 'host'?",
    ),
    ("parms.version", 0, "unknown-variable: unknown variable 'parms'; did you mean 'params'?"),
    (
        "matrix.os",
        0,
        "unknown-variable: 'matrix' has no value here;"
        " here are: environment, git, params, run, stages, trigger",
    ),
    (
        "stages.load-test.outputs.url",
        7,
        "hyphenated-name: a hyphen is minus in an expression; write stages['load-test']",
    ),
    (
        "stages[params.version].outcome",
        0,
        "computed-stage: a stage is named by a constant here;"
        " write stages.ID; only stages of 'finally' may look at all of them",
    ),
    (
        "params.count == '3'",
        13,
        "expression-type: cannot compare int with string;"
        " convert one side with string(), int() or double()",
    ),
    (
        "params.count && true",
        7,
        "expression-type: '&&' needs a boolean, not int; compare it with something, as in x != ''",
    ),
    (
        "size(params.count)",
        0,
        "expression-type: size() does not take (int);"
        " its forms: size(string|bytes|list|map) -> int",
    ),
    ("params.tags['a']", 12, "expression-type: a list is indexed by an integer, not by string"),
    (
        "params.tags.map(t, t + 1)",
        21,
        "expression-type: cannot add string and int;"
        " convert one side with string(), int() or double()",
    ),
    ("stages.m.outputs.url + ''", 21, "expression-type: cannot add list and string"),
    ("params.version.field", 15, "expression-type: string has no elements"),
    (
        "params.version.matches('(')",
        23,
        "expression: '(' is not a pattern: missing ): (;"
        " patterns are RE2: no look-around, no back-references, up to 1000 repetitions",
    ),
    (
        "success()",
        0,
        "status-outside-if: success(), failure(), always() and aborted() have no meaning here;"
        " use them in 'if'",
    ),
    (
        "'x' + secrets.db_password",
        6,
        "secret-misplaced: the secret 'db_password' may not stand here;"
        " use it in an input declared secret, or in a value of 'env'",
    ),
]


@pytest.mark.parametrize(("source", "offset", "expected"), WRONG)
def test_what_must_fail_is_found_before(source: str, offset: int, expected: str) -> None:
    """The message names the thing and the nearest name; the offset is where it stands."""
    found = check_expression(compile_expression(source), TYPES)

    assert [(offset, expected)] == [(each.offset, str(each.at(None))) for each in found]


@pytest.mark.parametrize(
    "source",
    [
        "params.version + string(params.count)",
        "params.count > 1.5 && params.debug",
        "stages['load-test'].outputs.anything.below[0]",
        "stages.m.outputs.url[0]",
        "stages.image.outputs.size + 1",
        "default(git.tag, git.branch) + '-' + git.short_sha",
        "has(environment.variables.other) ? 1 : 2",
        "environment.?namespace.orValue('x')",
        "params.tags.filter(t, t.startsWith('v')).map(t, size(t))",
        "trigger.body.items.exists(i, i.name == 'x')",
        "semver(params.version).major >= 1",
        "timestamp(run.started_at) + duration('1h')",
        "git.tag == null || git.tag == 'v1'",
        "params.debug ? 1 : 'x'",
        "{'a': params.count}.a + 1",
    ],
)
def test_what_may_work_is_left_alone(source: str) -> None:
    """Nothing is reported that some values make right."""
    assert check_expression(compile_expression(source), TYPES) == []


def test_a_condition_must_be_boolean() -> None:
    """``if: params.version`` is found before the run."""
    types = replace(TYPES, expected=BOOL, allows_status=True)
    found = check_expression(compile_expression("params.version"), types)

    assert [str(each.at(None)) for each in found] == [
        "expression-type: 'params.version' is string, but must be bool;"
        " compare it with something, as in x != ''"
    ]
    assert check_expression(compile_expression("always() && params.debug"), types) == []


def test_secrets_stand_where_they_are_declared() -> None:
    """In an input declared secret only the name is checked."""
    types = replace(TYPES, allows_secrets=True)
    found = check_expression(compile_expression("secrets.db_pasword"), types)

    assert [str(each.at(None)) for each in found] == [
        "unknown-secret: unknown secret 'db_pasword'; did you mean 'db_password'?"
    ]
    assert check_expression(compile_expression("'x' + secrets.db_password"), types) == []


def test_finally_may_look_at_all_stages() -> None:
    """There a computed index into ``stages`` is allowed."""
    types = replace(TYPES, allows_any_stage=True)

    assert (
        check_expression(
            compile_expression("stages.exists(s, stages[s].outcome == 'failed')"), types
        )
        == []
    )


def test_all_problems_of_a_template_are_found_in_its_text() -> None:
    """Offsets are those of the whole string; a list has no place inside a longer one."""
    template = compile_template("${{ params.versoin }} ${{ params.tags }} ${{ run.nr }}")
    found = check_template(template, TYPES)

    assert [(each.offset, each.code) for each in found] == [
        (11, "unknown-parameter"),
        (26, "expression-type"),
        (49, "unknown-field"),
    ]


def test_a_whole_template_must_be_of_the_expected_type() -> None:
    """An input that must be a list does not take an integer."""
    types = replace(TYPES, expected=list_of(DYN))

    assert [
        each.code for each in check_template(compile_template("${{ params.count }}"), types)
    ] == ["expression-type"]
    assert check_template(compile_template("${{ params.tags }}"), types) == []
    assert str(Type("list")) == "list"
