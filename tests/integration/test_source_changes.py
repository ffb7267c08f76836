"""What a stage read of a source, compared with another source, with real git repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import GennakerError
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.source import capture_source
from gennaker_engine.storage.source_changes import SourceComparison, clean_paths

Factory = Callable[..., Any]


def pin(root: Path) -> Any:
    """Pin the tree as it is now."""
    state = StateFolder(root)
    state.ensure()
    return capture_source(root, state=state).facts


def compare(root: Path, then: Any, *paths: str, now: Any = None) -> list[str]:
    """Return what is different now."""
    comparison = SourceComparison(now or pin(root), state=StateFolder(root), root=root)
    return comparison.list_changed(then, paths)


def test_two_commits_are_compared_by_path(git_repository: Factory) -> None:
    """A file counts by content and mode; a folder by all that is in it, also what came or went."""
    repository = git_repository(files={"app/a": "1", "app/b": "1", "app2/c": "1", "x": "1"})
    root = repository.path
    then = pin(root)
    (root / "app" / "a").write_text("2")
    (root / "app2" / "c").chmod(0o755)
    (root / "new").write_text("new")
    (root / "x").unlink()
    repository.commit(message="changes")
    assert compare(root, then, "app") == ["app/a"]
    assert compare(root, then, "app/b", "app/") == ["app/a"]
    assert compare(root, then, "app/b") == []
    assert compare(root, then, "app2/c") == ["app2/c"]
    assert compare(root, then, "x", "new") == ["new", "x"]
    assert compare(root, then, ".") == ["app/a", "app2/c", "new", "x"]
    assert compare(root, then, now=then) == []


def test_a_commit_and_a_dirty_tree_are_compared_by_content(git_repository: Factory) -> None:
    """What is the same in both is the same, though git and the snapshot name it otherwise."""
    repository = git_repository(files={"a": "1", "b": "1", "c": "1"})
    root = repository.path
    commit = pin(root)
    (root / "b").write_text("2")
    dirty = pin(root)
    assert (commit["kind"], dirty["kind"]) == ("commit", "snapshot")
    assert compare(root, commit, ".") == ["b"]
    assert compare(root, dirty, ".", now=commit) == ["b"]
    assert compare(root, commit, "a", "c") == []
    (root / "c").write_text("2")
    assert compare(root, dirty, ".") == ["c"]


def test_a_link_makes_all_of_it_count(tmp_path: Path) -> None:
    """What is read through it may be anywhere: a link inside the path, or a folder above it."""
    for name in ("app", "shared", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1")
    (tmp_path / "app" / "link").symlink_to("../shared")
    (tmp_path / "alias").symlink_to("docs")
    then = pin(tmp_path)
    (tmp_path / "shared" / "file").write_text("2")
    assert compare(tmp_path, then, "app") == ["shared/file"]
    assert compare(tmp_path, then, "alias/file") == ["shared/file"]
    assert compare(tmp_path, then, "docs") == []


@pytest.mark.parametrize("outside", ["..", "a/../../b", "/etc", "./"])
def test_what_is_no_path_inside_is_all_of_it(outside: str) -> None:
    """A plugin's mistake makes a stage run again, never too little be compared."""
    assert clean_paths(["app", outside]) == (".",)
    assert clean_paths(["b//c/", "./a", "a"]) == ("a", "b/c")


def test_a_source_that_is_gone_is_told(tmp_path: Path) -> None:
    """By its code word."""
    (tmp_path / "a").write_text("1")
    then = pin(tmp_path)
    for each in (tmp_path / ".gennaker" / "sources" / "manifests").iterdir():
        each.unlink()
    (tmp_path / "a").write_text("2")
    with pytest.raises(GennakerError, match="is gone from") as caught:
        compare(tmp_path, then, "a")
    assert caught.value.code == "source-missing"
