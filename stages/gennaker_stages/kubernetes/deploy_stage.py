"""``kubernetes.deploy``: a bundle into the environment's cluster, and a wait until it runs."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gennaker.durations import normalize_duration, parse_duration
from gennaker.errors import PermanentError
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Secret,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.kubernetes.bundle.objects import (
    name_of,
    place_objects,
    read_bundle,
    sort_objects,
)
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.planning.difference import describe_difference, find_differences

__all__ = ["KubernetesDeploy"]

Object = dict[str, Any]


class KubernetesDeploy(Stage):
    """Deploy a bundle to the environment's cluster and wait until its workloads are ready."""

    name = "kubernetes.deploy"
    effect = "deploy"

    class Inputs(StageInputs):
        """What is deployed."""

        bundle: Artifact = Field(description="Rendered objects, from a rendering stage")
        secrets: dict[str, dict[str, Secret]] = Field(
            default_factory=dict,
            description="Secret objects to apply: name, then key to secret value",
        )
        ready_within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="10m", description="How long the workloads may take to get ready"
        )

    class Outputs(StageOutputs):
        """What was deployed.

        ``images`` are read back from the specs of the live Pods once all is ready.
        """

        objects: list[str] = Field(description="Kind/name of each object that was applied")
        images: list[str] = Field(
            description="Images in the specs of the live Pods, once all is ready"
        )

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """List the objects that would be created, changed and left, by a server-side dry run."""
        cluster = _connect(ctx)
        objects = _prepare(inputs, ctx, cluster)
        changes = [_plan_object(cluster, each, inputs.secrets) for each in objects]
        return Plan(
            changes=tuple(changes),
            desired={"objects": [_mask(each) for each in objects]},
            outputs={"objects": [name_of(each) for each in objects]},
        )

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Apply every object, then wait; a workload that does not get ready is explained."""
        from gennaker_stages.kubernetes.health.rollout import wait_for_rollouts

        cluster = _connect(ctx)
        cluster.serve(ctx)
        _ensure_namespace(cluster, ctx)
        objects = _prepare(inputs, ctx, cluster)
        for body in objects:
            ctx.check_cancelled()
            _apply(cluster, body, ctx)
        result = wait_for_rollouts(
            cluster,
            objects,
            seconds=min(parse_duration(inputs.ready_within), ctx.remaining),
            should_stop=lambda: ctx.cancelled,
            tell=ctx.log,
        )
        ctx.check_cancelled()
        if result.unready():
            return _explain(cluster, result, inputs.ready_within, ctx)
        return Succeeded(
            {
                "objects": [name_of(each) for each in objects],
                "images": _read_images(cluster, list(result.objects.values())),
            }
        )


def _connect(ctx: PlanContext) -> Cluster:
    if ctx.environment is None or ctx.environment.target != "kubernetes":
        raise PermanentError(
            "kubernetes.deploy needs an environment with a 'kubernetes' target",
            code="no-target",
            hint="give the stage 'environment:', and that environment 'kubernetes:' in gennaker.yaml",
        )
    cluster = ctx.connect()
    assert isinstance(cluster, Cluster)  # the kubernetes target connects to nothing else
    return cluster


def _prepare(inputs: KubernetesDeploy.Inputs, ctx: PlanContext, cluster: Cluster) -> list[Object]:
    with ctx.artifacts.open(inputs.bundle) as stream:
        objects = read_bundle(stream.read(), "bundle")
    for name, values in inputs.secrets.items():
        objects.append(_make_secret(name, values))
    if not objects:
        raise PermanentError("the bundle has no objects", code="bundle")
    return sort_objects(place_objects(objects, cluster, cluster.settings.namespace))


def _make_secret(name: str, values: Mapping[str, Secret]) -> Object:
    data = {
        key: base64.b64encode(value.reveal().encode()).decode() for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def _ensure_namespace(cluster: Cluster, ctx: Context) -> None:
    settings = cluster.settings
    if not settings.create_namespace:
        return
    resource = cluster.find_resource("v1", "Namespace")
    if cluster.read(resource, None, settings.namespace) is None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.namespace}}
        cluster.apply(resource, body)
        ctx.log(f"created Namespace/{settings.namespace}")


def _apply(cluster: Cluster, body: Object, ctx: Context) -> None:
    """Apply one object; that it was applied is durable before the next one is."""
    metadata = body["metadata"]

    def apply(_key: str) -> dict[str, Any]:
        resource = cluster.find_resource(body["apiVersion"], body["kind"])
        found = cluster.apply(resource, body)["metadata"]
        return {"uid": found["uid"], "resourceVersion": found["resourceVersion"]}

    where = metadata.get("namespace") or "cluster"
    ctx.step(f"apply {body['apiVersion']} {name_of(body)} in {where}", apply)
    ctx.log(f"applied {name_of(body)}")
    if body["kind"] == "CustomResourceDefinition":
        _wait_established(cluster, metadata["name"], ctx)


def _wait_established(cluster: Cluster, name: str, ctx: Context) -> None:
    resource = cluster.find_resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        body = cluster.read(resource, None, name) or {}
        conditions = (body.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            return
        if ctx.wait_cancelled(0.1):
            ctx.check_cancelled()
    raise PermanentError(
        f"CustomResourceDefinition/{name} was not established within 30 s", code="crd"
    )


def _plan_object(cluster: Cluster, body: Object, secrets: Mapping[str, Any]) -> Change:
    name = name_of(body)
    try:
        resource = cluster.find_resource(body["apiVersion"], body["kind"])
    except PermanentError as error:
        if error.code == "unknown-kind":  # a definition of this bundle will make it known
            return Change("create", name)
        raise
    metadata = body["metadata"]
    live = cluster.read(resource, metadata.get("namespace"), metadata["name"])
    if live is None:
        return Change("create", name)
    if body["kind"] == "Secret" and metadata["name"] in secrets:
        return _plan_secret(name, live, body)
    wanted = cluster.apply(resource, body, dry_run=True)
    differences = find_differences(live, wanted)
    if not differences:
        return Change("leave", name)
    return Change("change", name, describe_difference(differences, secret=body["kind"] == "Secret"))


def _plan_secret(name: str, live: Object, body: Object) -> Change:
    """Plan a Secret of the stage's ``secrets``: a plan reads no secret, so only keys are compared."""
    missing = sorted(set(body["data"]) - set(live.get("data") or ()))
    if missing:
        return Change("change", name, f"new keys {', '.join(missing)}")
    return Change("leave", name, "its values are compared when it is applied")


def _mask(body: Object) -> Object:
    """The object as it counts in the plan's digest: a secret by its keys."""
    if body["kind"] != "Secret":
        return body
    return {
        **body,
        "data": sorted(body.get("data") or ()),
        "stringData": sorted(body.get("stringData") or ()),
    }


def _explain(cluster: Cluster, result: Any, within: str, ctx: Context) -> Failed:
    from gennaker_stages.kubernetes.health.explanation import explain_workload

    parts = []
    for key, rollout in result.unready():
        body = result.objects.get(key)
        reasons = explain_workload(cluster, body) if body is not None else []
        for each in reasons:
            ctx.log(f"{key[0]}/{key[2]}: {each}")
        parts.append(f"{key[0]}/{key[2]}: {'; '.join([rollout.message, *reasons][:5])}")
    code = "rollout-failed" if result.failed else "rollout-timeout"
    late = "" if result.failed else f" within {within}"
    return Failed(f"not ready{late}: {' | '.join(parts)}", code=code)


def _read_images(cluster: Cluster, workloads: list[dict[str, Any]]) -> list[str]:
    from gennaker_stages.kubernetes.health.explanation import collect_images, find_pods

    images: set[str] = set()
    for body in workloads:
        images |= collect_images(find_pods(cluster, body))
    return sorted(images)
