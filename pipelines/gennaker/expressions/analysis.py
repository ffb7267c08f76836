"""What can be known of an expression without values: what it mentions, and that it may be run.

Called once for each compiled expression. It walks the tree without recursion, so that it also is
the place where the depth is measured.
"""

from __future__ import annotations

from dataclasses import replace

from gennaker.errors import ExpressionError
from gennaker.expressions.functions import FUNCTIONS, LAZY, STATUS, TYPE_NAMES
from gennaker.expressions.lexer import syntax_error
from gennaker.expressions.limits import LimitError, Limits
from gennaker.expressions.nodes import (
    Call,
    Chain,
    Ident,
    Index,
    Literal,
    Macro,
    Node,
    SecretName,
    Select,
    children,
)
from gennaker.expressions.suggest import suggest
from gennaker.records import dataclass

__all__ = ["Facts", "Reference", "analyze"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One mention of a variable of the scope.

    Attributes:
        root: ``params``, ``stages``, ``secrets`` …
        path: the names after it, as far as they are constant.
        offset: where it begins in the source, 0-based.
        end: where its constant part ends.
        computed: a computed index goes into it (after ``path``).
        guarded: the expression handles that it is absent (``has``, ``.?``, ``default``).
    """

    root: str
    path: tuple[str, ...]
    offset: int
    end: int
    computed: bool = False
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What :func:`analyze` found."""

    references: tuple[Reference, ...]
    calls_status: bool
    calls_success: bool
    hash_globs: tuple[str, ...]


def analyze(root: Node, limits: Limits) -> Facts:
    """Return the facts of a tree.

    Raises:
        ExpressionError: unknown function, misuse of ``secrets`` or ``hash_files``.
        LimitError: the tree is deeper than the limit.
    """
    walk = _Walk(limits)
    walk.check_secrets(root)
    walk.visit(root)
    references = sorted(walk.references, key=lambda each: each.offset)
    tested = walk.tested
    return Facts(
        tuple(
            replace(each, guarded=True)
            if any((each.root, *each.path)[: len(path)] == path for path in tested)
            else each
            for each in references
        ),
        walk.calls_status,
        walk.calls_success,
        tuple(dict.fromkeys(walk.hash_globs)),
    )


class _Walk:
    def __init__(self, limits: Limits) -> None:
        self.references: list[Reference] = []
        self.tested: set[tuple[str, ...]] = set()
        self.calls_status = self.calls_success = False
        self.hash_globs: list[str] = []
        self._limits = limits

    def visit(self, root: Node) -> None:
        """Walk the tree; each entry is a node, its depth, the local variables, and guarding."""
        stack: list[tuple[Node, int, frozenset[str], bool]] = [(root, 1, frozenset(), False)]
        while stack:
            node, depth, variables, guarded = stack.pop()
            self._check_depth(depth, node)
            match node:
                case Literal():
                    continue
                case Ident() | SecretName() | Select() | Index():
                    below = self._mention(node, depth, variables, guarded)
                    stack += [(each, depth + up, variables, guarded) for each, up in below]
                    continue
                case Call():
                    self._call(node)
                    if node.name == "default" and node.args:
                        stack.append((node.args[0], depth + 1, variables, True))
                        stack += [(each, depth + 1, variables, guarded) for each in node.args[1:]]
                        continue
                case Macro():
                    stack.append((node.target, depth + 1, variables, guarded))
                    inner = variables | {node.variable}
                    bodies = (node.guard, node.body)
                    stack += [
                        (each, depth + 1, inner, guarded) for each in bodies if each is not None
                    ]
                    continue
            stack += [(each, depth + 1, variables, guarded) for each in children(node)]

    def _check_depth(self, depth: int, node: Node) -> None:
        if depth > self._limits.depth:
            error = LimitError(
                f"the expression is nested more than {self._limits.depth} levels deep",
                hint="split it up",
            )
            error.offset = node.offset
            raise error

    def _mention(
        self, node: Node, depth: int, variables: frozenset[str], guarded: bool
    ) -> list[tuple[Node, int]]:
        """Record the reference that a chain of selections is; return what else is to be walked."""
        links: list[Select | Index] = []
        below: list[tuple[Node, int]] = []
        current = node
        while isinstance(current, Select | Index):
            links.append(current)
            current = current.operand
            if isinstance(links[-1], Index):
                below.append((links[-1].index, len(links)))
        self._check_depth(depth + len(links), current)
        if isinstance(current, SecretName):
            self.references.append(
                Reference("secrets", (current.name,), current.offset, current.end)
            )
            return below
        if not isinstance(current, Ident):
            return [*below, (current, len(links))]
        if current.name in variables:
            return below
        path: list[str] = []
        end = current.end
        computed = optional = test = False
        for link in reversed(links):
            name = link.field if isinstance(link, Select) else _constant(link.index)
            optional = optional or link.optional
            if name is None:
                computed = isinstance(link, Index) and not isinstance(link.index, Literal)
                break
            path.append(name)
            end = link.end
            test = link.test
        if not links and current.name in TYPE_NAMES:
            return below
        self.references.append(
            Reference(
                current.name,
                tuple(path),
                current.offset,
                end,
                computed,
                guarded or optional or test,
            )
        )
        if test:
            self.tested.add((current.name, *path))
        return below

    def _call(self, node: Call) -> None:
        name, count = node.name, len(node.args)
        if name in STATUS and not node.member:
            self.calls_status = True
            self.calls_success = self.calls_success or name == "success"
            if count:
                raise syntax_error(f"{name}() takes no argument", node.offset)
        elif name == "hash_files" and not node.member:
            glob = node.args[0] if count == 1 else None
            if not isinstance(glob, Literal) or not isinstance(glob.value, str):
                raise syntax_error(
                    "hash_files() takes one literal glob",
                    node.offset,
                    "write it like hash_files('src/**'); it is computed when the run is created",
                )
            self.hash_globs.append(glob.value)
        elif LAZY.get((name, node.member)) == count:
            pass
        elif (name, node.member, count) not in FUNCTIONS:
            raise _no_such_function(node)

    def check_secrets(self, root: Node) -> None:
        """Secrets by syntax: alone, or an operand of ``+`` at the top."""
        joined: list[Node] = [root]
        stack: list[Node] = []
        while joined:
            node = joined.pop()
            if isinstance(node, Chain) and all(operator == "+" for operator, _, _ in node.rest):
                joined += children(node)
            elif not isinstance(node, SecretName):
                stack.append(node)
        while stack:
            node = stack.pop()
            if isinstance(node, SecretName) or (isinstance(node, Ident) and node.name == "secrets"):
                raise _secret_misused(node.offset)
            stack += children(node)


def _constant(node: Node) -> str | None:
    return node.value if isinstance(node, Literal) and isinstance(node.value, str) else None


def _secret_misused(offset: int) -> ExpressionError:
    error = ExpressionError(
        "a secret may only stand alone or be joined with '+'",
        code="secret-in-expression",
        hint="write it like 'postgres://app:' + secrets.db_password + '@db'",
    )
    error.offset = offset
    return error


def _no_such_function(node: Call) -> ExpressionError:
    name = node.name
    known = sorted({each for each, _, _ in FUNCTIONS} | STATUS | {each for each, _ in LAZY})
    if name not in known and name != "hash_files":
        macros = ("has", "all", "exists", "exists_one", "map", "filter", "hash_files")
        hint = suggest(
            name,
            [*known, *macros],
            otherwise="the functions are listed in the specification of expressions",
        )
        error = ExpressionError(f"unknown function {name!r}", code="unknown-function", hint=hint)
    else:
        forms = sorted(
            {form.text for key in FUNCTIONS for form in FUNCTIONS[key] if key[0] == name}
        )
        error = ExpressionError(
            f"{name}() is not called like this",
            code="expression-syntax",
            hint=f"its forms: {', '.join(forms)}" if forms else None,
        )
    error.offset = node.offset
    return error
