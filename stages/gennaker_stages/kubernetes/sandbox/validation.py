"""What the API server refuses about objects: required fields, wrong values, immutable fields.

The rules that people's manifests break in practice, in Kubernetes' words; not all of its rules.
:func:`validate` looks at an object after defaulting, :func:`validate_change` at an update. Called by
:mod:`.operations`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from .names import check_labels, check_metadata, label_problem
from .problems import Cause
from .resources import Resource
from .selectors import matches_selector
from .validation_custom import check_custom, check_definition
from .validation_services import check_port, check_protocol, check_service, check_service_change

__all__ = ["validate", "validate_change"]

Object = Mapping[str, Any]
_IMMUTABLE = "field is immutable"


def validate(resource: Resource, obj: Object) -> list[Cause]:
    """Return everything that is wrong with a new (or newly changed) object."""
    found = check_metadata(resource.kind, obj.get("metadata", {}))
    if resource.custom is not None:
        return found + check_custom(obj, resource.type)
    function = _RULES.get(resource.kind)
    return found + (function(obj) if function else [])


def validate_change(resource: Resource, old: Object, new: Object) -> list[Cause]:
    """Return which fields an update may not change."""
    found = []
    for path in _FIXED.get(resource.kind, ()):
        before, after = _at(old, path), _at(new, path)
        if before != after and not (before is None and resource.kind == "PersistentVolumeClaim"):
            found.append(Cause.wrong(path, after, _IMMUTABLE))
    function = _CHANGE_RULES.get(resource.kind)
    return found + (function(old, new) if function else [])


def _at(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return obj


_FIXED: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "Job": ("spec.selector", "spec.template.spec", "spec.completionMode", "spec.podFailurePolicy"),
    "Secret": ("type",),
    "RoleBinding": (),
}


def _workload(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    found: list[Cause] = []
    if spec.get("replicas", 0) < 0:
        text = "must be greater than or equal to 0"
        found.append(Cause.wrong("spec.replicas", spec["replicas"], text))
    selector = spec.get("selector")
    if not selector:
        found.append(Cause.required("spec.selector"))
    elif not (selector.get("matchLabels") or selector.get("matchExpressions")):
        text = "empty selector is invalid for deployment"
        found.append(Cause.wrong("spec.selector", selector, text))
    template = spec["template"]
    labels = template.get("metadata", {}).get("labels", {})
    if not labels or not matches_selector(selector or {}, labels):
        text = "`selector` does not match template `labels`"
        found.append(Cause.wrong("spec.template.metadata.labels", labels or None, text))
    found += check_labels(labels, "spec.template.labels")
    found += _pod_spec(template["spec"], "spec.template.spec")
    if template["spec"].get("restartPolicy", "Always") != "Always":
        found.append(
            Cause.unsupported(
                "spec.template.spec.restartPolicy", template["spec"]["restartPolicy"], ["Always"]
            )
        )
    return found


def _deployment(obj: Object) -> list[Cause]:
    spec, found = obj["spec"], _workload(obj)
    seconds, deadline = spec.get("minReadySeconds", 0), spec.get("progressDeadlineSeconds", 600)
    if seconds < 0:
        text = "must be greater than or equal to 0"
        found.append(Cause.wrong("spec.minReadySeconds", seconds, text))
    rolling = spec["strategy"].get("rollingUpdate")
    if spec["strategy"]["type"] == "Recreate" and rolling is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        found.append(Cause.barred("spec.strategy.rollingUpdate", text))
    elif rolling and all(
        str(rolling[name]) in ("0", "0%") for name in ("maxSurge", "maxUnavailable")
    ):
        text = "may not be 0 when `maxSurge` is 0"
        where = "spec.strategy.rollingUpdate.maxUnavailable"
        found.append(Cause.wrong(where, rolling["maxUnavailable"], text))
    if deadline <= seconds:
        text = "must be greater than minReadySeconds"
        found.append(Cause.wrong("spec.progressDeadlineSeconds", deadline, text))
    return found


def _job(obj: Object) -> list[Cause]:
    return _job_spec(obj["spec"], "spec")


def _job_spec(spec: Object, path: str) -> list[Cause]:
    found = []
    for name in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"):
        if spec.get(name, 0) < 0:
            text = "must be greater than or equal to 0"
            found.append(Cause.wrong(f"{path}.{name}", spec[name], text))
    found += _pod_spec(spec["template"]["spec"], f"{path}.template.spec")
    policy = spec["template"]["spec"].get("restartPolicy", "Always")
    if policy == "Always":
        found.append(
            Cause(
                "FieldValueRequired",
                f"{path}.template.spec.restartPolicy",
                'Required value: valid values: "OnFailure", "Never"',
            )
        )
    return found


def _cron_job(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    found = []
    schedule = spec.get("schedule", "")
    if not schedule:
        found.append(Cause.required("spec.schedule"))
    elif len(schedule.split()) != 5 and not schedule.startswith("@"):
        text = f"expected exactly 5 fields, found {len(schedule.split())}: [{schedule}]"
        found.append(Cause.wrong("spec.schedule", schedule, text))
    return found + _job_spec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")


def _pod(obj: Object) -> list[Cause]:
    return _pod_spec(obj["spec"], "spec")


def _pod_spec(spec: Object, path: str) -> list[Cause]:
    found: list[Cause] = []
    containers = spec.get("containers") or []
    if not containers:
        found.append(Cause.required(f"{path}.containers"))
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    names: set[str] = set()
    for field, items in (
        ("volumes", spec.get("volumes", [])),
        ("containers", containers),
        ("initContainers", spec.get("initContainers", [])),
    ):
        for index, item in enumerate(items):
            where = f"{path}.{field}[{index}]"
            if field == "volumes":
                found += _named(item, where)
                continue
            found += _container(item, where, volumes)
            if item["name"] in names:
                found.append(Cause.twice(f"{where}.name", item["name"]))
            names.add(item["name"])
    policy = spec.get("restartPolicy", "Always")
    if policy not in ("Always", "OnFailure", "Never"):
        choices = ("Always", "OnFailure", "Never")
        found.append(Cause.unsupported(f"{path}.restartPolicy", policy, choices))
    return found


def _named(item: Object, where: str) -> list[Cause]:
    if not item.get("name"):
        return [Cause.required(f"{where}.name")]
    return [
        Cause.wrong(f"{where}.name", item["name"], text) for text in label_problem(item["name"])
    ]


def _container(container: Object, where: str, volumes: set[str]) -> list[Cause]:
    found = _named(container, where)
    if not container.get("image"):
        found.append(Cause.required(f"{where}.image"))
    elif container["image"] != container["image"].strip():
        text = "must not have leading or trailing whitespace"
        found.append(Cause.wrong(f"{where}.image", container["image"], text))
    policies = ("Always", "IfNotPresent", "Never")
    if container.get("imagePullPolicy", "Always") not in policies:
        field = f"{where}.imagePullPolicy"
        found.append(Cause.unsupported(field, container["imagePullPolicy"], policies))
    for index, port in enumerate(container.get("ports", [])):
        field = f"{where}.ports[{index}]"
        if not port.get("containerPort"):
            found.append(Cause.required(f"{field}.containerPort"))
        else:
            found += check_port(port["containerPort"], f"{field}.containerPort")
        found += check_protocol(port, field)
    for index, variable in enumerate(container.get("env", [])):
        if not variable.get("name"):
            found.append(Cause.required(f"{where}.env[{index}].name"))
        if variable.get("value") and variable.get("valueFrom"):
            text = "may not be specified when `value` is not empty"
            found.append(Cause.wrong(f"{where}.env[{index}].valueFrom", "", text))
    for index, mount in enumerate(container.get("volumeMounts", [])):
        field = f"{where}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            text = f'Not found: "{mount.get("name", "")}"'
            found.append(Cause("FieldValueNotFound", f"{field}.name", text))
        if not mount.get("mountPath"):
            found.append(Cause.required(f"{field}.mountPath"))
    return found


def _config_map(obj: Object) -> list[Cause]:
    found = []
    size = 0
    for field in ("data", "binaryData"):
        for key, value in obj.get(field, {}).items():
            found += _data_key(key, f"{field}[{key}]")
            if field == "data" and key in obj.get("binaryData", {}):
                text = "duplicate of key present in binaryData"
                found.append(Cause.wrong(f"data[{key}]", key, text))
            size += len(value)
    return found + _too_large(size, "ConfigMap")


def _secret(obj: Object) -> list[Cause]:
    found = []
    size = 0
    for key, value in obj.get("data", {}).items():
        found += _data_key(key, f"data[{key}]")
        size += len(value or "") * 3 // 4
    if obj.get("type") == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in obj.get("data", {}):
                found.append(Cause.required(f"data[{key}]"))
    if obj.get("type") == "kubernetes.io/dockerconfigjson":
        found += _docker_config(obj.get("data", {}).get(".dockerconfigjson"))
    return found + _too_large(size, "Secret")


def _docker_config(value: str | None) -> list[Cause]:
    if value is None:
        return [Cause.required("data[.dockerconfigjson]")]
    try:
        json.loads(base64.b64decode(value))
    except ValueError as error:
        shown = "<secret contents redacted>"
        return [Cause.wrong("data[.dockerconfigjson]", shown, str(error))]
    return []


def _too_large(size: int, kind: str) -> list[Cause]:
    limit = 1024 * 1024
    if size <= limit:
        return []
    field = "data" if kind == "Secret" else ""
    return [Cause("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")]


def _data_key(key: str, path: str) -> list[Cause]:
    if key and len(key) <= 253 and all(c.isascii() and (c.isalnum() or c in "-_.") for c in key):
        return []
    text = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g."
        " 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    )
    return [Cause.wrong(path, key, text)]


def _ingress(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    spec = obj["spec"]
    if not spec.get("rules") and not spec.get("defaultBackend"):
        text = "either `defaultBackend` or `rules` must be specified"
        found.append(Cause.wrong("spec", [], text))
    for index, rule in enumerate(spec.get("rules", [])):
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            field = f"spec.rules[{index}].http.paths[{number}]"
            kinds = ("Exact", "ImplementationSpecific", "Prefix")
            if not path.get("pathType"):
                found.append(Cause.required(f"{field}.pathType", "pathType must be specified"))
            elif path["pathType"] not in kinds:
                found.append(Cause.unsupported(f"{field}.pathType", path["pathType"], kinds))
    return found


def _binding(obj: Object) -> list[Cause]:
    reference = obj["roleRef"]
    kind = reference["kind"]
    found = []
    if reference.get("kind") not in ("Role", "ClusterRole"):
        # In the order in which the real server lists them.
        text = f'Unsupported value: "{kind}": supported values: "Role", "ClusterRole"'
        found.append(Cause("FieldValueNotSupported", "roleRef.kind", text))
    if not reference.get("name"):
        found.append(Cause.required("roleRef.name"))
    return found


def _claim(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    found = []
    if not spec.get("accessModes"):
        found.append(Cause.required("spec.accessModes", "at least 1 access mode is required"))
    if "storage" not in spec["resources"].get("requests", {}):
        found.append(Cause.required("spec.resources[storage]"))
    return found


def _stateful_set_change(old: Object, new: Object) -> list[Cause]:
    free = {
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "replicas",
        "revisionHistoryLimit",
        "template",
        "updateStrategy",
    }
    names = {*old["spec"], *new["spec"]} - free
    if all(old["spec"].get(name) == new["spec"].get(name) for name in names):
        return []
    text = (
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template',"
        " 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and"
        " 'minReadySeconds' are forbidden"
    )
    return [Cause.barred("spec", text)]


def _immutable_data(old: Object, new: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    found = [] if new.get("immutable") else [Cause.barred("immutable", text)]
    for field in ("data", "binaryData"):
        if old.get(field) != new.get(field):
            found.append(Cause.barred(field, text))
    return found


def _pod_change(old: Object, new: Object) -> list[Cause]:
    def bare(spec: Object) -> dict[str, Any]:
        rest = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations")}
        for field in ("containers", "initContainers"):
            rest[field] = [{**each, "image": ""} for each in rest.get(field) or []]
        return rest

    if bare(old["spec"]) == bare(new["spec"]):
        return []
    text = (
        "pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
        " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set"
        " to 1 if it was previously negative)"
    )
    return [Cause.barred("spec", text)]


def _binding_change(old: Object, new: Object) -> list[Cause]:
    if old["roleRef"] == new["roleRef"]:
        return []
    names = {"apiGroup": "APIGroup", "kind": "Kind", "name": "Name"}
    shown = {names[key]: new["roleRef"].get(key, "") for key in names}
    return [Cause.wrong("roleRef", shown, "cannot change roleRef")]


def _claim_change(old: Object, new: Object) -> list[Cause]:
    def bare(spec: Object) -> dict[str, Any]:
        rest = {k: v for k, v in spec.items() if k not in ("resources", "volumeName")}
        rest.pop("volumeAttributesClassName", None)
        if "storageClassName" not in old["spec"]:
            # The default class may be filled in later.
            rest.pop("storageClassName", None)
        return rest

    if bare(old["spec"]) == bare(new["spec"]):
        return []
    text = (
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for"
        " bound claims"
    )
    return [Cause.barred("spec", text)]


_RULES: dict[str, Callable[[Object], list[Cause]]] = {
    "Deployment": _deployment,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Job": _job,
    "CronJob": _cron_job,
    "Pod": _pod,
    "Service": check_service,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "Ingress": _ingress,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "PersistentVolumeClaim": _claim,
    "CustomResourceDefinition": check_definition,
}
_CHANGE_RULES: dict[str, Callable[[Object, Object], list[Cause]]] = {
    "StatefulSet": _stateful_set_change,
    "ConfigMap": _immutable_data,
    "Secret": _immutable_data,
    "Pod": _pod_change,
    "Service": check_service_change,
    "RoleBinding": _binding_change,
    "ClusterRoleBinding": _binding_change,
    "PersistentVolumeClaim": _claim_change,
}
