"""A request and an answer, without HTTP's machinery; bodies as clients send them.

Made by :mod:`.server`, read by :mod:`.api`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .problems import ApiProblem, bad_request
from .queries import Watch

__all__ = ["Answer", "Request", "parse_body", "parse_target"]


@dataclass(slots=True)
class Request:
    """What a client asked: method, path parts, query, headers (names in lower case), body."""

    method: str
    parts: tuple[str, ...]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def wants_table(self) -> bool:
        """Whether the client (kubectl) prefers a table."""
        return "as=Table" in self.headers.get("accept", "")

    @property
    def wants_metadata(self) -> bool:
        """Whether the client asked for nothing but metadata."""
        return "as=PartialObjectMetadata" in self.headers.get("accept", "")

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()


@dataclass(slots=True)
class Answer:
    """What goes back: a JSON object, plain text, text that comes bit by bit, or a watch that goes on."""

    status: int = 200
    content: Any = None
    text: str | None = None
    lines: Iterator[str] | None = None
    watch: Watch | None = None
    warnings: list[str] = field(default_factory=list)


def parse_target(target: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the path's parts and the query (of a repeated name the last value)."""
    split = urlsplit(target)
    parts = tuple(unquote(part) for part in split.path.split("/") if part)
    return parts, dict(parse_qsl(split.query, keep_blank_values=True))


def parse_body(body: bytes, content_type: str) -> Any:
    """Return the data of a JSON or YAML body.

    Raises:
        ApiProblem: 400 for a malformed one, 415 for protobuf.
    """
    if "protobuf" in content_type:
        text = (
            "the sandbox reads JSON and YAML, not protobuf: add '--dry-run=client -o yaml' and pipe it"
            " to 'kubectl apply --server-side -f -'"
        )
        raise ApiProblem(415, "UnsupportedMediaType", text)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        if "yaml" not in content_type:
            raise bad_request(f"error decoding the body: {error}") from None
    return _parse_yaml(body)


def _parse_yaml(body: bytes) -> Any:
    """Return YAML as Kubernetes reads it: 1.1's scalars, dates stay text, every key is a string."""
    from gennaker.errors import InvalidInput
    from gennaker.yamltext import MANIFEST_LIMITS, compose

    try:
        return compose(body, file="body", schema="1.1", limits=MANIFEST_LIMITS).data
    except InvalidInput as error:
        raise bad_request(f"error decoding YAML: {error.problems[0]}") from None
