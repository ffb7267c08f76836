"""A request and an answer, without HTTP's machinery; bodies as clients send them.

Made by :mod:`.server`, read by :mod:`.api`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """What goes back: a JSON object, plain text, or a watch that goes on."""

    status: int = 200
    content: Any = None
    text: str | None = None
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
        text = "the sandbox reads JSON and YAML, not protobuf"
        raise ApiProblem(415, "UnsupportedMediaType", text)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        if "yaml" not in content_type:
            raise bad_request(f"error decoding the body: {error}") from None
    return _parse_yaml(body)


def _name_keys(value: Any) -> Any:
    """Return YAML data with every key a string, as JSON would have it (``on`` is ``true``)."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else json.dumps(key): _name_keys(inner)
            for key, inner in value.items()
        }
    return [_name_keys(each) for each in value] if isinstance(value, list) else value


def _parse_yaml(body: bytes) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML as Kubernetes reads it: dates stay text, the rest is plain data."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        # A subclass of SafeLoader: it makes plain data only.
        return _name_keys(yaml.load(body, Loader=Loader))
    except (yaml.YAMLError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {' '.join(str(error).split())}") from None
