"""Requests to one API server: timeouts on each, repeated when that is safe, credentials renewed."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from gennaker.canonical import escape_odd
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.masking import MIN_SECRET, Masker
from gennaker.records import dataclass
from gennaker_stages.kubernetes.client.kubeconfig import Access
from gennaker_stages.kubernetes.client.patience import Patience, Trouble
from gennaker_stages.kubernetes.client.problems import ApiError, translate_error

__all__ = [
    "APPLY",
    "JSON_PATCH",
    "MERGE",
    "Connection",
    "Request",
    "explain_break",
    "make_unreachable",
]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
# The server gives up on a write after 34 s and says why, a webhook's timeout for example.
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 40.0
# No request waits longer than its attempt has time; what is asked at its very end gets this.
SHORTEST_TIMEOUT = 0.1
# Asking the official client for its token costs as much as the rest of a request: it sets itself up
# anew each time. What it renews in time is good for longer than this; what is not is asked for again.
_TOKEN_SECONDS = 1.0
# What the library adds to what it says of a timeout.
_SECONDS = re.compile(r"\.? \((?:connect|read) timeout=[^)]*\)")
# How often at most, by what is wrong: see ApiError.repeat.
_TRIES = {"later": 1000, "race": 6, "failed": 3}


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        what: the work in words, ``apply Deployment/shop``.
        body: JSON data.
        read: seconds to wait for each piece of the answer.
        repeatable: whether it may be sent again when nobody knows if it arrived.
        races: whether a 409 means that another write came in between, so that it is sent again.
        streams: whether the caller reads the body, piece by piece.
    """

    method: str
    path: str
    what: str
    query: Sequence[tuple[str, str]] = ()
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    read: float = READ_TIMEOUT
    repeatable: bool = True
    races: bool = False
    streams: bool = False


class Connection:
    """The connections to a server; safe to use from several threads.

    Attributes:
        patience: how long requests are tried again.
        access: which server, and as whom.
        note_break: is told that the server does not answer, in words.
    """

    def __init__(self, access: Access) -> None:
        self.patience = Patience()
        self.access = access
        self.note_break: Callable[[str], None] = lambda _told: None
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._client: Any = None
        self._token: str | None = None
        self._token_until = 0.0
        self._warned: set[str] = set()

    def prepare(self) -> Any:
        """Return the official client; with the first call its kubeconfig is read, and its command run.

        Raises:
            PermanentError: codes ``kubeconfig`` and ``unknown-context``.
        """
        if self._client is None:
            with self._renewing:
                if self._client is None:
                    self._client = self.access.load(lambda: self.patience)
        return self._client

    @property
    def host(self) -> str:
        """The server's address."""
        return str(self.prepare().configuration.host).rstrip("/")

    @property
    def address(self) -> str:
        """The server's address as it may be shown."""
        return Masker(_find_secrets(self.host)).mask(self.host)

    @property
    def certificate(self) -> str | None:
        """The file with the certificate that this side shows, None when it shows none."""
        return self.prepare().configuration.cert_file or None

    def request(self, request: Request) -> dict[str, Any]:
        """Return the JSON answer of a request.

        Raises:
            StageError: what the server or the way to it says, in words.
        """
        answer = self.open(request)
        try:
            data: dict[str, Any] = json.loads(answer.data)
        except ValueError as error:
            raise StageError(
                f"cannot {request.what}: the answer is not JSON", code="cluster-answer"
            ) from error
        return data

    def open(self, request: Request) -> Any:
        """Return the answer of a request; the caller of one that ``streams`` releases it."""
        import urllib3

        trouble, renewed = Trouble(), False
        while True:
            client, token = self._read_token()
            try:
                answer = self._send(client, request, token)
            except ApiError as error:
                if error.status == 401 and not renewed:
                    renewed = True
                    if self._renew(client, token):
                        continue
                if not self._may_repeat(request, error, trouble):
                    raise translate_error(error, request.what) from error
            except urllib3.exceptions.HTTPError as error:
                if not self._may_reconnect(request, error, trouble):
                    raise self._translate_break(error, request) from error
            else:
                self.patience.succeed()
                return answer

    def _may_repeat(self, request: Request, error: ApiError, trouble: Trouble) -> bool:
        self.patience.answered = True
        kind = error.repeat
        allowed = {"later": True, "race": request.races, "failed": request.repeatable}
        return allowed.get(kind, False) and self.patience.try_again(
            trouble,
            f"the cluster cannot {request.what} now (HTTP {error.status})",
            limit=_TRIES[kind],
            after=error.retry_after,
        )

    def _may_reconnect(self, request: Request, error: Exception, trouble: Trouble) -> bool:
        import urllib3

        unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
        if _is_distrusted(error) or not (request.repeatable or isinstance(error, unsent)):
            return False
        return self.patience.try_again(trouble, self._describe_break(error))

    def _describe_break(self, error: Exception) -> str:
        told = f"the cluster at {self.host} does not answer ({explain_break(error)})"
        return Masker(_find_secrets(self.host)).mask(told)

    def _translate_break(self, error: Exception, request: Request) -> StageError:
        if _is_distrusted(error):
            reason = explain_break(error)
            dated = "expired" in reason or "not yet valid" in reason
            return PermanentError(
                f"cannot {request.what}: the certificate of {self.address} is not to be trusted "
                f"({reason})",
                code="cluster-certificate",
                hint="renew the certificate of the server, or set this machine's clock"
                if dated
                else "correct 'certificate-authority-data' of the kubeconfig's cluster",
            )
        told = self._describe_break(error)
        self.note_break(told)
        return make_unreachable(f"cannot {request.what}: {told}")

    def _read_token(self) -> tuple[Any, str | None]:
        """Return the client and what authorizes; the official client renews what it knows to expire."""
        self.prepare()
        with self._lock:
            now = time.monotonic()
            if now >= self._token_until:
                try:
                    self._token = _find_token(self._client.configuration)
                except OSError as error:
                    raise PermanentError(
                        f"the credentials cannot be read: {error}", code="kubeconfig"
                    ) from error
                self._token_until = now + _TOKEN_SECONDS
            return self._client, self._token

    def _renew(self, client: Any, refused: str | None) -> bool:
        """Load the credentials anew after a 401; False when they are still those that were refused.

        Whatever they come from: a service account's token file, a command, a kubeconfig that
        somebody else renews.
        """
        with self._renewing:
            if self._client is client:
                fresh = self.access.load(lambda: self.patience)
                with self._lock:
                    self._client, self._token_until = fresh, 0.0
        # A certificate shows no token: it is tried.
        return refused is None or self._read_token()[1] != refused

    def _send(self, client: Any, request: Request, token: str | None) -> Any:
        """Send a request once; a status that is no success becomes an :class:`ApiError`."""
        import urllib3

        query = f"?{urlencode(request.query)}" if request.query else ""
        body = request.body
        host = str(client.configuration.host).rstrip("/")
        left = max(SHORTEST_TIMEOUT, self.patience.remaining())
        answer = client.rest_client.pool_manager.urlopen(
            request.method,
            host + request.path + query,
            body=_encode(body) if body is not None else None,
            headers=self._make_headers(request, token),
            timeout=urllib3.Timeout(
                connect=min(CONNECT_TIMEOUT, left), read=min(request.read, left)
            ),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        if answer.status >= 300:
            raise ApiError(answer.status, answer.data, answer.headers.get("Retry-After"))
        if not request.streams:
            answer.data  # noqa: B018 - read here, where what breaks is tried again
        if "Warning" in answer.headers:
            self._tell_warning(answer.headers["Warning"])
        return answer

    def _make_headers(self, request: Request, token: str | None) -> Any:
        import urllib3

        headers = urllib3.HTTPHeaderDict({"Accept": request.accept, "User-Agent": "gennaker"})
        if token is not None:
            headers["Authorization"] = token
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if self.access.user is not None:
            headers["Impersonate-User"] = self.access.user
            for group in self.access.groups:
                headers.add("Impersonate-Group", group)
        return headers

    def _tell_warning(self, header: str) -> None:
        # 299 - "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+"
        quoted = header.partition('"')[2].rpartition('"')[0]
        text = re.sub(r"\\(.)", r"\1", quoted) or header
        if text not in self._warned:
            self._warned.add(text)
            self.patience.tell(f"the cluster warns: {text}")


def make_unreachable(told: str) -> TemporaryError:
    """Return the error of a server that does not answer."""
    return TemporaryError(
        told,
        code="cluster-unreachable",
        hint="look whether it runs and whether the context is the right one",
    )


def _encode(body: Any) -> bytes:
    # Servers read the body of an apply as YAML.
    return escape_odd(json.dumps(body, ensure_ascii=False, separators=(",", ":"))).encode()


def _find_secrets(host: str) -> list[str]:
    """Return what of a server's address is secret: a password, and the sandbox's token.

    Nobody sends credentials over plain HTTP, so the first part of a path there may be what authorizes.
    """
    parts = urlsplit(host)
    token = parts.path.strip("/").partition("/")[0] if parts.scheme == "http" else ""
    return [each for each in (parts.password or "", token) if len(each) >= MIN_SECRET]


def _find_token(configuration: Any) -> str | None:
    for setting in configuration.auth_settings().values():
        return str(setting["value"])
    return str(configuration.get_basic_auth_token()) if configuration.username else None


def _is_distrusted(error: BaseException) -> bool:
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in error.args)


def explain_break(error: BaseException) -> str:
    """Return what broke a connection, in a few words."""
    reason = getattr(error, "reason", None) or error
    told = _SECONDS.sub("", str(reason).rpartition(": ")[2])
    return told[:200] or type(reason).__name__
