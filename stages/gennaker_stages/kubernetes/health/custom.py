"""Health rules of a project's own, in CEL: what an environment's ``health`` may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gennaker_stages.kubernetes.health.verdict import READY, Health

__all__ = ["Condition", "HealthRule", "HealthRules", "check_source", "judge"]

Object = Mapping[str, Any]
FIELDS = ("metadata", "spec", "status")
_SAID = 300


def check_source(kind: str, *more: str) -> Callable[[str], str]:
    """Return what checks an expression over the fields of an object.

    Args:
        kind: of value it is to give, ``dyn`` for any.
        more: fields of the object that it may look at, beside the usual ones.
    """

    def check(source: str) -> str:
        from gennaker.errors import ExpressionError
        from gennaker.expressions import Type, TypeScope, check_expression, compile_expression

        anything = {name: Type("map", Type("dyn")) for name in (*FIELDS, *more)}
        roots = {"apiVersion": Type("string"), "kind": Type("string"), **anything}
        try:
            found = check_expression(
                compile_expression(source), TypeScope(roots, expected=Type(kind))
            )
        except ExpressionError as error:
            raise ValueError(f"{source!r}: {error.message}") from error
        if found:
            raise ValueError(f"{source!r}: {found[0].message}")
        return source

    return check


Condition = Annotated[str, AfterValidator(check_source("bool"))]
"""An input: an expression over an object that holds or does not."""


class HealthRule(BaseModel):
    """When objects of a kind are ready, and when they have failed; over the object's fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: Condition = Field(
        description="Expression over apiVersion, kind, metadata, spec and status: whether it is ready"
    )
    failed: Condition | None = Field(
        default=None, description="Expression: whether it has failed and will not get ready"
    )
    message: Annotated[str, AfterValidator(check_source("string"))] | None = Field(
        default=None, description="Expression: what is told of it while it is not ready"
    )


HealthRules = Mapping[str, HealthRule]
"""``GROUP/Kind``, or ``Kind`` of the core, to its rule."""


def judge(rule: HealthRule, body: Object) -> Health:
    """Return what a rule says of an object.

    A field that is not there (yet), or a value of another type, makes a question a no: a status is
    what its controller has written so far.
    """
    failed = _evaluate(rule.failed, body) if rule.failed is not None else False
    if failed is True:
        return Health("failed", _say(rule, body) or f"{rule.failed} holds")
    ready = _evaluate(rule.ready, body)
    if ready is True:
        return READY
    return Health("progressing", _say(rule, body) or f"waits for {rule.ready}")


def _say(rule: HealthRule, body: Object) -> str:
    text = _evaluate(rule.message, body) if rule.message is not None else None
    return text[:_SAID] if isinstance(text, str) else ""


def _evaluate(source: str, body: Object) -> Any:
    from gennaker.errors import ExpressionError
    from gennaker.expressions import Scope, compile_expression

    values = {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        **{name: body.get(name) or {} for name in FIELDS},
    }
    try:
        return compile_expression(source).evaluate(Scope(values))
    except ExpressionError:
        return None
