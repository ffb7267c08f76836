"""The outbound HTTP client, against a real server on loopback."""

from __future__ import annotations

import gzip
import socket
import threading
import time

import pytest

from gennaker import http as http_module
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.http import request
from tests.fixtures.http_server import Answer, Asked, LocalServer


def find_closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_an_answer_has_status_headers_and_body(http_server: LocalServer) -> None:
    """What was sent arrives, and what is said comes back, whatever the status."""
    http_server.answer = lambda _asked: Answer(404, b'{"a": 1}', {"X-Thing": "yes"})
    answer = request("POST", f"{http_server.url}/x?y=1", headers={"A": "b"}, body=b"data")
    assert (answer.status, answer.headers["x-thing"], answer.json()) == (404, "yes", {"a": 1})
    [asked] = http_server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/x?y=1", b"data")
    assert asked.headers["a"] == "b"
    assert asked.headers["user-agent"] == "gennaker"


def test_a_port_nobody_listens_on_is_temporary() -> None:
    """Refused is said with the address and the next step; it may listen later."""
    port = find_closed_port()
    with pytest.raises(TemporaryError) as caught:
        request("GET", f"http://127.0.0.1:{port}/healthz?token=hunter2")
    assert str(caught.value) == (
        f"http-refused: cannot connect to http://127.0.0.1:{port}/healthz: connection refused; "
        "look whether it runs and listens there"
    )


def test_a_name_that_does_not_resolve_says_so() -> None:
    """DNS is told apart from a connection."""
    with pytest.raises(TemporaryError) as caught:
        request("GET", "http://no-such-host.invalid/")
    assert str(caught.value).startswith(
        "http-dns: the name 'no-such-host.invalid' cannot be resolved"
    )


def test_what_speaks_no_tls_says_so(http_server: LocalServer) -> None:
    """HTTPS to a plain server is a fault of TLS, not of the connection."""
    with pytest.raises(StageError) as caught:
        request("GET", f"https://127.0.0.1:{http_server.port}/")
    assert caught.value.code == "http-tls"
    assert "cannot be trusted, or it speaks no TLS" in str(caught.value)
    assert not isinstance(caught.value, TemporaryError)


def test_a_slow_answer_ends_in_time(http_server: LocalServer) -> None:
    """The wait for an answer is bounded and told in seconds."""
    release = threading.Event()

    def hold(_asked: Asked) -> Answer:
        release.wait(5)
        return Answer()

    http_server.answer = hold
    started = time.monotonic()
    with pytest.raises(TemporaryError, match=r"did not answer within 0.2 s"):
        request("GET", http_server.url, timeout=(1, 0.2))
    assert time.monotonic() - started < 3
    release.set()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_checklist_31_an_answer_that_trickles_is_left(
    part: str, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However steadily bytes come, an answer has to be whole in a bounded time."""
    monkeypatch.setattr(http_module, "_PATIENCE", 2)
    http_server.answer = lambda _asked: Answer(body=b"x" * 1000, trickles=part)
    started = time.monotonic()
    with pytest.raises(TemporaryError, match=r"^http-timeout: the answer of .* comes too slowly$"):
        request("GET", http_server.url, timeout=(1, 0.5))
    assert 0.9 < time.monotonic() - started < 5


def test_an_answer_that_breaks_off_is_no_answer(http_server: LocalServer) -> None:
    """Half a body is an error, never a result."""
    http_server.answer = lambda _asked: Answer(body=b"half", breaks=True)
    with pytest.raises(TemporaryError, match="broke before the answer was whole"):
        request("GET", http_server.url)


def test_an_answer_that_is_too_large_is_refused(http_server: LocalServer) -> None:
    """The bound holds for what is unpacked, so a small packed answer cannot fill the memory."""
    packed = gzip.compress(b"x" * 1_000_000)
    http_server.answer = lambda _asked: Answer(200, packed, {"Content-Encoding": "gzip"})
    with pytest.raises(StageError, match=r"http-too-large: the answer of .* more than 5000 bytes"):
        request("GET", http_server.url, max_bytes=5000)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "a URL with the scheme 'file' is refused"),
        ("ftp://example.test/x", "a URL with the scheme 'ftp' is refused"),
        ("http://ann:hunter2@example.test/", "a URL with credentials in it is refused"),
        ("http://", "the URL names no host"),
        ("http://[::1", "the URL cannot be read"),
        ("http://example.test/a b", "the URL has a space"),
        ("http://169.254.169.254/latest/meta-data/", "link-local addresses"),
        ("http://[fe80::1]/", "link-local addresses"),
        ("http://[::ffff:169.254.169.254]/", "link-local addresses"),
        ("http://[64:ff9b::a9fe:a9fe]/", "link-local addresses"),
        ("http://[fd00:ec2::254]/", "link-local addresses"),
    ],
)
def test_urls_that_are_refused(url: str, said: str) -> None:
    """Other schemes, credentials and link-local addresses are not asked; no secret is shown."""
    with pytest.raises(PermanentError) as caught:
        request("GET", url)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_name_that_leads_to_a_refused_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What counts is the address of the connection, not the name in the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    monkeypatch.setattr(socket.socket, "getpeername", lambda _self: ("169.254.169.254", port))
    with pytest.raises(PermanentError, match=r"requests to 'localhost' \(169.254.169.254\)"):
        request("GET", f"http://localhost:{port}/")
    listener.close()


def test_numbers_that_mean_a_refused_address_are_refused() -> None:
    """An address written as one number is an address too."""
    with pytest.raises((PermanentError, TemporaryError)) as caught:
        request("GET", "http://2852039166/", timeout=(0.2, 0.2))
    assert caught.value.code in ("http-address", "http-dns", "http-refused", "http-timeout")


def test_redirects_are_the_answer_unless_asked_for(http_server: LocalServer) -> None:
    """Nobody is sent elsewhere unless they said so."""
    http_server.answer = lambda _asked: Answer(302, b"", {"Location": "/there"})
    assert request("GET", http_server.url).status == 302
    assert len(http_server.asked) == 1


def test_redirects_are_followed_and_counted(http_server: LocalServer) -> None:
    """The answer says where it came from; a circle ends."""
    http_server.answer = lambda asked: (
        Answer(body=b"here") if asked.path == "/there" else Answer(302, b"", {"Location": "/there"})
    )
    answer = request("POST", http_server.url, body=b"x", redirects=2)
    assert (answer.url, answer.body) == (f"{http_server.url}/there", b"here")
    assert [asked.method for asked in http_server.asked] == ["POST", "GET"]
    http_server.answer = lambda _asked: Answer(302, b"", {"Location": "/round"})
    with pytest.raises(StageError, match="redirects more than 2 times"):
        request("GET", http_server.url, redirects=2)


def test_a_redirect_elsewhere_takes_no_credentials_along(http_server: LocalServer) -> None:
    """Another host or port does not get the header meant for the first."""
    elsewhere = f"http://localhost:{http_server.port}/there"
    http_server.answer = lambda asked: (
        Answer() if asked.path == "/there" else Answer(307, b"", {"Location": elsewhere})
    )
    request("GET", http_server.url, headers={"Authorization": "s3cret", "A": "b"}, redirects=1)
    assert "authorization" in http_server.asked[0].headers
    assert "authorization" not in http_server.asked[1].headers
    assert http_server.asked[1].headers["a"] == "b"


def test_a_redirect_to_a_refused_address_is_refused(http_server: LocalServer) -> None:
    """A server cannot send us where the user could not."""
    http_server.answer = lambda _asked: Answer(302, b"", {"Location": "http://169.254.169.254/"})
    with pytest.raises(PermanentError, match="link-local"):
        request("GET", http_server.url, redirects=1)
    http_server.answer = lambda _asked: Answer(302, b"", {"Location": "file:///etc/passwd"})
    with pytest.raises(PermanentError, match="scheme 'file'"):
        request("GET", http_server.url, redirects=1)


def test_only_safe_requests_are_sent_again(http_server: LocalServer) -> None:
    """A broken GET is repeated as often as said, a POST never."""
    http_server.answer = lambda _asked: (
        Answer(breaks=True) if len(http_server.asked) < 3 else Answer(body=b"ok")
    )
    assert request("GET", http_server.url, retries=2).body == b"ok"
    assert len(http_server.asked) == 3
    http_server.asked.clear()
    with pytest.raises(TemporaryError):
        request("POST", http_server.url, retries=2)
    assert len(http_server.asked) == 1


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"A": "x\r\nB: hunter2"}, "the value of header 'A' has a line break"),
        ({"A": "h\u0142unter2"}, "the value of header 'A' has a line break or a character"),
        ({"A B": "x"}, "'A B' is not the name of a header"),
    ],
)
def test_headers_that_are_refused(headers: dict[str, str], said: str) -> None:
    """A header cannot smuggle another one in; its value is not shown."""
    with pytest.raises(PermanentError) as caught:
        request("GET", "http://127.0.0.1:1/", headers=headers)
    assert said in str(caught.value)
    assert "unter2" not in str(caught.value)


def test_a_method_is_upper_case() -> None:
    """A method with anything else in it is refused."""
    with pytest.raises(PermanentError, match="'get' is not an HTTP method"):
        request("get", "http://127.0.0.1:1/")


def test_a_body_that_is_no_json_says_whose(http_server: LocalServer) -> None:
    """The address is told, without its query."""
    answer = request("GET", f"{http_server.url}/data?token=hunter2")
    with pytest.raises(StageError) as caught:
        answer.json()
    assert str(caught.value) == f"http-json: the answer of {http_server.url}/data is not JSON"
