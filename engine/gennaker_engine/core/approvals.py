"""Who may decide on a gate, and what a decision must carry. Pure rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gennaker.errors import NotAllowed
from gennaker_engine.core.state import Gate

__all__ = ["check_approver", "check_inputs", "list_approved", "matches_rule"]

Json = Any
Groups = Mapping[str, tuple[str, ...]]


def matches_rule(rule: str, actor: str, groups: Groups) -> bool:
    """Whether a rule means the actor.

    ``local:ann`` is that operating-system user and ``local:*`` any; ``group:release`` is anyone a
    rule of the group means. ``user:…`` is an identity that a server proves: none is proved here.
    """
    kind, _, name = rule.partition(":")
    if kind == "group":
        return any(
            matches_rule(each, actor, groups)
            for each in groups.get(name, ())
            if not each.startswith("group:")
        )
    if kind == "local":
        return actor.startswith("local:") and (name == "*" or rule == actor)
    return False


def check_approver(
    actor: str,
    *,
    approvers: tuple[str, ...],
    groups: Groups,
    self_allowed: bool,
    starters: tuple[str, ...],
) -> None:
    """Refuse an actor who may not decide.

    Args:
        approvers: rules; none means anyone.
        starters: who started and who retried the run.

    Raises:
        NotAllowed: ``not-an-approver`` or ``self-approval``, saying who may.
    """
    if not self_allowed and actor in starters:
        raise NotAllowed(
            f"{actor!r} started the run and may not decide on it",
            code="self-approval",
            hint="somebody else has to",
        )
    if not approvers or any(matches_rule(rule, actor, groups) for rule in approvers):
        return
    raise NotAllowed(
        f"{actor!r} is none of the approvers {', '.join(approvers)}",
        code="not-an-approver",
        hint=_explain(approvers, groups),
    )


def _explain(approvers: tuple[str, ...], groups: Groups) -> str:
    rules = list(approvers)
    for rule in approvers:
        if rule.startswith("group:"):
            rules += groups.get(rule.removeprefix("group:"), ())
    unknown = [
        rule.removeprefix("group:")
        for rule in approvers
        if rule.startswith("group:") and rule.removeprefix("group:") not in groups
    ]
    if any(rule.startswith("user:") for rule in rules):
        return (
            "a 'user:' rule needs a server that proves who somebody is; here people are "
            "'local:NAME', their operating-system user"
        )
    if unknown:
        return f"declare {', '.join(map(repr, unknown))} under 'groups' in gennaker.yaml"
    return "ask one of them"


def list_approved(gate: Gate) -> list[str]:
    """Return who approved, each once."""
    return list(
        dict.fromkeys(
            str(each["actor"]) for each in gate.decisions if each["decision"] == "approve"
        )
    )


def check_inputs(
    declared: Mapping[str, Mapping[str, Json]], given: Mapping[str, Json]
) -> dict[str, Json]:
    """Return the values a decider entered, defaults filled in.

    Raises:
        InvalidInput: with a problem for each that is unknown, missing or of another kind.
    """
    from gennaker.model import Parameter
    from gennaker.parameters import resolve_parameters

    if not declared and not given:
        return {}
    return resolve_parameters(
        {name: Parameter.model_validate(each) for name, each in declared.items()},
        given,
        noun="input",
    )
