"""``http.request``: ask over HTTP, check the answer, and ask again until it is as it should be."""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from gennaker.durations import parse_duration
from gennaker.errors import PermanentError, TemporaryError
from gennaker.model import Duration
from gennaker.script import EnvValue
from gennaker.stage import (
    Change,
    Context,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Poll,
    Secret,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
    Waiting,
)
from gennaker_stages.http.expectation import Expectation, Until, find_fault, read_json

__all__ = ["HttpRequest"]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_BODY = 1 << 20
# Of JSON, one output; what is said about it leaves room for escapes.
_MAX_OUTPUT = 60_000
_PRIVATE = frozenset({"set-cookie"})


def _check_method(method: str) -> str:
    if method.upper() not in _METHODS:
        raise ValueError(f"{method!r} is not one of {', '.join(_METHODS)}")
    return method.upper()


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://", "<unknown:")):
        raise ValueError(f"{url!r} does not begin with http:// or https://")
    return url


class HttpRequest(Stage):
    """Send an HTTP request and check the answer; with ``until``, again and again until it fits.

    It fails when the answer is not as expected (a 2xx status unless said), and is errored when there
    is none. Requests that change something are sent once an attempt, with an Idempotency-Key.
    """

    name = "http.request"

    class Inputs(StageInputs):
        url: Annotated[str, AfterValidator(_check_url), Field(description="What to ask.")]
        method: Annotated[str, AfterValidator(_check_method)] = Field(
            default="GET", description="The method, in capitals."
        )
        headers: dict[str, EnvValue] = Field(
            default_factory=dict, description="Headers to send; a value may be a secret."
        )
        body: str | None = Field(default=None, description="Text to send.")
        json_: Any = Field(default=None, alias="json", description="Data to send as JSON.")
        expect: Expectation | None = Field(
            default=None, description="What the answer should be; a 2xx status unless said."
        )
        until: Until | None = Field(
            default=None, description="Ask again, every so often, until the answer is this."
        )
        redirects: int = Field(default=0, ge=0, le=10, description="How many are followed.")
        patience: Duration = Field(
            default="30s", description="How long to wait for one answer, or for a part of it."
        )

        @model_validator(mode="after")
        def _refuse_two_bodies(self) -> HttpRequest.Inputs:
            if self.body is not None and self.json_ is not None:
                raise ValueError("has both 'body' and 'json'")
            return self

    # An output is called what it is; that pydantic models have an old method `json` is no reason.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)

        class Outputs(StageOutputs):
            status: int = Field(description="Status of the answer")
            headers: dict[str, str] = Field(description="Its headers, with names in lower case")
            body: str = Field(description="Its body as text, at most 64 KiB")
            json: Any = Field(default=None, description="Its body as data, where it is JSON")

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Say what is asked."""
        return Plan([Change("run", f"{inputs.method} {inputs.url.partition('?')[0]}")])

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Ask once; wait when it should be asked again."""
        number = (ctx.resumed or {}).get("requests", 0) + 1
        try:
            answer = _ask(inputs, ctx, number)
        except TemporaryError as error:
            if inputs.until is None:
                raise
            ctx.log(f"request {number}: {error.message}")
            return _poll(inputs.until, number)
        if inputs.until is not None:
            fault = find_fault(inputs.until, answer, ctx.mask)
            if fault is not None:
                ctx.log(f"request {number}: {fault}")
                return _poll(inputs.until, number)
        expected = inputs.expect or (Expectation() if inputs.until is None else None)
        fault = find_fault(expected, answer, ctx.mask) if expected else None
        if fault is not None:
            ctx.log(f"{fault}; the answer begins: {ctx.mask(answer.text)[:500]}")
            return Failed(fault)
        ctx.log(f"{inputs.method} answered {answer.status}")
        return Succeeded(_find_outputs(answer, ctx))


def _poll(until: Until, number: int) -> Waiting:
    return Waiting(Poll(parse_duration(until.every)), state={"requests": number})


def _ask(inputs: HttpRequest.Inputs, ctx: Context, number: int) -> Any:
    """Send the request; one that changes something is remembered, so that no delivery repeats it."""
    from gennaker.http import Response

    if inputs.method in _REPEATABLE:
        return _send(inputs, ctx, None)

    def send(key: str) -> dict[str, Any]:
        answer = _send(inputs, ctx, key)
        body = answer.text
        if _measure(body) > _MAX_OUTPUT:
            raise PermanentError(
                f"the answer to {inputs.method} has more than {_MAX_OUTPUT} bytes, which cannot be "
                "remembered",
                code="http-too-large",
            )
        return {
            "status": answer.status,
            "headers": _list_headers(answer),
            "body": body,
            "url": answer.url,
        }

    kept = ctx.step(f"request-{number}", send)
    return Response(kept["status"], kept["headers"], kept["body"].encode(), kept["url"])


def _send(inputs: HttpRequest.Inputs, ctx: Context, key: str | None) -> Any:
    from gennaker.http import request

    headers = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in inputs.headers.items()
    }
    given = {name.lower() for name in headers}
    body = None if inputs.body is None else inputs.body.encode()
    if inputs.json_ is not None:
        body = json.dumps(inputs.json_, allow_nan=False).encode()
        if "content-type" not in given:
            headers["Content-Type"] = "application/json"
    if key is not None and "idempotency-key" not in given:
        headers["Idempotency-Key"] = key
    patience = max(0.1, min(parse_duration(inputs.patience), ctx.remaining))
    return request(
        inputs.method,
        inputs.url,
        headers=headers,
        body=body,
        timeout=(min(10.0, patience), patience),
        max_bytes=_MAX_BODY,
        redirects=inputs.redirects,
    )


def _list_headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in _PRIVATE}


def _find_outputs(answer: Any, ctx: Context) -> dict[str, Any]:
    """What later stages can use; a large body is cut, and its JSON left out.

    Raises:
        PermanentError: code ``secret-in-output``: what is cut is not looked at whole any more.
    """
    text = answer.text
    if _measure(text) > _MAX_OUTPUT and ctx.mask(text) != text:
        raise PermanentError(
            "the answer holds the value of a secret, which would be kept in the journal",
            code="secret-in-output",
        )
    is_json, data = read_json(answer)
    while _measure(text) > _MAX_OUTPUT:
        text = text[: len(text) * 3 // 4]
    small = is_json and _measure(data) <= _MAX_OUTPUT
    return {
        "status": answer.status,
        "headers": _list_headers(answer),
        "body": text,
        "json": data if small else None,
    }


def _measure(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
