"""What an answer should be: status, headers, and expressions over its JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gennaker.errors import ExpressionError
from gennaker.model import Duration

if TYPE_CHECKING:
    from gennaker.http import Response

__all__ = ["Expectation", "Until", "find_fault", "read_json"]

_CLASS = re.compile(r"[1-5]xx")


def _read_many(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _check_statuses(statuses: tuple[int | str, ...]) -> tuple[int | str, ...]:
    for status in statuses:
        fits = 100 <= status <= 599 if isinstance(status, int) else _CLASS.fullmatch(status)
        if not fits:
            raise ValueError(f"{status!r} is not a status; write 200, or '2xx' for a class of them")
    if not statuses:
        raise ValueError("is an empty list")
    return statuses


def _check_expressions(sources: tuple[str, ...]) -> tuple[str, ...]:
    from gennaker.expressions import compile_expression

    for source in sources:
        try:
            found = compile_expression(source)
        except ExpressionError as error:
            raise ValueError(f"{source!r}: {error.message}") from None
        strange = {each.root for each in found.references} - {"body", "status", "headers"}
        if strange:
            raise ValueError(
                f"{source!r} mentions {min(strange)!r}; it can use 'body', 'status' and 'headers'"
            )
    return sources


class Expectation(BaseModel):
    """What an answer should be; all of it must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Annotated[
        tuple[int | str, ...],
        BeforeValidator(_read_many),
        AfterValidator(_check_statuses),
        Field(description="A status, a class like '2xx', or a list of them."),
    ] = ("2xx",)
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers that have exactly these values."
    )
    json_: Annotated[
        tuple[str, ...],
        BeforeValidator(_read_many),
        AfterValidator(_check_expressions),
        Field(
            alias="json",
            description="Expressions over 'body' (the JSON), 'status' and 'headers' that are true.",
        ),
    ] = ()


class Until(Expectation):
    """What to ask again for until it holds."""

    every: Duration = Field(default="5s", description="How long between two requests.")


def find_fault(expected: Expectation, answer: Response, mask: Callable[[str], str]) -> str | None:
    """Return what is not as expected, for people; None when all is.

    Args:
        expected: what the answer should be.
        answer: what came.
        mask: hides secrets, in what is shown cut.
    """
    if not any(_fits(answer.status, each) for each in expected.status):
        wanted = " or ".join(str(each) for each in expected.status)
        return f"expected status {wanted}, got {answer.status}"
    for name, value in expected.headers.items():
        found = answer.headers.get(name.lower())
        if found != value:
            said = "no such header" if found is None else repr(found)
            return f"expected header {name!r} to be {value!r}, got {said}"
    for source in expected.json_:
        fault = _find_json_fault(source, answer, mask)
        if fault is not None:
            return fault
    return None


def read_json(answer: Response) -> tuple[bool, Any]:
    """Return whether the body is JSON, and its data."""
    import json

    def refuse(word: str) -> Any:
        raise ValueError(word)

    try:
        return True, json.loads(answer.body, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False, None


def _fits(status: int, wanted: int | str) -> bool:
    return status == wanted if isinstance(wanted, int) else str(status)[0] == wanted[0]


def _find_json_fault(source: str, answer: Response, mask: Callable[[str], str]) -> str | None:
    from gennaker.expressions import Scope, compile_expression

    is_json, body = read_json(answer)
    if not is_json:
        return f"expected JSON for {source!r}, got something else"
    values: Mapping[str, Any] = {
        "body": body,
        "status": answer.status,
        "headers": dict(answer.headers),
    }
    try:
        result = compile_expression(source).evaluate(Scope(values=values))
    except ExpressionError as error:
        return f"expected {source!r}, which cannot be evaluated: {error.message}"
    if result is True:
        return None
    return f"expected {source!r} to be true, got {_show(result, mask)}"


def _show(value: Any, mask: Callable[[str], str]) -> str:
    text = mask(repr(value)) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 100 else f"{text[:100]}…"
