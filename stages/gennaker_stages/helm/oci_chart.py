"""A chart in an image registry, as Helm keeps it there (its documentation, "Use OCI-based registries")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gennaker.errors import PermanentError
from gennaker.records import dataclass
from gennaker_stages.helm.archive import MAX_PACKED
from gennaker_stages.helm.keeping import find_archive, keep_archive
from gennaker_stages.helm.repository import pick_version
from gennaker_stages.registry.client import RegistryClient
from gennaker_stages.registry.credentials import CredentialsInput, find_credentials
from gennaker_stages.registry.reference import parse_reference

__all__ = ["SCHEME", "OciChart", "list_versions", "pull_chart"]

SCHEME = "oci://"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class OciChart:
    """A chart that was pulled."""

    version: str
    content: bytes
    digest: str


def pull_chart(url: str, constraint: str, given: CredentialsInput | None, cache: Path) -> OciChart:
    """Return a chart's archive, from the cache when it is the one that the registry names.

    Args:
        url: ``oci://HOST/PATH``, with ``@sha256:…`` for one manifest.
        constraint: which version; a tag, or a range of those there are.
        given: credentials; else those of Docker's configuration are used.
        cache: a folder where archives are kept.

    Raises:
        PermanentError: code ``chart-missing``, ``helm-repository`` when it is no chart, or what the
            registry refuses with.
        TemporaryError: the registry does not answer now.
    """
    client = _open(url, given)
    reference, version = client.image.digest, constraint
    if reference is None:
        if not _is_tag(constraint):
            base, _, name = url.rpartition("/")
            version = pick_version(name, constraint, _list_offered(client), base)
        reference = version.replace("+", "_")
    layer = _find_layer(client.pull_manifest(reference)[0], url)
    content = find_archive(cache, layer["digest"])
    if content is None:
        content = client.pull_blob(layer["digest"], max_bytes=MAX_PACKED)
        keep_archive(cache, content)
    return OciChart(version, content, layer["digest"])


def list_versions(url: str, given: CredentialsInput | None) -> list[str]:
    """Return the versions of a chart in a registry, in no order."""
    return _list_offered(_open(url, given))


def _open(url: str, given: CredentialsInput | None) -> RegistryClient:
    image = parse_reference(url.removeprefix(SCHEME))
    if image.tag is not None:
        raise PermanentError(
            f"{url!r} has a tag: the version is an input of its own",
            code="helm-repository",
            hint=f"write version: {image.tag!r}",
        )
    return RegistryClient(image, find_credentials(image.host, given))


def _list_offered(client: RegistryClient) -> list[str]:
    return [each.replace("_", "+") for each in client.list_tags()]


def _is_tag(constraint: str) -> bool:
    """Whether one version is named in full, so that no list is needed."""
    parts = constraint.partition("+")[0].partition("-")[0].split(".")
    return len(parts) == 3 and all(each.isdigit() for each in parts)


def _find_layer(manifest: bytes, url: str) -> dict[str, Any]:
    try:
        layers = json.loads(manifest)["layers"]
        found = next(each for each in layers if each["mediaType"] == CONTENT)
        if int(found["size"]) > MAX_PACKED or not str(found["digest"]).startswith("sha256:"):
            raise ValueError
    except (ValueError, KeyError, TypeError, StopIteration):
        raise PermanentError(
            f"{url!r} is no chart, or one that is larger than {MAX_PACKED >> 20} MiB",
            code="helm-repository",
            hint="push it with 'helm push'",
        ) from None
    return dict(found)
