"""The registry's protocol where real registries cannot be brought to it: tokens, odd answers, other hosts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Secret
from gennaker_stages.registry.client import RegistryClient
from gennaker_stages.registry.credentials import Credentials
from gennaker_stages.registry.reference import parse_reference
from tests.fixtures.http_server import Answer, Asked, LocalServer

CREDENTIALS = Credentials("ann", Secret("pass-word"))
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


def make_client(server: LocalServer, answer: Callable[[Asked], Answer]) -> RegistryClient:
    """A client of a registry on this server."""
    server.answer = answer
    return RegistryClient(parse_reference(f"127.0.0.1:{server.port}/web"), CREDENTIALS)


def test_a_token_is_asked_for_what_is_done(http_server: LocalServer) -> None:
    """The challenge says where; the password goes there only, the token to the registry only."""

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            scope = parse_qs(urlsplit(asked.path).query)["scope"][0]
            return Answer(body=json.dumps({"token": f"for-{scope.rpartition(':')[2]}"}).encode())
        wanted = "pull" if asked.method == "GET" else "pull,push"
        if asked.headers.get("authorization") != f"Bearer for-{wanted}":
            challenge = f'Bearer realm="{http_server.url}/token",service="r",scope="repository:web:{wanted}"'
            return Answer(401, headers={"WWW-Authenticate": challenge})
        if asked.method == "PUT":
            return Answer(201)
        return Answer(body=MANIFEST, headers={"Content-Type": "application/json; charset=x"})

    client = make_client(http_server, answer)
    assert client.pull_manifest("1") == (MANIFEST, "application/json")
    assert client.push_manifest("1", MANIFEST, "application/json") == DIGEST
    basic = CREDENTIALS.to_basic()
    assert [
        (each.method, urlsplit(each.path).path, each.headers.get("authorization"))
        for each in http_server.asked
    ] == [
        ("GET", "/v2/web/manifests/1", None),
        ("GET", "/token", basic),
        ("GET", "/v2/web/manifests/1", "Bearer for-pull"),
        ("PUT", "/v2/web/manifests/1", "Bearer for-pull"),
        ("GET", "/token", basic),
        ("PUT", "/v2/web/manifests/1", "Bearer for-pull,push"),
    ]


@pytest.mark.parametrize(
    "realm", ["http://auth.test/token", "http://127.0.0.1.evil.test/t", "ftp://a"]
)
def test_credentials_go_over_https_only(http_server: LocalServer, realm: str) -> None:
    """A challenge cannot have the password sent in the clear to somebody else."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    client = make_client(http_server, lambda _asked: Answer(401, headers=challenge))
    with pytest.raises(PermanentError) as caught:
        client.find_digest("1")
    assert caught.value.code == "registry-auth"
    assert f"asks for its credentials to be sent to {realm!r}" in caught.value.message


@pytest.mark.parametrize("body", [b"rubbish", b"[]", b"{}"])
def test_a_token_that_is_none_is_told(http_server: LocalServer, body: bytes) -> None:
    """A token server that answers nonsense."""
    challenge = {"WWW-Authenticate": f'Bearer realm="{http_server.url}/token"'}
    client = make_client(
        http_server,
        lambda asked: (
            Answer(body=body) if "token" in asked.path else Answer(401, headers=challenge)
        ),
    )
    with pytest.raises(StageError, match=r"is not JSON|gave no token"):
        client.find_digest("1")


def test_an_upload_elsewhere_gets_no_credentials(http_server: LocalServer) -> None:
    """A registry may keep its blobs on another host, to which its password does not go."""
    elsewhere = f"http://localhost:{http_server.port}/store?state=1"

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/store"):
            return Answer(201)
        if "authorization" not in asked.headers:
            return Answer(401, headers={"WWW-Authenticate": "Basic realm=x"})
        return (
            Answer(404) if asked.method == "HEAD" else Answer(202, headers={"Location": elsewhere})
        )

    assert make_client(http_server, answer).push_blob(DIGEST, MANIFEST) is True
    last = http_server.asked[-1]
    assert (last.method, last.body) == ("PUT", MANIFEST)
    assert parse_qs(urlsplit(last.path).query) == {"state": ["1"], "digest": [DIGEST]}
    assert "authorization" not in last.headers


def test_bytes_that_are_not_of_their_digest_are_refused(http_server: LocalServer) -> None:
    """Neither a blob nor a manifest is taken on trust."""
    client = make_client(http_server, lambda _asked: Answer(body=b"other"))
    with pytest.raises(PermanentError, match="the registry gave another blob than"):
        client.pull_blob(DIGEST)
    with pytest.raises(PermanentError, match="the registry gave another manifest than"):
        client.pull_manifest(DIGEST)
    said = {"Docker-Content-Digest": "sha256:other"}
    client = make_client(http_server, lambda _asked: Answer(201, headers=said))
    with pytest.raises(PermanentError) as caught:
        client.push_manifest("1", MANIFEST, "x")
    assert caught.value.message == f"the registry kept sha256:other where {DIGEST} was pushed"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (403, PermanentError, "registry-denied"),
        (400, PermanentError, "registry-refused"),
        (429, TemporaryError, "registry-unavailable"),
        (503, TemporaryError, "registry-unavailable"),
    ],
)
def test_checklist_51_a_registrys_words_are_told(
    http_server: LocalServer, status: int, kind: type[StageError], code: str
) -> None:
    """What it says is in the message; whether to try again is in the type."""
    body = json.dumps({"errors": [{"code": "NAME", "message": "bad name"}]}).encode()
    client = make_client(http_server, lambda _asked: Answer(status, body))
    with pytest.raises(kind) as caught:
        client.push_manifest("1", MANIFEST, "x")
    assert caught.value.code == code
    assert "NAME bad name" in caught.value.message
