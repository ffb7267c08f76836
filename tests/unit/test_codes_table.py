"""The table of code words: every word that a problem can have is in it, explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gennaker
from gennaker.codes import CODES

ROOT = Path(gennaker.__file__).parents[2]
ROOTS = (
    ROOT / "pipelines" / "gennaker",
    ROOT / "engine" / "gennaker_engine",
    ROOT / "stages" / "gennaker_stages",
)
WORD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Functions that take a code word first, beside Problem itself.
TELLERS = frozenset(("Problem", "tell", "_tell"))


def find_words(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every constant code word that a module tells, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given = [each.value for each in node.keywords if each.arg == "code"]
            if name in TELLERS and node.args:
                given.append(node.args[0])
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, node.lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(getattr(each, "id", None) == "code" for each in targets) and isinstance(
                node.value, ast.Constant
            ):
                yield str(node.value.value), node.lineno


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_every_word_is_explained(root: Path) -> None:
    """Each code word in a package is in the table."""
    missing = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in sorted(root.rglob("*.py"))
        for word, line in find_words(ast.parse(path.read_text("utf-8")))
        if WORD.fullmatch(word) and word not in CODES
    ]
    assert missing == []


def test_table() -> None:
    """Words are lower-case with hyphens, in order; explanations are one line without a full stop."""
    assert list(CODES) == sorted(CODES)
    for word, explanation in CODES.items():
        assert WORD.fullmatch(word), word
        assert explanation.strip() == explanation
        assert "\n" not in explanation
        assert not explanation.endswith("."), word
