"""CEL's public conformance cases, run through our evaluator, and what is not supported of them.

The cases in ``tests/data/cel-spec`` are those of google/cel-spec, made into JSON by
``scripts/convert_cel_spec.py``. For the tests, and for the page ``docs/reference/cel.md``.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from gennaker.errors import ExpressionError
from gennaker.expressions import Scope, compile_expression
from gennaker.expressions.evaluator import evaluate
from gennaker.expressions.limits import DEFAULT_LIMITS, Budget
from gennaker.expressions.moments import Duration, Timestamp
from gennaker.expressions.operators import as_key
from gennaker.expressions.values import TypeValue, Uint, kind_of, shown

__all__ = [
    "OTHER_TEXTS",
    "UNSUPPORTED",
    "Case",
    "count_by_file",
    "place_of",
    "read_cases",
    "run_case",
    "tell_reason",
]

CASES = Path(__file__).parents[1] / "data" / "cel-spec" / "cases.jsonl"
Case = dict[str, Any]
Outcome = tuple[str, str]


class Rule(NamedTuple):
    """Cases that use something the language here does not have: each must be refused."""

    reason: str
    where: str = ""
    text: str = ""

    def covers(self, case: Case) -> bool:
        """Whether place and text of ``case`` are of this rule."""
        return bool(re.match(self.where, place_of(case)) and re.search(self.text, case["expr"]))


_MESSAGES = "messages of protocol buffers, their fields, wrappers and extensions: data is JSON"
_NAMES = "names in a container, or with a dot: a scope has plain names"

UNSUPPORTED = (
    Rule(_MESSAGES, text=r"\b(?!in\b)\w+\s*\{|TestAllTypes"),
    Rule(_MESSAGES, where=r"proto2|proto3|wrappers/|dynamic/"),
    Rule("enums of protocol buffers", where=r"enums/"),
    Rule(_NAMES, where=r"namespace/|fields/qualified"),
    Rule(_NAMES, text=r"google\.protobuf\."),
    Rule("cel.bind and cel.block", where=r"bindings_ext|block_ext"),
    Rule("macros with two variables, and their transforms", where=r"macros2/"),
    Rule("optMap and optFlatMap: use .? and orValue()", text=r"\.opt(Flat)?Map\("),
    Rule("optional_type as a value", text=r"\boptional_type\b"),
    Rule("the mathematics extension", where=r"math_ext/"),
    Rule("the network extension", where=r"network_ext/"),
    Rule("strings.quote: use to_json()", text=r"strings\.quote\("),
    Rule(
        "an unknown function is refused before it runs", text=r"^f_unknown\(|^a\.\w+\(\) \|\| true"
    ),
    Rule("deducing the type of a message", where=r"type_deduction/"),
)
"""What is not supported, and why; the first rule that covers a case that is refused tells its reason."""

OTHER_TEXTS = {
    "string_ext/format/duration support for string": "1h45m47s",
    "string_ext/format/dyntype support for duration": "2h25m47s",
    "string_ext/format/map support for string": (
        "{key1: xyz, key2: 2h, key3: 2.71828, key4: true, key5: null}"
    ),
    "string_ext/format/dyntype support for maps": "{6: 7m2s, strKey: x, true: 42}",
    "timestamps/duration_conversions/toString_duration": "11d13h46m40s",
}
"""Cases with another value here, and that value: a duration's text is the one that files take."""


class UnsupportedValueError(Exception):
    """A case is given, or expects, a value of a kind that there is not."""


@cache
def read_cases() -> tuple[Case, ...]:
    """Return every case, in the order of the files."""
    return tuple(json.loads(line) for line in CASES.read_text("utf-8").splitlines())


def run_case(case: Case) -> Outcome:
    """Return ``passed``, ``refused`` or ``different``, and what was said or got."""
    try:
        _check_names(case)
        scope = Scope({name: _make(value) for name, value in case.get("bindings", {}).items()})
        expected = None if "error" in case else _make(case["value"])
    except UnsupportedValueError as error:
        return "refused", str(error)
    try:
        tree = compile_expression(case["expr"]).tree
        found = evaluate(tree, scope, Budget(DEFAULT_LIMITS))
    except ExpressionError as error:
        return ("passed" if "error" in case else "refused"), str(error)
    if "error" not in case and _are_same(found, expected):
        return "passed", ""
    return "different", found if isinstance(found, str) else shown(found)


def tell_reason(case: Case) -> str:
    """Return why ``case`` is not supported; empty when no rule covers it."""
    return next((rule.reason for rule in UNSUPPORTED if rule.covers(case)), "")


def place_of(case: Case) -> str:
    """Return file, section and name of ``case``."""
    return f"{case['file']}/{case['section']}/{case['name']}"


def _check_names(case: Case) -> None:
    dotted = [name for name in case.get("bindings", {}) if "." in name]
    if dotted:
        raise UnsupportedValueError(f"no variable is called {dotted[0]!r}")


def _make(value: list[Any]) -> Any:
    kind, *data = value
    if kind in _PLAIN:
        return _PLAIN[kind](*data)
    if kind == "list":
        return [_make(item) for item in data[0]]
    if kind == "map":
        return {as_key(_make(key)): _make(item) for key, item in data[0]}
    if kind == "object" and data[0] in _MOMENTS:
        seconds, nanoseconds = (int(data[1].get(name, ["0"])[0]) for name in ("seconds", "nanos"))
        return _MOMENTS[data[0]](seconds * 1_000_000_000 + nanoseconds)
    raise UnsupportedValueError(f"there is no value {value!r}")


_PLAIN: dict[str, Any] = {
    "null": lambda: None,
    "bool": bool,
    "int": int,
    "uint": Uint,
    "double": float,
    "string": str,
    "bytes": bytes.fromhex,
    "type": lambda name: TypeValue(_TYPES.get(name, name)),
}
_MOMENTS = {"google.protobuf.Timestamp": Timestamp, "google.protobuf.Duration": Duration}
_TYPES = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}


def _are_same(left: Any, right: Any) -> bool:
    """Whether two values are the same in kind and in value; NaN is NaN, 0.0 is not -0.0."""
    kind = kind_of(left)
    if kind != kind_of(right):
        return False
    if kind == "double":
        return repr(left) == repr(right) and math.isnan(left) == math.isnan(right)
    if kind == "list":
        return len(left) == len(right) and all(map(_are_same, left, right))
    if kind == "map":
        return left.keys() == right.keys() and all(_are_same(left[key], right[key]) for key in left)
    return bool(left == right)


class Count(NamedTuple):
    """How the cases of one file came out."""

    passed: int
    other: int
    unsupported: dict[str, int]


def count_by_file() -> dict[str, Count]:
    """Return the counts of each file, those not supported by their reason.

    A case that expects an error, of something that is not supported, is not counted as passed.
    """
    found: dict[str, Count] = {}
    for case in read_cases():
        passed, other, unsupported = found.get(case["file"], (0, 0, {}))
        reason = tell_reason(case)
        if place_of(case) in OTHER_TEXTS:
            other += 1
        elif reason and ("error" in case or run_case(case)[0] != "passed"):
            unsupported[reason] = unsupported.get(reason, 0) + 1
        else:
            passed += 1
        found[case["file"]] = Count(passed, other, unsupported)
    return found
