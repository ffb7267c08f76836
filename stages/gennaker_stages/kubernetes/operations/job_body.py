"""From the inputs of ``kubernetes.run_job`` to the Job that is made: whose it is, and what it is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker.project import load_project
from gennaker.stage import Secret
from gennaker_stages.kubernetes.bundle.objects import name_of

if TYPE_CHECKING:
    from gennaker.stage import Context, PlanContext
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.operations.job import KubernetesRunJob

__all__ = ["ATTEMPT", "OWNER_LABEL", "describe_secret", "finish_job", "name_owner", "prepare_job"]

Object = dict[str, Any]
ATTEMPT = "gennaker.dev/attempt"
"""An annotation: the attempt that made the Job, so that a repeated delivery finds its own."""
OWNER_LABEL = "gennaker.dev/job-of"
"""A label: the stage of a run that made the Job, the same for all of its attempts."""
_MESSAGE = "/dev/termination-log"
_NAME_LENGTH = 52
"""What of a name is kept: its Pods' labels have room for 63 characters, the mark takes eleven."""


def prepare_job(inputs: KubernetesRunJob.Inputs, ctx: PlanContext, cluster: Cluster) -> Object:
    """Return the Job that is wanted, checked as the objects of a deploy are.

    Raises:
        BundleError: with every problem of it.
        PermanentError: code ``operation-kind`` when it is not one Job.
    """
    from gennaker_stages.kubernetes.bundle.preparing import Shape, prepare_bundle

    if inputs.bundle is not None:
        with ctx.artifacts.open(inputs.bundle) as stream:
            content = stream.read()
    else:
        content = json.dumps(_write_manifest(inputs, ctx)).encode()
    bundle = prepare_bundle(content, cluster, cache=ctx.cache, shape=Shape((), inputs.images))
    found = bundle.everything
    if len(found) != 1 or found[0]["kind"] != "Job":
        raise PermanentError(
            f"there is to be one Job, not {', '.join(map(name_of, found))}",
            code="operation-kind",
            hint="deploy the other objects by kubernetes.deploy, before",
        )
    spec = dict(found[0]["spec"])
    spec.setdefault("ttlSecondsAfterFinished", inputs.kept_seconds)
    # It ends also when nobody is there any more to end it.
    spec.setdefault("activeDeadlineSeconds", inputs.seconds + 60)
    return {**found[0], "spec": spec}


def name_owner(ctx: PlanContext) -> str:
    """Return what tells one stage of one run from all others, also of other projects and states.

    Two states may each have a run ``shop-1``; they did not begin in one moment.
    """
    project = load_project(ctx.project).name
    scope = f"{project} {ctx.run.id} {ctx.run.started_at} {ctx.instance}"
    return hashlib.sha256(scope.encode()).hexdigest()[:20]


def finish_job(wanted: Object, inputs: KubernetesRunJob.Inputs, ctx: Context) -> Object:
    """Return the Job as it is made by an attempt: with a name of its own, and told whose it is.

    Args:
        wanted: as planned.
        inputs: of the stage.
        ctx: the attempt.
    """
    owner = name_owner(ctx)
    mark = hashlib.sha256(f"{owner} {ctx.attempt}".encode()).hexdigest()[:10]
    metadata = wanted["metadata"]
    base = str(metadata["name"])[:_NAME_LENGTH].rstrip("-.")
    labels = {**(metadata.get("labels") or {}), OWNER_LABEL: owner}
    annotations = {**(metadata.get("annotations") or {}), ATTEMPT: ctx.key}
    metadata = {
        **metadata,
        "name": f"{base}-{mark}",
        "labels": labels,
        "annotations": annotations,
    }
    template = wanted["spec"]["template"]
    pod = dict(template["spec"])
    if inputs.image is not None:
        env = [_write_variable(*each, secret=metadata["name"]) for each in inputs.env.items()]
        pod["containers"] = [{**each, "env": env} for each in pod["containers"]]
    for name in ("initContainers", "containers"):
        if pod.get(name):
            pod[name] = [_tell_container(each, ctx) for each in pod[name]]
    spec = {**wanted["spec"], "template": {**template, "spec": pod}}
    return {**wanted, "metadata": metadata, "spec": spec}


def describe_secret(inputs: KubernetesRunJob.Inputs, job: Object) -> Object | None:
    """Return the Secret with the secret values of ``env``, which goes with the Job; None without any.

    Args:
        inputs: of the stage.
        job: the live Job.
    """
    values = {name: each for name, each in inputs.env.items() if isinstance(each, Secret)}
    if not values:
        return None
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job"}
    owner |= {name: metadata[name] for name in ("name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "ownerReferences": [owner],
        },
        "stringData": {name: each.reveal() for name, each in values.items()},
    }


def _write_manifest(inputs: KubernetesRunJob.Inputs, ctx: PlanContext) -> Object:
    if inputs.manifest is None:
        return _write_short(inputs, ctx)
    metadata = dict(inputs.manifest.get("metadata") or {})
    base = str(metadata.pop("generateName", "")).rstrip("-")
    metadata.setdefault("name", base or _name_stage(ctx))
    head = {"apiVersion": "batch/v1", "kind": "Job"}
    return {**head, **inputs.manifest, "metadata": metadata}


def _write_short(inputs: KubernetesRunJob.Inputs, ctx: PlanContext) -> Object:
    container: Object = {"name": "job", "image": inputs.image}
    if isinstance(inputs.command, str):
        container["command"] = ["/bin/sh", "-e", "-c", inputs.command]
    elif inputs.command is not None:
        container["args"] = list(inputs.command)
    if inputs.env:
        # The Secret is named like the Job, which has its whole name only when it is made.
        name = _name_stage(ctx)
        container["env"] = [_write_variable(*each, secret=name) for each in inputs.env.items()]
    template: Object = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    if inputs.annotations:
        template["metadata"] = {"annotations": inputs.annotations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _name_stage(ctx)},
        # Whether it is tried again is said by the stage's 'retry'.
        "spec": {"backoffLimit": 0, "template": template},
    }


def _write_variable(name: str, value: str | Secret, *, secret: str) -> Object:
    if isinstance(value, Secret):
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
    return {"name": name, "value": value}


def _tell_container(container: Mapping[str, Any], ctx: Context) -> Object:
    """Return a container that is told of its run, as scripts are."""
    told = {
        "GENNAKER_RUN": ctx.run.id,
        "GENNAKER_STAGE": ctx.stage,
        "GENNAKER_ATTEMPT": str(ctx.attempt),
        "GENNAKER_KEY": ctx.key,
        "GENNAKER_OUTPUT": str(container.get("terminationMessagePath") or _MESSAGE),
    }
    written = container.get("env") or []
    known = {each["name"] for each in written}
    more = [{"name": name, "value": value} for name, value in told.items() if name not in known]
    return {**container, "env": [*written, *more]}


def _name_stage(ctx: PlanContext) -> str:
    return ctx.stage.replace("_", "-")
