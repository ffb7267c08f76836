"""What the API server refuses about Services, their ports and addresses. Called by :mod:`.validation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .problems import Cause

__all__ = ["check_port", "check_protocol", "check_service", "check_service_change"]

Object = Mapping[str, Any]


def check_service(obj: Object) -> list[Cause]:
    """Return what is wrong with a Service."""
    spec = obj["spec"]
    found = _families(spec)
    if found:
        return found
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        found.append(Cause.unsupported("spec.type", spec["type"], kinds))
    if spec.get("clusterIP") == "None" and spec["type"] in ("LoadBalancer", "NodePort"):
        text = f"may not be set to 'None' for {spec['type']} services"
        found.append(Cause.wrong("spec.clusterIPs[0]", "None", text))
    ports = spec.get("ports", [])
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        found.append(Cause.required("spec.ports"))
    seen: list[dict[str, Any]] = []
    names: set[str | None] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            found.append(Cause.required(f"{field}.name"))
        found += check_port(port.get("port", 0), f"{field}.port") + check_protocol(port, field)
        target = port.get("targetPort")
        if isinstance(target, int):
            found += check_port(target, f"{field}.targetPort")
        if port.get("name") and port["name"] in names:
            found.append(Cause.twice(f"{field}.name", port["name"]))
        names.add(port.get("name"))
        key = {"Name": "", "Protocol": port.get("protocol", "TCP"), "AppProtocol": None}
        key |= {"Port": port.get("port", 0), "TargetPort": 0, "NodePort": 0}
        if key in seen:
            found.append(Cause.twice(field, key))
        seen.append(key)
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        found.append(Cause.required("spec.externalName"))
    return found


def _families(spec: Object) -> list[Cause]:
    """The cluster has IPv4 only: both families go with a headless Service without a selector."""
    free = spec.get("clusterIP") == "None" and not spec.get("selector")
    if free or spec.get("ipFamilyPolicy") != "RequireDualStack":
        return []
    text = "this cluster is not configured for dual-stack services"
    found = [Cause.wrong("spec.ipFamilyPolicy", "RequireDualStack", text)]
    for index, family in enumerate(spec.get("ipFamilies", [])):
        if family != "IPv4":
            text = "not configured on this cluster"
            found.append(Cause.wrong(f"spec.ipFamilies[{index}]", family, text))
    return found


def check_service_change(old: Object, new: Object) -> list[Cause]:
    """Return what an update may not change."""
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    stays = "ExternalName" not in (old["spec"]["type"], new["spec"]["type"])
    if before and stays and before != after:
        return [Cause.wrong("spec.clusterIPs[0]", [after], "may not change once set")]
    return []


def check_port(value: int, path: str) -> list[Cause]:
    """Return what is wrong with a port's number."""
    if 1 <= value <= 65535:
        return []
    return [Cause.wrong(path, value, "must be between 1 and 65535, inclusive")]


def check_protocol(port: Object, path: str) -> list[Cause]:
    """Return what is wrong with the ``protocol`` of a port."""
    choices = ("SCTP", "TCP", "UDP")
    if port.get("protocol", "TCP") in choices:
        return []
    return [Cause.unsupported(f"{path}.protocol", port["protocol"], choices)]
