"""A registry over HTTP: pull and push by digest, with basic or token authentication.

After the OCI distribution specification 1.1 (sections "Pulling manifests", "Pushing blobs",
"Pushing manifests") and Docker's token authentication. Manifests keep their exact bytes, so the
digest at the registry is the one that was computed here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from gennaker.errors import PermanentError, TemporaryError
from gennaker_stages.registry.reference import ImageReference

if TYPE_CHECKING:
    from gennaker.http import Response
    from gennaker_stages.registry.credentials import Credentials

__all__ = ["ACCEPTED_MANIFESTS", "RegistryClient"]

ACCEPTED_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MAX_BLOB = 4 << 30
MAX_MANIFEST = 4 << 20
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryClient:
    """One repository of one registry.

    Plain HTTP is spoken with registries on loopback only, as Docker does.
    """

    def __init__(self, image: ImageReference, credentials: Credentials | None = None) -> None:
        self.image = image
        self._credentials = credentials
        host = "registry-1.docker.io" if image.host == "docker.io" else image.host
        scheme = "http" if _is_loopback(host) else "https"
        self._base = f"{scheme}://{host}/v2/{image.repository}"
        self._authorization: str | None = None

    def pull_manifest(self, reference: str) -> tuple[bytes, str]:
        """Return a manifest's exact bytes and its media type, by tag or digest.

        Raises:
            PermanentError: code ``image-missing``.
        """
        answer = self._send(
            "GET",
            f"{self._base}/manifests/{reference}",
            headers={"Accept": ", ".join(ACCEPTED_MANIFESTS)},
            max_bytes=MAX_MANIFEST,
        )
        if answer.status == 404:
            raise PermanentError(
                f"there is no image {self.image.name}:{reference}"
                if not reference.startswith("sha256:")
                else f"there is no image {self.image.name}@{reference}",
                code="image-missing",
                hint="look at the name and the tag, or push it first",
            )
        self._check(answer, (200,), "pull")
        if reference.startswith("sha256:") and _digest(answer.body) != reference:
            raise PermanentError(
                f"the registry gave another manifest than {reference}", code="image-corrupt"
            )
        return answer.body, answer.headers.get("content-type", ACCEPTED_MANIFESTS[0]).split(";")[0]

    def pull_blob(self, digest: str) -> bytes:
        """Return a blob's bytes, checked against the digest."""
        answer = self._send("GET", f"{self._base}/blobs/{digest}", max_bytes=MAX_BLOB, redirects=3)
        self._check(answer, (200,), "pull")
        if _digest(answer.body) != digest:
            raise PermanentError(
                f"the registry gave another blob than {digest}", code="image-corrupt"
            )
        return answer.body

    def push_blob(self, digest: str, content: bytes) -> bool:
        """Push a blob unless the registry has it; return whether it was sent."""
        known = self._send("HEAD", f"{self._base}/blobs/{digest}", actions="pull,push")
        if known.status == 200:
            return False
        opened = self._send("POST", f"{self._base}/blobs/uploads/", actions="pull,push")
        self._check(opened, (202,), "push to")
        location = urljoin(self._base + "/", opened.headers.get("location", ""))
        mark = "&" if "?" in location else "?"
        done = self._send(
            "PUT",
            f"{location}{mark}{urlencode({'digest': digest})}",
            headers={"Content-Type": "application/octet-stream"},
            body=content,
            actions="pull,push",
        )
        self._check(done, (201, 204), "push to")
        return True

    def push_manifest(self, tag: str, content: bytes, media_type: str) -> str:
        """Push a manifest's exact bytes under a tag (or digest) and return its digest."""
        done = self._send(
            "PUT",
            f"{self._base}/manifests/{tag}",
            headers={"Content-Type": media_type},
            body=content,
            actions="pull,push",
        )
        self._check(done, (201,), "push to")
        digest = _digest(content)
        said = done.headers.get("docker-content-digest", digest)
        if said != digest:
            raise PermanentError(
                f"the registry kept {said} where {digest} was pushed", code="image-corrupt"
            )
        return digest

    def find_digest(self, reference: str) -> str | None:
        """Return the digest a tag names now, None when there is no such tag."""
        answer = self._send(
            "HEAD",
            f"{self._base}/manifests/{reference}",
            headers={"Accept": ", ".join(ACCEPTED_MANIFESTS)},
        )
        if answer.status == 404:
            return None
        self._check(answer, (200,), "read")
        return answer.headers.get("docker-content-digest")

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        actions: str = "pull",
        max_bytes: int = 1 << 20,
        redirects: int = 0,
    ) -> Response:
        from gennaker.http import request

        def send() -> Response:
            sent = dict(headers or {})
            if self._authorization is not None:
                sent["Authorization"] = self._authorization
            return request(
                method,
                url,
                headers=sent,
                body=body,
                timeout=(5.0, 120.0),
                max_bytes=max_bytes,
                redirects=redirects,
            )

        answer = send()
        if answer.status == 401:
            self._authorization = self._authenticate(answer, actions)
            if self._authorization is not None:
                answer = send()
        return answer

    def _authenticate(self, answer: Response, actions: str) -> str | None:
        challenge = answer.headers.get("www-authenticate", "")
        kind, _, rest = challenge.partition(" ")
        basic = self._credentials.to_basic() if self._credentials else None
        if kind.lower() != "bearer":
            return basic
        facts = dict(_CHALLENGE.findall(rest))
        realm = facts.get("realm", "")
        if not realm.startswith("https://") and not realm.startswith("http://127.0.0.1"):
            raise PermanentError(
                f"the registry {self.image.host} sends credentials to {realm!r}, which is not HTTPS",
                code="registry-auth",
            )
        from gennaker.http import request

        scope = f"repository:{self.image.repository}:{actions}"
        query = urlencode({"service": facts.get("service", ""), "scope": facts.get("scope", scope)})
        token = request(
            "GET",
            f"{realm}?{query}",
            headers={"Authorization": basic} if basic else {},
            timeout=(5.0, 30.0),
            max_bytes=1 << 20,
        )
        self._check(token, (200,), "log in to")
        data: dict[str, Any] = json.loads(token.body)
        return f"Bearer {data.get('token') or data.get('access_token')}"

    def _check(self, answer: Response, wanted: tuple[int, ...], what: str) -> None:
        if answer.status in wanted:
            return
        said = _explain(answer.body)
        where = self.image.name
        if answer.status in (401, 403):
            raise PermanentError(
                f"not allowed to {what} {where}: {said or answer.status}",
                code="registry-denied",
                hint="give credentials from a secret, or log in with 'docker login'",
            )
        message = f"cannot {what} {where}: {answer.status} {said}".rstrip()
        if answer.status == 429 or answer.status >= 500:
            raise TemporaryError(message, code="registry-unavailable")
        raise PermanentError(message, code="registry-refused")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _explain(body: bytes) -> str:
    try:
        errors = json.loads(body)["errors"]
        return "; ".join(
            f"{each.get('code', '')} {each.get('message', '')}".strip() for each in errors
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return body[:200].decode(errors="replace").strip()


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
