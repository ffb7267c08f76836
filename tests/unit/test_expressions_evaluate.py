"""What expressions give: a table of cases for each part of the language."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from gennaker.expressions import NoOutputs, Scope, compile_expression

SCOPE = Scope(
    {
        "params": {"version": "1.4.0", "count": 3, "ratio": 2.5, "none": None, "flag": True},
        "stages": {
            "image": {
                "outputs": {"digest": "sha256:ab", "tags": ["a", "b"]},
                "outcome": "succeeded",
            },
            "load-test": {"outputs": {"url": "http://x"}, "outcome": "succeeded"},
            "gone": {"outputs": NoOutputs("gone"), "outcome": "failed"},
        },
        "run": {"started_at": "2026-11-23T10:00:00Z"},
    },
    files={"src/**": "sha256:0f"},
)

REFERENCES = [
    ("stages.image.outputs.digest", "sha256:ab"),
    ("stages['load-test'].outputs.url", "http://x"),
    ("stages.`load-test`.outputs.url", "http://x"),
    ("stages.image.outputs.tags[1]", "b"),
    ("stages.gone.outcome", "failed"),
    ("has(stages.image.outputs.digest)", True),
    ("has(stages.image.outputs.other)", False),
    ("has(stages['load-test'])", True),
    ("has(params['ver-sion'])", False),
    ("has(stages.gone.outputs.digest)", False),
    ("'digest' in stages.gone.outputs", False),
    ("stages.gone.outputs.?digest.orValue('none')", "none"),
    ("default(stages.gone.outputs.digest, 'none')", "none"),
    ("timestamp(run.started_at).getFullYear()", 2026),
    ("hash_files('src/**')", "sha256:0f"),
]
ARITHMETIC = [
    ("1 + 2 * 3 - 4 / 3 % 2", 6),
    ("-7 / 2", -3),
    ("-7 % 2", -1),
    ("7 % -2", 1),
    ("1.5 / 0.0 > 1.0", True),
    ("-9223372036854775808", -(2**63)),
    ("18446744073709551615u == 18446744073709551615u", True),
    ("0x1F + 1", 32),
    ("params.count * 2", 6),
    ("params.ratio * double(params.count)", 7.5),
    ("'a' + 'b'", "ab"),
    ("[1] + [2]", [1, 2]),
    ("b'ab' + b'c' == b'abc'", True),
]
LOGIC = [
    ("true || 1 / 0 == 1", True),
    ("1 / 0 == 1 || true", True),
    ("false && 1 / 0 == 1", False),
    ("1 / 0 == 1 && false", False),
    ("1 == 1.0 && 1u == 1 && 1 < 1.5", True),
    ("true == 1", False),
    ("'1' == 1", False),
    ("[1, 2.0] == [1.0, 2]", True),
    ("{'a': [1]} == {'a': [1.0]}", True),
    ("params.none == null", True),
    ("params.flag ? 1 : 1 / 0", 1),
    ("false ? 1 : true ? 2 : 3", 2),
    ("1 in [1, 2] && 'a' in {'a': 1} && !(3 in [1])", True),
    ("!!true", True),
]
MACROS = [
    ("[1, 2, 3].all(x, x > 0)", True),
    ("[0, 2].exists(x, 1 / x == 0)", True),
    ("[1, 2, 3].exists_one(x, x > 2)", True),
    ("[1, 2, 3].map(x, x * 2)", [2, 4, 6]),
    ("[1, 2, 3].map(x, x > 1, x * 2)", [4, 6]),
    ("[1, 2, 3].filter(x, x % 2 == 1)", [1, 3]),
    ("{'a': 1}.map(k, k + '!')", ["a!"]),
    ("[[1], [2]].map(x, x.map(y, y + size(x)))", [[2], [3]]),
]
STRINGS = [
    ("size('héllo')", 5),
    ("'a,b,c'.split(',')", ["a", "b", "c"]),
    ("'a,b,c'.split(',', 2)", ["a", "b,c"]),
    ("['a', 'b'].join('-')", "a-b"),
    ("'abab'.replace('a', 'x', 1)", "xbab"),
    ("' a\\t'.trim()", "a"),
    ("'ÄbC'.lowerAscii()", "Äbc"),
    ("'äbc'.upperAscii()", "äBC"),
    ("'héllo'.substring(1, 3)", "él"),
    ("'héllo'.charAt(1)", "é"),
    ("'abcabc'.indexOf('c', 3)", 5),
    ("'abcabc'.lastIndexOf('c')", 5),
    ("'%s is %d, %.2f, %x%%'.format(['a', 5, 1.5, 255])", "a is 5, 1.50, ff%"),
    ("'%s'.format([[1, 'a', {'b': null}]])", "[1, a, {b: null}]"),
    ("'v1.4'.matches('^v[0-9.]+$')", True),
    (r"r'\d' == '\\d' && '\x41\u0042\103' == 'ABC'", True),
    ("string(1.0) + string(2u) + string(true)", "12true"),
    ("int('42') + int(4.9) + int(3u)", 49),
    ("bool('TRUE')", True),
    ("type(1) == int && type(null) == null_type && type([]) == list", True),
]
OURS = [
    ("default(params.none, 'd')", "d"),
    ("default(params.other, default(params.more, 1))", 1),
    ("default(params.count, 1 / 0)", 3),
    ("params.?other.orValue('d')", "d"),
    ("params.?count.value()", 3),
    ("params[?'count'].hasValue()", True),
    ("optional.none().or(optional.of(2)).value()", 2),
    ("[?params.?other, ?params.?count]", [3]),
    ("{?'a': params.?other, 'b': 1}", {"b": 1}),
    ("semver('1.10.0') > semver('v1.9.3') && semver('1.0.0-rc.2') < semver('1.0.0-rc.10')", True),
    ("semver('1.0.0-rc.1') < semver('1.0.0') && semver('1.0.0+a') == semver('1.0.0')", True),
    ("semver('v1.2.3-rc.1')", "1.2.3-rc.1"),
    ("semver('1.2.3-rc.1').minor + semver('1.2.3').patch", 5),
    ("semver('1.2.3-rc.1').prerelease", "rc.1"),
    ("slug('Feature/Äpfel_&_Birnen!')", "feature-apfel-birnen"),
    (f"slug('{'a' * 62}-b')", "a" * 62),
    ("sha256('a')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ("base64.encode('hello')", "aGVsbG8="),
    ("string(base64.decode('aGVsbG8='))", "hello"),
    ("""to_json({'b': [1, 1.0, null], 'a': 'é'})""", '{"a":"é","b":[1,1,null]}'),
    ("""from_json('{"a": [1, 2.5]}').a""", [1, 2.5]),
    ("url_encode('a b/é~')", "a%20b%2F%C3%A9~"),
    ("flatten([1, [2, [3]]])", [1, 2, [3]]),
    ("flatten([1, [2, [3]]], 2)", [1, 2, 3]),
    ("distinct([1, 1.0, 'a', true, 'a', [1], [1.0]])", [1, "a", True, [1]]),
    ("sort([3, 1.5, 2])", [1.5, 2, 3]),
    ("['b', 'a'].sort()", ["a", "b"]),
]
TIME = [
    ("duration('1h30m') == duration('90m') && duration('2d') == duration('48h')", True),
    ("duration('90s')", "1m30s"),
    ("string(duration('-1h30m'))", "-1h30m"),
    ("timestamp('2026-11-23T10:00:00+02:00')", "2026-11-23T08:00:00Z"),
    ("timestamp('2026-11-23T10:00:00Z') + duration('1d')", "2026-11-24T10:00:00Z"),
    ("timestamp('2026-11-23T10:00:00.5Z')", "2026-11-23T10:00:00.500Z"),
    ("timestamp('2026-11-23T23:30:00Z').getDate('+02:00')", 24),
    ("timestamp('2026-11-23T23:30:00Z').getDayOfWeek()", 1),
    ("duration('1h30m').getMinutes()", 90),
]


@pytest.mark.parametrize(
    ("source", "expected"),
    [*REFERENCES, *ARITHMETIC, *LOGIC, *MACROS, *STRINGS, *OURS, *TIME],
)
def test_an_expression_gives(source: str, expected: Any) -> None:
    """Each case gives its value, of exactly that type."""
    found = compile_expression(source).evaluate(SCOPE)

    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{'b': [1, {'c': 'x'}], 'a': {}}", "a: {}\nb:\n- 1\n- c: x\n"),
        (
            "['yes', '1', 'a: b', '', './x', '.5']",
            '- "yes"\n- "1"\n- "a: b"\n- ""\n- ./x\n- ".5"\n',
        ),
        ("{'script': 'a\\nb\\n'}", "script: |\n  a\n  b\n"),
        ("'a'", "a\n"),
    ],
)
def test_to_yaml_is_written_in_blocks(data: str, expected: str) -> None:
    """Keys are sorted, doubtful words quoted and lines kept as lines."""
    assert expected == compile_expression(f"to_yaml({data})").evaluate(SCOPE)


def test_the_status_functions_ask_the_scope() -> None:
    """Each of the four asks the status; ``calls_status`` says whether any is called."""

    class Status:
        def success(self) -> bool:
            return False

        def failure(self) -> bool:
            return True

        def always(self) -> bool:
            return True

        def aborted(self) -> bool:
            return False

    scope = Scope(status=Status())
    asked = {
        name: compile_expression(f"{name}()").evaluate(scope)
        for name in ("success", "failure", "always", "aborted")
    }

    assert asked == {"success": False, "failure": True, "always": True, "aborted": False}
    assert compile_expression("params.a || failure()").calls_status
    assert not compile_expression("params.success").calls_status


def test_a_result_shares_nothing_with_the_scope() -> None:
    """Who changes a result changes no data of the run."""
    data = {"a": [1]}
    found = compile_expression("params").evaluate(Scope({"params": data}))
    found["a"].append(2)

    assert data == {"a": [1]}


def test_references_say_what_an_expression_mentions() -> None:
    """Roots, constant paths, computed indexes and handled absences are told apart."""
    source = "has(stages.a.outputs.x) ? stages.a.outputs.x : stages['b-c'].outputs[params.key]"
    found = [
        (each.root, each.path, each.computed, each.guarded)
        for each in compile_expression(source).references
    ]

    assert found == [
        ("stages", ("a", "outputs", "x"), False, True),
        ("stages", ("a", "outputs", "x"), False, True),
        ("stages", ("b-c", "outputs"), True, False),
        ("params", ("key",), False, False),
    ]


def test_a_macro_variable_is_no_reference() -> None:
    """Only what the scope gives is mentioned."""
    found = compile_expression("params.list.map(item, item.name + run.id)").references

    assert [(each.root, each.path) for each in found] == [("params", ("list",)), ("run", ("id",))]


def test_hash_globs_are_known_before_the_run() -> None:
    """Each literal glob is listed once."""
    found = compile_expression("hash_files('a/**') + hash_files('b') + hash_files('a/**')")

    assert found.hash_globs == ("a/**", "b")


def test_a_whole_reference_is_told() -> None:
    """An expression that is one reference says which; anything more says None."""
    whole = compile_expression("stages['load-test'].outputs.url").reference

    assert whole is not None
    assert whole.path == ("load-test", "outputs", "url")
    assert compile_expression("stages.a.outputs.url + ''").reference is None
    assert compile_expression("default(params.a, '')").reference is None


def test_a_compiled_expression_is_kept() -> None:
    """The same source is compiled once."""
    assert compile_expression("params.kept") is compile_expression("params.kept")


def test_expressions_load_nothing_heavy() -> None:
    """Compiling and evaluating loads no validation, graph, YAML or RE2 library."""
    code = (
        "import sys\n"
        "from gennaker.expressions import Scope, check_template, compile_template\n"
        "compile_template('${{ 1 + 1 }}').evaluate(Scope())\n"
        "print([name for name in ('pydantic', 'networkx', 're2', 'yaml', 'structlog')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "[]\n"
