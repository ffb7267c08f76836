"""Expressions against the conformance cases of CEL's specification (google/cel-spec)."""

from __future__ import annotations

import pytest

from tests.conformance.cel_cases import (
    OTHER_TEXTS,
    UNSUPPORTED,
    count_by_file,
    place_of,
    read_cases,
    run_case,
    tell_reason,
)

FILES = sorted({case["file"] for case in read_cases()})


@pytest.mark.parametrize("file", FILES)
def test_conformance_case_passes_or_is_listed(file: str) -> None:
    """Each case gives its value or error, or is refused for a listed reason; none is silently different."""
    wrong = []
    for case in read_cases():
        if case["file"] != file:
            continue
        outcome, said = run_case(case)
        place = place_of(case)
        if place in OTHER_TEXTS:
            if (outcome, said) != ("different", OTHER_TEXTS[place]):
                wrong.append(f"{place}: {outcome} {said}, listed with another text")
        elif outcome == "different" or (outcome == "refused" and not tell_reason(case)):
            wrong.append(f"{place}: {case['expr']}: {outcome}: {said}")
    assert wrong == []


def test_conformance_cases_are_all_there() -> None:
    """The data has the 2456 cases of the 29 files, and more than half of them pass."""
    counted = count_by_file()
    assert (len(read_cases()), len(counted)) == (2456, 29)
    assert sum(count.passed for count in counted.values()) > 1228


def test_conformance_rules_are_all_needed() -> None:
    """Each rule of what is not supported, and each other text, covers a case that does not pass."""
    refused = [case for case in read_cases() if run_case(case)[0] != "passed"]
    idle = [rule for rule in UNSUPPORTED if not any(rule.covers(case) for case in refused)]
    assert idle == []
    assert OTHER_TEXTS.keys() <= {place_of(case) for case in refused}
