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
from gennaker_stages.kubernetes.bundle.objects import Object, name_of
from gennaker_stages.kubernetes.bundle.preparing import Bundle, prepare_bundle
from gennaker_stages.kubernetes.client.cluster import Cluster

__all__ = ["KubernetesDeploy"]


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

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """List the objects that would be created, changed and left, by a server-side dry run."""
        from gennaker_stages.kubernetes.planning.planner import plan_objects

        cluster = _connect(ctx)
        bundle = _prepare(inputs, ctx, cluster)

        def apply(body: Object) -> dict[str, Any]:
            resource = cluster.find_resource(body["apiVersion"], body["kind"])
            return cluster.apply(resource, body, dry_run=True)

        planned = plan_objects(cluster, bundle.objects, apply=apply, unread=inputs.secrets)
        return Plan(
            changes=planned.changes,
            desired={"objects": bundle.desired()},
            outputs={"objects": [name_of(each) for each in bundle.objects]},
            observed={"desired": bundle.digest(), "live": planned.observed()},
        )

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Apply every object, then wait; a workload that does not get ready is explained."""
        from gennaker_stages.kubernetes.health.rollout import wait_for_rollouts

        cluster = _connect(ctx)
        cluster.serve(ctx)
        objects = _prepare(inputs, ctx, cluster).objects
        _ensure_namespace(cluster, ctx)
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


def _prepare(inputs: KubernetesDeploy.Inputs, ctx: PlanContext, cluster: Cluster) -> Bundle:
    with ctx.artifacts.open(inputs.bundle) as stream:
        content = stream.read()
    secrets = [_make_secret(name, values) for name, values in inputs.secrets.items()]
    return prepare_bundle(content, cluster, cache=ctx.cache, more=secrets)


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
