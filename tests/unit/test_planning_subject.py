"""Plans as the journal keeps them for approvers: short, whatever a stage plans."""

from __future__ import annotations

from gennaker.stage import Change, FieldChange
from gennaker_engine.planning.stage import StagePlanned
from gennaker_engine.planning.subject import MOST_FIELDS, shorten_plan


def test_fields_are_kept_up_to_a_bound() -> None:
    """What is created has none; after the bound the changes stay and their fields go."""
    large = FieldChange("data", "", "x" * (MOST_FIELDS // 2))
    changes = [Change("create", "new", fields=[large])]
    changes += [Change("change", str(number), "why", [large]) for number in range(3)]
    planned = StagePlanned(changes=tuple(each.to_data() for each in changes), observed={"a": 1})
    kept = shorten_plan(planned.to_data())
    assert [(each["what"], "fields" in each) for each in kept["changes"]] == [
        ("new", False),
        ("0", True),
        ("1", False),
        ("2", False),
    ]
    assert kept["changes"][1]["fields"] == [large.to_data()]
    assert kept["observed"] == {"a": 1}
    assert shorten_plan({"error": "no"}) == {"error": "no"}


def test_an_absent_field_is_not_null() -> None:
    """JSON tells the two apart: what is not there has no key."""
    assert FieldChange("a", after=None).to_data() == {"path": "a", "after": None}
    assert FieldChange("a", 1, hidden=True).to_data() == {"path": "a", "before": 1, "hidden": True}
