"""``http.request``: requests to a real server, expectations, and asking again."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.errors import PermanentError, TemporaryError
from gennaker.stage import Failed, Outcome, Poll, Secret, Succeeded, Waiting
from gennaker.testing import FakeContext
from gennaker_stages.http.request_stage import HttpRequest
from tests.fixtures.http_server import Answer, LocalServer


def ask(context: FakeContext, **inputs: Any) -> Outcome:
    """Run a request."""
    return HttpRequest().run(HttpRequest.Inputs.model_validate(inputs), context)


def outputs_of(outcome: Outcome) -> dict[str, Any]:
    """The outputs of a request that succeeded."""
    assert isinstance(outcome, Succeeded), outcome
    return dict(outcome.outputs)  # type: ignore[arg-type]


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    """A first call."""
    return FakeContext(tmp_path, secrets=["hunter22"])


def answer_json(data: Any, status: int = 200, **headers: str) -> Answer:
    """An answer with JSON."""
    return Answer(
        status, json.dumps(data).encode(), {"Content-Type": "application/json", **headers}
    )


def test_the_answer_is_the_output(context: FakeContext, http_server: LocalServer) -> None:
    """Status, headers, text and data; cookies are nobody else's."""
    http_server.answer = lambda _asked: answer_json({"ok": True}, Via="x", **{"Set-Cookie": "s=1"})
    found = outputs_of(ask(context, url=f"{http_server.url}/healthz"))
    assert (found["status"], found["body"], found["json"]) == (200, '{"ok": true}', {"ok": True})
    assert found["headers"]["via"] == "x"
    assert "set-cookie" not in found["headers"]


def test_a_request_has_headers_and_a_body(context: FakeContext, http_server: LocalServer) -> None:
    """Secrets go in headers; data goes as JSON."""
    headers = {"Authorization": Secret("Bearer hunter22"), "X-Count": 3}
    ask(context, url=http_server.url, method="put", headers=headers, json={"a": [1]})
    [asked] = http_server.asked
    assert (asked.method, json.loads(asked.body)) == ("PUT", {"a": [1]})
    assert asked.headers["authorization"] == "Bearer hunter22"
    assert asked.headers["x-count"] == "3"
    assert asked.headers["content-type"] == "application/json"


def test_a_request_that_changes_something_is_sent_once(
    context: FakeContext, http_server: LocalServer
) -> None:
    """Another delivery of the attempt remembers the answer; the server is told the key."""
    first = ask(context, url=http_server.url, method="POST", body="x")
    second = ask(context.redeliver(), url=http_server.url, method="POST", body="x")
    assert first == second
    [asked] = http_server.asked
    assert asked.headers["idempotency-key"] == "test-1/stage/1/request-1"


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        (None, None),
        ({"status": 200}, None),
        ({"status": [404, "2xx"]}, None),
        ({"status": "5xx"}, "expected status 5xx, got 200"),
        ({"status": [301, 404]}, "expected status 301 or 404, got 200"),
        ({"headers": {"Via": "x"}}, None),
        ({"headers": {"Via": "y"}}, "expected header 'Via' to be 'y', got 'x'"),
        ({"headers": {"Nope": "y"}}, "expected header 'Nope' to be 'y', got no such header"),
        ({"json": "body.ready && body.count > 2"}, None),
        ({"json": ["status == 200", "headers.via == 'x'"]}, None),
        ({"json": "body.count > 5"}, "expected 'body.count > 5' to be true, got false"),
        ({"json": "body.count"}, "expected 'body.count' to be true, got 3"),
        (
            {"json": ["body.ready", "body.nope"]},
            "expected 'body.nope', which cannot be evaluated: ",
        ),
    ],
)
def test_expectations(
    context: FakeContext, http_server: LocalServer, expect: Any, said: str | None
) -> None:
    """All must hold; the first that does not is the reason."""
    http_server.answer = lambda _asked: answer_json({"ready": True, "count": 3}, Via="x")
    outcome = ask(context, url=http_server.url, expect=expect)
    if said is None:
        assert isinstance(outcome, Succeeded)
    else:
        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith(said)


def test_an_error_status_fails(context: FakeContext, http_server: LocalServer) -> None:
    """Unless it is expected; the log has what the server said."""
    http_server.answer = lambda _asked: Answer(503, b"starting")
    assert ask(context, url=http_server.url) == Failed("expected status 2xx, got 503")
    assert "the answer begins: starting" in context.log_text
    assert isinstance(ask(context, url=http_server.url, expect={"status": 503}), Succeeded)


def test_no_json_is_not_as_expected(context: FakeContext, http_server: LocalServer) -> None:
    """An expression over a body needs one."""
    outcome = ask(context, url=http_server.url, expect={"json": "body.ok"})
    assert outcome == Failed("expected JSON for 'body.ok', got something else")


def test_no_answer_is_an_error(context: FakeContext) -> None:
    """We could not ask: that is no failure of the thing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(TemporaryError, match="http-refused: cannot connect to"):
        ask(context, url=f"http://127.0.0.1:{port}/")
    waiting = ask(context, url=f"http://127.0.0.1:{port}/", until={"status": 200, "every": "1s"})
    assert waiting == Waiting(Poll(1.0), state={"requests": 1})


def test_it_asks_again_until_the_answer_fits(
    context: FakeContext, http_server: LocalServer
) -> None:
    """No thread waits in between; then what is expected is checked."""
    http_server.answer = lambda _asked: answer_json({"done": len(http_server.asked) > 2, "n": 7})
    inputs = {
        "url": http_server.url,
        "until": {"json": "body.done", "every": "10s"},
        "expect": {"json": "body.n == 7"},
    }
    waits = 0
    outcome = ask(context, **inputs)
    while isinstance(outcome, Waiting):
        assert outcome.on == Poll(10.0)
        waits += 1
        context = context.resume(outcome)
        outcome = ask(context, **inputs)
    assert waits == 2
    assert outputs_of(outcome)["json"] == {"done": True, "n": 7}
    assert "request 2: expected 'body.done' to be true, got false" in context.log_text


def test_until_decides_what_is_good(context: FakeContext, http_server: LocalServer) -> None:
    """Waiting for something to be gone ends with its 404."""
    http_server.answer = lambda _asked: Answer(404)
    assert isinstance(ask(context, url=http_server.url, until={"status": 404}), Succeeded)


def test_each_request_that_changes_something_has_its_own_key(
    context: FakeContext, http_server: LocalServer
) -> None:
    """Asking again is another request, not the remembered one."""
    http_server.answer = lambda _asked: answer_json({"done": len(http_server.asked) > 1})
    inputs = {"url": http_server.url, "method": "POST", "until": {"json": "body.done"}}
    waiting = ask(context, **inputs)
    assert isinstance(waiting, Waiting)
    assert isinstance(ask(context.resume(waiting), **inputs), Succeeded)
    assert [asked.headers["idempotency-key"][-9:] for asked in http_server.asked] == [
        "request-1",
        "request-2",
    ]


def test_a_large_answer_is_cut(context: FakeContext, http_server: LocalServer) -> None:
    """It was checked whole; what is kept has its limit."""
    data = {"ok": True, "fill": "\x01" * 100_000}
    http_server.answer = lambda _asked: answer_json(data)
    found = outputs_of(ask(context, url=http_server.url, expect={"json": "body.ok"}))
    assert found["json"] is None
    assert len(json.dumps(found["body"])) <= 64 << 10


def test_redirects_are_followed_when_said(context: FakeContext, http_server: LocalServer) -> None:
    """Else they are the answer."""
    http_server.answer = lambda asked: (
        Answer() if asked.path == "/there" else Answer(302, b"", {"Location": "/there"})
    )
    assert ask(context, url=http_server.url) == Failed("expected status 2xx, got 302")
    assert isinstance(ask(context, url=http_server.url, redirects=1), Succeeded)


def test_link_local_addresses_are_refused(context: FakeContext) -> None:
    """A pipeline cannot ask a cloud for its machine's credentials."""
    with pytest.raises(PermanentError, match="http-address"):
        ask(context, url="http://169.254.169.254/latest/meta-data/", until={"status": 200})


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"url": "shop.test"}, "'shop.test' does not begin with http:// or https://"),
        ({"url": "http://x/", "method": "FETCH"}, "'FETCH' is not one of GET, HEAD"),
        ({"url": "http://x/", "body": "a", "json": 1}, "has both 'body' and 'json'"),
        ({"url": "http://x/", "expect": {"status": 20}}, "20 is not a status; write 200, or '2xx'"),
        ({"url": "http://x/", "expect": {"status": "ok"}}, "'ok' is not a status"),
        ({"url": "http://x/", "expect": {"status": []}}, "is an empty list"),
        ({"url": "http://x/", "expect": {"json": "body."}}, "'body.': "),
        ({"url": "http://x/", "expect": {"json": "params.x"}}, "'params.x' mentions 'params'; it can"),
        ({"url": "http://x/", "until": {"every": 5}}, "5 has no unit"),
        ({"url": "http://x/", "timeout": "5s"}, "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_refused(inputs: dict[str, Any], said: str) -> None:
    """Before anything is sent, with the reason."""
    with pytest.raises(ValidationError) as caught:
        HttpRequest.Inputs.model_validate(inputs)
    assert said in str(caught.value)


def test_a_plan_shows_the_request_without_its_query(context: FakeContext) -> None:
    """Nothing is sent."""
    inputs = HttpRequest.Inputs(url="https://shop.test/healthz?token=x")
    [change] = HttpRequest().plan(inputs, context).changes
    assert change.what == "GET https://shop.test/healthz"
