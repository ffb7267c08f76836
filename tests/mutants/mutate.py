"""What can be changed in the core's modules, one thing at a time, and how a change is put in place.

A mutant of code is another code object for a function that exists: nothing is imported anew, so
whoever holds the function sees the change. A mutant of a table changes the table itself.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

__all__ = ["PACKAGE", "Mutant", "find_mutants", "load_modules"]

PACKAGE = "gennaker_engine.core"

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. ``name`` says what and where, without line numbers, so that lists of them last.

    Attributes:
        kind: ``table``, ``comparison``, ``boolean``, ``condition``, ``constant`` or ``arithmetic``.
        file: the module's file.
        lines: first and last line of what is changed; the first line of a table is its name's.
        apply: put it in place, in this process, for good.
    """

    name: str
    kind: str
    file: str
    lines: tuple[int, int]
    apply: Callable[[], None] = field(compare=False, repr=False)


def load_modules() -> list[ModuleType]:
    """Import every module of the core."""
    package = importlib.import_module(PACKAGE)
    folder = Path(str(package.__file__)).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    return [importlib.import_module(f"{PACKAGE}.{name}") for name in names]


def find_mutants() -> list[Mutant]:
    """Return every mutant: entries of tables first, then code from top to bottom."""
    modules = load_modules()
    merged = {name for module in modules for name in _list_merged(module)}
    tables = [each for module in modules for each in _mutate_tables(module, merged)]
    code = [each for module in modules for each in _CodeMutator(module).find()]
    tables.sort(key=lambda each: not each.name.startswith("transitions"))
    return tables + code


# Tables -----------------------------------------------------------------------------------------


def _list_merged(module: ModuleType) -> Iterator[str]:
    """Yield names of dictionaries that were copied into another one, which is what is read."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (ast.unparse(value) for key, value in pairs if key is None)


def _mutate_tables(module: ModuleType, merged: set[str]) -> Iterator[Mutant]:
    """Yield mutants of the module's own dictionaries: an entry gone, or leading elsewhere."""
    short = module.__name__.rpartition(".")[2]
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(value, ast.Dict):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if ast.unparse(target) in merged:
            continue
        table = getattr(module, ast.unparse(target))
        if short == "transitions" and all(isinstance(each, dict) for each in table.values()):
            found = _mutate_transitions(ast.unparse(target), table)
        else:
            found = _mutate_entries(ast.unparse(target), table)
        for name, apply in found:
            lines = (node.lineno, node.lineno)
            yield Mutant(f"{short}.{name}", "table", str(module.__file__), lines, apply)


Change = tuple[str, Callable[[], None]]


def _mutate_transitions(name: str, table: dict[str, dict[str, str]]) -> Iterator[Change]:
    if name == "TABLES":
        return
    states = list(table)
    for state, moves in table.items():
        for trigger, to in moves.items():
            yield f"{name}[{state}][{trigger}] is gone", _removal(moves, trigger)
            other = states[(states.index(to) + 1) % len(states)]
            yield f"{name}[{state}][{trigger}] leads to {other}", _setting(moves, trigger, other)


def _mutate_entries(name: str, table: dict[Any, Any]) -> Iterator[Change]:
    for key, value in table.items():
        said = getattr(key, "__name__", key)
        yield f"{name}[{said}] is gone", _removal(table, key)
        if isinstance(value, int):
            yield f"{name}[{said}] is {value + 1}", _setting(table, key, value + 1)


def _removal(table: dict[Any, Any], key: Any) -> Callable[[], None]:
    return lambda: table.__delitem__(key)


def _setting(table: dict[Any, Any], key: Any, value: Any) -> Callable[[], None]:
    return lambda: table.__setitem__(key, value)


# Code -------------------------------------------------------------------------------------------


class _CodeMutator:
    """Finds what can be changed inside the functions of a module, and its numbers."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.short = module.__name__.rpartition(".")[2]
        self.file = str(module.__file__)
        self.tree = ast.parse(Path(self.file).read_text("utf-8"))
        self.names: Counter[str] = Counter()

    def find(self) -> Iterator[Mutant]:
        """Yield all of them."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                yield from self._mutate_function(node, ())
            elif isinstance(node, ast.ClassDef):
                for each in node.body:
                    if isinstance(each, ast.FunctionDef):
                        yield from self._mutate_function(each, (node.name,))
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                yield from self._mutate_number(ast.unparse(node.targets[0]), node)

    def _mutate_number(self, name: str, node: ast.Assign) -> Iterator[Mutant]:
        value = node.value.value  # type: ignore[attr-defined]  # asked above
        if not isinstance(value, int | float) or isinstance(value, bool):
            return

        def apply() -> None:
            for known in list(sys.modules.values()):
                if known.__name__.startswith(PACKAGE) and getattr(known, name, None) is value_now:
                    setattr(known, name, value + 1)

        value_now = getattr(self.module, name)
        lines = (node.lineno, node.lineno)
        yield Mutant(f"{self.short}.{name} is {value + 1}", "constant", self.file, lines, apply)

    def _mutate_function(
        self, function: ast.FunctionDef, owner: tuple[str, ...]
    ) -> Iterator[Mutant]:
        where = ".".join((self.short, *owner, function.name))
        for statement in function.body:
            for node in ast.walk(statement):
                for kind, change, undo in _list_changes(node):
                    before = _tell(node)
                    change()
                    after = _tell(node)
                    undo()
                    name = f"{where}: {before} → {after}"
                    self.names[name] += 1
                    if self.names[name] > 1:
                        name += f" #{self.names[name]}"
                    apply = self._replacing((*owner, function.name), change, undo)
                    yield Mutant(name, kind, self.file, _find_lines(node), apply)

    def _compile(self, path: tuple[str, ...]) -> CodeType:
        code = compile(ast.fix_missing_locations(self.tree), self.file, "exec", dont_inherit=True)
        for name in path:
            code = next(
                each
                for each in code.co_consts
                if isinstance(each, CodeType) and each.co_name == name
            )
        return code

    def _replacing(
        self, path: tuple[str, ...], change: Callable[[], Any], undo: Callable[[], Any]
    ) -> Callable[[], None]:
        def apply() -> None:
            change()
            code = self._compile(path)
            undo()
            found: Any = self.module
            for name in path:
                found = inspect.getattr_static(found, name)
            if isinstance(found, property):
                found = found.fget
            found = inspect.unwrap(getattr(found, "__func__", found))
            assert isinstance(found, FunctionType), path
            found.__code__ = code

        return apply


Edit = tuple[str, Callable[[], Any], Callable[[], Any]]


def _list_changes(node: ast.AST) -> Iterator[Edit]:
    """Yield kind, change and its undoing for all that can be changed at a node of the tree."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield "comparison", *_swap(node.ops, number, other(), operator)
    elif isinstance(node, ast.BoolOp):
        other_one = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield "boolean", *_swap(node, "op", other_one, node.op)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield "arithmetic", *_swap(node, "op", _ARITHMETIC[type(node.op)](), node.op)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = node.value
        changed = (not value) if isinstance(value, bool) else value + 1
        yield "constant", *_swap(node, "value", changed, value)
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(
        node.test, ast.Compare | ast.Constant
    ):
        yield "condition", *_swap(node, "test", _negate(node.test), node.test)
    if isinstance(node, ast.comprehension):
        for number, test in enumerate(node.ifs):
            if not isinstance(test, ast.Compare):
                yield "condition", *_swap(node.ifs, number, _negate(test), test)


def _find_lines(node: ast.AST) -> tuple[int, int]:
    """Return first and last line; of what has no place itself, a comprehension or operator, by its parts."""
    placed = [each for each in ast.walk(node) if isinstance(each, ast.expr | ast.stmt)]
    return min(each.lineno for each in placed), max(each.end_lineno or 0 for each in placed)


def _tell(node: ast.AST) -> str:
    """Return a node as code on one line: of a statement with a condition, that alone."""
    if isinstance(node, ast.If | ast.While):
        return f"{type(node).__name__.lower()} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(node).split())


def _negate(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _swap(
    owner: Any, place: str | int, new: Any, old: Any
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    if isinstance(place, int):
        return (lambda: owner.__setitem__(place, new)), (lambda: owner.__setitem__(place, old))
    return (lambda: setattr(owner, place, new)), (lambda: setattr(owner, place, old))
