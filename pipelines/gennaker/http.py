"""The one outbound HTTP client: bounded in time and size, careful about where it goes.

``http.request``, registries and notifiers send through :func:`request`. It goes nowhere but to
``http`` and ``https``, with certificates checked, and never to link-local addresses, where clouds
give out credentials to who asks. Loopback and private addresses are allowed: what is deployed to
usually is inside. The address is checked on the connection itself, so that neither a redirect nor a
name that resolves otherwise the second time gets around it. No proxy is used, no cookie kept, and
errors never show a query, a header or a body.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import SplitResult, urljoin, urlsplit

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.records import dataclass

if TYPE_CHECKING:
    import urllib3

__all__ = ["Limits", "Response", "request"]

MAX_BYTES = 10 << 20
_CHUNK = 64 << 10
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What must not follow a redirect to somebody else.
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(each)
    # Link-local, then where Amazon's and Alibaba's metadata is elsewhere.
    for each in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Of an answer that trickles: the whole may take so many times as long as one piece.
_PATIENCE = 20


class Limits(TypedDict, total=False):
    """What bounds one request.

    Attributes:
        max_bytes: of the answer's body, unpacked; 10 MiB unless said.
        redirects: how many are followed; none unless said, and then the answer is the redirect.
        retries: how often a request that got no answer is sent again, when its method is safe to
            repeat; never unless said.
    """

    max_bytes: int
    redirects: int
    retries: int


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, whatever its status.

    Attributes:
        headers: lower-case names; several of one name are joined with ``", "``.
        url: where it came from, after redirects.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """Return the body as JSON data.

        Raises:
            StageError: code ``http-json``.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise StageError(
                f"the answer of {_describe(urlsplit(self.url))} is not JSON", code="http-json"
            ) from None


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: tuple[float, float] = (5.0, 30.0),
    **limits: Unpack[Limits],
) -> Response:
    """Send one request and return the answer, also when its status is an error.

    Args:
        method: upper case.
        url: ``http`` or ``https``, without credentials.
        timeout: seconds to connect, and to wait for each piece of the answer; the whole of it may
            take twenty times as long.
        limits: see :class:`Limits`.

    Raises:
        PermanentError: code ``http-url``, ``http-address`` or ``http-header``: it was not sent.
        TemporaryError: code ``http-refused``, ``http-dns``, ``http-timeout`` or ``http-broken``.
        StageError: code ``http-tls``, ``http-too-large`` or ``http-redirect``.
    """
    _check_method(method)
    sent = _check_headers(headers or {})
    left = limits.get("redirects", 0)
    while True:
        place = _check_url(url)
        answer = _send_patiently(method, place, sent, body, timeout, limits)
        target = answer.headers.get("location")
        if left == 0 or answer.status not in _REDIRECTS or not target:
            if limits.get("redirects") and answer.status in _REDIRECTS and target:
                raise StageError(
                    f"{_describe(place)} redirects more than {limits['redirects']} times",
                    code="http-redirect",
                )
            return answer
        left -= 1
        url = urljoin(url, target)
        next_place = urlsplit(url)
        if place.scheme == "https" and next_place.scheme == "http":
            raise StageError(
                f"{_describe(place)} redirects to {_describe(next_place)}, which is not HTTPS",
                code="http-redirect",
            )
        if _origin(next_place) != _origin(place):
            sent = {name: value for name, value in sent.items() if name.lower() not in _PRIVATE}
        if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
            method, body = ("HEAD" if method == "HEAD" else "GET"), None
            sent = {name: value for name, value in sent.items() if not _is_of_body(name)}


def _send_patiently(
    method: str,
    place: SplitResult,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: tuple[float, float],
    limits: Limits,
) -> Response:
    tries = 1 + (limits.get("retries", 0) if method in _SAFE else 0)
    for number in range(1, tries + 1):
        try:
            return _send(method, place, headers, body, timeout, limits.get("max_bytes", MAX_BYTES))
        except TemporaryError:
            if number == tries:
                raise
            time.sleep(min(0.2 * 2 ** (number - 1), 2.0))
    raise AssertionError("a loop of at least one try returns or raises")


def _send(
    method: str,
    place: SplitResult,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: tuple[float, float],
    max_bytes: int,
) -> Response:
    import urllib3

    connect, read = timeout
    host, port = place.hostname or "", place.port
    pool_class = _make_pools()[place.scheme]
    alarm = _Alarm(read)
    with alarm, pool_class(host, port, retries=False, maxsize=1, alarm=alarm) as pool:
        try:
            answer = pool.urlopen(
                method,
                _target_of(place),
                body=body,
                headers={"User-Agent": "gennaker", **headers},
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=connect, read=read),
                preload_content=False,
            )
            try:
                alarm.set(_PATIENCE * read)
                content = b"".join(_read(answer, place, max_bytes))
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            if not alarm.rang:
                raise _translate(error, place, timeout) from error
        except OSError as error:  # a socket's own, while the body is sent
            if not alarm.rang:
                raise TemporaryError(
                    f"the connection to {_describe(place)} broke: "
                    f"{error.strerror or 'it was closed'}",
                    code="http-broken",
                ) from error
    if alarm.rang:  # what was read by then may look whole, and is not
        raise TemporaryError(
            f"the answer of {_describe(place)} comes too slowly", code="http-timeout"
        )
    return Response(answer.status, _fold(answer.headers), content, place.geturl())


class _Alarm:
    """Ends a connection whose answer trickles: a timeout of sockets is one for each piece of it.

    Args:
        read: that timeout, in seconds. Status and headers may take twice as long.
    """

    def __init__(self, read: float) -> None:
        self.rang = False
        self._read = read
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def watch(self, connected: socket.socket) -> None:
        """Begin with the headers of a connection's answer."""
        self._socket = connected
        self.set(2 * self._read)

    def set(self, seconds: float) -> None:
        """Ring so many seconds from now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        self.rang = True
        if self._socket is not None:
            with suppress(OSError):  # it has ended by itself just now
                # Not that of TLS, which takes the connection apart under who reads from it.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> _Alarm:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _read(answer: urllib3.BaseHTTPResponse, place: SplitResult, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for piece in answer.stream(_CHUNK, decode_content=True):
        total += len(piece)
        if total > max_bytes:
            raise StageError(
                f"the answer of {_describe(place)} has more than {max_bytes} bytes",
                code="http-too-large",
            )
        yield piece


def _translate(
    error: urllib3.exceptions.HTTPError, place: SplitResult, timeout: tuple[float, float]
) -> StageError:
    from urllib3 import exceptions

    where = _describe(place)
    if isinstance(error, exceptions.SSLError):
        return StageError(
            f"the certificate of {where} cannot be trusted, or it speaks no TLS: "
            f"{_find_tls_reason(error)}",
            code="http-tls",
            hint="SSL_CERT_FILE names the file with your own authority's certificate",
        )
    if isinstance(error, exceptions.NameResolutionError):
        return TemporaryError(
            f"the name {place.hostname!r} cannot be resolved",
            code="http-dns",
            hint="look at its spelling and at the DNS of this machine",
        )
    if isinstance(error, exceptions.NewConnectionError):
        cause = error.__cause__ or error.__context__
        said = cause.strerror if isinstance(cause, OSError) and cause.strerror else "refused"
        return TemporaryError(
            f"cannot connect to {where}: {said[0].lower()}{said[1:]}",
            code="http-refused",
            hint="look whether it runs and listens there",
        )
    if isinstance(error, exceptions.ConnectTimeoutError):
        return TemporaryError(
            f"cannot connect to {where} within {timeout[0]:g} s", code="http-timeout"
        )
    if isinstance(error, exceptions.ReadTimeoutError):
        return TemporaryError(
            f"{where} did not answer within {timeout[1]:g} s", code="http-timeout"
        )
    return TemporaryError(
        f"the connection to {where} broke before the answer was whole", code="http-broken"
    )


def _find_tls_reason(error: BaseException) -> str:
    reason = getattr(error.args[0] if error.args else None, "verify_message", "")
    found = reason or getattr(error.args[0] if error.args else None, "reason", "") or "TLS failed"
    return str(found).replace("_", " ").lower()


@cache
def _make_pools() -> Mapping[str, Any]:
    """Connection pools whose connections look at the address they got; made on first use."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class CheckedConnection(HTTPConnection):
        def __init__(self, *arguments: Any, alarm: _Alarm, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._alarm = alarm

        def _new_conn(self) -> Any:
            return _check_peer(super()._new_conn(), self.host)

        def getresponse(self) -> Any:
            self._alarm.watch(self.sock)
            return super().getresponse()

    class CheckedTlsConnection(CheckedConnection, HTTPSConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = CheckedConnection

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = CheckedTlsConnection

    return {"http": Pool, "https": TlsPool}


def _check_peer(connection: Any, host: str) -> Any:
    """Return the connection unless it goes where none may; nothing was sent over it yet."""
    try:
        _check_address(connection.getpeername()[0], host)
    except PermanentError:
        connection.close()
        raise
    return connection


def _check_address(address: str, host: str) -> None:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if any(found in network for network in _REFUSED_NETWORKS):
        raise PermanentError(
            f"requests to {host!r} ({address}) are refused: link-local addresses give out a "
            "machine's own credentials",
            code="http-address",
        )


def _check_method(method: str) -> None:
    if not _METHOD.fullmatch(method):
        raise PermanentError(
            f"{method!r} is not an HTTP method", code="http-header", hint="write it like 'GET'"
        )


def _check_url(url: str) -> SplitResult:
    """Return the parts of a URL that may be asked; none of its text is in the messages."""
    try:
        place = urlsplit(url)
        host, port = place.hostname, place.port
    except ValueError:
        raise PermanentError("the URL cannot be read", code="http-url") from None
    if place.scheme not in ("http", "https"):
        raise PermanentError(
            f"a URL with the scheme {place.scheme!r} is refused",
            code="http-url",
            hint="it begins with http:// or https://",
        )
    if "@" in place.netloc:
        raise PermanentError(
            "a URL with credentials in it is refused",
            code="http-url",
            hint="send them in the header 'Authorization', from a secret",
        )
    if not host or (port is not None and port == 0):
        raise PermanentError("the URL names no host", code="http-url")
    if any(each.isspace() or not each.isprintable() for each in url):
        raise PermanentError("the URL has a space or a control character in it", code="http-url")
    try:
        literal = str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return place
    _check_address(literal, host)
    return place


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise PermanentError(f"{name!r} is not the name of a header", code="http-header")
        try:
            unfit = "\r" in value or "\n" in value or "\0" in value
            value.encode("latin-1")
        except UnicodeEncodeError:
            unfit = True
        if unfit:
            raise PermanentError(
                f"the value of header {name!r} has a line break or a character beyond Latin-1",
                code="http-header",
            )
    return dict(headers)


def _target_of(place: SplitResult) -> str:
    path = place.path or "/"
    return f"{path}?{place.query}" if place.query else path


def _fold(headers: urllib3.HTTPHeaderDict) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.itermerged()}


def _origin(place: SplitResult) -> tuple[str, str | None, int]:
    return place.scheme, place.hostname, place.port or (443 if place.scheme == "https" else 80)


def _is_of_body(name: str) -> bool:
    return name.lower().startswith("content-") or name.lower() == "transfer-encoding"


def _describe(place: SplitResult) -> str:
    """A URL for messages: without credentials, query and fragment."""
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}"
