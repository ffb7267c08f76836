"""Write ``kinds.txt``, the sandbox's type table, from Kubernetes' published API description.

A maintenance script, run by hand when the sandbox moves to another Kubernetes release::

    python generate.py KUBERNETES API APIMACHINERY APIEXTENSIONS > kinds.txt

where the arguments are unpacked Go modules (``k8s.io/kubernetes``, ``k8s.io/api``, ...). Field names,
types and merge rules come from ``swagger.json``; whether an empty value is left out of an answer comes
from the Go declarations. :mod:`..shapes` documents the format.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOTS = (
    "core.v1: Namespace Pod Service ConfigMap Secret ServiceAccount Event PersistentVolumeClaim"
    " PersistentVolume Node Endpoints ResourceQuota LimitRange",
    "apps.v1: Deployment StatefulSet DaemonSet ReplicaSet ControllerRevision",
    "batch.v1: Job CronJob",
    "networking.v1: Ingress IngressClass NetworkPolicy",
    "rbac.v1: Role RoleBinding ClusterRole ClusterRoleBinding",
    "policy.v1: PodDisruptionBudget Eviction",
    "autoscaling.v1: Scale",
    "autoscaling.v2: HorizontalPodAutoscaler",
    "coordination.v1: Lease",
    "discovery.v1: EndpointSlice",
    "storage.v1: StorageClass",
    "scheduling.v1: PriorityClass",
)
SCALARS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}
LEAVES = {
    "Quantity": "q", "Time": "t", "MicroTime": "t", "IntOrString": "x", "RawExtension": "*",
    "FieldsV1": "*", "JSON": "*", "JSONSchemaPropsOrArray": "*", "JSONSchemaPropsOrBool": "*",
    "JSONSchemaPropsOrStringArray": "*",
}  # fmt: skip
KEY_DEFAULTS = {"ContainerPort.protocol": "TCP", "ServicePort.protocol": "TCP"}


def main(kubernetes: str, api: str, apimachinery: str, apiextensions: str) -> None:
    """Print the table for the kinds in ``ROOTS`` and every type they reach."""
    swagger = json.loads(Path(kubernetes, "api/openapi-spec/swagger.json").read_text())
    definitions: dict[str, Any] = swagger["definitions"]
    go = {"io.k8s.apimachinery.pkg.apis.meta.v1": read_go(Path(apimachinery, "pkg/apis/meta/v1"))}
    extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
    go[extensions] = read_go(Path(apiextensions, "pkg/apis/apiextensions/v1"))
    todo = [f"{extensions}.CustomResourceDefinition"]
    for line in ROOTS:
        group, _, names = line.partition(": ")
        package = f"io.k8s.api.{group}"
        go[package] = read_go(Path(api, *group.split(".")))
        todo += [f"{package}.{name}" for name in names.split()]
    done: set[str] = set()
    lines = []
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        lines.append(describe(name, definitions[name], go, todo))
    release = swagger["info"]["version"]
    print(f"# Kubernetes API types, {release}; made by generate.py, the format is in shapes.py")  # noqa: T201
    print("\n".join(sorted(lines)))  # noqa: T201


def describe(name: str, definition: dict[str, Any], go: dict[str, Any], todo: list[str]) -> str:
    """Return the line of one type; types it mentions are added to ``todo``."""
    package, _, short = name.rpartition(".")
    declared = go.get(package, {}).get(short, {})
    words = [shorten(name)]
    if definition.get("x-kubernetes-map-type") == "atomic":
        words.append("@atomic")
    for field, spec in definition.get("properties", {}).items():
        flag = declared.get(field, "")
        default = KEY_DEFAULTS.get(f"{short}.{field}")
        words.append(f"{field}:{express(spec, todo)}{flag}" + (f"%{default}" if default else ""))
    return " ".join(words)


def express(spec: dict[str, Any], todo: list[str]) -> str:
    """Return the type expression of one field."""
    if "$ref" in spec:
        target = spec["$ref"].removeprefix("#/definitions/")
        leaf = LEAVES.get(target.rpartition(".")[2])
        if leaf is None:
            todo.append(target)
        return leaf or shorten(target)
    kind = spec.get("type")
    if kind == "array":
        relation = spec.get("x-kubernetes-list-type", "atomic")
        rule = {"atomic": "", "set": "set"}.get(relation)
        if rule is None:
            rule = ",".join(spec["x-kubernetes-list-map-keys"])
        merge = spec.get("x-kubernetes-patch-strategy", "")
        key = spec.get("x-kubernetes-patch-merge-key", "")
        suffix = f"~{key or '-'}" if "merge" in merge else ""
        return f"[{express(spec['items'], todo)}]{rule}{suffix}"
    if kind == "object":
        atomic = "atomic" if spec.get("x-kubernetes-map-type") == "atomic" else ""
        inner = spec.get("additionalProperties")
        return f"{{{express(inner, todo)}}}{atomic}" if inner else "*"
    return SCALARS.get(str(kind), "*")


def shorten(name: str) -> str:
    """Return ``core.v1.Pod`` for ``io.k8s.api.core.v1.Pod``."""
    package, _, short = name.rpartition(".")
    parts = package.split(".")
    return f"{parts[-2]}.{parts[-1]}.{short}"


def read_go(folder: Path) -> dict[str, dict[str, str]]:
    """Return type → JSON field → flag: ``?`` empty is left out, ``=`` always there, else ``""``."""
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*types*.go")))
    aliases = dict(re.findall(r"^type (\w+) ((?:\[\]|map\[|string|int|bool|float)\S*)", text, re.M))
    bodies = dict(re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S))
    return {name: read_fields(body, bodies, aliases) for name, body in bodies.items()}


def read_fields(body: str, bodies: dict[str, str], aliases: dict[str, str]) -> dict[str, str]:
    """Return the flags of one struct's fields, embedded structs included."""
    found: dict[str, str] = {}
    for line in body.splitlines():
        inline = re.match(r'\s+(\w+)\s+`json:",inline"', line)
        if inline and inline[1] in bodies:
            found |= read_fields(bodies[inline[1]], bodies, aliases)
        match = re.match(r'\s+(?:\w+\s+)?(\S+)\s+`json:"(\w+)([^"]*)"', line)
        if not match:
            continue
        declared, field, options = match.groups()
        declared = aliases.get(declared.split(".")[-1], declared)
        plain = re.match(r"\[\]|map\[|string|u?int|bool|float|types\.UID", declared)
        if "omitzero" in options or declared.startswith("*"):
            found[field] = ""
        elif plain and "omitempty" in options:
            found[field] = "?"
        else:
            found[field] = "="
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
