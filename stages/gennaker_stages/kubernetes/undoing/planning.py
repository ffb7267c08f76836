"""What putting a deploy back would change, as a plan tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gennaker.stage import Change
from gennaker_stages.kubernetes.bundle.masking import hide_secret
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.planning.difference import find_differences
from gennaker_stages.kubernetes.undoing.restoring import without_controllers

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.undoing.survey import Restored, Survey

__all__ = ["list_changes"]


def list_changes(survey: Survey) -> list[Change]:
    """Return a change for each object of a survey, in the order in which it would be done."""
    return [
        *(Change("refuse", name_of(body), reason) for body, reason in survey.refused),
        *(_describe(each) for each in survey.restore),
        *(Change("leave", name_of(body), reason) for body, reason in survey.keep),
        *(Change("delete", name_of(body), "the deploy made it") for body in survey.remove),
    ]


def _describe(each: Restored) -> Change:
    name = name_of(each.before)
    if each.live is None:
        wanted = hide_secret(each.way.body)
        return Change("create", name, "it is gone since", find_differences(None, wanted))
    if each.anew:
        told = "a field can never change: it is deleted and made anew"
        now, then = (hide_secret(without_controllers(body)) for body in (each.live, each.before))
        changes = find_differences(now, then)
        return Change("replace", name, told, changes)
    differences = find_differences(each.live, each.found) if each.found is not None else []
    if differences:
        return Change("change", name, "", differences)
    told = "as it was" if each.way.there else "only who owns its fields changes"
    return Change("leave", name, told)
