"""Convert the conformance cases of CEL's specification to the JSON that the tests read.

    scripts/convert_cel_spec.py CEL_SPEC_CHECKOUT > tests/data/cel-spec/cases.jsonl

The cases are protocol buffers in text form; this reads that form itself, so that the tests need no
protocol buffers. A line of the result is one case. Values are ``[kind, data]``: bytes as
hexadecimal digits, doubles as Python writes them, a message as its type and, where it is one of
Google's own, its fields.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<url>\[[^\]\s"']+\])|(?P<word>[-+.\w]+)|(?P<mark>[{}<>:\[\],;])"""
)
Message = dict[str, list[Any]]


def read_message(tokens: Iterator[tuple[str, str]], closing: str = "") -> Message:
    """Return the fields of one message, each a list of its values: messages, text or words."""
    fields: Message = {}
    for kind, name in tokens:
        if name == closing:
            break
        if kind == "mark":  # "," and ";" may follow a field
            continue
        values = fields.setdefault(name, [])
        kind, text = next(tokens)
        if text == ":":
            kind, text = next(tokens)
        if text == "[":
            values += _read_list(tokens)
        else:
            values.append(_read_one(kind, text, tokens))
    return fields


def _read_one(kind: str, text: str, tokens: Iterator[tuple[str, str]]) -> Any:
    if kind == "mark":
        return read_message(tokens, {"{": "}", "<": ">"}[text])
    return read_bytes(text) if kind == "string" else text


def _read_list(tokens: Iterator[tuple[str, str]]) -> Iterator[Any]:
    for kind, text in tokens:
        if text == "]":
            return
        if text != ",":
            yield _read_one(kind, text, tokens)


def read_bytes(pieces: str) -> bytes:
    """Return the bytes of a text as :func:`read_tokens` gives it."""
    found = ast.literal_eval(f"({pieces})")
    assert isinstance(found, bytes)
    return found


def _escaped(text: str) -> str:
    """A quoted text as Python's bytes are written: most escapes are the same, octal ones too."""
    plain = re.sub(r"[^\x00-\x7f]+", lambda found: _bytes(found.group()), text)
    plain = re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))",
        lambda found: _unescaped(found[0], found[1] or found[2]),
        plain,
        flags=re.DOTALL,
    )
    return f" b{plain}"


def _unescaped(text: str, code: str | None) -> str:
    if code is not None:
        return _bytes(chr(int(code, 16)))
    return "?" if text == r"\?" else text


def _bytes(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def read_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token."""
    position = 0
    joined = ""
    while position < len(text):
        found = _TOKEN.match(text, position)
        assert found is not None, text[position : position + 40]
        position = found.end()
        if found.lastgroup == "string":  # neighbouring pieces are one text
            joined += _escaped(found.group())
        elif found.lastgroup:
            if joined:
                yield "string", joined
                joined = ""
            yield found.lastgroup, found.group()
    if joined:
        yield "string", joined


def read_value(message: Message) -> list[Any]:
    """Return ``[kind, data]`` of a ``cel.expr.Value``."""
    ((field, (data, *more)),) = message.items()
    assert not more
    kind = field.removesuffix("_value").removesuffix("64")
    if kind == "list":
        return [kind, [read_value(each) for each in data.get("values", [])]]
    if kind == "map":
        pairs = data.get("entries", [])
        return [kind, [[read_value(each[side][0]) for side in ("key", "value")] for each in pairs]]
    if kind == "object":
        ((url, (inside,)),) = data.items()
        name = url.strip("[]").rpartition("/")[2]
        # The messages that only the cases have are not looked into: nothing here has them.
        return [kind, name, _plain(inside)] if name.startswith("google.") else [kind, name]
    if kind in ("string", "type"):
        return [kind, data.decode()]
    if kind == "bytes":
        return [kind, data.hex()]
    if kind == "bool":
        return [kind, data == "true"]
    if kind in ("int", "uint"):
        return [kind, int(data, 0)]
    if kind == "double":
        return [kind, repr(float(data))]
    return [kind] if kind == "null" else [kind, _plain(data)]


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: [_plain(each) for each in values] for name, values in data.items()}
    return data.decode("latin-1") if isinstance(data, bytes) else data


def _first(test: Message, name: str) -> Any:
    found = test.get(name, [b""])[0]
    return found.decode() if isinstance(found, bytes) else found


def convert_test(test: Message) -> dict[str, Any]:
    """Return one case with what it is given and what it expects."""
    case: dict[str, Any] = {"name": _first(test, "name"), "expr": _first(test, "expr")}
    bound = {_first(each, "key"): each["value"][0] for each in test.get("bindings", [])}
    if bound:
        case["bindings"] = {
            name: read_value(each["value"][0]) if "value" in each else ["unknown"]
            for name, each in bound.items()
        }
    for flag in ("disable_macros", "disable_check", "check_only"):
        if flag in test:
            case[flag] = True
    if "container" in test:
        case["container"] = _first(test, "container")
    if "eval_error" in test or "any_eval_errors" in test:
        case["error"] = True
    elif "unknown" in test or "any_unknowns" in test:
        case["value"] = ["unknown"]
    elif "typed_result" in test:
        result = test["typed_result"][0].get("result")
        case["value"] = read_value(result[0]) if result else ["unchecked"]
    else:
        case["value"] = read_value(test["value"][0]) if "value" in test else ["bool", True]
    return case


def main() -> None:
    """Write the cases of each file of the checkout to standard output."""
    files = sorted(Path(sys.argv[1], "tests/simple/testdata").glob("*.textproto"))
    for path in files:
        for section in read_message(read_tokens(path.read_text())).get("section", []):
            for test in section["test"]:
                where = {"file": path.stem, "section": _first(section, "name")}
                print(
                    json.dumps(
                        where | convert_test(test), ensure_ascii=False, separators=(",", ":")
                    )
                )


if __name__ == "__main__":
    main()
