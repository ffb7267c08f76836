"""The composer: plain data, places, limits and advice, whatever the text is."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker.errors import InvalidInput, Location
from gennaker.yamltext import Limits, compose, compose_all


def problems_of(text: str | bytes, **options: object) -> list[str]:
    """Return the problems of a text as they are shown."""
    with pytest.raises(InvalidInput) as caught:
        compose(text, file="f.yaml", **options)  # type: ignore[arg-type]
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, -2, +3, 0o17, 0xff]", {"a": [1, -2, 3, 15, 255]}),
        ("a: [1.5, .5, 1., 1e3, -1E-2]", {"a": [1.5, 0.5, 1.0, 1000.0, -0.01]}),
        ("a: [true, True, TRUE, false]", {"a": [True, True, True, False]}),
        ("a: [null, ~, Null]\nb:", {"a": [None, None, None], "b": None}),
        ("a: [yes, NO, on, Off, y]", {"a": ["yes", "NO", "on", "Off", "y"]}),
        ("a: [12:30, 1_000, 2024-13-45, 0b1]", {"a": ["12:30", "1_000", "2024-13-45", "0b1"]}),
        ("a: ['1', \"true\", '']", {"a": ["1", "true", ""]}),
        ("on: {push: 1}", {"on": {"push": 1}}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("\ufeffa: b", {"a": "b"}),
    ],
)
def test_core_schema(text: str, expected: object) -> None:
    """Unquoted scalars mean what the core schema of YAML 1.2 says."""
    assert compose(text, file="f.yaml").data == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [yes, No, on, OFF, y, n]", {"a": [True, False, True, False, True, False]}),
        ("a: [0755, 0x1F, 0b101, 1_000]", {"a": [493, 31, 5, 1000]}),
        ("a: [12:30, 2024-01-01, 1e3, 089]", {"a": ["12:30", "2024-01-01", 1000.0, 89.0]}),
        ("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}),
        ("a: 9223372036854775807", {"a": 9223372036854775807}),
        ("a: !!str 5", {"a": "5"}),
    ],
)
def test_kubernetes_schema(text: str, expected: object) -> None:
    """Unquoted scalars mean what Kubernetes reads when the schema is 1.1."""
    assert compose(text, file="f.yaml", schema="1.1").data == expected


def test_merges() -> None:
    """``<<`` merges mappings; what is written wins, then the earlier one of a list."""
    text = "x-a: &a {k: 1, l: 1}\nx-b: &b {l: 2, m: 2}\nc: {<<: [*a, *b], k: 0}\nd:\n  <<: *b\n"
    data = compose(text, file="f.yaml").data
    assert data["c"] == {"k": 0, "l": 1, "m": 2}
    assert data["d"] == {"l": 2, "m": 2}


def test_places() -> None:
    """Every node has the line and column where it starts; a key its own; the unknown, the nearest."""
    text = "a:\n  - b: 1\n    'c': [x, y]\nd: &d {e: 2}\nf: {<<: *d}\n"
    marks = compose(text, file="f.yaml").marks
    assert marks.at(("a", 0, "b")) == Location("f.yaml", 2, 8)
    assert marks.at(("a", 0, "c"), key=True) == Location("f.yaml", 3, 5)
    assert marks.at(("a", 0, "c", 1)) == Location("f.yaml", 3, 14)
    assert marks.at(("f", "e"), key=True) == Location("f.yaml", 4, 8)
    assert marks.at(("a", 0, "nope", 7)) == Location("f.yaml", 2, 5)
    assert marks.at(()) == Location("f.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 1\nb:\n  c: 1\n  c: 2\n",
            "f.yaml:4:3: duplicate-key: key 'c' is already in line 3; remove one of the two",
        ),
        (
            "1: a",
            "f.yaml:1:1: yaml-key: a key is '1', which is not a string; write it in quotes: \"1\"",
        ),
        ("? [a]\n: b", "f.yaml:1:3: yaml-key: a key is not a string; write text"),
        (
            "a: {{ x }}",
            "f.yaml:1:5: yaml-key: a key is not a string; "
            'an expression is written "${{ … }}", in quotes',
        ),
        (
            "a: .nan",
            "f.yaml:1:4: yaml-number: '.nan' is not a number that JSON has; quote it if it is text",
        ),
        (
            "a: -.inf",
            "f.yaml:1:4: yaml-number: '-.inf' is not a number that JSON has; quote it if it is text",
        ),
        (
            "a: 9007199254740993",
            "f.yaml:1:4: yaml-number: integer 9007199254740993 is beyond 2^53 and would lose "
            "digits; quote it if it is text",
        ),
        (
            "a: 1e999",
            "f.yaml:1:4: yaml-number: 1e999 is too large for a number; quote it if it is text",
        ),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml:1:4: yaml-tag: tag '!!python/object/apply:os.system' is not allowed; "
            "write plain data",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2:1: yaml-documents: a second document starts here; a file has one; "
            "put it into a file of its own",
        ),
        ("", "f.yaml:1:1: yaml-empty: the file is empty; write one document"),
        ("# only\n", "f.yaml:1:1: yaml-empty: the file is empty; write one document"),
        ("&a [*a]", "f.yaml:1:5: yaml-alias: '*a' contains itself"),
        (
            "a: *b",
            "f.yaml:1:4: yaml-alias: '*b' refers to no anchor before it; "
            "write '&b' where it is meant, or quote the text",
        ),
        (
            "<<: 1",
            "f.yaml:1:1: yaml-merge: '<<' merges a mapping or a list of mappings; "
            "refer to a mapping by its anchor: '<<: *name'",
        ),
        (
            "a: \x00",
            "f.yaml:1:4: yaml-character: character U+0000 may not stand in a YAML file; "
            "remove it, or write it as an escape in double quotes",
        ),
        (
            "a: 1\nb: x\u202ey",
            "f.yaml:2:5: yaml-character: character U+202E changes the direction of text and hides "
            "what is read; remove it, or write it as '\\u202e' in double quotes",
        ),
        (
            b"\xff\xfea\x00",
            "f.yaml:1:1: yaml-encoding: 'f.yaml' is not UTF-8 text, but UTF-16; save it as UTF-8",
        ),
        (
            b"a: 1\nb: \xff",
            "f.yaml:2: yaml-encoding: 'f.yaml' is not UTF-8 text, but another encoding; "
            "save it as UTF-8",
        ),
        (
            "\ta: b",
            "f.yaml:1:1: yaml-syntax: this character cannot start a value; "
            "indent with spaces, not with tabs",
        ),
        ("a: 'b", "f.yaml:1:6: yaml-syntax: found unexpected end of stream; close the quote"),
        (
            "a:\n  b: 1\n c: 2",
            "f.yaml:3:2: yaml-syntax: did not find expected key; check the indentation, "
            "and that every key is followed by ': '",
        ),
    ],
)
def test_refusals(text: str | bytes, expected: str) -> None:
    """What is no plain data is refused at its place, with what to do."""
    assert problems_of(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "if: !x",
            "f.yaml:1:5: yaml-trap: '!x' is read as a YAML tag, because an unquoted value may not "
            "start with '!'; put the value in quotes: \"!x\"",
        ),
        (
            "if: !has(a) && b",
            "f.yaml:1:14: yaml-trap: '!has(a)' is read as a YAML tag, because an unquoted value "
            "may not start with '!'; put the value in quotes: \"!has(a) && b\"",
        ),
        (
            "if: a ? b : c",
            "f.yaml:1:11: yaml-trap: ': ' in an unquoted 'a ? b : c' is read as the start of a "
            "mapping; put the whole value in quotes",
        ),
        (
            "x: [a ? b : c]",
            "f.yaml:1:5: yaml-trap: ': ' in an unquoted 'a ? b : c' is read as the start of a "
            "mapping; put the whole value in quotes",
        ),
        (
            "x: {tag: ${{ a }}}",
            "f.yaml:1:11: yaml-trap: an unquoted '${{' inside '{ }' or '[ ]' is read as the start "
            'of a mapping; put the expression in quotes: "${{ … }}"',
        ),
        (
            "x: [${{ a }}]",
            "f.yaml:1:6: yaml-trap: an unquoted '${{' inside '{ }' or '[ ]' is read as the start "
            'of a mapping; put the expression in quotes: "${{ … }}"',
        ),
        (
            "x: ${{ {'a': 1} }}",
            "f.yaml:1:12: yaml-trap: ': ' in an unquoted expression is read as the start of a "
            'mapping; put the whole value in quotes: "${{ … }}"',
        ),
        (
            "x: ${{ a + ' #b' }}",
            "f.yaml:1:4: yaml-trap: ' #' starts a comment and cuts the expression off; "
            "put the whole value in quotes",
        ),
        (
            'x: {a: b #c, d: "${{ e }}"}\ny: 1\n',
            "f.yaml:2:1: yaml-syntax: did not find expected ',' or '}'; ' #' starts a comment: "
            "put a value that contains it in quotes, and close the bracket",
        ),
    ],
)
def test_traps(text: str, expected: str) -> None:
    """YAML's own traps are explained with what to write instead."""
    assert problems_of(text) == [expected]


def test_trap_free_forms() -> None:
    """What merely resembles a trap is read as it stands."""
    text = "a: ${{ x }}\nb: x # y\nc: ${{ x }} # y\nd: 'a ? b : c'\ne: [\"${{ x }}\"]\nf: a?b\n"
    assert compose(text, file="f.yaml").data == {
        "a": "${{ x }}",
        "b": "x",
        "c": "${{ x }}",
        "d": "a ? b : c",
        "e": ["${{ x }}"],
        "f": "a?b",
    }


def test_ambiguous_scalars_warn() -> None:
    """What other readers take for something else gets a warning, and is read as text or decimal."""
    document = compose("a: yes\nb: 0755\nc: 22:22\nd: 'no'\non: 1\n", file="f.yaml")
    assert [str(each) for each in document.warnings] == [
        "f.yaml:1:4: warning: ambiguous-scalar: unquoted 'yes' is text here and true to other YAML "
        'readers; write "yes" if it is text',
        "f.yaml:2:4: warning: ambiguous-scalar: unquoted '0755' is the number 755 here and an octal "
        'number to other YAML readers; write "0755" if it is text',
        "f.yaml:3:4: warning: ambiguous-scalar: unquoted '22:22' is text here and a number in base "
        '60 to other YAML readers; write "22:22" if it is text',
    ]


def test_all_problems_at_once() -> None:
    """Problems that leave data to go on with are told together, or collected beside the data."""
    text = "a: 1\na: 2\nb: .nan\nc: !x y\n"
    assert len(problems_of(text)) == 3
    collected: list[object] = []
    document = compose(text, file="f.yaml", problems=collected)  # type: ignore[arg-type]
    assert document.data["a"] == 1
    assert len(collected) == 3


@pytest.mark.parametrize("opening", ["[", "- ", "{", "? ", "{a: "])
def test_checklist_01_depth_bombs_are_refused(opening: str) -> None:
    """Deep nesting is refused, quickly and without a crash."""
    assert (
        "yaml-limit: more than 64 collections inside each other"
        in problems_of(opening * 30_000)[-1]
    )


def test_checklist_02_alias_bombs_are_refused() -> None:
    """Aliases of aliases that multiply the data are refused; many plain aliases are not."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
    )
    assert "aliases make the data more than 10 times as large as the text" in problems_of(bomb)[-1]
    plain = "a: &a {b: 1, c: 2}\nl:\n" + "- *a\n" * 500
    assert len(compose(plain, file="f.yaml").data["l"]) == 500


def test_checklist_08_large_files_are_refused() -> None:
    """A file of more than 1 MiB or 100,000 nodes is refused; one of 1 MiB is read."""
    assert compose("a: " + "x" * ((1 << 20) - 3), file="f.yaml").data["a"]
    assert problems_of("a: " + "x" * (1 << 20)) == [
        "f.yaml: yaml-limit: the file has 1048579 bytes, more than 1048576; split it"
    ]
    assert "more than 50 values" in problems_of("- a\n" * 60, limits=Limits(nodes=50))[-1]


def test_too_many_problems() -> None:
    """A file with thousands of problems is told in a bounded answer."""
    found = problems_of("".join(f"{i}: x\n" for i in range(5000)))
    assert len(found) == 101
    assert found[-1].startswith("f.yaml: too-many-problems:")


def test_compose_all() -> None:
    """Many documents are read in order; empty ones are left out."""
    found = compose_all("---\na: 1\n---\n# nothing\n---\nb: on\n", file="f.yaml")
    assert [each.data for each in found] == [{"a": 1}, {"b": True}]


@given(st.text(max_size=200) | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text(text: str | bytes) -> None:
    """Whatever the text, there is data or InvalidInput, in both schemas."""
    for schema in ("1.2", "1.1"):
        try:
            compose(text, file="f.yaml", schema=schema)  # type: ignore[arg-type]
        except InvalidInput as error:
            assert error.problems


_YAMLISH = st.lists(
    st.sampled_from(
        [
            "a",
            ": ",
            "- ",
            "\n",
            "  ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&x ",
            "*x",
            "<<: ",
            "!t ",
            "'",
            '"',
            "|",
            ">",
            "#",
            "? ",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "${{",
            "}}",
            "1",
            "\t",
            "é",
            "~",
        ]
    ),
    max_size=60,
).map("".join)


@given(_YAMLISH)
@settings(max_examples=500, deadline=None)
def test_any_near_yaml(text: str) -> None:
    """Whatever comes near YAML gives data or InvalidInput."""
    try:
        compose(text, file="f.yaml")
    except InvalidInput as error:
        assert error.problems


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(
        st.characters(
            codec="utf-8",
            exclude_characters="\u2028\u2029\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
            exclude_categories=["Cc"],
        ),
        max_size=20,
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdef<é", max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON.filter(lambda data: data is not None))
@settings(max_examples=200, deadline=None)
def test_agrees_on_json(data: object) -> None:
    """JSON is read as JSON, and as the reference loader reads it."""
    text = json.dumps(data, ensure_ascii=False)
    found = compose(text, file="f.yaml").data
    assert found == data
    assert found == yaml.safe_load(text)


@given(_JSON.filter(lambda data: data is not None))
@settings(max_examples=200, deadline=None)
def test_reads_what_is_dumped(data: object) -> None:
    """What the reference dumper writes in its block styles is read back."""
    text = yaml.safe_dump(data, allow_unicode=True, default_style="'", width=20)
    plain = text.replace("!!null ", "").replace("!!bool ", "").replace("!!int ", "")
    assert yaml.safe_load(text) == data
    if plain == text:
        assert compose(text, file="f.yaml").data == data
