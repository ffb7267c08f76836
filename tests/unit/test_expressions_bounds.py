"""No expression takes long or much, and none fails in any way but its own."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker.errors import ExpressionError
from gennaker.expressions import Limits, Scope, compile_expression, compile_template
from gennaker.expressions.limits import LimitError

SECONDS = 2.0
BYTES = 256 << 20

TEN = "[0,1,2,3,4,5,6,7,8,9]"
SCOPE = Scope(
    {
        "text": "ab" * (1 << 19),
        "long": list(range(100_000)),
        "texts": ["x" * 1000] * 1000,
        "huge": 10**5000,
        "maps": [{f"k{index}": "v"} for index in range(3000)],
    }
)


def _nest(levels: int) -> str:
    source = "1"
    for level in range(levels):
        source = f"{TEN}.map(x{level}, {source})"
    return source


TOO_MUCH = [
    "(" * 2000 + "1" + ")" * 2000,
    "!" * 4000 + "true",
    "-" * 4000 + "1",
    "[" * 2000 + "]" * 2000,
    "x" + ".a" * 2000,
    "x" + "[0]" * 1300,
    "'a'" + ".trim()" * 580,
    "true" + " ? 1 : true" * 300 + " ? 1 : 2",
    "'" + "a" * 5000 + "'",
    _nest(7),
    _nest(13),
    "['" + "a" * 500 + "']" + ".map(a, a + a)" * 28,
    "[[0]]" + ".map(a, a + a)" * 28,
    "[[0]]" + ".map(a, [a, a])" * 28,
    "to_json([[0]]" + ".map(a, [a, a])" * 25 + ")",
    "[[" + "null," * 600 + "null]]" + ".map(a, [a, a])" * 20,
    "to_json([[" + "''," * 600 + "true]]" + ".map(a, [a, a])" * 20 + ")",
    "to_yaml([[0]]" + ".map(a, [a, a])" * 25 + ")",
    "'%s'.format([[0]" + ".map(a, [a, a])" * 25 + "])",
    "distinct([[0]]" + ".map(a, [a, a])" * 25 + ")",
    "[[0]]" + ".map(a, [a, a])" * 14 + " == [[0]]" + ".map(a, [a, a])" * 14,
    "text.replace('', text)",
    "text.split('')",
    "texts.join(text)",
    "url_encode(text)",
    "[1,2,3,4,5,6,7,8,9].map(a, text.contains('aaab' + string(a)))" + ".map(a, text)" * 20,
    "long.all(a, !text.contains('ba' + string(a)))",
    "texts.exists(a, a.matches('(.*a.{18}){3}'))",
    "text.matches('(a?){500}b{400}[ab]{400}$')",
    "text.matches('[\\\\s\\\\S]*a[\\\\s\\\\S]{900}$')",
    "long.sort()",
    "long == long",
    "maps.map(a, maps.map(b, maps[0]['zz'] == 1 || true))",
    "from_json(['[['].map(a, a + a + a + a + a + a + a + a)"
    + ".map(a, a + a + a + a + a + a + a + a)[0]" * 1
    + ")",
]


@pytest.mark.timeout(60)  # the time that counts is measured below
@pytest.mark.parametrize("source", TOO_MUCH, ids=lambda source: f"{source[:30]}…{len(source)}")
def test_too_much_is_refused_in_time(source: str) -> None:
    """What would take too long or too much ends with an error, soon and small."""
    started = time.process_time()
    with pytest.raises(ExpressionError):
        compile_expression(source).evaluate(SCOPE)
    taken = time.process_time() - started
    # Watched memory makes all of it several times slower: hence once for the time, once for the size.
    tracemalloc.start()
    with pytest.raises(ExpressionError):
        compile_expression(source).evaluate(SCOPE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken < SECONDS
    assert peak < BYTES


def test_a_long_chain_is_not_deep() -> None:
    """A flat chain of a thousand operands is no nesting."""
    assert compile_expression("1" + " + 1" * 999).evaluate(Scope()) == 1000
    assert compile_expression("true" + " && true" * 400).evaluate(Scope()) is True


def test_a_limit_is_not_absorbed() -> None:
    """``||`` absorbs errors, but never the end of the budget."""
    with pytest.raises(LimitError) as raised:
        compile_expression(f"{_nest(6)} == [] || true").evaluate(Scope())

    assert (
        str(raised.value) == "expression-limit: the expression needs more than 10000 steps;"
        " work on a shorter list, or do this in a stage"
    )


def test_limits_can_be_set() -> None:
    """Each limit is the caller's to set."""
    with pytest.raises(LimitError, match="more than 3 steps"):
        compile_expression("1 + 1 + 1 + 1").evaluate(Scope(limits=Limits(steps=3)))
    with pytest.raises(LimitError, match="more than 10 bytes"):
        compile_expression("'aaaaaa' + 'aaaaaa'").evaluate(Scope(limits=Limits(bytes=10)))
    with pytest.raises(LimitError, match="may have 5 bytes"):
        compile_expression("1 + 1 + 1", Limits(source=5))
    with pytest.raises(LimitError, match="more than 2 levels"):
        compile_expression("[[[1]]]", Limits(depth=2))


def test_a_template_shares_one_budget() -> None:
    """Many small expressions in one string are bounded together."""
    small = f"${{{{ {_nest(3)}.size() }}}}"
    with pytest.raises(LimitError, match="steps"):
        compile_template(small * 9).evaluate(SCOPE)
    with pytest.raises(LimitError, match="1000 expressions"):
        compile_template("${{ 1 }}" * 1001)


@pytest.mark.parametrize(
    "source",
    [
        "huge + 1",
        "string(huge)",
        "huge",
        "{huge: 1}",
        "long[huge]",
        "'%d'.format([huge])",
        "double(huge)",
        "huge == 1.5",
        "-huge",
        "sort([huge, 1.5])",
        "to_json([huge])",
        "timestamp(huge)",
        "flatten([1], huge)",
        "from_json('1' + '0'.replace('0', texts[0]))",
    ],
)
def test_an_integer_above_64_bits_is_an_error(source: str) -> None:
    """Python's own integers have no end; those of expressions do."""
    with pytest.raises(ExpressionError):
        compile_expression(source).evaluate(SCOPE)


@pytest.mark.parametrize(
    "source",
    [
        "''.__class__",
        "params.__class__",
        "[].__class__.__mro__",
        "'{0.__class__}'.format([1])",
        "params.keys()",
        "params.items",
        "semver('1.2.3')._key",
    ],
)
def test_checklist_19_python_is_out_of_reach(source: str) -> None:
    """No attribute or method of a Python object is an element of a value."""
    with pytest.raises(ExpressionError):
        compile_expression(source).evaluate(Scope({"params": {}}))


WORDS = st.sampled_from(
    [
        "params",
        "stages",
        "secrets",
        "run",
        "a",
        "b",
        "x",
        "1",
        "2.5",
        "3u",
        "'a'",
        "b'c'",
        '"d"',
        "null",
        "true",
        "false",
        "int",
        "string",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "?",
        ":",
        ".",
        ",",
        "&&",
        "||",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "in",
        ".?",
        "[?",
        "has(",
        "size(",
        ".map(x,",
        ".filter(x,",
        ".all(x,",
        "default(",
        "string(",
        "int(",
        "duration(",
        "'1h'",
        "timestamp(",
        "semver(",
        "'1.2.3'",
        ".split(",
        ".join(",
        ".replace(",
        ".format(",
        "to_json(",
        "from_json(",
        "sort(",
        "distinct(",
        "flatten(",
        "optional.of(",
        ".orValue(",
        ".matches(",
        "'a+'",
        "sha256(",
        "slug(",
    ]
)
DATA: dict[str, Any] = {
    "params": {"a": 1, "b": ["x", None, 2.5]},
    "stages": {},
    "x": "text",
    "a": 1,
}


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60))
@settings(max_examples=300, deadline=2000)
def test_any_text_gives_a_value_or_an_expression_error(source: str) -> None:
    """Nothing but ``ExpressionError`` leaves the compiler or the evaluator."""
    try:
        compile_expression(source).evaluate(Scope(DATA))
    except ExpressionError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(source)


@given(st.text(alphabet="${} ap.'\"\\+[", max_size=40))
@settings(max_examples=400)
def test_any_string_is_a_template_or_an_expression_error(text: str) -> None:
    """The same for strings with and without expressions."""
    try:
        compile_template(text).evaluate(Scope(DATA))
    except ExpressionError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(text)
