"""Small text functions of the command line: width, cutting, cleaning, spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker_engine.cli.render.text import clean, clip, columns_of, tell_span, tell_time


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, ""),
        (-1, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (184, "3m04s"),
        (3599.9, "1h00m"),
        (7500, "2h05m"),
        (273_600, "3d04h"),
    ],
)
def test_spans_are_told_as_people_say_them(seconds: float | None, told: str) -> None:
    """One or two units, rounded before they are split."""
    assert told == tell_span(seconds)


def test_a_moment_is_rfc_3339_in_utc() -> None:
    """Times in tables and trails can be compared as text."""
    assert tell_time(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("a\x1b]8;;http://x\x07link", "alink"),
        ("up\x1b[2Adown", "updown"),
        ("bell\x07", "bell "),
        ("line\nbreak", "line break"),
        ("right\u202eleft", "right left"),
        ("é漢", "é漢"),
    ],
)
def test_cleaned_text_cannot_move_the_cursor(text: str, shown: str) -> None:
    """What stages and files say is shown without escape sequences and controls."""
    assert shown == clean(text)


@given(st.text(max_size=40), st.integers(0, 30))
def test_clipped_text_fits(text: str, width: int) -> None:
    """A line that was cut never takes more columns than it was given."""
    assert columns_of(clip(clean(text), width)) <= width


def test_clipping_keeps_styles_whole() -> None:
    """A style that was begun is ended when its text is cut."""
    assert clip("\x1b[31mabcdef\x1b[0m", 4) == "\x1b[31mabc…\x1b[0m"


def test_wide_characters_take_two_columns() -> None:
    """East Asian wide letters count twice, combining ones not at all."""
    assert columns_of("漢字") == 4
    assert columns_of("e\u0301") == 1
