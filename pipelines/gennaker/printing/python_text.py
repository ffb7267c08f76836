"""A definition as the Python a person would write: one statement a stage, references as attributes."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from gennaker.dsl import StageHandle
from gennaker.printing.code import Code, Group, Text, Words, literal, plain, print_code, quote
from gennaker.references import Reference

if TYPE_CHECKING:
    from gennaker.model import PipelineDefinition

__all__ = ["print_python"]

ROOTS = ("environment", "git", "matrix", "run", "secrets", "trigger")
_TEMPLATE = re.compile(r"\$\{\{ ([A-Za-z_][^{}$\n]*?) \}\}")
_PATH = re.compile(r"([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\['[^'\\]*'\]|\[\d+\])*)", re.ASCII)
_SEGMENT = re.compile(r"\.([A-Za-z_]\w*)|\['([^'\\]*)'\]|\[(\d+)\]", re.ASCII)
_RENAMED = {"if": "if_"}
_OPTIONS = ("name", "needs", "if", "matrix", "environment", "timeout", "retry", "on_failure")
_HANDLE = frozenset(name for name in dir(StageHandle) if not name.startswith("__"))
_REFERENCE = frozenset(dir(Reference))


class _Names:
    """Gives every stage and parameter that is referred to a variable of its own."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def allocate(self, wanted: str, suffix: str) -> str:
        name = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        while name in self._taken or keyword.iskeyword(name):
            name = f"{name}_{suffix}"
        self._taken.add(name)
        return name


class _Printer:
    def __init__(self, definition: PipelineDefinition, builtin: set[str]) -> None:
        self.data = definition.to_data()
        self.order = _sort_stages(definition)
        self.builtin = builtin
        self.imports: set[str] = set()
        self.roots: set[str] = set()
        self.types: dict[str, str] = {}
        uses = sorted({stage.uses for _, stage, _ in definition.all_stages()})
        taken = {"Pipeline", "pipeline", "stage_type", *ROOTS, *dir(builtins)}
        taken |= {each.partition(".")[0] for each in uses if each in builtin}
        self.names = _Names(taken)
        for each in uses:
            if each not in builtin:
                self.types[each] = self.names.allocate(each.rpartition(".")[2], "stage")
        self.parameters = {
            each: self.names.allocate(each, "parameter") for each in self.data.get("parameters", {})
        }
        self.variables = {
            each: self.names.allocate(each, "stage") for each, _, _ in definition.all_stages()
        }
        self.defined: set[str] = set()
        self.used: set[str] = set()

    def print(self) -> str:
        body: list[tuple[str, int, str, Group]] = []
        for name, declaration in self.data.get("parameters", {}).items():
            items = (("", Text(quote(name))), *self._keywords(declaration))
            body.append((self.parameters[name], 4, "pipeline.parameter(", Group("", items, ")")))
        final = False
        lines_before: dict[int, str] = {}
        for identifier, in_finally in self.order:
            if in_finally and not final:
                lines_before[len(body)] = "    with pipeline.finally_():"
                final = True
            stage = self.data["finally" if in_finally else "stages"][identifier]
            opening = f"{self._callable(stage['uses'])}("
            group = Group("", (("", Text(quote(identifier))), *self._stage(stage)), ")")
            body.append((self.variables[identifier], 8 if in_finally else 4, opening, group))
            self.defined.add(identifier)
        lines = []
        for index, (variable, indent, opening, group) in enumerate(body):
            if index in lines_before:
                lines.append(lines_before[index])
            target = f"{variable} = " if variable in self.used else ""
            statement = Group(target + opening, group.items, group.close)
            lines.append(print_code(statement, indent=indent))
        return self._head() + "\n".join(lines) + "\n"

    def _head(self) -> str:
        names = sorted({"Pipeline", *self.roots, *(["stage_type"] if self.types else [])})
        # isort's order, which ruff follows: classes before functions
        names.sort(key=lambda name: (not name[0].isupper(), name))
        lines = [_import("gennaker", names)]
        if self.imports:
            lines.append(_import("gennaker_stages", sorted(self.imports)))
        lines.append("")
        for uses, variable in self.types.items():
            lines.append(f"{variable} = stage_type({quote(uses)})")
        if self.types:
            lines.append("")
        keys = {k: v for k, v in self.data.items() if k not in ("parameters", "stages", "finally")}
        name = keys.pop("name")
        items = (("", Text(quote(name))), *self._keywords(keys, references=False))
        lines.append(
            print_code(Group("with Pipeline(", items, ")"), indent=0, after=" as pipeline:")
        )
        return "\n".join(lines) + "\n"

    def _callable(self, uses: str) -> str:
        if uses not in self.builtin:
            return self.types[uses]
        self.imports.add(uses.partition(".")[0])
        return uses

    def _stage(self, stage: dict[str, Any]) -> Iterator[tuple[str, Code]]:
        yield from self._keywords(stage.get("with", {}))
        for key in _OPTIONS:
            if key not in stage:
                continue
            value = stage[key]
            prefix = f"{_RENAMED.get(key, key)}="
            if key == "needs":
                yield prefix, self._needs(value)
            elif key == "if" and isinstance(value, str):
                yield prefix, self._reference(value) or Words(value)
            elif key == "retry" and set(value) == {"limit"}:
                yield prefix, Text(plain(value["limit"]))
            else:
                yield prefix, self._value(value)

    def _needs(self, names: list[str]) -> Code:
        codes = tuple(("", self._need(each)) for each in names)
        return codes[0][1] if len(codes) == 1 else Group("[", codes, "]")

    def _need(self, name: str) -> Code:
        if name not in self.defined:
            return Text(quote(name))
        self.used.add(self.variables[name])
        return Text(self.variables[name])

    def _keywords(
        self, values: dict[str, Any], *, references: bool = True
    ) -> Iterator[tuple[str, Code]]:
        odd: dict[str, Any] = {}
        for name, value in values.items():
            if keyword.iskeyword(name):
                prefix = f"{name}_="
            elif name.isidentifier() and name.isascii() and not _strips(name):
                prefix = f"{name}="
            else:
                odd[name] = value
                continue
            yield prefix, self._value(value) if references else literal(value)
        if odd:
            yield "**", self._value(odd) if references else literal(odd)

    def _value(self, value: Any) -> Code:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            items = ((f"{quote(name)}: ", self._value(each)) for name, each in value.items())
            return Group("{", tuple(items), "}")
        if isinstance(value, list | tuple):
            return Group("[", tuple(("", self._value(each)) for each in value), "]")
        return Text(plain(value))

    def _text(self, text: str) -> Code:
        whole = _TEMPLATE.fullmatch(text)
        if whole:
            return self._reference(whole[1]) or Words(text)
        if not _TEMPLATE.search(text) or re.search(r"[\"'\\\n]|[^ -~]", text):
            return Words(text)
        parts = []
        last = 0
        for match in _TEMPLATE.finditer(text):
            found = self._reference(match[1])
            if found is None or '"' in found.text:
                return Words(text)
            parts += [_braces(text[last : match.start()]), "{", found.text, "}"]
            last = match.end()
        return Text(f'f"{"".join(parts)}{_braces(text[last:])}"')

    def _reference(self, expression: str) -> Text | None:
        """The attributes that give exactly this expression, None when there are none."""
        match = _PATH.fullmatch(expression)
        if match is None:
            return None
        root = match[1]
        segments = [
            int(number) if number else name or key
            for name, key, number in _SEGMENT.findall(match[2])
        ]
        again = Reference(root)
        for each in segments:
            again = again[each]
        if again.expression != expression:
            return None
        return self._attributes(root, segments)

    def _attributes(self, root: str, segments: list[Any]) -> Text | None:
        if root == "params" and segments and segments[0] in self.parameters:
            variable, rest = self.parameters[segments[0]], segments[1:]
        elif root == "stages" and len(segments) >= 2 and segments[0] in self.defined:
            variable, rest = self.variables[segments[0]], segments[1:]
            if rest[0] == "outputs" and len(rest) > 1 and _is_attribute(rest[1], _HANDLE):
                rest = rest[1:]
            elif rest[0] not in ("outputs", "outcome"):
                return None
        elif root in ROOTS and segments:
            self.roots.add(root)
            return Text(root + _accessors(segments))
        else:
            return None
        self.used.add(variable)
        return Text(variable + _accessors(rest))


def print_python(definition: PipelineDefinition, builtin: set[str]) -> str:
    """Return the definition as a Python file.

    Args:
        builtin: names of the stage types that ``gennaker_stages`` has as callables.
    """
    return _Printer(definition, builtin).print()


def _sort_stages(definition: PipelineDefinition) -> list[tuple[str, bool]]:
    """Stages in an order in which each comes after what it needs, as written where that is free."""
    from gennaker.dependencies import find_dependencies

    written = [(identifier, final) for identifier, _, final in definition.all_stages()]
    needs = find_dependencies(definition)
    try:
        sorter = TopologicalSorter({name: needs.get(name, ()) for name, _ in written})
        sorter.prepare()
    except CycleError:
        return written
    position = {name: index for index, (name, _) in enumerate(written)}
    final = dict(written)
    order: list[tuple[str, bool]] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda name: position.get(name, 0))
        name = ready.pop(0)
        if name in final:
            order.append((name, final[name]))
        sorter.done(name)
    return sorted(order, key=lambda each: each[1])


def _accessors(segments: list[Any]) -> str:
    parts = []
    for each in segments:
        if isinstance(each, str) and _is_attribute(each, _REFERENCE):
            parts.append(f".{each}")
        else:
            parts.append(f"[{each if isinstance(each, int) else quote(each)}]")
    return "".join(parts)


def _is_attribute(name: Any, taken: frozenset[str]) -> bool:
    return (
        isinstance(name, str)
        and name.isidentifier()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and name not in taken
    )


def _strips(name: str) -> bool:
    """Whether the call would take the name's last underscore away, or the name is an option's."""
    return (name.endswith("_") and keyword.iskeyword(name[:-1])) or name in ("if_", *_OPTIONS)


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _import(module: str, names: list[str]) -> str:
    items = tuple(("", Text(name)) for name in names)
    flat = f"from {module} import {', '.join(names)}"
    if len(flat) <= 88:
        return flat
    return print_code(Group("(", items, ")"), indent=0, before=f"from {module} import ")
