"""Who else says that an object is theirs: other ApplySets, Argo CD, Flux, Helm; pure but for names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError
from gennaker_stages.kubernetes.bundle.objects import key_of, name_of
from gennaker_stages.kubernetes.inventory.applyset import ID_LABEL, PART_OF_LABEL, describe_parent

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["check_owners", "find_claims", "find_owner", "refuse_claims", "tell_claim"]

Object = Mapping[str, Any]
Key = tuple[str, ...]
_SHOWN = 10
_SETTLE = "let one of the two have each object: take it out of this bundle, or out of theirs"


def find_owner(live: Object) -> str | None:
    """Return who keeps an object up to date, from the marks that deploy tools leave, else None.

    Argo CD's mark counts only when it names this very object: marks are copied with objects.
    """
    metadata = live["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    tracking = str(annotations.get("argocd.argoproj.io/tracking-id") or "")
    group = str(live["apiVersion"]).rpartition("/")[0]
    spelled = f"{group}/{live['kind']}:{metadata.get('namespace') or ''}/{metadata['name']}"
    if tracking.endswith(f":{spelled}"):
        return f"Argo CD application {tracking.partition(':')[0]!r}"
    for tool, prefix in (
        ("Flux Kustomization", "kustomize.toolkit.fluxcd.io"),
        ("Flux HelmRelease", "helm.toolkit.fluxcd.io"),
    ):
        if labels.get(f"{prefix}/name"):
            return f"{tool} '{labels.get(f'{prefix}/namespace')}/{labels[f'{prefix}/name']}'"
    release = annotations.get("meta.helm.sh/release-name")
    if release:
        return f"Helm release '{annotations.get('meta.helm.sh/release-namespace')}/{release}'"
    return None


def refuse_claims(objects: Iterable[Object]) -> None:
    """Refuse manifests that say themselves which ApplySet they belong to.

    Raises:
        PermanentError: code ``bundle``.
    """
    wrong = [
        name_of(each)
        for each in objects
        if {PART_OF_LABEL, ID_LABEL} & set(each["metadata"].get("labels") or ())
    ]
    if wrong:
        raise PermanentError(
            f"{', '.join(wrong[:_SHOWN])} already say which ApplySet they belong to "
            f"({PART_OF_LABEL})",
            code="bundle",
            hint="take that label out of the manifests: a deploy sets it",
        )


def find_claims(
    cluster: Cluster,
    applyset: ApplySet,
    live: Iterable[Object],
    *,
    adopted: str | None = None,
) -> dict[Key, str]:
    """Return who else keeps objects up to date, by the objects' keys.

    Args:
        cluster: where.
        applyset: who is to have them.
        live: the objects.
        adopted: the owner whose objects are taken over.
    """
    names: dict[str, str] = {}
    claims: dict[Key, str] = {}
    for body in live:
        metadata = body["metadata"]
        other = (metadata.get("labels") or {}).get(PART_OF_LABEL)
        owner = find_owner(body)
        if other and other != applyset.id:
            if other not in names:
                names[other] = describe_parent(cluster, other, metadata.get("namespace"))
            owner = names[other]
        if owner is not None and owner != adopted:
            claims[key_of(body)] = owner
    return claims


def tell_claim(applyset: ApplySet, owner: str) -> str:
    """Return what a plan says of an object that belongs to somebody else."""
    return f"other-owner: it belongs to {owner}, not to {applyset.title}; {_SETTLE}"


def check_owners(
    cluster: Cluster,
    applyset: ApplySet,
    live: Iterable[Object | None],
    *,
    adopted: str | None = None,
) -> None:
    """Refuse to touch objects that somebody else keeps up to date; both owners are named.

    Args:
        cluster: where.
        applyset: who is to have them.
        live: the objects, None for one that is not there.
        adopted: the owner whose objects are taken over.

    Raises:
        PermanentError: code ``other-owner`` with each object and its owner.
    """
    held = [each for each in live if each is not None]
    claims = find_claims(cluster, applyset, held, adopted=adopted)
    told = [
        f"{name_of(each)} belongs to {claims[key_of(each)]}"
        for each in held
        if key_of(each) in claims
    ]
    if told:
        more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise PermanentError(
            f"{applyset.title} may not take objects of others: {'; '.join(told[:_SHOWN])}{more}",
            code="other-owner",
            hint=_SETTLE,
        )
