"""The discovery documents: which groups, versions and resources there are. Called by :mod:`.api`."""

from __future__ import annotations

from typing import Any

from .resources import VERBS, Registry, Resource

__all__ = ["VERSION", "list_groups", "list_resources", "list_versions"]

Object = dict[str, Any]
VERSION: Object = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3+gennaker-sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}


def list_versions(address: str) -> Object:
    """Return the document at ``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def list_groups(registry: Registry, only: str | None = None) -> Object | None:
    """Return the document at ``/apis``, or with ``only`` the one at ``/apis/GROUP`` (or None)."""
    found = []
    for group, versions in registry.groups().items():
        if not group:
            continue
        entries = [{"groupVersion": f"{group}/{each}", "version": each} for each in versions]
        found.append({"name": group, "versions": entries, "preferredVersion": entries[0]})
    if only is None:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
    for entry in found:
        if entry["name"] == only:
            return {"kind": "APIGroup", "apiVersion": "v1", **entry}
    return None


def list_resources(registry: Registry, group: str, version: str) -> Object | None:
    """Return the document at ``/apis/GROUP/VERSION`` (``/api/v1``), or None."""
    entries: list[Object] = []
    for each in registry:
        if (each.group, each.version) == (group, version):
            entries += _describe(each)
    if not entries:
        return None
    name = f"{group}/{version}" if group else version
    entries.sort(key=lambda entry: str(entry["name"]))
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": entries,
    }


def _describe(resource: Resource) -> list[Object]:
    main: Object = {
        "name": resource.plural,
        "singularName": resource.singular or resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short:
        main["shortNames"] = list(resource.short)
    if resource.categories:
        main["categories"] = list(resource.categories)
    found = [main]
    for name in resource.subresources:
        entry: Object = {"name": f"{resource.plural}/{name}", "singularName": ""}
        entry |= {"namespaced": resource.namespaced, "kind": resource.kind}
        entry["verbs"] = ["get"] if name == "log" else ["get", "patch", "update"]
        if name == "finalize":
            entry["verbs"] = ["update"]
        if name == "scale":
            entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append(entry)
    return found
