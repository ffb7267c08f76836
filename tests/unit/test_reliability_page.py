"""The page of promises names tests that there are, and has a row for each item of the checklist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
ITEMS = range(1, 85)
NUMBERED = {*range(1, 67), *range(81, 85)}
"""Items whose tests carry the number, so that ``pytest -k checklist`` runs them."""


def test_every_test_on_the_page_exists() -> None:
    """File, class and function are there, under that name."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(?:(\w+)::)?(\w+)`", PAGE)
    assert len(named) == PAGE.count("`tests/") > len(ITEMS)
    for file, group, test in named:
        text = (ROOT / file).read_text("utf-8")
        if group:
            found = re.search(rf"^class {group}[:(]", text, re.MULTILINE)
            assert found, (file, group)
            text = text[found.end() :]
        assert re.search(rf"^{'    ' if group else ''}def {test}\(", text, re.MULTILINE), test


def test_every_item_of_the_checklist_has_a_row() -> None:
    """With a test, or saying that the part is not built yet."""
    rows = {
        int(row[0]): row[1] for row in re.findall(r"^\| (\d+) \|.*\| (.*) \|$", PAGE, re.MULTILINE)
    }
    assert set(ITEMS) <= rows.keys()
    for item, told in rows.items():
        number = rf"checklist_{item:02}(?!\d)" if item in NUMBERED else ""
        held = re.search(rf"`tests/[\w/.:]+::test_\w*{number}", told)
        assert held or told.startswith("not built yet: "), item


def test_every_promise_has_a_test() -> None:
    """No sentence stands there for itself."""
    promises = PAGE.partition("## Promises")[2].partition("\n## ")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row != "| promise | test |"]
    assert len(rows) > 25
    assert all(re.search(r"`tests/[\w/]+\.py::", row) for row in rows)


def test_every_fault_of_a_cluster_is_run_by_its_name() -> None:
    """``pytest -k faults`` selects each test of the table: by the mark of its module or its own."""
    table = PAGE.partition("## Faults of a cluster")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert all("`tests/" in row for row in rows if row != "| fault | what happens | test |")
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", table):
        text = (ROOT / file).read_text("utf-8")
        above = re.split(rf"^ *def {test}\(", text, flags=re.MULTILINE)[0]
        marked = "\npytestmark = pytest.mark.faults\n" in text
        assert marked or "@pytest.mark.faults\n" in above.rpartition("\n\n")[2], test
