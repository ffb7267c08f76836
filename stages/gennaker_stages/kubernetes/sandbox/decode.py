"""Reading an object as the API server reads it: unknown fields, wrong types, zero values, quantities.

:func:`decode` gives the object in its stored form, and what was wrong. Empty values of optional fields
are left out and fields that are always answered are filled, so that what is stored equals what a real
server would answer. Called by :mod:`.operations` on every write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from .shapes import Type

__all__ = ["Findings", "clone", "decode", "empty", "format_quantity", "parse_quantity"]


@dataclass(slots=True)
class Findings:
    """What decoding found: paths of fields nobody knows, and values of a wrong type."""

    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def clone(value: Any) -> Any:
    """Return a deep copy of plain JSON data."""
    if isinstance(value, dict):
        return {key: clone(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [clone(inner) for inner in value]
    return value


def decode(value: Any, kind: Type, findings: Findings, path: str = "", owner: str = "") -> Any:
    """Return ``value`` in stored form; shares nothing mutable with it.

    Args:
        value: plain JSON data.
        kind: its type.
        findings: gets what was wrong.
        path: where ``value`` stands (``spec.replicas``).
        owner: the name of the type whose field it is, for messages.
    """
    if value is None:
        return None
    if kind.kind in ("struct", "map", "list"):
        good = isinstance(value, list) if kind.kind == "list" else isinstance(value, dict)
        if not good:
            findings.wrong.append(_complain(value, kind.kind, path, owner))
            return value
        if kind.kind == "list":
            assert kind.element is not None
            return [
                decode(item, kind.element, findings, f"{path}[{index}]", owner)
                if item is not None
                else empty(kind.element)
                for index, item in enumerate(value)
            ]
        if kind.kind == "map":
            assert kind.element is not None
            return {
                key: decode(inner, kind.element, findings, path, owner)
                for key, inner in value.items()
            }
        decode_fields = _decode_custom if kind.schema is not None else _decode_struct
        return decode_fields(value, kind, findings, path)
    if kind.kind in ("*", "?") or kind.schema is not None:
        return clone(value)
    return _decode_leaf(value, kind, findings, path, owner)


def _decode_struct(value: dict[str, Any], kind: Type, findings: Findings, path: str) -> Any:
    found: dict[str, Any] = {}
    fields = kind.fields
    name = kind.name.rpartition(".")[2]
    prefix = f"{path}." if path else ""
    for key, inner in value.items():
        spec = fields.get(key)
        if spec is None:
            findings.unknown.append(prefix + key)
            continue
        decoded = decode(inner, spec.type, findings, prefix + key, name)
        if decoded is None and spec.empty != "=":
            continue
        if spec.empty == "?" and not decoded:
            continue
        found[key] = decoded
    for key, spec in fields.items():
        if spec.empty == "=" and found.get(key) is None:
            found[key] = empty(spec.type)
    return found


def _decode_custom(value: dict[str, Any], kind: Type, findings: Findings, path: str) -> Any:
    found: dict[str, Any] = {}
    prefix = f"{path}." if path else ""
    for key, inner in value.items():
        spec = kind.fields.get(key)
        if spec is not None:
            nullable = spec.type.schema is not None and "default" in spec.type.schema
            if inner is None and (nullable or not path):
                continue
            found[key] = decode(inner, spec.type, findings, prefix + key)
        elif kind.element is not None:
            found[key] = clone(inner)
        else:
            findings.unknown.append(prefix + key)
    for key, spec in kind.fields.items():
        schema = spec.type.schema
        if schema is None:
            continue
        if key not in found and "default" in schema:
            found[key] = decode(schema["default"], spec.type, Findings(), prefix + key)
    return found


def empty(kind: Type) -> Any:
    """Return the zero value of a type, as a server answers it."""
    if kind.kind == "struct":
        if kind.schema is not None:
            return {}
        return {key: empty(spec.type) for key, spec in kind.fields.items() if spec.empty == "="}
    return {"s": "", "i": 0, "n": 0, "b": False, "x": 0, "q": "0"}.get(kind.kind)


_GO_NAMES = {"s": "string", "i": "int32", "n": "float64", "b": "bool"}
_BYTES = {("Secret", "data"), ("ConfigMap", "binaryData")}
_PYTHON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object"}


def _decode_leaf(value: Any, kind: Type, findings: Findings, path: str, owner: str) -> Any:
    code = kind.kind
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if code == "q" and (isinstance(value, str) or number):
        try:
            return format_quantity(str(value))
        except ValueError as error:
            findings.wrong.append(str(error))
            return value
    good = {
        "s": isinstance(value, str),
        "t": isinstance(value, str),
        "b": isinstance(value, bool),
        "i": number and (isinstance(value, int) or value.is_integer()),
        "n": number,
        "x": number or isinstance(value, str),
    }.get(code, False)
    if not good:
        findings.wrong.append(_complain(value, code, path, owner))
    return int(value) if good and code == "i" else value


def _complain(value: Any, code: str, path: str, owner: str) -> str:
    got = _PYTHON_NAMES.get(type(value), "array")
    names = {"struct": "object", "map": "map[string]string", "list": "slice", **_GO_NAMES}
    field_name = re.sub(r"\[\d+\]", "", path)
    wanted = names.get(code, "string")
    if (owner, field_name) in _BYTES:
        wanted = "[]uint8"
    return (
        f"json: cannot unmarshal {got} into Go struct field {owner}.{field_name} of type {wanted}"
    )


_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[KMGTPE]i|[numkMGTPE]|)")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_POWERS = {suffix: power for power, suffix in _DECIMAL.items()}


def parse_quantity(text: str) -> Decimal:
    """Return the value of a quantity.

    Raises:
        ValueError: when it is none, in Kubernetes' words.
    """
    match = _QUANTITY.fullmatch(text)
    try:
        if match is None:
            raise InvalidOperation
        number = Decimal(match[1])
    except InvalidOperation:
        raise ValueError(
            "quantities must match the regular expression"
            " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from None
    suffix = match[2]
    if suffix in _BINARY[1:]:
        return number * Decimal(1024) ** _BINARY.index(suffix)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return number * Decimal(10) ** int(suffix[1:])
    return number * Decimal(10) ** _POWERS[suffix]


def format_quantity(text: str) -> str:
    """Return a quantity in its one canonical spelling (``0.5`` is ``500m``, ``1024Mi`` is ``1Gi``).

    Raises:
        ValueError: when it is no quantity.
    """
    value = parse_quantity(text)
    if value == 0:
        return "0"
    suffix = _QUANTITY.fullmatch(text)[2]  # type: ignore[index]
    if suffix in _BINARY[1:] and abs(value) >= 1024:
        step = 0
        while step < 6 and value % 1024 == 0:
            value, step = value / 1024, step + 1
        if value == value.to_integral_value():
            return f"{int(value)}{_BINARY[step]}"
        value *= Decimal(1024) ** step
    for power in sorted(_DECIMAL, reverse=True):
        scaled = value / Decimal(10) ** power
        if scaled == scaled.to_integral_value():
            exponential = suffix[:1] in ("e", "E") and len(suffix) > 1
            return f"{int(scaled)}" + (
                (f"e{power}" if power else "") if exponential else _DECIMAL[power]
            )
    return f"{int((value * 10**9).to_integral_value('ROUND_UP'))}n"
