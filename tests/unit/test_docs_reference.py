"""The reference pages say what the code does, and every code word is documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gennaker.codes import CODES

ROOT = Path(__file__).parents[2]
SOURCES = (
    ROOT / "pipelines" / "gennaker",
    ROOT / "engine" / "gennaker_engine",
    ROOT / "stages" / "gennaker_stages",
)
# What collects problems takes the code word first.
TELLERS = {"Problem", "tell", "_tell", "warn", "add"}


def test_reference_pages_are_current() -> None:
    """What `make docs` would write is what is there."""
    done = subprocess.run(
        [sys.executable, "scripts/generate_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def find_codes(tree: ast.AST) -> Iterator[str]:
    """The code words that a module gives to its errors and problems, as far as they are literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                target = (
                    each.targets[0]
                    if isinstance(each, ast.Assign)
                    else each.target
                    if isinstance(each, ast.AnnAssign)
                    else None
                )
                value = getattr(each, "value", None)
                errs = any("Error" in ast.unparse(base) for base in node.bases)
                named = isinstance(target, ast.Name) and target.id == "code"
                if errs and named and isinstance(value, ast.Constant):
                    yield str(value.value)
        elif isinstance(node, ast.Call):
            for word in node.keywords:
                value = getattr(word.value, "value", None)
                if word.arg == "code" and isinstance(value, str):
                    yield value
            name = ast.unparse(node.func).rpartition(".")[2]
            first = node.args[0] if node.args else None
            if name in TELLERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def test_every_code_word_is_documented() -> None:
    """No error can be told that the errors page does not explain."""
    known = {code for section in CODES.values() for code in section}
    missing = {
        f"{path.relative_to(ROOT)}: {code}"
        for folder in SOURCES
        for path in folder.rglob("*.py")
        for code in find_codes(ast.parse(path.read_text("utf-8")))
        if code not in known
    }
    assert sorted(missing) == []
