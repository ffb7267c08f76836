"""Every command of every page is run, and its output is what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.docs_snippets import ROOT, Command, Fence, match_output, read_page, run_page

PAGES = sorted(
    each.relative_to(ROOT).as_posix()
    for each in (
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    )
)
RUN_PAGES = [
    each
    for each in PAGES
    if any(isinstance(step, Command) for step in read_page((ROOT / each).read_text()))
]
# In these something is shown that is nothing to run.
PLAIN = {"", "text", "mermaid"}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)|<img [^>]*src=\"([^\"]+)\"")


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_page_does_what_it_shows(page: str, tmp_path: Path) -> None:
    """The page's files and commands, typed in order in one terminal, print what it shows."""
    for step, code, printed in run_page(ROOT / page, tmp_path):
        where = f"{page}:{step.line}: $ {step.text}\n{printed}"
        assert code == step.code, where
        assert match_output(step.shown, printed), where


@pytest.mark.parametrize("page", PAGES)
def test_no_snippet_is_left_out_without_a_reason(page: str) -> None:
    """A fence of code is written to a file, run, or says why it is not."""
    left_out = [
        f"{page}:{step.line}: {step.language}"
        for step in read_page((ROOT / page).read_text())
        if isinstance(step, Fence) and step.language not in PLAIN and not step.excuse
    ]
    assert left_out == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """What a page links to inside the project exists."""
    targets = [one or two for one, two in LINK.findall((ROOT / page).read_text())]
    inside = [each for each in targets if "://" not in each]
    assert [each for each in inside if not (ROOT / page).parent.joinpath(each).exists()] == []


@pytest.mark.parametrize(
    ("shown", "printed", "is_same"),
    [
        (["greet: succeeded in 0.0s"], "greet: succeeded in 12.3s\n", True),
        (["greet: succeeded in 0.0s"], "greet: failed in 0.0s\n", False),
        (["a", "...", "z"], "a\nb\nc\nz\n", True),
        (["a", "...", "z"], "a\nb\nc\n", False),
        (["wrote …/x"], "wrote /somewhere/x\n", True),
        (
            ["2026-01-01T00:00:00Z   1  local:ann said"],
            "2027-02-03T04:05:06Z  1  local:bo said",
            True,
        ),
        (["one  two"], "one     two", True),
        (["one two"], "onetwo", False),
        ([], "anything", True),
    ],
)
def test_output_is_compared_but_for_what_changes(
    shown: list[str], printed: str, is_same: bool
) -> None:
    """Times, durations, digests, users and widths of columns may differ, words may not."""
    assert match_output(shown, printed) is is_same


def test_commands_go_on_over_lines_and_name_their_exit_code() -> None:
    """A page's command is read with its continuation, its exit code and its output."""
    (command,) = read_page("```console\n$ one \\\n  two  # exit 3\nsaid\n\n```\n")
    assert isinstance(command, Command)
    assert (command.text, command.code, command.shown) == ("one \\\n  two", 3, ["said"])
