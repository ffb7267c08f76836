"""References: what Python writes instead of ``${{ … }}`` text.

``image.digest`` is a :class:`Reference`; in a string it becomes ``${{ stages.image.outputs.digest
}}``, as a whole value it keeps its type. The roots (``environment``, ``secrets`` …) are exported
by :mod:`gennaker`.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Reference", "to_bare_expression", "to_plain_data"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# CEL's reserved words cannot follow a dot, see the language definition, section "Syntax".
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)


class Reference:
    """A place in the scope of expressions; attributes and items go further in."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int) -> Reference:
        if isinstance(key, str) and _NAME.fullmatch(key) and key not in _RESERVED:
            return Reference(f"{self._path}.{key}")
        return Reference(f"{self._path}[{_quote(key)}]")

    @property
    def expression(self) -> str:
        """The bare expression, as ``if`` takes it."""
        return self._path

    def __str__(self) -> str:
        return f"${{{{ {self._path} }}}}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"Reference({self._path!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Reference) and self._path == other._path:
            return True
        # False would be taken for the answer, and if_=(version == "1") for 'never'.
        than = other._path if isinstance(other, Reference) else _quote_value(other)
        raise TypeError(
            f"{self._path!r} has no value while the pipeline is written; compare in an expression: "
            f'if_="{self._path} == {than}"'
        )

    def __hash__(self) -> int:
        return hash(self._path)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self._path!r} has no value while the pipeline is written; use it in if_, or in a matrix"
        )

    def __iter__(self) -> Any:
        raise TypeError(f"{self._path!r} has no value while the pipeline is written; use a matrix")


def _quote(key: str | int) -> str:
    if isinstance(key, int):
        return str(key)
    escaped = key.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _quote_value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _quote(value) if isinstance(value, str | int) else "…"


def to_plain_data(value: Any) -> Any:
    """Return JSON data with every reference as its ``${{ … }}`` text."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, dict):
        return {str(to_plain_data(name)): to_plain_data(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_data(each) for each in value]
    return value


def to_bare_expression(value: Any) -> Any:
    """Return an ``if`` as written in YAML: a reference bare, anything else as it is."""
    return value.expression if isinstance(value, Reference) else value
