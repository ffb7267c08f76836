"""What the API server itself sets on objects of some kinds, beyond defaults: addresses, labels, status.

Called by :mod:`.operations` right before an object is validated and stored.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from .decode import Findings, clone, empty
from .problems import ApiProblem
from .resources import Resource

__all__ = [
    "CLAIM_PROTECTION",
    "check_base64",
    "fold_string_data",
    "prepare_create",
    "prepare_update",
]

Object = dict[str, Any]
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"


def fold_string_data(obj: Object) -> None:
    """Move a Secret's ``stringData`` into ``data``, as the API server does on reading."""
    plain = obj.pop("stringData", None)
    if plain:
        data = obj.setdefault("data", {})
        for key, value in plain.items():
            data[key] = base64.b64encode(value.encode()).decode()


def check_base64(obj: Object, findings: Findings) -> None:
    """Report a Secret's values that are not base64, as the API server does on reading."""
    for value in obj.get("data", {}).values():
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error:
            bad = next(
                (i for i, c in enumerate(value) if not (c.isalnum() or c in "+/=")), len(value)
            )
            findings.wrong.append(f"illegal base64 data at input byte {bad}")


def prepare_create(resource: Resource, obj: Object, services: Iterable[Object]) -> None:
    """Complete a new object in place; it has its uid already."""
    if resource.counts_generation:
        obj["metadata"]["generation"] = 1
    if resource.has_status:
        field = resource.type.fields.get("status")
        if resource.custom is not None or field is None:
            obj.pop("status", None)
        else:
            obj["status"] = empty(field.type)
            if field.empty != "=":
                del obj["status"]
    kind = resource.kind
    if kind == "Namespace":
        obj["spec"]["finalizers"] = ["kubernetes"]
        obj["status"] = {"phase": "Active"}
    elif kind == "Pod":
        spec = obj["spec"]
        spec.setdefault("serviceAccountName", "default")
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
        spec.setdefault("priority", 0)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        obj["status"] = {"phase": "Pending", "qosClass": find_quality(spec)}
    elif kind in ("PersistentVolumeClaim", "PersistentVolume"):
        obj["status"] = {"phase": "Pending"}
        if kind == "PersistentVolumeClaim":
            finalizers = obj["metadata"].setdefault("finalizers", [])
            finalizers.extend({CLAIM_PROTECTION} - set(finalizers))
    elif kind == "Job":
        _prepare_job(obj)
    elif kind == "DaemonSet":
        obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = "1"
    elif kind == "Service":
        allocate(obj, services)
    elif kind == "CustomResourceDefinition":
        obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": [
                version["name"] for version in obj["spec"]["versions"] if version.get("storage")
            ],
        }


def prepare_update(
    resource: Resource,
    old: Object,
    new: Object,
    services: Iterable[Object],
    *,
    subresource: str = "",
) -> None:
    """Complete a changed object in place: generation, and what an update does not clear."""
    if resource.kind == "Service":
        _keep_addresses(old["spec"], new["spec"])
        _keep_node_ports(old, new)
        _drop_outside(old["spec"], new["spec"])
        allocate(new, services)
    if resource.kind == "Job" and "selector" not in new["spec"] and "selector" in old["spec"]:
        new["spec"]["selector"] = clone(old["spec"]["selector"])
    if resource.kind == "PersistentVolumeClaim" and "volumeName" in old["spec"]:
        new["spec"].setdefault("volumeName", old["spec"]["volumeName"])
    if resource.kind == "PersistentVolumeClaim" and "storageClassName" in old["spec"]:
        new["spec"].setdefault("storageClassName", old["spec"]["storageClassName"])
    if resource.kind == "Namespace":
        new["spec"] = clone(old["spec"])
    if resource.kind == "DaemonSet":
        _number_template(old, new)
    if subresource:
        return
    if resource.counts_generation and _counts(resource, old) != _counts(resource, new):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _number_template(old: Object, new: Object) -> None:
    number = int(old["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "0"))
    if old["spec"]["template"] != new["spec"]["template"]:
        number += 1
    new["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(number)


def _counts(resource: Resource, obj: Object) -> Any:
    ignored = ("metadata", "status") if resource.has_status else ("metadata",)
    counted = {key: value for key, value in obj.items() if key not in ignored}
    if resource.kind == "Deployment":
        # The one kind whose annotations count too.
        counted["annotations"] = obj["metadata"].get("annotations")
    return counted


def find_quality(spec: Object) -> str:
    """Return a pod's quality of service class."""
    resources = [each["resources"] for each in spec.get("containers") or []]
    if not any(each.get("limits") or each.get("requests") for each in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= each.get("limits", {}).keys()
        and each.get("requests") == each.get("limits")
        for each in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _prepare_job(obj: Object) -> None:
    spec, uid, name = obj["spec"], obj["metadata"]["uid"], obj["metadata"]["name"]
    if spec.get("manualSelector"):
        return
    unlabelled = not obj["metadata"].get("labels")
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    for prefix in ("batch.kubernetes.io/", ""):
        labels[f"{prefix}controller-uid"] = uid
        labels[f"{prefix}job-name"] = name
    if unlabelled:
        obj["metadata"]["labels"] = dict(labels)
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def allocate(obj: Object, services: Iterable[Object]) -> None:
    """Give a Service its addresses and node ports."""
    spec = obj["spec"]
    kind = spec.get("type")
    if kind == "ExternalName":
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(field, None)
        return
    others = [each["spec"] for each in services if each["metadata"] is not obj["metadata"]]
    if not spec.get("clusterIP"):
        taken = {each.get("clusterIP") for each in others}
        free = (f"10.96.{n // 250}.{n % 250 + 1}" for n in range(1, 60_000))
        spec["clusterIP"] = next(address for address in free if address not in taken)
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    # Whoever writes the endpoints of a headless Service without a selector may use both families.
    both = spec["clusterIP"] == "None" and not spec.get("selector")
    spec.setdefault("ipFamilies", ["IPv4", "IPv6"] if both else ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "RequireDualStack" if both else "SingleStack")
    wanted = kind == "NodePort" or (
        kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    if wanted:
        used = {port.get("nodePort") for each in [*others, spec] for port in each.get("ports", [])}
        ports = (n for n in range(30_000, 32_768) if n not in used)
        for port in spec.get("ports", []):
            if not port.get("nodePort"):
                port["nodePort"] = next(ports)


def _keep_addresses(old: Object, new: Object) -> None:
    """Take over what the server once gave and the update does not say; families come anew from both."""
    if new.get("type") == "ExternalName":
        return
    kept = ["clusterIP", "clusterIPs", "ipFamilyPolicy", "healthCheckNodePort"]
    if old.get("ipFamilyPolicy") != "RequireDualStack":
        kept.append("ipFamilies")
    for field in kept:
        if field in old:
            new.setdefault(field, clone(old[field]))


def _is_outside(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _drop_outside(old: Object, new: Object) -> None:
    """Take out what only reaches a Service from outside, when it ends to be of such a type."""
    if not _is_outside(old) or _is_outside(new):
        return
    had = {port.get("nodePort") for port in old.get("ports", [])}
    if all(port.get("nodePort") in {None, *had} for port in new.get("ports", [])):
        for port in new.get("ports", []):
            port.pop("nodePort", None)
    if new.get("externalTrafficPolicy") == old.get("externalTrafficPolicy"):
        new.pop("externalTrafficPolicy", None)


def _keep_node_ports(old: Object, new: Object) -> None:
    """Give a port without a node port the one that the port of its name had.

    Raises:
        ApiProblem: 500 as the real server does, when two ports get the same.
    """
    if not (_is_outside(old["spec"]) and _is_outside(new["spec"])):
        return
    known = {port.get("name"): port.get("nodePort") for port in old["spec"].get("ports", [])}
    ports = new["spec"].get("ports", [])
    used = {port.get("nodePort") for port in ports}
    for port in ports:
        kept = known.get(port.get("name"))
        if kept and not port.get("nodePort") and kept not in used:
            port["nodePort"] = kept
    seen = set()
    for port in ports:
        place = (port.get("protocol"), port.get("nodePort"))
        if place in seen and place[1]:
            raise ApiProblem(500, "", f"duplicate nodePort: {{{place[0]} {place[1]}}}")
        seen.add(place)
