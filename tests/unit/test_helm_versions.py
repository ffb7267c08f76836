"""Version constraints of charts; what they mean is held against Helm itself in the integration tests."""

from __future__ import annotations

import pytest

from gennaker_stages.helm.versions import is_compatible, parse_version


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        (">=1.25", "1.25.0", "1.24.9"),
        (">1.25", "1.26.0", "1.25.9"),
        ("<1.30", "1.29.9", "1.30.0"),
        ("<=1.30", "1.30.9", "1.31.0"),
        ("=1.30.1", "1.30.1", "1.30.2"),
        ("1.30", "1.30.7", "1.31.0"),
        ("!=1.30", "1.31.0", "1.30.4"),
        ("^1.30.2", "1.99.0", "2.0.0"),
        ("^0.3", "0.3.9", "0.4.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("~1.30.2", "1.30.9", "1.31.0"),
        ("~1", "1.99.0", "2.0.0"),
        ("1.25 - 1.30", "1.30.9", "1.31.0"),
        (">=1.25, <1.31", "1.30.9", "1.31.0"),
        (">=1.25 <1.31", "1.30.9", "1.31.0"),
        ("<1.30 || >=1.35", "1.35.0", "1.34.0"),
        ("1.x", "1.36.0", "2.0.0"),
        (">=1.25.0-0", "1.25.0", "1.24.0"),
    ],
)
def test_a_constraint_has_an_inside_and_an_outside(
    constraint: str, inside: str, outside: str
) -> None:
    """Each operator, with parts left out, in the way Helm reads it."""
    assert is_compatible(constraint, parse_version(inside)) is True
    assert is_compatible(constraint, parse_version(outside)) is False


def test_what_a_vendor_adds_does_not_count() -> None:
    """A cluster that says 1.30.1-gke.5 is a 1.30.1 cluster."""
    assert is_compatible(">=1.30.1", parse_version("v1.30.1-gke.5")) is True
    assert is_compatible("<1.30.1", parse_version("1.30.1-gke.5")) is False


@pytest.mark.parametrize(
    "constraint", ["", "rubbish", ">=1.20 rubbish", ">=", ">=1.20,", "1.2.3.4"]
)
def test_what_is_no_constraint_is_refused(constraint: str) -> None:
    """A constraint that cannot be read is an error, not a yes."""
    with pytest.raises(ValueError, match="is not a version constraint"):
        is_compatible(constraint, parse_version("1.30.0"))


@pytest.mark.parametrize("text", ["", "1.", "one", "1.2.3.4"])
def test_what_is_no_version_is_refused(text: str) -> None:
    """A version that cannot be read is an error."""
    with pytest.raises(ValueError, match="is not a version"):
        parse_version(text)
