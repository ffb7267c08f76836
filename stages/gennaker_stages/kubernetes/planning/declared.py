"""What a bundle declares, read from its bytes alone: no cluster is asked."""

from __future__ import annotations

from collections.abc import Mapping

from gennaker.stage import Declared, Secret
from gennaker_stages.kubernetes.bundle.preparing import normalize_object
from gennaker_stages.kubernetes.bundle.reading import read_items
from gennaker_stages.kubernetes.planning.difference import join_path
from gennaker_stages.kubernetes.planning.ownership import declare_object

__all__ = ["describe_bundle"]


def describe_bundle(
    content: bytes, secrets: Mapping[str, Mapping[str, Secret]], namespace: str
) -> list[Declared]:
    """Return the objects of a bundle; documents that are none are left out.

    Args:
        content: a multi-document YAML.
        secrets: the Secrets that the stage adds: name, then key to value.
        namespace: the environment's own.
    """
    items, _ = read_items(content, "bundle")
    found = [declare_object(normalize_object(each.body), namespace) for each in items]
    for name, values in secrets.items():
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        made = declare_object(body, namespace)
        fields = {join_path("data", key): value for key, value in values.items()}
        found.append(Declared(made.what, made.key, fields))
    return found
