"""What the server would make of an object by an apply, also of one that is taken over; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gennaker.errors import StageError
from gennaker_stages.kubernetes.applying.adoption import leave_out
from gennaker_stages.kubernetes.applying.choices import find_choice
from gennaker_stages.kubernetes.applying.conflicts import Applied, apply_object
from gennaker_stages.kubernetes.client.problems import has_status

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource

__all__ = ["try_apply"]

Object = Mapping[str, Any]
_TRIES = 5


def try_apply(
    cluster: Cluster, resource: Resource, body: Object, rules: ConflictRules, *, live: Object | None
) -> tuple[Applied, Object]:
    """Return the answer to a dry run, and the object as it would be.

    The two differ where it is taken over (:mod:`~gennaker_stages.kubernetes.applying.adoption`): the
    dry run does not know yet that what others own is ours, and leaves what is not desired.

    Args:
        cluster: where.
        resource: its kind.
        body: what is desired.
        rules: what is done about fields of other managers, and whose objects are taken over.
        live: the object as it is, None when it is not there.

    Raises:
        StageError: the server refuses.
    """
    for tried in range(_TRIES):
        found = apply_object(cluster, resource, body, rules, live=live, dry_run=True)
        left = leave_out(found.body, rules.adopted) if live is not None else None
        if left is None:
            break
        try:
            return found, _keep_choice(cluster.try_update(resource, left), found, body, live)
        except StageError as error:
            if error.code == "cluster-unreachable":
                raise
            if not has_status(error, 409) or tried == _TRIES - 1:
                return found, left  # only an apply can do it, or it never rests: without defaults
    return found, found.body


def _keep_choice(tried: Object, found: Applied, body: Object, live: Object | None) -> Object:
    """Return the object with a choice that no dry run may be told; see :mod:`..applying.choices`."""
    choice = find_choice(body, live)
    if choice is None:
        return tried
    return {**tried, "spec": {**tried["spec"], choice: found.body["spec"][choice]}}
