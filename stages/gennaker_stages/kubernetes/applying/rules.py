"""The input ``conflicts`` of a deploy: whose a field is to be that another manager owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from gennaker_stages.kubernetes.applying.paths import FieldPath, expand_path
from gennaker_stages.kubernetes.bundle.objects import name_of

__all__ = [
    "CLIENT_SIDE",
    "ConflictRules",
    "Conflicts",
    "FieldRule",
    "IgnoreRule",
    "Policy",
    "Replaced",
]

CLIENT_SIDE = frozenset({"kubectl-client-side-apply"})
"""Managers whose objects are taken over, see :mod:`.adoption`."""
_HOLDERS = frozenset(
    {"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"}
)
"""What is in these goes with them, so they are never replaced."""
Object = Mapping[str, Any]
Policy = Literal["fail", "take", "yield"]


class FieldRule(BaseModel):
    """A policy for some fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: FieldPath = Field(
        description="The field, and all below it, as a plan shows it: spec.replicas, "
        "spec.template.spec.containers[web].image",
    )
    policy: Policy = Field(description="fail, take or yield")
    kind: str | None = Field(default=None, description="Only in objects of this kind")
    name: str | None = Field(default=None, description="Only in objects of this name")
    manager: str | None = Field(default=None, description="Only when this manager owns the field")

    def covers(self, body: Object, path: str) -> bool:
        """Whether the rule speaks of a field of an object."""
        if self.kind not in (None, body["kind"]) or self.name not in (
            None,
            body["metadata"]["name"],
        ):
            return False
        theirs = _plain(path)
        return any(
            theirs.startswith(mine) and theirs[len(mine) : len(mine) + 1] in ("", ".", "[")
            for mine in map(_plain, expand_path(self.path, body))
        )


def _check_replaced(written: str) -> str:
    kind = written.partition("/")[0]
    if kind in _HOLDERS:
        raise ValueError(f"{written!r} is never replaced: what is in it would go with it")
    return written


Replaced = (
    bool
    | tuple[
        Annotated[
            str,
            StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*(/[a-z0-9]([-a-z0-9.:]*[a-z0-9])?)?$"),
            AfterValidator(_check_replaced),
        ],
        ...,
    ]
)
"""An input: objects that may be deleted and made anew; all, none, or kinds and ``Kind/name``."""


class ConflictRules(BaseModel):
    """What is done about fields that other managers own; the first rule that fits a field counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Policy = Field(
        default="fail",
        description="For every other field: fail, take it over, or yield it to its manager",
    )
    fields: tuple[FieldRule, ...] = Field(default=(), description="Policies for some fields")
    _adopted: frozenset[str] = PrivateAttr(default=CLIENT_SIDE)
    _replaced: Replaced = PrivateAttr(default=False)

    @property
    def adopted(self) -> frozenset[str]:
        """Managers whose objects are taken over."""
        return self._adopted

    @property
    def may_yield(self) -> bool:
        """Whether any field may be left to its manager."""
        return self.policy == "yield" or any(each.policy == "yield" for each in self.fields)

    def adopt(self, managers: frozenset[str]) -> ConflictRules:
        """Return the rules of a deploy that takes over what these managers have, too."""
        rules = self.model_copy()
        rules._adopted = self._adopted | managers
        return rules

    def allow_replacing(self, replaced: Replaced) -> ConflictRules:
        """Return the rules of a deploy that replaces what it cannot change."""
        rules = self.model_copy()
        rules._replaced = replaced
        return rules

    def list_replaced(self) -> tuple[str, ...]:
        """Return the kinds of which objects may be replaced, as far as they are named."""
        chosen = self._replaced
        return () if isinstance(chosen, bool) else tuple(each.partition("/")[0] for each in chosen)

    def may_replace(self, body: Object) -> bool:
        """Whether an object may be deleted and made anew when a field can never change."""
        names = (body["kind"], name_of(body))
        if body["kind"] in _HOLDERS:
            return False
        chosen = self._replaced
        return chosen if isinstance(chosen, bool) else any(each in chosen for each in names)

    def advise_replacing(self, body: Object) -> str:
        """Return what can be done about an object with a field that can never change."""
        name = name_of(body)
        if body["kind"] in _HOLDERS:
            return "delete the object first, or rename it: what is in it would go with it"
        return f"'replace: [{name}]' has it deleted and made anew; or rename it"

    def decide(self, body: Object, path: str, manager: str) -> Policy:
        """Return what is done about a field that ``manager`` owns."""
        if manager in self._adopted:
            return "take"
        for rule in self.fields:
            if rule.manager in (None, manager) and rule.covers(body, path):
                return rule.policy
        return self.policy

    def take_rather_than_fail(self) -> ConflictRules:
        """Return rules that take the fields for which these fail, to see what they would become."""
        taken = {"policy": "take"}
        fields = tuple(
            each.model_copy(update=taken) if each.policy == "fail" else each for each in self.fields
        )
        policy = "take" if self.policy == "fail" else self.policy
        return ConflictRules(policy=policy, fields=fields)


class IgnoreRule(BaseModel):
    """Fields whose live values count as desired."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str | None = Field(default=None, description="Only in objects of this kind")
    name: str | None = Field(default=None, description="Only in objects of this name")
    paths: tuple[FieldPath, ...] = Field(
        default=(),
        description="Fields, with all below them, as a plan shows them: spec.replicas, "
        "webhooks[*].clientConfig.caBundle, spec.template.spec.containers[web].image",
    )
    managers: tuple[str, ...] = Field(
        default=(), description="Field managers; whatever they changed is left to them"
    )

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if not self.paths and not self.managers:
            raise ValueError("a rule needs 'paths' or 'managers'")
        return self

    def covers(self, body: Mapping[str, Any]) -> bool:
        """Whether the rule is for an object."""
        name = body["metadata"]["name"]
        return self.kind in (None, body["kind"]) and self.name in (None, name)


def _read_short(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


Conflicts = Annotated[ConflictRules, BeforeValidator(_read_short)]
"""An input: a policy, or a policy with rules for some fields."""


def _plain(path: str) -> str:
    return "." + path.lstrip(".").replace('"', "").replace("'", "")
