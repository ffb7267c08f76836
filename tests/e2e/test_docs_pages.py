"""Every command of every page is run, and its output is what the page shows."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from gennaker.process import run
from tests.e2e.docs_snippets import Command, File, Folder, match_output, read_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    each.relative_to(ROOT).as_posix()
    for each in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if any(isinstance(step, Command) for step in read_page(each.read_text()))
)
PATIENCE = 60


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_shows(page: str, tmp_path: Path) -> None:
    """The page's files and commands, typed in order in one folder, print what it shows."""
    place = tmp_path / "shop"
    place.mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
    }
    for step in read_page((ROOT / page).read_text()):
        if isinstance(step, Folder):
            place = tmp_path / step.path
            shutil.copytree(ROOT / step.path, place, ignore=shutil.ignore_patterns(".gennaker"))
        elif isinstance(step, File):
            (place / step.path).parent.mkdir(parents=True, exist_ok=True)
            (place / step.path).write_text(step.content)
        else:
            # a shell, since pages show pipes and redirections as people type them
            done = run(
                ["bash", "-c", f"{{ {step.text}\n}} 2>&1"],
                cwd=place,
                env=environment,
                timeout=PATIENCE,
            )
            printed = done.stdout.decode()
            where = f"{page}:{step.line}: $ {step.text}\n{printed}"
            assert done.code == step.code, where
            assert match_output(step.shown, printed), where
