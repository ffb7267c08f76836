"""``kubernetes.wait`` and ``kubernetes.read``: looks at one live object, nothing is changed."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gennaker.durations import normalize_duration
from gennaker.errors import ExpressionError, PermanentError
from gennaker.stage import (
    Change,
    Context,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Stage,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.kubernetes.connecting import connect
from gennaker_stages.kubernetes.health.custom import Condition, check_source
from gennaker_stages.kubernetes.operations.base import ObjectInputs, wait_ready
from gennaker_stages.kubernetes.operations.places import (
    LATER,
    Place,
    find_place,
    plan_place,
    read_object,
    refuse_secret,
)

__all__ = ["KubernetesRead", "KubernetesWait", "list_images"]

_ROOTS = ("metadata", "spec", "status", "data")


class KubernetesWait(Stage):
    """Wait until a live object is ready, has a condition, or an expression over it holds."""

    name = "kubernetes.wait"
    target = "kubernetes"

    class Inputs(ObjectInputs):
        """Which object, and what is waited for."""

        condition: str | None = Field(
            default=None,
            pattern=r"^[A-Za-z][A-Za-z0-9._/-]*(=(True|False|Unknown))?$",
            description="A condition of its status that is to be True: Available, or Ready=False",
        )
        until: Condition | None = Field(
            default=None,
            description="An expression over apiVersion, kind, metadata, spec and status that is to "
            "hold: status.phase == 'Bound'",
        )
        within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="10m", description="How long it may take"
        )

        @model_validator(mode="after")
        def _check_one(self) -> Self:
            if self.condition is not None and self.until is not None:
                raise ValueError("give 'condition' or 'until', not both")
            return self

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Tell what would be waited for; the object need not be there yet."""
        what = f"until {inputs.until or inputs.condition or 'it is ready'}"
        if plan_place(connect(ctx), inputs) is None:
            what = f"{what}; {LATER}"
        return Plan(changes=[Change("run", f"wait for {inputs.object}", what)])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Watch the object; nothing is polled."""
        from gennaker_stages.kubernetes.health.assessment import kind_of
        from gennaker_stages.kubernetes.health.custom import HealthRule
        from gennaker_stages.kubernetes.health.waiting import wait_until_ready

        cluster = connect(ctx)
        cluster.serve(ctx)
        body = read_object(cluster, find_place(cluster, inputs))
        source = inputs.until
        if inputs.condition is not None:
            kind, _, status = inputs.condition.partition("=")
            source = f"status.conditions.exists(c, c.type == '{kind}' && c.status == '{status or 'True'}')"
        if source is None:
            return wait_ready(cluster, [body], inputs.within, ctx) or Succeeded()
        cluster = copy.copy(cluster)
        rules = {**cluster.settings.health, kind_of(body): HealthRule(ready=source)}
        cluster.settings = cluster.settings.model_copy(update={"health": rules})
        result = wait_until_ready(cluster, [body], ctx, within=inputs.within)
        ctx.check_cancelled()
        for _key, waited in result.unready:
            code = "rollout-failed" if result.failed else "rollout-timeout"
            late = "" if result.failed else f" within {result.within}"
            reason = _find_reason(inputs, waited.body or body)
            told = f"{waited.health.message}{reason and f' ({reason})'}"
            return Failed(f"not so{late}: {inputs.object}: {told}", code=code)
        return Succeeded()


class KubernetesRead(Stage):
    """Read values and images of a live object."""

    name = "kubernetes.read"
    target = "kubernetes"

    class Inputs(ObjectInputs):
        """Which object, and what of it."""

        values: dict[str, Annotated[str, AfterValidator(check_source("dyn", "data"))]] = Field(
            default_factory=dict,
            description="Names, and expressions over apiVersion, kind, metadata, spec, status and "
            "data: {replicas: spec.replicas}",
        )

    class Outputs(StageOutputs):
        """What was read."""

        values: dict[str, Any] = Field(description="Each name of the input, and its value")
        images: list[str] = Field(description="Images of its Pod template or Pod, as written")

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Tell what would be read."""
        told = ", ".join(inputs.values) or "its images"
        place = plan_place(connect(ctx), inputs)
        if place is None:
            told = f"{told}; {LATER}"
        else:
            _refuse_secret(place)
        return Plan(changes=[Change("run", f"read {inputs.object}", told)])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Read the object once."""
        cluster = connect(ctx)
        cluster.serve(ctx)
        place = find_place(cluster, inputs)
        _refuse_secret(place)
        body = read_object(cluster, place)
        values = {name: _evaluate(name, source, body) for name, source in inputs.values.items()}
        return Succeeded({"values": values, "images": list_images(body)})


def list_images(body: dict[str, Any]) -> list[str]:
    """Return the images that an object runs as its specification says, each once."""
    spec = body.get("spec") or {}
    if body["kind"] == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    if body["kind"] != "Pod":
        spec = (spec.get("template") or {}).get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return sorted({each["image"] for each in containers if each.get("image")})


def _refuse_secret(place: Place) -> None:
    refuse_secret(
        place,
        f"Secret/{place.name} is not read: outputs are kept, and its values are secret",
        hint="declare a secret in gennaker.yaml and give it to the stage that needs it",
    )


def _evaluate(name: str, source: str, body: dict[str, Any]) -> Any:
    try:
        return _look(source, body)
    except ExpressionError as error:
        raise PermanentError(
            f"value {name!r} cannot be read: {error.message}",
            code="read-value",
            hint="for what may be missing: 'status.?address.orValue(\"\")'",
        ) from error


def _look(source: str, body: dict[str, Any]) -> Any:
    from gennaker.expressions import Scope, compile_expression

    values = {each: body.get(each) or {} for each in _ROOTS}
    scope = Scope({"apiVersion": body["apiVersion"], "kind": body["kind"], **values})
    return compile_expression(source).evaluate(scope)


def _find_reason(inputs: KubernetesWait.Inputs, body: dict[str, Any]) -> str:
    """Return why what is waited for may never hold: a name that is not there, no truth; else nothing."""
    if inputs.condition is not None:
        known = {
            str(each.get("type")) for each in (body.get("status") or {}).get("conditions") or ()
        }
        if inputs.condition.partition("=")[0] in known:
            return ""
        return (
            f"it has the conditions: {', '.join(sorted(known))}"
            if known
            else "it has no conditions"
        )
    try:
        value = _look(inputs.until or "", body)
    except ExpressionError as error:
        return error.message
    return "" if isinstance(value, bool) else "the expression gives no true or false"
