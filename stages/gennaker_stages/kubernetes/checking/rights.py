"""Whether we may do what a deploy does: asked of the API server itself, by access reviews.

A review is answered and forgotten; nothing is written. What a deploy will bring is not known here, so
the kinds are asked about that the deploys into the namespace had so far; before the first, usual ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gennaker.checks import Check
from gennaker.errors import StageError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.client.problems import has_status
from gennaker_stages.kubernetes.inventory.applyset import list_group_kinds

__all__ = ["ask_review", "check_rights"]

_NOT_OFFERED = (404, 405, 501)
_APPLY = ("get", "list", "watch", "create", "patch")


@dataclass(frozen=True, slots=True)
class _Kind:
    """Objects as the server's rules name them, or with a ``/`` a part of them."""

    group: str
    plural: str
    namespaced: bool = True

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class _Right:
    """A verb on objects of a kind in a namespace; for the whole cluster it is empty."""

    kind: _Kind
    namespace: str
    verb: str


_CONFIG_MAPS = _Kind("", "configmaps")
_USUAL = (_CONFIG_MAPS, _Kind("", "secrets"), _Kind("", "services"), _Kind("apps", "deployments"))
_NAMESPACES = _Kind("", "namespaces", namespaced=False)
# What tells why something does not get ready.
_EXPLAIN = (
    (_Kind("", "pods"), "list"),
    (_Kind("", "pods/log"), "get"),
    (_Kind("", "events"), "list"),
)


def ask_review(
    cluster: Cluster, group: str, kind: str, what: str, spec: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return the status of a review, None when the server offers none of this kind.

    Raises:
        StageError: what the server or the way to it says.
    """
    body = {"apiVersion": f"{group}/v1", "kind": kind, **({"spec": spec} if spec else {})}
    path = f"/apis/{group}/v1/{kind.lower()}s"
    try:
        answer = cluster.connection.request(Request("POST", path, what, body=body))
    except StageError as error:
        if any(has_status(error, status) for status in _NOT_OFFERED):
            return None
        raise
    found = answer.get("status")
    return found if isinstance(found, dict) else {}


def check_rights(cluster: Cluster) -> Iterator[Check]:
    """Yield whether the environment's namespaces are there, and whether we may deploy to them.

    Raises:
        StageError: what the server or the way to it says.
    """
    settings = cluster.settings
    others = [each for each in settings.namespaces if each not in ("*", settings.namespace)]
    names = [settings.namespace, *others]
    for name in names:
        yield _look_at_namespace(cluster, name)
    everything = _may(cluster, _Right(_Kind("*", "*"), "", "*"))
    if everything is not False:
        found = "this server does not tell what we may do"
        yield Check("rights", "ok", "may do everything" if everything else found)
        return
    kinds = _list_kinds(cluster)
    places = [(kind, name) for kind in kinds for name in (names if kind.namespaced else [""])]
    apply = [_Right(*place, verb) for place in places for verb in _APPLY]
    if settings.create_namespace is not False:
        apply += [_Right(_NAMESPACES, "", verb) for verb in ("get", "create", "patch")]
    advice = "ask for these rights, or use another context or 'as'"
    enough = f"may apply {', '.join(map(str, kinds))}"
    yield from _tell_rights(cluster, apply, Check("rights", "wrong", enough, advice))
    delete = [_Right(*place, "delete") for place in places]
    advice = "prune, replace and undo need these rights: ask for them"
    yield from _tell_rights(cluster, delete, Check("rights", "missing", "", advice))
    explain = [_Right(kind, name, verb) for kind, verb in _EXPLAIN for name in names]
    advice = "without them nothing tells why something does not get ready: ask for them"
    yield from _tell_rights(cluster, explain, Check("rights", "missing", "", advice))


def _look_at_namespace(cluster: Cluster, name: str) -> Check:
    own = name == cluster.settings.namespace
    path = f"/api/v1/namespaces/{name}"
    try:
        live = cluster.connection.request(Request("GET", path, f"read Namespace/{name}"))
    except StageError as error:
        if has_status(error, 403):
            return Check("namespace", "ok", f"{name!r}, which we may not look at")
        if not has_status(error, 404):
            raise
        if own and cluster.settings.create_namespace is not False:
            return Check("namespace", "ok", f"{name!r} is not there; a deploy makes it")
        advice = "create it" + (", or set 'create_namespace: true' in gennaker.yaml" if own else "")
        return Check("namespace", "wrong", f"{name!r} is not there", advice)
    if (live.get("status") or {}).get("phase") == "Terminating":
        advice = "wait until it is gone; its status tells what holds it"
        return Check("namespace", "wrong", f"{name!r} is being deleted", advice)
    return Check("namespace", "ok", f"{name!r} is there")


def _list_kinds(cluster: Cluster) -> list[_Kind]:
    """Return the kinds that deploys into the environment's namespace had; else usual ones."""
    try:
        found = list_group_kinds(cluster, cluster.settings.namespace)
    except StageError as error:
        if not has_status(error, 403):
            raise
        found = frozenset()
    kinds = {_CONFIG_MAPS: None}  # the inventory is one
    for group, kind in sorted(found):
        resource = cluster.discovery.find_kind(group, kind)
        if resource is not None:
            kinds[_Kind(group, resource.plural, resource.namespaced)] = None
    return list(kinds) if found else list(_USUAL)


def _may(cluster: Cluster, right: _Right) -> bool | None:
    """Return whether we have a right; None when the server does not tell."""
    plural, _, part = right.kind.plural.partition("/")
    asked = {"group": right.kind.group, "resource": plural, "subresource": part}
    asked |= {"verb": right.verb, "namespace": right.namespace}
    found = ask_review(
        cluster,
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "ask what we may do",
        {"resourceAttributes": {name: value for name, value in asked.items() if value}},
    )
    return None if found is None else found.get("allowed") is True


def _tell_rights(cluster: Cluster, rights: list[_Right], check: Check) -> Iterator[Check]:
    """Yield the check as ok when we have all these rights; else, place by place, those we have not."""
    may = work_in_parallel(lambda each: _may(cluster, each), rights)
    lacking = [right for right, allowed in zip(rights, may, strict=True) if not allowed]
    for name in dict.fromkeys(each.namespace for each in lacking):
        told = _list_verbs(each for each in lacking if each.namespace == name)
        where = f"in {name!r}" if name else "in the whole cluster"
        yield Check(check.name, check.state, f"may not {told} {where}", check.advice)
    if not lacking and check.found:
        yield Check(check.name, "ok", check.found)


def _list_verbs(rights: Iterable[_Right]) -> str:
    """Return rights in words: ``get, list configmaps; create secrets, services``."""
    verbs: dict[_Kind, list[str]] = {}
    for each in rights:
        verbs.setdefault(each.kind, []).append(each.verb)
    kinds: dict[str, list[str]] = {}
    for kind, own in verbs.items():
        kinds.setdefault(", ".join(own), []).append(str(kind))
    return "; ".join(f"{own} {', '.join(named)}" for own, named in kinds.items())
