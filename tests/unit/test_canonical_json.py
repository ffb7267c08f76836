"""Canonical JSON: the laws of RFC 8785."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.canonical import canonical_json, digest_of, format_number


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555555", "333333333.3333333"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_numbers_of_the_standard(bits: str, expected: str) -> None:
    """The samples of RFC 8785, appendix B, print as it says."""
    assert format_number(struct.unpack(">d", bytes.fromhex(bits))[0]) == expected


def test_sorting() -> None:
    """Keys are sorted by UTF-16 code units (section 3.2.3)."""
    data = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    assert list(json.loads(canonical_json(data)).values()) == [2, 4, 6, 7, 1, 5, 3]


def test_not_json() -> None:
    """What JSON does not have is refused."""
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="is not a JSON number"):
            canonical_json([value])
    with pytest.raises(TypeError, match="set is not JSON data"):
        canonical_json({1})


_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=10)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(_DATA)
def test_laws(data: object) -> None:
    """Canonical text is JSON of the same data, its own canonical form, whatever the order of keys."""
    text = canonical_json(data)
    # Every number of JSON is a double here, as it is in ECMAScript.
    read = json.loads(text, parse_int=float)
    assert read == data
    assert canonical_json(read) == text
    if isinstance(data, dict):
        assert digest_of(dict(reversed(data.items()))) == digest_of(data)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(value: float) -> None:
    """A number's text is read back as the same number."""
    assert float(format_number(value)) == value
