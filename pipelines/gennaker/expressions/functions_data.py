"""Functions on lists and structured data: JSON, YAML, ``flatten``, ``distinct``, ``sort``.

:func:`to_plain` is also how every result of an expression becomes plain JSON data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from gennaker.canonical import canonical_json, escape_odd
from gennaker.errors import ExpressionError
from gennaker.expressions.functions import function, number_text
from gennaker.expressions.limits import Budget, LimitError
from gennaker.expressions.moments import Duration, Timestamp
from gennaker.expressions.operators import COMPARABLE, check_known, check_range, mismatch
from gennaker.expressions.semver import SemVer
from gennaker.expressions.values import (
    NUMBERS,
    OptionalValue,
    SecretText,
    UnknownText,
    kind_of,
    shown,
)

__all__ = ["to_plain"]

_DEPTH = 64
_NODE = 16


def to_plain(value: Any, budget: Budget, *, tokens: bool = True, depth: int = 0) -> Any:
    """Return ``value`` as JSON data that shares nothing with the scope.

    Timestamps, durations and versions become their text. ``tokens`` says whether values that are
    not known yet may be in it.

    Raises:
        ExpressionError: it has no JSON form.
        LimitError: it is too large or too deep.
    """
    # Each value is paid for by itself: a list that is shared a thousand times is visited as often.
    budget.take(_NODE)
    kind = type(value)
    if kind is str:
        budget.take(len(value))
        return value
    if value is None or kind is bool:
        return value
    if isinstance(value, UnknownText | SecretText):
        if not tokens:
            check_known(value)
        return value
    if isinstance(value, int):
        return check_range(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError(f"{number_text(value)} is not a value of JSON")
        return float(value)
    if isinstance(value, str):
        return str(value)
    if depth >= _DEPTH:
        raise LimitError(f"the value is nested more than {_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {
            _name(key, budget): to_plain(item, budget, tokens=tokens, depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_plain(item, budget, tokens=tokens, depth=depth + 1) for item in value]
    if isinstance(value, Timestamp | Duration | SemVer):
        return str(value)
    _refuse(value)


def _name(key: object, budget: Budget) -> str:
    if type(key) is not str:
        raise ExpressionError(
            "the keys of a map are strings in JSON", hint="convert them with string()"
        )
    budget.take(len(key))
    return key


def _refuse(value: object) -> NoReturn:
    hints = {
        "bytes": "convert it with string() or base64.encode()",
        "optional": "take its value with .orValue(d)",
    }
    kind = kind_of(value)
    raise ExpressionError(f"{kind} is not a value of JSON", hint=hints.get(kind))


@function("to_json(dyn) -> string")
def _to_json(budget: Budget, value: object) -> str:
    text = canonical_json(to_plain(value, budget, tokens=False))
    budget.take(len(text))
    return text


@function("from_json(string) -> dyn")
def _from_json(budget: Budget, text: str) -> Any:
    budget.take(len(text))
    budget.scan(8 * len(text))
    try:
        found = json.loads(
            text, parse_int=_read_int, parse_constant=_read_constant, object_pairs_hook=_read_pairs
        )
    except RecursionError:
        raise LimitError("the JSON is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ExpressionError(f"from_json(): {error.msg} at character {error.pos}") from None
    return to_plain(found, Budget(budget.limits))


def _read_int(digits: str) -> int:
    if len(digits) > 20:
        raise ExpressionError(f"{shown(digits)} does not fit into 64 bits")
    return int(digits)


def _read_constant(word: str) -> NoReturn:
    raise ExpressionError(f"from_json(): {word} is not JSON")


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ExpressionError("from_json(): a key is there twice")
    return found


# -- YAML ----------------------------------------------------------------------------------------

_BARE = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_WORDS = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
_BLOCK = re.compile(r"(?:[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\t]*\n)+")


@function("to_yaml(dyn) -> string")
def _to_yaml(budget: Budget, value: object) -> str:
    """YAML that reads the same under the rules of 1.1 and 1.2; keys sorted."""
    pieces: list[str] = []
    for line in _yaml_lines(to_plain(value, budget, tokens=False), 0):
        budget.take(len(line) + 1)
        pieces.append(line)
    return "\n".join(pieces) + "\n"


def _yaml_lines(value: Any, indent: int) -> Iterator[str]:
    space = " " * indent
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _yaml_item(f"{space}{_yaml_scalar(key)}:", value[key], indent, indent + 2)
    elif isinstance(value, list) and value:
        for item in value:
            if isinstance(item, dict | list) and item:
                first, *rest = _yaml_lines(item, indent + 2)
                yield f"{space}- {first[indent + 2 :]}"
                yield from rest
            else:
                yield from _yaml_item(f"{space}-", item, indent, indent + 2)
    else:
        yield space + _yaml_scalar(value)


def _yaml_item(start: str, value: Any, indent: int, below: int) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield start
        yield from _yaml_lines(value, indent if isinstance(value, list) else below)
    elif isinstance(value, str) and value[:1] not in (" ", "\n") and _BLOCK.fullmatch(value):
        yield f"{start} |{'+' if value.endswith(chr(10) * 2) else ''}"
        for line in value[:-1].split("\n"):
            yield " " * below + line if line else ""
    else:
        yield f"{start} {_yaml_scalar(value)}"


def _yaml_scalar(value: Any) -> str:
    if isinstance(value, str):
        # `.5`, `.inf` and `.nan` are numbers; a path begins with a dot and a slash.
        path = value.startswith(("./", "../"))
        bare = _BARE.fullmatch(value) and (path or value[0] != ".")
        if bare and value.lower() not in _WORDS:
            return value
        return escape_odd(json.dumps(value, ensure_ascii=False))
    return canonical_json(value)


# -- lists ---------------------------------------------------------------------------------------


@function(
    "flatten(list) -> list",
    "flatten(list, int) -> list",
    "list.flatten() -> list",
    "list.flatten(int) -> list",
)
def _flatten(budget: Budget, items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise ExpressionError("flatten() takes a depth of 0 or more")
    found: list[Any] = []
    for item in items:
        budget.spend()
        if depth > 0 and isinstance(item, list | tuple):
            found += _flatten(budget, list(item), depth - 1)
        else:
            budget.take(8)
            found.append(item)
    return found


@function("distinct(list) -> list", "list.distinct() -> list")
def _distinct(budget: Budget, items: list[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(_identity(item, budget), item)
    budget.take(8 * len(seen))
    return list(seen.values())


def _identity(value: Any, budget: Budget) -> Any:
    """A hashable stand-in that is equal exactly where CEL's ``==`` is."""
    budget.spend()
    check_known(value)
    kind = kind_of(value)
    if kind in NUMBERS:
        return ("number", value)
    if kind == "list":
        return (kind, tuple(_identity(item, budget) for item in value))
    if isinstance(value, Mapping):
        return (kind, frozenset((key, _identity(item, budget)) for key, item in value.items()))
    if isinstance(value, OptionalValue):
        return (kind, value.present, _identity(value.value, budget))
    if isinstance(value, str | bytes):
        budget.scan(len(value))
    return (kind, value)


@function("sort(list) -> list", "list.sort() -> list")
def _sort(budget: Budget, items: list[Any]) -> list[Any]:
    budget.spend(len(items))
    budget.take(8 * len(items))
    for item in items:
        check_known(item)
        budget.scan(8 * len(item) if isinstance(item, str | bytes) else 0)
    kinds: dict[str, str] = {}
    for item in items:
        kind = kind_of(item)
        kinds.setdefault("number" if kind in NUMBERS else kind, kind)
    if len(kinds) > 1:
        first, second, *_ = kinds.values()
        raise mismatch("<", first, second)
    if not COMPARABLE.issuperset(kinds.values()):
        raise ExpressionError(
            f"sort() has no order for {next(iter(kinds))}",
            code="expression-type",
            hint="sort values that can be compared",
        )
    return sorted(items)
