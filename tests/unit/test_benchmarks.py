"""The benchmarks: their shapes, their part of the results, their picture, and one run of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks import results
from benchmarks.measuring import Measurement, make_rows
from benchmarks.peers.environments import PEERS, find_version
from benchmarks.peers.picture import draw
from benchmarks.shapes import SHAPES, list_levels, make_shape

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("shape", "stages", "levels"), [("layered", 1000, 10), ("chain", 50, 50), ("fan", 202, 3)]
)
def test_a_shape_has_its_size_and_names_stages_before_they_are_needed(
    shape: str, stages: int, levels: int
) -> None:
    """So that every engine can take them in that order; a level needs earlier ones only."""
    needs = make_shape(shape)
    seen: set[str] = set()
    for name, before in needs.items():
        assert seen.issuperset(before)
        seen.add(name)
    found = list_levels(needs)
    assert (len(needs), len(found), sum(map(len, found))) == (stages, levels, stages)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_share_is_smaller(shape: str) -> None:
    """A quick try has the same form."""
    assert len(make_shape(shape, 10)) * 5 < len(make_shape(shape))


def test_each_program_replaces_its_part_of_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of the other one stays."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "RESULTS.md")
    results.write_part("bench", "before\\1")
    results.write_part("bench-peers", "two")
    results.write_part("bench", "three")
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Results\n")
    assert "before" not in text
    assert text.index("three") < text.index("two")


def test_a_row_tells_the_goal_and_how_near_it_is() -> None:
    """With the ratio to the goal and to the floor; one far beyond it is marked."""
    rows = make_rows(
        [
            Measurement("a", 150.0, goal=300, floor=50, floor_name="bare"),
            Measurement("b", 900.0, goal=300),
        ]
    )
    assert rows[1] == ["a", "150.0 ms", "≤ 300 ms", "0.50", "50.0 ms bare (x 3)"]
    assert rows[2][3] == "3.00 MISSED"
    table = results.make_table(rows)
    assert table.splitlines()[1] == "|---|---|---|---|---|"


def test_the_picture_is_svg_with_a_bar_for_each() -> None:
    """Two rectangles each, start and work, inside the picture."""
    bars = [("Gennaker", 0.3, 0.2), ("<Other>", 10.0, 5.0)]
    root = ElementTree.fromstring(draw({"some": bars, "more": bars}, notes=("a & b",)))
    rectangles = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(rectangles) == 1 + 2 * 2 * 2
    width = float(root.attrib["width"])
    assert all(float(r.get("x", 0)) + float(r.attrib["width"]) <= width for r in rectangles)


@pytest.mark.parametrize("name", PEERS)
def test_the_engines_are_pinned(name: str) -> None:
    """Each by exact versions, without the address of a registry."""
    text = (ROOT / "benchmarks" / "peers" / f"{name}.txt").read_text()
    assert find_version(name)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line for line in lines)


@pytest.mark.timeout(60)
def test_our_program_runs_every_stage(tmp_path: Path) -> None:
    """And says how long the start and the work took."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.run_gennaker", "fan", "10", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["stages"] == len(make_shape("fan", 10))
    assert answer["start"] > 0 < answer["work"]
