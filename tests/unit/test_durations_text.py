"""Durations and sizes: one canonical text each, units required."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.durations import format_duration, normalize_duration, parse_duration, parse_size
from gennaker.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("90s", 90, "1m30s"),
        ("5m", 300, "5m"),
        ("60m", 3600, "1h"),
        ("1h30m", 5400, "1h30m"),
        ("2d", 172800, "2d"),
        ("36h", 129600, "1d12h"),
        ("250ms", 0.25, "250ms"),
        ("0s", 0, "0s"),
    ],
)
def test_forms(text: str, seconds: float, canonical: str) -> None:
    """Every form has its seconds and one canonical text."""
    assert parse_duration(text) == seconds
    assert normalize_duration(text) == canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (90, "duration: 90 has no unit; write a duration as '90s' or '90m'"),
        ("90", "duration: '90' is not a duration; write '90s' or '90m'"),
        ("1.5h", "duration: '1.5h' is not a duration; write it like '90s', '5m', '1h30m' or '2d'"),
        ("", "duration: '' is not a duration; write it like '90s', '5m', '1h30m' or '2d'"),
        (
            "30m1h",
            "duration: '30m1h' is not a duration; write larger units first, each once, like '1h30m'",
        ),
        ("99999d", "duration: '99999d' is longer than 100 years"),
        (True, "duration: True is not a duration; write it like '90s', '5m', '1h30m' or '2d'"),
    ],
)
def test_refused(text: object, expected: str) -> None:
    """A bare number is told the unit form; nothing else is guessed."""
    with pytest.raises(InvalidInput) as caught:
        parse_duration(text)  # type: ignore[arg-type]
    assert str(caught.value) == expected


def test_normalize_keeps_the_cause() -> None:
    """The ValueError for the model carries code word and hint as its cause."""
    with pytest.raises(ValueError, match="has no unit") as caught:
        normalize_duration(5)
    assert isinstance(caught.value.__cause__, InvalidInput)


@given(st.integers(0, 100 * 366 * 86_400_000))
def test_round_trip(milliseconds: int) -> None:
    """What is printed is read back, and is its own canonical text."""
    text = format_duration(milliseconds / 1000)
    assert round(parse_duration(text) * 1000) == milliseconds
    assert normalize_duration(text) == text


@pytest.mark.parametrize(
    ("text", "expected"), [("64KiB", 65536), ("10MiB", 10485760), ("1GiB", 1 << 30), ("5B", 5)]
)
def test_sizes(text: str, expected: int) -> None:
    """Sizes are powers of 1024 with their unit."""
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["10", "10MB", "1.5KiB", "-1B", 10])
def test_sizes_refused(text: object) -> None:
    """A size without its unit is told the form."""
    with pytest.raises(InvalidInput, match="is not a size; write it like '64KiB' or '10MiB'"):
        parse_size(text)  # type: ignore[arg-type]
