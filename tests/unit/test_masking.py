"""Masking: no secret value survives, however it is written and in whatever pieces it comes."""

from __future__ import annotations

import base64
import itertools
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gennaker.errors import StageError
from gennaker.masking import Masker, check_secret

# No '*': a value made of asterisks can be read in a mask, which says nothing of it.
TEXT = st.text(st.sampled_from("abAB01+/% \"\\'=äß€\n"), max_size=30)
VALUE = st.text(st.sampled_from("abAB01+/% \"\\'=äß€\n"), min_size=4, max_size=12)


def stream(masker: Masker, pieces: list[str]) -> str:
    """The pieces of one text, masked as they come."""
    found = masker.stream()
    return "".join(found.feed(each) for each in pieces) + found.flush()


def cut(text: str, places: list[int]) -> list[str]:
    """The text in pieces."""
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUE, min_size=1, max_size=4), st.data())
def test_no_value_survives_in_any_chunking(values: list[str], data: st.DataObject) -> None:
    """Masked whole or in pieces the text is the same, and has no value in it."""
    parts = st.one_of(TEXT, st.sampled_from(values))
    text = "".join(data.draw(st.lists(parts, max_size=6), label="parts"))
    pieces = cut(text, data.draw(st.lists(st.integers(0, 200), max_size=8), label="cuts"))
    masker = Masker(values)
    masked = masker.mask(text)
    event(f"masked: {masked != text}, pieces: {min(len(pieces), 3)}")
    assert stream(masker, pieces) == masked
    assert not [value for value in values if value in masked]
    for line in (line for value in values for line in value.splitlines() if len(line.strip()) > 3):
        assert line.strip() not in masked


@settings(max_examples=100, deadline=None)
@given(VALUE, st.binary(max_size=7), st.binary(max_size=7))
def test_base64_is_masked_wherever_the_value_stands(
    value: str, before: bytes, after: bytes
) -> None:
    """At most the characters it shares with its neighbours are left of its base64."""
    encoded = base64.b64encode(before + value.encode() + after).decode()
    masked = Masker([value]).mask(encoded)
    assert "***" in masked
    start, end = -(-len(before) * 8 // 6), (len(before) + len(value.encode())) * 8 // 6
    assert encoded[start:end] not in masked


@settings(max_examples=100, deadline=None)
@given(VALUE)
def test_every_way_of_writing_is_masked(value: str) -> None:
    """URL-encoded and JSON-escaped values leave nothing between their quotes."""
    masker = Masker([value])
    forms = [
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        base64.b64encode(value.encode()).decode(),
        base64.urlsafe_b64encode(value.encode()).decode(),
    ]
    assert [masker.mask(f"<{form}>") for form in forms] == ["<***>"] * len(forms)


def test_the_lines_of_a_value_are_masked_one_by_one() -> None:
    """A key printed line by line, or indented, shows nothing; short lines are no secret."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n"
    shown = Masker([key]).mask("  MIIEvQIBADANBg\n  ab\n")
    assert shown == "  ***\n  ab\n"


def test_base64_in_lines_is_masked() -> None:
    """What ``base64`` and ``openssl`` break into lines is hidden line by line."""
    key = "k" * 30 + "".join(chr(97 + each % 26) for each in range(200))
    masker = Masker([key])
    for width in (64, 76):
        text = base64.b64encode(key.encode()).decode()
        lines = [text[at : at + width] for at in range(0, len(text), width)]
        assert [masker.mask(line) for line in lines if len(line) > 3] == ["***"] * len(lines)


def test_values_that_overlap_are_one_mask() -> None:
    """The rest of a value that another one overlaps is hidden with it."""
    assert Masker(["abcd", "cdef"]).mask("xabcdefx") == "x***x"
    assert Masker(["abcd", "abcdef"]).mask("abcdef abcde") == "*** ***e"


def test_what_cannot_become_a_secret_is_shown_at_once() -> None:
    """A stream holds back the beginning of a value and nothing else."""
    found = Masker(["hunter22"]).stream()
    assert found.feed("login ") == "login "
    assert found.feed("as hun") == "as "
    assert found.feed("ters") == "hunters"
    assert found.feed("hunter2") == ""
    assert found.feed("2!") == "***!"
    assert found.flush() == ""


def test_a_value_that_is_learned_later_is_masked_from_then_on() -> None:
    """A stream that began before hides it too."""
    masker = Masker()
    found = masker.stream()
    assert found.feed("hunter22\n") == "hunter22\n"
    masker.add("hunter22")
    assert found.feed("hunter22\n") == "***\n"


def test_short_values_are_refused_without_showing_them() -> None:
    """Under four characters a value cannot be hidden; the error names the secret only."""
    with pytest.raises(StageError) as caught:
        check_secret("abc", "secret 'pin'")
    assert str(caught.value) == (
        "secret-too-short: secret 'pin' has fewer than 4 characters; "
        "a value that short cannot be hidden in logs; use a longer one"
    )
    with pytest.raises(StageError, match="secret-too-short"):
        Masker([""])
    assert check_secret("abcd", "secret 'pin'") == "abcd"


def test_masking_does_not_slow_a_log_down() -> None:
    """Without values nothing is looked at; with many, a megabyte takes well under a second."""
    text = "2026-01-01T00:00:00Z building layer 3 of 17, nothing to see here\n" * 16_000
    assert Masker().mask(text) is text
    masker = Masker([f"value-{each}-{'x' * each}" for each in range(50)])
    started = time.process_time()
    assert masker.mask(text) == text
    assert time.process_time() - started < 2


@settings(max_examples=100, deadline=None)
@given(VALUE)
def test_what_errors_and_shells_show_is_masked(value: str) -> None:
    """A ``repr``, alone or beside other text, JSON in JSON and a shell's quotes leave nothing."""
    masker = Masker([value])
    for text in (repr(value), repr(value.encode()), repr([value, "'", '"'])):
        assert masker.mask(text).replace("***", "").strip("b'\"[], \\") == ""
    assert masker.mask(json.dumps(json.dumps(value))) == '"\\"***\\""'
    if "'" in value:
        quoted = value.replace("'", "'\\''")
        assert masker.mask(f"+ curl '{quoted}'") == "+ curl '***'"


@given(st.integers(0, 200), st.sampled_from([64, 76]))
def test_base64_is_masked_wherever_its_lines_break(before: int, width: int) -> None:
    """A value that stands in the middle of what was encoded in lines leaves under four characters."""
    value = "k4n4ri-" + "0123456789abcdef" * 3
    text = base64.b64encode(b"x" * before + value.encode() + b"y" * 50).decode()
    lines = "\n".join(text[at : at + width] for at in range(0, len(text), width))
    shown = Masker([value]).mask(lines)
    assert "***" in shown
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + value.encode()).decode()[4:-4]
        pieces = [encoded[at : at + 4] for at in range(len(encoded) - 3)]
        assert [each for each in pieces if each in shown.replace("\n", "")] == []
