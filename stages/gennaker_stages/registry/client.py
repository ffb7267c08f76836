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
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from gennaker.errors import PermanentError, TemporaryError
from gennaker.records import dataclass
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
TAGS_PAGE = 1000
MAX_TAGS_PAGES = 100
TIMEOUT = (5.0, 120.0)
_ACCEPT = {"Accept": ", ".join(ACCEPTED_MANIFESTS)}
_PUSH = "pull,push"
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*rel="?next"?')
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class _Message:
    """What is sent; ``actions`` is what a token must allow for it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    actions: str = "pull"


class RegistryClient:
    """One repository of one registry.

    Plain HTTP is spoken with registries on loopback only, as Docker does.
    """

    def __init__(self, image: ImageReference, credentials: Credentials | None = None) -> None:
        self.image = image
        self._credentials = credentials
        host = "registry-1.docker.io" if image.host == "docker.io" else image.host
        scheme = "http" if _is_loopback(host) else "https"
        self._origin = f"{scheme}://{host}"
        self._base = f"{self._origin}/v2/{image.repository}"
        self._authorization: str | None = None

    def pull_manifest(self, reference: str) -> tuple[bytes, str]:
        """Return a manifest's exact bytes and its media type, by tag or digest.

        Raises:
            PermanentError: code ``image-missing``.
        """
        answer = self._send(
            _Message("GET", f"{self._base}/manifests/{reference}", _ACCEPT), max_bytes=MAX_MANIFEST
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

    def pull_blob(self, digest: str, *, max_bytes: int = MAX_BLOB) -> bytes:
        """Return a blob's bytes, at most so many, checked against the digest."""
        message = _Message("GET", f"{self._base}/blobs/{digest}")
        answer = self._send(message, max_bytes=max_bytes, redirects=3)
        self._check(answer, (200,), "pull")
        if _digest(answer.body) != digest:
            raise PermanentError(
                f"the registry gave another blob than {digest}", code="image-corrupt"
            )
        return answer.body

    def push_blob(self, digest: str, content: bytes) -> bool:
        """Push a blob unless the registry has it; return whether it was sent."""
        known = self._send(
            _Message("HEAD", f"{self._base}/blobs/{digest}", actions=_PUSH), redirects=3
        )
        if known.status == 200:
            return False
        opened = self._send(_Message("POST", f"{self._base}/blobs/uploads/", actions=_PUSH))
        self._check(opened, (202,), "push to")
        location = urljoin(self._base + "/", opened.headers.get("location", ""))
        mark = "&" if "?" in location else "?"
        done = self._send(
            _Message(
                "PUT",
                f"{location}{mark}{urlencode({'digest': digest})}",
                {"Content-Type": "application/octet-stream"},
                content,
                _PUSH,
            )
        )
        self._check(done, (201, 204), "push to")
        return True

    def push_manifest(self, tag: str, content: bytes, media_type: str) -> str:
        """Push a manifest's exact bytes under a tag (or digest) and return its digest."""
        done = self._send(
            _Message(
                "PUT",
                f"{self._base}/manifests/{tag}",
                {"Content-Type": media_type},
                content,
                _PUSH,
            )
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
        answer = self._send(_Message("HEAD", f"{self._base}/manifests/{reference}", _ACCEPT))
        if answer.status == 404:
            return None
        self._check(answer, (200,), "read")
        return answer.headers.get("docker-content-digest")

    def list_tags(self) -> list[str]:
        """Return all tags of the repository.

        Raises:
            PermanentError: code ``image-missing`` when there is no such repository.
        """
        found: list[str] = []
        url = f"{self._base}/tags/list?n={TAGS_PAGE}"
        for _ in range(MAX_TAGS_PAGES):
            answer = self._send(_Message("GET", url), max_bytes=MAX_MANIFEST)
            if answer.status == 404:
                raise PermanentError(f"there is no {self.image.name}", code="image-missing")
            self._check(answer, (200,), "list the tags of")
            data = answer.json()
            found += (data.get("tags") if isinstance(data, dict) else None) or []
            following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                break
            url = urljoin(url, following[1])
            if not self._is_own(url):
                break
        return found

    def _send(self, message: _Message, *, max_bytes: int = 1 << 20, redirects: int = 0) -> Response:
        answer = self._send_once(message, max_bytes, redirects)
        if answer.status == 401 and self._is_own(message.url):
            self._authorization = self._authenticate(answer, message.actions)
            if self._authorization is not None:
                answer = self._send_once(message, max_bytes, redirects)
        return answer

    def _send_once(self, message: _Message, max_bytes: int, redirects: int) -> Response:
        headers = dict(message.headers)
        # An upload may go on elsewhere (a store of blobs): credentials do not follow it there.
        if self._authorization is not None and self._is_own(message.url):
            headers["Authorization"] = self._authorization
        return self._request(
            message.method, message.url, headers, message.body, max_bytes, redirects
        )

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = 1 << 20,
        redirects: int = 0,
    ) -> Response:
        from gennaker.http import request

        try:
            return request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=TIMEOUT,
                max_bytes=max_bytes,
                redirects=redirects,
            )
        except TemporaryError as error:
            raise TemporaryError(
                f"the registry {self.image.host} does not answer: {error.message}",
                code="registry-unavailable",
                hint=error.hint,
            ) from error

    def _is_own(self, url: str) -> bool:
        return url.startswith(f"{self._origin}/")

    def _authenticate(self, answer: Response, actions: str) -> str | None:
        challenge = answer.headers.get("www-authenticate", "")
        kind, _, rest = challenge.partition(" ")
        basic = self._credentials.to_basic() if self._credentials else None
        if kind.lower() != "bearer":
            return basic
        facts = dict(_CHALLENGE.findall(rest))
        realm = urlsplit(facts.get("realm", ""))
        if realm.scheme != "https" and not (
            realm.scheme == "http" and _is_loopback(realm.netloc) and _is_loopback(self.image.host)
        ):
            raise PermanentError(
                f"the registry {self.image.host} asks for its credentials to be sent to "
                f"{facts.get('realm', '')!r}, which is not HTTPS",
                code="registry-auth",
            )
        scope = f"repository:{self.image.repository}:{actions}"
        query = urlencode({"service": facts.get("service", ""), "scope": facts.get("scope", scope)})
        token = self._request(
            "GET", f"{realm.geturl()}?{query}", {"Authorization": basic} if basic else {}
        )
        self._check(token, (200,), "log in to")
        data = token.json()
        found = (data.get("token") or data.get("access_token")) if isinstance(data, dict) else None
        if not isinstance(found, str):
            raise PermanentError(
                f"the registry {self.image.host} gave no token", code="registry-auth"
            )
        return f"Bearer {found}"

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
        # Whole, though it may be long: a secret that was cut could not be masked any more.
        return (body.decode(errors="replace").strip().splitlines() or [""])[0]


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
