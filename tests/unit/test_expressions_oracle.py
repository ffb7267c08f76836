"""Our CEL against Google's: the same value, or both refuse, but for the listed differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker.errors import ExpressionError
from gennaker.expressions import Scope, compile_expression

cel = pytest.importorskip("cel_expr_python.cel")

DATA: dict[str, Any] = {
    "i": 3,
    "d": 2.5,
    "s": "héllo",
    "b": True,
    "n": None,
    "l": [1, 2.5, "a", None, True, [1]],
    "m": {"k": 1, "a-b": {"c": [1, 2]}, "z": None},
}
SCOPE = Scope(DATA)


def _make_oracle() -> Any:
    from cel_expr_python.ext import ext_encoders, ext_optional, ext_strings

    return cel.NewEnv(
        variables=dict.fromkeys(DATA, cel.Type.DYN),
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_encoders.ExtEncoders(),
        ],
    )


ORACLE = _make_oracle()
FAILED = "fails"


def _ask_oracle(source: str) -> Any:
    try:
        # Without its type check: what types allow is the matter of our own checker.
        found = ORACLE.compile(source, disable_check=True).eval(data=DATA)
    except Exception:  # noqa: BLE001 - the binding raises its errors as plain exceptions
        return FAILED
    return FAILED if found.type() == cel.Type.ERROR else found.plain_value()


def _ask_ours(source: str) -> Any:
    try:
        return compile_expression(source).evaluate(SCOPE)
    except ExpressionError:
        return FAILED


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(left[key], right[key]) for key in left)
    return bool(left == right)


CASES = r"""
1 + 2 * 3 - 4 / 3 % 2
7 / -2
-7 / 2
7 % -2
-7 % 2
1.5 / 0.0 > 1.0
9223372036854775807 + 1
-9223372036854775808 - 1
-(-9223372036854775808)
-9223372036854775808
9223372036854775808
1u - 2u
1u + 1
1 + 1.0
"a" + 1
i + d
i + 1
d * 2.0
1 == 1.0
1u == 1
1 < 1.5
1u < 2
dyn(1) == "1"
1 == "1"
dyn(true) == 1
[1, 2] == [1.0, 2.0]
[1, 2] == [1, 2]
{"a": 1} == {"a": 1.0}
{"a": 1, "b": 2} == {"b": 2, "a": 1}
null == null
n == null
i == null
"a" < "b"
b"a" < b"b"
false < true
[1] < [2]
!true
!!true
!1
true && false || true
true || 1/0 == 1
1/0 == 1 || true
1/0 == 1 && false
1/0 == 1 || false
i && true
false && i
true || i
true ? 1 : 2
true ? 1 : 1/0
i ? 1 : 2
false ? 1 : true ? 2 : 3
true ? true ? 1 : 2 : 3
1 in [1, 2]
1.0 in [1, 2]
"k" in m
"q" in m
null in m
[1] in m
1.5 in m
1 in {1: 2}
1.0 in {1: 2}
{1: "a"}[1.0]
{1u: "a"}[1]
{true: "a"}[true]
{1: "a", 1: "b"}
{1.0: "a"}
m.k
m.q
m["a-b"].c[1]
m["a-b"].c[2]
l[0]
l[-1]
l[1.0]
l["0"]
l[0u]
s[0]
s.x
has(m.k)
has(m.q)
has(m.z)
has(m.q.r)
has(m)
n.x
size("héllo")
"héllo".size()
size(s)
size(b"h\xc3\xa9")
size([1,2])
size({})
size(1)
int("42")
int("-42")
int("+42")
int("4.2")
int(4.9)
int(-4.9)
int(1e19)
int("9223372036854775808")
int(9223372036854775807.0)
uint(-1)
uint(4.9)
uint("42")
double("1.5")
double("abc")
double(3)
double("1e3")
double(".5")
double("1.")
string(1)
string(1.0)
string(1.5)
string(1e21)
string(0.1)
string(true)
string(b"abc")
string(b"\xff")
string(null)
bool("true")
bool("TRUE")
bool("t")
bool("1")
bool("yes")
bool("tRuE")
bool("False")
bytes("é") == b"\303\251"
b"\u00e9"
type(1) == int
type(1u) == uint
type("a") == string
type(null) == null_type
type([]) == list
type({}) == map
type(int) == type
type(1) == type(2)
string(type(1))
[1,2,3].all(x, x > 0)
[1,2,3].all(x, x > 1)
[1,2,3].exists(x, x > 2)
[1,2,3].exists_one(x, x > 2)
[1,2,3].exists_one(x, x > 1)
[1,2,3].map(x, x * 2)
[1,2,3].map(x, x > 1, x * 2)
[1,2,3].filter(x, x > 1)
{"a":1,"b":2}.all(k, k != "c")
{"a":1}.map(k, k)
[0,1].exists(x, 1/x == 1)
[0,2].exists(x, 1/x == 1)
[0,1].all(x, 1/x == 1)
[0,2].all(x, 1/x == 1)
[0,1].exists_one(x, 1/x == 1)
[[1,2],[3]].map(x, x.map(y, y + 1))
[1].map(i, i)
[1,2].map(x, x, x)
l.exists(x, x == "a")
l.filter(x, type(x) == int)
"abc".charAt(1)
"abc".charAt(3)
"abc".charAt(4)
"héllo".charAt(1)
"abcabc".indexOf("c")
"abcabc".indexOf("c", 3)
"abcabc".indexOf("z")
"abcabc".indexOf("")
"abc".indexOf("a", 4)
"abc".indexOf("", 3)
"abcabc".lastIndexOf("c")
"abcabc".lastIndexOf("c", 3)
"abc".lastIndexOf("")
"abc".lastIndexOf("a", 0)
"abc".lastIndexOf("", 2)
"abc".lastIndexOf("bc", 3)
"ABC é É".lowerAscii()
"abc é".upperAscii()
"abab".replace("a", "x")
"abab".replace("a", "x", 1)
"abab".replace("a", "x", 0)
"abab".replace("a", "x", -1)
"abab".replace("", "_")
"abab".replace("", "_", 2)
"a,b,c".split(",")
"a,b,c".split(",", 2)
"a,b,c".split(",", 0)
"a,b,c".split(",", 1)
"a,b,c".split(",", -1)
"abc".split("")
"abc".split("", 2)
"abc".split("", 3)
"".split(",")
["a","b"].join()
["a","b"].join("-")
[].join("-")
["a", 1].join("-")
"abcdef".substring(2)
"abcdef".substring(2, 4)
"abcdef".substring(4, 2)
"abcdef".substring(7)
"abcdef".substring(6)
"  a\t".trim()
"\u00a0a\u2003".trim()
"abc".reverse()
"%s".format(["a"])
"%s %s".format(["a", 1])
"%d%%".format([5])
"%.2f".format([1.5])
"%f".format([1.5])
"%f".format([1])
"%e".format([1234.5])
"%.1e".format([1234.5])
"%x".format([255])
"%X".format([255])
"%x".format(["abc"])
"%x".format([-255])
"%o".format([8])
"%b".format([5])
"%b".format([true])
"%s".format([[1, "a", 1.5, null, true]])
"%s".format([{"a": 1, "b": [1]}])
"%s".format([1.0])
"%s".format([null])
"%s".format([b"abc"])
"%s".format([timestamp("2026-11-23T10:00:00Z")])
"%s".format([int])
"%s".format([])
"%d".format(["a"])
"%d".format([1u])
"%z".format([1])
"abc".contains("b")
"abc".startsWith("ab")
"abc".endsWith("bc")
"abc".matches("^a.c$")
"abc".matches("b")
"abc".matches("(?=b)")
matches("abc", "a+")
timestamp("2026-11-23T10:00:00Z").getFullYear()
timestamp("2026-11-23T10:00:00Z").getMonth()
timestamp("2026-11-23T10:00:00Z").getDate()
timestamp("2026-11-23T10:00:00Z").getDayOfMonth()
timestamp("2026-11-23T10:00:00Z").getDayOfWeek()
timestamp("2026-11-23T10:00:00Z").getDayOfYear()
timestamp("2026-11-23T10:11:12.345Z").getHours()
timestamp("2026-11-23T10:11:12.345Z").getMinutes()
timestamp("2026-11-23T10:11:12.345Z").getSeconds()
timestamp("2026-11-23T10:11:12.345Z").getMilliseconds()
timestamp("2026-11-23T23:30:00Z").getDate("Europe/Paris")
timestamp("2026-11-23T23:30:00Z").getHours("+02:00")
timestamp("2026-11-23T23:30:00Z").getHours("02:00")
timestamp("2026-11-23T23:30:00Z").getHours("-02:30")
timestamp("2026-11-23T23:30:00Z").getHours("Nowhere/City")
timestamp("2026-11-23T10:00:00+02:00") == timestamp("2026-11-23T08:00:00Z")
timestamp("2026-11-23T10:00:00Z") - timestamp("2026-11-23T08:00:00Z") == duration("2h")
timestamp("2026-11-23T10:00:00Z") + duration("1h") > timestamp("2026-11-23T10:00:00Z")
string(timestamp("2026-11-23T10:00:00.500Z"))
string(timestamp("2026-11-23T10:00:00Z"))
int(timestamp("2026-11-23T10:00:00Z"))
timestamp(1795428000) == timestamp("2026-11-23T10:00:00Z")
timestamp("0000-01-01T00:00:00Z")
timestamp("9999-12-31T23:59:59Z") + duration("1s")
timestamp("2026-02-30T00:00:00Z")
timestamp("2026-11-23")
duration("1h30m").getMinutes()
duration("1h30m").getHours()
duration("1.5s").getMilliseconds()
duration("3730s").getSeconds()
duration("-90m").getHours()
duration("1.5h") == duration("90m")
duration("1h") < duration("61m")
duration("x")
duration("")
duration("0") == duration("0s")
duration("-1h") + duration("1h") == duration("0s")
-duration("1h")
duration("100000000000h")
m.?k.orValue(5)
m.?q.orValue(5)
m.?q.r.orValue(5)
m.?k.hasValue()
m[?"q"].hasValue()
l[?9].orValue(1)
l[?0].orValue(9)
optional.of(1).value()
optional.none().value()
optional.none().or(optional.of(2)).value()
optional.of(1).or(optional.of(2)).value()
optional.none().orValue(1/0)
optional.of(1).orValue(1/0)
optional.of(1) == optional.of(1)
optional.ofNonZeroValue(0).hasValue()
optional.ofNonZeroValue("a").hasValue()
[?m.?k, ?m.?q, 3]
{?"a": m.?k, ?"b": m.?q}
has(m.?k)
base64.encode(b"hello")
base64.decode("aGVsbG8=") == b"hello"
base64.decode("aGVsbG8") == b"hello"
base64.decode("!!")
r"\d" == "\\d"
'\x41\u0041\U00000041\101'
"\q"
0x1F
0x1Fu
1.
.5
1e3
1.5e-3
a.b
for
m.for
x.y
"a".b()
foo()
[1,2,][0]
{"a":1,}.a
[1 2]
(1
1 +
1 2
"a" "b"
`a`
m.`a-b`.c[0]
m.a-b
1 < 2 < 3
1 < 2 == true
-1.5
--1
-i
-s
!i
1 ? 2 : 3
[] + [1]
[1] + ["a"]
{} == {}
"a" in "abc"
dyn(1) + dyn("a")
i.x
0.1 + 0.2 == 0.3
double("NaN") == double("NaN")
double("NaN") < 1.0
double("inf") > 1.0
[double("NaN")] == [double("NaN")]
""".strip().splitlines()

DIFFERENT = {
    "18446744073709551615u": "a result is JSON, whose integers have 63 bits here",
    "{1: 'a', 1u: 'b'}": "two keys that are equal are there twice, whatever their types",
    "int(true)": "the specification has no conversion of booleans to integers",
    "int(' 42')": "blanks are not part of a number",
    "double(' 1.5')": "blanks are not part of a number",
    "string(1e20)": "numbers are printed as canonical JSON",
    "string(1e-7)": "numbers are printed as canonical JSON",
    "string(123456789.125)": "numbers are printed as canonical JSON, with all digits",
    "''.split('')": "an empty text has no characters",
    "'%s'.format([1, 2])": "a value that is not printed is a mistake",
    "'%d'.format([1.0])": "a double is no integer",
    "string(duration('90s'))": "durations are printed in the form the files take",
    "'%s'.format([duration('90s')])": "durations are printed in the form the files take",
    "has(m['k'])": "has() takes a constant key, for keys with a hyphen",
    "duration('2d') == duration('48h')": "days are a unit of ours",
}


@pytest.mark.parametrize("source", CASES)
def test_the_same_as_the_oracle(source: str) -> None:
    """Each case gives what Google's implementation gives."""
    theirs, ours = _ask_oracle(source), _ask_ours(source)

    assert _alike(theirs, ours), f"{source}: {theirs!r} there, {ours!r} here"


@pytest.mark.parametrize("source", DIFFERENT)
def test_a_listed_difference_is_one(source: str) -> None:
    """The list says nothing that is no longer so."""
    assert not _alike(_ask_oracle(source), _ask_ours(source))


NUMBER = st.integers(-5, 5).map(str) | st.sampled_from(["2.5", "-0.5", "1e3", "2u", "i", "d"])
TEXT = st.sampled_from(["'a'", "'b'", "'ab'", "s", "''"])
BOOL = st.sampled_from(["true", "false", "b"])
ATOM = st.one_of(
    NUMBER, TEXT, BOOL, st.sampled_from(["null", "n", "l", "m", "m.k", "m.q", "[]", "{}"])
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    operator = st.sampled_from(
        ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"]
    )
    return st.one_of(
        st.tuples(inner, operator, inner).map(lambda each: f"({each[0]} {each[1]} {each[2]})"),
        st.tuples(inner, inner, inner).map(lambda each: f"({each[0]} ? {each[1]} : {each[2]})"),
        two.map(lambda each: f"[{each[0]}, {each[1]}]"),
        two.map(lambda each: f"{{'k': {each[0]}, 'q': {each[1]}}}"),
        inner.map(lambda each: f"size({each})"),
        inner.map(lambda each: f"!({each})"),
        inner.map(lambda each: f"-({each})"),
        inner.map(lambda each: f"({each}).?k.orValue(0)"),
        two.map(lambda each: f"[{each[0]}].map(x, {each[1]})"),
        two.map(lambda each: f"[{each[0]}, 1, 2].exists(x, x == {each[1]})"),
        two.map(lambda each: f"[{each[0]}, 1, 2].all(x, x != {each[1]})"),
        two.map(lambda each: f"[{each[0]}, 1, 2].filter(x, x < {each[1]})"),
        two.map(lambda each: f"({each[0]})[{each[1]}]"),
    )


@given(st.recursive(ATOM, _grow, max_leaves=6))
@settings(max_examples=500, deadline=None)
def test_generated_expressions_are_the_same(source: str) -> None:
    """Whatever is put together of operators, macros and data gives the same in both."""
    theirs, ours = _ask_oracle(source), _ask_ours(source)

    assert _alike(theirs, ours), f"{source}: {theirs!r} there, {ours!r} here"
